package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// What a POST has changed is gone before its response is there.
func TestInvalidation(t *testing.T) {
	for _, tt := range []struct {
		name, method, response string
		gone                   []string
	}{
		{"redirect", "POST", "HTTP/1.1 302 Found\r\nLocation: /list\r\nContent-Length: 0\r\n\r\n", []string{"k:/p", "k:/list"}},
		{"absolute location", "PUT", "HTTP/1.1 201 Created\r\nLocation: http://example.com/new\r\nContent-Length: 0\r\n\r\n", []string{"k:/p", "k:/new"}},
		{"location elsewhere", "PATCH", "HTTP/1.1 303 See Other\r\nLocation: http://other.example/list\r\nContent-Length: 0\r\n\r\n", []string{"k:/p"}},
		{"content location", "DELETE", "HTTP/1.1 200 OK\r\nContent-Location: /list\r\nContent-Length: 0\r\n\r\n", []string{"k:/p", "k:/list"}},
		{"failed", "POST", "HTTP/1.1 422 Unprocessable Entity\r\nLocation: /list\r\nContent-Length: 0\r\n\r\n", nil},
		{"safe", "OPTIONS", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil, says(tt.response))
			for _, key := range []string{"k:/p", "k:/list", "k:/new"} {
				b.store.set(key, item{body: "old"})
			}
			b.ask(request(tt.method, "/p", uwsgi.Var{Name: "CACHE_KEY", Value: "k:/p"}), nil)
			for _, key := range []string{"k:/p", "k:/list", "k:/new"} {
				_, there := b.store.get(key)
				if gone := slices.Contains(tt.gone, key); there == gone {
					t.Errorf("%s there: %v, want %v", key, there, !gone)
				}
			}
		})
	}
}

// A GET that a worker began before the POST must not put the old page back.
func TestSlowPageDoesNotSurviveAPost(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		if req.Vars.Get("REQUEST_METHOD") == "GET" {
			close(began)
			<-goOn
			io.WriteString(nc, okPage("old"))
			return
		}
		io.WriteString(nc, "HTTP/1.1 204 No Content\r\n\r\n")
	})
	done := make(chan response)
	go func() { done <- b.get("/p") }()
	<-began
	if got := b.ask(request("POST", "/p", uwsgi.Var{Name: "CACHE_KEY", Value: "k:/p"}), nil); got.status != 204 {
		t.Fatalf("got %q", got.raw)
	}
	close(goOn)
	if got := <-done; got.body != "old" {
		t.Errorf("got %q, want the response all the same", got.body)
	}
	if items := b.contents(); len(items) != 0 {
		t.Errorf("memcached holds %v", items)
	}
}

// The client gets its 304, and the store its page.
func TestConditionalRequest(t *testing.T) {
	fresh := okPage("hello", `ETag: "v1"`, "Cache-Control: max-age=60")
	for _, tt := range []struct {
		name     string
		match    string
		response string
		status   int
		stored   bool
	}{
		{"matches", `W/"v1", "v0"`, fresh, 304, true},
		{"is old", `"v0"`, fresh, 200, true},
		{"matches a private page", `"v1"`, okPage("hello", `ETag: "v1"`, "Cache-Control: private"), 304, false},
		{"matches, but a cookie is set", `"v1"`, okPage("hello", `ETag: "v1"`, "Set-Cookie: a=b"), 200, false},
		{"matches, but nginx is to send another file", `"v1"`, okPage("hello", `ETag: "v1"`, "X-Accel-Redirect: /f"), 200, false},
		{"matches half a page", `"v1"`, strings.TrimSuffix(fresh, "lo"), 304, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(g *Gateway) { g.AlignHeaders = false }, says(tt.response))
			got := b.get("/", uwsgi.Var{Name: "HTTP_IF_NONE_MATCH", Value: tt.match})
			if got.status != tt.status || got.err != nil {
				t.Errorf("got %q, %v; want %d", got.raw, got.err, tt.status)
			}
			if tt.status == 304 && (got.body != "" || got.header.Get("ETag") != `"v1"` || got.header.Has("Content-Length")) {
				t.Errorf("got %q, want a bare 304 with its ETag", got.raw)
			}
			if line := b.line(0); line["status"] != int64(tt.status) {
				t.Errorf("logged %v", line)
			}
			if it, ok := b.contents()["k:/"]; ok != tt.stored || ok && it.body != "hello" {
				t.Errorf("stored %v: %+v, want %v", ok, it, tt.stored)
			}
		})
	}
}

