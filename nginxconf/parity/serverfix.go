package parity

import (
	"strings"

	"uwgate/nginxconf"
)

// serverLine writes another server line. An address that stands in the pass directive
// itself gets an upstream block.
func (k *checker) serverLine(l Lookup, s nginxconf.UpstreamServer, text string) Fix {
	if !l.Memcached.Implicit {
		return replace(s.Place, "server "+text+";")
	}
	name := k.names.of("memcached", "upstream "+text, func(name string) bool { return k.hasUpstream(l, name) })
	block := "upstream " + name + " { server " + text + "; }"
	return end(k.http(l.Server), block).
		and(replace(l.Memcached.Place, k.config.Words(l.Memcached.Place)[0]+" "+name+";"))
}

func (k *checker) hasUpstream(l Lookup, name string) bool {
	for _, u := range k.config.In(k.http(l.Server), "upstream") {
		if strings.EqualFold(u.Value, name) {
			return true
		}
	}
	return false
}

// oneAddress writes a line for each address.
func (k *checker) oneAddress(l Lookup, n line) Fix {
	_, parameters, _ := strings.Cut(n.Text, " ")
	var lines []string
	for _, address := range n.addrs {
		lines = append(lines, "server "+strings.TrimSpace(address+" "+parameters)+";")
	}
	return replace(n.Place, lines...)
}

// plainServer leaves out what is not known.
func (k *checker) plainServer(l Lookup, s nginxconf.UpstreamServer) Fix {
	kept := strings.Fields(s.Text)[:1]
	for _, field := range strings.Fields(s.Text)[1:] {
		name, _, _ := strings.Cut(field, "=")
		switch name {
		case "weight", "max_fails", "fail_timeout", "down":
			kept = append(kept, field)
		}
	}
	return k.serverLine(l, s, strings.Join(kept, " "))
}

// knownUpstream asks the only upstream that leads to no gateway, if there is one.
func (k *checker) knownUpstream(l Lookup) Fix {
	var names []string
	for _, u := range k.config.In(k.http(l.Server), "upstream") {
		isGateway := false
		for _, p := range k.config.Passes {
			isGateway = isGateway || strings.EqualFold(p.Upstream.Name, u.Value)
		}
		if !isGateway {
			names = append(names, u.Value)
		}
	}
	pass := k.config.Words(l.Memcached.Place)[0]
	if len(names) != 1 {
		return manual(pass+" UPSTREAM;", "only you know which memcached nginx must ask")
	}
	return replace(l.Memcached.Place, pass+" "+names[0]+";")
}

// hashLine chooses the server in another way.
func (k *checker) hashLine(l Lookup, line string) Fix {
	f := begin(l.Memcached.Place, line)
	if at := l.Memcached.MethodAt; !at.IsZero() {
		f = replace(at, line)
	}
	return f.as(line + "   # or --hash none")
}
