package parity

import (
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"uwgate/gateway/backend"
	"uwgate/nginxconf"
)

// isListener reports whether nginx, when it connects to address, may reach a gateway that
// listens on listen.
func (k *checker) isListener(listen, address string) bool {
	network, at, err := backend.ParseAddr(strings.TrimPrefix(listen, "suwsgi:"))
	if err != nil {
		return false
	}
	if path, isSocket := nginxconf.CutUnix(address); isSocket || network == "unix" {
		return isSocket && network == "unix" && filepath.Clean(path) == filepath.Clean(at)
	}
	host, port := splitAddress(address, "80")
	ownHost, ownPort, err := net.SplitHostPort(at)
	if err != nil || port != ownPort {
		return false
	}
	if ip, err := netip.ParseAddr(ownHost); ownHost == "" || err == nil && ip.IsUnspecified() {
		return true
	}
	theirs, err := k.resolve(host)
	own, ownErr := k.resolve(ownHost)
	if err != nil || ownErr != nil {
		return true // where nginx runs, it may
	}
	return slices.ContainsFunc(theirs, func(ip string) bool { return slices.Contains(own, ip) })
}

// splitAddress splits an address that is no UNIX socket.
func splitAddress(address, defaultPort string) (host, port string) {
	if host, port, err := net.SplitHostPort(address); err == nil {
		return host, port
	}
	return strings.Trim(address, "[]"), defaultPort
}

var errNoResolver = errors.New("names are not looked up")

// A resolution is the result of resolving a name.
type resolution struct {
	ips []string
	err error
}

// resolve returns the addresses of a host. The host may be an address itself.
func (k *checker) resolve(host string) ([]string, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []string{ip.String()}, nil
	}
	r, known := k.resolved[host]
	if !known {
		r.err = errNoResolver
		if k.g.Resolve != nil {
			r.ips, r.err = k.g.Resolve(host)
		}
		k.resolved[host] = r
	}
	return r.ips, r.err
}

// addressesOf returns the addresses of a server, as host:port or as a UNIX socket.
func (k *checker) addressesOf(name, defaultPort string) ([]string, error) {
	if path, isSocket := nginxconf.CutUnix(name); isSocket {
		return []string{"unix:" + path}, nil
	}
	host, port := splitAddress(name, defaultPort)
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		port = strconv.FormatUint(n, 10)
	}
	ips, err := k.resolve(host)
	var all []string
	for _, ip := range ips {
		all = append(all, net.JoinHostPort(ip, port))
	}
	return all, err
}