// nginx leaves as soon as it has its 304; the page is taken in all the same.
func TestPageBehindA304IsTakenIn(t *testing.T) {
	left := make(chan struct{})
	b := newBench(t, nil, func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
		whole := okPage("hello", `ETag: "v1"`)
		io.WriteString(nc, strings.TrimSuffix(whole, "lo"))
		<-left
		// Time enough for the gateway to close this side, if it would.
		nc.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		in.ReadByte()
		io.WriteString(nc, "lo")
	})
	nc := b.dial()
	nc.Write(encode(t, missed("/", uwsgi.Var{Name: "HTTP_IF_NONE_MATCH", Value: `"v1"`})))
	if got, err := io.ReadAll(nc); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 304 ") {
		t.Errorf("got %q, %v; want 304 before the page is whole", got, err)
	}
	nc.Close()
	close(left)
	b.line(0)
	if it := b.contents()["k:/"]; it.body != "hello" {
		t.Errorf("stored %+v", it)
	}
}

// A page behind a 304 that turns out too large is not read to its end, which may
// never come.
func TestEndlessPageBehindA304IsLeft(t *testing.T) {
	left := make(chan error, 1)
	b := newBench(t, func(g *Gateway) { g.Policy.MaxBody = 10 }, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
		io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nETag: \"v1\"\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(nc, "5\r\nhello\r\n"); err != nil {
				left <- err
				return
			}
		}
	})
	if got := b.get("/", uwsgi.Var{Name: "HTTP_IF_NONE_MATCH", Value: `"v1"`}); got.status != 304 {
		t.Errorf("got %q, want 304", got.raw)
	}
	if err := <-left; isTimeout(err) {
		t.Errorf("the worker wrote until %v", err)
	}
	if line := b.line(0); line["reason"] != "too-large" {
		t.Errorf("logged %v, want too-large", line)
	}
}

// Observing decides, logs and counts, and writes nothing.
func TestObserve(t *testing.T) {
	b := newBench(t, func(g *Gateway) { g.Policy.Observe = true }, says(okPage("hello", "Expires: 0", "Cache-Control: max-age=60")))
	b.store.set("k:/", item{body: "old"})
	got := b.get("/")
	if s := got.header.Get("Cache-Status"); s != "uwgate; fwd=uri-miss; fwd-status=200; detail=observe" {
		t.Errorf("Cache-Status %q", s)
	}
	if !got.header.Has("Expires") {
		t.Error("the response was changed though it is only observed")
	}
	if line := b.line(0); line["verdict"] != "observe" || line["reason"] != "max-age" || line["ttl"] != int64(60) {
		t.Errorf("logged %v, want what would have been", line)
	}
	b.ask(request("POST", "/", uwsgi.Var{Name: "CACHE_KEY", Value: "k:/"}), nil)
	if items := b.contents(); items["k:/"].body != "old" {
		t.Errorf("memcached was changed: %v", items)
	}
	if n := b.Stats().Requests.Observed; n != 1 {
		t.Errorf("%d pages counted as observed, want 1", n)
	}
}

// Without CACHE_STATUS nothing shows that nginx has thrown a GET's body away:
// the worker is asked when the body is there, or without it.
func TestAnnouncedBodyNeverHoldsAWorker(t *testing.T) {
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		n, _ := req.ContentLength()
		body := make([]byte, n)
		io.ReadFull(in, body)
		io.WriteString(nc, okPage("body="+string(body)))
	})
	announced := request("GET", "/", uwsgi.Var{Name: "CONTENT_LENGTH", Value: "5"})
	if got := b.ask(announced, []byte("hello")); got.body != "body=hello" {
		t.Errorf("with a body: got %q", got.raw)
	}
	if got := b.ask(announced, nil); got.body != "body=" {
		t.Errorf("without one: got %q", got.raw)
	}
	b.line(1) // a response is there before its line is
	nc := b.dial()
	nc.Write(encode(t, announced))
	nc.Close()
	if line := b.line(2); line["status"] != int64(499) {
		t.Errorf("logged %v, want 499 for a client that left", line)
	}
	if asked := b.Backends.Default.Stats()[0].Requests; asked != 2 {
		t.Errorf("the worker was asked %d times, want not for the client that left", asked)
	}
	if items := b.contents(); len(items) != 0 {
		t.Errorf("stored %v", items)
	}
}

