package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"uwgate/cmd/uwgate/machine"
	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/backend"
	"uwgate/nginxconf"
)

// The ways from nginx to the gateways of this machine, and from the gateway to its workers.

// A neighbour is a gateway of this machine.
type neighbour struct {
	machine.Process
	*settings.Settings       // nil: they cannot be read
	err                error // why
}

// listensAt reports whether the gateway listens on an address of nginx's.
func (n neighbour) listensAt(address string) bool {
	return n.Settings != nil && slices.ContainsFunc(listenOf(n.Settings), func(own string) bool { return sameAddress(address, own) })
}

// isVague reports whether the gateway may listen where its settings do not say.
func (n neighbour) isVague() bool {
	return n.Settings == nil || slices.ContainsFunc(n.Env, func(line string) bool { return strings.HasPrefix(line, "LISTEN_FDS=") })
}

// neighboursOf reads the settings of the gateways of a machine. It notes what cannot be read.
func (o *overview) neighboursOf(m machine.Machine) (all []neighbour) {
	for _, p := range m.Gateways() {
		s, err := settings.OfProcess(p.Args, p.Env, p.Dir)
		if err != nil {
			s = nil
			o.Gateway.Unread = append(o.Gateway.Unread, neighbour{p, s, err}.unread())
		}
		all = append(all, neighbour{p, s, err})
	}
	return all
}

// where says which gateway it is, and where it listens.
func (n neighbour) where() string {
	if n.Settings == nil {
		return fmt.Sprint(n.PID)
	}
	return fmt.Sprintf("%d on %s", n.PID, strings.Join(listenOf(n.Settings), ", "))
}

// unread says which gateway cannot be read, and why.
func (n neighbour) unread() string {
	line := strings.Join(append([]string{"uwgate serve"}, n.Args...), " ")
	return fmt.Sprintf("the settings of the gateway with process id %d (%s) cannot be read: %s", n.PID, clip(printable(line), 200), firstLine([]byte(n.err.Error())))
}

// judgeUnread says what to do about gateways that cannot be read, one of which may be that
// of nginx.
func (o *overview) judgeUnread(all []neighbour) {
	for _, n := range all {
		switch {
		case n.err == nil:
		case n.Env == nil:
			o.wrong(disagrees, "run this as root, or as the user that runs it", "%s", n.unread())
		default:
			o.wrong(disagrees, "correct them: it runs with those that it read at its start, and cannot start with these", "%s", n.unread())
		}
	}
}

