package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/gateway/refresh"
	"uwgate/uwsgi"
)

var (
	dark        = uwsgi.Var{Name: "HTTP_COOKIE", Value: "theme=dark"}
	acceptsGzip = uwsgi.Var{Name: "HTTP_ACCEPT_ENCODING", Value: "gzip, br"}
)

// forget deletes a page, as a purge does.
func (b *bench) forget(key string) {
	b.t.Helper()
	if err := b.Store.Delete(context.Background(), cachewriter.Entry{Key: key}); err != nil {
		b.t.Fatal(err)
	}
	b.flights.forget(key)
}

// What a leader gets for what its own request carries says nothing of what strangers
// get: they are fetched their page once.
func TestLeaderWhoIsNoStranger(t *testing.T) {
	for _, tt := range []struct {
		name  string
		own   uwsgi.Var
		reply string // to the leader
	}{
		{"it says nothing", dark, okPage("dark")},
		{"private", dark, okPage("dark", "Cache-Control: private")},
		{"a cookie is set", dark, okPage("dark", "Set-Cookie: theme=dark")},
		{"varies", dark, okPage("dark", "Vary: Cookie")},
		{"another type", dark, okPage("dark", "Content-Type: application/json")},
		{"a redirect", dark, "HTTP/1.1 302 Found\r\nLocation: /dark\r\nContent-Length: 0\r\n\r\n"},
		{"not found", dark, "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ndark"},
		{"an error", dark, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"},
		{"a crash", dark, ""},
		{"a token in the body", dark, okPage("csrfmiddlewaretoken")},
		{"too large", dark, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2000000\r\n\r\n" + strings.Repeat("x", 2000000)},
		{"without length", dark, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\ndark"},
		{"from another site", uwsgi.Var{Name: "HTTP_ORIGIN", Value: "https://other.test"}, okPage("dark", "Set-Cookie: a=b")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newGate(func(_ int, nc net.Conn, req *uwsgi.Request) {
				if req.Vars.Get(tt.own.Name) != "" {
					io.WriteString(nc, tt.reply)
					return
				}
				io.WriteString(nc, okPage("hello"))
			})
			b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = time.Hour }, w.play)
			for round := range 2 {
				w.open = make(chan struct{})
				before := w.asked.Load()
				var all sync.WaitGroup
				all.Go(func() { b.get("/", tt.own) })
				eventually(t, "a leader", func() bool { return w.asked.Load() == before+1 })
				for _, got := range b.crowd(w, 30, func(int) response { return b.get("/") }) {
					if got.body != "hello" {
						t.Errorf("crowd %d: got %q, %v", round, got.raw, got.err)
					}
				}
				all.Wait()
				want := int32(2)
				if tt.reply == "" {
					want++ // it is asked again
				}
				if n := w.asked.Load() - before; n != want {
					t.Errorf("crowd %d: the backend was asked %d times, want %d", round, n, want)
				}
				b.forget("k:/")
			}
		})
	}
}

// Those who are no strangers share as well what is for everyone. What is not, they learn
// once.
func TestCrowdOfNoStrangers(t *testing.T) {
	for _, tt := range []struct {
		name, line    string
		first, second int32
	}{
		{"the page says that it may be stored", "Cache-Control: max-age=60", 1, 1},
		{"it says nothing", "X-Says: nothing", 10, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newGate(alike(okPage("hello", tt.line)))
			b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = time.Hour }, w.play)
			b.crowd(w, 10, func(int) response { return b.get("/", dark) })
			if n := w.asked.Load(); n != tt.first {
				t.Errorf("the backend was asked %d times, want %d", n, tt.first)
			}
			b.forget("k:/")
			w.open = make(chan struct{})
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() { b.get("/", dark) })
			}
			eventually(t, "they ask", func() bool { return w.asked.Load() == tt.first+tt.second })
			if tt.second == 1 {
				b.followed(9)
			}
			close(w.open)
			all.Wait()
			// What strangers get is not known from that.
			b.forget("k:/")
			w.open = make(chan struct{})
			b.crowd(w, 10, func(int) response { return b.get("/") })
			if n := w.asked.Load(); n != tt.first+tt.second+1 {
				t.Errorf("a crowd of strangers asked the backend %d times, want once", n-tt.first-tt.second)
			}
		})
	}
}

