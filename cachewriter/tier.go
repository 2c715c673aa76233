package cachewriter

import (
	"cmp"
	"context"
	"fmt"
)

// A tier is the servers that a Writer writes to, and the ring that chooses among
// them. It does not change.
type tier struct {
	ring   *Ring
	stores map[string]*store // by canonical address
}

// newTier keeps the stores of the servers that were there before.
func newTier(w *Writer, ring *Ring, before map[string]*store) *tier {
	t := &tier{ring, make(map[string]*store, len(ring.addrs))}
	for _, addr := range ring.addrs {
		if s := before[addr]; s != nil {
			s.resize(len(ring.addrs))
			t.stores[addr] = s
			continue
		}
		t.stores[addr] = newStore(w, addr, len(ring.addrs))
	}
	return t
}

// servers is the tier in force.
func (w *Writer) servers() *tier {
	w.once.Do(w.init)
	return w.tier.Load()
}

// SetRing puts another ring in the place of the one in force. Servers of both keep
// their queue, and what is owed to them. What is queued for a server that is in the
// new one no more is dropped; a delete owed to it is forgotten, so that it should be
// empty if it comes back within the life of an entry. After Close SetRing does
// nothing.
func (w *Writer) SetRing(ring *Ring) {
	w.changes.Lock()
	defer w.changes.Unlock()
	if w.closed.Load() {
		return
	}
	old := w.servers()
	next := newTier(w, ring, old.stores)
	w.tier.Store(next)
	for addr, s := range old.stores {
		if next.stores[addr] == nil {
			s.close()
			s.abandon()
		}
	}
}

// putAt queues an entry for servers of the same rank. The error is the first
// one's, and nil if any took it.
func (t *tier) putAt(addrs []string, key string, e Entry) error {
	var first error
	taken := false
	o := newOutcome(e.Done)
	for _, addr := range addrs {
		err := t.stores[addr].put(&item{
			key: key, page: cmp.Or(Escape(e.Of), key), of: cmp.Or(e.Of, e.Key), body: e.Body, flags: e.Flags,
			expires: e.Expires, began: e.Began, done: o.of(),
		})
		if err != nil {
			o.add(err)
		}
		taken = taken || err == nil
		first = cmp.Or(first, err)
	}
	if taken {
		o.end()
		return nil
	}
	return first
}

// route names the servers that an entry is written to.
func (t *tier) route(e Entry) ([]string, error) {
	if e.Addr == "" {
		return t.picked(e)
	}
	addr, ok := t.ring.find(e.Addr)
	if !ok {
		return nil, fmt.Errorf("%w: %q", ErrUnknownServer, e.Addr)
	}
	return []string{addr}, nil
}

func (t *tier) picked(e Entry) ([]string, error) {
	addrs := t.ring.Pick(cmp.Or(e.HashKey, e.Key))
	if len(addrs) == 0 {
		return nil, ErrNoServer
	}
	return addrs, nil
}

// holders names the servers that may hold an entry: nginx may have asked one
// while the ring, or a gateway that was not told, chose another.
func (t *tier) holders(e Entry) ([]string, error) {
	addrs, err := t.route(e)
	if err != nil || e.Addr == "" {
		return addrs, err
	}
	for _, addr := range t.ring.Pick(cmp.Or(e.HashKey, e.Key)) {
		if addr != addrs[0] {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}

func (t *tier) close() {
	for _, s := range t.stores {
		s.close()
	}
}

// abandon drops what is queued and says how much that was.
func (t *tier) abandon() (left int) {
	for _, s := range t.stores {
		left += s.abandon()
	}
	return left
}

// leftOwed is how many deletes the stores still owe after the end, and why.
func (t *tier) leftOwed(ctx context.Context) (n int, cause error) {
	for _, s := range t.stores {
		s.mu.Lock()
		n += s.owed()
		s.mu.Unlock()
	}
	if cause = context.Cause(ctx); cause == nil {
		cause = ErrServerDown
	}
	return n, cause
}
