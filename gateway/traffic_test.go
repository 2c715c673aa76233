package gateway

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/tally"
	"uwgate/uwsgi"
)

// What requests have cost is counted by host and reason, with what one of them shows, and
// the slowest are kept.
func TestSavings(t *testing.T) {
	slow := func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		if req.Vars.Get("PATH_INFO") == "/slow" {
			<-time.After(30 * time.Millisecond)
		}
		nc.Write([]byte(okPage("hello")))
	}
	b := newBench(t, nil, slow)
	cookie := uwsgi.Var{Name: "HTTP_COOKIE", Value: "theme=dark"}
	b.get("/slow", cookie)
	eventually(t, "the first is the example", func() bool { return b.access.Len() == 1 && b.Stats().Requests.InFlight == 0 })
	b.get("/b", cookie)
	b.get("/c")
	eventually(t, "they are over", func() bool { return b.access.Len() == 3 && b.Stats().Requests.InFlight == 0 })
	all := b.Savings()
	i := slices.IndexFunc(all, func(s Saving) bool { return s.Reason == policy.Cookie })
	if i != 0 || len(all) != 2 {
		t.Fatalf("got %+v", all)
	}
	s := all[0]
	if s.Host != "example.com" || s.Requests != 2 || s.Seconds < 0.03 || s.Seconds > 60 || s.Bytes != 10 || s.Stored ||
		!strings.Contains(s.Detail, "theme") || s.Name != "theme" || strings.Contains(s.Detail, "dark") || s.URL != "example.com/slow" {
		t.Errorf("got %+v", s)
	}
	if s := all[1]; s.Reason != policy.DefaultTTL || !s.Stored || s.Requests != 1 {
		t.Errorf("got %+v", s)
	}
	slowest := b.Slowest()
	if len(slowest) != 3 || slowest[0].URI != "/slow" || slowest[0].FirstByte < 0.03 || slowest[0].Took < slowest[0].FirstByte || slowest[0].Reason != policy.Cookie {
		t.Errorf("the slowest are %+v", slowest)
	}
	if r := b.Stats().Requests; r.Verdicts["store"] != 1 || r.Verdicts["pass"] != 2 || r.FirstByte.Count != 3 || r.Queued.Count != 0 {
		t.Errorf("stats %+v", r)
	}
}

// Clients cannot fill the memory with hosts that they make up.
func TestMadeUpHosts(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello")))
	for i := range 150 {
		host := fmt.Sprintf("h%d.example.com", i)
		b.ask(request("GET", "/", uwsgi.Var{Name: "HTTP_HOST", Value: host}), nil)
	}
	b.line(149)
	hosts := map[string]uint64{}
	for _, s := range b.Savings() {
		hosts[s.Host] += s.Requests
	}
	if len(hosts) != 101 || hosts[tally.Other] != 50 {
		t.Errorf("%d hosts, and %d requests of others", len(hosts), hosts[tally.Other])
	}
}

// The access line names the client, the request and its trace; the worker does not get the
// id that is handed over, and gets the others.
func TestNamesOfARequest(t *testing.T) {
	got := make(chan uwsgi.Vars, 1)
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		got <- req.Vars
		nc.Write([]byte(okPage("hello")))
	})
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b.get("/p", uwsgi.Var{Name: "REMOTE_ADDR", Value: "192.0.2.7"}, uwsgi.Var{Name: "CACHE_REQUEST_ID", Value: "4f1f6d8b"}, uwsgi.Var{Name: "HTTP_TRACEPARENT", Value: trace})
	line := b.line(0)
	for name, want := range map[string]any{"host": "example.com", "client": "192.0.2.7", "request_id": "4f1f6d8b", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "pool": "default"} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
	if first, took := line["first_byte"].(time.Duration), line["took"].(time.Duration); first <= 0 || first > took {
		t.Errorf("the first byte after %v of %v", first, took)
	}
	if v := <-got; v.Count("CACHE_REQUEST_ID") != 0 || v.Get("HTTP_TRACEPARENT") != trace {
		t.Errorf("the worker got %v", v)
	}
}

func TestTraceOf(t *testing.T) {
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for parent, want := range map[string]string{
		"00-" + id + "-00f067aa0ba902b7-01":                       id,
		"cc-" + id + "-00f067aa0ba902b7-01-what-the-future":       id,
		"00-" + strings.ToUpper(id) + "-00f067aa0ba902b7-01":      "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-" + id: "",
		"":         "",
		"00-4bf92f3577b34da6a3ce929d0e0e473\"-00f067aa0ba902b7-01": "",
	} {
		if got := traceOf(parent); got != want {
			t.Errorf("%q: got %q, want %q", parent, got, want)
		}
	}
}

// The time in the queue is that of the request that waited.
func TestQueuedTime(t *testing.T) {
	w := newGate(alike(okPage("hello")))
	b := startBench(t, "unix", nil, startWorker(t, w.play)+" max-conns=1")
	first := make(chan struct{})
	go func() { defer close(first); b.get("/first") }()
	eventually(t, "the worker is busy", func() bool { return w.asked.Load() == 1 })
	second := make(chan struct{})
	go func() { defer close(second); b.get("/second") }()
	eventually(t, "one waits", func() bool { return b.Backends.Default.PoolStats().Waiting == 1 })
	close(w.open)
	<-first
	<-second
	eventually(t, "both are over", func() bool { return b.access.Len() == 2 })
	queued := map[any]time.Duration{}
	for n := range 2 {
		queued[b.line(n)["uri"]] = b.line(n)["queued"].(time.Duration)
	}
	if queued["/first"] != 0 || queued["/second"] <= 0 {
		t.Errorf("queued %v", queued)
	}
	if s := b.Backends.Default.PoolStats(); s.Requests != 2 || s.Queued != 1 {
		t.Errorf("pool %+v", s)
	}
}
