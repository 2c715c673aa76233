package integration

import (
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// startRelay runs the application of testdata/relay.
func startRelay(t *testing.T, cfg stack.Config) *app {
	t.Helper()
	cfg.App = "testdata/relay"
	w := start(t, cfg)
	return &app{w, w.AccessReader()}
}

// A request for a range, or with a precondition, gets the response of the application.
// The page is stored by requests for all of it.
func TestRangesAndPreconditions(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{})
	for i, tt := range []struct {
		lines  string
		status int
		body   string
		reason string
	}{
		{"Range: bytes=0-1", 206, "01", "range"},
		{"Range: bytes=8-", 206, "89", "range"},
		{"Range: bytes=10-", 416, "", "range"},
		{"Range: bytes=0-1\nIf-Range: \"v1\"", 206, "01", "range"},
		{"Range: bytes=0-1\nIf-Range: \"v0\"", 200, "0123456789", "range"},
		{"Range: bytes=0-1\nIf-None-Match: \"v0\"", 206, "01", "range"},
		{"If-Range: \"v1\"", 200, "0123456789", "range"},
		{"If-Match: \"nope\"", 412, "", "precondition"},
		{"If-Match: \"v1\"", 200, "0123456789", "precondition"},
		{"If-Match: *", 200, "0123456789", "precondition"},
		{"If-Match: \"v1\"\nRange: bytes=4-5", 206, "45", "range"},
		{"If-Unmodified-Since: Fri, 31 Dec 2021 23:59:59 GMT", 412, "", "precondition"},
		{"If-Unmodified-Since: Sat, 01 Jan 2022 00:00:00 GMT", 200, "0123456789", "precondition"},
	} {
		v := a.visit("GET", "/part?"+strconv.Itoa(i), tt.lines)
		if v.status != tt.status || v.body != tt.body || v.reason() != tt.reason || v.written != 0 {
			t.Errorf("%q: got %d %q, %s, stored %d; want %d %q, %s, nothing stored", tt.lines, v.status, v.body, v.reason(), v.written, tt.status, tt.body, tt.reason)
		}
	}
	if v := a.visit("GET", "/part", ""); v.status != 200 || v.body != "0123456789" || v.reason() != "default-ttl" || v.written != 1 {
		t.Errorf("the whole page: got %d %q, %s, stored %d", v.status, v.body, v.reason(), v.written)
	}
	if v := a.visit("GET", "/part", ""); v.reason() != "hit" || v.body != "0123456789" {
		t.Errorf("the second visitor: got %d %q, %s", v.status, v.body, v.reason())
	}
	if v := a.visit("GET", "/part?changed", `If-None-Match: "v1"`); v.status != 304 || v.written != 1 {
		t.Errorf("who has the page: got %d, stored %d; want 304, and the page stored", v.status, v.written)
	}
}

// If nginx's configuration sets a uwsgi_param twice, the last value counts, and the
// page is not stored. Equal values count as one: the page is stored, under a key with
// the host and the language, which covers Vary.
func TestRepeatedParams(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{Conf: "testdata/relay/nginx.conf", Args: []string{"--key", "$scheme://$host$request_uri:$http_accept_language"}})
	for _, tt := range []struct{ target, lines, body, reason, second string }{
		{"/override/path", "", "PATH_INFO=/environ\nHTTP_HOST=127.0.0.1\n", "duplicate-header", "duplicate-header"},
		{"/hosts", "Host: Shop.test:8080", "PATH_INFO=/environ\nHTTP_HOST=Shop.test:8080\nTENANT=another\n", "duplicate-header", "duplicate-header"},
		{"/environ", "Accept-Language: de", "PATH_INFO=/environ\nHTTP_HOST=127.0.0.1\nHTTP_ACCEPT_LANGUAGE=de\n", "default-ttl", "hit"},
		{"/environ", "Accept-Language: fr", "PATH_INFO=/environ\nHTTP_HOST=127.0.0.1\nHTTP_ACCEPT_LANGUAGE=fr\n", "default-ttl", "hit"},
	} {
		for _, reason := range []string{tt.reason, tt.second} {
			if v := a.visit("GET", tt.target, tt.lines); v.status != 200 || v.body != tt.body || v.reason() != reason {
				t.Errorf("%s with %q: got %d %q, %s; want 200 %q, %s", tt.target, tt.lines, v.status, v.body, v.reason(), tt.body, reason)
			}
		}
	}
	if log := a.Uwgate.Log(); strings.Count(log, "nginx sends PATH_INFO more than once") != 1 {
		t.Error("the log does not name PATH_INFO exactly once")
	}
}

