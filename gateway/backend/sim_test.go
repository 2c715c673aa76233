package backend

import (
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A network replaces the real one below a pool. A server is a name and what happens to
// connections to it.
type network struct {
	mu      sync.Mutex
	servers map[string]server // by Addr
	dialed  []string          // in order, including probes
}

// A server decides on a connect, and acts on the connection. Nil accepts, and closes at
// the first byte, as a worker without the ping plugin does.
type server func(nc net.Conn) error

// simulate gives p a network of its own, where all servers accept.
func simulate(p *Pool) *network {
	w := &network{servers: make(map[string]server)}
	p.dialer = w.dialer()
	return w
}

func (w *network) dialer() func(context.Context, *Node, time.Duration) (net.Conn, error) {
	return func(ctx context.Context, n *Node, d time.Duration) (net.Conn, error) {
		return w.dial(ctx, n.name, d)
	}
}

func (w *network) set(addr string, s server) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.servers[addr] = s
}

func (w *network) dial(ctx context.Context, addr string, d time.Duration) (net.Conn, error) {
	w.mu.Lock()
	w.dialed = append(w.dialed, addr)
	s := w.servers[addr]
	w.mu.Unlock()
	ours, theirs := net.Pipe()
	if s == nil {
		s = closes
	}
	if err := s(theirs); err != nil {
		if err == errSilence {
			err = wait(ctx, d)
		}
		return nil, err
	}
	return ours, nil
}

// times returns how often addr was dialled.
func (w *network) times(addr string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.dialed {
		if d == addr {
			n++
		}
	}
	return n
}

const errSilence = syscall.Errno(0xfff) // the host drops packets

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return context.DeadlineExceeded
	}
}

// closes accepts, reads something and closes.
func closes(nc net.Conn) error {
	go func() {
		nc.Read(make([]byte, 4096))
		nc.Close()
	}()
	return nil
}

// hangs accepts and sends nothing until the client closes.
func hangs(nc net.Conn) error {
	go func() {
		for {
			if _, err := nc.Read(make([]byte, 64)); err != nil {
				nc.Close()
				return
			}
		}
	}()
	return nil
}

func refuses(nc net.Conn) error { return syscall.ECONNREFUSED }
func full(nc net.Conn) error    { return syscall.EAGAIN }
func drops(nc net.Conn) error   { return errSilence }

// dial is a Dial that must succeed.
func dial(t testing.TB, p *Pool, w Want) *Conn {
	t.Helper()
	nc, err := p.Dial(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// shares counts the connections that each server got, and closes them at once.
func shares(t testing.TB, p *Pool, requests int, w Want) map[string]int {
	t.Helper()
	got := make(map[string]int)
	for range requests {
		nc := dial(t, p, w)
		got[nc.Node.String()]++
		nc.Report(Responded)
		nc.Close()
	}
	return got
}

// checkIdle reports places that were not given back.
func checkIdle(t *testing.T, p *Pool) {
	t.Helper()
	for _, s := range p.Stats() {
		if s.InFlight != 0 {
			t.Errorf("%s: %d requests in flight at the end, want none", s.Name, s.InFlight)
		}
	}
	if s := p.PoolStats(); s.Waiting != 0 {
		t.Errorf("%d requests wait at the end", s.Waiting)
	}
}

// launch starts p as the first Dial does.
func launch(p *Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start()
}
