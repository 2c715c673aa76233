package backend

import "time"

const (
	budgetSeconds = 10
	minRetries    = 3 // within budgetSeconds, however few the requests
	retryShare    = 5 // one retry for so many requests
)

// A budget bounds retries to a share of the requests of the last seconds, so
// that servers in trouble do not get more requests than healthy ones. The zero
// budget is full.
type budget struct {
	start    time.Time
	second   int64 // since start, of the newest count
	counts   [budgetSeconds]struct{ requests, retries int }
	requests int // sums
	retries  int
}

func (b *budget) request(now time.Time) {
	b.counts[b.slot(now)].requests++
	b.requests++
}

// retry reports whether one more retry is within the budget, and counts it.
func (b *budget) retry(now time.Time) bool {
	slot := b.slot(now)
	if b.retries >= max(minRetries, b.requests/retryShare) {
		return false
	}
	b.counts[slot].retries++
	b.retries++
	return true
}

// slot forgets what is too old and returns the place of now.
func (b *budget) slot(now time.Time) int64 {
	if b.start.IsZero() {
		b.start = now
	}
	second := int64(now.Sub(b.start) / time.Second)
	for i := max(b.second+1, second-budgetSeconds+1); i <= second; i++ {
		c := &b.counts[i%budgetSeconds]
		b.requests -= c.requests
		b.retries -= c.retries
		c.requests, c.retries = 0, 0
	}
	b.second = max(b.second, second)
	return b.second % budgetSeconds
}

// MayRetry reports whether a request that a server may have seen may be asked of
// another one, and counts it: at most one retry for five requests of the last
// ten seconds, and three at least.
func (p *Pool) MayRetry() bool {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mayRetry()
}

func (p *pool) mayRetry() bool {
	if !p.budget.retry(time.Now()) {
		p.counts.retriesDenied++
		return false
	}
	p.counts.retries++
	return true
}
