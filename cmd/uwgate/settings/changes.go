package settings

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"uwgate/nginxconf/snippet"
)

// Changes returns the names of the settings that HUP changes and that differ in next, by
// their values or by what they name: the contents of a file, the addresses of a name.
func (p *Parts) Changes(next *Parts) []string {
	names := p.differences(next, func(r *row) bool { return !r.restart })
	if !reflect.DeepEqual(p.file.rules, next.file.rules) {
		names = append(names, rulesKey)
	}
	if len(names) == 0 && !reflect.DeepEqual(p.Nginx, next.Nginx) {
		names = append(names, "nginx")
	}
	if !reflect.DeepEqual(p.file.pools, next.file.pools) {
		names = append(names, poolsKey)
	}
	for _, name := range p.changedBehind(next) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// NeedRestart returns the names of the settings that differ in next and that HUP does not
// change.
func (p *Parts) NeedRestart(next *Parts) []string {
	return p.differences(next, func(r *row) bool { return r.restart })
}

// PrintsOther reports whether `uwgate nginx` prints another configuration for the settings of
// next.
func (p *Parts) PrintsOther(next *Parts) bool { return p.printed() != next.printed() }

// printed returns what `uwgate nginx` prints, or as much as possible: serve may have settings
// that nginx cannot.
func (s *Settings) printed() string {
	site, _ := s.Snippet()
	if len(site.Gateways) == 0 {
		site.Gateways = []string{"127.0.0.1:3030"}
	}
	if len(site.Servers) == 0 {
		site.Servers = []string{"127.0.0.1:11211"}
	}
	site.Part, site.Names = snippet.PartAll, []string{snippet.DefaultHost}
	var b strings.Builder
	if err := site.Write(&b); err != nil {
		return err.Error()
	}
	return b.String()
}

func (p *Parts) differences(next *Parts, about func(*row) bool) (names []string) {
	for _, r := range p.set.rows {
		if about(r) && (r.show(p.Settings) != r.show(next.Settings) || p.TLS.digest(r.name) != next.TLS.digest(r.name)) {
			names = append(names, r.name)
		}
	}
	return names
}

// changedBehind returns the names of the settings whose values are the same, and what
// they name is not.
func (p *Parts) changedBehind(next *Parts) (names []string) {
	if !reflect.DeepEqual(p.Ring, next.Ring) {
		names = append(names, "memcached")
	}
	if p.Policy != nil && next.Policy != nil && !maps.Equal(p.Policy.Hits.Types, next.Policy.Hits.Types) {
		names = append(names, "mime-types")
	}
	return names
}
