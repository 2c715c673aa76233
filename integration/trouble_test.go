package integration

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// Trouble with memcached does not change pages: they have the same status and body, no
// request waits for the store, and the metrics show the errors.
func TestMemcachedTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		args    []string // of memcached
		trouble func(*stack.Process) error
		path    string
		counter string // that must not stay 0
	}{
		{"stopped", nil, func(m *stack.Process) error { return m.Kill() }, "/clock?n=%d", "uwgate_store_errors_total"},
		{"hung", nil, (*stack.Process).Pause, "/clock?n=%d", "uwgate_store_errors_total"},
		// With two megabytes and without eviction it takes only a few pages.
		{"full", []string{"-m", "2", "-M"}, func(*stack.Process) error { return nil }, "/big?n=%d", "uwgate_store_refused_total"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// nginx and a memcached in trouble are not tested here: the test tells the
			// gateway that each page was looked up and missed.
			w := start(t, stack.Config{MemcachedArgs: tt.args, Args: []string{"--memcached-timeout", operation.String()}})
			pages := func(first, last int) {
				for n := first; n < last; n++ {
					p := w.miss(fmt.Sprintf(tt.path, n))
					if p.status != 200 || p.err != nil || !strings.Contains(p.body, "</html>") {
						t.Fatalf("page %d: %d %v", n, p.status, p.err)
					}
				}
			}
			const before = 10
			pages(0, before)
			w.settle()
			if err := tt.trouble(w.Memcached[0]); err != nil {
				t.Fatal(err)
			}
			pages(before, before+40)
			w.eventually(tt.counter, func() bool { return hasNonZero(w.metrics(), tt.counter) })
			w.noneWaited(before)
			if tt.name == "hung" {
				w.Memcached[0].Resume()
			}
		})
	}
}

// operation is the timeout of one operation of memcached here. It is longer than a busy
// machine delays a page.
const operation = 2 * time.Second

// noneWaited compares the durations of requests before and after the trouble begins. A
// request that waited for memcached would take longer by operation.
func (w *world) noneWaited(before int) {
	w.t.Helper()
	var slow int
	var usual float64
	lines := w.lines()
	for _, l := range lines[:before] {
		usual = max(usual, l.Took)
	}
	lines = lines[before:]
	for _, l := range lines {
		if l.Status >= 500 {
			w.t.Errorf("%s: %d", l.URI, l.Status)
		}
		if l.Took >= usual+operation.Seconds() {
			slow++
		}
	}
	// A busy machine may delay one or two requests. A store would delay all.
	if slow > len(lines)/4 {
		w.t.Errorf("%d of %d responses took as long as an operation of memcached", slow, len(lines))
	}
}

// The same through nginx: without memcached all pages still come.
func TestMemcachedStoppedThroughNginx(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{})
	if err := w.Memcached[0].Kill(); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		w.want(w.get(fmt.Sprintf("/clock?n=%d", n)), 200)
	}
	if err := w.Memcached[0].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := 100
	w.eventually("stored again", func() bool {
		n++
		w.want(w.get(fmt.Sprintf("/clock?n=%d", n)), 200)
		return w.items() > 0
	})
}

func TestBackendFaults(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{Args: []string{"--first-byte-timeout", "10s", "--queue-timeout", "1s"}})
	t.Run("worker dies in mid-answer", func(t *testing.T) {
		p := w.get("/faults/die")
		if p.status != 200 || p.err == nil || len(p.body) >= 20000 {
			t.Errorf("got %d, %d bytes, %v; want a page that visibly breaks off", p.status, len(p.body), p.err)
		}
		if l := w.line("/faults/die"); l.Reason != "truncated" || l.Verdict != "pass" {
			t.Errorf("logged %+v", l)
		}
	})
	t.Run("worker dies before it answers", func(t *testing.T) {
		if p := w.get("/faults/die-silent"); p.status != http.StatusBadGateway {
			t.Errorf("got %d, want 502", p.status)
		}
		if !strings.Contains(w.metrics(), "uwgate_backend_up{backend=\""+w.UWSGI.Addr+"\",pool=\"default\"} 1\n") {
			t.Error("the backend was ejected for what any request can cause")
		}
	})
	t.Run("hangs", func(t *testing.T) {
		if err := w.UWSGI.Pause(); err != nil {
			t.Fatal(err)
		}
		defer w.UWSGI.Resume()
		if p := w.get("/clock?hang=1"); p.status != http.StatusGatewayTimeout {
			t.Errorf("got %d, want 504", p.status)
		}
	})
	t.Run("stays away", func(t *testing.T) {
		w := &world{w.Stack, t}
		if err := w.UWSGI.Kill(); err != nil {
			t.Fatal(err)
		}
		p := w.get("/clock?refuse=1")
		if p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" {
			t.Errorf("got %d, Retry-After %q; want 503 with one", p.status, p.header.Get("Retry-After"))
		}
		if err := w.UWSGI.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.want(w.get("/clock?refuse=2"), 200)
	})
	w.settle()
	for _, key := range w.keys() {
		if strings.Contains(key, "faults") || strings.HasSuffix(key, "=1") {
			t.Errorf("memcached holds %q", key)
		}
	}
}

// One of two backends does not exist. No visitor notices.
func TestFailover(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]string{
		"unix": "unix:/nonexistent/app.sock",
		"tcp":  "127.0.0.1:1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{Args: []string{"--backend", gone}})
			for n := range 20 {
				w.want(w.get(fmt.Sprintf("/clock?n=%d", n)), 200)
			}
		})
	}
}

// A streamed response is passed on as it comes. (nginx may still buffer it.)
func TestStreamIsNotHeldBack(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{})
	nc, err := net.Dial("unix", strings.TrimPrefix(w.Uwgate.Addr, "unix:"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if err := (&uwsgi.Request{Vars: vars("GET", "/stream?n=2&pause=1")}).Write(nc); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(nc)
	for lines.Scan() && !strings.Contains(lines.Text(), "Rendering") {
	}
	if log := w.lines(); len(log) != 0 || lines.Err() != nil {
		t.Errorf("the first bytes came after the last: %+v, %v", log, lines.Err())
	}
}
