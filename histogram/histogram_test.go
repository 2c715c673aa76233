package histogram

import (
	"reflect"
	"testing"
	"time"
)

func TestSnapshot(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, time.Millisecond + 1, 2 * time.Minute} {
		h.Observe(d)
	}
	got := h.Snapshot(500*time.Microsecond, 2500*time.Microsecond)
	want := Snapshot{
		Count: 5, Sum: 2*time.Minute + 2*time.Millisecond + 100*time.Microsecond + 1,
		Buckets: []Bucket{{500 * time.Microsecond, 2}, {time.Millisecond, 3}, {2500 * time.Microsecond, 4}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	twice := Snapshot{}.Plus(got).Plus(got).Plus(Snapshot{})
	want.Count, want.Sum = 10, 2*want.Sum
	want.Buckets = []Bucket{{500 * time.Microsecond, 4}, {time.Millisecond, 6}, {2500 * time.Microsecond, 8}}
	if !reflect.DeepEqual(twice, want) {
		t.Errorf("twice: got %v, want %v", twice, want)
	}
	if got.Buckets[0].Count != 2 {
		t.Error("Plus has changed a snapshot")
	}
}

// Every bound is the last duration of its bucket.
func TestBounds(t *testing.T) {
	for i, le := range bounds {
		var h Histogram
		h.Observe(le)
		h.Observe(le + 1)
		if got, next := h.buckets[i].Load(), h.buckets[i+1].Load(); got != 1 || next != 1 {
			t.Errorf("%v: %d in its bucket and %d in the next, want 1 and 1", le, got, next)
		}
	}
}
