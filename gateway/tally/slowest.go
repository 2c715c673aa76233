package tally

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	slowKept = 20
	slowSpan = 30 * time.Minute
)

// A Slowest keeps what took longest in the last half hour to hour. The zero value is ready.
// It is safe for concurrent use.
type Slowest[V any] struct {
	floor atomic.Int64 // what took less than this is not among them, in nanoseconds

	mu        sync.Mutex // guards what follows
	now, past []timed[V] // the slowest first
	began     time.Time  // of now
}

type timed[V any] struct {
	took  time.Duration
	value V
}

// Wants reports whether what took so long may be among the slowest. It is cheap.
func (s *Slowest[V]) Wants(took time.Duration) bool { return int64(took) > s.floor.Load() }

// Add notes what took so long. It calls describe only if that is among the slowest.
func (s *Slowest[V]) Add(took time.Duration, at time.Time, describe func() V) {
	if !s.Wants(took) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(at)
	i, _ := slices.BinarySearchFunc(s.now, took, func(t timed[V], d time.Duration) int { return int(min(max(d-t.took, -1), 1)) })
	if i >= slowKept {
		return
	}
	s.now = slices.Insert(s.now, i, timed[V]{took, describe()})
	s.now = s.now[:min(len(s.now), slowKept)]
	if len(s.now) == slowKept {
		s.floor.Store(int64(s.now[slowKept-1].took))
	}
}

// turn begins a new span.
func (s *Slowest[V]) turn(at time.Time) {
	switch age := at.Sub(s.began); {
	case !s.began.IsZero() && age < slowSpan:
		return
	case age < 2*slowSpan:
		s.past = s.now
	default:
		s.past = nil
	}
	s.now, s.began = nil, at
	s.floor.Store(0)
}

// All returns them, the slowest first.
func (s *Slowest[V]) All(at time.Time) []V {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(at)
	all := slices.Concat(s.now, s.past)
	slices.SortStableFunc(all, func(a, b timed[V]) int { return int(min(max(b.took-a.took, -1), 1)) })
	var values []V
	for _, t := range all[:min(len(all), slowKept)] {
		values = append(values, t.value)
	}
	return values
}
