package warm

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/uwsgi"
)

// A site is nginx with a site behind it.
type site struct {
	*httptest.Server
	mu   sync.Mutex // guards got
	got  []string   // request targets
	most atomic.Int64
	now  atomic.Int64
}

func newSite(t *testing.T, handle http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.now.Add(-1)
		if n := s.now.Add(1); n > s.most.Load() {
			s.most.Store(n)
		}
		s.mu.Lock()
		s.got = append(s.got, r.RequestURI)
		s.mu.Unlock()
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// nginx returns what requests pages from the site, whatever host they have.
func (s *site) nginx(t *testing.T) *HTTP {
	t.Helper()
	h := &HTTP{Network: "tcp", Addr: s.Listener.Addr().String(), Agent: "uwgate-warm/test"}
	h.Open()
	t.Cleanup(h.Close)
	return h
}

func list(pages ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, p := range pages {
			if !yield("http://h"+p, nil) {
				return
			}
		}
	}
}

func some(n int) []string {
	var pages []string
	for i := range n {
		pages = append(pages, fmt.Sprintf("/%d", i))
	}
	return pages
}

const missed = "uwgate; fwd=uri-miss; fwd-status=200; "

// What became of each page is told by its status and by Cache-Status.
func TestVerdicts(t *testing.T) {
	for _, tt := range []struct {
		name, cacheStatus string
		status            int
		want              Verdict
		reason            string
	}{
		{"stored", missed + "stored; ttl=594; detail=default-ttl", 200, Stored, "default-ttl"},
		{"large", missed + "ttl=60; detail=s-maxage", 200, Stored, "s-maxage"},
		{"refused", missed + "detail=set-cookie", 200, NotStored, "set-cookie"},
		{"hit", "", 200, Hit, ""},
		{"hit of http", "uwgate; hit", 200, Hit, ""},
		{"found by the gateway", "uwgate; hit; ttl=9; detail=found", 200, Hit, "found"},
		{"not ours", "", 301, Passed, ""},
		{"of a CDN", "cdn; hit", 404, Passed, ""},
		{"behind a CDN", missed + `stored; ttl=5; detail=max-age, "CDN"; fwd=miss`, 200, Stored, "max-age"},
		{"missing", "uwgate; fwd=uri-miss; fwd-status=404; detail=status", 404, NotStored, "status"},
		{"broken", "uwgate; fwd=uri-miss; fwd-status=500; detail=status", 500, Failed, "status"},
		{"unreadable", "uwgate; ;;", 200, Hit, ""},
		{"too large a status", "", 999, Failed, ""},
	} {
		r := Result{Status: tt.status}
		var lines []string
		if tt.cacheStatus != "" {
			lines = []string{tt.cacheStatus}
		}
		if r.judge(lines); r.Verdict != tt.want || r.Reason != tt.reason {
			t.Errorf("%s: got %s %q, want %s %q", tt.name, r.Verdict, r.Reason, tt.want, tt.reason)
		}
	}
}

// A request is one of a visitor who is new, with the bytes of the URL.
func TestRequestIsAFreshVisitors(t *testing.T) {
	requests := make(chan string, 10)
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "nginx.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			in, head := bufio.NewReader(nc), ""
			for !strings.HasSuffix(head, "\r\n\r\n") {
				line, err := in.ReadString('\n')
				if err != nil {
					break
				}
				head += line
			}
			requests <- head
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nETag: \"x\"\r\nLast-Modified: Mon, 05 Jan 2026 00:00:00 GMT\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
			nc.Close()
		}
	}()
	h := &HTTP{Network: "unix", Addr: ln.Addr().String(), Agent: "uwgate-warm/1", Header: http.Header{"Accept-Language": {"de"}}}
	h.Open()
	defer h.Close()
	for _, tt := range []struct{ page, target string }{
		{"http://www.example.com/a%2Fb/%C3%A9?q=a%20b&r='%27", "/a%2Fb/%C3%A9?q=a%20b&r='%27"},
		{"http://www.example.com/a%2Fb/%C3%A9?", "/a%2Fb/%C3%A9?"},
		{"http://www.example.com//double//slash?x|y", "//double//slash?x|y"},
		{"http://www.example.com/|[]^", "/|[]^"},
		{"http://www.example.com/", "/"},
	} {
		r := h.Fetch(t.Context(), tt.page)
		if r.Err != nil || r.Status != 200 || r.Bytes != 1 {
			t.Fatalf("%s: got %+v", tt.page, r)
		}
		want := "GET " + tt.target + " HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: uwgate-warm/1\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n" +
			"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: de\r\n\r\n"
		if got := <-requests; got != want {
			t.Errorf("%s: got\n%swant\n%s", tt.page, got, want)
		}
	}
	if r := h.Fetch(t.Context(), "http://h/%zz"); r.Err == nil || !strings.Contains(r.Err.Error(), "nginx responds 400") {
		t.Errorf("of an invalid URL: got %v", r.Err)
	}
}

