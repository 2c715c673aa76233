package cachewriter

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"uwgate/histogram"
)

// A store is one memcached server: the queue of entries for it, and the workers that
// write them. The workers run the method run. They start at the first entry or
// pending delete and end when the store is closed and the queue is empty.
//
// The workers send pending deletes before they write entries, as soon as the breaker
// admits them; see pending.go.
//
// Of the entries of one key at most one is queued, the newest, and at most one is
// being written. The queued one waits for the other. So entries of a key arrive in
// the order of their Puts, with any number of workers.
type store struct {
	addr string
	w    *Writer // for its options and what its stores share
	meta *metaClient

	visits   visits
	purgeLog knownLogs
	walking  chan struct{} // holds one while keys are listed
	deleters chan struct{} // one place for each Delete that has a connection

	mu      sync.Mutex // guards everything below
	workers workers
	queue   queue
	pending pendingDeletes
	wide    widePending
	keys    busyKeys
	idle    []*client // not in use
	breaker breaker
	proven  *link // of the last operation that succeeded; nil: none has
	closing bool
	stats   ServerStats // counters only; snapshot adds the rest
	latency histogram.Histogram
}

// busyKeys are the wire keys that an operation under way changes.
type busyKeys struct {
	writing  map[string]chan struct{} // by a worker; closed when it is done
	deleting map[string]int           // by Deletes, and by how many
}

func newStore(w *Writer, addr string, stores int) *store {
	s := &store{
		addr:     addr,
		w:        w,
		visits:   visits{places: make(chan struct{}, maxVisits)},
		walking:  make(chan struct{}, 1),
		deleters: make(chan struct{}, maxDeleters),
		queue:    queue{budget: &w.budget, byKey: make(map[string]*list.Element)},
		keys:     busyKeys{make(map[string]chan struct{}), make(map[string]int)},
		pending:  pendingDeletes{maxEntries: w.Pending.entries()},
		meta:     &metaClient{addr: addr, dialTimeout: w.DialTimeout, timeout: w.Timeout},
		breaker:  breaker{backoffMin: w.Backoff.min(), backoffMax: w.Backoff.max()},
		stats:    newServerStats(addr),
	}
	s.workers.work.L = &s.mu
	s.resize(stores)
	return s
}

// resize sets the queue's share, which is one of so many stores.
func (s *store) resize(stores int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue.maxEntries = max(s.w.Queue.entries()/stores, 1)
	s.queue.maxBytes = s.w.Queue.bytes() / int64(stores)
}

// run is a worker.
func (s *store) run() {
	c := s.checkOut()
	defer s.checkIn(c)
	for {
		items, deletes := s.next()
		switch {
		case deletes != nil:
			s.sendPending(c, deletes)
		case items != nil:
			s.write(c, items)
		default:
			return
		}
	}
}

const (
	// maxBatch bounds the entries, or the deletes, that a worker sends together.
	maxBatch = 64

	// maxBatchBytes bounds the bodies of such entries, but for the first one.
	maxBatchBytes = 256 << 10
)

// next waits for pending deletes that may be sent now or else items that may be
// written now. It returns neither when the worker must end.
func (s *store) next() ([]*item, []*pendingDelete) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if deletes := s.takePending(); deletes != nil {
			return nil, deletes
		}
		if items := s.take(); items != nil {
			return items, nil
		}
		if s.closing && s.queue.list.Len() == 0 && (s.pending.abandoned || s.pending.len() == 0) {
			return nil, nil
		}
		s.setRetryTimer()
		s.workers.wait()
	}
}

// take begins the writes of the first items whose keys are not busy, if the breaker
// admits them. It drops the items that have expired.
func (s *store) take() (items []*item) {
	now := s.w.clock()
	room := int64(maxBatchBytes)
	for el := s.queue.list.Front(); el != nil && len(items) < maxBatch; {
		it := el.Value.(*item)
		next := el.Next()
		if !it.expires.After(now) {
			s.drop(el, DropExpired)
		} else if _, busy := s.keys.writing[it.key]; !busy {
			if room -= it.size(); room < 0 && items != nil {
				break
			}
			if it = s.begin(el); it == nil {
				break
			}
			items = append(items, it)
		}
		el = next
	}
	return items
}

func (s *store) begin(el *list.Element) *item {
	probe, ok := s.breaker.begin()
	if !ok {
		return nil
	}
	it := s.queue.pop(el)
	it.probe, it.pending = probe, s.pending.of(it.key)
	s.keys.writing[it.key] = make(chan struct{})
	return it
}

