package backend

import (
	"container/list"
	"context"
	"time"
)

// A queue holds the requests that wait for a place, those of a host in a line.
// The lines take turns, so that a host with many requests makes its own wait
// and nobody else's. The zero queue is empty.
type queue struct {
	length int
	lines  map[string]*list.Element // of turns
	turns  list.List                // of *line, the next one in front; none is empty
}

type line struct {
	host    string
	waiters list.List // of *waiter
}

// A waiter is one request in the queue.
type waiter struct {
	want  Want
	line  *line
	at    *list.Element // in line; nil: it waits no longer
	ready chan struct{} // closed when it has a node or an error
	node  *Node
	err   error
}

// push adds w at the end of its line; at the very front if it has waited before.
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

// next returns who is to be served; nil if nobody waits.
func (q *queue) next() *waiter {
	if q.length == 0 {
		return nil
	}
	return q.turns.Front().Value.(*line).waiters.Front().Value.(*waiter)
}

// serve ends the wait of w, which is next, with what is in it by now.
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

// last returns the newest waiter of the longest line, if that is longer than
// host's: who has to go when the queue is full and host comes.
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

// acquire returns a node, and a place with it, at once or after a wait.
func (d *dialing) acquire(ctx context.Context) (*Node, error) {
	p := d.p
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := p.tryTake(d.want)
	if n == nil && err == nil {
		n, err = d.wait(ctx)
	}
	switch {
	case err == ErrUnavailable:
		return nil, d.unavailable()
	case err != nil:
		return nil, err
	case d.hasTried(n):
		p.give(n)
		return nil, d.unavailable()
	}
	return n, nil
}

// tryTake takes a place if one is free, and fails if there never will be one.
func (p *pool) tryTake(w Want) (*Node, error) {
	if p.closed || p.up() == 0 && p.tiers[ejected].members == 0 {
		return nil, ErrUnavailable
	}
	n := p.choose(w)
	if n != nil {
		p.take(n)
	}
	return n, nil
}

// wait waits in the queue. p.mu is held, but not while it waits.
func (d *dialing) wait(ctx context.Context) (*Node, error) {
	p := d.p
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
	err := w.await(ctx, p.options().queueTimeout()-time.Since(d.queued))
	p.mu.Lock()
	return p.outcome(w, err)
}

// makeRoom reports whether one more request of host may wait.
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

// outcome is that of a wait that ended with err, unless w was served in the
// meantime. p.mu is held.
func (p *pool) outcome(w *waiter, err error) (*Node, error) {
	switch {
	case w.at != nil:
		p.queue.remove(w)
	case w.err != nil:
		return nil, w.err
	case err == nil, err == ErrQueueTimeout:
		return w.node, nil
	default: // the client has left, and its place is free again
		p.give(w.node)
	}
	if err == ErrQueueTimeout {
		p.counts.queueTimeouts++
	}
	return nil, err
}

// dispatch gives places that are free to those who wait. It is called after
// every change that may free one; so nobody waits while a place is free. p.mu
// is held.
func (p *pool) dispatch() {
	for w := p.queue.next(); w != nil; w = p.queue.next() {
		if w.node, w.err = p.tryTake(w.want); w.node == nil && w.err == nil {
			return
		}
		p.queue.serve(w)
	}
}

// busyPause is how long a server whose backlog is full is left alone, unless a
// request to it ends before.
const busyPause = 10 * time.Millisecond

// full notes that n's backlog is full: it gets no more requests than it has,
// and one more after every pause, since others may be its clients, too. p.mu is
// held.
func (p *pool) full(n *Node) {
	n.busy.Add(1)
	n.room = n.open
	if !n.isFull && !n.gone {
		n.isFull = true
		n.relief = time.AfterFunc(busyPause, func() { p.relieve(n) })
	}
	p.settle(n)
}

func (p *pool) relieve(n *Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.gone {
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
