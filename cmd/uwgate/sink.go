package main

import (
	"fmt"
	"sync"
	"time"
)

// sinkBudget is how much a slow destination may fall behind, in bytes.
const sinkBudget = 4 << 20

// A sink writes log lines to its destination from a goroutine of its own, so
// that a full pipe or a slow disk never holds up a request. It keeps at most
// sinkBudget bytes; what comes then is dropped, and a line tells how many. The
// goroutine ends with close. Its methods are safe for concurrent use.
type sink struct {
	mu      sync.Mutex // guards what follows
	wake    *sync.Cond
	pending []byte
	dropped int
	orders  []chan error // reopen the destination, then answer
	closed  bool

	done chan struct{}
}

func newSink(dst reopener) *sink {
	s := &sink{done: make(chan struct{})}
	s.wake = sync.NewCond(&s.mu)
	go s.run(dst)
	return s
}

// Write queues one line. It never blocks and never fails.
func (s *sink) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
	case len(s.pending)+len(line) > sinkBudget:
		s.dropped++
	default:
		s.pending = append(s.pending, line...)
		s.wake.Signal()
	}
	return len(line), nil
}

// Sync has nothing to do: the goroutine writes as soon as it can.
func (s *sink) Sync() error { return nil }

// run writes everything that is queued in one go, as often as there is any.
func (s *sink) run(dst reopener) {
	defer close(s.done)
	var batch []byte
	for {
		var orders []chan error
		var last bool
		batch, orders, last = s.next(batch[:0])
		if len(batch) > 0 {
			dst.Write(batch) // there is nobody to tell
		}
		for _, answer := range orders {
			answer <- dst.Reopen()
		}
		if last {
			return
		}
	}
}

// next waits for something to do. It swaps spare for the pending lines.
func (s *sink) next(spare []byte) (batch []byte, orders []chan error, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.pending) == 0 && len(s.orders) == 0 && !s.closed {
		s.wake.Wait()
	}
	batch, s.pending = s.pending, spare
	if s.dropped > 0 {
		batch = fmt.Appendf(batch, "{\"level\":\"warn\",\"msg\":\"log lines dropped: this sink was too slow\",\"lines\":%d}\n", s.dropped)
		s.dropped = 0
	}
	orders, s.orders = s.orders, nil
	return batch, orders, s.closed
}

// reopen has the destination made anew, after what is queued was written.
func (s *sink) reopen() error {
	answer := make(chan error, 1)
	s.mu.Lock()
	s.orders = append(s.orders, answer)
	s.wake.Signal()
	s.mu.Unlock()
	select {
	case err := <-answer:
		return err
	case <-s.done:
		return nil
	}
}

// close waits until everything is written, but no longer than d.
func (s *sink) close(d time.Duration) {
	s.mu.Lock()
	s.closed = true
	s.wake.Signal()
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-time.After(d):
	}
}
