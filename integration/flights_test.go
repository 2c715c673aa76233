package integration

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// longWait is a --coalesce-wait that does not expire in a test.
var longWait = []string{"--coalesce-wait", (2 * patience).String()}

// unhurried also gives memcached all the time it needs. Else a follower that does not
// learn in time whether a page was stored fetches it again.
var unhurried = append([]string{"--memcached-timeout", patience.String()}, longWait...)

// startFlights runs the application of testdata/flights with workers for a small crowd.
// If cfg has no Args, requests wait for each other for a long time.
func startFlights(t *testing.T, cfg stack.Config) *world {
	t.Helper()
	cfg.App, cfg.Workers = filepath.Join("testdata", "flights"), 12
	if cfg.Args == nil {
		cfg.Args = longWait
	}
	return start(t, cfg)
}

// open releases the pages that wait, and later ones do not wait.
func (w *world) open() { w.write("open", "") }

// shut makes later pages wait again.
func (w *world) shut() {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.Dir, "site", "open")); err != nil {
		w.t.Fatal(err)
	}
}

// sum adds up the samples of a metric, whatever their labels are.
func sum(metrics, name string) (n int) {
	for line := range strings.Lines(metrics) {
		rest, found := strings.CutPrefix(line, name)
		if !found || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		var v float64
		fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v)
		n += int(v)
	}
	return n
}

// atWorkers waits until workers have that many requests.
func (w *world) atWorkers(n int) {
	w.t.Helper()
	w.eventually(fmt.Sprint(n, " requests with workers"), func() bool { return sum(w.metrics(), "uwgate_backend_requests_in_flight") == n })
}

// gathered waits until that many requests are in flight and that many of them follow a
// flight. The first condition alone is not enough: uwgate may not have read all
// requests in flight.
func (w *world) gathered(requests, followers int) {
	w.t.Helper()
	w.eventually(fmt.Sprint(requests, " requests, of which ", followers, " follow"), func() bool {
		m := w.metrics()
		return sum(m, "uwgate_requests_in_flight") == requests && sum(m, "uwgate_flight_followers") == followers
	})
}

// wantAll checks that all visitors got the same page.
func (c crowd) wantAll(t *testing.T, body string) {
	t.Helper()
	for i, p := range c.pages {
		if p.status != 200 || p.body != body || p.err != nil {
			t.Errorf("visitor %d got %d %q, %v; want %q", i, p.status, p.body, p.err, body)
		}
	}
}

// A visitor with an unknown cookie comes first, then a crowd without cookies. The
// workers get one request for the visitor and one for the crowd, and the page of the
// crowd is stored. The same happens again after the page is deleted.
func TestCrowdBehindACookie(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"recommended", "recipe"} {
		t.Run(conf, func(t *testing.T) {
			t.Parallel()
			w := startFlights(t, stack.Config{Conf: conf, Args: unhurried})
			for round := range 2 {
				var leader page
				var all sync.WaitGroup
				all.Go(func() { leader = w.fetch("GET", "/cold", "Cookie: theme=dark") })
				w.atWorkers(1)
				var c crowd
				all.Go(func() { c = w.crowd(30, func(int) page { return w.fetch("GET", "/cold", "") }) })
				w.gathered(31, 29)
				w.open()
				all.Wait()
				if leader.body != "<p>/cold for dark</p>" {
					t.Errorf("the first visitor got %d %q, %v", leader.status, leader.body, leader.err)
				}
				c.wantAll(t, "<p>/cold for all</p>")
				if n := w.asked("/cold"); n != 2*(round+1) {
					t.Errorf("the workers were asked %d times by round %d, want twice a round", n, round)
				}
				if n := w.reasons("/cold")["shared"]; n < 29*(round+1) {
					t.Errorf("%d visitors shared a page by round %d, want 29 a round at least", n, round)
				}
				key := w.pageKey("/cold")
				w.wantKey(key)
				w.wantHit("/cold", "/cold for all")
				w.talk(w.Memcached[0].Addr, "delete "+key+"\r\n", "DELETED")
				w.shut()
			}
		})
	}
}

