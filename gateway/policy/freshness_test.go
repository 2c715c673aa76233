package policy

import (
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	tests := []struct {
		name   string
		jitter float64
		v      Verdict
		r      float64
		want   time.Duration
	}{
		{"no jitter", 0, Verdict{TTL: time.Minute, Reason: DefaultTTL}, 1, time.Minute},
		{"negative jitter", -1, Verdict{TTL: time.Minute, Reason: DefaultTTL}, 1, time.Minute},
		{"explicit, least", 0.05, Verdict{TTL: 100 * time.Second, Reason: MaxAge}, 0, 100 * time.Second},
		{"explicit, middle", 0.05, Verdict{TTL: 100 * time.Second, Reason: MaxAge}, 0.5, 97500 * time.Millisecond},
		{"explicit, most", 0.05, Verdict{TTL: 100 * time.Second, Reason: MaxAge}, 1, 95 * time.Second},
		{"X-Accel-Expires is explicit", 0.05, Verdict{TTL: 100 * time.Second, Reason: XAccelExpires}, 0, 100 * time.Second},
		{"default, longest", 0.05, Verdict{TTL: 100 * time.Second, Reason: DefaultTTL}, 0, 100 * time.Second},
		{"default, middle", 0.05, Verdict{TTL: 100 * time.Second, Reason: DefaultTTL}, 0.5, 97500 * time.Millisecond},
		{"default, shortest", 0.05, Verdict{TTL: 100 * time.Second, Reason: DefaultTTL}, 1, 95 * time.Second},
		{"rule, longest", 0.05, Verdict{TTL: 100 * time.Second, Reason: RuleTTL}, 0, 100 * time.Second},
		{"never under a second", 1, Verdict{TTL: 10 * time.Second, Reason: MaxAge}, 1, time.Second},
		{"under a second already", 1, Verdict{TTL: 10 * time.Millisecond, Reason: MaxAge}, 1, 10 * time.Millisecond},
		{"jitter over 1 is 1", 7, Verdict{TTL: 100 * time.Second, Reason: MaxAge}, 0.5, 50 * time.Second},
		{"r under 0", 0.05, Verdict{TTL: 100 * time.Second, Reason: MaxAge}, -9, 100 * time.Second},
		{"r over 1", 0.05, Verdict{TTL: 100 * time.Second, Reason: MaxAge}, 9, 95 * time.Second},
		{"not stored", 0.05, Verdict{Reason: Expired}, 0.5, 0},
	}
	for _, tt := range tests {
		p := &Policy{Lifetimes: Lifetimes{Jitter: tt.jitter}}
		if got := p.Spread(tt.v, tt.r); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Whatever the page and the random number, a lifetime is not outlived.
func TestSpreadBounds(t *testing.T) {
	for _, row := range responseRows {
		p, v := row.policy(), get(row.request...)
		p.Lifetimes.Jitter = 0.3
		verdict := p.Response(v, p.Request(v), page(row.lines...), testNow)
		for r := 0.0; r <= 1; r += 0.125 {
			got := p.Spread(verdict, r)
			low, high := verdict.TTL*7/10-1, verdict.TTL
			if got < low || got > high {
				t.Errorf("%s: %v of %v at %v is not within %v and %v", row.name, got, verdict.TTL, r, low, high)
			}
		}
	}
}
