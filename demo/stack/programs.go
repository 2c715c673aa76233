package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// python is the distribution's Python. uWSGI's plugin is linked to it, and Django is
// installed for it.
const python = "/usr/bin/python3"

// ErrMissing is wrapped by the error of [Start] if a server is not installed. A test may
// skip then.
var ErrMissing = errors.New("not installed; demo/install (make deps) sees to it")

// Installed returns nil, or an ErrMissing that names the first missing server.
func Installed() error {
	for _, name := range []string{"nginx", "memcached", "uwsgi"} {
		if _, err := LookPath(name); err != nil {
			return err
		}
	}
	if err := exec.Command(python, "-c", "import django, pymemcache").Run(); err != nil {
		return fmt.Errorf("stack: Django or pymemcache for %s: %w", python, ErrMissing)
	}
	return nil
}

func (s *Stack) find(names ...string) (map[string]string, error) {
	paths := make(map[string]string)
	for _, name := range names {
		path, err := LookPath(name)
		if err != nil {
			return nil, err
		}
		paths[name] = path
	}
	return paths, nil
}

// LookPath also looks in the administrator's directories, which are not in the PATH of
// other users on Debian.
//
// UWGATE_TEST_NGINX names another nginx.
func LookPath(name string) (string, error) {
	if path := os.Getenv("UWGATE_TEST_NGINX"); name == "nginx" && path != "" {
		return path, nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("stack: %s: %w", name, ErrMissing)
}

func (s *Stack) process(name, addr, logFile string, command ...string) *Process {
	return &Process{
		Name: name, Addr: addr, LogFile: s.path(logFile),
		Command: command, Dir: s.Dir, Ready: Connects,
	}
}

func (s *Stack) memcacheds(program string, addrs []string) []*Process {
	var all []*Process
	for i, addr := range addrs {
		n := strconv.Itoa(i + 1)
		command := append([]string{program}, memcachedPlace(addr)...)
		if os.Geteuid() == 0 {
			command = append(command, "-u", "root") // it does not run as root without this
		}
		command = append(command, s.cfg.MemcachedArgs...)
		all = append(all, s.process("memcached "+n, addr, "memcached"+n+".log", command...))
	}
	return all
}

// memcachedPlaces returns the servers' addresses: ports, or UNIX sockets.
func (s *Stack) memcachedPlaces(ports []string) []string {
	if !s.cfg.MemcachedSockets {
		return ports
	}
	var places []string
	for i := range ports {
		places = append(places, fmt.Sprintf("unix:%s", s.path(fmt.Sprintf("memcached%d.sock", i+1))))
	}
	return places
}

// memcachedPlace returns the arguments with which memcached listens on addr.
func memcachedPlace(addr string) []string {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return []string{"-s", path, "-a", "0666"}
	}
	host, port, _ := net.SplitHostPort(addr)
	return []string{"-l", host, "-p", port, "-U", "0"}
}

func (s *Stack) uwsgi(program string) *Process {
	p := s.process("uWSGI", "unix:"+s.path("uwsgi.sock"), "uwsgi.log", append([]string{program,
		"--plugins", "python3,ping",
		"--socket", s.path("uwsgi.sock"), "--chmod-socket=666",
		"--chdir", s.path("site"), "--module", s.module(), "--need-app",
		"--master", "--die-on-term", "--no-orphans", "--vacuum",
		"--stats", s.path("uwsgi-stats.sock"),
		"--processes", strconv.Itoa(s.cfg.Workers), "--listen", strconv.Itoa(Backlog(1024)),
		// A worker that has just started may miss its master's signal. The default
		// wait of 60 seconds is too long.
		"--worker-reload-mercy", "2",
		// The default of 4 kB is less than one request with a long URL and cookies.
		"--buffer-size", "65535", "--max-vars", "1000"}, s.cfg.UWSGIArgs...)...)
	p.Env = s.siteEnv()
	if s.cfg.Purges {
		p.Env = append(p.Env, "DEMO_PURGE="+s.URL(""))
	}
	p.Ready = func(ctx context.Context, addr string) error {
		if err := Pongs(ctx, addr); err != nil {
			return err
		}
		// The workers start before their master is ready. It opens this socket after
		// it has set up its signals; an earlier TERM would be lost.
		return Connects(ctx, "unix:"+s.path("uwsgi-stats.sock"))
	}
	return p
}

func (s *Stack) module() string {
	if s.cfg.App == "" {
		return "demosite.wsgi:application"
	}
	return s.cfg.Module
}

// Backlog returns n, or the kernel's limit if that is lower: uWSGI does not start with
// more.
func Backlog(n int) int {
	b, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	if err != nil {
		return n
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return n
	}
	return min(n, limit)
}

