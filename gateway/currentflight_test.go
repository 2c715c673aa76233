package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/uwsgi"
)

// A visitor who comes after a POST through one gateway was answered joins the flight of
// another, and gets the page as it is after that. Who has come before the worker was asked,
// or came when there was no POST, shares what the leader gets.
func TestFlightAcrossGateways(t *testing.T) {
	for _, tt := range []struct {
		name  string
		post  bool
		fleet bool
	}{
		{"no POST", false, false},
		{"POST", true, false},
		{"no POST, in a fleet", false, true},
		{"POST, in a fleet", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var version, gets atomic.Int32
			version.Store(1)
			release := make(chan struct{})
			worker := startWorker(t, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
				if req.Vars.Get("REQUEST_METHOD") == "POST" {
					version.Add(1)
					io.WriteString(nc, "HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
					return
				}
				response := okPage(fmt.Sprint("version ", version.Load()), "Cache-Control: max-age=600")
				if gets.Add(1) == 1 {
					io.WriteString(nc, response[:len(response)-9]) // followers of a live flight would see that
					<-release
					response = response[len(response)-9:]
				}
				io.WriteString(nc, response)
			})
			a := startBench(t, "unix", nil, worker)
			b := beside(t, a, func(g *Gateway) {
				g.Coalescing.Wait = time.Hour
				if g.Coalescing.Fleet = tt.fleet; tt.fleet {
					g.Policy.Sentinels = []string{}
				}
			}, worker)
			const before, after = 3, 5
			responses := make([]response, 1+before+after)
			var all sync.WaitGroup
			ask := func(from, to int) {
				for i := from; i < to; i++ {
					all.Go(func() { responses[i] = b.get("/") })
				}
			}
			ask(0, 1)
			eventually(t, "a leader", func() bool { return gets.Load() == 1 })
			ask(1, 1+before)
			b.followed(before)
			if tt.post {
				a.ask(setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: "POST"}), nil)
			}
			ask(1+before, len(responses))
			b.followed(before + after)
			close(release)
			all.Wait()
			current := fmt.Sprint("version ", version.Load())
			if got := responses[0]; got.body != "version 1" {
				t.Errorf("the leader got %q", got.raw)
			}
			for i, got := range responses[1:] {
				if got.body != current && (i >= before || got.body != "version 1") {
					t.Errorf("follower %d got %q, want %q", i, got.raw, current)
				}
			}
			if n, most := gets.Load(), int32(1+len(responses)-before-after); n > most && tt.post || n > 1 && !tt.post {
				t.Errorf("the worker was asked %d times for the page", n)
			}
		})
	}
}

// beside starts another gateway that writes to the memcached of b.
func beside(t *testing.T, b *bench, tune func(*Gateway), backends ...string) *bench {
	t.Helper()
	return startBench(t, "unix", func(g *Gateway) {
		ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: b.store.addr})
		if err != nil {
			t.Fatal(err)
		}
		g.Store, g.Policy.Keys.Servers = &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}, ring.Has
		if tune != nil {
			tune(g)
		}
	}, backends...)
}

// One request is enough for a whole crowd, whatever memcached does. If memcached does not say
// whether the page was purged, there is one more, for those that came while the worker
// was asked.
func TestCrowdByStore(t *testing.T) {
	few := int32(5) // a follower that the scheduler has forgotten may lead once more
	for _, tt := range []struct {
		name string
		tune func(*testing.T, *Gateway)
		most int32
		says bool // that the page is stored
	}{
		{"well", nil, 1, true},
		{"none", func(_ *testing.T, g *Gateway) { g.Store = nil }, 1, false},
		{"full", func(_ *testing.T, g *Gateway) { g.Store.Queue.Bytes = 1 }, few, false},
		{"refused connections", func(t *testing.T, g *Gateway) { g.Store = storeAt(t, g, "127.0.0.1:1") }, few, false},
		{"hung", func(t *testing.T, g *Gateway) { g.Store = storeAt(t, g, hung(t)); g.Store.Timeout = 0 }, few, false},
		{"down", func(t *testing.T, g *Gateway) {
			g.Store = storeAt(t, g, "127.0.0.1:1")
			eventually(t, "the breaker is open", func() bool {
				g.Store.Put(cachewriter.Entry{Key: "k", Body: []byte("v"), Expires: time.Now().Add(time.Hour)})
				return g.Store.IsDown(cachewriter.Entry{Key: "k"})
			})
		}, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newGate(alike(okPage("hello")))
			b := newBench(t, func(g *Gateway) {
				g.Coalescing.Wait = time.Hour
				if tt.tune != nil {
					tt.tune(t, g)
				}
			}, w.play)
			for _, got := range b.crowd(w, 200, func(int) response { return b.get("/") }) {
				if got.status != 200 || got.body != "hello" || got.err != nil {
					t.Errorf("got %q, %v", got.raw, got.err)
				}
				if says := strings.Contains(got.header.Get("Cache-Status"), "; collapsed; stored"); says && !tt.says {
					t.Errorf("it says %q", got.header.Get("Cache-Status"))
				}
			}
			if n := w.asked.Load(); n > tt.most {
				t.Errorf("the backend was asked %d times, want %d at most", n, tt.most)
			}
		})
	}
}

// storeAt is a Writer to the one server of that address.
func storeAt(t *testing.T, g *Gateway, addr string) *cachewriter.Writer {
	t.Helper()
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: addr})
	if err != nil {
		t.Fatal(err)
	}
	g.Policy.Keys.Servers = ring.Has
	return &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}
}

// hung returns the address of a memcached that takes connections and says nothing.
func hung(t *testing.T) string {
	return serveConns(t, "tcp", func(nc net.Conn) { defer nc.Close(); io.Copy(io.Discard, nc) })
}
