package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Server is one `server` line of nginx's upstream block.
type Server struct {
	// Name is the address as written in nginx.conf, letter for letter. Consistent
	// hashes this text, so a name and its address make different rings.
	Name string

	// Addrs are the addresses that Name stands for, in the resolver's order:
	// "ip:port", "[ip6]:port", "unix:/path" or "@abstract"; the default port is
	// 11211. Empty means Name itself, which is resolved at each dial.
	Addrs []string

	// Weight is the line's weight=. 0 means 1.
	Weight int

	// Down means that nginx does not ask the server. It keeps its place and its
	// weight in the tables.
	Down bool
}

// defaultPort is memcached's. In an upstream block nginx would take 80, which nobody
// means.
const defaultPort = "11211"

// ParseServer parses the arguments of nginx's `server` directive, such as
// "10.0.0.1:11211 weight=2 max_fails=0". It ignores parameters that do not change
// which server a key belongs to, and returns an error for those that do and for
// unknown ones. It does not resolve names (see Server.Resolve).
func ParseServer(s string) (Server, error) {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return Server{}, errors.New("cachewriter: server: no address given")
	}
	srv := Server{Name: fields[0]}
	if _, err := parseAddr(srv.Name); err != nil {
		return Server{}, fmt.Errorf("cachewriter: server %q: %w", s, err)
	}
	for _, p := range fields[1:] {
		if err := srv.parameter(p); err != nil {
			return Server{}, fmt.Errorf("cachewriter: server %q: %s: %w", s, p, err)
		}
	}
	return srv, nil
}

// parameter applies one parameter of ngx_http_upstream_server.
func (s *Server) parameter(p string) error {
	name, value, hasValue := strings.Cut(p, "=")
	if hasValue != takesValue(name) {
		return errors.New("unknown parameter")
	}
	switch name {
	case "weight":
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil || n == 0 {
			return errors.New("the weight is a whole number from 1 on")
		}
		s.Weight = int(n)
	case "down":
		s.Down = true
	case "max_fails", "max_conns":
		if _, err := strconv.ParseUint(value, 10, 31); err != nil {
			return errors.New("not a whole number")
		}
	case "fail_timeout", "slow_start", "route":
		if value == "" {
			return errors.New("value missing")
		}
	case "backup":
		return errors.New("nginx asks a backup server only while the others fail; leave the line out")
	case "resolve", "service":
		return errors.New("nginx changes such a server's addresses at run time; hand its choice over with uwsgi_param CACHE_SERVER $upstream_addr")
	case "drain":
		return errors.New("nginx asks a draining server only for bound sessions; mark it down or leave the line out")
	default:
		return errors.New("unknown parameter")
	}
	return nil
}

func takesValue(parameter string) bool {
	switch parameter {
	case "down", "backup", "resolve", "drain":
		return false
	}
	return true
}

// Resolve returns the server with Addrs set, in the resolver's order, as nginx
// resolves names when it starts. A server that has Addrs is returned as it is;
// sockets and IP addresses need no lookup. A nil resolver means net.DefaultResolver.
func (s Server) Resolve(ctx context.Context, r *net.Resolver) (Server, error) {
	if len(s.Addrs) > 0 {
		return s, nil
	}
	addr, err := parseAddr(s.Name)
	if err != nil {
		return s, fmt.Errorf("cachewriter: server %q: %w", s.Name, err)
	}
	host, port, literal := lookupParts(addr)
	if literal {
		s.Addrs = []string{addr}
		return s, nil
	}
	if r == nil {
		r = net.DefaultResolver
	}
	ips, err := r.LookupIPAddr(ctx, host)
	if err != nil {
		return s, fmt.Errorf("cachewriter: server %q: %w", s.Name, err)
	}
	for _, ip := range ips {
		s.Addrs = append(s.Addrs, net.JoinHostPort(ip.String(), port))
	}
	return s, nil
}

// lookupParts splits a canonical address. literal means that it needs no lookup.
func lookupParts(addr string) (host, port string, literal bool) {
	if network, _ := dialArgs(addr); network == "unix" {
		return "", "", true
	}
	if _, err := netip.ParseAddrPort(addr); err == nil {
		return "", "", true
	}
	host, port, _ = strings.Cut(addr, ":")
	return host, port, false
}

const unixPrefix = "unix:"

// parseAddr returns the canonical form of an address, in which nginx's $upstream_addr
// prints it: "10.0.0.1:11211", "[::1]:11211", "unix:/path". In addition it accepts
// "name:port", which it turns into lower case, and "@abstract".
func parseAddr(s string) (string, error) {
	if len(s) >= len(unixPrefix) && strings.EqualFold(s[:len(unixPrefix)], unixPrefix) {
		return parseSocket(s[len(unixPrefix):])
	}
	if strings.HasPrefix(s, "@") {
		return parseSocket(s)
	}
	host, port, err := splitHostPort(s)
	if err != nil {
		return "", err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
	} else {
		port = strconv.FormatUint(n, 10)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(ip.String(), port), nil
	}
	if host == "" {
		return "", errors.New("host missing")
	}
	if i := strings.IndexFunc(host, notInName); i >= 0 {
		return "", fmt.Errorf("host has a %q; a socket is written unix:/path", host[i])
	}
	return strings.ToLower(host) + ":" + port, nil
}

// parseSocket parses the path of a UNIX socket, or "@name" for an abstract one.
func parseSocket(path string) (string, error) {
	switch {
	case path == "" || path == "@":
		return "", errors.New("socket path missing")
	case path[0] == '@':
		return path, nil
	}
	return unixPrefix + path, nil
}

func splitHostPort(s string) (host, port string, err error) {
	if strings.HasPrefix(s, "[") {
		return splitBracketed(s)
	}
	host, port, found := strings.Cut(s, ":")
	if !found {
		return host, defaultPort, nil
	}
	if strings.Contains(port, ":") {
		return "", "", errors.New("an IPv6 address is written in brackets, [::1]:11211")
	}
	return host, port, nil
}

func splitBracketed(s string) (host, port string, err error) {
	host, rest, found := strings.Cut(s[1:], "]")
	if ip, err := netip.ParseAddr(host); !found || err != nil || !ip.Is6() {
		return "", "", errors.New("not an IPv6 address in brackets")
	}
	if rest == "" {
		return host, defaultPort, nil
	}
	port, found = strings.CutPrefix(rest, ":")
	if !found {
		return "", "", fmt.Errorf("%q after the brackets is not a port", rest)
	}
	return host, port, nil
}

// notInName reports whether a character cannot be in a host name. The resolver
// decides about underscores and bytes beyond ASCII.
func notInName(r rune) bool {
	return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\@[]%,;"'=`, r)
}

// dialArgs returns the arguments of net.Dial for a canonical address.
func dialArgs(addr string) (network, address string) {
	if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
		return "unix", path
	}
	if strings.HasPrefix(addr, "@") {
		return "unix", addr
	}
	return "tcp", addr
}
