package parity

import (
	"slices"
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/snippet"
)

// Variables of the printed configuration that a gateway can compute. Those of a site with a
// name end in the name.
const (
	visitor = "visitor"
	scheme  = "visitors_scheme"
)

// inTemplate returns the name that a variable of the printed configuration has in a
// gateway's template, without its dollar sign. It is empty if the gateway cannot compute the
// variable.
func inTemplate(v nginxconf.Variable) string {
	if v.Kind != "map" {
		return ""
	}
	name, source := nginxconf.Lower(strings.TrimPrefix(v.Name, "$")), nginxconf.Canonical(v.Value)
	if site, ok := strings.CutPrefix(name, scheme); ok && (site == "" || site[0] == '_') && source == "$http_x_forwarded_proto" {
		return scheme
	}
	if site, ok := strings.CutPrefix(name, visitor); ok && (site == "" || site[0] == '_' && source == "$session_cookie"+site+"$harmless_cookies"+site) {
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

// asksNoParts reports whether the location of the lookup is as it is printed: it looks up no
// subrequests.
func (k *checker) asksNoParts(l Lookup) bool {
	_, found := k.mapOfParts(l)
	return found
}

// mapOfParts returns the map of a condition for which requests leave the location before the
// lookup, if it is made of $is_part.
func (k *checker) mapOfParts(l Lookup) (m nginxconf.Map, found bool) {
	conditions := []string{l.Skip.Value}
	if only, isEmpty := strings.CutSuffix(strings.TrimRight(l.If.Value, " "), " ="); isEmpty {
		conditions = append(conditions, only)
	}
	for _, p := range l.Diverted {
		conditions = append(conditions, strings.Trim(p.If.Value, "() "))
	}
	for _, condition := range conditions {
		m, _ := k.config.Map(strings.TrimPrefix(condition, "$"))
		if slices.ContainsFunc(nginxconf.Variables(m.Source), k.isPart) {
			return m, true
		}
	}
	return nginxconf.Map{}, false
}

// isPart reports whether the variable is the printed $is_part, which compares the path with
// the one that the request began with.
func (k *checker) isPart(name string) bool {
	m, _ := k.config.Map(name)
	first, ok := strings.CutSuffix(nginxconf.Canonical(m.Source), " $uri")
	begin, _ := k.config.Map(strings.TrimPrefix(first, "$"))
	return ok && begin.Source == "$request_uri" && len(begin.Lines) == 1 && slices.Equal(begin.Lines[0], []string{"default", "$uri"})
}

// ssiSentinel reports that uwgate stores no page whose directives nginx would process.
func (k *checker) ssiSentinel(sub nginxconf.Subrequest, ours *group) {
	sentinels := k.g.Sentinels
	if sentinels == nil {
		sentinels = policy.DefaultSentinels
	}
	i := slices.Index(sentinels, snippet.SSISentinel)
	isOurs := slices.ContainsFunc(sub.Lookups, ours.has)
	if i < 0 || sub.Kind != "ssi" || !isOurs {
		return
	}
	var fix Fix
	for _, word := range slices.Delete(slices.Clone(sentinels), i, i+1) {
		fix.Flags = append(fix.Flags, Flag{"sentinel", word})
	}
	fix.Text = "--sentinel none"
	if len(fix.Flags) > 0 {
		fix.Text = flagText(fix.Flags)
	} else {
		fix.Flags = []Flag{{"sentinel", "none"}}
	}
	k.note(sub.Place, ssiSentinel, fix, "nginx processes SSI directives, but uwgate stores no page that contains %s, which is one of its sentinels", snippet.SSISentinel)
}

func flagText(flags []Flag) string {
	var texts []string
	for _, f := range flags {
		texts = append(texts, f.String())
	}
	return strings.Join(texts, " ")
}
