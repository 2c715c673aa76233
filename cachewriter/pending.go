package cachewriter

import (
	"cmp"
	"container/list"
	"errors"
	"time"

	"go.uber.org/zap"
)

// maxPendingBytes bounds the keys of one server's pending deletes.
const maxPendingBytes = 4 << 20

// A pendingDelete is a delete that has not reached its server.
type pendingDelete struct {
	key   string    // wire key
	tomb  string    // see purge
	at    time.Time // when the key was purged
	lazy  bool      // it is no purge unless there is something
	until time.Time // whatever lies under the key has expired by then
	probe bool      // it is the breaker's probe

	isFirst bool  // it was not tried yet
	settled bool  // err is known
	found   bool  // there was something
	err     error // of the last attempt
}

func (p *pendingDelete) purge() purge { return purge{[]string{p.key}, p.tomb, p.at, p.lazy} }

// size is the number of bytes that count against maxPendingBytes.
func (p *pendingDelete) size() int { return len(p.key) + len(p.tomb) }

// pendingDeletes are the deletes that have not reached one server, at most one for
// each key, in the order in which they are sent. It has no lock and no clock of its
// own.
type pendingDeletes struct {
	maxEntries int

	list  list.List // of *pendingDelete
	byKey map[string]*list.Element
	bytes int // of their keys

	sending int // deletes that a worker is sending; they are not in list
	refused int // deletes that the server refused after close; they are not in list

	retryAt    time.Time     // none is sent before
	retryPause time.Duration // the last pause that led to retryAt; 0 after a success
	abandoned  bool          // close has begun, and the server is down: none is sent any more
	lossLogged bool          // since the list was empty

	timer   *time.Timer // wakes a worker at timerAt; nil: none is set
	timerAt time.Time
}

// add appends a delete and removes an older one of the same key. If the new one has
// no tombstone it takes that of the older one. It returns false if there is no room.
func (d *pendingDeletes) add(p pendingDelete) bool {
	if old := d.of(p.key); old != nil {
		if p.tomb == "" {
			p.tomb, p.at, p.lazy = old.tomb, old.at, old.lazy
		}
		p.lazy = p.lazy && (old.tomb == "" || old.lazy)
		d.remove(old)
	}
	if len(d.byKey) >= d.maxEntries || d.bytes+p.size() > maxPendingBytes {
		return false
	}
	d.insert(&p, d.list.PushBack)
	return true
}

func (d *pendingDeletes) insert(p *pendingDelete, push func(any) *list.Element) {
	if d.byKey == nil {
		d.byKey = make(map[string]*list.Element)
	}
	d.byKey[p.key] = push(p)
	d.bytes += p.size()
}

// of returns the pending delete of a key, or nil.
func (d *pendingDeletes) of(key string) *pendingDelete {
	el, ok := d.byKey[key]
	if !ok {
		return nil
	}
	return el.Value.(*pendingDelete)
}

// remove removes p, but not a later delete of the same key. p may be nil.
func (d *pendingDeletes) remove(p *pendingDelete) {
	if p == nil || d.of(p.key) != p {
		return
	}
	d.list.Remove(d.byKey[p.key])
	delete(d.byKey, p.key)
	d.bytes -= p.size()
}

// removeStored removes p after its key has been stored again. A purge stays: another
// gateway may still store an older page.
func (d *pendingDeletes) removeStored(p *pendingDelete) {
	if p != nil && (p.tomb == "" || p.lazy) {
		d.remove(p)
	}
}

// restore inserts p again, in front or last, unless there is a later delete of its
// key.
func (d *pendingDeletes) restore(p *pendingDelete, last bool) {
	switch {
	case d.of(p.key) != nil:
	case last:
		d.insert(p, d.list.PushBack)
	default:
		d.insert(p, d.list.PushFront)
	}
}

// next returns the first delete whose key is not busy, or nil. It removes those
// that are too old.
func (d *pendingDeletes) next(now time.Time, busy func(key string) bool) *pendingDelete {
	for el := d.list.Front(); el != nil; {
		p := el.Value.(*pendingDelete)
		el = el.Next()
		if !p.until.After(now) {
			d.remove(p)
		} else if !busy(p.key) {
			return p
		}
	}
	return nil
}

// len is the number of deletes in the list.
func (d *pendingDeletes) len() int { return len(d.byKey) }

// count is the number of deletes that have not reached the server.
func (d *pendingDeletes) count() int { return d.len() + d.sending + d.refused }

// resetPause allows the next attempt at once.
func (d *pendingDeletes) resetPause() { d.retryAt, d.retryPause = time.Time{}, 0 }

// deleteLater makes the workers delete keys as soon as they can. It does not wait
// for them. Queued entries of the keys are dropped. With isFirst the server is one that
// should have the keys, and the outcome counts as that of a Delete.
func (s *store) deleteLater(p purge, isFirst bool) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	for _, key := range p.keys {
		if el, ok := s.queue.byKey[key]; ok {
			s.drop(el, DropSuperseded)
		}
	}
	report := s.appendPending(p, isFirst)
	s.mu.Unlock()
	report()
}

