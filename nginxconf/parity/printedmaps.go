package parity

import (
	"strings"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/snippet"
)

// printedMaps are the maps that package snippet prints for a site.
type printedMaps struct {
	config *nginxconf.Config // of anySite
	as     string            // what the site's variables end in
}

// anySite is the name of a site whose maps are printed in place of those of all sites: these
// differ in the name only.
const anySite = "uwgate_any_site"

// printedMaps returns the maps of a site of that name; "": without one. They are not ok if
// the flags for cookies cannot be written in nginx's syntax.
func (k *checker) printedMaps(site string) (m printedMaps, ok bool) {
	if k.anySite == nil {
		k.anySite = printAnySite(k.g.Visitors)
	}
	if m.config = k.anySite; site != "" {
		m.as = "_" + site
	}
	return m, len(k.anySite.Files) > 0
}

func printAnySite(visitors *policy.Visitors) *nginxconf.Config {
	var b strings.Builder
	s := snippet.Site{
		Part: snippet.PartHTTP, Name: anySite, Format: policy.FormatHTTP,
		Gateways: []string{"127.0.0.1:3030"}, Servers: []string{"127.0.0.1:11211"}, Visitors: visitors,
	}
	if err := s.Write(&b); err != nil {
		return &nginxconf.Config{}
	}
	c, err := nginxconf.Parse("snippet", "http {"+b.String()+"}")
	if err != nil {
		return &nginxconf.Config{}
	}
	return c
}

// Map returns the map of a variable.
func (m printedMaps) Map(variable string) (own nginxconf.Map, found bool) {
	named, isNamed := strings.CutSuffix(variable, m.as)
	own, found = m.config.Map(named + "_" + anySite)
	rename := func(text string) string { return strings.ReplaceAll(text, "_"+anySite, m.as) }
	own.Source = rename(own.Source)
	lines := make([][]string, len(own.Lines))
	for i, words := range own.Lines {
		for _, word := range words {
			lines[i] = append(lines[i], rename(word))
		}
	}
	own.Lines = lines
	return own, found && isNamed
}
