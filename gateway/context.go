package gateway

import (
	"context"
	"net"
	"sync"

	"uwgate/gateway/socket"
)

// A requestContext is the context of one request, and holds its connection to a backend:
// it closes the connection when the context ends, which wakes whoever reads or writes
// there. It is cheaper than context.AfterFunc, and there is one for every request.
//
// Closing a connection may wait, so it is done in a goroutine. wait waits for it.
type requestContext struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	closing sync.WaitGroup

	mu    sync.Mutex // guards what follows
	held  net.Conn   // nil: none
	ended bool
}

// newRequestContext makes one whose context ends with parent, too. The caller then calls
// end, or what is held stays open.
func newRequestContext(parent context.Context) *requestContext {
	t := &requestContext{}
	t.ctx, t.cancel = context.WithCancelCause(parent)
	return t
}

// end ends the context. The cause of the first call counts.
func (t *requestContext) end(cause error) {
	t.cancel(cause)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	if held := t.held; held != nil {
		t.held = nil
		t.closing.Go(func() { held.Close() }) // it takes locks, and the caller may hold some
	}
}

// hold closes nc when the context ends, until letGo is called.
func (t *requestContext) hold(nc net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		nc.Close()
		return
	}
	t.held = nc
}

func (t *requestContext) letGo() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held = nil
}

// wait waits until what was held is closed. Nothing may be held any more.
func (t *requestContext) wait() { t.closing.Wait() }

// requestContexts are those of the clients that are being served.
type requestContexts struct {
	mu  sync.Mutex                   // guards what follows
	all map[*requestContext]net.Conn // to the client
	cut bool                         // new clients are cut off at once
}

// add makes the context of a client's request.
func (s *requestContexts) add(client net.Conn) *requestContext {
	t := newRequestContext(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cut {
		t.cutOff(client)
		return t
	}
	if s.all == nil {
		s.all = make(map[*requestContext]net.Conn)
	}
	s.all[t] = client
	return t
}

// remove forgets the context of a client that has been served, and ends it.
func (s *requestContexts) remove(t *requestContext) {
	s.mu.Lock()
	delete(s.all, t)
	s.mu.Unlock()
	t.end(nil)
	t.wait()
}

// cutAll breaks off all requests, and those to come. It returns when their connections
// are closed; over TLS that takes up to a second.
func (s *requestContexts) cutAll() {
	var cuts sync.WaitGroup
	defer cuts.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
	for t, client := range s.all {
		cuts.Go(func() { t.cutOff(client) })
	}
}

func (t *requestContext) cutOff(client net.Conn) {
	t.end(nil)
	socket.Cut(client, true)
}
