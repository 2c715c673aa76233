package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"
	"golang.org/x/sys/unix"
)

// networks are where connections are tested.
var networks = func() []string {
	if nettest.SupportsIPv6() {
		return []string{"unix", "tcp", "tcp6"}
	}
	return []string{"unix", "tcp"}
}()

// listen listens with a Listen of its own.
func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	addr := map[string]string{"unix": filepath.Join(t.TempDir(), "s"), "tcp": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := Listen(ln)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	return ours
}

// dial connects to what listens at addr.
func dial(addr net.Addr) (net.Conn, error) {
	if addr.Network() == "unix" {
		return DialUnix(addr.String())
	}
	return DialTCP(context.Background(), netip.MustParseAddrPort(addr.String()), patience)
}

// pair returns both ends of a connection, the one that was dialed first.
func pair(t testing.TB, network string) (dialed, accepted *Conn) {
	t.Helper()
	ln := listen(t, network)
	d, err := dial(ln.Addr())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(); a.Close() })
	return d.(*Conn), a.(*Conn)
}

// TestConformance has the Go project's own tests of a net.Conn go over both ends.
func TestConformance(t *testing.T) {
	for _, network := range networks {
		for _, dialedFirst := range []bool{true, false} {
			t.Run(network, func(t *testing.T) {
				nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
					d, a := pair(t, network)
					c1, c2 = d, a
					if !dialedFirst {
						c1, c2 = a, d
					}
					return c1, c2, func() { d.Close(); a.Close() }, nil
				})
			})
		}
	}
}

// What comes and goes at once needs no poller.
func TestNothingIsRegisteredThatNeedNotWait(t *testing.T) {
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			d, a := pair(t, network)
			d.Write([]byte("question"))
			awaitUnread(t, a, len("question"))
			buf := make([]byte, 100)
			if n, err := a.Read(buf); err != nil || string(buf[:n]) != "question" {
				t.Fatalf("read %q, %v", buf[:n], err)
			}
			a.Write([]byte("answer"))
			if a.polled != 0 {
				t.Error("the accepted connection has been registered")
			}
			if n, err := d.Read(buf); err != nil || string(buf[:n]) != "answer" {
				t.Errorf("read %q, %v", buf[:n], err)
			}
			if d.reads.waiting != 0 {
				t.Error("somebody still waits for the dialed one")
			}
		})
	}
}

// awaitUnread waits until n bytes have come.
func awaitUnread(t *testing.T, c *Conn, n int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		got, err := c.Unread()
		switch {
		case err != nil:
			t.Fatal(err)
		case got == n:
			return
		case time.Now().After(deadline):
			t.Fatalf("%d bytes have come, want %d", got, n)
		}
	}
}

func TestEnds(t *testing.T) {
	d, a := pair(t, "unix")
	if err := d.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	a.Write([]byte("late"))
	if b := make([]byte, 4); true {
		if _, err := io.ReadFull(d, b); err != nil || string(b) != "late" {
			t.Errorf("the other direction: %q, %v", b, err)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	_, werr := a.Write([]byte("x"))
	_, rerr := a.Read(make([]byte, 1))
	for name, err := range map[string]error{
		"write": werr, "read": rerr, "close": a.Close(), "deadline": a.SetDeadline(time.Now()), "end": a.CloseWrite(),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s of a closed connection: %v", name, err)
		}
	}
	if _, err := d.Write([]byte("x")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("write to a peer that is gone: %v", err)
	}
}

// A reset is what the peer of a connection with a linger time of zero sees.
func TestLinger(t *testing.T) {
	d, a := pair(t, "tcp")
	if err := a.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := d.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("read: %v, want a reset", err)
	}
}

