package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/uwsgi"
)

// A gate is a worker that counts its requests, and responds to them when a test lets it.
type gate struct {
	asked atomic.Int32
	open  chan struct{}
	reply func(n int, nc net.Conn, req *uwsgi.Request) // to the n-th, from 1 on
}

func newGate(reply func(n int, nc net.Conn, req *uwsgi.Request)) *gate {
	return &gate{open: make(chan struct{}), reply: reply}
}

func (w *gate) play(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
	if req.IsPing() { // the server is probed
		io.WriteString(nc, uwsgi.Pong)
		return
	}
	n := int(w.asked.Add(1))
	select {
	case <-w.open:
		w.reply(n, nc, req)
	case <-time.After(patience): // the test has failed, and opens it no more
	}
}

// alike responds to every request with the same.
func alike(response string) func(int, net.Conn, *uwsgi.Request) {
	return func(_ int, nc net.Conn, _ *uwsgi.Request) { io.WriteString(nc, response) }
}

// crowd has n clients ask the same, and the worker respond once the first one leads
// and the others follow.
func (b *bench) crowd(w *gate, n int, ask func(i int) response) []response {
	b.t.Helper()
	responses := make([]response, n)
	before := w.asked.Load()
	var all sync.WaitGroup
	all.Go(func() { responses[0] = ask(0) })
	eventually(b.t, "a leader", func() bool { return w.asked.Load() > before })
	for i := 1; i < n; i++ {
		all.Go(func() { responses[i] = ask(i) })
	}
	b.followed(n - 1)
	close(w.open)
	all.Wait()
	return responses
}

// followed waits for a number of followers.
func (b *bench) followed(n int) {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("%d followers", n), func() bool {
		_, followers := b.flights.count()
		return followers == n
	})
}

// sending returns the flight for a key whose leader's client does not read what is sent.
func (b *bench) sending(key string) (f *flight) {
	b.t.Helper()
	began := time.Time{}
	eventually(b.t, "the leader's client is sent to", func() bool {
		b.flights.mu.Lock()
		f = b.flights.aloft[key]
		b.flights.mu.Unlock()
		if f == nil {
			return false
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		switch {
		case !f.writing:
			began = time.Time{}
		case began.IsZero():
			began = time.Now()
		}
		return f.writing && time.Since(began) > lagFor
	})
	return f
}

func TestCrowd(t *testing.T) {
	for name, reply := range map[string]string{
		"with length": okPage("hello", "X-Frame-Options: DENY"),
		"in chunks":   "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := newGate(alike(reply))
			b := newBench(t, nil, w.play)
			collapsed := 0
			for _, got := range b.crowd(w, 50, func(int) response { return b.get("/") }) {
				if got.status != 200 || got.body != "hello" || got.err != nil || got.header.Get("X-Frame-Options") != "DENY" {
					t.Errorf("got %q, %v", got.raw, got.err)
				}
				if strings.Contains(got.header.Get("Cache-Status"), "; collapsed; stored; ttl=600; detail=shared") {
					collapsed++
				}
			}
			if n := w.asked.Load(); n != 1 || collapsed != 49 {
				t.Errorf("the backend was asked %d times, %d responses are collapsed; want 1 and 49", n, collapsed)
			}
			if got := b.contents()["k:/"].body; got != "hello" {
				t.Errorf("stored %q", got)
			}
		})
	}
}

