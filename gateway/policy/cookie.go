package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// hasIdentity reports whether a cookie tells who is asking. Commas separate
// here too: nginx before 1.29.6 reads cookies so, and the worst of a needless
// finding is a page that is not stored.
func (p *Policy) hasIdentity(v uwsgi.Vars) bool {
	globs := orDefault(p.IdentityCookies, defaultIdentityCookies)
	for i := range v {
		if v[i].Name != "HTTP_COOKIE" {
			continue
		}
		for piece := range strings.FieldsFuncSeq(v[i].Value, isCookieEnd) {
			if matchesAny(globs, cookieName(piece)) {
				return true
			}
		}
	}
	return false
}

func isCookieEnd(r rune) bool { return r == ';' || r == ',' }

// hasOtherCookie reports whether a cookie is not known to be harmless.
func (p *Policy) hasOtherCookie(v uwsgi.Vars) bool {
	globs := orDefault(p.HarmlessCookies, defaultHarmlessCookies)
	for i := range v {
		if v[i].Name != "HTTP_COOKIE" {
			continue
		}
		for piece := range strings.SplitSeq(v[i].Value, ";") {
			piece = strings.TrimSpace(piece)
			if piece != "" && !matchesAny(globs, cookieName(piece)) {
				return true
			}
		}
	}
	return false
}

func cookieName(piece string) string {
	name, _, _ := strings.Cut(piece, "=")
	return strings.TrimSpace(name)
}

func matchesAny(globs []string, name string) bool {
	for _, glob := range globs {
		if matches(glob, name) {
			return true
		}
	}
	return false
}

// matches compares without ASCII case; a * in glob stands for any bytes.
func matches(glob, name string) bool {
	head, rest, starred := strings.Cut(glob, "*")
	if !starred {
		return equalFold(glob, name)
	}
	if len(name) < len(head) || !equalFold(head, name[:len(head)]) {
		return false
	}
	for i := len(head); i <= len(name); i++ {
		if rest == "" || matches(rest, name[i:]) {
			return true
		}
	}
	return false
}

// equalFold folds ASCII only, as nginx does; strings.EqualFold would take the
// Kelvin sign for a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
