package policy

import (
	"testing"
	"time"
)

func TestStale(t *testing.T) {
	for _, tt := range []struct {
		name           string
		lines          []string
		grace, ifError time.Duration // of a policy with 10 s and 20 s
	}{
		{"nothing said", []string{"Cache-Control: max-age=60"}, 10 * time.Second, 20 * time.Second},
		{"said", []string{"Cache-Control: max-age=60, stale-while-revalidate=1, stale-if-error=2"}, time.Second, 2 * time.Second},
		{"none", []string{"Cache-Control: max-age=60, stale-while-revalidate=0, stale-if-error=0"}, 0, 0},
		{"malformed", []string{"Cache-Control: max-age=60, stale-while-revalidate=x, stale-if-error=-1"}, 0, 0},
		{"twice", []string{"Cache-Control: max-age=60, stale-if-error=2", "Cache-Control: stale-if-error=3"}, 10 * time.Second, 0},
		{"must-revalidate", []string{"Cache-Control: max-age=60, must-revalidate, stale-if-error=2"}, 0, 0},
		{"proxy-revalidate", []string{"Cache-Control: max-age=60, proxy-revalidate"}, 0, 0},
		{"over MaxTTL", []string{"Cache-Control: max-age=60, stale-if-error=1000000000"}, 10 * time.Second, time.Hour},
		{"for caches alone", []string{"CDN-Cache-Control: max-age=60, stale-while-revalidate=3", "Cache-Control: stale-while-revalidate=1"}, 3 * time.Second, 20 * time.Second},
		{"broken for caches alone", []string{"CDN-Cache-Control: max-age=60,,", "Cache-Control: max-age=60, stale-while-revalidate=1"}, time.Second, 20 * time.Second},
	} {
		p := testPolicy()
		p.Lifetimes.Grace, p.Lifetimes.StaleIfError, p.Lifetimes.Max = 10*time.Second, 20*time.Second, time.Hour
		v := get()
		got := p.Response(v, p.Request(v), page(tt.lines...), testNow)
		if got.TTL != time.Minute || got.Grace != tt.grace || got.StaleIfError != tt.ifError {
			t.Errorf("%s: %+v, want 60s, %v and %v", tt.name, got, tt.grace, tt.ifError)
		}
	}
}
