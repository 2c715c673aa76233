package cachewriter

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkPurgeTag purges a tag of 10,000 pages of 100,000, each with three tags.
func BenchmarkPurgeTag(b *testing.B) {
	m := startReal(b, lookMemcached(b), "-m", "1024")
	w := &Writer{Ring: newRing(b, All, Server{Name: m.address()}), Timeout: time.Minute, DialTimeout: time.Minute, Subject: told}
	w.Queue.Entries = 1 << 20
	b.Cleanup(func() { w.Close(b.Context()) })
	fill := func(only func(i int) bool) {
		left := make(chan error, 100_000)
		n := 0
		for i := range 100_000 {
			if !only(i) {
				continue
			}
			e := sitePage("shop.example", fmt.Sprintf("/products/category-%d/article-%d?page=%d", i%100, i, i%7),
				fmt.Sprint("product-", i), fmt.Sprint("category-", i%10), "shop")
			e.Expires = time.Now().Add(time.Hour)
			e.Done = func(err error) { left <- err }
			if err := w.Put(e); err != nil {
				b.Fatal(err)
			}
			n++
		}
		for range n {
			if err := <-left; err != nil {
				b.Fatal(err)
			}
		}
	}
	fill(func(int) bool { return true })
	b.ReportAllocs()
	for b.Loop() {
		r := w.PurgeMatching(b.Context(), Purge{Scopes: []Scope{tagScope("category-3")}})[0]
		if r.Err != nil || r.Deleted != 10_000 {
			b.Fatalf("%+v", r)
		}
		b.StopTimer()
		fill(func(i int) bool { return i%10 == 3 })
		b.StartTimer()
	}
}
