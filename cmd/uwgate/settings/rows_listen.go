package settings

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"uwgate/gateway/backend"
)

func listenRows() []row {
	return []row{
		{name: "listen", kind: many("address", func(s *Settings) *[]Address { return &s.Listen.Addresses }, parseListen),
			defaults: []string{"127.0.0.1:3030"}, example: "unix:/run/uwgate/uwgate.sock", restart: true,
			help: "listen on this `ADDRESS` for nginx's uwsgi_pass; suwsgi:host:port listens for `uwsgi_pass suwsgi://…`"},
		{name: "socket-mode", kind: one("octal file mode", func(s *Settings) *os.FileMode { return &s.Listen.SocketMode }, parseMode),
			defaults: []string{"0660"}, example: "0660", restart: true,
			help: "give the UNIX sockets of --listen, --subscribe and --hits-listen this file `MODE`"},
		{name: "allow-peer", kind: many("network", func(s *Settings) *[]netip.Prefix { return &s.Listen.Peers }, parseNetwork), example: "10.0.0.0/8", restart: true,
			help: "accept TCP connections, and datagrams of --hits-listen, from this `NETWORK` besides loopback, as in 10.0.0.0/8"},
		{name: "allow-user", kind: texts("user", func(s *Settings) *[]string { return &s.Listen.Users }, checkUser), example: "www-data", restart: true,
			help: "accept UNIX socket connections only from processes of this `USER`, a name or a number, as in www-data (Linux)"},
		{name: "half-close", kind: toggle(func(s *Settings) *bool { return &s.Listen.HalfClose }), defaults: []string{"false"}, example: "true", restart: true,
			help: "send responses to TCP clients that close their sending side after the request; nginx does that only when its client has left"},
		{name: "max-connections", kind: number(func(s *Settings) *int { return &s.Listen.MaxConnections }, 0, math.MaxInt32, ""), defaults: []string{"0"}, example: "4096", restart: true,
			help: "accept this `NUMBER` of client connections at once; others wait in the listen queue; 0 for a third of the files that the process may open (LimitNOFILE=), less 128"},
		{name: "replace", kind: toggle(func(s *Settings) *bool { return &s.Listen.Replace }), defaults: []string{"false"}, example: "true", restart: true,
			help: "take the place of the uwgate that listens there: no request fails, and it ends when its own are done (docs/restarts.md)"},
		{name: "tls-cert", kind: text("file", func(s *Settings) *string { return &s.Listen.Cert }, nil), example: "/etc/uwgate/cert.pem",
			help: "read the certificate for --listen suwsgi:… and its chain from this PEM `FILE`; HUP reads it again"},
		{name: "tls-key", kind: text("file", func(s *Settings) *string { return &s.Listen.CertKey }, nil), example: "/etc/uwgate/key.pem",
			help: "read the key of the certificate from this PEM `FILE`; HUP reads it again"},
		{name: "tls-client-ca", kind: text("file", func(s *Settings) *string { return &s.Listen.ClientCA }, nil), example: "/etc/uwgate/clients.pem",
			help: "require client certificates of an authority in this PEM `FILE`; HUP reads it again"},
	}
}

// parseListen reads an address of --listen.
func parseListen(text string) (Address, error) {
	rest, secure := strings.CutPrefix(text, "suwsgi:")
	a, err := parseAddress(rest)
	if err == nil && secure && a.Network != "tcp" {
		err = errors.New("TLS needs TCP: write suwsgi:host:port")
	}
	a.Text, a.Secure = text, secure
	return a, err
}

func parseAddress(text string) (Address, error) {
	if err := noScheme(text); err != nil {
		return Address{}, err
	}
	network, addr, err := backend.ParseAddr(text)
	if err != nil {
		return Address{}, err
	}
	return Address{Text: text, Network: network, Addr: addr}, nil
}

