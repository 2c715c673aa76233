package cachewriter

import (
	"container/list"
	"time"
)

// An item is an entry on its way to one store.
type item struct {
	key     string // wire key
	body    []byte
	flags   uint32
	expires time.Time
	began   time.Time   // when the page was asked for
	done    func(error) // see Entry.Done; may be nil
	page    string      // wire key of the page to which it belongs; a page's own
	of      string      // that page's raw key
	probe   bool        // it is the breaker's probe
	debt    *debt       // what storing it makes needless; nil: nothing
}

// settle says what became of the item on its server.
func (it *item) settle(err error) {
	if it.done != nil {
		it.done(err)
	}
}

func (it *item) size() int64 { return int64(len(it.key) + len(it.body)) }

// put queues an item, in the place of an older one of the same key.
func (s *store) put(it *item) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrClosed
	}
	// Under mu: a Delete notes the key first and then empties the queue, so
	// that it either finds this item there or is seen here.
	now := s.w.clock()
	if now.Sub(it.began) >= maxFillAge || s.w.purges.since(it.key, it.began) || s.w.purges.since(it.page, it.began) {
		s.stats.Dropped[DropPurged]++
		return ErrPurged
	}
	if !s.breaker.admits(now) {
		s.stats.Dropped[DropServerDown]++
		return ErrServerDown
	}
	if s.deleting[it.key] > 0 {
		s.stats.Dropped[DropSuperseded]++
		it.settle(ErrPurged)
		return nil
	}
	if !s.enqueue(it) {
		s.stats.Dropped[DropQueueFull]++
		return ErrQueueFull
	}
	s.start()
	s.work.Signal()
	return nil
}

func (s *store) enqueue(it *item) bool {
	el, found := s.queued[it.key]
	if !found {
		if !s.reserve(1, it.size()) {
			return false
		}
		s.queued[it.key] = s.queue.PushBack(it)
		return true
	}
	old := el.Value.(*item)
	if !s.reserve(0, it.size()-old.size()) {
		return false
	}
	el.Value = it
	old.settle(errSuperseded)
	s.stats.Dropped[DropSuperseded]++
	return true
}

// reserve takes room from the store's share and from the whole. A store that
// holds nothing may take one entry larger than its share.
func (s *store) reserve(entries int, bytes int64) bool {
	if s.entries+entries > s.maxEntries {
		return false
	}
	if s.entries+entries > 1 && bytes > 0 && s.bytes+bytes > s.maxBytes {
		return false
	}
	if !s.w.room.take(bytes) {
		return false
	}
	s.entries += entries
	s.bytes += bytes
	return true
}

func (s *store) release(it *item) {
	s.entries--
	s.bytes -= it.size()
	s.w.room.give(it.size())
}

func (s *store) drop(el *list.Element, cause Drop) {
	it := s.queue.Remove(el).(*item)
	delete(s.queued, it.key)
	s.release(it)
	it.settle(dropErrors[cause])
	s.stats.Dropped[cause]++
}

// dropErrors are what Entry.Done gets of an entry that was queued.
var dropErrors = map[Drop]error{DropExpired: ErrExpired, DropServerDown: ErrServerDown, DropClosed: ErrClosed, DropSuperseded: ErrPurged}

func (s *store) dropAll(cause Drop) (n int) {
	for el := s.queue.Front(); el != nil; el = s.queue.Front() {
		s.drop(el, cause)
		n++
	}
	return n
}
