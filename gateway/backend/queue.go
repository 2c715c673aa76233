package backend

import (
	"container/list"
	"context"
	"fmt"
	"time"
)

// A queue holds the requests that wait for a place. The requests of a host stand in a
// line, and the lines take turns, so that a host with many requests delays only its own.
// The zero queue is empty.
type queue struct {
	length int
	lines  map[string]*list.Element // of turns
	turns  list.List                // of *line, with the next one in front; no line is empty
}

// A line is the waiting requests of one host.
type line struct {
	host    string
	waiters list.List // of *waiter
}

// A waiter is one request in the queue.
type waiter struct {
	want  Want
	line  *line
	at    *list.Element // its element in line; nil: it no longer waits
	ready chan struct{} // closed when node or err is set
	node  *Node
	err   error
}

// push adds w at the end of its line, or in front of everything if it has waited before.
func (q *queue) push(w *waiter, again bool) {
	e := q.lines[w.want.Host]
	if e == nil {
		e = q.turns.PushBack(&line{host: w.want.Host})
		if q.lines == nil {
			q.lines = make(map[string]*list.Element)
		}
		q.lines[w.want.Host] = e
	}
	w.line = e.Value.(*line)
	q.length++
	if again {
		w.at = w.line.waiters.PushFront(w)
		q.turns.MoveToFront(e)
		return
	}
	w.at = w.line.waiters.PushBack(w)
}

// next returns the next waiter, or nil if there is none.
func (q *queue) next() *waiter {
	if q.length == 0 {
		return nil
	}
	return q.turns.Front().Value.(*line).waiters.Front().Value.(*waiter)
}

// serve ends the wait of w, which is the next waiter and has its node or its error.
func (q *queue) serve(w *waiter) {
	q.remove(w)
	if e := q.lines[w.line.host]; e != nil {
		q.turns.MoveToBack(e)
	}
	close(w.ready)
}

func (q *queue) remove(w *waiter) {
	w.line.waiters.Remove(w.at)
	w.at = nil
	q.length--
	if w.line.waiters.Len() == 0 {
		q.turns.Remove(q.lines[w.line.host])
		delete(q.lines, w.line.host)
	}
}

// last returns the waiter to refuse when the queue is full and a request of host comes:
// the newest one of the longest line, if that is longer than the line of host; else nil.
func (q *queue) last(host string) *waiter {
	var longest *line
	for e := q.turns.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*line); longest == nil || l.waiters.Len() > longest.waiters.Len() {
			longest = l
		}
	}
	own := 0
	if e := q.lines[host]; e != nil {
		own = e.Value.(*line).waiters.Len()
	}
	if longest == nil || longest.waiters.Len() <= own+1 {
		return nil
	}
	return longest.waiters.Back().Value.(*waiter)
}

// acquire returns a node at which d has a place, at once or after a wait.
func (d *dialing) acquire(ctx context.Context) (*Node, error) {
	p := d.p
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.tryTake(d.want)
	if n != nil && n.isEjected() && d.hasTried(n) {
		d.exhausted()
		p.give(n)
		n = nil
	}
	if n == nil && err == nil {
		n, err = d.wait(ctx)
	}
	switch {
	case err == ErrUnavailable:
		return nil, d.unavailable()
	case err == ErrQueueTimeout && d.short != nil:
		return nil, fmt.Errorf("%w: %w", ErrShortage, d.short)
	case err == ErrQueueTimeout && p.isAway():
		return nil, d.unavailable()
	}
	return n, err
}

// tryTake takes a place if one is free. It returns ErrUnavailable if there is no server to
// wait for. p.mu is held.
func (p *pool) tryTake(w Want) (*Node, error) {
	switch {
	case p.closed || !p.mayServe():
		return nil, ErrUnavailable
	case p.resting && p.isAway():
		return nil, nil
	}
	n := p.choose(w)
	if n != nil {
		p.take(n)
	}
	return n, nil
}

