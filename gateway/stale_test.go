package gateway

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A moody worker responds with what a test says, and closes without that.
type moody struct{ response atomic.Pointer[string] }

func (m *moody) says(response string) { m.response.Store(&response) }

func (m *moody) play(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
	if response := m.response.Load(); response != nil {
		io.WriteString(nc, *response)
	}
}

// copied waits until a page and its copy are in memcached.
func (b *bench) copied(key string) {
	b.t.Helper()
	eventually(b.t, "copied", func() bool {
		_, ok := b.store.get(cachewriter.Sibling(cachewriter.KindCopy, key))
		return ok && b.holds(key)
	})
}

const kept = "Cache-Control: max-age=600, stale-if-error=60"

// While the backend fails, the last good copy is served to clients that would get the
// page, and to nobody else.
func TestStaleIfError(t *testing.T) {
	for name, failure := range map[string]string{
		"silence": "", "500": "HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops", "503": "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
		"nonsense": "nonsense\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var w moody
			w.says(okPage("hello", kept, "X-Frame-Options: DENY"))
			b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = -1 }, w.play)
			b.get("/")
			b.copied("k:/")
			w.says(failure)
			got := b.get("/")
			if got.status != 200 || got.body != "hello" || got.header.Get("X-Frame-Options") != "DENY" || got.err != nil {
				t.Errorf("got %q, %v", got.raw, got.err)
			}
			if s := got.header.Get("Cache-Status"); !strings.HasPrefix(s, "uwgate; hit; ttl=") || !strings.HasSuffix(s, "; detail=stale") {
				t.Errorf("Cache-Status %q", s)
			}
			if got.header.Get("Age") == "" {
				t.Error("no Age")
			}
			if n := b.logs.FilterMessageSnippet("a last good copy is sent").Len(); n != 1 {
				t.Errorf("logged %d times that the backend failed", n)
			}
			if got := b.get("/", uwsgi.Var{Name: "HTTP_COOKIE", Value: "sessionid=1"}); got.status == 200 || strings.Contains(got.raw, "hello") {
				t.Errorf("a session got %q", got.raw)
			}
			if got := b.get("/other"); got.status < 500 {
				t.Errorf("another page: %q", got.raw)
			}
			w.says(okPage("new", kept))
			if got := b.get("/"); got.body != "new" {
				t.Errorf("when it responds again: %q", got.raw)
			}
		})
	}
}

// What does not allow it, or was deleted, is not served.
func TestNoStaleCopy(t *testing.T) {
	for name, line := range map[string]string{
		"nothing said": "Cache-Control: max-age=600", "must-revalidate": "Cache-Control: max-age=600, must-revalidate, stale-if-error=60",
	} {
		var w moody
		w.says(okPage("hello", line))
		b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = -1 }, w.play)
		b.get("/")
		b.close()
		if n := len(b.store.items); n != 1 {
			t.Errorf("%s: %d entries, want the page alone", name, n)
		}
	}
	var w moody
	w.says(okPage("hello", kept))
	b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = -1; g.Store.Copies = true }, w.play)
	b.get("/")
	b.copied("k:/")
	w.says("HTTP/1.1 204 No Content\r\n\r\n")
	b.ask(setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: "POST"}), nil)
	w.says("")
	if got := b.get("/"); got.status != 502 {
		t.Errorf("after a POST: %q", got.raw)
	}
}

// With nobody at the backend a crowd is served at once, by one look.
func TestStaleForACrowd(t *testing.T) {
	var w moody
	w.says(okPage("hello", kept))
	ln := listen(t, "unix")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			play(nc, w.play)
		}
	}()
	b := startBench(t, "unix", func(g *Gateway) { g.Backends.Default.QueueTimeout = 10 * time.Millisecond }, "unix:"+ln.Addr().String())
	b.get("/")
	b.copied("k:/")
	eventually(t, "stored", func() bool { _, ok := b.store.get("k:/"); return ok })
	b.store.delete("k:/")
	ln.Close()
	<-done
	eventually(t, "the page is known to be gone", func() bool { return b.get("/").header.Get("Age") != "" })
	for range 20 {
		if got := b.get("/"); got.body != "hello" || got.header.Get("Age") == "" {
			t.Fatalf("got %q", got.raw)
		}
	}
	if got := b.get("/other"); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("another page: %q", got.raw)
	}
}

func TestParseCopy(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	resp := &uwsgi.Response{StatusCode: 200, Reason: "OK", ContentLength: 5, Header: uwsgi.Header{{Name: "Content-Length", Value: "5"}}}
	whole := string(appendCopy(nil, "k:/ä\n", now, now.Add(time.Minute), resp, []byte("hello")))
	got, stored, err := parseCopy([]byte(whole), "k:/ä\n")
	if err != nil || string(got.body) != "hello" || got.resp.StatusCode != 200 || !stored.Equal(now) || got.reason != policy.Stale {
		t.Errorf("got %+v, stored %v, %v", got, stored, err)
	}
	for name, value := range map[string]string{
		"empty": "", "a page": "<html>", "cut": whole[:len(whole)-1], "no numbers": copyMagic + "x y z\n",
		"key cut": whole[:len(copyMagic)+25], "another form": "uwgate-copy/2 " + whole[len(copyMagic):],
	} {
		if got, _, err := parseCopy([]byte(value), "k:/ä\n"); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
	if _, _, err := parseCopy([]byte(whole), "k:/ö\n"); err == nil {
		t.Error("taken for another page's")
	}
}

func FuzzParseCopy(f *testing.F) {
	now := time.Unix(1_700_000_000, 0)
	resp := &uwsgi.Response{StatusCode: 200, Reason: "OK", ContentLength: 5, Header: uwsgi.Header{{Name: "Content-Length", Value: "5"}}}
	f.Add(appendCopy(nil, "key", now, now, resp, []byte("hello")), "key")
	f.Add([]byte(copyMagic+"1 2 3\nkeyHTTP/1.1 200 OK\r\n\r\n"), "key")
	f.Fuzz(func(t *testing.T, value []byte, key string) {
		page, _, err := parseCopy(value, key)
		if err == nil && (!strings.Contains(string(value), key) || len(page.body) > len(value)) {
			t.Errorf("%q is a copy of %q with body %q", value, key, page.body)
		}
	})
}