func TestWriteParts(t *testing.T) {
	for _, size := range []int{0, 1, 100, 3 << 20} {
		d, a := pair(t, "unix")
		head, body := []byte("head"), bytes.Repeat([]byte("b"), size)
		got := make(chan []byte)
		go func() {
			b, _ := io.ReadAll(a)
			got <- b
		}()
		if err := d.WriteParts(head, body); err != nil {
			t.Error(err)
		}
		d.Close()
		if b := <-got; !bytes.Equal(b, append(head, body...)) {
			t.Errorf("%d bytes: %d have come", size, len(b))
		}
	}
}

func TestWritePartsReturnsFailures(t *testing.T) {
	d, a := pair(t, "unix")
	a.Close()
	if err := d.WriteParts([]byte("head"), []byte("body")); !errors.Is(err, unix.EPIPE) {
		t.Errorf("to a peer that is gone: %v", err)
	}
	d.Close()
	if err := d.WriteParts([]byte("head")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// A second segment must not wait for the first one to be acknowledged.
func TestNagle(t *testing.T) {
	for _, tt := range []struct {
		name   string
		writes []int
		want   int
	}{
		{"one small write", []int{100}, 0},
		{"a second one", []int{100, 100}, 1},
		{"a large one", []int{localSegment + 1}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, a := pair(t, "tcp")
			go io.Copy(io.Discard, a)
			for _, n := range tt.writes {
				d.Write(make([]byte, n))
			}
			if got, err := unix.GetsockoptInt(d.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY); got != tt.want || err != nil {
				t.Errorf("TCP_NODELAY is %d, %v, want %d", got, err, tt.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	d, a := pair(t, "tcp")
	if got, want := a.RemoteAddr().String(), d.LocalAddr().String(); got != want {
		t.Errorf("peer of the accepted one: %s, want %s", got, want)
	}
	if got, want := d.RemoteAddr().String(), a.LocalAddr().String(); got != want {
		t.Errorf("peer of the dialed one: %s, want %s", got, want)
	}
	u, _ := pair(t, "unix")
	if u.RemoteAddr().Network() != "unix" || u.LocalAddr().Network() != "unix" {
		t.Errorf("UNIX socket: %v, %v", u.LocalAddr(), u.RemoteAddr())
	}
}

func TestDialFails(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "gone")
	if _, err := DialUnix(gone); !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), gone) {
		t.Errorf("no such socket: %v", err)
	}
	ln := listen(t, "tcp")
	ln.Close()
	if _, err := dial(ln.Addr()); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("nobody listens: %v", err)
	}
}

// full listens with a backlog that is full.
func full(t *testing.T, family int, sa unix.Sockaddr) (fd int) {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Bind(fd, sa), unix.Listen(fd, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestDialUnixWhenBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	defer unix.Close(full(t, unix.AF_UNIX, &unix.SockaddrUnix{Name: path}))
	first, err := DialUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := DialUnix(path); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("full backlog: %v", err)
	}
}

func TestDialTCPWaits(t *testing.T) {
	fd := full(t, unix.AF_INET, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	to := addrPort(sa)
	first, err := DialTCP(context.Background(), to, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := DialTCP(context.Background(), to, 10*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("full backlog: %v", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	left := errors.New("the client has left")
	time.AfterFunc(10*time.Millisecond, func() { cancel(left) })
	if _, err := DialTCP(ctx, to, patience); !errors.Is(err, left) {
		t.Errorf("called off: %v", err)
	}
	ln, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
	if err != nil {
		t.Fatal(err)
	}
	var accepted sync.WaitGroup
	accepted.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			nc.Close()
		}
	})
	// The system sends its packet again after a second.
	late, err := DialTCP(context.Background(), to, patience)
	if err != nil {
		t.Fatalf("a server that accepts late: %v", err)
	}
	if !late.(*Conn).writes.deadline.IsZero() {
		t.Error("the deadline for connecting bounds what comes after it")
	}
	late.Close()
	ln.Close()
	accepted.Wait()
}

// The system connects a socket to itself if nobody listens and it happens to choose
// that very port.
func TestDialTCPNotToItself(t *testing.T) {
	ports, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		t.Skip(err)
	}
	low := uint16(0)
	for _, c := range strings.Fields(string(ports))[0] {
		low = low*10 + uint16(c-'0')
	}
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), low+low%2)
	for range 70000 {
		nc, err := DialTCP(context.Background(), to, patience)
		if err == nil {
			t.Fatalf("connected to %v by %v", nc.RemoteAddr(), nc.LocalAddr())
		}
	}
}

