package integration

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// request sends a request through nginx on a new connection.
func (f *trial) request(method, path string, body io.Reader) page {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.URL(path), body)
	f.must(err)
	req.Host = f.host
	return f.send(http.DefaultTransport, req)
}

// gets requests a page n times, one after the other.
func (f *trial) gets(n int, path string) *tally {
	f.t.Helper()
	seen := newTally()
	for i := range n {
		seen.visit(func() page { return f.request("GET", numbered(path, i), nil) })
	}
	return seen
}

// atOnce requests a page n times at the same time.
func (f *trial) atOnce(n int, path string) *tally {
	f.t.Helper()
	seen := newTally()
	var visitors sync.WaitGroup
	for i := range n {
		visitors.Go(func() { seen.visit(func() page { return f.request("GET", numbered(path, i), nil) }) })
	}
	visitors.Wait()
	return seen
}

// posts sends n uploads of that many bytes, one after the other.
func (f *trial) posts(n int, path string, size int) *tally {
	f.t.Helper()
	seen, body := newTally(), make([]byte, size)
	for range n {
		seen.visit(func() page { return f.request("POST", path, bytes.NewReader(body)) })
	}
	return seen
}

// numbered adds an argument that makes each page different for a cache.
func numbered(path string, n int) string {
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return fmt.Sprintf("%s%sn=%d", path, sep, n)
}

// A tally counts the outcomes of visits. It is safe for concurrent use.
type tally struct {
	mu      sync.Mutex // guards what follows
	counts  map[string]int
	slowest time.Duration
}

func newTally() *tally { return &tally{counts: make(map[string]int)} }

func (t *tally) visit(fetch func() page) {
	began := time.Now()
	saw := outcome(fetch())
	took := time.Since(began)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[saw]++
	t.slowest = max(t.slowest, took)
}

// outcome describes a page in a few words.
func outcome(p page) string {
	switch {
	case p.status == 0:
		return "no response"
	case p.err != nil:
		return fmt.Sprintf("%d, broken off", p.status)
	case p.header.Get("Retry-After") != "":
		return fmt.Sprintf("%d + Retry-After", p.status)
	}
	return fmt.Sprint(p.status)
}

// only reports whether all visits had that outcome.
func (t *tally) only(outcome string) bool { return len(t.counts) == 1 && t.counts[outcome] > 0 }

// total is the number of visits.
func (t *tally) total() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, count := range t.counts {
		n += count
	}
	return n
}

// others is the number of visits with another outcome.
func (t *tally) others(outcome string) int { return t.total() - t.counts[outcome] }

func (t *tally) String() string {
	var parts []string
	for _, saw := range slices.Sorted(maps.Keys(t.counts)) {
		parts = append(parts, fmt.Sprintf("%d × %s", t.counts[saw], saw))
	}
	return strings.Join(parts, ", ")
}

// within adds whether the slowest visit took less than limit.
func (t *tally) within(limit time.Duration) string {
	if t.slowest < limit {
		return fmt.Sprintf("%v within %v", t, limit)
	}
	return fmt.Sprintf("%v, the slowest after %.1f s", t, t.slowest.Seconds())
}

// soon polls until done returns true, for at most limit, and reports whether it did.
func soon(limit time.Duration, done func() bool) bool {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
