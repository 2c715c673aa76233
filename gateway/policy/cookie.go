package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// identity finds a cookie that tells who is asking, and returns its name.
// Commas separate here too: nginx before 1.29.6 reads cookies so, and the worst
// of a needless finding is a page that is not stored.
func (p *Policy) identity(v uwsgi.Vars) (name string, found bool) {
	globs := p.Identities()
	for i := range v {
		if v[i].Name != "HTTP_COOKIE" {
			continue
		}
		for piece := range strings.FieldsFuncSeq(v[i].Value, isCookieEnd) {
			if name := cookieName(piece); matchesAny(globs, name) {
				return name, true
			}
		}
	}
	return "", false
}

// Identities are the globs of IdentityCookies, the defaults if it is nil. The
// slice must not be changed.
func (p *Policy) Identities() []string {
	return orDefault(p.IdentityCookies, defaultIdentityCookies)
}

func isCookieEnd(r rune) bool { return r == ';' || r == ',' }

// otherCookie finds a cookie that is not known to be harmless, and returns its
// name.
func (p *Policy) otherCookie(v uwsgi.Vars) (name string, found bool) {
	globs := orDefault(p.HarmlessCookies, defaultHarmlessCookies)
	for i := range v {
		if v[i].Name != "HTTP_COOKIE" {
			continue
		}
		for piece := range strings.SplitSeq(v[i].Value, ";") {
			piece = strings.TrimSpace(piece)
			if name := cookieName(piece); piece != "" && !matchesAny(globs, name) {
				return name, true
			}
		}
	}
	return "", false
}

// hasOtherCookie reports whether a page that says nothing may depend on a
// cookie of the request.
func (p *Policy) hasOtherCookie(v uwsgi.Vars) bool {
	_, found := p.otherCookie(v)
	return found
}

func cookieName(piece string) string {
	name, _, _ := strings.Cut(piece, "=")
	return strings.TrimSpace(name)
}
