package backend

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// The goroutine that wakes connections lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("uwgate/gateway/socket.(*poller).run"))
}

func TestParseAddr(t *testing.T) {
	for _, tt := range []struct{ in, network, addr, fails string }{
		{in: "127.0.0.1:3031", network: "tcp", addr: "127.0.0.1:3031"},
		{in: ":3031", network: "tcp", addr: ":3031"},
		{in: "app.internal:3031", network: "tcp", addr: "app.internal:3031"},
		{in: "[::1]:3031", network: "tcp", addr: "[::1]:3031"},
		{in: "unix:/run/app.sock", network: "unix", addr: "/run/app.sock"},
		{in: "/run/app.sock", network: "unix", addr: "/run/app.sock"},
		{in: "unix:/run/odd:name", network: "unix", addr: "/run/odd:name"},
		{in: "@app", network: "unix", addr: "@app"},
		{in: "unix:@app", network: "unix", addr: "@app"},
		{in: "unix:app.sock", fails: "starts with a slash"},
		{in: "unix:/" + strings.Repeat("x", 107), fails: "106 characters"},
		{in: "@", fails: "106 characters"},
		{in: "127.0.0.1", fails: "host:port"},
		{in: "127.0.0.1:http", fails: "is not a port number"},
		{in: "127.0.0.1:65536", fails: "is not a port number"},
		{in: "", fails: "host:port"},
	} {
		network, addr, err := ParseAddr(tt.in)
		if network != tt.network || addr != tt.addr || (err == nil) != (tt.fails == "") {
			t.Errorf("ParseAddr(%q) = %q, %q, %v; want %q, %q", tt.in, network, addr, err, tt.network, tt.addr)
		}
		if err != nil && !strings.Contains(err.Error(), tt.fails) {
			t.Errorf("ParseAddr(%q): error %q does not say %q", tt.in, err, tt.fails)
		}
	}
}

func TestNewPoolRefuses(t *testing.T) {
	for name, servers := range map[string][]string{
		"empty":           {"  "},
		"bad address":     {"localhost"},
		"bad parameter":   {"127.0.0.1:3031 wait=1"},
		"weight of zero":  {"127.0.0.1:3031 weight=0"},
		"weight too high": {"127.0.0.1:3031 weight=65536"},
		"weight no int":   {"127.0.0.1:3031 weight=1.5"},
		"modifier of 256": {"127.0.0.1:3031 modifier1=256"},
		"word for number": {"127.0.0.1:3031 max-conns"},
		"twice":           {"127.0.0.1:3031", "127.0.0.1:3031 weight=2"},
		"TLS over UNIX":   {"suwsgi:/run/app.sock"},
		"TLS in clear":    {"127.0.0.1:3031 insecure"},
		"no such CA":      {"suwsgi:127.0.0.1:3031 ca=/no/such/file"},
		"no service":      {"srv:"},
	} {
		if _, err := NewPool(servers...); err == nil {
			t.Errorf("%s: NewPool(%q) succeeded", name, servers)
		}
	}
}

func TestFailoverAndEjection(t *testing.T) {
	dir := t.TempDir()
	for name, dead := range map[string]string{
		"unix, no such file": "unix:" + filepath.Join(dir, "gone.sock"),
		"tcp, refused":       refusing(t),
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			p := newPool(t, dead, "unix:"+listen(t, "unix", filepath.Join(t.TempDir(), "up.sock")))
			p.Log = zap.New(core)
			for range 10 {
				nc, err := p.Dial(t.Context(), Want{})
				if err != nil {
					t.Fatal(err)
				}
				nc.Close()
				if nc.Node != p.nodes[1] {
					t.Fatalf("connected to %v, want the server that is up", nc.Node)
				}
			}
			if got := p.Stats()[0]; got.DialErrors != 1 || got.Up {
				t.Errorf("dead server %+v, want one connect error and then no more attempts", got)
			}
			if got := logs.FilterMessage("backend ejected").Len(); got != 1 {
				t.Errorf("%d log lines on the ejection, want 1", got)
			}
		})
	}
}