// What is not for everyone is never shared, and nobody waits for it twice.
func TestPrivateCrowd(t *testing.T) {
	for name, line := range map[string]string{
		"private": "Cache-Control: private", "cookie": "Set-Cookie: a=b", "vary": "Vary: X-User", "sentinel": "X-Sentinel: in the body",
	} {
		t.Run(name, func(t *testing.T) {
			w := newGate(func(_ int, nc net.Conn, req *uwsgi.Request) {
				body := "for " + req.Vars.Get("HTTP_X_REQUEST_ID")
				if name == "sentinel" {
					body += " csrfmiddlewaretoken"
				}
				io.WriteString(nc, okPage(body, line))
			})
			b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = time.Hour }, w.play)
			ask := func(i int) response {
				return b.get("/", uwsgi.Var{Name: "HTTP_X_REQUEST_ID", Value: fmt.Sprint("user", i)})
			}
			for i, got := range b.crowd(w, 20, ask) {
				if want := fmt.Sprint("for user", i); !strings.HasPrefix(got.body+" ", want+" ") || strings.Contains(got.raw, "collapsed") {
					t.Errorf("user %d got %q", i, got.raw)
				}
			}
			w.open = make(chan struct{})
			var all sync.WaitGroup
			for i := range 2 {
				all.Go(func() { ask(20 + i) })
			}
			eventually(t, "both ask the backend", func() bool { return w.asked.Load() == 22 })
			close(w.open)
			all.Wait()
			if n := b.Gateway.stats.waits.count(waitRefused); n != 19 {
				t.Errorf("%d waited in vain, want 19: the crowd, and not the one after it", n)
			}
			if stored := b.contents(); len(stored) != 0 {
				t.Errorf("stored %q", stored)
			}
		})
	}
}

// A page that is for everyone is not for a request of which it could not be stored.
func TestFollowerWithCookie(t *testing.T) {
	w := newGate(func(_ int, nc net.Conn, req *uwsgi.Request) {
		io.WriteString(nc, okPage("cookie "+req.Vars.Get("HTTP_COOKIE")))
	})
	b := newBench(t, nil, w.play)
	var all sync.WaitGroup
	all.Go(func() { b.get("/") })
	eventually(t, "a leader", func() bool { return w.asked.Load() == 1 })
	all.Go(func() {
		if got := b.get("/", uwsgi.Var{Name: "HTTP_COOKIE", Value: "theme=dark"}); got.body != "cookie theme=dark" {
			t.Errorf("got %q", got.raw)
		}
	})
	b.followed(1)
	close(w.open)
	all.Wait()
}

// A failure is the leader's, unless no server takes requests.
func TestFailedLeader(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reply  func(n int, nc net.Conn, req *uwsgi.Request)
		asked  int32
		status map[int]int
	}{
		{"one silence", func(n int, nc net.Conn, _ *uwsgi.Request) {
			if n > 1 {
				io.WriteString(nc, okPage("hello"))
			}
		}, 2, map[int]int{200: 10}},
		{"two silences", func(n int, nc net.Conn, _ *uwsgi.Request) {
			if n > 2 {
				io.WriteString(nc, okPage("hello"))
			}
		}, 11, map[int]int{502: 1, 200: 9}},
		// Who has not joined the second leader in time leads. Three requests are sent again.
		{"silence", func(int, net.Conn, *uwsgi.Request) {}, 13, map[int]int{502: 10}},
		{"one error", func(n int, nc net.Conn, _ *uwsgi.Request) {
			if n == 1 {
				io.WriteString(nc, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
				return
			}
			io.WriteString(nc, okPage("hello"))
		}, 2, map[int]int{500: 1, 200: 9}},
		{"errors", alike("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"), 10, map[int]int{500: 10}},
		{"one truncation", func(n int, nc net.Conn, _ *uwsgi.Request) {
			if n == 1 {
				io.WriteString(nc, strings.TrimSuffix(okPage("hello"), "llo"))
				return
			}
			io.WriteString(nc, okPage("hello"))
		}, 2, map[int]int{0: 1, 200: 9}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newGate(tt.reply)
			b := newBench(t, nil, w.play)
			got := map[int]int{}
			for _, a := range b.crowd(w, 10, func(int) response { return b.get("/") }) {
				if a.status == 200 && int64(len(a.body)) < a.length {
					a.status = 0
				}
				got[a.status]++
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.status) || w.asked.Load() > tt.asked {
				t.Errorf("%v with %d requests to the backend; want %v with at most %d", got, w.asked.Load(), tt.status, tt.asked)
			}
		})
	}
}