// optionalAddress is an address or nothing.
func optionalAddress(field func(*Settings) *Address) kind {
	k := one("address", field, func(text string) (Address, error) {
		if text == "" {
			return Address{}, nil
		}
		return parseAddress(text)
	})
	k.blank = true
	return k
}

// IsAbstract reports whether the address is that of a UNIX socket without a file, which
// no mode guards.
func (a Address) IsAbstract() bool { return a.Network == "unix" && strings.HasPrefix(a.Addr, "@") }

func parseMode(text string) (os.FileMode, error) {
	mode, err := strconv.ParseUint(text, 8, 9)
	if err != nil {
		return 0, errors.New("write an octal file mode from 0 to 0777")
	}
	return os.FileMode(mode), nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		err = errors.New("write a network, as in 10.0.0.0/8, or one address")
	}
	return p, err
}

func checkUser(text string) error {
	if text == "" || strings.ContainsAny(text, " \t:/") {
		return errors.New("write the name or the number of one user")
	}
	return nil
}

func controlRows() []row {
	return []row{
		{name: "admin", kind: optionalAddress(func(s *Settings) *Address { return &s.Control.Admin }), example: "unix:/run/uwgate/admin.sock", restart: true,
			help: "serve the status page (/), /-/healthy, /-/ready, /metrics, /debug/pprof/, and the API of explain, status and purge, at this `ADDRESS`; none without it (docs/status-page.md)"},
		{name: "admin-token", kind: text("text", func(s *Settings) *string { return &s.Control.Token }, checkToken), example: "LONG-RANDOM-TEXT", restart: true, secret: true,
			help: "require this `TOKEN` for the API, profiles and, as a password, the status page where --admin is a TCP address or an abstract socket such as @uwgate; an abstract socket must have one; a UNIX socket with a path needs none; it has at least 16 letters and digits"},
		secretFileRow("admin-token", true, func(s *Settings) *string { return &s.Control.TokenFile }),
		{name: "stats", kind: optionalAddress(func(s *Settings) *Address { return &s.Control.Stats }), example: "127.0.0.1:1717", restart: true,
			help: "write the statistics of FastRouter's stats server, in JSON, to each connection at this `ADDRESS`, for uwsgitop too; none without it"},
		{name: "hits-listen", kind: optionalAddress(func(s *Settings) *Address { return &s.Control.Hits }), example: "unix:/run/uwgate/hits.sock", restart: true,
			help: "count the hits: receive at this `ADDRESS` the datagrams that nginx sends with the configuration that `uwgate nginx` prints; host:port is for UDP (docs/hits.md)"},
		{name: "log", kind: many("sink", func(s *Settings) *[]Sink { return &s.Log.Sinks }, parseSink), defaults: []string{"stderr"}, example: "file:/var/log/uwgate.log json", restart: true,
			help: "write log lines to this `SINK`: stderr, stdout or file:/path, and after a space json (the default) or console; USR1 opens files again (docs/log.md)"},
		{name: "log-level", kind: levelKind(), defaults: []string{"info"}, example: "info", restart: true,
			help: "log lines of this `LEVEL` and above: debug, info, warn or error; the access log is info"},
		{name: "log-query", kind: onOff(func(s *Settings) *bool { return &s.Log.HideQuery }), defaults: []string{"on"}, example: "off", restart: true,
			help: "write query strings to the access log: `on or off`"},
		{name: "config", kind: text("file", func(s *Settings) *string { return &s.config }, nil), example: "/etc/uwgate/uwgate.yaml", restart: true,
			help: "read settings from this YAML `FILE`, one key each, lists for repeatable ones; rules (docs/rules.md) and pools (docs/pools.md) too"},
	}
}

// minToken keeps a token from being guessed.
const minToken = 16

func checkToken(text string) error {
	if len(text) < minToken || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("write at least %d letters and digits, as from `openssl rand -hex 16`", minToken)
	}
	return nil
}
