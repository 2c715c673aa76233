package integration

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"uwgate/cachewriter"
	"uwgate/demo/stack"
	"uwgate/gateway/purge"
)

// held returns how many of the keys a memcached has.
func (w *world) held(keys []string) (n int) {
	w.t.Helper()
	for _, m := range w.Memcached {
		for _, line := range w.talk(m.Addr, "mg "+strings.Join(keys, " u\r\nmg ")+" u\r\nmn\r\n", "MN") {
			if strings.HasPrefix(line, "HD") {
				n++
			}
		}
	}
	return n
}

// A memcached is too small, and evicts the tags of pages before the pages, also while a tag
// is purged. No page that has it is left.
func TestPurgeOfATagWhileMemcachedEvicts(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: "testdata/purge", Workers: 4, MemcachedArgs: []string{"-m", "2"}, Args: slices.Concat(purges, []string{"--admin-token", adminToken})})
	const pages = 600
	var keys [2][]string // of tag a, and of tag b
	var fill sync.WaitGroup
	for i := range pages {
		target := fmt.Sprintf("/tagged/%d?Cache-Tag=%c", i, 'a'+i%2)
		keys[i%2] = append(keys[i%2], "http://"+wwwSite+target)
		fill.Go(func() {
			if p := w.fetch("GET", target, "Host: "+wwwSite); p.status != 200 {
				t.Errorf("%s: got %d, %v", target, p.status, p.err)
			}
		})
		if i%16 == 15 {
			fill.Wait()
		}
	}
	fill.Wait()
	w.settle()
	var records []string
	for _, key := range keys[0] {
		records = append(records, cachewriter.Sibling(cachewriter.KindRecord, key))
	}

	// Somebody else fills memcached with values as large as records.
	stop := make(chan struct{})
	var other sync.WaitGroup
	defer other.Wait()
	defer sync.OnceFunc(func() { close(stop) })()
	other.Go(func() {
		for round := 0; ; round++ {
			select {
			case <-stop:
				return
			default:
			}
			var b strings.Builder
			for i := range 500 {
				size := 20 + i%120
				fmt.Fprintf(&b, "ms own-%d-%d %d\r\n%s\r\n", round, i, size, strings.Repeat("x", size))
			}
			w.talk(w.Memcached[0].Addr, b.String()+"mn\r\n", "MN")
		}
	})
	w.eventually("records of pages are evicted", func() bool { return w.held(records) < len(records)/2 })
	before := w.held(keys[0])
	if before <= w.held(records) || before < 50 {
		t.Fatalf("%d pages and %d records are left: nothing is put to the test", before, w.held(records))
	}
	p := w.want(w.fetch("PURGE", "/", "Host: "+wwwSite+"\nSurrogate-Key: a"), 200)
	left := w.held(keys[0])
	t.Logf("%d of %d pages were left, then %d; %s", before, len(keys[0]), left, p.body)
	if left != 0 || !strings.Contains(p.body, `"status":"`+purge.Done) {
		t.Errorf("%d pages are left after %s", left, p.body)
	}
}
