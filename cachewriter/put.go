package cachewriter

import (
	"cmp"
	"errors"
)

// Put queues an entry for its server or servers and returns at once. It replaces
// an entry of the same key that is still queued.
//
// If the key decides the server and that server is down, the entry goes where
// nginx goes next: to one of the three servers that follow in nginx's order. An
// entry with an Addr goes to that server only.
//
// Put returns an error of CheckKey's; ErrExpired; ErrUnknownServer if Addr is not
// in the ring; ErrNoServer; or, if no server accepted the entry, the first
// server's reason: ErrPurged, ErrQueueFull, ErrServerDown or ErrClosed. Nil does
// not promise that the entry will be stored: see Entry.Done and Stats.
func (w *Writer) Put(e Entry) error {
	key := Escape(e.Key)
	if err := CheckKey(key); err != nil {
		return err
	}
	now := w.clock()
	if !e.Expires.After(now) {
		return ErrExpired
	}
	if e.Began.IsZero() {
		e.Began = now.Add(1) // after every Delete that has returned, even if the clock is coarse
	}
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return err
	}
	it := w.newItem(key, e)
	err = t.putAt(addrs, it, e.Done)
	if !errors.Is(err, ErrServerDown) || e.Addr != "" {
		return err
	}
	for i, addrs := range t.ring.order(cmp.Or(e.HashKey, e.Key), 1+maxFailover) {
		if i == 0 {
			continue // this one is down
		}
		if next := t.putAt(addrs, it, e.Done); !errors.Is(next, ErrServerDown) {
			return next
		}
	}
	return err
}

// newItem returns an item for an entry. It has no done.
func (w *Writer) newItem(key string, e Entry) item {
	it := item{
		key: key, page: cmp.Or(Escape(e.Of), key), of: cmp.Or(e.Of, e.Key), body: e.Body, flags: e.Flags,
		expires: e.Expires, began: e.Began,
	}
	it.describe(w, e)
	return it
}

// maxFailover is the number of servers after the first that an entry is offered to.
const maxFailover = 3

// Accepts reports whether Put would accept the entry now, at a server that is known to be up:
// its last operation did not fail, the connection of the last write is still there, and no
// delete waits for it. It reserves nothing, so a later Put may still fail. Expires is
// ignored.
func (w *Writer) Accepts(e Entry) bool {
	key := Escape(e.Key)
	if CheckKey(key) != nil {
		return false
	}
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return false
	}
	it := &item{key: key, body: e.Body, began: e.Began, subject: w.subjectOf(e)}
	for _, addr := range addrs {
		if t.stores[addr].accepts(it) {
			return true
		}
	}
	return false
}

// IsDown reports whether the breaker of a server of the entry is open, or no
// server is known for it: the outcome of a Put may stay unknown for long. Only Key,
// HashKey and Addr are used.
func (w *Writer) IsDown(e Entry) bool {
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return true
	}
	for _, addr := range addrs {
		if t.stores[addr].isDown() {
			return true
		}
	}
	return false
}

// put queues an item. It replaces an older one of the same key.
func (s *store) put(it *item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	// Under mu: a Delete notes the key first and empties the queue then. So it
	// either finds this item in the queue, or this check sees its note.
	now := s.w.clock()
	if now.Sub(it.began) >= maxFillAge || s.w.purges.since(it.key, it.began) || s.w.purges.since(it.page, it.began) || s.w.wide.since(it.subject, it.began) {
		s.stats.Dropped[DropPurged]++
		return ErrPurged
	}
	if !s.breaker.admits(now) {
		s.stats.Dropped[DropServerDown]++
		return ErrServerDown
	}
	if s.keys.deleting[it.key] > 0 {
		s.stats.Dropped[DropSuperseded]++
		it.finish(ErrPurged)
		return nil
	}
	old, ok := s.queue.push(it)
	if !ok {
		s.stats.Dropped[DropQueueFull]++
		return ErrQueueFull
	}
	if old != nil {
		old.finish(errSuperseded)
		s.stats.Dropped[DropSuperseded]++
	}
	s.start()
	s.wakeWorker()
	return nil
}

func (s *store) accepts(it *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	isUp := !s.breaker.open && s.breaker.failures == 0 && s.pending.len() == 0 && s.proven != nil && s.proven.isUp()
	return isUp && !s.closing && !s.w.purges.since(it.key, it.began) && !s.w.wide.since(it.subject, it.began) && s.queue.hasRoom(it)
}
