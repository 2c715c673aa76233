package histogram

import (
	"slices"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of the buckets.
var bounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second, 60 * time.Second,
}

// A Histogram counts durations. The zero value is ready. It is safe for concurrent use, and
// must not be copied.
type Histogram struct {
	buckets [len(bounds) + 1]atomic.Uint64 // each without those below it
	sum     atomic.Int64                   // in nanoseconds
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	i, _ := slices.BinarySearch(bounds[:], d)
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot returns what has been counted, in the buckets whose bound is at least from and
// at most to.
func (h *Histogram) Snapshot(from, to time.Duration) Snapshot {
	s := Snapshot{Buckets: make([]Bucket, 0, len(bounds))}
	for i, le := range bounds {
		s.Count += h.buckets[i].Load()
		if le >= from && le <= to {
			s.Buckets = append(s.Buckets, Bucket{Le: le, Count: s.Count})
		}
	}
	s.Count += h.buckets[len(bounds)].Load()
	s.Sum = time.Duration(h.sum.Load())
	return s
}

// A Snapshot is what a Histogram had counted at one moment.
type Snapshot struct {
	Count   uint64
	Sum     time.Duration
	Buckets []Bucket // ascending
}

// A Bucket counts the durations of at most Le, including those of the buckets before it.
type Bucket struct {
	Le    time.Duration
	Count uint64
}

// Plus returns the sum of two snapshots of the same buckets. The zero Snapshot adds nothing.
func (s Snapshot) Plus(o Snapshot) Snapshot {
	if len(s.Buckets) == 0 {
		s, o = o, s
	}
	sum := Snapshot{Count: s.Count + o.Count, Sum: s.Sum + o.Sum, Buckets: slices.Clone(s.Buckets)}
	for i := range o.Buckets {
		sum.Buckets[i].Count += o.Buckets[i].Count
	}
	return sum
}