// A page that was stored is waited for again at once, whoever stored it.
func TestStoredPageIsUnmarked(t *testing.T) {
	for _, tt := range []struct {
		name  string
		store func(b *bench)
	}{
		{"a stranger", func(b *bench) { b.get("/") }},
		{"one who is no stranger", func(b *bench) { b.get("/", dark) }},
		{"a refresh", func(b *bench) {
			f := &refresh.Page{Entry: cachewriter.Entry{Key: "k:/"}, Policy: b.policy(), Vars: missed("/")}
			if became := b.refreshPage(context.Background(), f); became != refresh.Stored {
				b.t.Errorf("the refresh became %v", became)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newGate(func(n int, nc net.Conn, _ *uwsgi.Request) {
				line := "Cache-Control: max-age=60"
				if n <= 2 {
					line = "Cache-Control: private"
				}
				io.WriteString(nc, okPage("hello", line))
			})
			close(w.open)
			b := newBench(t, nil, w.play)
			b.get("/")
			b.get("/", dark)
			for _, stranger := range []bool{true, false} {
				if m := b.flights.markerOf("k:/", stranger); m != uncacheable {
					t.Fatalf("the mark after a private page is %d, want %d", m, uncacheable)
				}
			}
			tt.store(b)
			eventually(t, "it is stored", func() bool { _, ok := b.store.get("k:/"); return ok })
			eventually(t, "no mark is left", func() bool {
				return b.flights.markerOf("k:/", true) == unmarked && b.flights.markerOf("k:/", false) == unmarked
			})
			b.forget("k:/")
			w.open = make(chan struct{})
			before := w.asked.Load()
			b.crowd(w, 10, func(int) response { return b.get("/") })
			if n := w.asked.Load() - before; n != 1 {
				t.Errorf("the next crowd asked the backend %d times, want once", n)
			}
		})
	}
}

// A page that does not come to its end is waited for once.
func TestEndlessPage(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
	for _, tt := range []struct {
		name, start string
		unframed    bool
		refused     uint64 // of the first two who wait: they see from the head that it is of no use
		late        uint64 // they do not
	}{
		{"without length", head + "\r\nstart", false, 2, 0},
		{"without length, and that is accepted", head + "\r\nstart", true, 0, 2},
		{"in chunks", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n", false, 0, 2},
		{"slow to begin", "", false, 0, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			end := make(chan struct{})
			w := newGate(func(_ int, nc net.Conn, _ *uwsgi.Request) {
				io.WriteString(nc, tt.start)
				<-end
			})
			b := newBench(t, func(g *Gateway) {
				g.Coalescing.Wait = time.Second
				g.Policy.AcceptUnframed = tt.unframed
			}, w.play)
			defer close(end)
			visit := func() { b.dial().Write(encode(t, missed("/"))) }
			for range 3 {
				visit()
			}
			b.followed(2)
			close(w.open)
			eventually(t, "all ask", func() bool { return w.asked.Load() == 3 })
			for range 5 {
				visit()
			}
			eventually(t, "all ask", func() bool { return w.asked.Load() == 8 })
			waits := &b.Gateway.stats.waits
			if refused, late := waits.count(waitRefused), waits.count(waitLate); refused != tt.refused || late != tt.late {
				t.Errorf("%d were refused and %d late, want %d and %d: those who came first", refused, late, tt.refused, tt.late)
			}
			// And not once the mark is over either, while it still goes on.
			b.expireMarks()
			visit()
			eventually(t, "it asks", func() bool { return w.asked.Load() == 9 })
			if late := waits.count(waitLate); late != tt.late {
				t.Errorf("%d were late, want %d", late, tt.late)
			}
		})
	}
}

// expireMarks turns the clock of the marks.
func (b *bench) expireMarks() {
	b.flights.mu.Lock()
	defer b.flights.mu.Unlock()
	b.flights.markers.begun = b.flights.markers.begun.Add(-markerLife)
}

// Requests of which a worker dies take no other's page with them.
func TestCrashesInACrowd(t *testing.T) {
	for _, crashes := range []int{1, 5} {
		t.Run(fmt.Sprint(crashes), func(t *testing.T) {
			w := newGate(func(_ int, nc net.Conn, req *uwsgi.Request) {
				if req.Vars.Get("HTTP_USER_AGENT") != "long" {
					io.WriteString(nc, okPage("hello"))
				}
			})
			b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = time.Hour }, w.play)
			crash := func() {
				if got := b.get("/", uwsgi.Var{Name: "HTTP_USER_AGENT", Value: "long"}); got.status != 502 {
					t.Errorf("who crashes a worker got %q, %v", got.raw, got.err)
				}
			}
			var all sync.WaitGroup
			all.Go(crash)
			eventually(t, "a leader", func() bool { return w.asked.Load() == 1 })
			for range crashes - 1 {
				all.Go(crash)
			}
			for range 50 {
				all.Go(func() {
					if got := b.get("/"); got.status != 200 || got.body != "hello" {
						t.Errorf("got %q, %v", got.raw, got.err)
					}
				})
			}
			b.followed(50 + crashes - 1)
			close(w.open)
			all.Wait()
		})
	}
}

// compressing is a worker that compresses for those who accept that, and knows ETags.
func compressing(lines ...string) func(int, net.Conn, *uwsgi.Request) {
	return func(_ int, nc net.Conn, req *uwsgi.Request) {
		lines := append([]string{`ETag: "e"`}, lines...)
		switch {
		case req.Vars.Get("HTTP_IF_NONE_MATCH") == `"e"`:
			io.WriteString(nc, "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n")
		case req.Vars.Get("HTTP_ACCEPT_ENCODING") != "":
			io.WriteString(nc, okPage("compressed", append(lines, "Content-Encoding: gzip")...))
		default:
			io.WriteString(nc, okPage("plain", lines...))
		}
	}
}