// write writes items and records the outcome.
func (s *store) write(c *client, items []*item) {
	start := s.w.clock()
	fills := make([]*fill, len(items))
	for i, it := range items {
		fills[i] = s.newFill(it, start)
	}
	err := c.fill(s.w.life, fills)
	took := s.w.clock().Sub(start)

	s.mu.Lock()
	var unsure []string
	var refused error
	for i, it := range items {
		s.written(it, fills[i].err, took)
		if errors.Is(fills[i].err, ErrRefused) {
			refused = fills[i].err
		}
		if fills[i].unsure && s.w.life.Err() == nil {
			unsure = append(unsure, it.key)
		}
	}
	report := s.record(s.w.life, items[0].probe, start, cmp.Or(err, refused))
	if err == nil && refused == nil {
		s.proven = c.plain.link
	}
	reportLoss := func() {}
	if unsure != nil {
		// These entries may have been stored, and be older than a purge.
		reportLoss = s.addPending(purge{keys: unsure})
	}
	s.wakeWorkers()
	s.mu.Unlock()
	report()
	reportLoss()
}

// written records the outcome of one item.
func (s *store) written(it *item, err error, took time.Duration) {
	close(s.keys.writing[it.key])
	delete(s.keys.writing, it.key)
	s.queue.release(it)
	it.finish(err)
	switch {
	case err == nil:
		s.stats.Stored++
		s.pending.removeStored(it.pending)
		s.latency.Observe(took)
	case errors.Is(err, ErrPurged):
		s.stats.Dropped[DropPurged]++
	case errors.Is(err, ErrRefused):
		s.stats.Refused++
		s.latency.Observe(took)
	case s.w.life.Err() != nil:
		s.stats.Dropped[DropClosed]++
	default:
		s.stats.Failed++
	}
}

// record passes the outcome of an operation that began at start to the breaker, and
// empties the queue if the server is down. An operation whose ctx was cancelled says
// nothing about the server. Call record with mu held, and call the function that it
// returns, which logs a change of state, without.
func (s *store) record(ctx context.Context, probe bool, start time.Time, err error) (report func()) {
	now := s.w.clock()
	cancelled := ctx.Err() != nil && context.Cause(ctx) != errTimeout
	if err != nil && !cancelled {
		s.stats.LastError = err.Error()
	}
	switch {
	case err == nil || errors.Is(err, ErrRefused):
		if since := s.breaker.since; s.breaker.succeed() {
			s.pending.resetPause()
			s.wide.resetPause()
			pending := s.pending.count()
			return func() {
				s.w.log().Info("memcached is back", zap.String("server", s.addr), zap.Duration("down", now.Sub(since)), zap.Int("owed_deletes", pending))
			}
		}
	case cancelled:
		s.breaker.abandon(probe)
	case !probe && start.Before(s.breaker.failedAt) && !s.breaker.open:
		// It began before the last failure: both may have the same cause, and one counts.
	default:
		opened := s.breaker.fail(now, probe)
		if !s.breaker.open {
			break
		}
		s.dropAll(DropServerDown)
		if opened {
			return func() { s.w.log().Warn("memcached is down", zap.String("server", s.addr), zap.Error(err)) }
		}
	}
	return func() {}
}

// checkOut returns a client for one goroutine.
func (s *store) checkOut() *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return c
	}
	return newClient(s.addr, s.w.dialTimeout(), s.w.OperationTimeout())
}

// checkIn takes a client back. It keeps as many as there are workers and closes the
// others.
func (s *store) checkIn(c *client) {
	s.mu.Lock()
	keep := !s.closing && len(s.idle) < s.w.workers()
	if keep {
		s.idle = append(s.idle, c)
	}
	s.mu.Unlock()
	if !keep {
		c.close()
	}
}

// close accepts nothing more. The workers end when the queue is empty.
func (s *store) close() {
	s.mu.Lock()
	s.closing = true
	idle := s.idle
	s.idle = nil
	s.stopRetryTimer()
	s.workers.stopTimer()
	s.workers.wakeAll()
	s.wide.wakeUp()
	s.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	s.meta.close()
}

// abandon drops what is still queued and returns the number of entries. Pending
// deletes are not sent any more, but still counted.
func (s *store) abandon() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending.abandoned = true
	s.workers.wakeAll()
	return s.dropAll(DropClosed)
}

func (s *store) snapshot() ServerStats {
	waiting := s.meta.waiting()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.stats.clone()
	c.QueuedEntries, c.QueuedBytes = s.queue.entries, s.queue.bytes
	c.Deleting, c.Waiting = len(s.keys.deleting), waiting
	c.Pending.Entries, c.Pending.Purges = s.pending.count(), len(s.wide.owed)
	c.Breaker = s.breaker.state()
	c.Latency = s.latency.Snapshot(minLatency, maxLatency)
	return c
}
