package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Delete removes a key from every server that may hold it: those that the ring
// names and, if that is another one, Addr. Only Key, HashKey, Addr and Of of the
// entry are looked at. It returns when all have answered, when ctx is done, or after
// Timeout. With Copies, all that is said of a page's key here holds for its copy, too.
//
// When it has returned nil the key is gone, and no Put that returned before Delete
// was called brings it back: one still queued is dropped, one being written is
// waited for. A Put during the Delete may be dropped. A Put after it is stored.
//
// Delete leaves a tombstone, so that other Writers do not store either what was asked
// for before it. Between the store of such a page and its removal it may be seen, for
// the time of two round trips to the server. A page that another Writer asked for within
// 100 ms after Delete is not stored, since clocks may differ.
//
// A set that had timed out before may still lie in a hung server's socket, and
// be carried out after the Delete: the entry's expiry bounds that, too.
//
// An error means that a server may still hold the key. It is owed the delete then:
// the key is remembered and deleted as soon as the server can be reached again,
// with no call from outside, within OweFor. A later entry of the key that has been
// stored there makes that needless. In the same way, and without Delete waiting for it,
// the key is deleted from all other servers of the ring, where nginx or Put may
// have gone while the first was down.
//
// A server whose breaker is open is not asked: its error is ErrServerDown, at once.
// The errors of several servers are joined.
func (w *Writer) Delete(ctx context.Context, e Entry) error {
	key := Escape(e.Key)
	if err := CheckKey(key); err != nil {
		return err
	}
	t := w.servers()
	addrs, err := t.holders(e)
	if err != nil {
		return err
	}
	p := purge{keys: []string{key}, at: w.clock()}
	if e.Of == "" {
		p.tomb = Sibling(KindTombstone, e.Key)
	}
	if w.Copies && e.Of == "" {
		p.keys = append(p.keys, Sibling(KindCopy, e.Key))
	}
	w.purges.note(key, p.at)
	for _, addr := range t.ring.live {
		if !slices.Contains(addrs, addr) {
			t.stores[addr].oweNow(p)
		}
	}
	return w.deleteAt(ctx, t, addrs, p)
}

// Expire removes a page whose time is over. It is no purge: its last good copy stays,
// fills under way are stored, and only the servers that the ring names, or Addr, are
// asked. Else it is Delete.
func (w *Writer) Expire(ctx context.Context, e Entry) error {
	key := Escape(e.Key)
	if err := CheckKey(key); err != nil {
		return err
	}
	t := w.servers()
	addrs, err := t.holders(e)
	if err != nil {
		return err
	}
	return w.deleteAt(ctx, t, addrs, purge{keys: []string{key}, at: w.clock()})
}

// deleteAt deletes at several servers, within Timeout.
func (w *Writer) deleteAt(ctx context.Context, t *tier, addrs []string, p purge) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.timeout(), errTimeout)
	defer cancel()
	if len(addrs) == 1 {
		return t.stores[addrs[0]].delete(ctx, p)
	}
	errs := make([]error, len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() { errs[i] = t.stores[addr].delete(ctx, p) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// delete drops what is queued of the keys, waits for what is being written of them,
// and then deletes them together, all within ctx. While the breaker is open it does
// not wait at all: the keys are owed at once, and a worker that pays a debt is the probe.
func (s *store) delete(ctx context.Context, p purge) error {
	written, owed, err := s.beginDelete(p.keys)
	if err != nil {
		return err
	}
	err = s.deleteAfter(ctx, written, p)
	s.endDelete(p, owed, err)
	if err != nil {
		return fmt.Errorf("cachewriter: delete on %s: %w", s.addr, err)
	}
	return nil
}

// beginDelete bars the keys' way to the server until endDelete. All of written are
// closed once none of them is being written; owed is what the delete pays.
func (s *store) beginDelete(keys []string) (written []<-chan struct{}, owed []*debt, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, nil, ErrClosed
	}
	s.w.running.Add(1)
	for _, key := range keys {
		s.deleting[key]++
		if el, ok := s.queued[key]; ok {
			s.drop(el, DropSuperseded)
		}
		if busy := s.writing[key]; busy != nil {
			written = append(written, busy)
		}
		owed = append(owed, s.debts.of(key))
	}
	return written, owed, nil
}

func (s *store) deleteAfter(ctx context.Context, written []<-chan struct{}, p purge) error {
	if s.down() {
		return ErrServerDown
	}
	for _, done := range written {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case s.deletes <- struct{}{}:
		defer func() { <-s.deletes }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.down() { // what was waited for has opened it
		return ErrServerDown
	}
	start := s.w.clock()
	c := s.checkOut()
	err := c.purge(ctx, s.w, p)
	s.checkIn(c)

	s.mu.Lock()
	report := s.settle(ctx, false, start, err)
	s.wakeWorkers()
	s.mu.Unlock()
	report()
	return err
}

// endDelete lets the keys' entries pass again. A delete that failed is owed before
// they do.
func (s *store) endDelete(p purge, owed []*debt, err error) {
	defer s.w.running.Done()
	s.mu.Lock()
	report := func() {}
	if err == nil {
		s.stats.Deletes++
	} else {
		s.stats.DeleteErrors++
		if !errors.Is(err, ErrServerDown) {
			s.pausePaying()
		}
		report = s.owe(p)
	}
	for i, key := range p.keys {
		if err == nil {
			s.debts.forgive(owed[i])
		}
		if s.deleting[key]--; s.deleting[key] == 0 {
			delete(s.deleting, key)
		}
	}
	s.mu.Unlock()
	report()
}
