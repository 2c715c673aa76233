package socket

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// AwaitTaken returns when the peer has read all, and distinguishes a peer that has not from
// one that closed after it had.
func TestAwaitTaken(t *testing.T) {
	const packet = "a request"
	read := func(n int) func(*testing.T, net.Listener) {
		return func(t *testing.T, ln net.Listener) {
			nc, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			if _, err := io.ReadFull(nc, make([]byte, n)); err != nil {
				t.Error(err)
			}
		}
	}
	for _, tt := range []struct {
		name, packet string
		peer         func(*testing.T, net.Listener)
		taken        bool
	}{
		{"read", packet, read(len(packet)), true},
		{"a large packet is read", strings.Repeat("x", 100<<10), read(100 << 10), true},
		{"but for the last byte", packet, read(len(packet) - 1), false},
		{"nothing is read", packet, read(0), false},
		{"never accepted", packet, func(_ *testing.T, ln net.Listener) { ln.Close() }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			ln, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			nc, err := DialUnix(path)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(time.Minute))
			if _, err := io.WriteString(nc, tt.packet); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- AwaitTaken(nc) }()
			select {
			case err := <-done:
				t.Fatalf("returned %v before the peer has read anything", err)
			case <-time.After(20 * time.Millisecond):
			}
			tt.peer(t, ln)
			err = <-done
			if tt.taken && err != nil || !tt.taken && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("got %v", err)
			}
			if tt.taken && bufferSize(t, nc) < 64<<10 {
				t.Errorf("the send buffer has %d bytes afterwards", bufferSize(t, nc))
			}
		})
	}
}

func bufferSize(t *testing.T, nc net.Conn) (size int) {
	t.Helper()
	rc, err := rawOf(nc)
	if err == nil {
		err = rc.Control(func(fd uintptr) { size, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestAwaitTakenHasADeadline(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := DialUnix(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "hello")
	nc.SetDeadline(time.Now().Add(10 * time.Millisecond))
	var ne net.Error
	if err := AwaitTaken(nc); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("got %v, want a timeout", err)
	}
}

// The peer reads while AwaitTaken looks, and then waits for more: no reading may be missed.
func TestAwaitTakenMissesNothing(t *testing.T) {
	d, a := pair(t, "unix")
	packet := make([]byte, 300)
	read := make(chan error, 1)
	go func() {
		buf := make([]byte, len(packet))
		for {
			if _, err := io.ReadFull(a, buf); err != nil {
				read <- err
				return
			}
		}
	}()
	d.SetDeadline(time.Now().Add(patience))
	for i := range 20000 {
		if _, err := d.Write(packet); err != nil {
			t.Fatal(err)
		}
		if err := AwaitTaken(d); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	d.Close()
	if err := <-read; err != io.EOF {
		t.Error(err)
	}
}
