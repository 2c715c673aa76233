package cachewriter

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uwgate/histogram"
)

// A store is one memcached: the queue of what is to be written to it, and the
// workers that write. Its goroutines, run, start at the first entry and end
// when the queue is closed and empty.
//
// Deletes that the server has missed are owed to it, and paid by the workers, before
// any entry is written, as soon as the breaker lets them; see owed.go.
//
// Of the entries of one key at most one is queued, the newest, and at most one
// is being written; the first waits for the second. So they land in the order of
// their Puts whatever the number of workers.
type store struct {
	addr    string
	w       *Writer // for its options and what its stores share
	workers int
	meta    *metaClient

	looks   chan struct{} // places of visitors who wait for the server
	given   atomic.Uint64 // how many places have been given back
	stalled atomic.Bool   // somebody has waited for such a place in vain
	deletes chan struct{} // places of Deletes that have a connection

	mu         sync.Mutex               // guards everything below
	work       *sync.Cond               // the queue or the debts, or what holds them up, have changed
	queue      list.List                // of *item, in the order of the first Put of each key
	queued     map[string]*list.Element // the queue by key
	writing    map[string]chan struct{} // keys being written, or paid for; closed when done
	deleting   map[string]int           // keys being deleted, and by how many
	maxEntries int                      // its share of the budget
	maxBytes   int64
	entries    int       // queued or being written
	bytes      int64     // of them
	idle       []*client // not in use
	started    bool      // the workers run
	closing    bool
	breaker    breaker
	broke      time.Time // when the last broken operation ended that counted

	debts      debts         // deletes that the server has missed
	paying     int           // debts being paid, which are not among debts
	givenUp    int           // debts that were refused after the end was in sight
	payAt      time.Time     // debts are not paid before
	payPause   time.Duration // the last pause that led to payAt; 0 after a success
	forsaken   bool          // the end is in sight, and the server is down
	lossLogged bool          // since debts were last empty
	alarm      *time.Timer   // wakes a worker at alarmAt; nil: nothing to wait for
	alarmAt    time.Time

	stats   ServerStats         // counters only; snapshot fills in the rest
	latency histogram.Histogram // of the writes that memcached answered
}

func newStore(w *Writer, addr string, stores int) *store {
	s := &store{
		addr:     addr,
		w:        w,
		workers:  w.workers(),
		looks:    make(chan struct{}, maxLooks),
		deletes:  make(chan struct{}, maxDeleters),
		queued:   make(map[string]*list.Element),
		writing:  make(map[string]chan struct{}),
		deleting: make(map[string]int),
		debts:    debts{maxEntries: w.oweEntries()},
		meta:     &metaClient{addr: addr, dialTimeout: w.DialTimeout, timeout: w.Timeout},
		breaker:  breaker{backoffMin: w.backoffMin(), backoffMax: w.backoffMax()},
		stats:    newServerStats(addr),
	}
	s.work = sync.NewCond(&s.mu)
	s.resize(stores)
	return s
}

// resize sets the share of one of so many stores.
func (s *store) resize(stores int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxEntries = max(s.w.queueEntries()/stores, 1)
	s.maxBytes = s.w.queueBytes() / int64(stores)
}

func (s *store) start() {
	if s.started {
		return
	}
	s.started = true
	for range s.workers {
		s.w.running.Go(s.run)
	}
}

// run is a worker.
func (s *store) run() {
	c := s.checkOut()
	defer s.checkIn(c)
	for {
		it, due := s.next()
		switch {
		case due != nil:
			s.pay(c, due)
		case it != nil:
			s.write(c, it)
		default:
			return
		}
	}
}

// next waits for a debt that can be paid now, or else an item that may be written
// now; neither is the end.
func (s *store) next() (*item, *debt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if due := s.takeDebt(); due != nil {
			return nil, due
		}
		if it := s.take(); it != nil {
			return it, nil
		}
		if s.closing && s.queue.Len() == 0 && (s.forsaken || s.debts.len() == 0) {
			return nil, nil
		}
		s.setAlarm()
		s.work.Wait()
	}
}

// take removes the first item that is neither too late nor held up by one of
// its key that is being written.
func (s *store) take() *item {
	now := s.w.clock()
	for el := s.queue.Front(); el != nil; {
		it := el.Value.(*item)
		next := el.Next()
		if !it.expires.After(now) {
			s.drop(el, DropExpired)
		} else if _, busy := s.writing[it.key]; !busy {
			return s.begin(el)
		}
		el = next
	}
	return nil
}

