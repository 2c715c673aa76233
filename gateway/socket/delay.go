package socket

import (
	"sync"
	"time"
)

// A Delay calls values some time after they were added, unless they are removed before, as
// most are. All of them wait equally long, so they form a queue, and one timer is enough. Adding
// and removing cost less than a timer each. The zero Delay is ready for use, and its methods
// are safe for concurrent use.
type Delay struct {
	mu          sync.Mutex // guards what follows, and all that is queued
	first, last *Delayed
	timer       *time.Timer // nil: nothing has been added yet
	armed       bool        // the timer runs, or its function does
}

// DelayTime is how long a Delay waits, at least. It may be half as much again.
const DelayTime = 20 * time.Millisecond

// A Delayed is a place in the queue of a Delay. The zero Delayed is in none.
type Delayed struct {
	due        Due
	since      time.Time
	prev, next *Delayed
	queued     bool
}

// A Due is called by a Delay, which holds no lock then. It must return soon: others wait for it.
type Due interface{ Due() }

// Add calls due.Due after DelayTime, as told by now. It does nothing if e is queued.
func (d *Delay) Add(e *Delayed, due Due, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.queued {
		return
	}
	*e = Delayed{due: due, since: now, prev: d.last, queued: true}
	if d.last == nil {
		d.first = e
	} else {
		d.last.next = e
	}
	d.last = e
	if d.armed {
		return
	}
	d.armed = true
	if d.timer == nil {
		d.timer = time.AfterFunc(DelayTime, d.run)
	} else {
		d.timer.Reset(DelayTime)
	}
}

// Remove prevents the call, and reports whether e was queued. If it was not, the call may
// be under way.
func (d *Delay) Remove(e *Delayed) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !e.queued {
		return false
	}
	d.take(e)
	if d.first == nil && d.timer.Stop() {
		d.armed = false // an idle process is not woken
	}
	return true
}

// take removes e from the queue. d.mu is held.
func (d *Delay) take(e *Delayed) {
	if e.prev == nil {
		d.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		d.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	*e = Delayed{}
}

// run calls what is due, and sets the timer for the rest.
func (d *Delay) run() {
	for due := d.next(time.Now()); due != nil; due = d.next(time.Now()) {
		due.Due()
	}
}

// next removes the first one if it is due. Else it sets the timer, if anything waits, and
// returns nil.
func (d *Delay) next(now time.Time) Due {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.first
	if e == nil {
		d.armed = false
		return nil
	}
	if left := DelayTime - now.Sub(e.since); left > 0 {
		d.timer.Reset(max(left, DelayTime/2)) // what has been added shortly after it is due then, too
		return nil
	}
	due := e.due
	d.take(e)
	return due
}
