package warm

import (
	"context"
	"sync"
	"time"
)

// A throttle decides how many requests may be in flight, so that visitors do not wait for
// ours. It begins with one and allows another after each few good responses, up to most.
// When responses take much longer than usual, it allows half as many. If one at a time is
// still too much, it rests after each response for as long as that took.
//
// Only responses of workers count: hits say nothing of how busy those are.
type throttle struct {
	most int

	mu      sync.Mutex // guards what follows
	changed chan struct{}
	allowed int
	active  int
	usual   time.Duration // what a response takes while nothing is slow; 0: not known
	recent  time.Duration // an average that follows the last few responses
	good    int           // responses in a row that were not slow, since the last change
	deaf    int           // responses that were on their way when less was allowed: they say nothing new
	until   time.Time     // nothing starts before
	yields  int           // how often less was allowed
}

const (
	slowBy     = 2                     // times as long as usual is slow
	slowMargin = 50 * time.Millisecond // and this much longer: small pages vary by more than twice
	goodEnough = 4                     // responses, before another request is allowed
)

func newThrottle(most int) *throttle {
	return &throttle{most: most, allowed: 1, changed: make(chan struct{})}
}

// enter waits until another request may start. It returns false if ctx is done first.
func (t *throttle) enter(ctx context.Context) bool {
	for {
		ok, changed, wait := t.tryEnter(time.Now())
		if ok {
			return ctx.Err() == nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// tryEnter counts a request as in flight if it may start at this time. Otherwise it
// returns how long to wait, if nothing changes.
func (t *throttle) tryEnter(now time.Time) (ok bool, changed chan struct{}, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if rest := t.until.Sub(now); rest > 0 {
		return false, t.changed, rest
	}
	if t.active >= t.allowed {
		return false, t.changed, time.Hour
	}
	t.active++
	return true, nil, 0
}

// leave ends a request. Took is how long a worker's response took, 0 for one that says
// nothing of that.
func (t *throttle) leave(now time.Time, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.wake()
	t.active--
	switch {
	case took <= 0:
		return
	case t.deaf > 0:
		t.deaf--
		return
	case t.usual == 0:
		t.usual, t.recent = took, took
	}
	t.recent += (took - t.recent) / 3
	t.usual = min(t.recent, t.usual+t.usual/100) // a site may become slower for good
	if t.recent > slowBy*t.usual+slowMargin {
		t.lower(now, took)
		return
	}
	if t.good++; t.good >= goodEnough && t.allowed < t.most {
		t.allowed, t.good = t.allowed+1, 0
	}
}

// back allows less because a server has refused a request, or because visitors wait, and
// lets nothing start for a while.
func (t *throttle) back(now time.Time, pause time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lower(now, pause)
	t.restUntil(now.Add(pause))
}

// lower allows half as many requests; one alone rests. t.mu is held.
func (t *throttle) lower(now time.Time, rest time.Duration) {
	if t.allowed == 1 {
		t.restUntil(now.Add(rest))
	}
	t.allowed = max(1, t.allowed/2)
	t.recent, t.good, t.deaf = t.usual, 0, t.active
	t.yields++
}

func (t *throttle) restUntil(until time.Time) {
	if until.After(t.until) {
		t.until = until
	}
}

// wake lets those look again who wait. t.mu is held.
func (t *throttle) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}
