package parity

import (
	"fmt"
	"slices"
	"strings"

	"uwgate/nginxconf"
)

// A Denial says why nginx cannot connect to a UNIX socket.
type Denial struct {
	Path     string // the socket, or a folder on the way to it
	Mode     string // as ls prints it
	Owner    string // user and group
	IsFolder bool   // Path is a folder, which nginx may not enter
}

// defaultUser is whom nginx's workers run as, unless the configuration or the build says
// otherwise.
const defaultUser = "nobody"

// WorkerUser returns the user as whom nginx's workers run.
func WorkerUser(c *nginxconf.Config) string {
	user, _ := workers(c)
	return user
}

// workers returns user and group of nginx's workers. Without a group it is the one that has
// the user's name.
func workers(c *nginxconf.Config) (user, group string) {
	fields := strings.Fields(c.User().Value)
	switch len(fields) {
	case 0:
		return defaultUser, ""
	case 1:
		return fields[0], ""
	}
	return fields[0], fields[1]
}

// sockets checks that nginx may connect to the UNIX sockets of memcached and of the gateway.
func (k *checker) sockets(ours *group) {
	for _, l := range ours.lookups {
		for _, s := range l.Memcached.Servers {
			k.memcachedSocket(l, s)
		}
	}
	for _, p := range ours.passes {
		for _, s := range p.Upstream.Servers {
			k.passSocket(p.Upstream, s)
			k.refused(p.Upstream, s)
		}
	}
}

// sureOfUser is the level of a denial. Without a user directive the command line of nginx, or
// its build, may name another user than the default.
func (k *checker) sureOfUser() Level {
	if k.config.User().IsZero() {
		return Warning
	}
	return Error
}

// denied returns why nginx cannot connect to the socket of a server line; nil: there is no
// such reason.
func (k *checker) denied(s nginxconf.UpstreamServer) *Denial {
	fields := strings.Fields(s.Text)
	if len(fields) == 0 || k.g.MayOpen == nil {
		return nil
	}
	path, isSocket := nginxconf.CutUnix(fields[0])
	if !isSocket {
		return nil
	}
	user, group := workers(k.config)
	return k.g.MayOpen(user, group, path)
}

func (k *checker) memcachedSocket(l Lookup, s nginxconf.UpstreamServer) {
	d := k.denied(s)
	if d == nil {
		return
	}
	path, _ := nginxconf.CutUnix(strings.Fields(s.Text)[0])
	k.add(k.sureOfUser(), s.Place, socketDenied, d.fix("memcached -s "+path+" -a 0666   # in memcached.conf", "the group of memcached's socket"),
		"%s: nginx looks every page up in vain", k.why(path, d))
}

func (k *checker) passSocket(u nginxconf.Upstream, s nginxconf.UpstreamServer) {
	d := k.denied(s)
	if d == nil {
		return
	}
	path, _ := nginxconf.CutUnix(strings.Fields(s.Text)[0])
	user, _ := workers(k.config)
	if isBackup(s) {
		k.warning(s.Place, socketDenied, d.fix("chmod-socket = 666   # in uWSGI's configuration", "the group of the socket"),
			"%s: visitors get status 502 while uwgate is down", k.why(path, d))
		return
	}
	k.add(k.sureOfUser(), s.Place, socketDenied, d.fix("--socket-mode 0666 --allow-user "+user+"   # for uwgate serve", "the group that uwgate runs as (Group= in its unit)"),
		"%s: %s", k.why(path, d), withoutGateway(u))
}

// withoutGateway says what visitors notice while nginx cannot talk to the gateway.
func withoutGateway(u nginxconf.Upstream) string {
	if slices.ContainsFunc(u.Servers, isBackup) {
		return "nginx asks the backup servers, and nothing is stored"
	}
	return "visitors get status 502"
}

// refused checks that the gateway accepts the connections of nginx's user to a UNIX socket.
func (k *checker) refused(u nginxconf.Upstream, s nginxconf.UpstreamServer) {
	user, _ := workers(k.config)
	address, _, _ := strings.Cut(s.Text, " ")
	_, isSocket := nginxconf.CutUnix(address)
	if k.g.Refuses == nil || !isSocket || isBackup(s) || !k.g.Refuses(user) || !slices.ContainsFunc(k.g.Listen, func(listen string) bool { return k.isListener(listen, address) }) {
		return
	}
	k.add(k.sureOfUser(), s.Place, socketDenied, manual("--allow-user "+user+"   # for uwgate serve", "only you know who may connect to the gateway"),
		"nginx's workers run as %s, and uwgate refuses the connections of that user to %s (--allow-user): %s", user, address, withoutGateway(u))
}

func isBackup(s nginxconf.UpstreamServer) bool {
	return slices.Contains(strings.Fields(s.Text), "backup")
}

// why says what is denied.
func (k *checker) why(path string, d *Denial) string {
	user, _ := workers(k.config)
	if k.config.User().IsZero() {
		user += " (the default, since there is no `user` line)"
	}
	need := fmt.Sprintf("it has the mode %s and belongs to %s", d.Mode, d.Owner)
	if d.IsFolder {
		need = fmt.Sprintf("it may not enter the folder %s, which has the mode %s and belongs to %s", d.Path, d.Mode, d.Owner)
	}
	return fmt.Sprintf("nginx runs as %s, and may not connect to unix:%s: %s", user, path, need)
}

// fix returns how to let nginx in.
func (d *Denial) fix(wider, group string) Fix {
	if d.IsFolder {
		return manual("chmod o+x "+d.Path, "it is about files, and not about nginx")
	}
	return manual(wider+"; or let nginx's user be in "+group+", and start nginx again", "only you know who may open the socket")
}
