package nginxconf

import (
	"slices"
	"strings"
)

// A Listen is an address on which a server block accepts requests. It is nginx's default if
// its Place is zero.
type Listen struct {
	Place
	Address string // as written
	Port    string // that $server_port is; "" for a unix socket
	TLS     bool   // $scheme is https
}

// listens returns those of the server block.
func (s *scope) listens() (all []Listen) {
	secure := s.find("ssl").text("off").Value == "on"
	for _, d := range s.own("listen") {
		l := Listen{Place: d.Place, Address: d.arg(0), Port: portOf(d.arg(0))}
		l.TLS = secure || slices.Contains(d.args, "ssl") || slices.Contains(d.args, "quic")
		all = append(all, l)
	}
	if all == nil {
		all = []Listen{{Address: "*:80", Port: "80", TLS: secure}}
	}
	return all
}

// portOf returns the port of a listen address. Without one it is 80 (ngx_parse_url).
func portOf(address string) string {
	if strings.HasPrefix(address, "unix:") {
		return ""
	}
	if strings.Trim(address, "0123456789") == "" {
		return address
	}
	_, port, found := strings.Cut(address[strings.LastIndexByte(address, ']')+1:], ":")
	if !found {
		return "80"
	}
	return port
}
