package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Delete removes a key from every server that may hold it: those that the ring
// chooses and, if it is another one, Addr. Only Key, HashKey, Addr and Of of the
// entry are used. It returns when all servers have responded, when ctx is done, or
// after Timeout. With Copies, the last good copy is deleted together with its page.
//
// After nil, the key is gone, and no Put that returned before Delete was called
// brings it back: Delete drops a queued entry and waits for one that is being
// written. A Put during the Delete may be dropped. A Put after it is stored.
//
// Delete writes a tombstone, so that other Writers do not store a page that was
// requested before it. Such a page may be visible between its store and its
// removal, for two round trips to the server. A page that another Writer requests
// within 100 ms after Delete is not stored either, since clocks may differ.
//
// A set that timed out earlier may still lie in the socket of a server that hangs,
// and be executed after the Delete. The expiry of its entry bounds that.
//
// An error means that a server may still hold the key. The delete is pending then:
// the key is deleted as soon as the server can be reached again, within
// Pending.MaxAge, without another call. If a later entry of the key is stored
// first, and the key was not purged, the delete is dropped. In addition, the key is
// deleted from all other servers of the ring, where nginx or Put may have gone
// while the first one was down; Delete does not wait for that.
//
// A server whose breaker is open is not asked: its error is ErrServerDown, at once.
// ErrRefused is wrapped if memcached responded with an error line. Errors of
// several servers are joined.
func (w *Writer) Delete(ctx context.Context, e Entry) error {
	p, t, addrs, err := w.beginPurge(e, false)
	if err != nil {
		return err
	}
	return w.deleteAt(ctx, t, addrs, p)
}

// DeleteLater is Delete for a caller that does not wait. The deletes of a server are sent
// together, before anything else that is queued, and an entry that Put accepts after
// DeleteLater is stored after the delete. A delete that fails is pending. The only
// errors are those of CheckKey, ErrUnknownServer and ErrNoServer.
func (w *Writer) DeleteLater(e Entry) error { return w.deleteLater(e, false) }

// Withdraw is DeleteLater for a page that is probably not there, such as one that the
// application has just refused to show. It is a purge only if there was something:
// else it leaves no tombstone, and a page that was requested before may still be stored. So those
// who request many pages that do not exist do not fill memcached with tombstones.
func (w *Writer) Withdraw(e Entry) error { return w.deleteLater(e, true) }

func (w *Writer) deleteLater(e Entry, lazy bool) error {
	p, t, addrs, err := w.beginPurge(e, lazy)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		t.stores[addr].deleteLater(p, true)
	}
	return nil
}

// beginPurge returns the purge of an entry, and the servers that may hold it. It notes
// the purge for entries of this Writer, unless it is lazy, and begins it at all other servers.
func (w *Writer) beginPurge(e Entry, lazy bool) (p purge, t *tier, addrs []string, err error) {
	key := Escape(e.Key)
	if err := CheckKey(key); err != nil {
		return p, nil, nil, err
	}
	t = w.servers()
	if addrs, err = t.holders(e); err != nil {
		return p, nil, nil, err
	}
	p = purge{keys: []string{key}, at: w.clock(), lazy: lazy}
	if e.Of == "" {
		p.tomb = Sibling(KindTombstone, e.Key)
	}
	if w.Copies && e.Of == "" {
		p.keys = append(p.keys, Sibling(KindCopy, e.Key))
	}
	if !lazy {
		w.purges.note(key, p.at)
	}
	for _, addr := range t.ring.live {
		if !slices.Contains(addrs, addr) {
			t.stores[addr].deleteLater(p, false)
		}
	}
	return p, t, addrs, nil
}

// Expire removes a page that has expired. Unlike Delete it is no purge: the last
// good copy stays, pages that were requested before are stored, and only the
// servers that the ring chooses, and Addr, are asked.
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
	ctx, cancel := context.WithTimeoutCause(ctx, w.OperationTimeout(), errTimeout)
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

// maxDeleters bounds the connections that Deletes use at one server.
const maxDeleters = 32

// delete drops queued entries of the keys, waits until none of the keys is being
// written, and deletes the keys together, all within ctx. While the breaker is open
// it does not wait: the deletes are pending at once, and a worker that sends one of
// them is the probe.
func (s *store) delete(ctx context.Context, p purge) error {
	written, pending, err := s.beginDelete(p.keys)
	if err != nil {
		return err
	}
	err = s.deleteAfter(ctx, written, p)
	s.endDelete(p, pending, err)
	if err != nil {
		return fmt.Errorf("cachewriter: delete on %s: %w", s.addr, err)
	}
	return nil
}

// beginDelete keeps entries of the keys out until endDelete. It returns channels
// that are closed when the writes under way have ended, and the pending deletes
// that this one replaces.
func (s *store) beginDelete(keys []string) (written []<-chan struct{}, pending []*pendingDelete, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, nil, ErrClosed
	}
	s.w.running.Add(1)
	for _, key := range keys {
		s.keys.deleting[key]++
		if el, ok := s.queue.byKey[key]; ok {
			s.drop(el, DropSuperseded)
		}
		if busy := s.keys.writing[key]; busy != nil {
			written = append(written, busy)
		}
		pending = append(pending, s.pending.of(key))
	}
	return written, pending, nil
}

// deleteAfter deletes the keys after the writes under way have ended.
func (s *store) deleteAfter(ctx context.Context, written []<-chan struct{}, p purge) error {
	if s.isDown() {
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
	case s.deleters <- struct{}{}:
		defer func() { <-s.deleters }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.isDown() { // the breaker may have opened meanwhile
		return ErrServerDown
	}
	start := s.w.clock()
	c := s.checkOut()
	err := c.purge(ctx, s.w, p)
	s.checkIn(c)

	s.mu.Lock()
	report := s.record(ctx, false, start, err)
	s.wakeWorkers()
	s.mu.Unlock()
	report()
	return err
}

// endDelete accepts entries of the keys again. If the delete has failed it is
// pending before that.
func (s *store) endDelete(p purge, pending []*pendingDelete, err error) {
	defer s.w.running.Done()
	s.mu.Lock()
	report := func() {}
	if err == nil {
		s.stats.Deletes++
	} else {
		s.stats.DeleteErrors++
		if !errors.Is(err, ErrServerDown) {
			s.pauseRetries()
		}
		report = s.addPending(p)
	}
	for i, key := range p.keys {
		if err == nil {
			s.pending.remove(pending[i])
		}
		if s.keys.deleting[key]--; s.keys.deleting[key] == 0 {
			delete(s.keys.deleting, key)
		}
	}
	s.mu.Unlock()
	report()
}
