package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// A crowd holds the pages of visitors who came at the same time.
type crowd struct{ pages []page }

// crowd sends n visits at the same time.
func (w *world) crowd(n int, visit func(i int) page) crowd {
	w.t.Helper()
	c := crowd{make([]page, n)}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { c.pages[i] = visit(i) })
	}
	all.Wait()
	return c
}

// asked returns how many requests for a path reached the workers.
func (w *world) asked(path string) int {
	w.t.Helper()
	w.settle()
	n := 0
	for _, l := range w.lines() {
		if l.URI == path && l.Backend != "" {
			n++
		}
	}
	return n
}

// knock opens n connections to nginx and then sends a request on each at the same time.
// It costs little compared with nginx and uwgate.
func (w *world) knock(n int, path string) crowd {
	w.t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		nc, err := net.Dial("tcp", w.Nginx.Addr)
		if err != nil {
			w.t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		conns[i] = nc
	}
	request := []byte("GET " + path + " HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
	answers := make([][]byte, n)
	c := w.crowd(n, func(i int) page {
		conns[i].Write(request)
		var err error
		answers[i], err = io.ReadAll(conns[i])
		return page{err: err}
	})
	for i, raw := range answers {
		if c.pages[i].err == nil {
			c.pages[i] = w.read(http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil))
		}
	}
	return c
}

// A thousand visitors request a page that is not cached. The workers get one request.
func TestColdPageAndACrowd(t *testing.T) {
	w := start(t, stack.Config{App: "testdata/crowd", Args: unhurried, MemcachedArgs: forCrowds})
	done := make(chan crowd)
	go func() { done <- w.knock(visitors, "/held") }()
	w.gathered(visitors, visitors-1)
	w.open()
	(<-done).wantAll(t, "<p>/held for all</p>")
	if n := w.asked("/held"); n != 1 {
		t.Errorf("the workers were asked %d times, want once", n)
	}
}

// Each visitor gets an own copy of a private page, also when others request it at the
// same time.
func TestPrivatePagesAndACrowd(t *testing.T) {
	// In a crowd it may take uwgate more than uWSGI's four seconds from the connection
	// to the request.
	w := start(t, stack.Config{App: "testdata/crowd", Args: longWait, MemcachedArgs: forCrowds, UWSGIArgs: []string{"--socket-timeout", "60"}})
	for path, isPrivate := range map[string]func(i int) bool{
		"/private": func(int) bool { return true },
		"/half":    func(i int) bool { return i%2 == 0 },
	} {
		c := w.crowd(visitors, func(i int) page { return w.get(path, fmt.Sprint("X-User: ", i)) })
		all := fmt.Sprintf("<p>%s for all</p>", path)
		for i, p := range c.pages {
			own := fmt.Sprintf("<p>%s for %d</p>", path, i)
			// A hit is the page for all.
			if p.status != 200 || p.body != own && (p.body != all || path == "/private") || !isPrivate(i) && p.body != all {
				t.Fatalf("%s: visitor %d got %d %q, %v", path, i, p.status, p.body, p.err)
			}
		}
	}
}

const visitors = 1000

// forCrowds are arguments of memcached. By default it closes connections beyond 1024, and
// nginx takes that for a failed lookup.
var forCrowds = []string{"-c", "4096"}