// No proxy of the environment, no redirect, and a certificate must be valid.
func TestTLS(t *testing.T) {
	ts := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }))
	ts.Config.ErrorLog = log.New(io.Discard, "", 0)
	defer ts.Close()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	for _, insecure := range []bool{false, true} {
		h := &HTTP{Network: "tcp", Addr: ts.Listener.Addr().String(), Insecure: insecure}
		h.Open()
		r := h.Fetch(t.Context(), "https://www.example.org/a")
		h.Close()
		if insecure != (r.Status == 302) || insecure != (r.Verdict == Passed) {
			t.Errorf("insecure %v: got %+v", insecure, r)
		}
	}
}

func TestRun(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/broken":
			w.WriteHeader(500)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "short")
		case "/missing":
			w.Header().Set("Cache-Status", "uwgate; fwd=uri-miss; fwd-status=404; detail=status")
			w.WriteHeader(404)
		case "/private":
			w.Header().Set("Cache-Status", missed+"detail=private")
		case "/hit":
			io.WriteString(w, "hit")
		default:
			w.Header().Set("Cache-Status", missed+"stored; ttl=600; detail=default-ttl")
		}
	})
	source := func(yield func(string, error) bool) {
		list("/1", "/2", "/hit", "/broken", "/private", "/cut", "/missing")(yield)
		yield("", errors.New("no such sitemap"))
	}
	known, each := 0, 0
	sum := (&Warmer{From: s.nginx(t), Each: func(Result) { each++ }, Known: func(n int) { known = n }}).Run(t.Context(), source)
	if sum.Pages != 7 || each != 7 || known != 7 || sum.Failed != 2 || sum.Unread != 1 || sum.Ended != "" {
		t.Errorf("got %+v", sum)
	}
	if Counts(sum.Stored) != "default-ttl 2" || Counts(sum.Reasons) != "private 1, status 1" || sum.Verdicts[Hit] != 1 || sum.Statuses[200] != 5 {
		t.Errorf("got %+v", sum)
	}
	if len(sum.Odd) != 1 || sum.Odd[0] != (Failure{"http://h/missing", 404, "404 Not Found"}) {
		t.Errorf("not found: %+v", sum.Odd)
	}
	slices.SortFunc(sum.Failures, func(a, b Failure) int { return cmp.Compare(a.Page, b.Page) })
	if f := sum.Failures; len(f) != 2 || f[0] != (Failure{"http://h/broken", 500, "500 Internal Server Error"}) || f[1].Page != "http://h/cut" || !strings.Contains(f[1].Error, "not complete") {
		t.Errorf("failures: %+v", f)
	}
	if err := sum.Err(); err == nil || err.Error() != "2 of 7 pages failed" {
		t.Errorf("got %v", err)
	}
}

// A page that is refused is asked for again, later, and at last it has failed.
func TestRefused(t *testing.T) {
	t.Parallel()
	var busy atomic.Int64
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" || busy.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}
	})
	sum := (&Warmer{From: s.nginx(t)}).Run(t.Context(), list("/once", "/never"))
	if sum.Failed != 1 || sum.Failures[0].Page != "http://h/never" || sum.Verdicts[Hit] != 1 || len(s.got) != 2+maxTries || sum.Yields != 1+maxTries-1 {
		t.Errorf("got %+v for %q", sum, s.got)
	}
}

// If the name of a site does not lead to nginx, the error says how to name nginx. With an
// address it does not.
func TestAdviceToConnect(t *testing.T) {
	for addr, want := range map[string]bool{"": true, "127.0.0.1:1": false} {
		h := &HTTP{Network: "tcp", Addr: addr}
		h.Open()
		if r := h.Fetch(t.Context(), "http://127.0.0.1:1/"); r.Err == nil || strings.Contains(r.Err.Error(), "--connect") != want {
			t.Errorf("%q: got %v", addr, r.Err)
		}
	}
}

// When nothing works, the rest is not tried.
func TestNothingWorks(t *testing.T) {
	h := &HTTP{Network: "tcp", Addr: "127.0.0.1:1"}
	h.Open()
	sum := (&Warmer{From: h, Concurrency: 4}).Run(t.Context(), list(some(1000)...))
	if sum.Failed < maxInRow || sum.Failed > maxInRow+4 || sum.Ended != errInRow.Error() || sum.Err() == nil {
		t.Errorf("got %+v", sum)
	}
}

