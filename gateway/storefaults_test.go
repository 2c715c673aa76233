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

	"uwgate/uwsgi"
)

// brokenStores are what may listen in the place of memcached. Each is called for every
// connection.
var brokenStores = map[string]func(net.Conn){
	"hangs":               func(nc net.Conn) { io.Copy(io.Discard, nc) },
	"closes":              func(net.Conn) {},
	"resets":              closeHard,
	"speaks HTTP":         answersAll("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
	"speaks Redis":        answersAll("-ERR unknown command\r\n"),
	"says nonsense":       answersAll("\x00\xff\r\n"),
	"half an answer":      answersAll("VALUE k:/1 0 1000\r\nhalf"),
	"a line without end":  answersAll(strings.Repeat("x", 10000)),
	"is full":             answersAll("SERVER_ERROR out of memory storing object\r\n"),
	"is read only":        answersAll("SERVER_ERROR read only\r\n"),
	"fails":               answersAll("SERVER_ERROR proxy failure\r\n"),
	"another key's value": answersAll("VALUE other 0 5\r\nwrong\r\nEND\r\n"),
	"an endless value": func(nc net.Conn) {
		io.WriteString(nc, "VALUE k:/1 0 1000000000\r\n")
		for {
			if _, err := nc.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	},
}

// answersAll gives one response to each line.
func answersAll(response string) func(net.Conn) {
	return func(nc net.Conn) {
		lines := bufio.NewReader(nc)
		for {
			if _, err := lines.ReadSlice('\n'); err != nil && err != bufio.ErrBufferFull {
				return
			}
			if _, err := io.WriteString(nc, response); err != nil {
				return
			}
		}
	}
}

// storeTimeout is longer than a busy machine delays a request.
const storeTimeout = 2 * time.Second

// withStore starts a gateway whose memcached is at that address.
func withStore(t *testing.T, addr string, fleet bool) *bench {
	t.Helper()
	return newBench(t, func(g *Gateway) {
		g.Store = storeAt(t, g, addr)
		g.Store.DialTimeout, g.Store.Timeout = storeTimeout, storeTimeout
		g.Coalescing.Fleet = fleet
	}, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		io.WriteString(nc, okPage("page of "+req.Vars.Get("REQUEST_URI"), kept))
	})
}

// Whatever listens in the place of memcached: visitors get their pages, and after the first
// few of them, which open the breaker, none waits for it.
func TestBrokenStores(t *testing.T) {
	for name, serve := range brokenStores {
		for _, fleet := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, fleet=%v", name, fleet), func(t *testing.T) {
				t.Parallel()
				addr := serveConns(t, "tcp", func(nc net.Conn) {
					defer nc.Close()
					nc.SetDeadline(time.Now().Add(patience))
					serve(nc)
				})
				b := withStore(t, addr, fleet)
				late := 0
				for n := range 30 {
					uri, method := fmt.Sprintf("/%d", n%10), "GET"
					if n%3 == 2 {
						method = "POST"
					}
					began := time.Now()
					got := b.ask(setVar(missed(uri), uwsgi.Var{Name: "REQUEST_METHOD", Value: method}), nil)
					if got.status != 200 || got.body != "page of "+uri || got.err != nil {
						t.Fatalf("%s %s: got %.300q, %v", method, uri, got.raw, got.err)
					}
					if time.Since(began) >= storeTimeout {
						late++
					}
				}
				if late > 6 {
					t.Errorf("%d of 30 requests waited for it", late)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				b.Store.Close(ctx) // it may not be waited for
			})
		}
	}
}

// memcached comes and goes. Visitors get their pages, and in the end it is used again.
func TestFlappingStore(t *testing.T) {
	m := startMemcached(t)
	proxy := newFlapping(t, m.addr)
	b := withStore(t, proxy.addr, false)
	for n := range 40 {
		if n%10 == 0 {
			proxy.set(n%20 == 0)
		}
		uri := fmt.Sprintf("/%d", n)
		began := time.Now()
		if got := b.get(uri); got.status != 200 || got.body != "page of "+uri {
			t.Fatalf("got %.300q, %v", got.raw, got.err)
		}
		if d := time.Since(began); d >= storeTimeout {
			t.Errorf("request %d took %v", n, d)
		}
	}
	proxy.set(true)
	n := 100
	eventually(t, "stored again", func() bool {
		n++
		b.get(fmt.Sprintf("/%d", n))
		_, ok := m.get(fmt.Sprintf("k:/%d", n))
		return ok
	})
}

// A flapping proxy passes connections on while it is up, and closes all while it is not.
type flapping struct {
	addr, to string

	mu    sync.Mutex // guards what follows
	up    bool
	conns map[net.Conn]bool
}

func newFlapping(t *testing.T, to string) *flapping {
	f := &flapping{to: to, conns: map[net.Conn]bool{}}
	f.addr = serveConns(t, "tcp", f.serve)
	t.Cleanup(func() { f.set(false) }) // before that of serveConns waits
	return f
}

func (f *flapping) set(up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up = up
	for nc := range f.conns {
		if !up {
			nc.Close()
		}
	}
}

func (f *flapping) serve(nc net.Conn) {
	defer nc.Close()
	f.mu.Lock()
	f.conns[nc] = true
	up := f.up
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, nc)
	}()
	if !up {
		return
	}
	to, err := net.Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer to.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(nc, to)
		nc.Close()
	}()
	io.Copy(to, nc)
	to.Close()
	<-done
}
