package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// Cookies are split as the strictest of the frameworks would split them. A header is
// cut at semicolons, as Django and Werkzeug do, and the name of each part is
// classified. Then every run of bytes that WebOb takes for a cookie is looked at, too:
// WebOb begins a cookie after any byte that it does not allow, as after the space of
// `_ga=1 sessionid=abc`, and also within quotes. nginx before 1.29.6 begins one after
// a comma.

// eachCookie calls see with everything that may be the name of a cookie, and its
// class.
func (w *Visitors) eachCookie(header string, see func(class trait, name string)) {
	for rest := header; rest != ""; {
		part := rest
		if i := strings.IndexByte(rest, ';'); i >= 0 {
			part, rest = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		w.eachInPart(part, see)
	}
}

// eachInPart looks at the text between two semicolons.
func (w *Visitors) eachInPart(part string, see func(class trait, name string)) {
	part = trimBlank(part)
	if part == "" {
		return
	}
	name, value, _ := strings.Cut(part, "=")
	name = trimBlank(name)
	switch {
	case !isOneWord(name):
		see(unlisted, name)
		w.eachWord(part, see)
	case isOneWord(value): // as nearly always
		see(w.cookieName(name), name)
	default:
		see(w.cookieName(name), name)
		for value != "" && isCookieByte(value[0]) {
			value = value[1:]
		}
		w.eachWord(value, see)
	}
}

// eachWord looks at all words of s.
func (w *Visitors) eachWord(s string, see func(class trait, name string)) {
	for begin := 0; begin < len(s); {
		end := begin
		for end < len(s) && isCookieByte(s[end]) {
			end++
		}
		w.seeWord(s[begin:end], see)
		begin = end + 1
	}
}

// seeWord looks at a word that is not the first. Without an equals sign it counts
// only if it names a visitor or a token: no framework makes a cookie of it.
func (w *Visitors) seeWord(word string, see func(class trait, name string)) {
	if word == "" {
		return
	}
	name, _, isCookie := strings.Cut(word, "=")
	if class := w.cookieName(name); isCookie || class > neutral {
		see(class, name)
	}
}

// cookieName returns the class of a cookie by its name, with and without a prefix.
func (w *Visitors) cookieName(name string) trait {
	m := w.cookies.of(name)
	if bare, ok := cutCookiePrefix(name); ok && (m == nil || !m.given || m.isGlob()) {
		other := w.cookies.of(bare)
		if other != nil && other.given && !other.isGlob() {
			m = other
		} else {
			m = stricter(m, other)
		}
	}
	if m == nil {
		return unlisted
	}
	return m.trait
}

func cutCookiePrefix(name string) (bare string, ok bool) {
	if !strings.HasPrefix(name, "__") {
		return name, false
	}
	for _, prefix := range CookiePrefixes {
		if len(name) > len(prefix) && equalFold(name[:len(prefix)], prefix) {
			return name[len(prefix):], true
		}
	}
	return name, false
}

func trimBlank(s string) string {
	for s != "" && s[0] <= ' ' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// isCookieByte reports whether WebOb accepts the byte in a cookie.
func isCookieByte(c byte) bool { return cookieBytes[c] }

var cookieBytes = func() (is [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789~!@#$%^&*()_+=-`.?|:/{}<>'") {
		is[c] = true
	}
	return is
}()

func isOneWord(s string) bool {
	for i := range len(s) {
		if !cookieBytes[s[i]] {
			return false
		}
	}
	return true
}

// lookAtCookies notes what a Cookie header shows.
func (p *Policy) lookAtCookies(s *sight, w *Visitors, v uwsgi.Vars, header string) {
	w.eachCookie(header, func(class trait, name string) {
		if name == "" { // as in =abc
			name = "="
		}
		switch class {
		case identity:
			note(&s.identityCookie, name)
		case formToken:
			note(&s.tokenCookie, name)
		case unlisted:
			if s.unknownCookie == "" && !p.isCookieInKey(v, name) {
				s.unknownCookie = name
			}
		}
	})
}

// isCookieInKey reports whether the key contains the cookie as every reader sees
// it. It is not asked about identity cookies: nginx may read another one of two
// cookies than the application, or none, and then the page of one visitor would
// have the key of others.
func (p *Policy) isCookieInKey(v uwsgi.Vars, name string) bool {
	if p.Keys.Template == nil {
		return false
	}
	if p.Keys.isVarInKey(v, "HTTP_COOKIE") {
		return true
	}
	return p.Keys.Template.coversCookie(name) && p.Keys.isRendered(v, v.Get(varKey)) && isPlainCookie(v, name)
}

// isPlainCookie reports whether the request has exactly one cookie of that name,
// in a header in which all readers find the same cookies.
func isPlainCookie(v uwsgi.Vars, name string) bool {
	found := 0
	for i := range v {
		if v[i].Name != "HTTP_COOKIE" {
			continue
		}
		for part := range strings.SplitSeq(v[i].Value, ";") {
			n, value, _ := strings.Cut(strings.TrimLeft(part, " "), "=")
			if !isOneWord(n) || !isOneWord(value) {
				return false
			}
			if equalFold(n, name) {
				if n != name || value == "" { // the key is that of none
					return false
				}
				found++
			}
		}
	}
	return found == 1
}

// ofCookies returns the class of all cookies of a request: identity if one is
// identity, else unlisted if one is unlisted, else formToken if one is a token,
// else neutral.
func (w *Visitors) ofCookies(v uwsgi.Vars) (class trait) {
	class = neutral
	see := func(c trait, _ string) {
		switch {
		case c == identity, class == identity:
			class = identity
		case c == unlisted, class == unlisted:
			class = unlisted
		case c == formToken:
			class = formToken
		}
	}
	for i := range v {
		if v[i].Name == "HTTP_COOKIE" {
			w.eachCookie(v[i].Value, see)
		}
	}
	return class
}

func cookieName(piece string) string {
	name, _, _ := strings.Cut(piece, "=")
	return strings.TrimSpace(name)
}

// CookieGlobs are the names of cookies by class, so that nginx can classify
// visitors as Visitors does. A cookie of Exempt does not name a visitor, even if a
// glob of Identity matches it. A cookie of Strangers is neutral or holds a token.
// All others are unknown. Each name also applies behind one of CookiePrefixes.
type CookieGlobs struct{ Identity, Exempt, Strangers []string }

// CookiePrefixes are the prefixes that browsers know. They restrict how a cookie
// is set, and do not say what it is for.
var CookiePrefixes = []string{"__Host-Http-", "__Host-", "__Secure-", "__Http-"}

// Cookies returns the globs of all classes. w may be nil.
func (w *Visitors) Cookies() (g CookieGlobs) {
	t := &w.orDefault().cookies
	seen := map[string]bool{}
	for _, m := range t.all {
		if seen[lowerASCII(m.name)] {
			continue
		}
		seen[lowerASCII(m.name)] = true
		class := m.trait
		if !m.isGlob() {
			settled := t.exactly(m.name)
			class = settled.trait
			if settled.given && class != identity && t.byGlob(m.name) != nil && t.byGlob(m.name).trait == identity {
				g.Exempt = append(g.Exempt, m.name)
			}
		}
		if class == identity {
			g.Identity = append(g.Identity, m.name)
		} else {
			g.Strangers = append(g.Strangers, m.name)
		}
	}
	return g
}
