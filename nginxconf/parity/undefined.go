package parity

import (
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// undefined reports named locations that a server block leads to and does not have. nginx
// finds that out only when a request goes there.
func (k *checker) undefined(ours *group) {
	var servers []nginxconf.Block
	add := func(server nginxconf.Block) {
		if !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	for _, l := range ours.lookups {
		add(l.Server)
	}
	for _, p := range ours.passes {
		add(p.Server)
	}
	for _, server := range servers {
		k.undefinedIn(server, server.Place)
		if outer := k.http(server); len(k.config.In(server.Place, "error_page")) == 0 {
			for _, d := range k.config.In(outer, "error_page") {
				k.leadsNowhere(server, d)
			}
		}
	}
}

// undefinedIn looks at a block of a server, and at those in it.
func (k *checker) undefinedIn(server nginxconf.Block, block nginxconf.Place) {
	for _, d := range k.config.In(block, "") {
		switch k.config.Words(d.Place)[0] {
		case "try_files", "error_page":
			k.leadsNowhere(server, d)
		case "location", "if", "limit_except":
			k.undefinedIn(server, d.Place)
		}
	}
}

// leadsNowhere reports a try_files or error_page whose named location is missing.
func (k *checker) leadsNowhere(server nginxconf.Block, d nginxconf.Text) {
	words := k.config.Words(d.Place)
	for _, name := range k.config.NamedTargets(words[len(words)-1]) {
		isOtherwise := k.found.hasAt(d.Place, missNowhere) || k.found.hasAt(d.Place, undefinedLocation)
		if isOtherwise || !k.named(server, name).IsZero() {
			continue
		}
		k.add(k.absent(), d.Place, undefinedLocation, k.definedFix(server, d, words),
			"`%s` leads to %s, and the server block of %s has no such location: nginx starts, but visitors get status 500 there", strings.Join(words, " "), name, server.Place)
	}
}

// definedFix leads a try_files, and an error_page for what memcached does not serve, to the
// only named location that leads to the gateway.
func (k *checker) definedFix(server nginxconf.Block, d nginxconf.Text, words []string) Fix {
	last := len(words) - 1
	var ways []string
	for _, location := range k.config.In(server.Place, "location") {
		if strings.HasPrefix(location.Value, "@") && len(k.config.In(location.Place, "uwsgi_pass")) > 0 {
			ways = append(ways, location.Value)
		}
	}
	isMiss := !slices.ContainsFunc(words[1:last], func(word string) bool {
		return !slices.Contains([]string{"404", "405", "502", "504", "="}, word)
	})
	if len(ways) != 1 || !k.isIn(d.Place, server.Place) || !strings.HasPrefix(words[last], "@") || words[0] == "error_page" && !isMiss {
		return manual("add `location "+words[last]+" { … }` to the server block, or name one that it has", "only you know where such requests must go")
	}
	line := words[0]
	for _, word := range words[1:last] {
		line += " " + nginxWord(word)
	}
	return replace(d.Place, line+" "+ways[0]+";")
}

// isIn reports whether a directive stands in a block, or in one of its blocks.
func (k *checker) isIn(at, block nginxconf.Place) bool {
	for at != block && !at.IsZero() {
		at = k.config.Around(at)
	}
	return at == block
}