// addPending adds pending deletes. Call it with mu held, and call the function that
// it returns, which logs, without.
func (s *store) addPending(p purge) (report func()) { return s.appendPending(p, false) }

func (s *store) appendPending(p purge, isFirst bool) (report func()) {
	lost := false
	until := s.w.clock().Add(s.w.Pending.maxAge())
	for _, key := range p.keys {
		if !s.pending.add(pendingDelete{key: key, tomb: p.tomb, at: p.at, lazy: p.lazy, until: until, isFirst: isFirst}) {
			s.stats.Pending.Lost++
			lost = true
		}
	}
	if !s.closing {
		s.start()
		s.wakeWorker()
	}
	if !lost || s.pending.lossLogged {
		return func() {}
	}
	s.pending.lossLogged = true
	return func() {
		s.w.log().Warn("too many deletes are pending for memcached; pages that were purged meanwhile may come back until they expire",
			zap.String("server", s.addr))
	}
}

// takePending returns the next pending deletes that may be sent now. Until they are
// done no write of their keys begins: the delete must not come after that.
func (s *store) takePending() (deletes []*pendingDelete) {
	now := s.w.clock()
	if s.pending.abandoned || s.retryAfter().After(now) && !s.closing {
		return nil
	}
	for len(deletes) < maxBatch {
		p := s.pending.next(now, func(key string) bool { return s.keys.writing[key] != nil })
		if p == nil {
			break
		}
		probe, ok := s.breaker.begin()
		if !ok {
			break
		}
		p.probe = probe
		s.pending.remove(p)
		s.keys.writing[p.key] = make(chan struct{})
		s.pending.sending++
		deletes = append(deletes, p)
	}
	return deletes
}

// retryAfter is when pending deletes may be sent next: not while the breaker is
// open, and not soon after one has failed.
func (s *store) retryAfter() time.Time {
	if s.breaker.open && s.breaker.until.After(s.pending.retryAt) {
		return s.breaker.until
	}
	return s.pending.retryAt
}

// sendPending sends pending deletes and records the outcome.
func (s *store) sendPending(c *client, deletes []*pendingDelete) {
	start := s.w.clock()
	err := c.purgeAll(s.w.life, s.w, deletes)

	s.mu.Lock()
	failed := err
	for _, p := range deletes {
		close(s.keys.writing[p.key])
		delete(s.keys.writing, p.key)
		s.pending.sending--
		switch {
		case p.err == nil && p.lazy && p.found && p.tomb != "":
			s.withdrawn(p)
		case p.err == nil:
			s.pendingDone(p)
		default:
			s.pendingFailed(p)
			failed = cmp.Or(failed, p.err)
		}
	}
	if failed == nil {
		s.pending.resetPause()
	} else {
		s.pauseRetries()
	}
	report := s.record(s.w.life, deletes[0].probe, start, failed)
	if s.pending.len() == 0 {
		s.pending.lossLogged = false
	}
	s.wakeWorkers()
	s.mu.Unlock()
	report()
}

// pendingDone records a delete that has reached its server.
func (s *store) pendingDone(p *pendingDelete) {
	if p.isFirst {
		s.stats.Deletes++
	} else {
		s.stats.Pending.Done++
	}
}

// withdrawn purges a page that was there. mu is held.
func (s *store) withdrawn(p *pendingDelete) {
	s.w.purges.note(p.key, p.at)
	p.lazy = false
	s.pending.restore(p, false)
}

// pendingFailed records a delete that has failed. After close there is no second
// attempt, and no attempt at all at a server that is down.
func (s *store) pendingFailed(p *pendingDelete) {
	refused := errors.Is(p.err, ErrRefused)
	if p.isFirst {
		s.stats.DeleteErrors++
		p.isFirst = false
	}
	if s.closing && refused {
		s.pending.refused++
		return
	}
	s.pending.abandoned = s.pending.abandoned || s.closing
	s.pending.restore(p, refused)
}

// pauseRetries delays the next attempt. A pause that has not ended stays as it is.
func (s *store) pauseRetries() {
	now := s.w.clock()
	if now.Before(s.pending.retryAt) {
		return
	}
	s.pending.retryPause = min(max(2*s.pending.retryPause, s.w.Backoff.min()), s.w.Backoff.max())
	s.pending.retryAt = now.Add(s.pending.retryPause)
}

// setRetryTimer wakes a worker when pending deletes may be sent again: nothing else
// may happen at this server until then.
func (s *store) setRetryTimer() {
	if s.pending.len() == 0 || s.closing {
		return
	}
	at := s.retryAfter()
	wait := at.Sub(s.w.clock())
	if wait <= 0 || s.pending.timer != nil && s.pending.timerAt.Equal(at) {
		return
	}
	s.stopRetryTimer()
	s.pending.timerAt, s.pending.timer = at, time.AfterFunc(wait, s.endPause)
}

func (s *store) endPause() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.timer = nil
	s.workers.wakeAll()
}

func (s *store) stopRetryTimer() {
	if s.pending.timer != nil {
		s.pending.timer.Stop()
		s.pending.timer = nil
	}
}
