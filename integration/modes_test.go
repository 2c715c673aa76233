package integration

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// A GET may announce a body that does not come. memcached_pass drops the body. The
// printed configuration does not look up such a request, and nginx waits for the body
// by itself. Otherwise any client could occupy a worker for uWSGI's socket-timeout of
// four seconds.
func TestAnnouncedBodyHoldsNoWorker(t *testing.T) {
	for _, conf := range []string{"recommended", "recipe"} {
		t.Run(conf, func(t *testing.T) {
			a := startApp(t, stack.Config{Conf: conf, Workers: 1})
			for _, tt := range []struct{ name, line string }{
				{"length", "Content-Length: 100000"},
				{"chunks", "Transfer-Encoding: chunked"},
			} {
				t.Run(tt.name, func(t *testing.T) { a.in(t).isPromptBehind(tt.name, tt.line, conf == "recipe") })
			}
		})
	}
}

// isPromptBehind requests an ordinary page while five announced bodies do not come.
// passed: nginx passes these requests on at once, and does not wait for the bodies.
func (a *app) isPromptBehind(name, line string, passed bool) {
	a.t.Helper()
	const announced, held = 5, 4 * time.Second
	logged := len(a.lines())
	for i := range announced {
		nc, err := net.Dial("tcp", a.Nginx.Addr)
		if err != nil {
			a.t.Fatal(err)
		}
		defer nc.Close()
		fmt.Fprintf(nc, "GET /upload?%s%d HTTP/1.1\r\nHost: shop.example\r\n%s\r\n\r\n", name, i, line)
	}
	if passed {
		a.eventually("all with uwgate", func() bool {
			return a.metric("uwgate_requests_in_flight")+len(a.lines())-logged >= announced
		})
	}
	began := time.Now()
	ordinary := a.want(a.fetch("GET", "/fresh/default?"+name, ""), 200)
	if took := time.Since(began); took > held/2 || !strings.Contains(ordinary.body, "This is") {
		a.t.Errorf("an ordinary page took %v behind %d announced bodies: %.100q", took, announced, ordinary.body)
	}
	if passed {
		a.eventually("all answered", func() bool { return len(a.lines())-logged > announced })
	}
	a.wantKey(a.wireKey("/fresh/default?" + name))
	for _, l := range a.lines()[logged:] {
		if strings.HasPrefix(l.URI, "/upload") && (l.Status != 200 || l.Reason != "request-body" || a.has(a.wireKey(l.URI))) {
			a.t.Errorf("logged %+v, want 200 and request-body", l)
		}
	}
}

// metric returns a metric without labels.
func (w *world) metric(name string) int {
	w.t.Helper()
	for line := range strings.Lines(w.metrics()) {
		var n float64
		if _, err := fmt.Sscanf(line, name+" %g\n", &n); err == nil {
			return int(n)
		}
	}
	w.t.Fatalf("no metric %s", name)
	return 0
}

// With --accept-unframed html a page is complete if it ends in </html>.
func TestAcceptUnframed(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Args: []string{"--accept-unframed", "html"}})
	a.tries(t, []leak{
		{name: "worker gone", target: "/broken/dies-unframed",
			first: "X-Break: yes", shows: "This is half", reason: "no-length",
			wants: "This is whole.", then: "default-ttl",
			why: "it does not end in </html>"},
		{name: "text", target: "/broken/unframed.txt",
			first: "X-Break: yes", shows: "</html>", reason: "no-length",
			wants: "This is whole.", then: "content-type",
			why: "it is no HTML, whatever it ends in"},
		{name: "half by its length", target: "/broken/short",
			first: "X-Break: yes", shows: "This is half", reason: "truncated",
			wants: "This is whole.", then: "default-ttl",
			why: "a framing that is there counts"},
		{name: "token", target: "/broken/unframed-form",
			first: "X-Break: yes", shows: "csrfmiddlewaretoken", reason: "sentinel",
			wants: "This is whole.", then: "default-ttl",
			why: "all else is as ever"},
	}, []replay{
		{name: "whole", target: "/broken/unframed", first: "X-Break: yes", shows: "This ends somewhere."},
	})
}

// With --observe uwgate decides, logs and counts, and writes nothing to memcached.
func TestObserve(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Args: []string{"--observe"}})
	const old = "what lies there"
	a.put(a.wireKey("/any/changed"), old)
	entries := a.writes()
	for _, tt := range []struct{ target, lines, reason string }{
		{"/fresh/s-maxage", "", "s-maxage"},
		{"/fresh/s-maxage", "", "s-maxage"},
		{"/fresh/default", "", "default-ttl"},
		{"/private", "", "private"},
		{"/theme", "Cookie: theme=dark", "cookie"},
		{"/form/csrf_token", "", "sentinel"},
	} {
		v := a.visit("GET", tt.target, tt.lines)
		if v.status != 200 || v.copy() == "" && tt.reason != "sentinel" {
			t.Errorf("%s: got %d %.300q", tt.target, v.status, v.body)
		}
		if want := []string{"pass", "observe"}[stores(tt.reason)]; v.reason() != tt.reason || v.logged[0].Verdict != want {
			t.Errorf("%s: logged %+v, want %s, %s", tt.target, v.logged, want, tt.reason)
		}
		if v.written != 0 || strings.Contains(v.header.Get("Cache-Status"), "stored") {
			t.Errorf("%s: %d entries written, Cache-Status %q", tt.target, v.written, v.header.Get("Cache-Status"))
		}
	}
	a.want(a.fetch("POST", "/any/changed", ""), 200)
	if p := a.want(a.fetch("GET", "/any/changed", ""), 200); p.body != old {
		t.Errorf("after a POST memcached has %q, want %q", p.body, old)
	}
	if n := a.writes(); n != entries {
		t.Errorf("%d entries written, want none", n-entries)
	}
	for _, want := range []string{`reason="s-maxage"} 2`, `reason="default-ttl"} 1`, `reason="private"} 1`, `reason="sentinel"} 1`, "uwgate_observed_total 3\n"} {
		if !strings.Contains(a.metrics(), want) {
			t.Errorf("no %s among the metrics", want)
		}
	}
}

// put stores an entry without uwgate.
func (w *world) put(key, value string) {
	w.t.Helper()
	nc, err := net.Dial("tcp", w.Memcached[0].Addr)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "set %s 0 600 %d\r\n%s\r\nquit\r\n", key, len(value), value)
	if reply, err := io.ReadAll(nc); err != nil || string(reply) != "STORED\r\n" {
		w.t.Fatalf("set %s: %q, %v", key, reply, err)
	}
}