// wait waits in the queue. p.mu is held, except while it waits.
func (d *dialing) wait(ctx context.Context) (*Node, error) {
	p := d.p
	if p.isAway() {
		if n, err := d.askAway(); n != nil || err != nil {
			return n, err
		}
	}
	if d.queued.IsZero() {
		d.queued = time.Now()
		p.counts.queued++
	}
	if !d.returned && !p.makeRoom(d.want.Host) {
		p.counts.queueFull++
		return nil, ErrQueueFull
	}
	w := &waiter{want: d.want, ready: make(chan struct{})}
	p.queue.push(w, d.returned)
	p.mu.Unlock()
	began := time.Now()
	err := w.await(ctx, p.options().queueTimeout()-began.Sub(d.queued))
	d.waited += time.Since(began)
	p.mu.Lock()
	return p.outcome(w, err)
}

// askAway notes that there is no server, and asks once whether the request shall wait. It
// returns nil and nil if it shall. p.mu is held, except while it asks.
func (d *dialing) askAway() (*Node, error) {
	p := d.p
	now := time.Now()
	p.outage.Store(&now)
	away := d.want.Away
	if away == nil {
		return nil, nil
	}
	d.want.Away = nil
	p.mu.Unlock()
	leaves := away()
	p.mu.Lock()
	if leaves {
		return nil, ErrUnavailable
	}
	return p.tryTake(d.want) // a server may be back
}

// makeRoom makes room in the queue for one more request of host, if need be by refusing
// another host's. It reports whether there is room. p.mu is held.
func (p *pool) makeRoom(host string) bool {
	if p.queue.length < p.options().queueLength() {
		return true
	}
	w := p.queue.last(host)
	if w == nil {
		return false
	}
	p.counts.queueFull++
	w.err = ErrQueueFull
	p.queue.remove(w)
	close(w.ready)
	return true
}

// await waits until w is served, ctx is done or the limit is over.
func (w *waiter) await(ctx context.Context, limit time.Duration) error {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return ErrQueueTimeout
	}
}

// outcome returns the result of a wait that ended with err, or the node that w was given
// in the meantime. p.mu is held.
func (p *pool) outcome(w *waiter, err error) (*Node, error) {
	switch {
	case w.at != nil:
		p.queue.remove(w)
	case w.err != nil:
		return nil, w.err
	case err == nil, err == ErrQueueTimeout:
		return w.node, nil
	default: // the client has left, so its place is free again
		p.give(w.node)
	}
	if err == ErrQueueTimeout {
		p.counts.queueTimeouts++
	}
	return nil, err
}

// dispatch gives free places to waiting requests. It is called after every change that
// may free a place, so no request waits while a place is free. p.mu is held.
func (p *pool) dispatch() {
	for w := p.queue.next(); w != nil; w = p.queue.next() {
		if w.node, w.err = p.tryTake(w.want); w.node == nil && w.err == nil {
			return
		}
		p.queue.serve(w)
	}
}

// busyPause is how long a server with a full backlog gets no requests, unless a request
// to it ends earlier.
const busyPause = 10 * time.Millisecond

// full notes that n's backlog is full, or that this machine has no room for another
// connection. n gets no more requests than it has, and one more after each pause: the
// backlog may be full of other clients' requests. p.mu is held.
func (p *pool) full(n *Node) {
	n.room = n.open
	if !n.isFull && !n.gone && !p.closed {
		n.isFull = true
		n.relief = time.AfterFunc(busyPause, func() { p.relieve(n) })
	}
	p.settle(n)
}

// relieve gives n room for one more request after a pause.
func (p *pool) relieve(n *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.gone || p.closed {
		return
	}
	n.room++
	if p.queue.length == 0 {
		n.isFull = false
	} else {
		n.relief.Reset(busyPause)
	}
	p.settle(n)
	p.dispatch()
}