// With nobody to ask, nobody waits.
func TestNoBackendForAnyone(t *testing.T) {
	w := newGate(alike(okPage("hello")))
	b := startBench(t, "unix", func(g *Gateway) { g.Backends.Default.QueueTimeout = 200 * time.Millisecond },
		startWorker(t, w.play)+" max-conns=1")
	var all sync.WaitGroup
	all.Go(func() { b.get("/busy") })
	eventually(t, "the worker is busy", func() bool { return w.asked.Load() == 1 })
	for range 10 {
		all.Go(func() {
			if got := b.get("/"); got.status != 503 || got.header.Get("Retry-After") == "" {
				t.Errorf("got %q", got.raw)
			}
		})
	}
	b.followed(9)
	eventually(t, "all have a response", func() bool { return b.access.Len() == 10 })
	close(w.open)
	all.Wait()
	if n := b.Backends.Default.PoolStats().QueueTimeouts; n != 1 {
		t.Errorf("%d queued in vain, want the leader alone", n)
	}
}

// The fetch goes on for those who wait, and for nobody.
func TestLeaderLeaves(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			w := newGate(alike(okPage("hello")))
			b := startBench(t, network, nil, startWorkerOn(t, network, w.play))
			leader := b.dial()
			leader.Write(encode(t, missed("/")))
			eventually(t, "a leader", func() bool { return w.asked.Load() == 1 })
			var all sync.WaitGroup
			all.Go(func() {
				if got := b.get("/"); got.body != "hello" {
					t.Errorf("got %q", got.raw)
				}
			})
			b.followed(1)
			leader.Close()
			eventually(t, "the gateway knows", func() bool {
				b.flights.mu.Lock()
				defer b.flights.mu.Unlock()
				return b.flights.aloft["k:/"].hasLeft()
			})
			close(w.open)
			all.Wait()
			if w.asked.Load() != 1 {
				t.Errorf("the backend was asked %d times", w.asked.Load())
			}
			if got := b.contents()["k:/"].body; got != "hello" {
				t.Errorf("stored %q", got)
			}
		})
	}
}

// When all have left, the connection to the backend is closed, and the next one asks again.
func TestAllLeave(t *testing.T) {
	left := make(chan struct{})
	w := newGate(alike(okPage("hello")))
	close(w.open)
	hang := func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		if w.asked.Load() == 0 {
			w.asked.Add(1)
			in.ReadByte()
			close(left)
			return
		}
		w.play(nc, req, in)
	}
	b := newBench(t, nil, hang)
	leader, follower := b.dial(), b.dial()
	leader.Write(encode(t, missed("/")))
	eventually(t, "a leader", func() bool { return w.asked.Load() == 1 })
	follower.Write(encode(t, missed("/")))
	b.followed(1)
	leader.Close()
	follower.Close()
	<-left
	if got := b.get("/"); got.body != "hello" {
		t.Errorf("got %q", got.raw)
	}
}

// A leader that does not read keeps nobody waiting, and gets its page in the end.
func TestSlowLeader(t *testing.T) {
	const size = 900 << 10
	body := strings.Repeat("x", size)
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			w := newGate(alike(okPage(body)))
			b := startBench(t, network, nil, startWorkerOn(t, network, w.play))
			leader := b.dial()
			leader.(interface{ SetReadBuffer(int) error }).SetReadBuffer(64 << 10)
			leader.Write(encode(t, missed("/")))
			eventually(t, "a leader", func() bool { return w.asked.Load() == 1 })
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if got := b.get("/"); got.body != body {
						t.Errorf("a follower got %d bytes, %v", len(got.body), got.err)
					}
				})
			}
			b.followed(3)
			close(w.open)
			all.Wait()
			raw, err := io.ReadAll(leader)
			leader.Close()
			if got := parseResponse(t, raw, err, "GET"); got.body != body || got.err != nil {
				t.Errorf("the leader got %d bytes, %v", len(got.body), got.err)
			}
			if w.asked.Load() != 1 {
				t.Errorf("the backend was asked %d times", w.asked.Load())
			}
			if got := b.contents()["k:/"].body; got != body {
				t.Errorf("stored %d bytes", len(got))
			}
		})
	}
}

