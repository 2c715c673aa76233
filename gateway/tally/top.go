package tally

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Count is how often a name has come.
type Count struct {
	Name string
	N    uint64
}

const (
	topNames  = 512
	topSpan   = 5 * time.Minute
	maxTopLen = 1 << 10 // bytes of a name
)

// A Top finds the names that came most often in the last minutes. It keeps 1024 names at
// most, so that the counts of rare names are too low, and those of frequent ones are nearly
// right. The zero value is ready. It is safe for concurrent use.
type Top struct {
	// Span is how long a name is remembered at least; it is forgotten after twice that. 0
	// means 5 minutes.
	Span time.Duration

	mu        sync.Mutex // guards what follows
	now, past map[string]uint64
	began     time.Time // of now
}

// Add counts a name. One of over 1 KiB is cut.
func (t *Top) Add(name string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(at)
	name = name[:min(len(name), maxTopLen)]
	if n, ok := t.now[name]; ok {
		t.now[name] = n + 1
		return
	}
	if len(t.now) >= 2*topNames {
		t.prune()
	}
	t.now[strings.Clone(name)] = 1
}

// turn begins a new span.
func (t *Top) turn(at time.Time) {
	span := t.Span
	if span <= 0 {
		span = topSpan
	}
	switch age := at.Sub(t.began); {
	case t.now != nil && age < span:
		return
	case age < 2*span:
		t.past = t.now
	default:
		t.past = nil
	}
	t.now, t.began = map[string]uint64{}, at
}

// prune forgets the rarer half of the names.
func (t *Top) prune() {
	for _, c := range sorted(t.now)[topNames:] {
		delete(t.now, c.Name)
	}
}

// Best returns the n most frequent names, the most frequent first.
func (t *Top) Best(n int, at time.Time) []Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(at)
	sum := make(map[string]uint64, len(t.now)+len(t.past))
	for _, m := range []map[string]uint64{t.now, t.past} {
		for name, n := range m {
			sum[name] += n
		}
	}
	all := sorted(sum)
	return all[:min(n, len(all))]
}

func sorted(m map[string]uint64) []Count {
	all := make([]Count, 0, len(m))
	for name, n := range m {
		all = append(all, Count{name, n})
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Name, b.Name))
	})
	return all
}
