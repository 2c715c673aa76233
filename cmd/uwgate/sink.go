package main

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// sinkBudget is the most that may wait for a slow destination, in bytes.
const sinkBudget = 4 << 20

// Under load one system call writes dozens of lines: after sinkBurst writes within
// sinkPause the next one waits until the pause is over.
const (
	sinkPause = 10 * time.Millisecond
	sinkBurst = 8
)

// A sink writes log lines to its destination from a goroutine of its own, so that a full
// pipe or a slow disk never slows a request. It writes a line at once, or within sinkPause if
// there are many. It keeps at most sinkBudget bytes; it drops further lines, and writes a
// line that says how many. It does the same with lines that the destination does not take:
// its disk is full, or its reader has gone. The goroutine ends with close. Its methods are safe for concurrent
// use.
type sink struct {
	mu      sync.Mutex // guards what follows
	pending []byte
	dropped int           // since the last line that says so
	lost    atomic.Uint64 // all
	orders  []chan error  // reopen the destination, then send the result
	closed  bool

	wake  chan struct{} // has an element if there are lines
	hurry chan struct{} // has an element if something cannot wait
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
		s.lost.Add(1)
	default:
		s.add(line)
	}
	return len(line), nil
}

// add wakes the goroutine for the first line, and again when there are so many lines that
// it must not wait for more. The caller holds mu.
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

// nudge puts an element into c, unless there is one.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Sync does nothing: the goroutine writes soon.
func (s *sink) Sync() error { return nil }

// run writes all pending lines at once, until the sink is closed.
func (s *sink) run(dst reopener) {
	defer close(s.done)
	var batch []byte
	var p pace
	out := output{dst: dst}
	for {
		s.await(p.rest())
		var orders []chan error
		var last bool
		batch, orders, last = s.take(batch[:0])
		if len(batch) > 0 {
			s.lost.Add(out.write(batch))
			p.step()
		}
		for _, done := range orders {
			done <- dst.Reopen()
		}
		if last {
			return
		}
	}
}

// An output writes to a destination that may fail for a while.
type output struct {
	dst    io.Writer
	missed uint64 // lines since the last that was written
	err    error  // why
	torn   bool   // the last line that was written has no end
}

// write writes lines, after one that says how many were lost before. It returns how many of
// these lines are lost.
func (o *output) write(lines []byte) (lost uint64) {
	head := 0
	text := lines
	if o.missed > 0 {
		var note []byte
		if o.torn {
			note = append(note, '\n')
		}
		note = fmt.Appendf(note, "{\"level\":\"warn\",\"msg\":\"log lines lost: this sink could not be written\",\"lines\":%d,\"error\":%q}\n", o.missed, o.err.Error())
		head = len(note)
		text = append(note, lines...)
	}
	n, err := o.dst.Write(text)
	if n > 0 {
		o.torn = text[n-1] != '\n'
	}
	if err == nil {
		o.missed, o.err = 0, nil
		return 0
	}
	if n >= head && head > 0 {
		o.missed = 0 // the note has got through
	}
	lost = uint64(bytes.Count(text[max(n, head):], []byte{'\n'}))
	o.missed, o.err = o.missed+lost, err
	return lost
}

// A pace limits the writes.
type pace struct {
	since time.Time // the first write of a sinkPause
	steps int       // writes since
}

// rest returns how long the next write must wait.
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

// await returns when there is something to do. For lines it also waits until rest is over.
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

// take returns the pending lines, and keeps spare for the next ones.
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

// reopen writes the pending lines and opens the destination again.
func (s *sink) reopen() error {
	done := make(chan error, 1)
	s.mu.Lock()
	s.orders = append(s.orders, done)
	nudge(s.hurry)
	s.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-s.done:
		return nil
	}
}

// close writes the pending lines. It waits for d at most.
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