// choose takes the gateway that nginx sends misses to. If nginx sends none anywhere, or it
// is not known where a gateway listens, it takes the oldest.
func (o *overview) choose(all []neighbour, misses []string) *settings.Settings {
	best := -1
	for i, n := range all {
		reached := slices.ContainsFunc(misses, n.listensAt)
		switch {
		case n.Settings == nil:
		case reached:
			o.takeGateway(n.Process, n.Settings)
			return n.Settings
		case best < 0 && (len(misses) == 0 || n.isVague()):
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	o.takeGateway(all[best].Process, all[best].Settings)
	return all[best].Settings
}

// tryMisses looks whether a gateway listens wherever nginx sends misses. planned is the
// gateway that is to be started, and of which that is said already; nil: none.
func (o *overview) tryMisses(all []neighbour, planned *settings.Settings, conf *nginxconf.Config) {
	plan := neighbour{Settings: planned}
	missing := 0
	for _, address := range gatewaysOf(nil, conf) {
		if o.undefined[address] {
			continue
		}
		if plan.listensAt(address) || slices.ContainsFunc(all, func(n neighbour) bool { return n.listensAt(address) }) {
			continue
		}
		missing++
		err := tryDial(address)
		switch {
		case err != nil:
			o.wrong(fails, "start one: "+o.startLine(conf, address), "nginx sends misses to %s, and no gateway listens there: %v", address, err)
		case o.Gateway.PID == 0 && planned == nil && !slices.ContainsFunc(all, neighbour.isVague):
			o.wrong(disagrees, "start one there: "+o.startLine(conf, address)+"; if that is a gateway of another machine or container, run check there",
				"nginx sends misses to %s, and what listens there is no gateway of this machine", address)
		}
	}
	if missing > 0 {
		o.judgeUnread(all)
	}
}

// startLine returns the command that starts the gateway for an address of nginx's.
func (o *overview) startLine(conf *nginxconf.Config, address string) string {
	line := "uwgate serve --nginx " + o.Nginx.File + " --listen " + address
	workers := workersOf(conf, address)
	if len(workers) == 0 {
		workers = []string{"ADDRESS-OF-YOUR-WORKERS"}
	}
	for _, worker := range workers {
		line += " --backend " + worker
	}
	return line
}

// workersOf returns the backup servers of the upstream that has the address: those that
// nginx asks while the gateway is down.
func workersOf(conf *nginxconf.Config, address string) (all []string) {
	for _, l := range conf.Lookups {
		if l.Misses == nil || !slices.ContainsFunc(l.Misses.Upstream.Servers, func(s nginxconf.UpstreamServer) bool {
			return strings.Fields(s.Text)[0] == address
		}) {
			continue
		}
		for _, s := range l.Misses.Upstream.Servers {
			words := strings.Fields(s.Text)
			if slices.Contains(words, "backup") && !slices.Contains(all, words[0]) {
				all = append(all, words[0])
			}
		}
	}
	return all
}

// tryBackends connects to each backend of the running gateway, once.
func (o *overview) tryBackends(s *settings.Settings) {
	if s == nil || o.Gateway.PID == 0 {
		return
	}
	var failed []string
	servers := s.BackendAddresses()
	for _, address := range servers {
		if err := tryDial(address); err != nil {
			failed = append(failed, fmt.Sprintf("%s: %v", address, err))
		}
	}
	if len(failed) > 0 && len(failed) == len(servers) {
		o.wrong(fails, "start the workers, or correct --backend", "no backend of the gateway accepts connections: %s", strings.Join(failed, "; "))
	}
}

// sameAddress reports whether nginx's address a is that of a listener b; a listener on all
// addresses of the machine has any of them.
func sameAddress(a, b string) bool {
	network, at, err := backend.ParseAddr(a)
	otherNetwork, other, otherErr := backend.ParseAddr(strings.TrimPrefix(b, "suwsgi:"))
	if err != nil || otherErr != nil || network != otherNetwork {
		return false
	}
	if network == "unix" {
		return filepath.Clean(at) == filepath.Clean(other)
	}
	host, port, _ := net.SplitHostPort(at)
	otherHost, otherPort, _ := net.SplitHostPort(other)
	if port != otherPort {
		return false
	}
	return hostOf(host) == hostOf(otherHost) || otherHost == "" || net.ParseIP(otherHost).IsUnspecified()
}

// hostOf returns a host; a listener on localhost is one on 127.0.0.1.
func hostOf(name string) string {
	if strings.EqualFold(name, "localhost") {
		return "127.0.0.1"
	}
	return name
}

// findUndefined says which upstream blocks nginx's configuration names and lacks.
func (o *overview) findUndefined(ctx context.Context, conf *nginxconf.Config) {
	said := map[string]bool{}
	for _, l := range conf.Lookups {
		ups := []nginxconf.Upstream{l.Memcached}
		if l.Misses != nil {
			ups = append(ups, l.Misses.Upstream)
		}
		for _, up := range ups {
			if up.Implicit && len(up.Servers) == 1 && isUnresolved(ctx, up.Name) && !said[up.Name] {
				said[up.Name] = true
				o.undefined[up.Servers[0].Text] = true
				o.wrong(fails, defineUpstream(up.Name), "%s: there is no upstream block %s", up.Place, up.Name)
			}
		}
	}
}

// defineUpstream says how to define an upstream block of the printed configuration.
func defineUpstream(name string) string {
	for _, printed := range []string{"memcached_", "uwgate_"} {
		if site, ok := strings.CutPrefix(name, printed); ok {
			return "print the http part with the same name as the site's: uwgate nginx --part http --name " + site + " …"
		}
	}
	return "define it, or correct the name"
}

// isUnresolved reports whether a name is that of an upstream block: it has no port and is
// the name of no host.
func isUnresolved(ctx context.Context, name string) bool {
	if !isNoAddress(name) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, memcachedTimeout)
	defer cancel()
	_, err := net.DefaultResolver.LookupHost(ctx, name)
	return err != nil
}

// isNoAddress reports whether an address is a mere name.
func isNoAddress(address string) bool {
	return !strings.ContainsAny(address, ":/@") && net.ParseIP(address) == nil
}
