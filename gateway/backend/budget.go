package backend

import "time"

const (
	budgetSeconds = 10
	minRetries    = 3 // retries within budgetSeconds, however few requests there are
	retryShare    = 5 // requests for one retry
)

// A budget limits retries to a share of the requests of the last seconds, so that
// servers in trouble do not get more requests than healthy ones. Nothing is spent of the
// zero budget.
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

// take counts one more retry if that is within the budget, and reports whether it is.
func (b *budget) take(now time.Time) bool {
	slot := b.slot(now)
	if b.retries >= max(minRetries, b.requests/retryShare) {
		return false
	}
	b.counts[slot].retries++
	b.retries++
	return true
}

// slot deletes the counts that are too old and returns the index of the current second.
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

// TakeRetry takes a retry from the pool's budget. It reports whether a request that a
// server may have seen may be asked of another one: at most one retry for five requests of the last
// ten seconds, and three at least.
func (p *Pool) TakeRetry() bool {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mayRetry()
}

func (p *pool) mayRetry() bool {
	if !p.budget.take(time.Now()) {
		p.counts.retriesDenied++
		return false
	}
	p.counts.retries++
	return true
}