// A follower that leaves as soon as it has come costs the leader's slow client nothing.
func TestSlowLeaderAndBriefFollower(t *testing.T) {
	body := strings.Repeat("x", 900<<10)
	w := newGate(alike(okPage(body)))
	b := newBench(t, nil, w.play)
	leader := b.dial()
	leader.(interface{ SetReadBuffer(int) error }).SetReadBuffer(64 << 10)
	leader.Write(encode(t, missed("/")))
	close(w.open)
	f := b.sending("k:/")
	f.enter(1, time.Time{})
	f.leave()
	left := time.Now()
	eventually(t, "the follower's deadline has passed", func() bool { return time.Since(left) > 2*lagFor })
	raw, err := io.ReadAll(leader)
	if got := parseResponse(t, raw, err, "GET"); got.body != body || got.err != nil {
		t.Errorf("the leader got %d bytes, %v", len(got.body), got.err)
	}
}

// Where no word in the body can make the page private, followers see it grow. They
// are broken off as the leader is.
func TestLiveFlight(t *testing.T) {
	half := make(chan struct{})
	end := make(chan bool)
	w := newGate(func(_ int, nc net.Conn, _ *uwsgi.Request) {
		response := okPage("hello world")
		io.WriteString(nc, strings.TrimSuffix(response, " world"))
		<-half
		if <-end {
			io.WriteString(nc, " world")
		}
	})
	for _, whole := range []bool{true, false} {
		*w = *newGate(w.reply)
		b := newBench(t, func(g *Gateway) { g.Policy.Sentinels = []string{} }, w.play)
		conns := []net.Conn{b.dial(), b.dial(), b.dial()}
		conns[0].Write(encode(t, missed("/")))
		eventually(t, "a leader", func() bool { return w.asked.Load() == 1 })
		for _, nc := range conns[1:] {
			nc.Write(encode(t, missed("/")))
		}
		b.followed(2)
		close(w.open)
		readers := make([]*bufio.Reader, len(conns))
		for i, nc := range conns {
			readers[i] = bufio.NewReader(nc)
			if _, err := uwsgi.ReadResponse(readers[i]); err != nil {
				t.Fatal(err)
			}
			if start, err := readers[i].Peek(5); string(start) != "hello" {
				t.Fatalf("client %d got %q, %v before the end", i, start, err)
			}
		}
		half <- struct{}{}
		end <- whole
		want := "hello"
		if whole {
			want = "hello world"
		}
		for i, r := range readers {
			if got, _ := io.ReadAll(r); string(got) != want {
				t.Errorf("client %d got %q, want %q", i, got, want)
			}
			conns[i].Close()
		}
		if n := w.asked.Load(); n != 1 {
			t.Errorf("the backend was asked %d times", n)
		}
		b.close()
	}
}

func TestWaitIsBounded(t *testing.T) {
	w := newGate(alike(okPage("hello")))
	b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = time.Second }, w.play)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { b.get("/") })
	}
	b.followed(2)
	eventually(t, "all ask", func() bool { return w.asked.Load() == 3 })
	close(w.open)
	all.Wait()
	if n := b.Gateway.stats.waits.count(waitLate); n != 2 {
		t.Errorf("%d waited too long, want 2", n)
	}
}

func TestFollowersAreBounded(t *testing.T) {
	w := newGate(alike(okPage("hello")))
	b := newBench(t, func(g *Gateway) { g.Coalescing.Followers = 2 }, w.play)
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() { b.get("/") })
	}
	b.followed(2)
	eventually(t, "the others ask", func() bool { return w.asked.Load() == 3 })
	close(w.open)
	all.Wait()
}

// A page that began before its key was deleted is not for those who came after.
func TestDeletedFlight(t *testing.T) {
	old := newGate(alike(okPage("old")))
	w := newGate(nil)
	w.reply = func(_ int, nc net.Conn, req *uwsgi.Request) {
		if req.Vars.Get("REQUEST_METHOD") == "POST" {
			io.WriteString(nc, "HTTP/1.1 204 No Content\r\n\r\n")
			return
		}
		io.WriteString(nc, okPage("new"))
	}
	close(w.open)
	tune := func(g *Gateway) { g.Coalescing.Wait = time.Hour }
	b := newBench(t, tune, func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		if old.asked.Load() == 0 {
			old.play(nc, req, in)
			return
		}
		w.play(nc, req, in)
	})
	var all sync.WaitGroup
	all.Go(func() { b.get("/") })
	eventually(t, "a leader", func() bool { return old.asked.Load() == 1 })
	post := setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: "POST"})
	b.ask(post, nil)
	if got := b.get("/"); got.body != "new" || b.Gateway.stats.waits.count(waitAgain) != 0 {
		t.Errorf("after the POST: %q, having waited", got.raw)
	}
	close(old.open)
	all.Wait()
	if got := b.contents()["k:/"].body; got != "new" {
		t.Errorf("stored %q", got)
	}
}

