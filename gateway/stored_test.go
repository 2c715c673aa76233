package gateway

import (
	"fmt"
	"strings"
	"testing"

	"uwgate/cachewriter"
)

// Cache-Status says "stored" only of a page that nothing can refuse any more, and then it
// is stored.
func TestStoredIsAFact(t *testing.T) {
	chunked := "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name     string
		response string
		tune     func(*Gateway)
		says     string // "": that it is stored
		stored   bool
	}{
		{"whole", okPage("hello"), nil, "", true},
		{"whole, in chunks", chunked + "5\r\nhello\r\n0\r\n\r\n", nil, "", true},
		{"whole, in many chunks", chunked + "2\r\nhe\r\n2\r\nll\r\n1\r\no\r\n0\r\n\r\n", nil, "", true},
		{"a form token", okPage("csrf_token"), nil, "detail=sentinel", false},
		{"a form token in chunks", chunked + "5\r\ncsrf_\r\n5\r\ntoken\r\n0\r\n\r\n", nil, "detail=sentinel", false},
		{"trailers", chunked + "5\r\nhello\r\n0\r\nA: b\r\n\r\n", nil, "detail=", false},
		{"too much", okPage("hello") + "surplus", nil, "ttl=600; detail=default-ttl", false},
		{"too little", okPage("hello")[:len(okPage("hello"))-1], nil, "ttl=600; detail=default-ttl", false},
		{"large", okPage(strings.Repeat("x", 100<<10)), nil, "ttl=600; detail=default-ttl", true},
		{"observed", okPage("hello"), func(g *Gateway) { g.Policy.Observe = true }, "detail=observe", false},
		{"no store", okPage("hello"), func(g *Gateway) { g.Store = nil }, "ttl=600; detail=default-ttl", false},
		{"no room", okPage("hello"), func(g *Gateway) { g.Store.Queue.Bytes = 1 }, "ttl=600; detail=default-ttl", false},
		{"not wanted", okPage("hello", "Cache-Control: private"), nil, "detail=private", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, tt.tune, says(tt.response))
			if b.Store != nil {
				b.Store.Greet(t.Context())
			}
			status := b.get("/").header.Get("Cache-Status")
			if says := strings.Contains(status, "; stored"); says != (tt.says == "") || !strings.Contains(status, tt.says) {
				t.Errorf("it says %q, want %q", status, tt.says)
			}
			if b.Store == nil {
				return
			}
			if _, stored := b.contents()["k:/"]; stored != tt.stored {
				t.Errorf("stored is %v, and it says %q", stored, status)
			}
		})
	}
}

// A server that does not respond, and whose breaker is open, takes nothing.
func TestNothingIsStoredInADeadStore(t *testing.T) {
	b := newBench(t, func(g *Gateway) {
		ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: "127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		g.Store, g.Policy = &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}, testPolicy(t, ring)
	}, says(okPage("hello")))
	n := 0
	eventually(t, "the breaker is open", func() bool {
		n++
		return !strings.Contains(b.get(fmt.Sprint("/", n)).header.Get("Cache-Status"), "; stored")
	})
	if status := b.get("/").header.Get("Cache-Status"); strings.Contains(status, "; stored") {
		t.Errorf("it says %q", status)
	}
}
