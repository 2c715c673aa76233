package parity

import (
	"net/netip"
	"strings"

	"uwgate/nginxconf"
)

// A meeting is a host on an address of a server block.
type meeting struct {
	listen nginxconf.Endpoint
	host   string
}

// anyHost stands for hosts that no server block names.
const anyHost = "any-other-host.invalid"

// shadows checks that the server blocks with lookups get the requests for their names.
func (k *checker) shadows(ours *group) {
	waiting := map[nginxconf.Place]bool{}
	for _, l := range ours.lookups {
		waiting[l.Server.Place] = true
	}
	for _, s := range k.config.Servers() {
		if waiting[s.Place] {
			k.shadowed(s)
			delete(waiting, s.Place)
		}
	}
}

// shadowed checks one server block.
func (k *checker) shadowed(s *nginxconf.Server) {
	var lost []meeting
	kept := 0
	for _, m := range meetings(s) {
		if other := k.answers(m); other != nil && other != s {
			lost = append(lost, m)
		} else {
			kept++
		}
	}
	if len(lost) > 0 && !hasNames(s) {
		if kept == 0 {
			k.unnamed(s, lost[0])
		}
		return
	}
	for _, m := range lost {
		level, what := Warning, ""
		if kept == 0 {
			level, what = Error, ", and none comes here"
		}
		k.add(level, s.Place, serverShadowed, manual("remove the name there, or this server block; `nginx -t` warns of a conflicting server name", "only you know which of the two is meant"),
			"requests for %s at %s go to the server block of %s, which comes first%s", m.host, m.listen.Address, k.answers(m).Place, what)
	}
	if kept > 0 {
		k.narrowed(s)
	}
}

// unnamed reports a server block without a name of its own that is no default server.
func (k *checker) unnamed(s *nginxconf.Server, m meeting) {
	other := k.answers(m)
	how := "which comes first"
	for _, l := range other.Endpoints {
		if l.IsDefault {
			how = "which is the default_server"
		}
	}
	k.error(s.Place, serverShadowed, manual("server_name example.com;   # the names of the site; or remove the other server block", "only you know the names of the site"),
		"this server block has no server_name, and requests at %s go to that of %s, %s: this one gets none", m.listen.Address, other.Place, how)
}

// narrowed reports other server blocks that listen on one address where this one listens on
// all: nginx never compares the names of both.
func (k *checker) narrowed(s *nginxconf.Server) {
	for _, l := range s.Endpoints {
		if !l.Addr.IsUnspecified() {
			continue
		}
		for _, o := range k.narrow() {
			if o.server == s || o.Addr.Is4() != l.Addr.Is4() || o.Ports != l.Ports || listensOn(s, o.Endpoint) {
				continue
			}
			level := Warning
			if o.Addr.IsLoopback() {
				level = Note
			}
			k.add(level, s.Place, serverShadowed, end(s.Place, "listen "+o.Address+";").as("listen "+o.Address+";   # here, too"),
				"requests that come to %s go to the server block of %s whatever their host, since this one listens on %s alone", o.Address, o.server.Place, l.Address)
		}
	}
}

// A narrowListen is an address of a server block that is no wildcard.
type narrowListen struct {
	nginxconf.Endpoint
	server *nginxconf.Server
}

// narrow returns the addresses that are no wildcards, each with the first server block that
// listens there.
func (k *checker) narrow() []narrowListen {
	if k.narrows != nil {
		return k.narrows
	}
	type address struct {
		netip.Addr
		ports [2]uint16
	}
	known := map[address]bool{}
	k.narrows = []narrowListen{}
	for _, s := range k.config.Servers() {
		for _, e := range s.Endpoints {
			if at := (address{e.Addr, e.Ports}); !e.Addr.IsUnspecified() && !known[at] {
				known[at] = true
				k.narrows = append(k.narrows, narrowListen{e, s})
			}
		}
	}
	return k.narrows
}

func listensOn(s *nginxconf.Server, o nginxconf.Endpoint) bool {
	for _, l := range s.Endpoints {
		if l.Addr == o.Addr && l.Ports == o.Ports {
			return true
		}
	}
	return false
}

// answers returns the server block that responds.
func (k *checker) answers(m meeting) *nginxconf.Server {
	return k.config.ServerFor(netip.AddrPortFrom(m.listen.Addr, m.listen.Ports[0]), m.host)
}

// meetings returns the hosts of a server block on all its addresses.
func meetings(s *nginxconf.Server) (all []meeting) {
	hosts := []string{}
	for _, name := range s.Names {
		hosts = append(hosts, sampleHosts(name)...)
	}
	if !hasNames(s) {
		hosts = []string{anyHost}
	}
	for _, l := range s.Endpoints {
		for _, host := range hosts {
			all = append(all, meeting{l, host})
		}
	}
	return all
}

// hasNames reports whether a server block names a host that a visitor may ask for.
func hasNames(s *nginxconf.Server) bool {
	for _, name := range s.Names {
		if name != "" && name != "_" {
			return true
		}
	}
	return false
}

// sampleHosts returns hosts that a name fits; none are known for a regex.
func sampleHosts(name string) []string {
	switch {
	case name == "" || name == "_" || strings.HasPrefix(name, "~") || strings.Contains(name, "$"):
		return nil
	case strings.HasPrefix(name, "*."):
		return []string{"any" + name[1:]}
	case strings.HasPrefix(name, "."):
		return []string{name[1:], "any" + name}
	case strings.HasSuffix(name, ".*"):
		return []string{name[:len(name)-1] + "invalid"}
	}
	return []string{name}
}
