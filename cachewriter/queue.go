package cachewriter

import (
	"container/list"
	"sync/atomic"
	"time"
)

// An item is an entry on its way to one server.
type item struct {
	key     string // wire key
	body    []byte
	flags   uint32
	expires time.Time
	began   time.Time      // when the page was requested
	done    func(error)    // see Entry.Done; may be nil
	page    string         // wire key of the page to which it belongs; for a page, key
	of      string         // raw key of that page
	probe   bool           // it is the breaker's probe
	pending *pendingDelete // of the same key, when the write began; nil: none

	subject  Subject
	recorded bool   // it has a record
	record   []byte // the value; nil: too large
}

// finish reports the outcome on the item's server.
func (it *item) finish(err error) {
	if it.done != nil {
		it.done(err)
	}
}

// size is the number of bytes that count against the queue's limits.
func (it *item) size() int64 { return int64(len(it.key) + len(it.body) + len(it.record)) }

// A queue holds the items that wait for one server, at most one for each key. Items
// that are being written count against its limits, too, until release. It has no
// lock of its own.
type queue struct {
	budget     *budget // shared with the queues of the other servers
	maxEntries int
	maxBytes   int64

	list    list.List                // of *item, in the order of the first Put of each key
	byKey   map[string]*list.Element // of list
	entries int                      // queued or being written
	bytes   int64                    // of these
}

// push appends an item, or replaces the item of the same key, which it returns as
// old. It is not ok if there is no room.
func (q *queue) push(it *item) (old *item, ok bool) {
	el, found := q.byKey[it.key]
	if !found {
		if !q.reserve(1, it.size()) {
			return nil, false
		}
		q.byKey[it.key] = q.list.PushBack(it)
		return nil, true
	}
	old = el.Value.(*item)
	if !q.reserve(0, it.size()-old.size()) {
		return nil, false
	}
	el.Value = it
	return old, true
}

// pop removes an item from the list. Its room stays reserved until release.
func (q *queue) pop(el *list.Element) *item {
	it := q.list.Remove(el).(*item)
	delete(q.byKey, it.key)
	return it
}

// reserve takes room from this queue and from the shared budget. An empty queue
// accepts one entry that is larger than its share.
func (q *queue) reserve(entries int, bytes int64) bool {
	if q.entries+entries > q.maxEntries {
		return false
	}
	if q.entries+entries > 1 && bytes > 0 && q.bytes+bytes > q.maxBytes {
		return false
	}
	if !q.budget.take(bytes) {
		return false
	}
	q.entries += entries
	q.bytes += bytes
	return true
}

func (q *queue) release(it *item) {
	q.entries--
	q.bytes -= it.size()
	q.budget.give(it.size())
}

// hasRoom reports whether push would accept an item of a new key.
func (q *queue) hasRoom(it *item) bool {
	size := it.size()
	return q.entries < q.maxEntries && (q.entries == 0 || q.bytes+size <= q.maxBytes) && q.budget.left.Load() >= size
}

// A budget is the number of bytes that all queues may hold together. It is safe for
// concurrent use.
type budget struct{ left atomic.Int64 }

func (b *budget) take(bytes int64) bool {
	if b.left.Add(-bytes) >= 0 || bytes <= 0 {
		return true
	}
	b.left.Add(bytes)
	return false
}

func (b *budget) give(bytes int64) { b.left.Add(bytes) }

// drop removes an item that is queued and counts the cause.
func (s *store) drop(el *list.Element, cause Drop) {
	it := s.queue.pop(el)
	s.queue.release(it)
	it.finish(dropErrors[cause])
	s.stats.Dropped[cause]++
}

// dropErrors are what Entry.Done gets for an entry that was queued.
var dropErrors = map[Drop]error{
	DropExpired:    ErrExpired,
	DropServerDown: ErrServerDown,
	DropClosed:     ErrClosed,
	DropPurged:     ErrPurged,
	DropSuperseded: ErrPurged, // a newer Put passes errSuperseded itself
}

// dropPurged drops the items that a wide purge of this Writer matches.
func (s *store) dropPurged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for el := s.queue.list.Front(); el != nil; {
		it := el.Value.(*item)
		next := el.Next()
		if s.w.wide.since(it.subject, it.began) {
			s.drop(el, DropPurged)
		}
		el = next
	}
}

// dropAll empties the queue and returns the number of items.
func (s *store) dropAll(cause Drop) (n int) {
	for el := s.queue.list.Front(); el != nil; el = s.queue.list.Front() {
		s.drop(el, cause)
		n++
	}
	return n
}