func (s *Stack) uwgate() *Process {
	p := s.process("uwgate", s.listen(), "uwgate.log", s.uwgateCommand()...)
	p.Ready = func(ctx context.Context, _ string) error { return listens(ctx, s.Admin) }
	p.Env = UwgateEnv()
	return p
}

// UwgateEnv returns the environment without variables that set uwgate's flags.
func UwgateEnv() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "UWGATE_") })
}

func (s *Stack) uwgateCommand() []string {
	command := []string{
		s.cfg.Binary, "serve",
		"--socket-mode", "0666",
		"--backend", s.backend(),
		"--admin", s.Admin,
		"--log", "stderr console", "--log", "file:" + s.AccessLog + " json",
	}
	if s.cfg.ReadsNginx {
		command = append(command, s.listenArgs()...)
		command = append(command, "--nginx", s.path("nginx.conf"))
		return append(command, s.cfg.Args...)
	}
	return append(command, s.sharedArgs()...)
}

// backend returns the --backend of uwgate.
func (s *Stack) backend() string { return cmp.Or(s.cfg.Backend, s.UWSGI.Addr) }

func (s *Stack) listen() string { return cmp.Or(s.cfg.Listen, "unix:"+s.path("uwgate.sock")) }

func (s *Stack) listenArgs() []string { return []string{"--listen", s.listen()} }

// sharedArgs returns the flags that `uwgate serve` and `uwgate nginx` have in common.
func (s *Stack) sharedArgs() []string {
	args := s.listenArgs()
	for _, line := range s.memcachedLines() {
		args = append(args, "--memcached", line)
	}
	if len(s.Memcached) > 1 {
		args = append(args, "--hash", s.cfg.Hash)
	}
	if s.cfg.Format != "" {
		args = append(args, "--format", s.cfg.Format)
	}
	if s.cfg.Purges {
		args = append(args, "--purge-from", "127.0.0.1")
	}
	if key := s.KeyTemplate(); key != "" {
		args = append(args, "--key", key)
		if !slices.Contains(s.cfg.Args, "--allowed-host") {
			args = append(args, "--allowed-host", "127.0.0.1") // the key does not contain the host
		}
	}
	if s.cfg.Conf == "recommended" {
		for _, h := range djangoHeaders {
			args = append(args, "--nginx-adds", h.Name+": "+h.Value)
		}
	}
	return append(args, s.cfg.Args...)
}

func (s *Stack) nginx(program, addr string) *Process {
	command := []string{program, "-p", s.Dir, "-c", s.path("nginx.conf"), "-e", s.path("error.log")}
	if os.Geteuid() == 0 {
		// Workers of another user could not enter a directory of root's.
		command = append(command, "-g", "user root;")
	}
	return s.process("nginx", addr, "nginx.out", command...)
}

// Connects returns nil if a program accepts connections at addr.
func Connects(ctx context.Context, addr string) error {
	nc, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	return nc.Close()
}

// Pongs sends uWSGI's ping. A worker answers it only after it has loaded the site; the
// socket is open long before.
func Pongs(ctx context.Context, addr string) error {
	nc, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Second))
	if _, err := nc.Write([]byte{100, 0, 0, 0}); err != nil {
		return err
	}
	var pong [4]byte
	_, err = io.ReadFull(nc, pong[:])
	return err
}

// listens returns nil if uwgate accepts requests. Its backends may be absent.
func listens(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second) // it tries the backends
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/-/ready", nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	says, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && (resp.StatusCode != http.StatusServiceUnavailable || strings.Contains(string(says), "accepts no requests")) {
		return fmt.Errorf("%s: %s: %s", req.URL, resp.Status, says)
	}
	return nil
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Second}
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return d.DialContext(ctx, "unix", path)
	}
	return d.DialContext(ctx, "tcp", addr)
}

// takenPorts are the ports that FreePorts has returned.
var takenPorts sync.Map

// FreePorts returns n free ports on loopback, below the range of the kernel's ports for
// outgoing connections: a program that stops for a while can listen on its port again.
// It returns no port twice, so that a program can run several stacks at once.
func FreePorts(n int) ([]string, error) {
	const low, high, tries = 20000, 32000, 1000
	var addrs []string
	for range tries {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(low+rand.IntN(high-low)))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		ln.Close()
		if _, taken := takenPorts.LoadOrStore(addr, true); taken {
			continue
		}
		addrs = append(addrs, addr)
		if len(addrs) == n {
			return addrs, nil
		}
	}
	return nil, fmt.Errorf("stack: no %d free ports on 127.0.0.1 between %d and %d", n, low, high)
}
