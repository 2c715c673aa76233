package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// hidden replaces a value that is not shown.
const hidden = "…"

// PublicVars returns the vars of a request as others may see them. It hides the
// values of cookies, of credentials and of whatever names the visitor, and the
// secret of the bypass argument. Names stay. It does not change v.
func (p *Policy) PublicVars(v uwsgi.Vars) uwsgi.Vars {
	public := make(uwsgi.Vars, len(v))
	for i, x := range v {
		public[i] = uwsgi.Var{Name: x.Name, Value: p.publicValue(x.Name, p.Bypass.mask(x.Value))}
	}
	return public
}

func (p *Policy) publicValue(name, value string) string {
	switch {
	case value == "":
		return ""
	case name == "HTTP_AUTHORIZATION", name == "HTTP_PROXY_AUTHORIZATION":
		if scheme, _, ok := strings.Cut(value, " "); ok {
			return scheme + " " + hidden
		}
		return hidden
	case name == "HTTP_COOKIE", name == "HTTP_COOKIE2":
		return publicCookies(value)
	case p.Visitors.isIdentityHeader(name), p.Visitors.isIdentityVar(name):
		return hidden
	}
	return value
}

// PublicHeader does for the header of a response what PublicVars does for vars.
func (p *Policy) PublicHeader(h uwsgi.Header) uwsgi.Header {
	public := h.Clone()
	for i := range public {
		f := &public[i]
		f.Value = p.Bypass.mask(f.Value)
		if equalFold(f.Name, "Set-Cookie") || equalFold(f.Name, "Set-Cookie2") {
			cookie, attributes, more := strings.Cut(f.Value, ";")
			f.Value = publicCookies(cookie)
			if more {
				f.Value += ";" + attributes
			}
		}
	}
	return public
}

// publicCookies hides the values of cookies. A cookie without a name is a value.
func publicCookies(s string) string {
	pieces := strings.Split(s, ";")
	for i, piece := range pieces {
		name, value, named := strings.Cut(piece, "=")
		switch {
		case named && value != "":
			pieces[i] = name + "=" + hidden
		case !named && strings.TrimSpace(piece) != "":
			pieces[i] = piece[:len(piece)-len(strings.TrimLeft(piece, " "))] + hidden
		}
	}
	return strings.Join(pieces, ";")
}

// mask replaces the secret in s, or all of s if the secret is encoded there.
func (b *Bypass) mask(s string) string {
	if !b.isTold(s) {
		return s
	}
	if s = strings.ReplaceAll(s, b.Secret, "***"); b.isTold(s) {
		return "***"
	}
	return s
}
