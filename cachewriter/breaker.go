package cachewriter

import "time"

// A BreakerState says whether a server is written to.
type BreakerState string

const (
	BreakerClosed  BreakerState = "closed"  // the server is up
	BreakerOpen    BreakerState = "open"    // nothing is sent until the backoff has passed
	BreakerProbing BreakerState = "probing" // one operation tests whether the server is back
)

// tripAfter is the number of failed operations in a row that opens a breaker.
const tripAfter = 3

// A breaker keeps operations away from a server that is down or hangs. It opens
// after tripAfter failed operations in a row. When the backoff has passed it admits
// one operation at a time, the probe. A failed probe doubles the backoff, and any
// success closes the breaker. It has no lock and no clock of its own.
type breaker struct {
	backoffMin, backoffMax time.Duration

	failures int       // in a row, while closed
	failedAt time.Time // when the last failed operation ended
	open     bool
	since    time.Time // when it opened
	until    time.Time // end of the backoff
	backoff  time.Duration
	probing  bool
}

// admits reports whether an entry may be queued: the breaker is closed, or a probe
// is due.
func (b *breaker) admits(now time.Time) bool { return !b.open || !now.Before(b.until) }

// begin starts an operation, if it is ok to do so. While the breaker is open only
// one may run, the probe.
func (b *breaker) begin() (probe, ok bool) {
	if !b.open {
		return false, true
	}
	if b.probing {
		return false, false
	}
	b.probing = true
	return true, true
}

// succeed records a response. closed is true if that ended an outage.
func (b *breaker) succeed() (closed bool) {
	closed = b.open
	b.failures, b.open, b.probing = 0, false, false
	return closed
}

// fail records a failed operation. opened is true if that began an outage.
func (b *breaker) fail(now time.Time, probe bool) (opened bool) {
	b.failedAt = now
	if b.open {
		b.failProbe(now, probe)
		return false
	}
	b.failures++
	if b.failures < tripAfter {
		return false
	}
	b.open, b.since = true, now
	b.wait(now, b.backoffMin)
	return true
}

// failProbe does not extend the backoff if the probe was early, as one is while the
// queue is being closed.
func (b *breaker) failProbe(now time.Time, probe bool) {
	if !probe {
		return
	}
	b.probing = false
	if b.admits(now) {
		b.wait(now, min(2*b.backoff, b.backoffMax))
	}
}

func (b *breaker) wait(now time.Time, d time.Duration) {
	b.backoff, b.until = d, now.Add(d)
}

// abandon ends an operation that says nothing about the server.
func (b *breaker) abandon(probe bool) {
	if probe {
		b.probing = false
	}
}

func (b *breaker) state() BreakerState {
	switch {
	case !b.open:
		return BreakerClosed
	case b.probing:
		return BreakerProbing
	}
	return BreakerOpen
}
