package main

import (
	"fmt"
	"sync"
	"time"
)

// sinkBudget is how much a slow destination may fall behind, in bytes.
const sinkBudget = 4 << 20

// Under load one system call takes dozens of lines: after sinkBurst writes within
// sinkPause the next one waits until that is over.
const (
	sinkPause = 10 * time.Millisecond
	sinkBurst = 8
)

// A sink writes log lines to its destination from a goroutine of its own, so
// that a full pipe or a slow disk never holds up a request. A line goes out at
// once, or where there are many within sinkPause. It keeps at most sinkBudget bytes;
// what comes then is dropped, and a line tells how many. The goroutine ends with
// close. Its methods are safe for concurrent use.
type sink struct {
	mu      sync.Mutex // guards what follows
	pending []byte
	dropped int
	orders  []chan error // reopen the destination, then answer
	closed  bool

	wake  chan struct{} // holds one if there are lines
	hurry chan struct{} // holds one if there is what cannot wait
	done  chan struct{}
}

func newSink(dst reopener) *sink {
	s := &sink{wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), done: make(chan struct{})}
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
		s.add(line)
	}
	return len(line), nil
}

// add wakes the goroutine for the first line only, and again if so many have come
// that it must not wait for more. The caller holds mu.
func (s *sink) add(line []byte) {
	before := len(s.pending)
	s.pending = append(s.pending, line...)
	if before == 0 {
		nudge(s.wake)
	}
	if len(s.pending) > sinkBudget/4 {
		nudge(s.hurry)
	}
}

// nudge puts one in, unless there is one.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Sync has nothing to do: the goroutine writes soon.
func (s *sink) Sync() error { return nil }

// run writes everything that is queued in one go, as often as there is any.
func (s *sink) run(dst reopener) {
	defer close(s.done)
	var batch []byte
	var p pace
	for {
		s.await(p.rest())
		var orders []chan error
		var last bool
		batch, orders, last = s.take(batch[:0])
		if len(batch) > 0 {
			dst.Write(batch) // there is nobody to tell
			p.step()
		}
		for _, answer := range orders {
			answer <- dst.Reopen()
		}
		if last {
			return
		}
	}
}

// A pace is what the writes keep to.
type pace struct {
	since time.Time // the first write of a sinkPause
	steps int       // writes since
}

// rest is how long the next write has to wait.
func (p *pace) rest() time.Duration {
	if p.steps < sinkBurst {
		return 0
	}
	return sinkPause - time.Since(p.since)
}

// step counts a write.
func (p *pace) step() {
	if now := time.Now(); now.Sub(p.since) >= sinkPause {
		p.since, p.steps = now, 0
	}
	p.steps++
}

// await returns when there is something to do, and for lines rest is over, too.
func (s *sink) await(rest time.Duration) {
	began := time.Now()
	select {
	case <-s.hurry:
		return
	case <-s.wake:
	}
	if rest -= time.Since(began); rest <= 0 {
		return
	}
	select {
	case <-s.hurry:
	case <-time.After(rest):
	}
}

// take swaps spare for the pending lines.
func (s *sink) take(spare []byte) (batch []byte, orders []chan error, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
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
	nudge(s.hurry)
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
	nudge(s.hurry)
	s.mu.Unlock()
	select {
	case <-s.done:
	case <-time.After(d):
	}
}
