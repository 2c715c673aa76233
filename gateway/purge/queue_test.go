package purge

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/cachewriter"
)

func somePages(n int) (pages []*Page) {
	for range n {
		pages = append(pages, &Page{until: time.Now().Add(time.Hour), done: func(Fate) {}})
	}
	return pages
}

// A queue that is not open takes nothing, and one that is full returns what it cannot take.
func TestQueueIsFull(t *testing.T) {
	var q queue
	if rest := q.add(somePages(2)); len(rest) != 2 || q.accepts() {
		t.Errorf("before it is open: %d pages are returned, want 2; accepts: %v", len(rest), q.accepts())
	}
	q.open()
	pages := somePages(maxQueued + 3)
	rest := q.add(pages)
	if len(rest) != 3 || rest[0] != pages[maxQueued] || q.len() != maxQueued {
		t.Errorf("%d pages are returned, %d wait", len(rest), q.len())
	}
	if pg := q.next(t.Context()); pg != pages[0] {
		t.Error("the first page is not the first")
	}
	if rest := q.add(rest); len(rest) != 2 {
		t.Errorf("with room for one: %d of 3 are returned", len(rest))
	}
	if left := q.close(); len(left) != maxQueued || left[0] != pages[1] || q.accepts() {
		t.Errorf("%d pages are left; accepts: %v", len(left), q.accepts())
	}
	if rest := q.add(somePages(1)); len(rest) != 1 {
		t.Error("a closed queue takes a page")
	}
}

// next waits for a page, and ends with its context.
func TestQueueWaits(t *testing.T) {
	var q queue
	q.open()
	got := make(chan *Page)
	go func() { got <- q.next(t.Context()) }()
	pages := somePages(1)
	q.add(pages)
	if pg := <-got; pg != pages[0] {
		t.Error("not the page that came")
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { got <- q.next(ctx) }()
	cancel()
	if pg := <-got; pg != nil {
		t.Error("a page after the end")
	}
}

// A batch ends with its last page, and a wait with its context.
func TestBatch(t *testing.T) {
	if is := newBatch(0).wait(t.Context()); is != (fetches{}) {
		t.Errorf("of no pages: %+v", is)
	}
	b := newBatch(3)
	b.end(Replaced)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if is := b.wait(ended); is != (fetches{fetched: 1}) {
		t.Errorf("while two are left: %+v", is)
	}
	b.end(Failed)
	b.end(Withdrawn)
	if is := b.wait(t.Context()); is != (fetches{fetched: 1, failed: 1}) {
		t.Errorf("at the end: %+v", is)
	}
}

// When Run ends, a page that is being fetched and those that wait are given up, each once, and
// nothing waits for them any more.
func TestRunEnds(t *testing.T) {
	began := make(chan struct{}, 10)
	p := &Purger{Store: storeOf(t), Concurrency: 1, Refetch: func(ctx context.Context, pg *Page) Fate {
		began <- struct{}{}
		<-ctx.Done()
		return Failed
	}}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { p.Run(ctx); close(ended) }()
	for !p.queue.accepts() {
		time.Sleep(time.Millisecond)
	}
	b, pages, given := newBatch(3), somePages(3), atomic.Int64{}
	for _, pg := range pages {
		pg.Found = cachewriter.Found{Key: "http://a.example/", Server: "127.0.0.1:1"}
		pg.done = func(f Fate) { given.Add(1); b.end(f) }
	}
	if rest := p.queue.add(pages); len(rest) != 0 {
		t.Fatalf("%d pages are returned", len(rest))
	}
	<-began
	stop()
	<-ended
	if is := b.wait(t.Context()); is.failed != 3 || given.Load() != 3 || p.queue.len() != 0 {
		t.Errorf("%+v, given %d times, %d wait", is, given.Load(), p.queue.len())
	}
	if s := p.Stats(); s.Failed != 3 || s.Fetched != 0 || s.Waiting != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Without anybody who fetches, a soft purge is a hard one.
func TestSoftWithoutRun(t *testing.T) {
	p := &Purger{Store: storeOf(t)}
	p.Run(t.Context()) // it has nothing to fetch with
	if p.queue.accepts() {
		t.Error("pages are kept that nobody fetches")
	}
}

// Only pages that were visited of late, and of which the URL is known, are kept, and not more
// than a bound.
func TestKeep(t *testing.T) {
	began := time.Now()
	hot := cachewriter.Found{Fetched: true, Accessed: began.Add(-time.Minute), Subject: cachewriter.Subject{Host: "a.example", URI: "/"}}
	changed := func(change func(*cachewriter.Found)) cachewriter.Found {
		f := hot
		change(&f)
		return f
	}
	for name, tt := range map[string]struct {
		f                    cachewriter.Found
		soft, kept, isToCome bool
	}{
		"hot":                {hot, true, true, true},
		"hot, to refresh":    {hot, false, false, true},
		"never visited":      {changed(func(f *cachewriter.Found) { f.Fetched = false }), true, false, false},
		"visited long ago":   {changed(func(f *cachewriter.Found) { f.Accessed = began.Add(-hotFor - time.Second) }), true, false, false},
		"of an unknown URL":  {changed(func(f *cachewriter.Found) { f.Subject.URI = "" }), true, false, false},
		"of an unknown site": {changed(func(f *cachewriter.Found) { f.Subject.Host = "" }), true, false, false},
	} {
		k := &keeper{o: Order{Request: &Request{Soft: tt.soft, Refresh: !tt.soft}}, began: began}
		if kept := k.keep(tt.f); kept != tt.kept || (len(k.pages) == 1) != tt.isToCome {
			t.Errorf("%s: kept %v, %d to fetch", name, kept, len(k.pages))
		}
	}
	k := &keeper{o: Order{Request: &Request{Soft: true}}, began: began}
	for range maxHot {
		k.keep(hot)
	}
	if k.keep(hot) || len(k.pages) != maxHot {
		t.Errorf("%d pages are kept, want %d", len(k.pages), maxHot)
	}
}
