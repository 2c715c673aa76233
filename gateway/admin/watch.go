package admin

import (
	"context"
	"sync"
	"time"

	"uwgate/cachewriter"
)

// A Sample is what happened in a span of time, for a graph.
type Sample struct {
	At       time.Time `json:"at"` // its end
	Seconds  float64   `json:"seconds"`
	Requests uint64    `json:"requests"` // of clients to uwgate that ended
	Errors   uint64    `json:"errors"`   // of these, with a status of 5xx
	Stored   uint64    `json:"stored"`   // pages
	Bytes    uint64    `json:"bytes"`    // of bodies that uwgate sent
	Took     float64   `json:"took"`     // seconds, the mean of the requests; 0: none

	// Hits and Misses are from the source that Status.Hits names.
	Hits   uint64 `json:"hits"`
	Misses uint64 `json:"misses"`

	InFlight int64 `json:"in_flight"` // at its end, as the next
	Waiting  int   `json:"waiting"`   // requests in the queues of all pools
}

const (
	sampleEvery = 10 * time.Second
	maxSamples  = 360 // an hour
	surveyEvery = time.Minute
)

// A watch is what an Admin remembers of what it has seen.
type watch struct {
	mu       sync.Mutex // guards what follows
	samples  []Sample   // the oldest first
	last     totals
	info     []cachewriter.Info // nil: not asked yet
	stored   *StoredStatus      // nil: not looked at yet
	surveyed time.Time
}

// totals are counters at one moment.
type totals struct {
	at                              time.Time
	requests, errors, stored, bytes uint64
	took                            time.Duration
	source                          string
	hits, misses                    uint64
}

// Watch takes a sample every 10 seconds, asks memcached what it holds, and looks once a minute
// at some of that, until ctx is done. Without it the status has neither.
func (a *Admin) Watch(ctx context.Context) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		a.look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look takes a sample.
func (a *Admin) look(ctx context.Context) {
	var info []cachewriter.Info
	if store := a.Gateway.Store; store != nil {
		info = store.Info(ctx)
	}
	now := time.Now()
	a.watch.take(a.totals(now, info), a.Gateway.Stats().Requests.InFlight, a.waiting(), info)
	if a.Gateway.Store != nil && a.watch.isSurveyDue(now) {
		stored := a.survey(ctx)
		a.watch.mu.Lock()
		a.watch.stored = stored
		a.watch.mu.Unlock()
	}
}

// take adds the sample between the last totals and these.
func (w *watch) take(t totals, inFlight int64, waiting int, info []cachewriter.Info) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.info = info
	before := w.last
	w.last = t
	if before.at.IsZero() {
		return
	}
	s := Sample{
		At: t.at, Seconds: t.at.Sub(before.at).Seconds(), Requests: t.requests - before.requests, Errors: t.errors - before.errors,
		Stored: since(t.stored, before.stored), Bytes: t.bytes - before.bytes, InFlight: inFlight, Waiting: waiting,
	}
	if s.Requests > 0 {
		s.Took = (t.took - before.took).Seconds() / float64(s.Requests)
	}
	if t.source == before.source {
		s.Hits, s.Misses = since(t.hits, before.hits), since(t.misses, before.misses)
	}
	w.samples = append(w.samples, s)
	if n := len(w.samples) - maxSamples; n > 0 {
		w.samples = append(w.samples[:0], w.samples[n:]...)
	}
}

// since is how much a counter has grown. One that is smaller than before began again.
func since(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

func (w *watch) isSurveyDue(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(w.surveyed) < surveyEvery {
		return false
	}
	w.surveyed = now
	return true
}

func (w *watch) seen() (samples []Sample, info []cachewriter.Info, stored *StoredStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Sample{}, w.samples...), w.info, w.stored
}

func (a *Admin) totals(now time.Time, info []cachewriter.Info) totals {
	r := a.Gateway.Stats().Requests
	t := totals{at: now, bytes: r.Bytes, took: r.Took.Sum}
	for code, n := range r.Statuses {
		t.requests += n
		if code >= 500 {
			t.errors += n
		}
	}
	if store := a.Gateway.Store; store != nil {
		t.stored = store.Stats().Total.Stored
	}
	h := a.hitStatus(info)
	t.source, t.hits, t.misses = h.Source, h.Hits, h.Misses
	return t
}

// waiting is how many requests wait for a server, over all pools.
func (a *Admin) waiting() (n int) {
	for _, p := range a.Gateway.Backends.All() {
		n += p.PoolStats().Waiting
	}
	return n
}
