package gateway

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/refresh"
	"uwgate/uwsgi"
)

// refreshInto refreshes the page of k:/ while others ask for it, and returns what became of it.
func (b *bench) refreshInto(all *sync.WaitGroup) {
	page := &refresh.Page{Entry: cachewriter.Entry{Key: "k:/"}, Policy: b.policy(), Vars: missed("/")}
	all.Go(func() {
		if became := b.refreshPage(context.Background(), page); became != refresh.Failed {
			b.t.Errorf("the refresh became %v, want %v", became, refresh.Failed)
		}
	})
	eventually(b.t, "it is refreshed", func() bool {
		b.flights.mu.Lock()
		defer b.flights.mu.Unlock()
		return b.flights.aloft[page.Entry.Key] != nil
	})
}

// Visitors who wait for a refresh that finds no server get the last good copy, as they would
// without it.
func TestRefreshFindsNoServer(t *testing.T) {
	w := newGate(alike(okPage("hello", kept)))
	close(w.open)
	b := startBench(t, "unix", func(g *Gateway) { g.Backends.Default.QueueTimeout = 3 * time.Second },
		startWorker(t, w.play)+" max-conns=1")
	b.get("/")
	b.copied("k:/")
	b.forget("k:/")
	w.open = make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { b.get("/busy") })
	eventually(t, "the worker is busy", func() bool { return w.asked.Load() == 2 })
	var visitors, rest sync.WaitGroup
	b.refreshInto(&rest)
	for range 3 {
		visitors.Go(func() {
			if got := b.get("/"); got.body != "hello" {
				t.Errorf("got %q, want the copy", got.raw)
			}
		})
	}
	b.followed(3)
	visitors.Wait()
	close(w.open)
	rest.Wait()
	all.Wait()
}

// Of the visitors who wait for a refresh that the worker breaks off twice, one asks for the
// page again.
func TestRefreshIsBrokenOff(t *testing.T) {
	w := newGate(func(n int, nc net.Conn, _ *uwsgi.Request) {
		if n > 2 {
			time.Sleep(50 * time.Millisecond) // the others come meanwhile
			io.WriteString(nc, okPage("hello"))
		}
	})
	b := newBench(t, nil, w.play)
	var all sync.WaitGroup
	b.refreshInto(&all)
	for range 5 {
		all.Go(func() {
			if got := b.get("/"); got.body != "hello" {
				t.Errorf("got %q", got.raw)
			}
		})
	}
	b.followed(5)
	close(w.open)
	all.Wait()
	if n := w.asked.Load(); n != 3 {
		t.Errorf("the worker was asked %d times, want twice for the refresh and once for the visitors", n)
	}
}
