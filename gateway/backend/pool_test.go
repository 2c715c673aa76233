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
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
		{in: "127.0.0.1:http", fails: "no port number"},
		{in: "127.0.0.1:65536", fails: "no port number"},
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
		"nothing":         {},
		"empty":           {"  "},
		"bad address":     {"localhost"},
		"bad parameter":   {"127.0.0.1:3031 wait=1"},
		"weight of zero":  {"127.0.0.1:3031 weight=0"},
		"weight too high": {"127.0.0.1:3031 weight=65536"},
		"weight no int":   {"127.0.0.1:3031 weight=1.5"},
	} {
		if _, err := NewPool(servers...); err == nil {
			t.Errorf("%s: NewPool(%q) succeeded", name, servers)
		}
	}
}

// The sequence nginx gives for weights 5, 1, 1 is a a b a c a a.
func TestSmoothWeightedRoundRobin(t *testing.T) {
	p := newPool(t, "a:1 weight=5", "b:1", "c:1")
	var got strings.Builder
	for range 14 {
		got.WriteByte(p.order(nil, nil)[0].name[0])
	}
	if want := "aabacaaaabacaa"; got.String() != want {
		t.Errorf("order %q, want %q", got.String(), want)
	}
	if n := testing.AllocsPerRun(100, func() {
		var room [8]*Node
		p.order(room[:0], nil)
	}); n > 1 {
		t.Errorf("a choice allocates %v times, want at most the room", n)
	}
}

func TestAvoidComesLast(t *testing.T) {
	p := newPool(t, "a:1", "b:1", "c:1")
	for range 6 {
		order := p.order(nil, p.nodes[0])
		if len(order) != 3 || order[2] != p.nodes[0] {
			t.Fatalf("order %v, want a:1 last", order)
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
				nc, n, err := p.Dial(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				nc.Close()
				if n != p.nodes[1] {
					t.Fatalf("connected to %v, want the server that is up", n)
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
	for range 3 {
		if _, _, err := p.Dial(t.Context(), nil); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), path) {
			t.Fatalf("error %v, want ErrUnavailable that names %s", err, path)
		}
	}
	listen(t, "unix", path)
	nc, _, err := p.Dial(t.Context(), nil)
	if err != nil {
		t.Fatalf("the server is back: %v", err)
	}
	nc.Close()
	if !p.Stats()[0].Up {
		t.Error("server still ejected after a connection")
	}
}

func TestBackoffDoublesOncePerPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "a:1", "b:1")
		a := p.nodes[0]
		var got []time.Duration
		for range 7 {
			for range 3 { // attempts that were under way together
				p.eject(a)
			}
			got = append(got, a.backoff)
			if first := p.order(nil, nil)[0]; first == a {
				t.Fatalf("ejected for %v, yet the first choice", a.backoff)
			}
			time.Sleep(a.backoff)
		}
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			if got[i] != want*time.Second {
				t.Errorf("pause %d is %v, want %vs", i, got[i], int(want))
			}
		}
		tried := 0
		for range 10 {
			if p.order(nil, nil)[0] == a {
				tried++
			}
		}
		if tried != 1 {
			t.Errorf("after the pause %d of 10 requests try the server, want 1", tried)
		}
	})
}

func TestSilentHostLeavesTimeForTheNext(t *testing.T) {
	// A listener whose backlog is full drops connects, as a dead host does.
	full := fullTCP(t)
	p := newPool(t, full, listen(t, "tcp", "127.0.0.1:0"))
	p.DialTimeout = 400 * time.Millisecond
	start := time.Now()
	nc, n, err := p.Dial(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if n != p.nodes[1] || time.Since(start) > p.DialTimeout {
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
		nc, _, err := p.Dial(context.Background(), nil)
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
	if _, _, err := p.Dial(ctx, nil); !errors.Is(err, gone) {
		t.Errorf("error %v, want the context's cause", err)
	}
	if !p.Stats()[0].Up {
		t.Error("a client that left ejected the server")
	}
}

func newPool(t *testing.T, servers ...string) *Pool {
	t.Helper()
	p, err := NewPool(servers...)
	if err != nil {
		t.Fatal(err)
	}
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
