package gateway

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

// Pages whose copies would exceed the memory for them are relayed, and not stored, until a
// copy that is there has been stored.
func TestCaptureMemoryIsBounded(t *testing.T) {
	body := strings.Repeat("x", 80)
	head := "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
	for _, tt := range []struct{ name, start, rest string }{
		{"with a length", head + "Content-Length: 80\r\n\r\n" + body[:40], body[40:]},
		{"in chunks", head + "Transfer-Encoding: chunked\r\n\r\n50\r\n" + body + "\r\n", "0\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			goOn := make(chan struct{})
			b := newBench(t, func(g *Gateway) {
				g.CaptureMemory, g.Policy.MaxBody = 150, 100
			}, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
				io.WriteString(nc, tt.start)
				if req.Vars.Get("PATH_INFO") == "/slow" {
					<-goOn
				}
				io.WriteString(nc, tt.rest)
			})
			slow := make(chan response, 1)
			go func() { slow <- b.get("/slow") }()
			eventually(t, "a copy", func() bool { return b.Stats().Requests.Captures == 80 })
			if got := b.get("/beyond"); got.body != body || strings.Contains(got.header.Get("Cache-Status"), "stored") {
				t.Errorf("beyond the bound: got %q, want the page, not stored", got.raw)
			}
			if line := b.line(0); line["reason"] != "capture-full" {
				t.Errorf("logged %v, want capture-full", line)
			}
			eventually(t, "one copy", func() bool { return b.Stats().Requests.Captures == 80 })
			close(goOn)
			if got := <-slow; got.body != body {
				t.Errorf("the first one got %q", got.raw)
			}
			eventually(t, "no copy", func() bool { return b.Stats().Requests.Captures == 0 })
			if got := b.get("/after"); got.body != body {
				t.Errorf("when there was room again: got %q", got.raw)
			}
			eventually(t, "no copy", func() bool { return b.Stats().Requests.Captures == 0 })
			items := b.contents()
			if items["k:/slow"].body != body || items["k:/after"].body != body || items["k:/beyond"].body != "" {
				t.Errorf("stored %v, want /slow and /after", items)
			}
		})
	}
}
