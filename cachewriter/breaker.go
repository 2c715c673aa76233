package cachewriter

import "time"

// A BreakerState says whether a server is written to.
type BreakerState string

const (
	BreakerClosed  BreakerState = "closed"  // all is well
	BreakerOpen    BreakerState = "open"    // nothing is sent until the backoff has passed
	BreakerProbing BreakerState = "probing" // one operation tries whether the server is back
)

// tripAfter is the number of broken operations in a row that opens a breaker.
const tripAfter = 3

// A breaker keeps entries away from a server that is down or hung. It opens
// after tripAfter broken operations in a row and lets one operation at a time
// through as a probe when its backoff has passed; a broken probe doubles the
// backoff, any success closes it. It has no lock and no clock of its own.
type breaker struct {
	backoffMin, backoffMax time.Duration

	broken  int // in a row, while closed
	open    bool
	since   time.Time // when it opened
	until   time.Time // end of the backoff
	backoff time.Duration
	probing bool
}

// admits says whether an entry may be queued: closed, or a probe is due.
func (b *breaker) admits(now time.Time) bool { return !b.open || !now.Before(b.until) }

// begin asks to run an operation now. While the breaker is open only one at a
// time may, the probe.
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

// succeed records an answer; closed is true if that ended an outage.
func (b *breaker) succeed() (closed bool) {
	closed = b.open
	b.broken, b.open, b.probing = 0, false, false
	return closed
}

// fail records a broken operation; opened is true if that began an outage.
func (b *breaker) fail(now time.Time, probe bool) (opened bool) {
	if b.open {
		b.failProbe(now, probe)
		return false
	}
	b.broken++
	if b.broken < tripAfter {
		return false
	}
	b.open, b.since = true, now
	b.wait(now, b.backoffMin)
	return true
}

// failProbe leaves the backoff alone if the probe came early, as that of a queue that
// is being closed does.
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

// abandon ends an operation that said nothing about the server.
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
