package cachewriter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// testPurgeUnderLoad purges a tag of one page in ten, while memcached evicts and its hash
// table grows, and others store pages and values. No page with the tag is left, and no
// value of others is deleted.
func testPurgeUnderLoad(t *testing.T, m memcached) {
	const pages, others = 20_000, 500
	w, busy := newWriter(t, m.address()), newWriter(t, m.address())
	w.Subject, busy.Subject = told, told
	w.Queue.Entries, w.Queue.Bytes = 1<<20, 1<<30
	var stored sync.WaitGroup
	for i := range pages {
		e := sitePage("a", fmt.Sprint("/", i), fmt.Sprint("t", i%10), fmt.Sprint("page ", i))
		e.Body = make([]byte, rand.IntN(4000))
		e.Done = func(error) { stored.Done() }
		stored.Add(1)
		put(t, w, e)
	}
	stored.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	load.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			done := make(chan error, 1)
			e := sitePage("a", fmt.Sprint("/new/", i), "new")
			e.Body, e.Done = make([]byte, rand.IntN(4000)), func(err error) { done <- err }
			if busy.Put(e) == nil {
				<-done
			}
		}
	})
	d := NewDirect(m.address(), time.Minute)
	defer d.Close()
	for i := range others { // they are the latest, and stay
		if _, err := d.Add(t.Context(), fmt.Sprint("foreign", i), []byte("x"), FlagTagged, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	r := purgeNow(t, w, Purge{Scopes: []Scope{tagScope("t3")}})
	cancel()
	load.Wait()
	left := map[string]int{}
	err := w.Walk(t.Context(), func(f Found) bool {
		for _, tag := range f.Subject.Tags {
			if !strings.HasPrefix(tag, "page ") {
				left[tag]++
			}
		}
		if f.Subject.TagsLost && !strings.HasPrefix(f.Subject.URI, "/new/") {
			left["lost"]++
		}
		return true
	})
	if err != nil || left["t3"] > 0 || left["lost"] > 0 || left["t4"] == 0 || left["new"] == 0 || r.Deleted == 0 {
		t.Errorf("%v: %d purged, and %v are left", err, r.Deleted, left)
	}
	for i := range others {
		if item, err := d.Get(t.Context(), fmt.Sprint("foreign", i)); item == nil || err != nil {
			t.Fatalf("foreign%d: %v, %v", i, item, err)
		}
	}
	if strings.Contains(strings.Join(ask(t, m, "stats", "END"), "\n"), "STAT evictions 0") {
		t.Error("nothing was evicted")
	}
}
