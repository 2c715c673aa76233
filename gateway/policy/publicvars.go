package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// hidden stands for a value that is not shown.
const hidden = "…"

// PublicVars returns the vars of a request as others than its sender may see them. The
// values of cookies, of credentials and of what names the visitor are hidden, and the
// bypass argument's secret. Names stay. It does not change v.
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

// PublicHeader is PublicVars for the header of a response, with its cookies.
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

// publicCookies hides the values of cookies. Whatever has no name is a value, too.
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

// mask hides the secret within s, and all of s if it is encoded there.
func (b *Bypass) mask(s string) string {
	if !b.isTold(s) {
		return s
	}
	if s = strings.ReplaceAll(s, b.Secret, "***"); b.isTold(s) {
		return "***"
	}
	return s
}
