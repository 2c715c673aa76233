package gateway

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

// holds reports whether memcached holds a key.
func (b *bench) holds(key string) bool {
	_, ok := b.store.get(key)
	return ok
}

// lay puts pages into memcached.
func (b *bench) lay(keys ...string) {
	for _, key := range keys {
		b.store.set(key, item{body: "old"})
	}
}

// A request that may have changed something deletes its page though nobody hears of a
// success.
func TestUnheard(t *testing.T) {
	const done = "HTTP/1.1 303 See Other\r\nLocation: /done\r\nContent-Length: 0\r\n\r\n"
	all, own := []string{"k:/", "k:/done"}, []string{"k:/"}
	tests := []struct {
		name   string
		method string
		leaves bool   // the client, before the worker says anything
		says   string // the worker's last words
		status int    // that a client gets which does not leave
		gone   []string
	}{
		{"the client leaves, success", "POST", true, done, 0, all},
		{"the client leaves, 200", "PUT", true, okPage("x"), 0, own},
		{"the client leaves, 404", "POST", true, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 0, nil},
		{"the client leaves, 500", "POST", true, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 0, nil},
		{"the client leaves, silence", "PATCH", true, "", 0, own},
		{"the client leaves, nonsense", "DELETE", true, "what?\r\n\r\n", 0, own},
		{"the client leaves, half a head", "POST", true, "HTTP/1.1 200 OK\r\nContent-", 0, own},
		{"a method that nobody knows", "FROB", true, "", 0, own},
		{"silence", "POST", false, "", 502, own},
		{"nonsense", "POST", false, "what?\r\n\r\n", 502, own},
		{"half a head", "PUT", false, "HTTP/1.1 200 OK\r\nContent-", 502, own},
		{"500", "POST", false, "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", 500, nil},
		{"GET, the client leaves", "GET", true, done, 0, nil},
		{"GET, silence", "GET", false, "", 502, nil},
		{"HEAD, silence", "HEAD", false, "", 502, nil},
		{"OPTIONS, the client leaves", "OPTIONS", true, "", 0, nil},
	}
	for _, network := range []string{"unix", "tcp"} {
		for _, tt := range tests {
			t.Run(network+"/"+tt.name, func(t *testing.T) {
				asked, left := make(chan struct{}, maxAsks), make(chan struct{})
				worker := startWorker(t, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
					asked <- struct{}{}
					if tt.leaves {
						<-left
					}
					io.WriteString(nc, tt.says)
				})
				b := startBench(t, network, patient, worker)
				b.lay(all...)
				b.lay("k:/other")
				vars := setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: tt.method})
				if tt.leaves {
					nc := b.dial()
					nc.Write(encode(t, vars))
					<-asked
					nc.Close()
					if !slices.Contains([]string{"GET", "OPTIONS"}, tt.method) {
						eventually(t, "the client is seen to leave", func() bool { return b.stats.unheard.Load() == 1 })
					}
					close(left)
				} else {
					if got := b.ask(vars, nil); got.status != tt.status {
						t.Errorf("got %q, want %d", got.raw, tt.status)
					}
					for _, key := range tt.gone {
						if b.holds(key) {
							t.Errorf("%s is there after the response", key)
						}
					}
				}
				b.close() // waits for all of it
				for _, key := range append(all, "k:/other") {
					if got, want := b.holds(key), !slices.Contains(tt.gone, key); got != want {
						t.Errorf("%s is there: %v, want %v", key, got, want)
					}
				}
				if n := b.access.FilterMessage("request").Len(); n != 1 {
					t.Errorf("%d lines logged", n)
				}
			})
		}
	}
}

// What a worker changes after its time was up is deleted once more.
func TestTimedOut(t *testing.T) {
	for name, tt := range map[string]struct {
		says string
		gone []string
	}{
		"it closes":   {"", []string{"k:/"}},
		"it succeeds": {"HTTP/1.1 303 See Other\r\nLocation: /done\r\nContent-Length: 0\r\n\r\n", []string{"k:/", "k:/done"}},
		"it fails":    {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			late := make(chan struct{})
			b := newBench(t, func(g *Gateway) { g.Timeouts.FirstByte = time.Second }, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
				<-late
				io.WriteString(nc, tt.says)
			})
			b.lay("k:/", "k:/done")
			got := b.ask(setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: "POST"}), nil)
			if got.status != 504 || b.holds("k:/") || !b.holds("k:/done") {
				t.Errorf("got %q; the page is there: %v, the other: %v", got.raw, b.holds("k:/"), b.holds("k:/done"))
			}
			b.lay("k:/", "k:/done")
			close(late)
			b.close()
			for _, key := range []string{"k:/", "k:/done"} {
				if got, want := b.holds(key), !slices.Contains(tt.gone, key); got != want {
					t.Errorf("%s is there: %v, want %v", key, got, want)
				}
			}
		})
	}
}

// A worker that never responds is not waited for longer than it was before.
func TestTimedOutForEver(t *testing.T) {
	never := make(chan struct{})
	b := newBench(t, func(g *Gateway) { g.Timeouts.FirstByte = 50 * time.Millisecond; g.Timeouts.Drain = -1 }, func(net.Conn, *uwsgi.Request, *bufio.Reader) { <-never })
	t.Cleanup(func() { close(never) })
	b.lay("k:/")
	if got := b.ask(setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: "POST"}), nil); got.status != 504 {
		t.Errorf("got %q", got.raw)
	}
	b.close()
	if b.holds("k:/") {
		t.Error("the page is there")
	}
}

// An upload that breaks off may have changed something by then, or may not have begun.
func TestBrokenUpload(t *testing.T) {
	tests := []struct {
		name   string
		stream bool
		leaves bool
		gone   bool
	}{
		{"streamed, the client leaves", true, true, true},
		{"streamed, the client stalls", true, false, true},
		{"spooled, the client leaves", false, true, false},
		{"spooled, the client stalls", false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asked := make(chan struct{}, 1)
			b := newBench(t, func(g *Gateway) { g.Uploads.Stream = tt.stream; g.Timeouts.Idle = 100 * time.Millisecond }, func(nc net.Conn, _ *uwsgi.Request, body *bufio.Reader) {
				asked <- struct{}{}
				io.Copy(io.Discard, body)
			})
			b.lay("k:/")
			nc := b.dial()
			vars := setVar(setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: "POST"}), uwsgi.Var{Name: "CONTENT_LENGTH", Value: "100000"})
			nc.Write(append(encode(t, vars), strings.Repeat("x", 1000)...))
			if tt.stream {
				<-asked
			}
			if tt.leaves {
				nc.Close()
			} else if raw, _ := io.ReadAll(nc); !strings.HasPrefix(string(raw), "HTTP/1.1 408 ") {
				t.Errorf("got %q", raw)
			}
			b.close()
			if got := !b.holds("k:/"); got != tt.gone {
				t.Errorf("deleted: %v, want %v", got, tt.gone)
			}
		})
	}
}

// Of a request that no worker has got nothing can have come.
func TestUnsentChangesNothing(t *testing.T) {
	b := startBench(t, "unix", func(g *Gateway) { g.Backends.Default.QueueTimeout = 10 * time.Millisecond }, "unix:"+t.TempDir()+"/nobody")
	b.lay("k:/")
	if got := b.ask(setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: "POST"}), nil); got.status != 503 {
		t.Errorf("got %q", got.raw)
	}
	b.close()
	if !b.holds("k:/") {
		t.Error("the page was deleted")
	}
}

// patient waits for memcached however busy the machine is.
func patient(g *Gateway) { g.Store.DialTimeout, g.Store.Timeout = patience, patience }