// nginx may have looked just before the page was there. What has been deleted
// since, though, is gone.
func TestSecondLook(t *testing.T) {
	n := 0
	b := newBench(t, nil, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
		n++
		io.WriteString(nc, okPage(fmt.Sprint("page ", n)))
	})
	b.get("/")
	eventually(t, "stored", func() bool { return b.Store.Stats().Total.Stored == 1 })
	if got := b.get("/"); got.body != "page 1" || !strings.Contains(got.raw, "collapsed") {
		t.Errorf("right after: %q", got.raw)
	}
	if got := b.get("/", uwsgi.Var{Name: "HTTP_COOKIE", Value: "a=b"}); got.body != "page 2" {
		t.Errorf("with a cookie: %q", got.raw)
	}
	b.store.set("k:/", item{body: "other"})
	if got := b.get("/"); got.body != "page 3" {
		t.Errorf("with another one in its place: %q", got.raw)
	}
	eventually(t, "stored", func() bool { it, _ := b.store.get("k:/"); return it.body == "page 3" })
	if err := b.Store.Delete(context.Background(), cachewriter.Entry{Key: "k:/"}); err != nil {
		t.Fatal(err)
	}
	if got := b.get("/"); got.body != "page 4" {
		t.Errorf("deleted: %q", got.raw)
	}
	b.store.delete("k:/")
	// The last one may still be on its way.
	eventually(t, "page 5", func() bool { b.store.delete("k:/"); return b.get("/").body == "page 5" })
}

func TestConditionalFollower(t *testing.T) {
	w := newGate(alike(okPage("hello", `ETag: "e"`)))
	b := newBench(t, nil, w.play)
	statuses := map[int]int{}
	for _, got := range b.crowd(w, 4, func(i int) response {
		if i%2 == 0 {
			return b.get("/")
		}
		return b.get("/", uwsgi.Var{Name: "HTTP_IF_NONE_MATCH", Value: `"e"`})
	}) {
		statuses[got.status]++
	}
	if statuses[200] != 2 || statuses[304] != 2 || w.asked.Load() != 1 {
		t.Errorf("%v with %d requests to the backend", statuses, w.asked.Load())
	}
}

func TestNoFlights(t *testing.T) {
	for name, tune := range map[string]func(*Gateway){
		"turned off": func(g *Gateway) { g.Coalescing.Wait = -1 },
		"observing":  func(g *Gateway) { g.Policy.Observe = true },
	} {
		w := newGate(alike(okPage("hello")))
		b := newBench(t, tune, w.play)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { b.get("/") })
		}
		eventually(t, name+": all ask", func() bool { return w.asked.Load() == 3 })
		close(w.open)
		all.Wait()
	}
}

// Whatever happens, every client gets one whole page, or a response that says or
// shows that it is none; and nothing is left behind.
func TestFlightsAtRandom(t *testing.T) {
	const clients, rounds = 40, 12
	worker := func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		r := rand.New(rand.NewPCG(1, rand.Uint64()))
		body := strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(200<<10))
		lines := []string{"X-Sum: " + sum(body)}
		if r.IntN(8) == 0 {
			lines = append(lines, "Cache-Control: private", "X-For: "+req.Vars.Get("HTTP_X_REQUEST_ID"))
		}
		response := okPage(body, lines...)
		switch r.IntN(10) {
		case 0:
			return
		case 1:
			io.WriteString(nc, response[:len(response)-1-r.IntN(len(body))])
			return
		case 2:
			io.WriteString(nc, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
			return
		case 3:
			body = strings.Repeat("z", 2<<20)
			response = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Sum: " + sum(body) + "\r\nTransfer-Encoding: chunked\r\n\r\n" +
				fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		}
		at := r.IntN(len(response))
		io.WriteString(nc, response[:at])
		io.WriteString(nc, response[at:])
	}
	for _, sentinels := range [][]string{nil, {}} {
		b := newBench(t, func(g *Gateway) { g.Policy.Sentinels = sentinels; g.Timeouts.FirstByte = time.Second }, worker, worker)
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				for n := range rounds {
					b.askAtRandom(fmt.Sprint("/", n%4), fmt.Sprint("user", i))
				}
			})
		}
		all.Wait()
		b.close()
		if flights, followers := b.flights.count(); flights+followers != 0 {
			t.Errorf("%d flights and %d followers are left", flights, followers)
		}
	}
}

