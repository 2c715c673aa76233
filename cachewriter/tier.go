package cachewriter

import (
	"cmp"
	"context"
	"fmt"
)

// A tier is a ring and the stores of its servers. It does not change.
type tier struct {
	ring   *Ring
	stores map[string]*store // by canonical address
}

// newTier takes over the stores of servers that were there before.
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

// servers is the current tier.
func (w *Writer) servers() *tier {
	w.once.Do(w.init)
	return w.tier.Load()
}

// SetRing replaces the current ring. Servers of both rings keep their queue and
// their pending deletes. Those of a server that is not in the new ring are dropped:
// make sure that such a server is empty if it comes back within the life of an
// entry. After Close SetRing does nothing.
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

// putAt queues an entry for servers that are equally good. The error is nil if any
// accepted it, else the first server's.
func (t *tier) putAt(addrs []string, it item, done func(error)) error {
	var first error
	taken := false
	o := newOutcome(done)
	for _, addr := range addrs {
		own := it
		own.done = o.forServer()
		err := t.stores[addr].put(&own)
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

// route returns the addresses that an entry is written to.
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

// holders returns the addresses that may hold an entry. The ring's choice is among
// them even if e.Addr is another server: a gateway that did not get an Addr wrote
// there.
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

// abandon drops what is queued and returns the number of entries.
func (t *tier) abandon() (left int) {
	for _, s := range t.stores {
		left += s.abandon()
	}
	return left
}

// pendingCount is the number of deletes that are still pending after Close, and why.
func (t *tier) pendingCount(ctx context.Context) (n int, cause error) {
	for _, s := range t.stores {
		s.mu.Lock()
		n += s.pending.count() + len(s.wide.owed)
		s.mu.Unlock()
	}
	if cause = context.Cause(ctx); cause == nil {
		cause = ErrServerDown
	}
	return n, cause
}
