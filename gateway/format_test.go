package gateway

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"uwgate/gateway/policy"
)

// Compressed values have exactly the flag that nginx looks for, others none.
func TestFormatGzip(t *testing.T) {
	tests := []struct {
		name, body, flags string
	}{
		{"a page", strings.Repeat("<p>hello</p>", 100), "8"},
		{"what does not shrink", "hello", "0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(g *Gateway) { g.Policy.Hits.Format, g.Policy.Hits.GzipFlag = policy.FormatGzip, 8 }, says(okPage(tt.body)))
			if got := b.get("/"); got.body != tt.body || got.header.Has("Content-Encoding") {
				t.Errorf("the first visitor got %q", got.raw)
			}
			b.line(0)
			b.close()
			it := b.contents()["k:/"]
			if it.flags != tt.flags || inflated(t, it) != tt.body {
				t.Errorf("stored %d bytes with flags %s, want the page with %s", len(it.body), it.flags, tt.flags)
			}
		})
	}
}

func inflated(t *testing.T, it item) string {
	t.Helper()
	if it.flags == "0" {
		return it.body
	}
	r, err := gzip.NewReader(strings.NewReader(it.body))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The stored head is that of the response, and the response keeps its validators.
func TestFormatHTTP(t *testing.T) {
	const body = "hello"
	date := "Date: " + time.Now().UTC().Format(http.TimeFormat)
	b := newBench(t, func(g *Gateway) { g.Policy.Hits.Format = policy.FormatHTTP }, says(okPage(body,
		`ETag: "v1"`, date, "Content-Language: de", "X-Accel-Expires: 60", "Connection: close")))
	if got := b.get("/"); got.body != body || got.header.Get("ETag") != `"v1"` || !got.header.Has("X-Accel-Expires") {
		t.Errorf("the first visitor got %q", got.raw)
	}
	b.line(0)
	b.close()
	want := "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"v1\"\r\n" +
		date + "\r\nContent-Language: de\r\nCache-Status: uwgate; hit\r\n\r\n" + body
	if it := b.contents()["k:/"]; it.body != want || it.flags != "0" {
		t.Errorf("stored %q with flags %s, want\n%q", it.body, it.flags, want)
	}
}

// Head and body together are bounded, as memcached bounds them.
func TestFormatHTTPCountsTheHead(t *testing.T) {
	b := newBench(t, func(g *Gateway) { g.Policy.Hits.Format, g.Policy.MaxBody = policy.FormatHTTP, 100 }, says(okPage(strings.Repeat("x", 90))))
	b.get("/")
	if line := b.line(0); line["reason"] != "too-large" {
		t.Errorf("logged %v, want too-large", line)
	}
}

// Explain compares bodies, whatever they are wrapped in.
func TestExplainReadsEveryFormat(t *testing.T) {
	text := strings.Repeat("<p>hello</p>", 100)
	for _, format := range []policy.Format{policy.FormatBody, policy.FormatGzip, policy.FormatHTTP} {
		t.Run(string(format), func(t *testing.T) {
			b := newBench(t, func(g *Gateway) { g.Policy.Hits.Format, g.Policy.Hits.GzipFlag = format, 2 }, says(okPage(text)), says(okPage(text)), says(okPage(text+".")))
			b.get("/")
			b.line(0)
			b.Store.Close(t.Context())
			vars := missed("/")
			if e := b.Explain(t.Context(), vars); e.Stored == nil || !e.Stored.Same {
				t.Errorf("the same page: %+v", e.Stored)
			}
			if e := b.Explain(t.Context(), vars); e.Stored == nil || e.Stored.Same || !strings.Contains(e.Stored.Differs, "1200 bytes stored, 1201 fresh") {
				t.Errorf("another page: %+v", e.Stored)
			}
			b.store.set("k:/", item{body: "not in this format", flags: "2"})
			if e := b.Explain(t.Context(), vars); e.Stored == nil || e.Stored.Same {
				t.Errorf("a value of no format: %+v", e.Stored)
			}
		})
	}
}