// A response that is never stored is compressed for clients that accept it, from the
// second request on. The page beside it is stored uncompressed.
func TestUnstorableKeepsItsEncoding(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"recommended", "recipe"} {
		t.Run(conf, func(t *testing.T) {
			t.Parallel()
			w := startFlights(t, stack.Config{Conf: conf, Args: unhurried})
			const accepts = "Accept-Encoding: gzip, br"
			for _, path := range []string{"/now/json", "/now/private"} {
				for visitor := range 4 {
					p := w.want(w.fetch("GET", path, accepts), 200)
					w.settle()
					encoded := p.header.Get("Content-Encoding") == "gzip"
					if body := plain(t, p); body != "<p>"+path+" for all</p>" || visitor > 0 && !encoded {
						t.Errorf("%s, visitor %d: got %q, compressed: %v", path, visitor, body, encoded)
					}
				}
				if p := w.want(w.fetch("GET", path, ""), 200); p.header.Get("Content-Encoding") != "" || plain(t, p) != p.body {
					t.Errorf("%s: who accepts no encoding got %v", path, p.header)
				}
			}
			for visitor := range 2 {
				p := w.want(w.fetch("GET", "/now/page", accepts), 200)
				w.settle()
				if p.header.Get("Content-Encoding") != "" || p.body != "<p>/now/page for all</p>" {
					t.Errorf("the page, visitor %d: got %q, %v", visitor, p.body, p.header)
				}
			}
			if n := w.asked("/now/page"); n != 1 {
				t.Errorf("the workers were asked %d times for the page, want once", n)
			}
		})
	}
}

// plain is the decompressed body.
func plain(t *testing.T, p page) string {
	t.Helper()
	if p.header.Get("Content-Encoding") == "" {
		return p.body
	}
	r, err := gzip.NewReader(bytes.NewReader([]byte(p.body)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A page never ends. Only a visitor who came before that could be known waits for the
// first one. All later visitors get a worker at once.
func TestEndlessPage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, path    string
		args          []string
		refused, late int // of the visitor who waits
	}{
		{"without length", "/endless", longWait, 1, 0},
		{"without length, and that is accepted", "/endless", []string{"--accept-unframed", "html", "--coalesce-wait", "4s"}, 0, 1},
		{"in chunks", "/chunks/endless", []string{"--coalesce-wait", "4s"}, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := startFlights(t, stack.Config{Args: tt.args})
			var visitors []net.Conn
			defer func() {
				for _, nc := range visitors {
					nc.Close()
				}
				w.write("end", "")
			}()
			visit := func() net.Conn {
				nc, err := net.Dial("tcp", w.Nginx.Addr)
				if err != nil {
					t.Fatal(err)
				}
				nc.SetDeadline(time.Now().Add(patience))
				io.WriteString(nc, "GET "+tt.path+" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
				visitors = append(visitors, nc)
				return nc
			}
			begins := func(nc net.Conn) {
				t.Helper()
				b := make([]byte, 2000)
				if _, err := io.ReadFull(nc, b); err != nil || !bytes.Contains(b, []byte("<p>more</p>")) {
					t.Errorf("the page has not begun: %.300q, %v", b, err)
				}
			}
			first := visit()
			w.atWorkers(1)
			second := visit()
			w.eventually("one waits", func() bool { return w.metric("uwgate_flight_followers") == 1 })
			w.open()
			begins(first)
			begins(second)
			for range 6 {
				begins(visit())
			}
			m := w.metrics()
			if refused, late := sum(m, `uwgate_coalesced_total{end="refused"}`), sum(m, `uwgate_coalesced_total{end="late"}`); refused != tt.refused || late != tt.late {
				t.Errorf("%d waits ended as refused and %d as late, want %d and %d", refused, late, tt.refused, tt.late)
			}
			w.write("end", "")
			w.wantHit("/page", "/page for all")
		})
	}
}

// Requests that crash a worker come together with fifty good ones for the same page.
// The good ones get the page, and it is stored.
func TestCrashesAmongVisitors(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"recommended", "recipe"} {
		t.Run(conf, func(t *testing.T) {
			t.Parallel()
			w := startFlights(t, stack.Config{Conf: conf, Args: unhurried})
			const crashes, good = 20, 50
			var all sync.WaitGroup
			var bad [crashes]page
			all.Go(func() { bad[0] = w.fetch("GET", "/crash", "User-Agent: long") })
			w.atWorkers(1)
			for i := 1; i < crashes; i++ {
				all.Go(func() { bad[i] = w.fetch("GET", "/crash", "User-Agent: long") })
			}
			var c crowd
			all.Go(func() { c = w.crowd(good, func(int) page { return w.fetch("GET", "/crash", "User-Agent: short") }) })
			w.gathered(crashes+good, crashes+good-1)
			w.open()
			all.Wait()
			c.wantAll(t, "<p>/crash for all</p>")
			for i, p := range bad {
				if p.status != 502 && (p.status != 200 || p.body != "<p>/crash for all</p>") {
					t.Errorf("crash %d got %d %q, %v; want 502, or the others' page", i, p.status, p.body, p.err)
				}
			}
			if bad[0].status != 502 {
				t.Errorf("the first visitor got %d, want 502 from a worker that crashes", bad[0].status)
			}
			w.wantHit("/crash", "/crash for all")
		})
	}
}

