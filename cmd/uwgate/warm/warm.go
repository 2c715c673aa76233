package warm

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Fetcher requests a page and reads the whole response. It is safe for concurrent use.
type Fetcher interface {
	Fetch(ctx context.Context, page string) Result
}

// A Warmer requests pages. Its fields are set before Run.
type Warmer struct {
	From Fetcher // must be set

	Concurrency int     // the most requests in flight; 0: 2
	Rate        float64 // the most requests a second; 0: no bound

	// Waiting returns how many requests wait for a worker in the gateway. Nil: not
	// known. An error means that it is not known this time.
	Waiting func(ctx context.Context) (int, error)

	// Each is called with every result, one at a time. It may be nil.
	Each func(Result)

	// Known is called once, with the number of pages, when the source has ended. It may
	// be nil, and it may be called at the same time as Each.
	Known func(pages int)
}

const (
	// A page that is refused is asked for this often.
	maxTries = 3

	// So many pages that fail in a row mean that nothing works.
	maxInRow = 25

	// So many pages are listed before they are requested, so that people see how many
	// there will be.
	ahead = 10_000

	lookInterval = time.Second      // between two looks at what waits
	maxYield     = 10 * time.Second // then one request may go, however many wait
)

var errInRow = fmt.Errorf("stopped, since %d pages in a row failed", maxInRow)

// Run requests the pages that the source lists, until it ends, ctx is done, or too many
// pages in a row have failed. When it returns, no request is in flight. It does not wait
// for a source that is in a read, as one of a terminal may be for ever.
func (w *Warmer) Run(ctx context.Context, source iter.Seq2[string, error]) *Summary {
	began := time.Now()
	run := &run{Warmer: w, throttle: newThrottle(cmp.Or(w.Concurrency, 2)), summary: newSummary()}
	ctx, run.stop = context.WithCancelCause(ctx)
	defer run.stop(nil)
	run.limiter = rate.NewLimiter(rate.Inf, 1)
	if w.Rate > 0 {
		run.limiter.SetLimit(rate.Limit(w.Rate))
	}
	pages := make(chan listed, ahead)
	go run.list(ctx, source, pages)
	var helpers sync.WaitGroup
	if w.Waiting != nil {
		run.mustYield(ctx)
		looking, done := context.WithCancel(ctx)
		defer helpers.Wait()
		defer done()
		helpers.Go(func() { run.look(looking) })
	}
	run.fetchAll(ctx, pages)
	return run.conclude(ctx, began)
}

// A listed page is what a source has: a page, or an error.
type listed struct {
	page string
	err  error
}

// A run is one call of Run. Its goroutines are that of the source, that which looks at
// what waits, and one for each request that may be in flight.
type run struct {
	*Warmer
	throttle *throttle
	limiter  *rate.Limiter
	stop     context.CancelCauseFunc

	mu      sync.Mutex // guards what follows
	summary *Summary
	inRow   int // pages that failed one after the other
}

// list sends what the source has.
func (r *run) list(ctx context.Context, source iter.Seq2[string, error], pages chan<- listed) {
	defer close(pages)
	n := 0
	for page, err := range source {
		select {
		case pages <- listed{page, err}:
		case <-ctx.Done():
			return
		}
		if err == nil {
			n++
		}
	}
	if r.Known != nil && ctx.Err() == nil {
		r.Known(n)
	}
}

// fetchAll requests the pages and waits for the responses.
func (r *run) fetchAll(ctx context.Context, pages <-chan listed) {
	var requests sync.WaitGroup
	for range r.throttle.most {
		requests.Go(func() { r.fetchSome(ctx, pages) })
	}
	requests.Wait()
}

// fetchSome requests one page after the other.
func (r *run) fetchSome(ctx context.Context, pages <-chan listed) {
	for {
		select {
		case <-ctx.Done():
			return
		case l, more := <-pages:
			switch {
			case !more:
				return
			case l.err != nil:
				r.unread(l.err)
			default:
				r.fetch(ctx, l.page)
			}
		}
	}
}

// fetch requests a page, again if it is refused.
func (r *run) fetch(ctx context.Context, page string) {
	for try := 1; ; try++ {
		if !r.throttle.enter(ctx) {
			return
		}
		if r.limiter.Wait(ctx) != nil {
			r.throttle.leave(time.Now(), 0)
			return
		}
		result := r.From.Fetch(ctx, page)
		r.throttle.leave(time.Now(), result.weight())
		if ctx.Err() != nil && result.Err != nil {
			return // nobody knows how it would have ended
		}
		if !result.refused() || try == maxTries {
			r.record(result)
			return
		}
		r.throttle.back(time.Now(), max(result.retryAfter, time.Second<<(try-1)))
	}
}

// weight is how long a worker took for the response, 0 if that is not known.
func (r *Result) weight() time.Duration {
	if r.Err != nil || r.Verdict == Hit || r.Verdict == Passed || r.refused() {
		return 0
	}
	return r.Took
}

// record counts a result, and ends the run if nothing works.
func (r *run) record(result Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.add(result)
	if r.Each != nil {
		r.Each(result)
	}
	r.inRow++
	if result.Verdict != Failed {
		r.inRow = 0
	}
	if r.inRow == maxInRow {
		r.stop(errInRow)
	}
}

// unread records an error of the source.
func (r *run) unread(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary.unread(err)
}

// look lets visitors go first who wait for a worker.
func (r *run) look(ctx context.Context) {
	tick := time.NewTicker(lookInterval)
	defer tick.Stop()
	var yielded time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if yielded >= maxYield || !r.mustYield(ctx) {
			yielded = 0
			continue
		}
		yielded += lookInterval
	}
}

// mustYield reports whether requests wait for a worker. If so, nothing starts until after
// the next look.
func (r *run) mustYield(ctx context.Context) bool {
	waiting, err := r.Waiting(ctx)
	if err != nil || waiting == 0 {
		return false
	}
	r.throttle.back(time.Now(), lookInterval*3/2)
	return true
}

func (r *run) conclude(ctx context.Context, began time.Time) *Summary {
	s := r.summary
	s.Seconds = time.Since(began).Seconds()
	s.Yields = r.throttle.yields
	switch {
	case context.Cause(ctx) == errInRow:
		s.Ended = errInRow.Error()
	case ctx.Err() != nil:
		s.Ended = "interrupted"
	}
	return s
}
