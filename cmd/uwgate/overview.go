package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/machine"
	"uwgate/cmd/uwgate/settings"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// An overview is what `uwgate check` alone finds on this machine. Its JSON form is read by
// scripts, and docs/check.md describes it: names stay.
type overview struct {
	Nginx      nginxFound       `json:"nginx"`
	Gateway    gatewayFound     `json:"gateway"`
	Sites      []string         `json:"sites"` // server_name of server blocks with lookups
	Lookups    int              `json:"lookups"`
	HandedOver int              `json:"handed_over"` // lookups whose key nginx hands over
	Misses     []string         `json:"misses"`      // where nginx sends them
	Memcached  []memcachedFound `json:"memcached"`
	Errors     int              `json:"errors"` // findings of `check --nginx`
	Warnings   int              `json:"warnings"`
	Notes      int              `json:"notes"`
	Command    string           `json:"command"` // that shows them
	Via        string           `json:"via"`     // flags with which it proves them through nginx
	Wrong      []wrong          `json:"wrong"`

	undefined map[string]bool // names of upstream blocks that nginx lacks
}

// A nginxFound is nginx on this machine.
type nginxFound struct {
	File  string `json:"file"`  // the main one; empty: not found
	Files int    `json:"files"` // that were read
	PID   int    `json:"pid"`   // of the master process; 0: none was found
	User  string `json:"user"`  // as whom its workers run
}

// A gatewayFound is the gateway on this machine.
type gatewayFound struct {
	PID    int        `json:"pid"` // 0: none runs
	Since  *time.Time `json:"since"`
	Listen []string   `json:"listen"`
	Config string     `json:"config"` // its file; empty: none
	Log    []string   `json:"log"`    // where its log lines go
	Others []int      `json:"others"` // process ids of other gateways
	Unread []string   `json:"unread"` // gateways whose settings cannot be read, and why

	elsewhere []string // the other gateways, and where each listens
}

// A memcachedFound is a memcached that nginx or the gateway uses.
type memcachedFound struct {
	Server  string `json:"server"`
	Version string `json:"version"` // empty: it does not respond
	Error   string `json:"error"`
}

// A wrong is one thing that is wrong, and what to do.
type wrong struct {
	Text string `json:"text"`
	ToDo string `json:"todo"`

	level level
}

// A level says how bad something is; the worst has the least.
type level int

const (
	fails     level = iota // visitors get errors
	disagrees              // a page may be wrong, or is never found
	uncached               // the workers make every page
)

// configFiles are where packages and people put the gateway's file.
var configFiles = []string{"/etc/uwgate/uwgate.yaml", "/etc/uwgate/uwgate.yaml"}

// lookAround makes the overview of a machine.
func lookAround(ctx context.Context, m machine.Machine) *overview {
	o := &overview{Sites: []string{}, Misses: []string{}, Memcached: []memcachedFound{}, Wrong: []wrong{}, undefined: map[string]bool{}}
	o.Gateway.Listen, o.Gateway.Log, o.Gateway.Others, o.Gateway.Unread = []string{}, []string{}, []int{}, []string{}
	n := runningNginx(m.Nginx(ctx))
	conf := o.readNginx(n)
	s, all := o.findGateway(m, conf)
	if file := nginxFileOf(s); conf == nil && file != "" {
		n.File = file
		conf = o.readNginx(n)
	}
	o.judgeNginx(n, conf)
	if conf != nil {
		o.findUndefined(ctx, conf)
		var planned *settings.Settings
		if o.Gateway.PID == 0 {
			planned = s
		}
		o.tryMisses(all, planned, conf)
	}
	o.tryBackends(s)
	o.compare(ctx, s, conf)
	o.tryMemcached(ctx, s, conf)
	return o
}

func nginxFileOf(s *settings.Settings) string {
	if s == nil {
		return ""
	}
	return s.Command.Nginx
}

// runningNginx returns the nginx to look at. If none runs with the file that it was built for,
// and that has no lookups, it is one that was started with another file, the first that has.
func runningNginx(n machine.Nginx) machine.Nginx {
	if n.PID != 0 || hasLookups(n.File) {
		return n
	}
	for _, other := range n.Others {
		if hasLookups(other.File) || n.File == "" {
			n.File, n.PID = other.File, other.PID
			break
		}
	}
	return n
}

func hasLookups(file string) bool {
	if file == "" {
		return false
	}
	conf, err := nginxconf.Read(file, "")
	return err == nil && len(conf.Lookups) > 0
}

// wrong notes what is wrong. It keeps the worst in front, and the order in which things were
// found.
func (o *overview) wrong(level level, todo, text string, args ...any) {
	o.Wrong = append(o.Wrong, wrong{fmt.Sprintf(text, args...), todo, level})
	slices.SortStableFunc(o.Wrong, func(a, b wrong) int { return int(a.level - b.level) })
}

