package nginxconf

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Server is a server block, and how requests come to it.
type Server struct {
	Block
	Names     []string // of server_name, as written; empty: none
	Endpoints []Endpoint

	scope *scope
}

// An Endpoint is a Listen with what chooses the server of a connection.
type Endpoint struct {
	Listen
	Addr      netip.Addr
	Ports     [2]uint16 // the first and the last
	IsDefault bool      // default_server
	V4Too     bool      // ipv6only=off: the IPv6 wildcard takes IPv4, too
}

// Servers returns all server blocks, in their order.
func (c *Config) Servers() []*Server { return c.servers }

// User returns the arguments of the user directive: as whom nginx's workers run. Zero: there
// is none, and they run as the user that nginx was built for.
func (c *Config) User() Text { return c.user }

func newServer(s *scope) *Server {
	server := &Server{Block: Block{Place: s.Place}, scope: s}
	for _, d := range s.own("server_name") {
		server.Names = append(server.Names, d.args...)
	}
	for _, l := range s.listens() {
		if e, ok := newEndpoint(l); ok {
			server.Endpoints = append(server.Endpoints, e)
		}
	}
	for _, d := range s.own("listen") {
		for i := range server.Endpoints {
			if e := &server.Endpoints[i]; e.Place == d.Place {
				e.IsDefault = slices.Contains(d.args[1:], "default_server") || slices.Contains(d.args[1:], "default")
				e.V4Too = slices.Contains(d.args[1:], "ipv6only=off")
			}
		}
	}
	return server
}

// newEndpoint reads the address of a listen line. It returns false for UNIX sockets, and for
// host names, whose addresses only nginx knows.
func newEndpoint(l Listen) (Endpoint, bool) {
	e := Endpoint{Listen: l}
	host, ports, err := net.SplitHostPort(l.Address)
	switch {
	case err == nil:
	case strings.Trim(l.Address, "0123456789-") == "":
		host, ports = "*", l.Address
	default:
		host, ports = strings.Trim(l.Address, "[]"), "80"
	}
	if host == "*" || host == "" {
		host = "0.0.0.0"
	}
	e.Addr, err = netip.ParseAddr(host)
	if err != nil {
		return e, false
	}
	first, last, isRange := strings.Cut(ports, "-")
	if !isRange {
		last = first
	}
	for i, text := range []string{first, last} {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return e, false
		}
		e.Ports[i] = uint16(n)
	}
	return e, true
}

// has reports whether the line takes connections to that port.
func (e *Endpoint) has(port uint16) bool { return e.Ports[0] <= port && port <= e.Ports[1] }

// isFor reports whether the line is for the address, as a wildcard or not.
func (e *Endpoint) isFor(addr netip.Addr, wildcard bool) bool {
	switch {
	case !wildcard:
		return e.Addr == addr
	case !e.Addr.IsUnspecified():
		return false
	}
	return e.Addr.Is4() == addr.Is4() || e.Addr.Is6() && e.V4Too
}

// ServerFor returns the server block that responds to requests for a host on connections to
// that address (ngx_http_find_virtual_server), or nil if no line listens there. A line for
// the address itself comes before a wildcard; the wildcard itself stands for all addresses
// without a line of their own.
func (c *Config) ServerFor(at netip.AddrPort, host string) *Server {
	for _, wildcard := range []bool{false, true} {
		l := c.listening.of(c.servers, listenerKey{at, wildcard})
		if l.otherwise == nil {
			continue
		}
		if named := l.names.find(normalHost(host)); named != nil {
			return named
		}
		return l.otherwise
	}
	return nil
}

// LookupFor returns the lookup of the server block and the location that nginx chooses for a
// path, or nil. Rewrites are not followed.
func (c *Config) LookupFor(at netip.AddrPort, host, path string) *Lookup {
	s := c.ServerFor(at, host)
	if s == nil {
		return nil
	}
	location := s.scope.locate(path)
	for _, l := range c.Lookups {
		if location != nil && l.Location.Place == location.Place {
			return l
		}
	}
	return nil
}
