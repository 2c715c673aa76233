package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// A restartable worker listens on a UNIX socket while it is up.
type restartable struct {
	t    *testing.T
	path string
	s    script
	ln   net.Listener
	all  sync.WaitGroup
}

func newRestartable(t *testing.T, s script) *restartable {
	r := &restartable{t: t, path: filepath.Join(t.TempDir(), "w"), s: s}
	t.Cleanup(r.stop)
	return r
}

func (r *restartable) start() {
	r.t.Helper()
	r.listen()
	r.accept()
}

// listen opens the socket: connections wait in its backlog.
func (r *restartable) listen() {
	r.t.Helper()
	ln, err := net.Listen("unix", r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	r.ln = ln
}

func (r *restartable) accept() {
	ln := r.ln
	r.all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			r.all.Go(func() { play(nc, r.s) })
		}
	})
}

func (r *restartable) stop() {
	if r.ln != nil {
		r.ln.Close()
	}
	r.all.Wait()
}

// echoes responds with what it got, and counts.
func echoes(runs *atomic.Int32) script {
	return func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		length, _ := req.ContentLength()
		body := make([]byte, length)
		if _, err := io.ReadFull(in, body); err != nil {
			return
		}
		runs.Add(1)
		io.WriteString(nc, okPage(req.Vars.Get("REQUEST_METHOD")+" "+string(body)))
	}
}

// kinds are requests of all kinds, each with what an echo says to it.
var kinds = []struct {
	name string
	vars uwsgi.Vars
	body string
	want string
}{
	{"GET", missed("/a"), "", "GET "},
	{"GET that is never stored", request("GET", "/b"), "", "GET "},
	{"POST without a body", request("POST", "/c"), "", "POST "},
	{"POST", uploading("POST", 5), "hello", "POST hello"},
	{"POST from memory, apart", uploading("POST", 40<<10), strings.Repeat("x", 40<<10), "POST " + strings.Repeat("x", 40<<10)},
	{"POST from a file", uploading("PUT", 100<<10), strings.Repeat("y", 100<<10), "PUT " + strings.Repeat("y", 100<<10)},
}

// The only server is away when requests come. They wait, POSTs too, and are served when it
// is there.
func TestServerIsAway(t *testing.T) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream=%v", stream), func(t *testing.T) {
			var runs atomic.Int32
			w := newRestartable(t, echoes(&runs))
			b := startBench(t, "unix", func(g *Gateway) {
				g.Uploads.Stream = stream
				g.Backends.Default.QueueTimeout = patience
			}, "unix:"+w.path)
			var all sync.WaitGroup
			for _, k := range kinds {
				all.Go(func() {
					if got := b.ask(k.vars, []byte(k.body)); got.status != 200 || got.body != k.want {
						t.Errorf("%s: got %.300q, %v", k.name, got.raw, got.err)
					}
				})
			}
			eventually(t, "all wait", func() bool { return b.Backends.Default.PoolStats().Queued == uint64(len(kinds)) })
			w.start()
			all.Wait()
			if n := runs.Load(); n != int32(len(kinds)) {
				t.Errorf("%d requests ran, want %d", n, len(kinds))
			}
			w.stop()
		})
	}
}

// A server ends while requests wait in its backlog: nobody has read them. They go to the
// next one, POSTs too, and each runs once.
func TestBacklogOfAServerThatEnds(t *testing.T) {
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream=%v", stream), func(t *testing.T) {
			var runs atomic.Int32
			w := newRestartable(t, echoes(&runs))
			w.listen()
			b := startBench(t, "unix", func(g *Gateway) {
				g.Uploads.Stream = stream
				g.Backends.Default.QueueTimeout = patience
			}, "unix:"+w.path)
			var all sync.WaitGroup
			for _, k := range kinds {
				all.Go(func() {
					if got := b.ask(k.vars, []byte(k.body)); got.status != 200 || got.body != k.want {
						t.Errorf("%s: got %.300q, %v", k.name, got.raw, got.err)
					}
				})
			}
			eventually(t, "all are in the backlog", func() bool { return connected(b) == len(kinds) })
			w.ln.Close()
			eventually(t, "all wait", func() bool { return b.Backends.Default.PoolStats().Queued == uint64(len(kinds)) })
			w.start()
			all.Wait()
			if n := runs.Load(); n != int32(len(kinds)) {
				t.Errorf("%d requests ran, want %d", n, len(kinds))
			}
			w.stop()
		})
	}
}

// connected is how many connections the gateway has made to its only server.
func connected(b *bench) int { return int(b.Backends.Default.Stats()[0].Requests) }

// A worker that has read a POST may have run it, so it is not repeated, whatever it left
// unread of the body.
func TestPOSTIsNotRepeated(t *testing.T) {
	var runs atomic.Int32
	for name, s := range map[string]script{
		"without reading the body": func(net.Conn, *uwsgi.Request, *bufio.Reader) { runs.Add(1) },
		"after half of the body":   func(_ net.Conn, _ *uwsgi.Request, in *bufio.Reader) { runs.Add(1); in.Discard(2) },
	} {
		runs.Store(0)
		b := newBench(t, nil, s, s)
		if got := b.ask(uploading("POST", 5), []byte("hello")); got.status != 502 || runs.Load() != 1 {
			t.Errorf("closes %s: got %q, ran %d times", name, got.raw, runs.Load())
		}
	}
}

// The last good copy is served at once, also to the first who finds the server away.
func TestStaleCopyWhileServerIsAway(t *testing.T) {
	w := newRestartable(t, says(okPage("hello", kept)))
	w.start()
	b := startBench(t, "unix", func(g *Gateway) {
		g.Coalescing.Wait = -1
		g.Backends.Default.QueueTimeout = patience
	}, "unix:"+w.path)
	b.get("/")
	b.copied("k:/")
	w.stop()
	for n := range 3 {
		begin := time.Now()
		got := b.get("/")
		if got.status != 200 || got.body != "hello" || !strings.Contains(got.header.Get("Cache-Status"), "detail=stale") {
			t.Errorf("got %q, %v", got.raw, got.err)
		}
		if d := time.Since(begin); d > patience/2 {
			t.Errorf("request %d waited for %v", n, d)
		}
	}
	if s := b.Backends.Default.PoolStats(); s.Queued != 0 {
		t.Errorf("%d requests waited", s.Queued)
	}
}

// A machine without descriptors is not a failure of the server.
func TestShortageIsOurs(t *testing.T) {
	f := dialFailure(t.Context(), fmt.Errorf("%w: too many open files", backend.ErrShortage)).(*failure)
	if f.side != sideGateway || f.status != 503 || f.code != codeShortage {
		t.Errorf("got %+v", f)
	}
}
