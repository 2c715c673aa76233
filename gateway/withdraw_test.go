package gateway

import (
	"fmt"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A page that is withdrawn does not come back as a copy when the backend fails.
func TestWithdrawn(t *testing.T) {
	empty := func(status string, lines ...string) string {
		head := "HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n"
		for _, line := range lines {
			head += line + "\r\n"
		}
		return head + "\r\n"
	}
	session := uwsgi.Var{Name: "HTTP_COOKIE", Value: "sessionid=1"}
	theme := uwsgi.Var{Name: "HTTP_COOKIE", Value: "theme=dark"}
	head := uwsgi.Var{Name: "REQUEST_METHOD", Value: "HEAD"}
	part := uwsgi.Var{Name: "HTTP_RANGE", Value: "bytes=0-1"}
	tests := []struct {
		name     string
		response string
		more     []uwsgi.Var
		stays    bool
	}{
		{"404", empty("404 Not Found"), nil, false},
		{"410", empty("410 Gone"), nil, false},
		{"403", empty("403 Forbidden"), nil, false},
		{"redirect", empty("302 Found", "Location: /login"), nil, false},
		{"moved", empty("301 Moved Permanently", "Location: /new"), nil, false},
		{"private", okPage("x", "Cache-Control: private"), nil, false},
		{"no-store", okPage("x", "Cache-Control: no-store"), nil, false},
		{"no-cache", okPage("x", "Cache-Control: no-cache"), nil, false},
		{"Set-Cookie", okPage("x", kept, "Set-Cookie: a=b"), nil, false},
		{"max-age=0", okPage("x", "Cache-Control: max-age=0"), nil, false},
		{"503", empty("503 Busy"), nil, true},
		{"429", empty("429 Slow down"), nil, true},
		{"the page again", okPage("hello", kept), nil, true},
		{"private to a member", okPage("x", "Cache-Control: private"), []uwsgi.Var{session}, true},
		{"404 to a member", empty("404 Not Found"), []uwsgi.Var{session}, true},
		{"private to who has an unknown cookie", okPage("x", "Cache-Control: private"), []uwsgi.Var{theme}, true},
		{"404 to a HEAD", "HTTP/1.1 404 Not Found\r\n\r\n", []uwsgi.Var{head}, true},
		{"404 to a part", empty("404 Not Found"), []uwsgi.Var{part}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var w moody
			w.says(okPage("hello", kept))
			b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = -1; g.Store.Copies = true }, w.play)
			b.get("/")
			b.get("/twin")
			b.copied("k:/")
			b.copied("k:/twin")
			w.says(tt.response)
			b.get("/", tt.more...)
			w.says("")
			b.settled()
			if got := b.get("/"); (got.body == "hello") != tt.stays || !tt.stays && got.status != 502 {
				t.Errorf("in the outage: %q", got.raw)
			}
			if got := b.get("/twin"); got.body != "hello" {
				t.Errorf("the twin in the outage: %q", got.raw)
			}
		})
	}
}

// settled waits for what requests do after their responses.
func (b *bench) settled() {
	b.t.Helper()
	eventually(b.t, "all requests are through", func() bool { return b.stats.inFlight.Load() == 0 })
	eventually(b.t, "what is withdrawn is deleted", func() bool { return b.Store.Stats().Total.Pending.Entries == 0 })
}

// A page that is never stored costs no delete a request; one that is stored in between
// does.
func TestWithdrawnOnce(t *testing.T) {
	var w moody
	b := newBench(t, func(g *Gateway) { g.Coalescing.Wait = -1; g.Store.Copies = true }, w.play)
	copyKey := cachewriter.Sibling(cachewriter.KindCopy, "k:/")
	deletes := func() (n int) {
		b.settled()
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		for _, key := range b.store.deletes {
			if key == copyKey {
				n++
			}
		}
		return n
	}
	w.says(okPage("x", "Cache-Control: private"))
	for range 20 {
		b.get("/")
	}
	if n := deletes(); n != 1 {
		t.Errorf("%d deletes for 20 requests", n)
	}
	w.says(okPage("hello", kept))
	b.get("/")
	b.copied("k:/")
	w.says(okPage("x", "Cache-Control: private"))
	b.get("/")
	if n := deletes(); n != 2 || b.holds(copyKey) {
		t.Errorf("%d deletes; there is a copy: %v", n, b.holds(copyKey))
	}
}

