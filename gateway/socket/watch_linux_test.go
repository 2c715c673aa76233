package socket

import (
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		name, network string
		half          bool
		leave         func(peer *Conn)
		want          bool
	}{
		{"a peer closes", "unix", false, func(p *Conn) { p.Close() }, true},
		{"a peer closes, TCP", "tcp", true, func(p *Conn) { p.Close() }, true},
		{"a peer resets", "tcp", false, func(p *Conn) { p.SetLinger(0); p.Close() }, true},
		{"a peer ends its direction", "unix", false, func(p *Conn) { p.CloseWrite() }, false},
		{"a peer ends its direction, and that counts", "unix", true, func(p *Conn) { p.CloseWrite() }, true},
		{"a peer ends its direction, TCP", "tcp", false, func(p *Conn) { p.CloseWrite() }, false},
		{"a peer sends something", "unix", true, func(p *Conn) { p.Write([]byte("x")) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, a := pair(t, tt.network)
			called := make(chan bool, 2)
			stop, ok := a.Watch(tt.half, func() { called <- true })
			if !ok {
				t.Fatal("the connection cannot be watched")
			}
			defer stop()
			tt.leave(d)
			if !tt.want {
				passing(t) // whatever comes before it has been seen
				select {
				case <-called:
					t.Error("it has called")
				default:
				}
				return
			}
			await(t, called)
		})
	}
}

// passing has another peer leave, and waits until that has been noticed.
func passing(t *testing.T) {
	t.Helper()
	d, a := pair(t, "unix")
	called := make(chan bool, 1)
	if _, ok := a.Watch(true, func() { called <- true }); !ok {
		t.Fatal("the connection cannot be watched")
	}
	d.Close()
	await(t, called)
}

func await(t *testing.T, called chan bool) {
	t.Helper()
	select {
	case <-called:
	case <-time.After(patience):
		t.Fatal("nobody has called")
	}
}

func TestWatchStops(t *testing.T) {
	d, a := pair(t, "unix")
	stop, ok := a.Watch(true, func() { t.Error("it has called") })
	if !ok {
		t.Fatal("the connection cannot be watched")
	}
	stop()
	d.Close()
	passing(t)
	a.Close()
	if _, ok := a.Watch(true, func() {}); ok {
		t.Error("a closed connection is watched")
	}
}

// A connection that has been closed must not be reported when another one has its
// number.
func TestWatchTellsOneFromAnother(t *testing.T) {
	d, a := pair(t, "unix")
	if _, ok := a.Watch(true, func() { t.Error("it has called for one that was closed before") }); !ok {
		t.Fatal("the connection cannot be watched")
	}
	a.Close()
	d.Close()
	for range 100 {
		passing(t)
	}
}