// A page whose end only the stream shows is stored if it ends as pages do.
func TestAcceptUnframed(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
	for body, stored := range map[string]bool{"<html>hello</html>\n": true, "<html>hel": false} {
		b := newBench(t, func(g *Gateway) { g.Policy.AcceptUnframed = true }, says(head+body))
		if got := b.get("/"); got.body != body {
			t.Errorf("got %q", got.raw)
		}
		if _, ok := b.contents()["k:/"]; ok != stored {
			t.Errorf("%q stored: %v, want %v", body, ok, stored)
		}
	}
}

// Each header that hits lose is named once, with the lines that keep it.
func TestLostHeadersAreNamedOnce(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello", "X-Frame-Options: DENY")))
	for n := range 3 {
		b.get(fmt.Sprintf("/%d", n))
	}
	b.line(2)
	told := b.logs.FilterField(zap.String("header", "X-Frame-Options")).All()
	if len(told) != 1 || !strings.Contains(fmt.Sprint(told[0].ContextMap()["fix"]), `map $upstream_http_x_frame_options $hit_x_frame_options { "" "DENY"; }; beside memcached_pass: add_header X-Frame-Options $hit_x_frame_options;`) {
		t.Errorf("told %v, want once, with the fix", told)
	}
}

func TestExplain(t *testing.T) {
	b := newBench(t, nil, says(okPage("fresh", "Cache-Control: private, max-age=60", "Set-Cookie: a=b")))
	b.store.set("k:/p", item{body: "frosty", flags: "0"})
	vars := append(missed("/p"), uwsgi.Var{Name: "UWSGI_FILE", Value: "x"})
	e := b.Explain(t.Context(), vars)
	var reasons []string
	for _, f := range e.Policy.Refusals {
		reasons = append(reasons, string(f.Reason))
	}
	if got := strings.Join(reasons, " "); got != "set-cookie private" {
		t.Errorf("refusals %q, want both", got)
	}
	if e.Status != 200 || e.Wire != "k:/p" || len(e.Servers) != 1 || !slices.Contains(e.Dropped, "UWSGI_FILE") {
		t.Errorf("explained as %+v", e)
	}
	if e.Stored == nil || e.Stored.Same || !strings.Contains(e.Stored.Differs, "byte 2") {
		t.Errorf("stored copy %+v, want the difference at byte 2", e.Stored)
	}
	if it, _ := b.store.get("k:/p"); it.body != "frosty" {
		t.Errorf("explaining has changed the store: %+v", it)
	}
}

// An explanation asks the server that a visitor's request would be sent to, with the same
// vars.
func TestExplainAsksLikeAVisitor(t *testing.T) {
	for i := range 8 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			asked := make(chan string, 2)
			server := func(name string) script {
				return func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
					asked <- name + " " + fmt.Sprint(req.Vars)
					io.WriteString(nc, okPage("hello", "Cache-Control: no-store"))
				}
			}
			b := newBench(t, func(g *Gateway) {
				g.Backends.Default.Choice, g.AskToClose = backend.HashKey, true
			}, server("a"), server("b"))
			vars := missed("/" + strconv.Itoa(i))
			b.ask(vars, nil)
			visit := <-asked
			if !strings.Contains(visit, "HTTP_CONNECTION") {
				t.Errorf("the visitor's request does not ask to close: %s", visit)
			}
			b.Explain(t.Context(), vars)
			if got := <-asked; got != visit {
				t.Errorf("explained by %s, want %s", got, visit)
			}
		})
	}
}

func TestExplainWithoutAnAnswer(t *testing.T) {
	b := startBench(t, "unix", nil, "unix:"+filepath.Join(t.TempDir(), "gone.sock"))
	for name, tt := range map[string]struct {
		vars uwsgi.Vars
		want string
	}{
		"backend gone": {missed("/"), "no backend accepts connections"},
		"refused":      {missed("/", uwsgi.Var{Name: "CONTENT_LENGTH", Value: "1e1"}), "CONTENT_LENGTH"},
		"not safe":     {request("POST", "/"), "only GET and HEAD"},
	} {
		if e := b.Explain(t.Context(), tt.vars); !strings.Contains(e.Refused, tt.want) || e.Policy.Verdict.Store {
			t.Errorf("%s: refused %q, verdict %+v", name, e.Refused, e.Policy.Verdict)
		}
	}
}
