package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// soakTime is how long pages with a lifetime of five seconds are visited.
// UWGATE_TEST_SOAK=10m makes a real soak test.
func soakTime(t *testing.T) time.Duration {
	text := os.Getenv("UWGATE_TEST_SOAK")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sent returns how many requests for a path were those of visitors, and how many were
// refreshes.
func (w *world) sent(path string) (visitors, refreshes int) {
	w.t.Helper()
	log, err := os.ReadFile(w.AccessLog)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		switch {
		case !strings.Contains(line, fmt.Sprintf(`"uri":%q`, path)):
		case strings.Contains(line, `"msg":"refresh"`):
			refreshes++
		case strings.Contains(line, `"msg":"request"`):
			visitors++
		}
	}
	return visitors, refreshes
}

// Pages with visitors never expire for a visitor. Others expire.
func TestHotPagesDoNotExpire(t *testing.T) {
	w := start(t, stack.Config{Conf: "recommended", App: "testdata/crowd"})
	const hot = 10
	for i := range hot {
		w.want(w.get(fmt.Sprint("/brief/hot", i)), 200)
		w.want(w.get(fmt.Sprint("/brief/cold", i)), 200)
	}
	ctx, cancel := context.WithTimeout(t.Context(), soakTime(t))
	defer cancel()
	start := time.Now()
	var all sync.WaitGroup
	for i := range hot {
		all.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				if p := w.get(fmt.Sprint("/brief/hot", i)); p.status != 200 || !strings.Contains(p.body, "for all") {
					t.Errorf("got %d %q, %v", p.status, p.body, p.err)
				}
				<-tick.C
			}
		})
	}
	all.Wait()
	took := time.Since(start)
	for i := range hot {
		path := fmt.Sprint("/brief/hot", i)
		visitors, refreshes := w.sent(path)
		// A page is refreshed after half of its lifetime at the earliest.
		if least, most := int(took/(10*time.Second))-1, int(took/(4*time.Second))+1; visitors != 1 || refreshes < least || refreshes > most {
			t.Errorf("%s: %d visitors had to wait, and it was refreshed %d times in %v", path, visitors, refreshes, took)
		}
		if visitors, refreshes := w.sent(fmt.Sprint("/brief/cold", i)); visitors != 1 || refreshes != 0 {
			t.Errorf("a cold page was fetched %d times for visitors, and refreshed %d times", visitors, refreshes)
		}
	}
}

// Without a backend stale pages are served, and others get a 503. With the backend they
// are fresh at once.
func TestStaleWhileTheBackendIsGone(t *testing.T) {
	w := start(t, stack.Config{Conf: "recommended", App: "testdata/crowd", Args: []string{"--refresh-ahead=false"}})
	w.want(w.get("/short/page"), 200)
	w.wantKey(w.pageKey("/short/page"))
	if err := w.UWSGI.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.eventually("the page has expired", func() bool {
		p := w.want(w.get("/short/page"), 200)
		return p.header.Get("Cache-Status") != ""
	})
	start := time.Now()
	c := w.crowd(100, func(int) page { return w.get("/short/page") })
	for _, p := range c.pages {
		if p.status != 200 || !strings.Contains(p.header.Get("Cache-Status"), "detail=stale") || p.header.Get("Age") == "" {
			t.Fatalf("got %d %q, Cache-Status %q, Age %q", p.status, p.body, p.header.Get("Cache-Status"), p.header.Get("Age"))
		}
	}
	t.Logf("a hundred were served in %v", time.Since(start))
	if p := w.want(w.get("/short/other"), 503); p.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if err := w.UWSGI.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	w.eventually("the page is fresh", func() bool {
		return !strings.Contains(w.want(w.get("/short/page"), 200).header.Get("Cache-Status"), "stale")
	})
	if took := time.Since(back); took > 10*time.Second { // a second, and a busy machine's
		t.Errorf("stale for %v after the backend was back, want a second", took)
	}
}
