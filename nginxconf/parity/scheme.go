package parity

import (
	"slices"

	"uwgate/nginxconf"
)

// constantScheme checks for a scheme that nginx makes up, as it does for a proxy in front
// that speaks TLS with the visitors.
func (k *checker) constantScheme(l Lookup) {
	p := l.misses()
	https, _ := find(p.Params, "HTTPS")
	scheme, _ := find(p.Params, "REQUEST_SCHEME")
	said := ""
	switch {
	case https.Value != "" && https.Value != "off" && len(nginxconf.Variables(https.Value)) == 0:
		said = "https"
	case slices.Contains([]string{"http", "https"}, scheme.Value):
		said = scheme.Value
	}
	if said == "" || said == l.OnlyScheme() || !l.knows("scheme") && (scheme.IsZero() || scheme.Value == said) {
		return
	}
	fix := k.setKey(l, nginxconf.Quote(replaced(l.asked(), "scheme", nginxconf.ParseExpression(said))))
	line := "uwsgi_param REQUEST_SCHEME " + said + ";"
	switch {
	case scheme.IsZero():
	case scheme.File == p.File:
		fix = fix.and(k.params(p, line))
	default:
		fix = manual(fix.Text+"\n"+line, "the REQUEST_SCHEME of "+scheme.Place.String()+" may be that of other sites, too")
	}
	k.warning(l.at(l.Key.Place), keyScheme, fix,
		"nginx tells the application that all requests come by %s, but $scheme is what nginx itself sees; if they differ, nothing is stored", said)
}