func TestWithdrawals(t *testing.T) {
	var w withdrawals
	now := time.Now()
	for i := range 100 {
		key := cachewriter.Sibling(cachewriter.KindCopy, fmt.Sprint(i))
		if !w.note(key, now) || w.note(key, now.Add(withdrawnFor-1)) {
			t.Fatalf("%s: not once", key)
		}
		if !w.note(key, now.Add(withdrawnFor)) {
			t.Errorf("%s: not again", key)
		}
		w.forget(key)
		if !w.note(key, now.Add(withdrawnFor)) {
			t.Errorf("%s: not after it was forgotten", key)
		}
	}
	w.forget("unknown")
	w.note("", now)
}

// What a stranger's response takes back goes for all classes of visitors.
func TestWithdrawnForAllVisitors(t *testing.T) {
	theme := uwsgi.Var{Name: "HTTP_COOKIE", Value: "theme=dark"}
	for _, tt := range []struct {
		name     string
		response string
		more     []uwsgi.Var
		stays    bool
	}{
		{"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", nil, false},
		{"private", okPage("x", "Cache-Control: private"), nil, false},
		{"503", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", nil, true},
		{"private to one of the others", okPage("x", "Cache-Control: private"), []uwsgi.Var{theme}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w moody
			w.says(okPage("hello", kept))
			b := newBench(t, func(g *Gateway) {
				g.Coalescing.Wait, g.Store.Copies = -1, true
				g.Policy.Keys.Template, _ = policy.ParseTemplate("$visitor$scheme://$host$request_uri")
			}, w.play)
			at := func(visitor, uri string, more ...uwsgi.Var) []uwsgi.Var {
				return append([]uwsgi.Var{{Name: "CACHE_KEY", Value: visitor + "http://example.com" + uri}}, more...)
			}
			b.get("/", at("+", "/", theme)...)
			b.get("/twin", at("+", "/twin", theme)...)
			b.copied("+http://example.com/")
			b.copied("+http://example.com/twin")
			w.says(tt.response)
			visitor := ""
			if tt.more != nil {
				visitor = "+"
			}
			for range 2 { // and once more, when it is stored again
				b.get("/", at(visitor, "/", tt.more...)...)
				b.settled()
				copied := b.holds(cachewriter.Sibling(cachewriter.KindCopy, "+http://example.com/"))
				if page := b.holds("+http://example.com/"); page != tt.stays || copied != tt.stays && visitor == "" {
					t.Errorf("the page is there: %v, its copy: %v, want %v", page, copied, tt.stays)
				}
				if !b.holds("+http://example.com/twin") || !b.holds(cachewriter.Sibling(cachewriter.KindCopy, "+http://example.com/twin")) {
					t.Error("the twin is gone")
				}
				w.says(okPage("hello", kept))
				eventually(t, "stored again", func() bool {
					b.get("/", at("+", "/", theme)...)
					return b.holds("+http://example.com/") && b.holds(cachewriter.Sibling(cachewriter.KindCopy, "+http://example.com/"))
				})
				w.says(tt.response)
			}
		})
	}
}

// Who requests pages that do not exist does not fill memcached with tombstones.
func TestWithdrawnLeavesNothing(t *testing.T) {
	var w moody
	w.says("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
	b := newBench(t, func(g *Gateway) {
		g.Store.Copies = true
		g.Policy.Keys.Template, _ = policy.ParseTemplate("$visitor$scheme://$host$request_uri")
	}, w.play)
	for i := range 50 {
		b.get("/", uwsgi.Var{Name: "CACHE_KEY", Value: fmt.Sprintf("http://example.com/nothing/%d", i)},
			uwsgi.Var{Name: "REQUEST_URI", Value: fmt.Sprintf("/nothing/%d", i)}, uwsgi.Var{Name: "PATH_INFO", Value: fmt.Sprintf("/nothing/%d", i)})
	}
	b.settled()
	if n := b.store.tombstones(); n > 0 {
		t.Errorf("%d tombstones are in memcached", n)
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if len(b.store.deletes) < 100 {
		t.Errorf("%d deletes, want one of each page and copy at least", len(b.store.deletes))
	}
	for key := range b.store.items {
		t.Errorf("%s is in memcached", key)
	}
}