// begin turns a queued item into one being written, if the breaker lets it.
func (s *store) begin(el *list.Element) *item {
	probe, ok := s.breaker.begin()
	if !ok {
		return nil
	}
	it := s.queue.Remove(el).(*item)
	delete(s.queued, it.key)
	it.probe, it.debt = probe, s.debts.of(it.key)
	s.writing[it.key] = make(chan struct{})
	return it
}

// write sends one item and books what came of it.
func (s *store) write(c *client, it *item) {
	start := s.w.clock()
	f := s.newFilling(it, start)
	err := c.fill(s.w.life, f)
	took := s.w.clock().Sub(start)

	s.mu.Lock()
	close(s.writing[it.key])
	delete(s.writing, it.key)
	s.release(it)
	it.settle(err)
	switch {
	case err == nil:
		s.stats.Stored++
		s.debts.forgiveStored(it.debt)
		s.latency.Observe(took)
	case errors.Is(err, ErrPurged):
		s.stats.Dropped[DropPurged]++
		err = nil // the server is well
	case errors.Is(err, ErrRefused):
		s.stats.Refused++
		s.latency.Observe(took)
	case s.w.life.Err() != nil:
		s.stats.Dropped[DropClosed]++
	default:
		s.stats.Failed++
	}
	report := s.settle(s.w.life, it.probe, start, err)
	reportLoss := func() {}
	if f.unsure && s.w.life.Err() == nil {
		// It may lie there, and be older than a purge.
		reportLoss = s.owe(purge{keys: []string{it.key}})
	}
	s.wakeWorkers()
	s.mu.Unlock()
	report()
	reportLoss()
}

// wakeWorkers wakes the workers, if there is anything that one of them may have waited to do.
// Most of the time there is not, and each that is woken in vain costs as much as half a
// write.
func (s *store) wakeWorkers() {
	if s.queue.Len() > 0 || s.debts.len() > 0 || s.closing {
		s.work.Broadcast()
	}
}

// settle tells the breaker how an operation ended that began at start, and empties
// the queue of a server that is down. ctx is the operation's: one that was called
// off says nothing about the server. The function it returns logs a change of state, and is to be
// called without mu.
func (s *store) settle(ctx context.Context, probe bool, start time.Time, err error) (report func()) {
	now := s.w.clock()
	calledOff := ctx.Err() != nil && context.Cause(ctx) != errTimeout
	if err != nil && !calledOff {
		s.stats.LastError = err.Error()
	}
	switch {
	case err == nil || errors.Is(err, ErrRefused):
		if since := s.breaker.since; s.breaker.succeed() {
			s.payAt, s.payPause = time.Time{}, 0
			owed := s.owed()
			return func() {
				s.w.log().Info("memcached is back", zap.String("server", s.addr), zap.Duration("down", now.Sub(since)), zap.Int("owed_deletes", owed))
			}
		}
	case calledOff:
		s.breaker.abandon(probe)
	case !probe && start.Before(s.broke) && !s.breaker.open:
		// It began while another was failing: one mishap, not two.
	default:
		s.broke = now
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

// errTimeout ends a Delete that has used up Writer.Timeout.
var errTimeout = errors.New("timed out")

// checkOut hands out a client for one goroutine.
func (s *store) checkOut() *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.idle); n > 0 {
		c := s.idle[n-1]
		s.idle = s.idle[:n-1]
		return c
	}
	return newClient(s.addr, s.w.dialTimeout(), s.w.timeout())
}

// checkIn takes a client back, and keeps as many as there are workers.
func (s *store) checkIn(c *client) {
	s.mu.Lock()
	keep := !s.closing && len(s.idle) < s.workers
	if keep {
		s.idle = append(s.idle, c)
	}
	s.mu.Unlock()
	if !keep {
		c.close()
	}
}

// close accepts nothing more and lets the workers end with the queue.
func (s *store) close() {
	s.mu.Lock()
	s.closing = true
	idle := s.idle
	s.idle = nil
	s.stopAlarm()
	s.work.Broadcast()
	s.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	s.meta.close()
}

// abandon drops what is still queued and says how much that was. What is owed
// stays, to be counted.
func (s *store) abandon() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forsaken = true
	s.work.Broadcast()
	return s.dropAll(DropClosed)
}

func (s *store) snapshot() ServerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.stats.clone()
	c.QueuedEntries, c.QueuedBytes = s.entries, s.bytes
	c.Owed = s.owed()
	c.Breaker = s.breaker.state()
	c.Latency = s.latency.Snapshot(minLatency, maxLatency)
	return c
}