func TestListen(t *testing.T) {
	ln := listen(t, "unix")
	d := ln.(interface{ SetDeadline(time.Time) error })
	d.SetDeadline(time.Now())
	if _, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	d.SetDeadline(time.Time{})
	failed := make(chan error)
	go func() {
		_, err := ln.Accept()
		failed <- err
	}()
	ln.Close()
	if err := <-failed; err == nil {
		t.Error("a closed listener accepts")
	}
	if _, err := os.Stat(ln.Addr().String()); err != nil {
		t.Errorf("its path has been unlinked: %v", err)
	}
	packets := otherListener{ln}
	if got, err := Listen(packets); got != packets || err != nil {
		t.Errorf("another kind of listener: %v, %v", got, err)
	}
}

type otherListener struct{ net.Listener }

// Connections that come while one is accepted are not forgotten, though the poller
// reports a crowd once.
func TestListenTakesACrowd(t *testing.T) {
	for _, network := range networks {
		ln := listen(t, network)
		const crowd = 100
		for range crowd {
			nc, err := dial(ln.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
		}
		for range crowd {
			nc, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			nc.Close()
		}
	}
}

// The end of a descriptor must not be that of the next one with its number.
func TestCloseWhileOthersWork(t *testing.T) {
	for range 200 {
		d, a := pair(t, "unix")
		done := make(chan bool)
		for _, work := range []func(){
			func() { io.Copy(io.Discard, a) },
			func() {
				for {
					if _, err := a.Write([]byte("x")); err != nil {
						return
					}
				}
			},
			func() { io.CopyN(io.Discard, d, 10); a.Close() },
		} {
			go func() { work(); done <- true }()
		}
		for range 3 {
			<-done
		}
	}
}

// BenchmarkRequest is what a relay does with its sockets for one request: accept,
// read, connect, write, read, write, close.
func BenchmarkRequest(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		for _, kind := range []string{"net", "ours"} {
			b.Run(network+"/"+kind, func(b *testing.B) { benchmarkRequest(b, network, kind == "ours") })
		}
	}
}

func benchmarkRequest(b *testing.B, network string, ours bool) {
	open := func() net.Listener {
		if ours {
			return listen(b, network)
		}
		ln, err := net.Listen(network, map[string]string{"unix": filepath.Join(b.TempDir(), "s"), "tcp": "127.0.0.1:0"}[network])
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { ln.Close() })
		return ln
	}
	connect := func(ln net.Listener) net.Conn {
		var nc net.Conn
		var err error
		if ours {
			nc, err = dial(ln.Addr())
		} else {
			nc, err = net.Dial(network, ln.Addr().String())
		}
		if err != nil {
			b.Fatal(err)
		}
		return nc
	}
	front, back := open(), open()
	accept := func(ln net.Listener) net.Conn {
		nc, err := ln.Accept()
		if err != nil {
			b.Fatal(err)
		}
		return nc
	}
	packet, page := make([]byte, 700), make([]byte, 4096)
	buf := make([]byte, 8192)
	b.ReportAllocs()
	for b.Loop() {
		visitor := connect(front)
		visitor.Write(packet)
		client := accept(front)
		for _, nc := range []net.Conn{client, visitor} {
			nc.SetDeadline(time.Now().Add(time.Minute))
		}
		client.Read(buf)
		server := connect(back)
		server.SetDeadline(time.Now().Add(time.Minute))
		server.Write(packet)
		worker := accept(back)
		worker.Read(buf)
		worker.Write(page)
		worker.Close()
		server.Read(buf)
		client.Write(page)
		client.Close()
		server.Close()
		visitor.Read(buf)
		visitor.Close()
	}
}