// readNginx reads nginx's configuration. It returns nil if that cannot be read.
func (o *overview) readNginx(n machine.Nginx) *nginxconf.Config {
	o.Nginx.File, o.Nginx.PID = n.File, n.PID
	if n.File == "" {
		return nil
	}
	conf, err := nginxconf.Read(n.File, "")
	if err != nil {
		o.wrong(fails, "correct it, or run this as a user who may read it; `nginx -t` says more", "nginx's configuration cannot be read: %v", err)
		return nil
	}
	o.Nginx.Files, o.Nginx.User = len(conf.Files), parity.WorkerUser(conf)
	return conf
}

// judgeNginx says what is missing of nginx.
func (o *overview) judgeNginx(n machine.Nginx, conf *nginxconf.Config) {
	switch {
	case n.File == "" && n.Program == "":
		o.wrong(fails, "install it (apt install nginx), or name its main file: uwgate check --nginx FILE", "nginx was not found")
	case n.File == "":
		o.wrong(fails, "name it: uwgate check --nginx FILE", "nginx (%s) is installed, and its main file was not found", n.Program)
	case conf == nil:
	case len(conf.Lookups) == 0:
		o.wrong(uncached, "`uwgate nginx` prints what to include: uwgate nginx --server-name NAME … >/etc/nginx/conf.d/uwgate.conf", "nginx looks up no page")
	}
	if n.File != "" && n.PID == 0 {
		o.wrong(fails, "start it: systemctl start nginx"+otherMasters(n), "no nginx with %s runs on this machine", n.File)
	}
}

// otherMasters says which nginx runs instead.
func otherMasters(n machine.Nginx) (text string) {
	for _, other := range n.Others {
		if other.File != n.File {
			return fmt.Sprintf("; or look at the one that runs (process id %d): uwgate check --nginx %s", other.PID, other.File)
		}
	}
	return ""
}

// findGateway returns the settings of the gateway to which nginx sends misses, and all
// gateways that run. Without such a gateway the settings are those of one to be started; nil
// if there are none.
func (o *overview) findGateway(m machine.Machine, conf *nginxconf.Config) (*settings.Settings, []neighbour) {
	all := o.neighboursOf(m)
	var misses []string
	if conf != nil {
		misses = gatewaysOf(nil, conf)
	}
	s := o.choose(all, misses)
	for _, n := range all {
		if n.PID != o.Gateway.PID {
			o.Gateway.Others = append(o.Gateway.Others, n.PID)
			o.Gateway.elsewhere = append(o.Gateway.elsewhere, n.where())
		}
	}
	if s == nil && len(all) == 0 {
		s = o.findSettings(conf)
	}
	return s, all
}

func (o *overview) takeGateway(p machine.Process, s *settings.Settings) {
	o.Gateway = gatewayFound{PID: p.PID, Config: s.Config(), Listen: listenOf(s), Log: logsOf(s), Others: []int{}, Unread: o.Gateway.Unread}
	if !p.Since.IsZero() {
		o.Gateway.Since = &p.Since
	}
}

func listenOf(s *settings.Settings) []string {
	all := []string{}
	for _, a := range s.Listen.Addresses {
		all = append(all, a.Text)
	}
	return all
}

func logsOf(s *settings.Settings) []string {
	all := []string{}
	for _, sink := range s.Log.Sinks {
		all = append(all, sink.Text)
	}
	return all
}

// findSettings returns the settings of a gateway that is to be started.
func (o *overview) findSettings(conf *nginxconf.Config) *settings.Settings {
	for _, file := range configFiles {
		if _, err := os.Stat(file); err != nil {
			continue
		}
		s, err := settings.OfProcess([]string{"--config", file}, os.Environ(), "")
		if err != nil {
			o.wrong(uncached, "correct it", "%v", err)
			return nil
		}
		o.Gateway.Config, o.Gateway.Listen, o.Gateway.Log = file, listenOf(s), logsOf(s)
		o.wrong(uncached, "start it (systemctl start uwgate, or uwgate serve --config "+file+"); it will listen on "+strings.Join(o.Gateway.Listen, ", ")+" and log to "+strings.Join(o.Gateway.Log, ", "),
			"no gateway runs on this machine")
		return s
	}
	if conf == nil || len(gatewaysOf(nil, conf)) == 0 { // else tryMisses says it
		o.wrong(uncached, "start it: uwgate serve --listen unix:/run/uwgate/uwgate.sock --backend ADDRESS-OF-YOUR-WORKERS --memcached 127.0.0.1:11211", "no gateway runs on this machine")
	}
	return nil
}