// askAtRandom is a client that may leave, or read slowly.
func (b *bench) askAtRandom(uri, user string, more ...uwsgi.Var) {
	nc := b.dial()
	defer nc.Close()
	nc.Write(encode(b.t, missed(uri, append(more, uwsgi.Var{Name: "HTTP_X_REQUEST_ID", Value: user})...)))
	var r io.Reader = nc
	switch rand.IntN(6) {
	case 0:
		return
	case 1:
		io.CopyN(io.Discard, nc, int64(rand.IntN(100<<10)))
		return
	case 2:
		nc.(interface{ SetReadBuffer(int) error }).SetReadBuffer(2048)
		r = bufio.NewReaderSize(nc, 512)
	}
	raw, err := io.ReadAll(r)
	got := parseResponse(b.t, raw, err, "GET")
	switch {
	case got.status == 500 || got.status == 502 || got.status == 504:
	case got.status != 200:
		b.t.Errorf("got %.200q, %v", got.raw, got.err)
	case got.header.Get("X-For") != "" && got.header.Get("X-For") != user:
		b.t.Errorf("%s got the page of %s", user, got.header.Get("X-For"))
	case got.length >= 0 && int64(len(got.body)) < got.length: // nginx sees it
	case got.err == nil && got.header.Get("X-Sum") != sum(got.body):
		b.t.Errorf("a body of %d bytes that nobody sent", len(got.body))
	}
}

// sum is a body's length, its first and its last byte: every body is one letter.
func sum(body string) string {
	if strings.Trim(body, body[:1]) != "" {
		return "mixed"
	}
	return fmt.Sprint(len(body), body[:1])
}

// Joining costs no copy of the body.
func BenchmarkJoin(b *testing.B) {
	s := seeker{client: &client{g: &Gateway{}}, key: "k:/"}
	f := &flight{key: "k:/", now: view{body: bytes.Repeat([]byte("x"), 1<<20), ending: endLanded}}
	fs := flights{aloft: map[string]*flight{"k:/": f}}
	b.ReportAllocs()
	for b.Loop() {
		f, _ := fs.join(&s, 10)
		v, ok := f.await(b.Context(), nil, func(v *view) bool { return v.ending != aloft })
		if !ok || len(v.body) != 1<<20 {
			b.Fatal("no page")
		}
		f.leave()
	}
}

// A flight is joined only by requests in which the worker sees the same target: the
// page of another one is not theirs, whatever its key.
func TestFlightOfTheSameTarget(t *testing.T) {
	hosts := []string{"example.com", "example.com:80", "example.com"}
	w := newGate(func(_ int, nc net.Conn, req *uwsgi.Request) { io.WriteString(nc, okPage(req.Vars.Get("HTTP_HOST"))) })
	b := newBench(t, nil, w.play)
	got := make([]response, len(hosts))
	var all sync.WaitGroup
	for i, host := range hosts {
		all.Go(func() { got[i] = b.get("/page", uwsgi.Var{Name: "HTTP_HOST", Value: host}) })
		if i == 0 {
			eventually(t, "the leader asks", func() bool { return w.asked.Load() == 1 })
		}
	}
	eventually(t, "the other target is asked for", func() bool { return w.asked.Load() == 2 })
	b.followed(1)
	close(w.open)
	all.Wait()
	for i, host := range hosts {
		if got[i].body != host {
			t.Errorf("request %d got the page of %q, want that of %q", i, got[i].body, host)
		}
	}
}