// A page is refreshed although nginx sends the same host twice.
func TestRefreshWithRepeatedParams(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{Conf: "testdata/relay/nginx.conf", Args: []string{
		"--key", "$scheme://$host$request_uri:$http_accept_language", "--refresh-ahead", "--ttl", "5s", "--jitter", "0",
	}})
	a.want(a.get("/environ"), 200)
	a.eventually("the page refreshed", func() bool {
		a.want(a.get("/environ"), 200)
		return strings.Contains(a.accessLog(), `"refresh"`)
	})
}

// Each status of a worker is passed on, also those without a meaning.
func TestStatuses(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{Conf: "testdata/relay/nginx.conf"})
	for _, status := range []int{200, 201, 206, 299, 302, 304, 404, 418, 451, 499, 500, 505, 511, 599, 600, 699, 777, 900, 999} {
		path := "/status?code=" + strconv.Itoa(status)
		direct := a.visit("GET", "/direct"+path, "")
		v := a.visit("GET", path, "")
		if v.status != status || v.err != nil || v.status != direct.status || v.body != direct.body {
			t.Errorf("%d: got %d %q, %v, and %d %q directly", status, v.status, v.body, v.err, direct.status, direct.body)
		}
		if stored := v.written == 1; stored != (status == 200) {
			t.Errorf("%d: stored is %v", status, stored)
		}
		if status != 200 && !strings.Contains(a.metrics(), `uwgate_requests_total{status="`+strconv.Itoa(status)+`"`) {
			t.Errorf("%d is not counted", status)
		}
	}
}

// With nginx's uwsgi_modifier1 a page is still served and stored.
func TestModifierOfNginx(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{Conf: "testdata/relay/nginx.conf", Args: []string{"--key", "$scheme://$host$request_uri"}})
	if v := a.visit("GET", "/php?code=200", ""); v.status != 200 || v.body != "200" || v.reason() != "default-ttl" || v.written != 1 {
		t.Errorf("got %d %q, %s, stored %d", v.status, v.body, v.reason(), v.written)
	}
	if log := a.Uwgate.Log(); strings.Count(log, "--modifier1 14") != 1 {
		t.Error("the log does not name --modifier1 14 once")
	}
}

// nginx accepts each head from uwgate that it accepts from the worker: the lines that
// uwgate adds do not make it too large. That holds for the default buffer and for
// larger ones.
func TestLargeHeads(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{Conf: "testdata/relay/nginx.conf", Args: []string{"--key", "$scheme://$host$request_uri"}})
	for where, page := range map[string]int{"": os.Getpagesize(), "/5k": 5 << 10, "/8k": 8 << 10} {
		var taken, refused int
		for size := page - 200; size < page+20; size++ {
			path := where + "/head?size=" + strconv.Itoa(size)
			direct := a.fetch("GET", "/direct"+path, "")
			got := a.fetch("GET", path, "")
			if direct.err != nil {
				t.Logf("%s: nginx breaks off what comes directly: %v", path, direct.err)
				continue
			}
			if got.status != direct.status || got.err != nil || direct.status == 200 && (got.body != "hello" || got.header.Get("X-Fill") != direct.header.Get("X-Fill")) {
				t.Errorf("%s: got %d %q, %v, and %d directly", path, got.status, got.body, got.err, direct.status)
			}
			if direct.status == 200 {
				taken++
			} else {
				refused++
			}
		}
		if taken < 60 || refused == 0 {
			t.Errorf("%q: nginx takes %d heads directly and refuses %d; the sizes are wrong", where, taken, refused)
		}
	}
}