// compare holds nginx against the gateway.
func (o *overview) compare(ctx context.Context, s *settings.Settings, conf *nginxconf.Config) {
	if conf == nil {
		return
	}
	var told parity.Gateway
	words := []string{"uwgate", "check", "--nginx", o.Nginx.File}
	if s != nil {
		var err error
		if told, err = s.Gateway(ctx); err != nil {
			o.wrong(disagrees, "correct the settings", "%v", err)
		}
		words = append(words, s.CommandLine()...)
		if o.Gateway.PID == 0 && o.Gateway.Config != "" && !slices.Contains(words, "--config") {
			words = append(words, "--config", o.Gateway.Config)
		}
	}
	o.Command = strings.Join(words, " ")
	o.takeLookups(conf)
	said := 0
	for _, f := range parity.Check(conf, told) {
		switch f.Level {
		case parity.Error:
			o.Errors++
		case parity.Warning:
			o.Warnings++
		default:
			o.Notes++
		}
		if f.Level == parity.Error && (f.Code == "socket-denied" || f.Code == "server-shadowed") {
			said++
			o.wrong(fails, f.Fix.Text, "%s: %s", f.Place, f.Text)
		}
	}
	if len(conf.Lookups) > 0 && o.Errors > said {
		o.wrong(disagrees, o.Command, "nginx and uwgate do not agree: %s", countOf(o.Errors-said, "error"))
	}
}

func (o *overview) takeLookups(conf *nginxconf.Config) {
	o.Lookups, o.Misses = len(conf.Lookups), append(o.Misses, gatewaysOf(nil, conf)...)
	for _, l := range conf.Lookups {
		if (parity.Lookup{Lookup: l}).HandsKeyOver() {
			o.HandedOver++
		}
		for _, name := range l.Names {
			if !slices.Contains(o.Sites, name) {
				o.Sites = append(o.Sites, name)
			}
		}
	}
	if len(conf.Lookups) > 0 {
		o.Via = viaOf(conf.Lookups[0])
	}
}

// viaOf returns flags of --via for the site of a lookup, on this machine.
func viaOf(l *nginxconf.Lookup) string {
	url, flags := "http://127.0.0.1", ""
	for _, listen := range l.Listens {
		if listen.Port == "" {
			continue
		}
		host := strings.TrimSuffix(listen.Address, ":"+listen.Port)
		if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		scheme, usual := "http", "80"
		if listen.TLS {
			scheme, usual, flags = "https", "443", " --insecure"
		}
		if url = scheme + "://" + host; listen.Port != usual {
			url += ":" + listen.Port
		}
		break
	}
	for _, name := range l.Names {
		if !strings.ContainsAny(name, "*~$_") && name != "" {
			flags += " -H 'Host: " + strings.TrimPrefix(name, ".") + "'"
			break
		}
	}
	return "--via " + url + "/" + flags
}

// tryMemcached asks each memcached that nginx or the gateway uses for its version.
func (o *overview) tryMemcached(ctx context.Context, s *settings.Settings, conf *nginxconf.Config) {
	var lines []string
	add := func(line string) {
		name, _, _ := strings.Cut(line, " ")
		if !o.undefined[name] && !slices.Contains(lines, name) {
			lines = append(lines, name)
		}
	}
	if conf != nil {
		for _, l := range conf.Lookups {
			for _, server := range l.Memcached.Servers {
				add(server.Text)
			}
		}
	}
	if s != nil {
		for _, server := range s.Store.Servers {
			add(server.Name)
		}
	}
	for _, name := range lines {
		m := memcachedFound{Server: name}
		version, err := versionOf(ctx, name)
		if err != nil {
			m.Error = err.Error()
			o.wrong(uncached, "start it (systemctl start memcached), or correct its address in nginx and in --memcached", "memcached does not respond at %s: %v", name, err)
		}
		m.Version = version
		o.Memcached = append(o.Memcached, m)
	}
}

// versionOf asks a memcached for its version.
func versionOf(ctx context.Context, name string) (string, error) {
	server, err := cachewriter.Server{Name: name}.Resolve(ctx, nil)
	if err != nil {
		return "", err
	}
	network, at := "tcp", server.Addrs[0]
	if path, isSocket := nginxconf.CutUnix(at); isSocket {
		network, at = "unix", path
	}
	nc, err := net.DialTimeout(network, at, memcachedTimeout)
	if err != nil {
		return "", reason(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(memcachedTimeout))
	if _, err := fmt.Fprint(nc, "version\r\n"); err != nil {
		return "", reason(err)
	}
	line, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		return "", reason(err)
	}
	version, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION ")
	if !ok {
		return "", fmt.Errorf("it says %q", clip(strings.TrimSpace(line), 40))
	}
	return version, nil
}
