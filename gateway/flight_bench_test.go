package gateway

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkLead is for a page that nobody else asks for: its flight begins and ends.
func BenchmarkLead(b *testing.B) {
	body := make([]byte, 4096)
	for _, bm := range []struct {
		name string
		ends ending
	}{{"landed", endLanded}, {"refused", endRefused}} {
		b.Run(bm.name, func(b *testing.B) {
			// Those that have landed are kept, but not as many.
			keys := flightKeys(2 * keepLandedBytes / len(body))
			var fs flights
			s := seeker{client: &client{g: &Gateway{}}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.key = keys[i%len(keys)]
				f, leads := fs.join(&s, 10)
				if !leads {
					b.Fatal("does not lead")
				}
				f.grown(body)
				f.stored(body)
				fs.end(f, bm.ends, nil)
			}
		})
	}
}

func flightKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("http://www.example.com/articles/", i)
	}
	return keys
}

// BenchmarkFollow joins a flight that is under way, and leaves it.
func BenchmarkFollow(b *testing.B) {
	var fs flights
	s := seeker{client: &client{g: &Gateway{}}, key: "k:/"}
	fs.join(&s, 10)
	b.ReportAllocs()
	for b.Loop() {
		f, leads := fs.join(&s, 10)
		if f == nil || leads {
			b.Fatal("does not follow")
		}
		f.leave()
	}
}

// BenchmarkCrowd is one flight, and the followers who wait for it and are woken.
func BenchmarkCrowd(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var fs flights
			s := seeker{client: &client{g: &Gateway{}}, key: "k:/"}
			b.ReportAllocs()
			for b.Loop() {
				f, _ := fs.join(&s, n)
				var joined, all sync.WaitGroup
				joined.Add(n)
				for range n {
					all.Go(func() {
						f, _ := fs.join(&s, n)
						joined.Done()
						f.await(b.Context(), nil, func(v *view) bool { return v.ending != aloft })
						f.leave()
					})
				}
				joined.Wait()
				fs.end(f, endRefused, nil)
				all.Wait()
			}
		})
	}
}

// BenchmarkSetMark is for keys whose pages turn out not to be for everyone, each of
// which takes the place of another.
func BenchmarkSetMark(b *testing.B) {
	keys := flightKeys(2 * maxMarkers)
	var fs flights
	for _, key := range keys {
		fs.setMarker(key, false, uncacheable)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fs.setMarker(keys[i%len(keys)], false, uncacheable)
	}
}

// BenchmarkGoAlone joins no flight, for the key is one of those.
func BenchmarkGoAlone(b *testing.B) {
	var fs flights
	s := seeker{client: &client{g: &Gateway{}}}
	for _, key := range flightKeys(maxMarkers) {
		fs.setMarker(key, false, uncacheable)
		s.key = key
	}
	b.ReportAllocs()
	for b.Loop() {
		if f, _ := fs.join(&s, 10); f != nil {
			b.Fatal("does not go alone")
		}
	}
}
