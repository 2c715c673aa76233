package integration

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"

	"uwgate/demo/nginx"
	"uwgate/demo/stack"
)

// A lab is shared by the trials: a directory, two uWSGI servers that no trial may harm,
// and one nginx with a port for each trial.
type lab struct {
	dir   string
	a, b  *node
	nginx *stack.Process

	programs map[string]string // paths, by name
}

// startLab starts a lab, with nginx in front of all trials.
func startLab(t *testing.T, trials []*trial) *lab {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwgate-faults-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l := &lab{dir: dir, programs: make(map[string]string)}
	for _, name := range []string{"nginx", "uwsgi"} {
		if l.programs[name], err = stack.LookPath(name); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range trials {
		f.lab, f.addr = l, l.port(t)
		f.world = &world{&stack.Stack{Dir: dir, Nginx: &stack.Process{Addr: l.port(t)}}, t}
	}
	l.a, l.b = l.node(t, "a", "--processes", "4"), l.node(t, "b", "--processes", "4")
	l.nginx = l.newNginx(t, trials)
	all := []*stack.Process{l.a.Process, l.b.Process, l.nginx}
	t.Cleanup(func() { kill(all) })
	for _, p := range all {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// kill kills programs at the same time. How they end is not tested.
func kill(all []*stack.Process) {
	var dying sync.WaitGroup
	for _, p := range all {
		dying.Go(func() { p.Kill() })
	}
	dying.Wait()
}

func (l *lab) newNginx(t *testing.T, trials []*trial) *stack.Process {
	t.Helper()
	type server struct{ Listen, Front string }
	var servers []server
	for _, f := range trials {
		servers = append(servers, server{f.Nginx.Addr, f.addr})
	}
	var conf bytes.Buffer
	tmpl, err := template.ParseFiles(filepath.Join("testdata", "faults", "nginx.conf"))
	if err == nil {
		err = tmpl.Execute(&conf, servers)
	}
	err = errors.Join(err,
		os.WriteFile(l.path("nginx.conf"), conf.Bytes(), 0o644),
		os.Mkdir(l.path("tmp"), 0o755),
		os.CopyFS(l.dir, nginx.Includes))
	if err != nil {
		t.Fatal(err)
	}
	command := []string{l.programs["nginx"], "-p", l.dir, "-c", l.path("nginx.conf"), "-e", l.path("error.log")}
	if os.Geteuid() == 0 {
		command = append(command, "-g", "user root;")
	}
	return l.process("nginx", servers[0].Listen, command...)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// port is an address on loopback where nobody listens.
func (l *lab) port(t *testing.T) string {
	t.Helper()
	ports, err := stack.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

func (l *lab) process(name, addr string, command ...string) *stack.Process {
	return &stack.Process{
		Name: name, Addr: addr, LogFile: l.path(name + ".log"),
		Command: command, Dir: l.dir, Ready: stack.Connects,
	}
}

// A node is a uWSGI server with the application of testdata/faults.
type node struct {
	*stack.Process
	unix, tcp string // it listens on both
}

// node returns a node that is not started. Names are unique in a lab.
func (l *lab) node(t *testing.T, name string, args ...string) *node {
	t.Helper()
	app, err := filepath.Abs(filepath.Join("testdata", "faults"))
	if err != nil {
		t.Fatal(err)
	}
	n := &node{unix: l.path(name + ".sock"), tcp: l.port(t)}
	n.Process = l.process(name, "unix:"+n.unix, append([]string{
		l.programs["uwsgi"], "--plugins", "python3,ping",
		"--socket", n.unix, "--socket", n.tcp,
		"--chdir", app, "--module", "app", "--need-app", "--master", "--die-on-term", "--no-orphans",
	}, args...)...)
	n.Ready = stack.Pongs
	n.Env = append(stack.SystemEnv(), "NODE="+name, "PYTHONDONTWRITEBYTECODE=1")
	return n
}

// A trial runs a fault with one front, uwgate or FastRouter, behind nginx.
type trial struct {
	*lab
	*world
	name    string // that of its files
	gateway bool   // uwgate, not FastRouter
	addr    string // where nginx finds the front
	host    string // of the requests; "": nginx's address
	front   *stack.Process
	started []*stack.Process // the front and the trial's own nodes
}

// A setup is the configuration of a front.
type setup struct {
	nodes    []string // addresses
	params   string   // of each node, to uwgate
	backup   string   // the address that is for when they are gone; "": none
	announce string   // where nodes announce themselves; "": nowhere
	stalls   bool     // a node does not go on, and uwgate gives it up after stall
	uwgate   []string // further flags
	router   []string // further options
}

// stall is the front's timeout in seconds for a node that does not respond. Where all
// nodes respond, uwgate gets a longer one, because the machine may be busy.
const stall = "2"

// socket is the second address of the front.
func (f *trial) socket() string { return f.path(f.name + ".front") }

// serve starts the front.
func (f *trial) serve(s setup) {
	f.t.Helper()
	if f.gateway {
		f.front = f.uwgate(s)
	} else {
		f.front = f.router(s)
	}
	f.launch(f.front)
}

// launch starts a program and kills it when the trial ends.
func (f *trial) launch(p *stack.Process) {
	f.t.Helper()
	if f.started == nil {
		f.t.Cleanup(f.end)
	}
	f.started = append(f.started, p)
	f.must(p.Start(f.t.Context()))
}

func (f *trial) end() {
	kill(f.started)
	if f.gateway && f.front != nil && f.t.Failed() {
		f.t.Errorf("uwgate's log:\n%s", f.front.Log())
	}
}

func (f *trial) uwgate(s setup) *stack.Process {
	f.Admin, f.AccessLog = f.port(f.t), f.path(f.name+".access")
	wait := patience.String()
	if s.stalls {
		wait = stall + "s"
	}
	command := []string{
		// The order matters: Start waits for f.addr.
		binary, "serve", "--listen", "unix:" + f.socket(), "--listen", f.addr, "--admin", f.Admin,
		"--memcached", f.port(f.t), "--first-byte-timeout", wait,
		"--log", "stderr console", "--log", "file:" + f.AccessLog + " json",
	}
	for _, n := range s.nodes {
		command = append(command, "--backend", strings.TrimSpace(n+" "+s.params))
	}
	if s.backup != "" {
		command = append(command, "--backend", s.backup+" backup")
	}
	if s.announce != "" {
		command = append(command, "--subscribe", s.announce)
	}
	p := f.process(f.name, f.addr, append(command, s.uwgate...)...)
	p.Env = stack.UwgateEnv()
	return p
}

func (f *trial) router(s setup) *stack.Process {
	command := []string{
		f.programs["uwsgi"], "--plugins", "corerouter,fastrouter", "--master", "--die-on-term", "--no-orphans",
		"--fastrouter", f.addr, "--fastrouter", f.socket(), "--fastrouter-timeout", stall,
	}
	for _, n := range s.nodes {
		address, _, _ := strings.Cut(n, " ") // it knows no weights of static nodes
		command = append(command, "--fastrouter-to", address)
	}
	if s.backup != "" {
		command = append(command, "--fastrouter-fallback", s.backup)
	}
	if s.announce != "" {
		command = append(command, "--fastrouter-subscription-server", s.announce)
	}
	return f.process(f.name, f.addr, append(command, s.router...)...)
}

// own starts a node of the trial, which may harm it.
func (f *trial) own(name string, args ...string) *node {
	f.t.Helper()
	n := f.node(f.t, f.name+name, args...)
	f.launch(n.Process)
	return n
}

// hung starts a node that accepts connections and does not respond.
func (f *trial) hung() *node {
	f.t.Helper()
	n := f.own("hung")
	f.must(n.Pause())
	return n
}

func (f *trial) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// gone is the path of a UNIX socket that does not exist.
func (f *trial) gone() string { return f.path(f.name + ".gone") }

// dropping is the TCP address of a listener with a full backlog. It drops SYNs, as a
// dead host does.
func (f *trial) dropping() string {
	f.t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	f.must(err)
	f.t.Cleanup(func() { syscall.Close(fd) })
	f.must(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	f.must(syscall.Listen(fd, 0))
	sa, err := syscall.Getsockname(fd)
	f.must(err)
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(sa.(*syscall.SockaddrInet4).Port))
	// This connection fills the backlog.
	nc, err := net.Dial("tcp", addr)
	f.must(err)
	f.t.Cleanup(func() { nc.Close() })
	return addr
}
