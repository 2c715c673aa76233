package cachewriter

import (
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	t0 := time.Unix(1e9, 0)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	b := breaker{backoffMin: time.Second, backoffMax: 3 * time.Second}
	steps := []struct {
		name   string
		do     func() bool // its result: did the state change, or may one go on
		want   bool
		state  BreakerState
		admits float64 // at this second an entry is let in, and shortly before not; 0: always
	}{
		{"first failure", func() bool { return b.fail(at(0), false) }, false, BreakerClosed, 0},
		{"second", func() bool { return b.fail(at(0), false) }, false, BreakerClosed, 0},
		{"a response between", func() bool { return b.succeed() }, false, BreakerClosed, 0},
		{"first again", func() bool { return b.fail(at(0), false) }, false, BreakerClosed, 0},
		{"second again", func() bool { return b.fail(at(0), false) }, false, BreakerClosed, 0},
		{"third opens", func() bool { return b.fail(at(0), false) }, true, BreakerOpen, 1},
		{"a fourth, begun before", func() bool { return b.fail(at(0.5), false) }, false, BreakerOpen, 1},
		{"probe", func() bool { _, ok := b.begin(); return ok }, true, BreakerProbing, 1},
		{"no second probe", func() bool { _, ok := b.begin(); return ok }, false, BreakerProbing, 1},
		{"late failure of another", func() bool { return b.fail(at(1), false) }, false, BreakerProbing, 1},
		{"probe called off", func() bool { b.abandon(true); return true }, true, BreakerOpen, 1},
		{"probe once more", func() bool { _, ok := b.begin(); return ok }, true, BreakerProbing, 1},
		{"probe fails: doubled", func() bool { return b.fail(at(1), true) }, false, BreakerOpen, 3},
		{"early probe", func() bool { _, ok := b.begin(); return ok }, true, BreakerProbing, 3},
		{"early probe fails: as before", func() bool { return b.fail(at(2), true) }, false, BreakerOpen, 3},
		{"next probe", func() bool { _, ok := b.begin(); return ok }, true, BreakerProbing, 3},
		{"fails: bounded", func() bool { return b.fail(at(3), true) }, false, BreakerOpen, 6},
		{"success closes", func() bool { return b.succeed() }, true, BreakerClosed, 0},
		{"one failure after that", func() bool { return b.fail(at(9), false) }, false, BreakerClosed, 0},
	}
	for _, s := range steps {
		if got := s.do(); got != s.want || b.state() != s.state {
			t.Fatalf("%s: got %v and %s, want %v and %s", s.name, got, b.state(), s.want, s.state)
		}
		if s.admits > 0 && (b.admits(at(s.admits-0.01)) || !b.admits(at(s.admits))) {
			t.Fatalf("%s: admits entries until %v, want from %v s on", s.name, b.until.Sub(t0), s.admits)
		}
	}
}

func TestExptime(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	tests := []struct {
		name string
		in   time.Duration
		want int32
	}{
		{"a minute", time.Minute, 60},
		{"rounded down", 2*time.Second - 1, 1},
		{"never for ever", time.Millisecond, 1},
		{"30 days", 30 * 24 * time.Hour, 2592000},
		{"a second more is a date", 30*24*time.Hour + time.Second, 1_702_592_001},
		{"beyond 2038", 20 * 365 * 24 * time.Hour, 1<<31 - 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := exptime(now, now.Add(tt.in)); got != tt.want {
				t.Errorf("exptime(%v) = %d, want %d", tt.in, got, tt.want)
			}
		})
	}
}