// Ctrl-C ends the requests in flight; they have not failed.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/3" {
			cancel()
			<-r.Context().Done()
		}
	})
	blocked := make(chan struct{})
	defer close(blocked)
	source := func(yield func(string, error) bool) {
		list("/1", "/2", "/3")(yield)
		<-blocked // as a terminal is
	}
	sum := (&Warmer{From: s.nginx(t), Concurrency: 1}).Run(ctx, source)
	if sum.Pages != 2 || sum.Failed != 0 || sum.Ended != "interrupted" {
		t.Errorf("got %+v", sum)
	}
}

// Never are more requests under way than allowed, and visitors who wait go first.
func TestConcurrency(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Cache-Status", missed+"detail=private") })
	w := &Warmer{From: s.nginx(t), Concurrency: 3}
	if sum := w.Run(t.Context(), list(some(300)...)); sum.Pages != 300 || s.most.Load() > 3 {
		t.Errorf("%d at once; got %+v", s.most.Load(), sum)
	}
	if n := len(s.got); n != 300 {
		t.Errorf("%d requests", n)
	}
}

func TestTimeout(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	h := s.nginx(t)
	h.Timeout = 20 * time.Millisecond
	r := h.Fetch(t.Context(), "http://h/slow")
	if r.Verdict != Failed || r.Err != errSlow || r.Took < h.Timeout {
		t.Errorf("got %+v", r)
	}
}

// Sitemaps come over the same way; they are read from a file, and redirects stay on allowed
// hosts.
func TestOpenSitemap(t *testing.T) {
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved.xml":
			http.Redirect(w, r, "http://h/sitemap.xml", http.StatusMovedPermanently)
		case "/away.xml":
			http.Redirect(w, r, "http://evil.example/sitemap.xml", http.StatusMovedPermanently)
		case "/loop.xml":
			http.Redirect(w, r, "/loop.xml", http.StatusFound)
		case "/sitemap.xml":
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, zipped(urlset))
		default:
			w.WriteHeader(404)
		}
	})
	h, hosts := s.nginx(t), &Hosts{Globs: []string{"h"}}
	maps := &Sitemaps{Hosts: hosts, Open: func(ctx context.Context, location string) (io.ReadCloser, error) {
		return h.OpenSitemap(ctx, location, hosts)
	}}
	for _, tt := range []struct{ location, err string }{
		{"http://h/sitemap.xml", ""},
		{"http://h/moved.xml", ""},
		{"http://h/away.xml", "redirected to http://evil.example/sitemap.xml, another host"},
		{"http://h/loop.xml", "redirected too often"},
		{"http://h/none.xml", "the response is 404 Not Found"},
		{"/no/such/file", "no such file"},
	} {
		pages, errs := collect(t, maps, tt.location)
		if tt.err == "" && (len(pages) != 2 || len(errs) > 0) || tt.err != "" && (len(errs) != 1 || !strings.Contains(errs[0], tt.err)) {
			t.Errorf("%s: got %q, %q", tt.location, pages, errs)
		}
	}
	if slices.Contains(s.got, "http://evil.example/sitemap.xml") {
		t.Error("the other host was asked")
	}
}

// Over the uwsgi protocol a page is a packet and a response.
func TestUWSGI(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			req, err := uwsgi.ReadRequest(bufio.NewReader(nc))
			switch {
			case err != nil:
			case req.Vars.Get("REQUEST_URI") == "/cut":
				io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")
			case req.Vars.Get("REQUEST_URI") == "/silent":
			default:
				io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Status: "+missed+"stored; ttl=5; detail=max-age\r\n\r\nok")
			}
			nc.Close()
		}
	}()
	u := &UWSGI{Network: "tcp", Addr: ln.Addr().String(), Vars: func(page string) (uwsgi.Vars, error) {
		if page == "bad" {
			return nil, errors.New("no URL")
		}
		return uwsgi.Vars{{Name: "REQUEST_URI", Value: page}}, nil
	}}
	for page, want := range map[string]Verdict{"/a": Stored, "/cut": Failed, "/silent": Failed, "bad": Failed} {
		if r := u.Fetch(t.Context(), page); r.Verdict != want || (want == Failed) != (r.Err != nil) || want == Stored && (r.Bytes != 2 || r.Reason != "max-age") {
			t.Errorf("%s: got %+v", page, r)
		}
	}
	if r := u.Fetch(t.Context(), "/silent"); r.Err == nil || !strings.Contains(r.Err.Error(), "closed the connection; if it has --allow-user or --allow-peer, run the command as one of these") {
		t.Errorf("a gateway that does not accept the client: got %v", r.Err)
	}
}
