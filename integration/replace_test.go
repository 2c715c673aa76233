package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// A succession is a row of gateways at one address, each of which takes the place of the
// one before, and visitors who may not notice.
type succession struct {
	*world
	args []string // of serve, from its binary on

	visitors      sync.WaitGroup
	done          atomic.Bool
	visits, posts atomic.Int64
}

// succeed starts a stack whose own uwgate is stopped.
func succeed(t *testing.T, cfg stack.Config, more ...string) *succession {
	t.Helper()
	cfg.App = filepath.Join("testdata", "standin")
	s := &succession{world: start(t, cfg)}
	if err := s.Uwgate.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.args = slices.Clone(s.Uwgate.Command)
	i := slices.Index(s.args, "--admin")
	s.args = append(slices.Delete(s.args, i, i+2), more...)
	return s
}

// A gatewayProcess is one of them.
type gatewayProcess struct {
	*exec.Cmd
	ended chan struct{}
	err   error
	log   string
}

// launch starts a gateway with more flags. With files it is started as systemd starts it.
func (s *succession) launch(name string, files []*os.File, env []string, more ...string) *gatewayProcess {
	s.t.Helper()
	g := &gatewayProcess{ended: make(chan struct{}), log: filepath.Join(s.Dir, name+".log")}
	args := slices.Concat(s.args, more)
	if len(files) > 0 {
		args = append([]string{"sh", "-c", fmt.Sprintf(`LISTEN_PID=$$ LISTEN_FDS=%d exec "$@"`, len(files)), "sh"}, args...)
	}
	g.Cmd = exec.Command(args[0], args[1:]...)
	out, err := os.Create(g.log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	g.Env, g.Stdout, g.Stderr, g.ExtraFiles = append(stack.UwgateEnv(), env...), out, out, files
	if err := g.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		g.err = g.Wait()
		close(g.ended)
	}()
	s.t.Cleanup(func() {
		g.Process.Kill()
		<-g.ended
		if text := g.text(); strings.Contains(text, "DATA RACE") || s.t.Failed() {
			s.t.Errorf("%s: %v\n%s", name, g.err, text)
		}
	})
	return g
}

func (g *gatewayProcess) text() string {
	b, _ := os.ReadFile(g.log)
	return string(b)
}

// waits until a gateway has said something.
func (s *succession) said(g *gatewayProcess, what string) {
	s.t.Helper()
	s.eventually("the log says "+what, func() bool { return strings.Contains(g.text(), what) })
}

// ends waits until a gateway has ended well.
func (s *succession) ends(g *gatewayProcess) {
	s.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(patience):
		s.t.Fatalf("process %d does not end", g.Process.Pid)
	}
	if g.err != nil {
		s.t.Errorf("process %d: %v", g.Process.Pid, g.err)
	}
}

// visit sends requests until leave is called. Each response must come through a gateway.
func (s *succession) visit() (leave func()) {
	for i := range 3 {
		s.visitors.Go(func() {
			for n := 0; !s.done.Load(); n++ {
				method, counter := "GET", &s.visits
				if n%4 == 3 {
					method, counter = "POST", &s.posts
				}
				p := s.do(method, fmt.Sprintf("/visit?%d-%d", i, n), nil)
				if p.err != nil || p.status != 200 || method == "GET" && !strings.HasPrefix(p.header.Get("Cache-Status"), "uwgate;") {
					s.t.Errorf("%s %d-%d: got %d %v, %v", method, i, n, p.status, p.header, p.err)
				}
				counter.Add(1)
			}
		})
	}
	return sync.OnceFunc(func() { s.done.Store(true); s.visitors.Wait() })
}

// more waits for more visits.
func (s *succession) more() {
	s.t.Helper()
	n := s.visits.Load()
	s.eventually("more visits", func() bool { return s.visits.Load() > n+10 })
}

// A gateway is replaced again and again while visitors come, and told to reload at any
// moment. No request fails.
func TestReplace(t *testing.T) {
	t.Parallel()
	tcp, err := stack.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		listen string
		admin  bool // the sockets are passed over the admin socket
	}{
		{"UNIX socket by its path", "", false},
		{"UNIX socket over the admin socket", "", true},
		{"TCP over the admin socket", tcp[0], true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := succeed(t, stack.Config{Listen: tt.listen})
			if tt.admin {
				s.args = append(s.args, "--admin", "unix:"+filepath.Join(s.Dir, "admin.sock"))
			}
			now := s.launch("gateway 0", nil, nil)
			s.said(now, `listening`)
			leave := s.visit()
			defer leave()
			for n := range 5 {
				s.more()
				next := s.launch(fmt.Sprintf("gateway %d", n+1), nil, nil, "--replace")
				s.said(next, `listening`)
				for range 4 {
					next.Process.Signal(syscall.SIGHUP)
				}
				s.ends(now)
				now = next
			}
			s.more()
			leave()
			t.Logf("%d visits, %d POSTs", s.visits.Load(), s.posts.Load())
			now.Process.Signal(syscall.SIGTERM)
			s.ends(now)
			if path, ok := strings.CutPrefix(s.Uwgate.Addr, "unix:"); ok {
				if _, err := os.Lstat(path); !os.IsNotExist(err) {
					t.Errorf("the socket is left behind: %v", err)
				}
			}
		})
	}
}

