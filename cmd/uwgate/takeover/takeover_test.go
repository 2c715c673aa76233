package takeover

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uwgate/gateway/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// An old gateway has an admin side, a UNIX socket, a TCP one, and one for datagrams.
type old struct {
	Offer
	admin string
	path  *socket.PathListener
	tcp   net.Listener
	pc    net.PacketConn
	left  atomic.Int32
	logs  *observer.ObservedLogs
}

func startOld(t *testing.T) *old {
	t.Helper()
	o := &old{admin: filepath.Join(t.TempDir(), "admin")}
	core, logs := observer.New(zap.InfoLevel)
	o.logs = logs
	o.Version, o.Log, o.Leave = "1.0", zap.New(core), func() { o.left.Add(1) }
	var err error
	if o.path, err = socket.ListenPath(t.Context(), filepath.Join(t.TempDir(), "s"), 0o600, false); err != nil {
		t.Fatal(err)
	}
	if o.tcp, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if o.pc, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	admin, err := net.Listen("unix", o.admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{o.AddListener(o.path), o.AddListener(o.tcp), o.AddPacketConn(o.pc)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	srv := &http.Server{Handler: o.Handler(http.NotFoundHandler())}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(admin)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
		o.Close()
		o.path.Close()
		o.tcp.Close()
		o.pc.Close()
	})
	return o
}

func (o *old) says(t *testing.T, what string) {
	t.Helper()
	for until := time.Now().Add(patience); o.logs.FilterMessageSnippet(what).Len() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("the log does not say %q: %v", what, o.logs.All())
		}
	}
}

// The new process accepts on the sockets of the old one, which leaves when it is told to, and
// not before.
func TestTakeOver(t *testing.T) {
	o := startOld(t)
	h, err := Ask(t.Context(), o.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if h.PID != os.Getpid() || !strings.Contains(h.From, "uwgate 1.0") {
		t.Errorf("from %q, process %d", h.From, h.PID)
	}
	path := o.path.Addr().String()
	for network, addr := range map[string]string{"unix": path, "tcp": o.tcp.Addr().String()} {
		ln, err := h.Listener(network, addr)
		if err != nil || ln == nil {
			t.Fatalf("%s: %v, %v", addr, ln, err)
		}
		defer ln.Close()
		if again, _ := h.Listener(network, addr); again != nil {
			t.Errorf("%s is given twice", addr)
		}
		if ln.Addr().String() != addr {
			t.Errorf("it is at %v", ln.Addr())
		}
		nc, err := net.Dial(network, addr)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		got.Close()
		nc.Close()
	}
	pc, err := h.PacketConn("udp", o.pc.LocalAddr().String())
	if err != nil || pc == nil {
		t.Fatalf("datagrams: %v, %v", pc, err)
	}
	pc.Close()
	if ln, err := h.Listener("tcp", "127.0.0.1:1"); ln != nil || err != nil {
		t.Errorf("a socket that the old one has not: %v, %v", ln, err)
	}
	if left := h.Left(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if o.left.Load() != 0 || o.IsTaken() {
		t.Error("the old one leaves before the new one serves")
	}
	if err := h.Serving(); err != nil {
		t.Fatal(err)
	}
	o.says(t, "another process serves")
	if !o.IsTaken() || o.left.Load() != 1 {
		t.Errorf("taken %v, left %d times", o.IsTaken(), o.left.Load())
	}
	o.path.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the old one has removed the path of the new one: %v", err)
	}
}

// A new process that fails before it serves changes nothing, and another may try.
func TestNewOneFails(t *testing.T) {
	o := startOld(t)
	for range 2 {
		h, err := Ask(t.Context(), o.admin)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
	}
	o.says(t, "this one goes on")
	if o.left.Load() != 0 || !o.path.Owns() {
		t.Error("the old one has left")
	}
}

func TestAskFails(t *testing.T) {
	o := startOld(t)
	o.Close()
	if _, err := Ask(t.Context(), o.admin); err == nil || !strings.Contains(err.Error(), "it drains already") {
		t.Errorf("one that drains: %v", err)
	}
	if _, err := Ask(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNobody) {
		t.Errorf("nobody: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	ln, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		io.ReadFull(nc, make([]byte, 10))
		io.WriteString(nc, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	}()
	if _, err := Ask(t.Context(), other); err == nil || !strings.Contains(err.Error(), "it is no uwgate that passes its sockets") {
		t.Errorf("another program: %v", err)
	}
	ln.Close()
	<-done
}

// Addresses are the same however their host is written.
func TestNames(t *testing.T) {
	for _, tt := range []struct {
		has       name
		net, addr string
		want      bool
	}{
		{name{Network: "tcp", Addr: "127.0.0.1:3030"}, "tcp", "127.0.0.1:3030", true},
		{name{Network: "tcp", Addr: "[::]:3030"}, "tcp", ":3030", true},
		{name{Network: "tcp", Addr: "0.0.0.0:3030"}, "tcp", ":3030", true},
		{name{Network: "tcp", Addr: "127.0.0.1:3030"}, "tcp", "localhost:3030", true},
		{name{Network: "tcp", Addr: "127.0.0.1:3030"}, "tcp", "127.0.0.1:3031", false},
		{name{Network: "tcp", Addr: "127.0.0.1:3030"}, "udp", "127.0.0.1:3030", false},
		{name{Network: "tcp", Addr: "10.0.0.1:3030"}, "tcp", ":3030", false},
		{name{Network: "unix", Addr: "/run/a"}, "unix", "/run/a", true},
		{name{Network: "unix", Addr: "/run/a"}, "unix", "/run/b", false},
		{name{Network: "unix", Addr: "@a"}, "unix", "@a", true},
	} {
		if got := tt.has.is(tt.net, tt.addr); got != tt.want {
			t.Errorf("%v is %s %s: %v", tt.has, tt.net, tt.addr, got)
		}
	}
}