// What is never stored keeps compression and 304, from the second request on. What
// can be stored is asked for as it must be for that.
func TestUncacheableAsSent(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		own   uwsgi.Var
		reply func(int, net.Conn, *uwsgi.Request) // nil: compressing(lines)
		kept  bool
	}{
		{name: "json", lines: []string{"Content-Type: application/json"}, kept: true},
		{name: "private", lines: []string{"Cache-Control: private"}, kept: true},
		{name: "no-store", lines: []string{"Cache-Control: no-store"}, kept: true},
		{name: "expired", lines: []string{"Cache-Control: max-age=0"}, kept: true},
		{name: "a cookie is set", lines: []string{"Set-Cookie: a=b"}, kept: true},
		{name: "varies", lines: []string{"Vary: Accept-Encoding, X-Team"}, kept: true},
		{name: "a download", lines: []string{"Content-Disposition: attachment"}, kept: true},
		{name: "one who is no stranger", own: dark, kept: true},
		{name: "a page", lines: []string{"Vary: Accept-Encoding"}},
		{name: "a page for one who is no stranger", own: dark, lines: []string{"Cache-Control: max-age=60"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newGate(compressing(tt.lines...))
			close(w.open)
			b := newBench(t, nil, w.play)
			var own []uwsgi.Var
			if tt.own.Name != "" {
				own = append(own, tt.own)
			}
			ask := func(more ...uwsgi.Var) response { return b.get("/", append(more, own...)...) }
			want := "plain"
			ask(acceptsGzip)
			if tt.kept {
				want = "compressed"
			}
			for n := range 3 {
				if !tt.kept {
					b.forget("k:/")
				}
				if got := ask(acceptsGzip); got.body != want || (got.header.Get("Content-Encoding") != "") != tt.kept {
					t.Errorf("request %d: got %q, want %s", n+2, got.raw, want)
				}
			}
			if got := ask(acceptsGzip, uwsgi.Var{Name: "HTTP_IF_NONE_MATCH", Value: `"e"`}); got.status != 304 {
				t.Errorf("under its ETag: got %q, want 304", got.raw)
			}
			if got := ask(); got.body != "plain" {
				t.Errorf("who accepts no encoding got %q", got.raw)
			}
			if _, stored := b.contents()["k:/"]; stored == tt.kept {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}

// A page that becomes cacheable is stored, though all its visitors accept encodings:
// its head shows that, or else the mark ends.
func TestCacheableAgain(t *testing.T) {
	for _, tt := range []struct {
		name, was string
		expire    bool
	}{
		{"it was private", okPage("plain", "Cache-Control: private"), false},
		{"it was not found", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false},
		{"it had a token", okPage("csrfmiddlewaretoken"), true},
		{"it was empty", okPage(""), true},
		{"it was too large", okPage(strings.Repeat("x", 2<<20)), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := compressing()
			w := newGate(func(n int, nc net.Conn, req *uwsgi.Request) {
				if n == 1 {
					io.WriteString(nc, tt.was)
					return
				}
				now(n, nc, req)
			})
			close(w.open)
			b := newBench(t, nil, w.play)
			b.get("/", acceptsGzip)
			b.line(0) // by then it is marked
			until := b.markedUntil("k:/")
			for n := range 3 {
				if got := b.get("/", acceptsGzip); n == 0 && got.body != "compressed" || tt.expire && got.body != "compressed" {
					t.Errorf("request %d: got %q", n+2, got.raw)
				}
				b.get("/", acceptsGzip, uwsgi.Var{Name: "HTTP_IF_NONE_MATCH", Value: `"e"`})
				if tt.expire && b.markedUntil("k:/") != until {
					t.Errorf("request %d has renewed the mark", n+2)
				}
			}
			if tt.expire {
				b.expireMarks()
				b.get("/", acceptsGzip)
			}
			if got := b.contents()["k:/"].body; got != "plain" {
				t.Errorf("stored %q", got)
			}
		})
	}
}

func (b *bench) markedUntil(key string) time.Duration {
	b.flights.mu.Lock()
	defer b.flights.mu.Unlock()
	p := b.flights.markers.find(key, true)
	if p == nil {
		return 0
	}
	return p.until
}

// A request with the bypass argument stores the page again. So it gets the page in a form
// that can be stored.
func TestBypassOfUncacheable(t *testing.T) {
	w := newGate(compressing())
	close(w.open)
	b := newBench(t, func(g *Gateway) { g.Policy.Bypass = policy.Bypass{Name: "fresh", Secret: "sesame"} }, func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		w.play(nc, req, in)
	})
	b.flights.setMarker("k:/", true, uncacheable)
	if got := b.get("/?fresh=sesame", acceptsGzip, uwsgi.Var{Name: "CACHE_KEY", Value: "k:/?fresh=sesame"}); got.body != "plain" {
		t.Errorf("got %q", got.raw)
	}
	if got := b.contents()["k:/"].body; got != "plain" {
		t.Errorf("stored %q", got)
	}
}