// systemd keeps the socket while gateways come and go: requests wait in its backlog. It is
// told what they do.
func TestSocketActivation(t *testing.T) {
	t.Parallel()
	s := succeed(t, stack.Config{})
	path := strings.TrimPrefix(s.Uwgate.Addr, "unix:")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	file, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	notes := s.listenToNotes()
	env := []string{"NOTIFY_SOCKET=" + notes.path, "WATCHDOG_USEC=200000"}
	leave := s.visit()
	defer leave()
	for n := range 5 {
		g := s.launch(fmt.Sprintf("gateway %d", n), []*os.File{file}, env)
		notes.await("READY=1")
		g.Process.Signal(syscall.SIGHUP)
		notes.await("MONOTONIC_USEC=")
		notes.await("READY=1")
		notes.await("WATCHDOG=1")
		s.more()
		g.Process.Signal(syscall.SIGTERM)
		notes.await("STOPPING=1")
		s.ends(g)
		if _, err := os.Lstat(path); err != nil {
			t.Fatalf("the socket of systemd is gone: %v", err)
		}
	}
	last := s.launch("the last gateway", []*os.File{file}, env)
	s.more()
	leave()
	t.Logf("%d visits, %d POSTs", s.visits.Load(), s.posts.Load())
	last.Process.Signal(syscall.SIGTERM)
	s.ends(last)
}

// notes are what a gateway tells systemd.
type notes struct {
	w    *world
	path string
	got  chan string
}

func (w *world) listenToNotes() *notes {
	w.t.Helper()
	n := &notes{w: w, path: filepath.Join(w.Dir, "notify"), got: make(chan string, 1000)}
	pc, err := net.ListenPacket("unixgram", n.path)
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 4096)
		for {
			size, _, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			select {
			case n.got <- string(b[:size]):
			default:
			}
		}
	}()
	w.t.Cleanup(func() { pc.Close(); <-done })
	return n
}

// await waits for a note with that text.
func (n *notes) await(text string) {
	n.w.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case got := <-n.got:
			if strings.Contains(got, text) {
				return
			}
		case <-limit:
			n.w.t.Fatalf("systemd is not told %s", text)
		}
	}
}

// A gateway removes the socket that it has made, and no other that is there by then.
func TestOnlyOnesOwnSocketIsRemoved(t *testing.T) {
	t.Parallel()
	s := succeed(t, stack.Config{})
	path := strings.TrimPrefix(s.Uwgate.Addr, "unix:")
	a := s.launch("a", nil, nil)
	s.said(a, "listening")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	b := s.launch("b", nil, nil)
	s.said(b, "listening")
	a.Process.Signal(syscall.SIGTERM)
	s.ends(a)
	s.want(s.get("/visit?b"), 200)
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	b.Process.Signal(syscall.SIGTERM)
	s.ends(b)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("b has left its socket: %v", err)
	}
}

// TERM says how many requests are in flight, and for how long they may be. A second one
// does not wait for them.
func TestSecondTermEndsAtOnce(t *testing.T) {
	t.Parallel()
	worker := newSlowWorker(t, 1, "hello")
	s := succeed(t, stack.Config{})
	s.args = append(s.args, "--drain-timeout", "10m")
	s.args[slices.Index(s.args, "--backend")+1] = worker.addr
	g := s.launch("gateway", nil, nil)
	s.said(g, "listening")
	got := make(chan page, 1)
	go func() { got <- s.ask(s.Uwgate.Addr, vars("GET", "/slow"), "") }()
	worker.wait(t)
	g.Process.Signal(syscall.SIGTERM)
	s.said(g, `"requests_in_flight": 1, "drain_timeout": 600`)
	g.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.ended:
	case <-time.After(patience):
		t.Fatal("it waits")
	}
	if !strings.Contains(g.text(), "stopped at once by a second signal") || g.err == nil {
		t.Errorf("ended with %v", g.err)
	}
	if p := <-got; p.err == nil && p.status == 200 {
		t.Errorf("got %+v", p)
	}
	close(worker.goOn)
}

// A HUP that comes before the gateway has read its settings does not end it.
func TestEarlyHUP(t *testing.T) {
	t.Parallel()
	s := succeed(t, stack.Config{})
	for n := range 3 {
		g := s.launch(fmt.Sprintf("gateway %d", n), nil, nil)
		for !strings.Contains(g.text(), "listening") {
			select {
			case <-g.ended:
				t.Fatalf("ended: %v", g.err)
			case <-time.After(time.Millisecond):
			}
			if isInside(g.Process.Pid) {
				g.Process.Signal(syscall.SIGHUP)
			}
		}
		g.Process.Signal(syscall.SIGTERM)
		s.ends(g)
	}
}

// isInside reports whether a Go program has come to its main function: before, it catches
// no HUP.
func isInside(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		var ignored uint64
		if n, _ := fmt.Sscanf(line, "SigIgn: %x", &ignored); n == 1 {
			return ignored&(1<<(uint(syscall.SIGPIPE)-1)) != 0
		}
	}
	return false
}
