package integration

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/demo/stack"
	"uwgate/gateway/purge"
)

// fillMany stores that many pages under the keys and with the records that a gateway writes.
// One in ten has the tag "a", and all others have tags that are like it.
func (b *purgeBench) fillMany(pages int) (tagged int) {
	b.t.Helper()
	var servers []cachewriter.Server
	for _, m := range b.Memcached {
		servers = append(servers, cachewriter.Server{Name: m.Addr})
	}
	ring, err := cachewriter.NewRing(cachewriter.Consistent, servers...)
	if err != nil {
		b.t.Fatal(err)
	}
	w := &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience, Queue: cachewriter.QueueLimits{Bytes: 1 << 30, Entries: pages}}
	b.t.Cleanup(func() { w.Close(b.t.Context()) })
	long := strings.Repeat("a", 64<<10-1)
	others := [][]string{{"ab"}, {"ba", "aa"}, {"a b"}, {"a.*", ".", "^a$"}, {"A"}, {"a,b", "b,a"}, {"b", ":a", "1:a,"}, {"a\x00"}, nil}
	var done sync.WaitGroup
	var failed atomic.Int64
	for i := range pages {
		uri := fmt.Sprint("/many/", i)
		tags := []string{"b", "a", "c"}
		switch {
		case i%10 == 0:
			tagged++
		case i%1000 == 1:
			tags = []string{long}
		default:
			tags = others[i%10-1]
		}
		done.Add(1)
		e := cachewriter.Entry{
			Key: "http://" + wwwSite + uri, Body: []byte("<p>" + uri + "</p>"), Expires: time.Now().Add(time.Hour),
			Subject: cachewriter.Subject{Host: wwwSite, URI: uri, Tags: tags}, Recorded: true,
			Done: func(err error) {
				if err != nil {
					failed.Add(1)
				}
				done.Done()
			},
		}
		if err := w.Put(e); err != nil {
			b.t.Fatal(err)
		}
	}
	done.Wait()
	if n := failed.Load(); n > 0 {
		b.t.Fatalf("%d pages were not stored", n)
	}
	return tagged
}

// Of 100,000 pages, a purge of a tag deletes those that have it, in a moment, and no page with
// a tag that contains it, is contained in it or would match it as an expression.
func TestPurgeOfOneTagInMany(t *testing.T) {
	pages := 100_000
	if testing.Short() {
		pages = 10_000
	}
	b := startPurges(t, stack.Config{Memcached: 3})
	tagged := b.fillMany(pages)
	if r := b.run("--dry-run", "--all"); r.Found != pages {
		t.Fatalf("%d pages are stored, want %d", r.Found, pages)
	}
	r := b.run("--tag", "a")
	t.Logf("%d of %d pages in %.2f s", r.Deleted, pages, r.Took)
	if r.Status != purge.Done || r.Deleted != tagged {
		t.Errorf("got %+v, want %d pages", r, tagged)
	}
	if again := b.run("--dry-run", "--tag", "a"); again.Found != 0 {
		t.Errorf("%d pages are left", again.Found)
	}
	if rest := b.run("--dry-run", "--all"); rest.Found != pages-tagged {
		t.Errorf("%d other pages are left, want %d", rest.Found, pages-tagged)
	}
	if r := b.run("--tag", "a.*", "--tag", "a b"); r.Deleted != 2*pages/10 {
		t.Errorf("tags like an expression and with a space: %d pages, want %d", r.Deleted, 2*pages/10)
	}
	const most = time.Minute // far more than it takes, on a machine that is busy
	if took := time.Duration(r.Took * float64(time.Second)); took > most {
		t.Errorf("it took %v", took)
	}
}
