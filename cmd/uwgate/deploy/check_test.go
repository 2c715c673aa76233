package deploy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// startWorker runs a worker that responds as respond says, to the n'th request of all.
// "" closes the connection.
func startWorker(t *testing.T, respond func(v uwsgi.Vars, n int) string) *Worker {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "w.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var count atomic.Int64
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				if req, err := uwsgi.ReadRequest(bufio.NewReader(nc)); err == nil {
					io.WriteString(nc, respond(req.Vars, int(count.Add(1))))
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		all.Wait()
	})
	pool, err := backend.NewPool("unix:" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &Worker{Name: "new", Pool: pool}
}

func html(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func parsed(t *testing.T, text string) *Response {
	t.Helper()
	r, err := read(bufio.NewReader(strings.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func page(uri string) Page {
	return Page{URL: "http://h" + uri, Vars: uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: uri}}}
}

const lines = "<html>\n<p>first line</p>\n<p>second line</p>\n<p>third line</p>\n"

// What becomes of a page that is stored as one text, and of which the workers respond others.
func TestOutcomes(t *testing.T) {
	noisy := func(n int) string { return html(lines + fmt.Sprintf("<p>visitor number %d</p>\n", n)) }
	for _, tt := range []struct {
		name, stored string
		fresh        func(n int) string
		now          string // of the current workers; "": not known
		want         Outcome
		what         string
		diff         []string
	}{
		{name: "the same bytes", stored: html(lines), fresh: func(int) string { return html(lines) }, want: Same},
		{name: "a clock", stored: html(lines + "12:00:01"), fresh: func(int) string { return html(lines + "23:59:59") }, want: Same},
		{name: "noise", stored: noisy(77), fresh: noisy, want: Same},
		{name: "noise alone", stored: html("a"), fresh: func(n int) string { return html(strings.Repeat(fmt.Sprint(n), 9)) }, want: Changed, what: "most of it differs between two requests"},
		{name: "a change", stored: html(lines), fresh: func(int) string { return html(strings.Replace(lines, "second", "other", 1)) }, want: Changed,
			diff: []string{"- <p>second line</p>", "+ <p>other line</p>"}},
		{name: "a change in noise", stored: noisy(77), fresh: func(n int) string { return strings.Replace(noisy(n+10), "second line", "another one", 1) }, want: Changed,
			diff: []string{"- <p>second line</p>", "+ <p>another one</p>"}},
		{name: "static files", stored: html(lines + "a.0123456789ab.css"), fresh: func(int) string { return html(lines + "a.ba9876543210.css") }, want: Assets},
		{name: "content that has changed", stored: html(lines), fresh: func(int) string { return html(lines + "news") }, now: html(lines + "news"), want: Outdated},
		{name: "content that has changed otherwise", stored: html(lines), fresh: func(int) string { return html(lines + "bug") }, now: html(lines + "news"), want: Changed, diff: []string{"- ", "+ bug"}},
		{name: "content and static files", stored: html(lines), fresh: func(int) string { return html(lines + "news a.ba9876543210.css") }, now: html(lines + "news a.0123456789ab.css"), want: Assets},
		{name: "an error", stored: html(lines), fresh: func(int) string { return "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n" }, want: Failing, what: "status 500 Internal Server Error, 200 is stored"},
		{name: "not found", stored: html(lines), fresh: func(int) string { return "Status: 404 Not Found\r\n\r\n" }, want: Failing, what: "status 404 Not Found, 200 is stored"},
		{name: "a stored error", stored: "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\nno", fresh: func(int) string { return "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\nno" }, want: Same},
		{name: "a redirect", stored: html(lines), fresh: func(int) string { return "HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n" }, want: Changed, what: "status 302 Found to /login, 200 is stored"},
		{name: "to another place", stored: "HTTP/1.1 301 M\r\nLocation: /a\r\n\r\n", fresh: func(int) string { return "HTTP/1.1 301 M\r\nLocation: /b\r\n\r\n" }, want: Changed, what: "Location: /b, /a is stored"},
		{name: "another type", stored: html("{}"), fresh: func(int) string { return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}" }, want: Changed, what: "Content-Type: application/json, text/html is stored"},
		{name: "binary", stored: html("a\x00b"), fresh: func(int) string { return html("a\x00bc") }, want: Changed, what: "4 bytes, 3 are stored"},
		{name: "no response", stored: html(lines), fresh: func(int) string { return "" }, want: Failing, what: "closed the connection without a response"},
		{name: "half a response", stored: html(lines), fresh: func(int) string { return html(lines)[:80] }, want: Failing, what: "not complete"},
		{name: "no HTTP", stored: html(lines), fresh: func(int) string { return "Traceback\n\n" }, want: Failing, what: "read the response"},
		{name: "every other time", stored: html("x"), fresh: func(n int) string {
			if n == 2 {
				return "HTTP/1.1 502 Bad Gateway\r\n\r\n"
			}
			return html("y")
		}, want: Failing, what: "the second of two requests failed: status 502 Bad Gateway"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Check{
				Mask:    NewMask(),
				Workers: []*Worker{startWorker(t, func(_ uwsgi.Vars, n int) string { return tt.fresh(n) })},
				Stored:  func(context.Context, Page) (*Response, error) { return parsed(t, tt.stored), nil },
			}
			if tt.now != "" {
				current := startWorker(t, func(uwsgi.Vars, int) string { return tt.now })
				c.Current = func(Page) *Worker { return current }
			}
			var got Result
			c.Each = func(r Result) { got = r }
			s := c.Run(t.Context(), []Page{page("/")})
			if got.Outcome != tt.want || !strings.Contains(got.What, tt.what) || (tt.what == "") != (got.What == "") {
				t.Errorf("got %+v, want %s %q", got, tt.want, tt.what)
			}
			if !slices.Equal(got.Diff, tt.diff) {
				t.Errorf("got %q, want %q", got.Diff, tt.diff)
			}
			if s.Outcomes[tt.want] != 1 || (s.Err(true) == nil) != (tt.want != Failing && tt.want != Changed) || (s.Err(false) == nil) != (tt.want != Failing) {
				t.Errorf("got %+v, %v", s, s.Err(true))
			}
		})
	}
}

// Each worker gets pages, and each page comes with the vars of the pool.
func TestSpread(t *testing.T) {
	var mu sync.Mutex
	got := map[string][]string{}
	worker := func(name string) *Worker {
		w := startWorker(t, func(v uwsgi.Vars, _ int) string {
			mu.Lock()
			defer mu.Unlock()
			got[name] = append(got[name], v.Get("REQUEST_URI")+" "+v.Get("SCRIPT_NAME")+v.Get("HTTP_CONNECTION"))
			return html(lines)
		})
		w.Name = name
		return w
	}
	a, b, c := worker("a"), worker("b"), worker("c")
	a.Pool.SetVars = uwsgi.Vars{{Name: "SCRIPT_NAME", Value: "/app"}}
	b.AskToClose = true
	check := &Check{Workers: []*Worker{a, b, c}, Mask: NewMask(), Stored: func(context.Context, Page) (*Response, error) { return parsed(t, html(lines)), nil }}
	if s := check.Run(t.Context(), []Page{page("/1"), page("/2")}); s.Outcomes[Same] != 3 {
		t.Errorf("got %+v", s)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := map[string][]string{"a": {"/1 /app"}, "b": {"/2 close"}, "c": {"/1 "}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q", got)
	}
}

// A page that went away meanwhile, and pages that would not be stored.
func TestGoneAndUnstored(t *testing.T) {
	c := &Check{
		Mask:    NewMask(),
		Workers: []*Worker{startWorker(t, func(uwsgi.Vars, int) string { return html(lines) })},
		Stored: func(_ context.Context, p Page) (*Response, error) {
			switch p.URL {
			case "http://h/gone":
				return nil, nil
			case "http://h/unread":
				return nil, errors.New("memcached is down")
			}
			return parsed(t, html(lines)), nil
		},
		Judge: func(p Page, _ *Response) string { return strings.TrimPrefix(p.URL, "http://h/") },
	}
	s := c.Run(t.Context(), []Page{page("/gone"), page("/unread"), page("/set-cookie"), page("/")})
	if s.Pages != 2 || s.Outcomes[Gone] != 2 || s.Outcomes[Same] != 2 || s.Unstored["set-cookie"] != 1 || len(s.Unstored) != 1 || len(s.Results) != 3 || s.Err(true) != nil {
		t.Errorf("got %+v", s)
	}
	if s := c.Run(t.Context(), nil); s.Err(false) == nil {
		t.Error("nothing was compared, and that is well")
	}
}

func TestCheckIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &Check{
		Mask:        NewMask(),
		Concurrency: 1,
		Workers: []*Worker{startWorker(t, func(v uwsgi.Vars, n int) string {
			if n == 3 {
				cancel()
				return "" // and not a failure
			}
			return html(lines)
		})},
		Stored: func(context.Context, Page) (*Response, error) { return parsed(t, html(lines)), nil },
	}
	s := c.Run(ctx, []Page{page("/1"), page("/2"), page("/3"), page("/4"), page("/5")})
	if s.Pages != 2 || !s.Interrupted || s.Outcomes[Failing] != 0 || s.Err(false) == nil {
		t.Errorf("got %+v", s)
	}
}

func TestWorkerTimeout(t *testing.T) {
	end := make(chan struct{})
	w := startWorker(t, func(uwsgi.Vars, int) string {
		<-end
		return ""
	})
	defer close(end)
	w.Timeout = 20 * time.Millisecond
	if _, err := w.Fetch(t.Context(), page("/").Vars); err != errTimeout {
		t.Errorf("got %v", err)
	}
}