// Subrequests that announce the visitor's body and do not send it get responses, and
// the page itself gets the body.
func TestAnnouncedBodiesOfSubrequests(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{Conf: "testdata/relay/nginx.conf"})
	body := strings.Repeat("b", 20_000)
	for _, tt := range []struct{ path, want string }{
		{"/guarded/length", "POST 20000 20000"},
		{"/told/length", "POST 20000 20000"},
		{"/mirrored/length", "POST 20000 20000"},
		{"/bodiless/announced", "POST 20000"},
	} {
		start := time.Now()
		if p := a.want(a.do("POST", tt.path, strings.NewReader(body)), 200); p.body != tt.want {
			t.Errorf("%s: got %q, want %q", tt.path, p.body, tt.want)
		}
		if took := time.Since(start); took > 10*time.Second || tt.path == "/told/length" && took > 900*time.Millisecond {
			t.Errorf("%s took %v", tt.path, took)
		}
		if p := a.want(a.get(tt.path), 200); !strings.HasPrefix(p.body, "GET ") {
			t.Errorf("%s: GET got %q", tt.path, p.body)
		}
	}
	a.eventually("responses of the mirror", func() bool { return strings.Count(a.accessLog(), `"uri":"/mirrored/length","status":200`) >= 4 })
}

// A page may depend on the body of a GET. So the printed configuration does not look up
// such a request, and the application gets the body.
func TestGetsWithBodies(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			a := startRelay(t, stack.Config{Format: format})
			for range 2 {
				for _, tt := range []struct {
					body io.Reader
					want string
				}{
					{strings.NewReader("q"), "GET 1 1"},
					{strings.NewReader(strings.Repeat("q", 200_000)), "GET 200000 200000"},
					{io.MultiReader(strings.NewReader("chunked")), "GET 7 7"},
					{nil, "GET  0"},
				} {
					if p := a.want(a.do("GET", "/length", tt.body), 200); p.body != tt.want {
						t.Errorf("got %q, want %q", p.body, tt.want)
					}
				}
				a.settle()
			}
			a.visit("GET", "/part", "") // what is logged of those above is read
			if v := a.visit("GET", "/length", "Content-Length: 0"); v.reason() != "hit" || v.body != "GET  0" {
				t.Errorf("without a body: got %q, %s, want a hit", v.body, v.reason())
			}
		})
	}
}

// The default_type and the charset of the printed configuration are for hits. Responses
// of the application keep their Content-Type for all visitors.
func TestContentTypeIsTheApplications(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{})
	for _, typ := range []string{"text/html", "text/plain", "text/xml", "application/javascript", "text/html; charset=iso-8859-1"} {
		for _, lines := range []string{"", "Cookie: sessionid=1", "Cookie: theme=dark", "Authorization: Basic YTpi", "X-Requested-With: fetch"} {
			v := a.visit("GET", "/untold?type="+url.QueryEscape(typ)+"&"+url.QueryEscape(lines), lines)
			if got := v.header.Get("Content-Type"); v.status != 200 || got != typ {
				t.Errorf("%q with %q: got %d %q", typ, lines, v.status, got)
			}
		}
	}
}

// A slow visitor gets the whole page, even if it does not fit into nginx's temporary
// file and nginx does not read for a long time.
func TestSlowVisitor(t *testing.T) {
	t.Parallel()
	a := startRelay(t, stack.Config{Conf: "testdata/relay/nginx.conf", Args: []string{"--idle-timeout", "1s"}})
	nc, err := net.Dial("tcp", a.Nginx.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.(*net.TCPConn).SetReadBuffer(64 << 10)
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, "GET /large?mib=24 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	<-time.After(3 * time.Second) // the pause is the subject
	if p := readPage(nc, "GET"); p.status != 200 || len(p.body) != 24<<20 || p.err != nil {
		t.Errorf("got %d with %d bytes, %v", p.status, len(p.body), p.err)
	}
	if l := a.line("/large?mib=24"); l.Status != 200 || strings.Contains(a.accessLog(), `"error"`) {
		t.Errorf("the log says %+v", l)
	}
}

// accessLog returns the text of uwgate's access log.
func (a *app) accessLog() string {
	b, err := os.ReadFile(a.AccessLog)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(b)
}
