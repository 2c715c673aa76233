package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// sites checks for two sites that ask the same memcached for the same keys, although
// their pages may differ: the pages of one are then served for the other.
func (k *checker) sites(ours []Lookup) {
	for i, l := range ours {
		k.schemes(l)
		for _, other := range lookupsOf(k.config.Lookups) {
			isLater := slices.Index(ours, other) > i || !slices.Contains(ours, other)
			if isLater && other.Server != l.Server && l.sharesKeys(other) {
				k.shared(l, other)
			}
		}
	}
}

// shared reports the most certain way in which the pages of the two lookups differ.
func (k *checker) shared(l, other Lookup) {
	at, one := other.at(other.Key.Place), l.Misses
	same := fmt.Sprintf("the lookup of %s asks the same memcached for the same keys", l.Place)
	switch two := other.Misses; {
	case two == nil:
	case addresses(one.Upstream) != addresses(two.Upstream):
		k.error(at, keyShared, before(distinct(l, other), l, other),
			"%s, and its misses go to %s, not to %s: nginx serves the pages of one site for the other", same, addresses(one.Upstream), addresses(two.Upstream))
	case differentParam(one.Params, two.Params) != "":
		k.error(at, keyShared, before(distinct(l, other), l, other),
			"%s, but sends another %s to the application: nginx serves the pages of one site for the other", same, differentParam(one.Params, two.Params))
	case l.scheme() != other.scheme():
		k.warning(at, keyShared, before("$scheme://", l, other),
			"%s, one for http and one for https: links and redirects in their pages may differ", same)
	case l.port() != other.port():
		k.note(at, keyShared, before("$server_port:", l, other),
			"%s, on another port: if the pages of the two differ, nginx serves those of one for the other", same)
	}
}

// schemes reports a server block that takes http and https under the same keys.
func (k *checker) schemes(l Lookup) {
	if l.scheme() == "" && !l.hasOpaqueKey() && !l.knows("scheme") && !l.knows("https") && !l.knows("server_port") {
		k.warning(l.at(l.Key.Place), keyShared, before("$scheme://", l),
			"the key %s has no $scheme, and this server takes http and https: links and redirects in their pages may differ", l.asked())
	}
}

func (l Lookup) hasOpaqueKey() bool { return l.Key.Late != "" || len(l.opaque()) > 0 }

// knows reports whether the key has the variable.
func (l Lookup) knows(name string) bool {
	return slices.Contains(nginxconf.Variables(l.asked()), name)
}

// sharesKeys reports whether the same key may be asked of the same server by both.
func (l Lookup) sharesKeys(other Lookup) bool {
	if l.Key.Late != "" || other.Key.Late != "" || !l.sharesMemcached(other) {
		return false
	}
	if l.written() != other.written() {
		return false
	}
	return !(l.knows("host") || l.knows("http_host")) || l.sharesNames(other)
}

// written is the key with what the server block decides of it.
func (l Lookup) written() string {
	e := nginxconf.ParseExpression(nginxconf.Canonical(l.asked()))
	for i, p := range e {
		known := map[string]string{"scheme": l.scheme(), "server_port": l.port(), "server_name": l.name()}[p.Text]
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

// scheme is the only one of the server block, or "".
func (l Lookup) scheme() string {
	scheme := ""
	for _, listen := range l.Listens {
		own := "http"
		if listen.TLS {
			own = "https"
		}
		if scheme != "" && scheme != own {
			return ""
		}
		scheme = own
	}
	return scheme
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

func (l Lookup) sharesMemcached(other Lookup) bool {
	return slices.ContainsFunc(spelledServers(l), func(server string) bool { return slices.Contains(spelledServers(other), server) })
}

func spelledServers(l Lookup) (all []string) {
	for _, s := range l.Memcached.Servers {
		address, _, _ := strings.Cut(s.Text, " ")
		all = append(all, nginxconf.Lower(address))
	}
	return all
}

// sharesNames reports whether a host may be served by both. Names that are no plain hosts
// may be any.
func (l Lookup) sharesNames(other Lookup) bool {
	isOpen := func(name string) bool { return strings.ContainsAny(name, "*~") || strings.HasPrefix(name, ".") }
	if slices.ContainsFunc(l.Names, isOpen) && slices.ContainsFunc(other.Names, isOpen) {
		return true
	}
	return slices.ContainsFunc(l.Names, func(name string) bool { return name != "_" && slices.Contains(other.Names, name) })
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
