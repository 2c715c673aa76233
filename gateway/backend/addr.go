package backend

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// ParseAddr splits an address of the configuration into the network and the address
// that package net expects:
//
//	unix:/path  /path   a UNIX socket
//	@name               an abstract UNIX socket (Linux)
//	host:port  :port    TCP; an IPv6 address stands in brackets
//
// It looks up nothing and opens nothing. The error says how an address is written.
func ParseAddr(s string) (network, addr string, err error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		s = path
		if !filepath.IsAbs(s) && !strings.HasPrefix(s, "@") {
			return "", "", fmt.Errorf("backend: address %q: the path of a UNIX socket starts with a slash, as in unix:/run/app.sock", "unix:"+s)
		}
	}
	if filepath.IsAbs(s) || strings.HasPrefix(s, "@") {
		// sun_path holds 108 bytes, one of them the closing zero.
		if len(s) < 2 || len(s) > 107 {
			return "", "", fmt.Errorf("backend: address %q: the path of a UNIX socket has 1 to 106 characters after its first one", s)
		}
		return "unix", s, nil
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", "", fmt.Errorf("backend: address %q: write host:port, unix:/path or @name", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && port != "0" {
		return "", "", fmt.Errorf("backend: address %q: %q is not a port number", s, port)
	}
	return "tcp", s, nil
}