func TestLastServerIsAlwaysTried(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	p := newPool(t, path)
	p.QueueTimeout = 10 * time.Millisecond
	for range 3 {
		if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), path) {
			t.Fatalf("error %v, want ErrUnavailable that names %s", err, path)
		}
	}
	listen(t, "unix", path)
	p.QueueTimeout = time.Minute
	nc, err := p.Dial(t.Context(), Want{})
	if err != nil {
		t.Fatalf("the server is back: %v", err)
	}
	nc.Close()
	if !p.Stats()[0].Up {
		t.Error("server still ejected after a connection")
	}
}

func TestSilentHostLeavesTimeForTheNext(t *testing.T) {
	// A listener with a full backlog drops packets, as a dead host does.
	full := fullTCP(t)
	p := newPool(t, full, listen(t, "tcp", "127.0.0.1:0"))
	p.DialTimeout = 400 * time.Millisecond
	start := time.Now()
	nc, err := p.Dial(t.Context(), Want{})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if n := nc.Node; n != p.nodes[1] || time.Since(start) > p.DialTimeout {
		t.Errorf("connected to %v after %v, want the second server within %v", n, time.Since(start), p.DialTimeout)
	}
	if p.Stats()[0].Up {
		t.Error("the silent host is not ejected")
	}
}

func TestFullBacklogIsWaitedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy.sock")
	accept := fullUnix(t, path)
	p := newPool(t, path)
	p.DialTimeout = 10 * time.Second
	done := make(chan error, 1)
	go func() {
		nc, err := p.Dial(context.Background(), Want{})
		if err == nil {
			nc.Close()
		}
		done <- err
	}()
	for p.Stats()[0].Busy == 0 {
		runtime.Gosched()
	}
	accept()
	if err := <-done; err != nil {
		t.Fatalf("backlog had room again: %v", err)
	}
	if got := p.Stats()[0]; !got.Up || got.DialErrors != 0 {
		t.Errorf("%+v, want a busy server to stay up", got)
	}
}

func TestCanceledDialEjectsNobody(t *testing.T) {
	p := newPool(t, fullTCP(t))
	p.DialTimeout = time.Minute
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("client gone")
	time.AfterFunc(20*time.Millisecond, func() { cancel(gone) })
	if _, err := p.Dial(ctx, Want{}); !errors.Is(err, gone) {
		t.Errorf("error %v, want the context's cause", err)
	}
	if !p.Stats()[0].Up {
		t.Error("a client that left ejected the server")
	}
}

func newPool(t testing.TB, servers ...string) *Pool {
	t.Helper()
	p, err := NewPool(servers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// listen accepts and closes connections until the test ends.
func listen(t *testing.T, network, addr string) string {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// refusing returns a TCP address where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// backlogged returns a socket that is bound to sa, listens with the smallest
// backlog and accepts nothing.
func backlogged(t *testing.T, family int, sa syscall.Sockaddr) int {
	t.Helper()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, sa), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	return fd
}

// fullTCP returns the address of a listener that drops further connects.
func fullTCP(t *testing.T) string {
	t.Helper()
	fd := backlogged(t, syscall.AF_INET, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: sa.(*syscall.SockaddrInet4).Port}).String()
	fill(t, "tcp", addr)
	return addr
}

// fullUnix fills the backlog of a new UNIX socket; accept makes room in it.
func fullUnix(t *testing.T, path string) (accept func()) {
	t.Helper()
	fd := backlogged(t, syscall.AF_UNIX, &syscall.SockaddrUnix{Name: path})
	fill(t, "unix", path)
	return func() {
		nfd, _, err := syscall.Accept(fd)
		if err != nil {
			t.Error(err)
			return
		}
		syscall.Close(nfd)
	}
}

// fill connects until the backlog takes no more.
func fill(t *testing.T, network, addr string) {
	t.Helper()
	for range 16 {
		nc, err := net.DialTimeout(network, addr, 100*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { nc.Close() })
	}
	t.Fatalf("%s takes more than 16 connections", addr)
}