// A rule only observes. A crowd gets its pages, and memcached gets none.
func TestCrowdOfAnObservedRule(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	const rules = "rules:\n  - path: /observed/\n    action: observe\n  - path: /typed/\n    type: [text/html]\n    action: observe\n"
	if err := os.WriteFile(file, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	w := startFlights(t, stack.Config{Args: append([]string{"--config", file}, longWait...)})
	for path, followers := range map[string]int{"/observed/a": 0, "/typed/a": 9} {
		done := make(chan crowd)
		go func() { done <- w.crowd(10, func(int) page { return w.fetch("GET", path, "") }) }()
		w.gathered(10, followers)
		w.open()
		(<-done).wantAll(t, "<p>"+path+" for all</p>")
		w.settle()
		if w.has(w.pageKey(path)) {
			t.Errorf("%s is stored", path)
		}
		if l := w.line(path); l.Verdict != "observe" {
			t.Errorf("%s: logged %+v", path, l)
		}
		w.shut()
	}
	w.open()
	w.wantHit("/page", "/page for all")
}

// The leader at one gateway has an unknown cookie. The crowd does not wait longer for
// its page because of that. The key does not contain $visitor.
func TestFleetBehindACookie(t *testing.T) {
	t.Parallel()
	f := startFleet(t, "flights", longWait, [2]string{`"$visitor$scheme`, `"$scheme`})
	for round := range 2 {
		path := fmt.Sprintf("/cold/%d", round)
		var leader page
		var all sync.WaitGroup
		all.Go(func() { leader = f.fetch("GET", path, "Cookie: theme=dark") })
		f.eventually("the page is being fetched", func() bool { return f.fetching() != nil })
		var c crowd
		all.Go(func() { c = f.crowd(30, func(int) page { return f.fetch("GET", path, "") }) })
		f.gathered(31, 28)
		f.open()
		all.Wait()
		if leader.body != "<p>"+path+" for dark</p>" {
			t.Errorf("the leader got %d %q, %v", leader.status, leader.body, leader.err)
		}
		c.wantAll(t, "<p>"+path+" for all</p>")
		if n := f.asked(path); n > 3 {
			t.Errorf("the workers were asked %d times, want once for the leader and once for each gateway at most", n)
		}
		f.wantKey("http://127.0.0.1" + path)
		f.shut()
	}
}
