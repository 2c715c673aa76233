package tally

import (
	"strings"
	"sync"
	"time"
)

// Other is the name of everything for which a Table has no room.
const Other = "other"

const (
	defaultNames = 100
	defaultIdle  = 10 * time.Minute
	maxName      = 255 // bytes: the longest host name
)

// A Table has a value for each of a bounded number of names. A name for which there is no
// room takes the place of one that has not come for a while, whose value is added to that of
// [Other], if *V has a method Add(from *V), or else forgotten. So names that somebody makes up do not keep the real ones out for long. Its exported fields
// are set before the first use. The zero value is ready. It is safe for concurrent use.
type Table[V any] struct {
	// Limit is the number of names beside Other. 0 means 100.
	Limit int

	// Idle is how long a name has not come before another one may take its place. 0 means
	// 10 minutes.
	Idle time.Duration

	mu      sync.Mutex // guards what follows
	rows    map[string]*row[V]
	other   V
	hasMore bool      // other has been used
	looked  time.Time // when an idle name was last looked for in vain
}

type row[V any] struct {
	value V
	last  time.Time
}

// Do calls f with the value of a name, or with that of Other. Calls of f do not overlap; it
// must be quick and must not keep the pointer.
func (t *Table[V]) Do(name string, now time.Time, f func(*V)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t.find(name, now))
}

func (t *Table[V]) find(name string, now time.Time) *V {
	if r := t.rows[name]; r != nil {
		r.last = now
		return &r.value
	}
	if name == Other || len(name) > maxName || len(t.rows) >= t.limit() && !t.makeRoom(now) {
		t.hasMore = true
		return &t.other
	}
	if t.rows == nil {
		t.rows = make(map[string]*row[V])
	}
	r := &row[V]{last: now}
	t.rows[strings.Clone(name)] = r
	return &r.value
}

// makeRoom removes the name that has not come for the longest time, if that is long enough.
// It looks once a second at most.
func (t *Table[V]) makeRoom(now time.Time) bool {
	if now.Sub(t.looked) < time.Second && now.After(t.looked) {
		return false
	}
	oldest, when := "", now
	for name, r := range t.rows {
		if r.last.Before(when) {
			oldest, when = name, r.last
		}
	}
	if now.Sub(when) < t.idle() {
		t.looked = now
		return false
	}
	if other, ok := any(&t.other).(interface{ Add(from *V) }); ok {
		other.Add(&t.rows[oldest].value)
		t.hasMore = true
	}
	delete(t.rows, oldest)
	return true
}

// Each calls f with each name and its value, Other at last if anything was counted there.
// Calls of Do wait meanwhile.
func (t *Table[V]) Each(f func(name string, v *V)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, r := range t.rows {
		f(name, &r.value)
	}
	if t.hasMore {
		f(Other, &t.other)
	}
}

func (t *Table[V]) limit() int {
	if t.Limit > 0 {
		return t.Limit
	}
	return defaultNames
}

func (t *Table[V]) idle() time.Duration {
	if t.Idle > 0 {
		return t.Idle
	}
	return defaultIdle
}
