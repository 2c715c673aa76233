package gateway

import (
	"context"
	"net"
	"sync"

	"uwgate/gateway/socket"
)

// A tether is the context of an exchange, and holds its connection to a backend: that
// is closed when the context ends, which is how a reader or writer of it learns of
// it. It is cheaper than functions after the context, since there is one for every
// request.
type tether struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	watcher *socket.Watcher // of clients; nil: none

	mu    sync.Mutex
	held  net.Conn // nil: none
	ended bool
}

// newTether makes one whose context ends with parent, too; the caller calls end then,
// or what is held stays open.
func newTether(parent context.Context) *tether {
	t := &tether{}
	t.ctx, t.cancel = context.WithCancelCause(parent)
	return t
}

// end ends the context for the first cause of all.
func (t *tether) end(cause error) {
	t.cancel(cause)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if t.held != nil {
		go t.held.Close() // it takes locks, and the caller may have some
		t.held = nil
	}
}

// hold has nc closed when the context ends, until letGo.
func (t *tether) hold(nc net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		nc.Close()
		return
	}
	t.held = nc
}

func (t *tether) letGo() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = nil
}

// tethers are those of the clients that are being served.
type tethers struct {
	watcher *socket.Watcher

	mu  sync.Mutex
	all map[*tether]net.Conn // to the client
	cut bool                 // whoever comes is cut off at once
}

// add makes the tether of a client.
func (s *tethers) add(client net.Conn) *tether {
	t := newTether(context.Background())
	t.watcher = s.watcher
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		t.cutOff(client)
		return t
	}
	if s.all == nil {
		s.all = make(map[*tether]net.Conn)
	}
	s.all[t] = client
	return t
}

// remove forgets a tether, whose client is through, and ends it.
func (s *tethers) remove(t *tether) {
	s.mu.Lock()
	delete(s.all, t)
	s.mu.Unlock()
	t.end(nil)
}

// cutAll breaks off everything.
func (s *tethers) cutAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
	for t, client := range s.all {
		go t.cutOff(client) // over TLS that may take its time
	}
}

func (t *tether) cutOff(client net.Conn) {
	t.end(nil)
	socket.Cut(client, true)
}
