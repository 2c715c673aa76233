package parity

import (
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// visitor is the variable of the printed configuration that separates visitors. That of a
// site with a name ends in the name.
const visitor = "visitor"

// inTemplate returns the name that a variable of the printed configuration has in a
// gateway's template, without its dollar sign. It is empty if the gateway cannot compute the
// variable.
func inTemplate(v nginxconf.Variable) string {
	name := nginxconf.Lower(strings.TrimPrefix(v.Name, "$"))
	site, ok := strings.CutPrefix(name, visitor)
	if v.Kind != "map" || !ok {
		return ""
	}
	if site == "" || site[0] == '_' && nginxconf.Canonical(v.Value) == "$session_cookie"+site+";$http_cookie" {
		return visitor
	}
	return ""
}

// template returns the key that nginx asks memcached for as a template of the gateway, as far
// as that is possible.
func (l Lookup) template() string {
	e := slices.Clone(nginxconf.ParseExpression(l.asked()))
	for i, p := range e {
		if own := l.printed(p.Text); p.IsVariable && own != "" {
			e[i].Text = own
		}
	}
	return e.String()
}

// printed returns inTemplate of a variable of the key.
func (l Lookup) printed(name string) string {
	for _, v := range l.Key.Opaque {
		if nginxconf.Lower(v.Name) == "$"+nginxconf.Lower(name) {
			return inTemplate(v)
		}
	}
	return ""
}

// visitor returns the variable of the key that separates visitors, without its dollar sign.
func (l Lookup) visitor() (variable string, found bool) {
	for _, name := range nginxconf.Variables(l.asked()) {
		if l.printed(name) == visitor {
			return name, true
		}
	}
	return "", false
}
