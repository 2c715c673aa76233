package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// sites checks for two sites that ask the same memcached for the same keys, although
// their pages may differ: the pages of one are then served for the other. A lookup is
// reported once.
func (k *checker) sites(ours *group) {
	known := sharers{}
	for _, l := range ours.lookups {
		k.schemes(l)
		k.shared(known.of(l), l)
		known.add(l)
	}
	for _, other := range lookupsOf(k.config.Lookups) {
		if !ours.has(other.Lookup) {
			k.shared(known.of(other), other)
		}
	}
}

// shared reports the most certain way in which the pages of a lookup differ from those of
// others with its keys.
func (k *checker) shared(others []Lookup, l Lookup) {
	var most siteDifference
	for _, other := range others {
		if d := difference(other, l); d.isWorse(most) {
			most = d
		}
	}
	if most.level == "" {
		return
	}
	k.add(most.level, l.at(l.Key.Place), keyShared, before(most.start, most.other, l),
		"the lookup of %s asks the same memcached for the same keys, %s", most.other.Place, most.how)
}

// A siteDifference is a way in which the pages of two lookups may differ. The zero
// siteDifference is none.
type siteDifference struct {
	level Level
	other Lookup
	start string // of keys that keep them apart
	how   string
}

func (d siteDifference) isWorse(than siteDifference) bool {
	levels := []Level{"", Note, Warning, Error}
	return slices.Index(levels, d.level) > slices.Index(levels, than.level)
}

// difference returns the most certain way in which the pages of two lookups differ.
func difference(other, l Lookup) siteDifference {
	one, two := other.Misses, l.Misses
	switch {
	case one == nil || two == nil:
	case addresses(one.Upstream) != addresses(two.Upstream):
		return siteDifference{Error, other, distinct(other, l),
			fmt.Sprintf("and its misses go to %s, not to %s: nginx serves the pages of one site for the other", addresses(one.Upstream), addresses(two.Upstream))}
	case differentParam(one.Params, two.Params) != "":
		return siteDifference{Error, other, distinct(other, l),
			fmt.Sprintf("but sends another %s to the application: nginx serves the pages of one site for the other", differentParam(one.Params, two.Params))}
	case other.OnlyScheme() != l.OnlyScheme():
		return siteDifference{Warning, other, "$scheme://", "one for http and one for https: links and redirects in their pages may differ"}
	case other.port() != l.port():
		return siteDifference{Note, other, "$server_port:", "on another port: if the pages of the two differ, nginx serves those of one for the other"}
	}
	return siteDifference{}
}

// sharers are lookups by what two must have in common to have the same keys. Of several that
// no finding can distinguish there are two: another lookup in the server block of the first
// one has the same site.
type sharers map[string][]Lookup

// keysOf returns the places in sharers of a lookup.
func keysOf(l Lookup) (all []string) {
	names := []string{""}
	if l.knows("host") || l.knows("http_host") {
		names = l.hosts()
	}
	for _, server := range spelledServers(l) {
		for _, name := range names {
			all = append(all, strings.Join([]string{server, name, l.written()}, "\x00"))
		}
	}
	return all
}

// maxSharers is how many lookups of one key are remembered. A later one that differs from
// all of these is still reported, and so are those that differ from it once it is corrected.
const maxSharers = 8

func (s sharers) add(l Lookup) {
	if l.Key.Late != "" {
		return
	}
	for _, key := range keysOf(l) {
		like := 0
		for _, other := range s[key] {
			if difference(other, l).level == "" {
				like++
			}
		}
		if like < 2 && len(s[key]) < maxSharers {
			s[key] = append(s[key], l)
		}
	}
}

// of returns the lookups of other server blocks that may ask for the same keys.
func (s sharers) of(l Lookup) (all []Lookup) {
	if l.Key.Late != "" {
		return nil
	}
	for _, key := range keysOf(l) {
		for _, other := range s[key] {
			if other.Server != l.Server {
				all = append(all, other)
			}
		}
	}
	return all
}

// schemes reports a server block that takes http and https under the same keys.
func (k *checker) schemes(l Lookup) {
	if l.OnlyScheme() == "" && !l.hasOpaqueKey() && !l.knows("scheme") && !l.knows("https") && !l.knows("server_port") {
		k.warning(l.at(l.Key.Place), keyShared, before("$scheme://", l),
			"the key %s has no $scheme, and this server takes http and https: links and redirects in their pages may differ", l.asked())
	}
}

func (l Lookup) hasOpaqueKey() bool { return l.Key.Late != "" || len(l.opaque()) > 0 }

// knows reports whether the key has the variable.
func (l Lookup) knows(name string) bool {
	return slices.Contains(nginxconf.Variables(l.asked()), name)
}

// written is the key with what the server block decides of it.
func (l Lookup) written() string {
	e := nginxconf.ParseExpression(nginxconf.Canonical(l.asked()))
	for i, p := range e {
		known := map[string]string{"scheme": l.OnlyScheme(), "server_port": l.port(), "server_name": l.name()}[p.Text]
		if p.IsVariable && known != "" {
			e[i] = nginxconf.Piece{Text: known}
		}
	}
	var text strings.Builder
	for _, p := range e {
		text.WriteString(nginxconf.Expression{p}.String())
	}
	return text.String()
}

// port is the only one of the server block, or "".
func (l Lookup) port() string {
	port := l.Listens[0].Port
	for _, listen := range l.Listens {
		if listen.Port != port {
			return ""
		}
	}
	return port
}

// name is what $server_name is.
func (l Lookup) name() string {
	if len(l.Names) == 0 {
		return ""
	}
	return l.Names[0]
}

func spelledServers(l Lookup) (all []string) {
	for _, s := range l.Memcached.Servers {
		address, _, _ := strings.Cut(s.Text, " ")
		all = append(all, nginxconf.Lower(address))
	}
	return all
}

// hosts returns the names of the site. Names that are no plain hosts may be any: two that
// both have one may have the same.
func (l Lookup) hosts() (all []string) {
	const open = "*"
	for _, name := range l.Names {
		if strings.ContainsAny(name, "*~") || strings.HasPrefix(name, ".") {
			all = append(all, open)
		}
		if name != "_" {
			all = append(all, name)
		}
	}
	return all
}

// differentParam names a param without variables that only one has, or that differs.
func differentParam(a, b []nginxconf.Param) string {
	for range 2 {
		for _, p := range a {
			if isHandover(p.Name) || len(nginxconf.Variables(p.Value)) > 0 {
				continue
			}
			if other, ok := find(b, p.Name); !ok || other.Value != p.Value {
				return p.Name
			}
		}
		a, b = b, a
	}
	return ""
}

func isHandover(name string) bool {
	return name == cacheKey || name == cacheStatus || name == cacheServer
}

// distinct returns what tells the keys of the two apart.
func distinct(l, other Lookup) string {
	switch {
	case l.port() != "" && other.port() != "" && l.port() != other.port():
		return "$server_port:"
	case l.name() != other.name() && !l.knows("host"):
		return "$host:"
	}
	return "$server_name:"
}

// before puts something in front of the keys.
func before(start string, lookups ...Lookup) (f Fix) {
	for _, l := range lookups {
		line := "set " + cmp.Or(l.Key.Variable, "$memcached_key") + " " + nginxconf.Quote(start+l.Key.Expanded) + ";"
		if l.Key.Variable == "" || l.Key.Place.IsZero() || l.Key.Value == l.Key.Variable {
			return manual(line, "the key is not made by a `set`")
		}
		f = f.and(replace(l.Key.Place, line))
	}
	return f
}
