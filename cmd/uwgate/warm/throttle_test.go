package warm

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A trial enters and leaves with times of its own.
type trial struct {
	*throttle
	now time.Time
}

func newTrial(most int) *trial { return &trial{newThrottle(most), time.Unix(1e9, 0)} }

// respond lets n requests pass, one after the other, that take so long.
func (t *trial) respond(n int, took time.Duration) {
	for range n {
		for {
			ok, _, wait := t.tryEnter(t.now)
			if ok {
				break
			}
			t.now = t.now.Add(wait)
		}
		t.now = t.now.Add(took)
		t.leave(t.now, took)
	}
}

func TestThrottleGrows(t *testing.T) {
	tr := newTrial(4)
	for want := 1; want <= 4; want++ {
		if tr.allowed != want {
			t.Errorf("got %d, want %d", tr.allowed, want)
		}
		tr.respond(goodEnough, 10*time.Millisecond)
	}
	if tr.respond(100, 10*time.Millisecond); tr.allowed != 4 || tr.yields != 0 {
		t.Errorf("got %d, after %d yields", tr.allowed, tr.yields)
	}
}

// Small pages vary, and hits say nothing.
func TestThrottleStays(t *testing.T) {
	tr := newTrial(4)
	tr.respond(20, 5*time.Millisecond)
	for range 20 {
		tr.respond(1, 40*time.Millisecond)
		tr.respond(1, 5*time.Millisecond)
		tr.leave(tr.now, 0)
		tr.active++
	}
	if tr.allowed != 4 || tr.yields != 0 {
		t.Errorf("got %d, after %d yields", tr.allowed, tr.yields)
	}
}

func TestThrottleYieldsToSlowness(t *testing.T) {
	tr := newTrial(8)
	tr.respond(60, 100*time.Millisecond)
	if tr.allowed != 8 {
		t.Fatalf("got %d", tr.allowed)
	}
	for want := 4; want >= 1; want /= 2 {
		if tr.respond(1, time.Second); tr.allowed != want {
			t.Errorf("got %d, want %d", tr.allowed, want)
		}
	}
	// One at a time is still too much: half of the time is for others.
	before := tr.now
	tr.respond(10, time.Second)
	if took := tr.now.Sub(before); took < 18*time.Second {
		t.Errorf("ten responses took %v", took)
	}
	tr.respond(40, 100*time.Millisecond)
	if tr.allowed != 8 {
		t.Errorf("got %d after it was fast again", tr.allowed)
	}
	// A site that stays slow becomes the usual one.
	if tr.respond(500, 300*time.Millisecond); tr.allowed != 8 {
		t.Errorf("got %d on a site that is slower now", tr.allowed)
	}
}

// Requests that were under way when less was allowed do not lower it again.
func TestThrottleIsDeaf(t *testing.T) {
	tr := newTrial(8)
	tr.respond(60, 100*time.Millisecond)
	for range 8 {
		tr.tryEnter(tr.now)
	}
	for range 8 {
		tr.leave(tr.now, 2*time.Second)
	}
	if tr.allowed != 4 || tr.yields != 1 {
		t.Errorf("got %d, after %d yields", tr.allowed, tr.yields)
	}
}

// Nobody enters before the pause is over.
func TestThrottlePauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newThrottle(4)
		began := time.Now()
		th.back(began, 7*time.Second)
		if !th.enter(t.Context()) || time.Since(began) != 7*time.Second {
			t.Errorf("entered after %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if th.enter(ctx) {
			t.Error("two at once")
		}
		go func() {
			time.Sleep(3 * time.Second)
			th.leave(time.Now(), 0)
		}()
		if began := time.Now(); !th.enter(t.Context()) || time.Since(began) != 3*time.Second {
			t.Errorf("entered after %v", time.Since(began))
		}
	})
}

// While visitors wait, one request goes in ten seconds.
func TestWaitingVisitors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{Warmer: &Warmer{Waiting: func(context.Context) (int, error) { return 3, nil }}, throttle: newThrottle(4)}
		ctx, cancel := context.WithCancel(t.Context())
		go r.look(ctx)
		time.Sleep(lookInterval + time.Millisecond)
		began, n := time.Now(), 0
		for time.Since(began) < time.Minute {
			if r.throttle.enter(ctx) {
				n++
				time.Sleep(2 * lookInterval)
				r.throttle.leave(time.Now(), 0)
			}
		}
		cancel()
		if n < 4 || n > 7 {
			t.Errorf("%d requests in a minute", n)
		}
	})
}

// One slow page lowers once, however slow it was.
func TestThrottleForgivesOne(t *testing.T) {
	tr := newTrial(8)
	tr.respond(60, 100*time.Millisecond)
	tr.respond(1, 20*time.Second)
	if tr.respond(16, 100*time.Millisecond); tr.allowed != 8 || tr.yields != 1 {
		t.Errorf("got %d, after %d yields", tr.allowed, tr.yields)
	}
}
