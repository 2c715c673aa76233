package cachewriter

import (
	"cmp"
	"errors"
)

// Takes reports whether Put would take the entry now, at a server that answers. It
// does not take room for it: another entry may come first. Expires is not looked at.
func (w *Writer) Takes(e Entry) bool {
	key := Escape(e.Key)
	if CheckKey(key) != nil {
		return false
	}
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return false
	}
	it := &item{key: key, body: e.Body, began: e.Began}
	for _, addr := range addrs {
		if t.stores[addr].takes(it) {
			return true
		}
	}
	return false
}

func (s *store) takes(it *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := it.size()
	return !s.closing && !s.breaker.open && !s.w.purges.since(it.key, it.began) &&
		s.entries < s.maxEntries && (s.entries == 0 || s.bytes+size <= s.maxBytes) && s.w.room.left.Load() >= size
}

// IsDown reports whether the breaker of a server to which the entry belongs is open: what
// becomes of the entry may not be known for long. Only Key, HashKey and Addr are looked at.
func (w *Writer) IsDown(e Entry) bool {
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return true
	}
	for _, addr := range addrs {
		if t.stores[addr].down() {
			return true
		}
	}
	return false
}

// Put queues an entry for its server, or its servers, and returns at once. An
// entry of the same key that still waits there is superseded.
//
// Where the key decides and Addr does not, an entry whose server is down goes
// where nginx goes then: to the next of Ring.Order, or one of the two after that.
// An Addr is never replaced by another: whoever named it knew.
//
// It returns an error of CheckKey's; ErrExpired; ErrUnknownServer if Addr is not in the
// ring; ErrNoServer; and, if no server took the entry, why the first one did not:
// ErrPurged, ErrQueueFull, ErrServerDown or ErrClosed. Nil is no promise: what
// becomes of the entry is seen in Stats.
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
		e.Began = now.Add(1) // after every Delete that has returned, on a coarse clock, too
	}
	t := w.servers()
	addrs, err := t.route(e)
	if err != nil {
		return err
	}
	err = t.putAt(addrs, key, e)
	if !errors.Is(err, ErrServerDown) || e.Addr != "" {
		return err
	}
	for i, addrs := range t.ring.order(cmp.Or(e.HashKey, e.Key), 1+maxFailover) {
		if i == 0 {
			continue // has been asked
		}
		if next := t.putAt(addrs, key, e); !errors.Is(next, ErrServerDown) {
			return next
		}
	}
	return err
}

// maxFailover is how many servers after the first an entry is offered to.
const maxFailover = 3
