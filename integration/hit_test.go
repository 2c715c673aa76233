package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// eachSetup runs the test with both configurations and with one and two memcached
// servers.
func eachSetup(t *testing.T, test func(*world), args ...string) {
	for _, conf := range []string{"recipe", "recommended"} {
		for _, servers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s over %d", conf, servers), func(t *testing.T) {
				t.Parallel()
				test(start(t, stack.Config{Conf: conf, Memcached: servers, Args: args}))
			})
		}
	}
}

// pageKey is the key of a path in the configuration of the test.
func (w *world) pageKey(path string) string {
	if w.KeyTemplate() != "" {
		return ":1:CUSTOMKEY:" + path
	}
	// The recommended configuration has $host, which is without the port.
	return "http://127.0.0.1" + path
}

// The main purpose: a page that missed once is a hit without uwgate and without
// workers.
func TestHitWithoutUwgateAndDjango(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(w *world) {
		paths := []string{"/clock", "/clock?n=1", "/clock?n=2&m=%C3%A9", "/articles/", "/", "/big", "/fresh", "/guestbook", "/search?q=a+b"}
		first := map[string]page{}
		for _, path := range paths {
			p := w.want(w.get(path), 200)
			// uwgate sends the head of /big before it has searched the whole page for
			// sentinels.
			if s := p.header.Get("Cache-Status"); strings.Contains(s, "; stored") != (path != "/big") {
				w.t.Errorf("%s: Cache-Status %q", path, s)
			}
			if l := w.line(path); l.Verdict != "store" || l.Reason == "" {
				w.t.Errorf("%s: logged %+v, want it stored", path, l)
			}
			first[path] = p
			w.wantKey(strings.ReplaceAll(w.pageKey(path), "%", "%25"))
		}
		if err := w.Uwgate.Stop(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		if err := w.UWSGI.Stop(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		for _, path := range paths {
			hit := w.want(w.get(path), 200)
			if hit.body != first[path].body {
				w.t.Errorf("%s: the hit is another page", path)
			}
			if got, want := hit.header.Get("Content-Type"), first[path].header.Get("Content-Type"); got != want {
				w.t.Errorf("%s: the hit's Content-Type is %q, the miss's was %q", path, got, want)
			}
			if hit.header.Get("Cache-Status") != "" {
				w.t.Errorf("%s: the second response came through uwgate", path)
			}
		}
	})
}

// A miss has the headers of the hit that follows it.
func TestAlignedHeaders(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{})
	miss := w.want(w.get("/fresh"), 200)
	for _, name := range []string{"Last-Modified", "Expires", "Etag"} {
		if miss.header.Get(name) != "" {
			t.Errorf("the miss has %s: %s, which no hit can have", name, miss.header.Get(name))
		}
	}
	if got := miss.header.Values("Vary"); len(got) != 1 || got[0] != "Accept-Encoding" {
		t.Errorf("Vary %q, want Accept-Encoding", got)
	}
}

// keyVectors is the part of testdata/memcached_key.json that the tests read.
type keyVectors struct {
	Cases []struct {
		ID, Profile, Request string
		KeyWire              *string `json:"key_wire"`
		ClientStatus         int     `json:"client_status"`
	}
}

// latin1 converts a string of the vectors, which has one character for each byte, to
// bytes.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

// The unusual URLs of the vectors are stored on the first request and hit on the second
// one, under the recorded key.
func TestAwkwardURLs(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/memcached_key.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors keyVectors
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []stack.Config{
		{Conf: "recipe"}, {Conf: "recipe", Memcached: 2}, {Conf: "recommended", Memcached: 2},
		{Conf: "recommended", Memcached: 2, Format: "gzip"}, {Conf: "recommended", Memcached: 2, Format: "http"},
	} {
		t.Run(fmt.Sprintf("%s over %d %s", cfg.Conf, max(cfg.Memcached, 1), cfg.Format), func(t *testing.T) {
			t.Parallel()
			w := start(t, cfg)
			tried := map[string]bool{}
			for _, c := range vectors.Cases {
				request := latin1(c.Request)
				line, _, _ := strings.Cut(request, "\r\n")
				if c.KeyWire == nil || c.ClientStatus != 200 || tried[line] || c.Profile == "headers" || !storable(request) {
					continue
				}
				tried[line] = true
				if cfg.Conf == "recipe" { // whose key does not say the host, so that one is allowed
					request = hostLine.ReplaceAllString(request, "\r\nHost: 127.0.0.1\r\n")
				}
				wire := ""
				if c.Profile == "seed" && w.KeyTemplate() != "" {
					wire = latin1(*c.KeyWire)
				}
				w.fillAndHit(t, c.ID, request, wire)
			}
			if len(tried) < 82 {
				t.Errorf("only %d requests tried, want 82 at least", len(tried))
			}
		})
	}
}

var hostLine = regexp.MustCompile("(?i)\r\nhost:[^\r]*\r\n")

// storable reports whether a request is recorded for its URL only: it is a GET with a
// host, without a body and credentials, and its key is not too long.
func storable(request string) bool {
	lower := strings.ToLower(request)
	for _, header := range []string{"\r\ncontent-length:", "\r\ntransfer-encoding:", "\r\nauthorization:", "\r\ncookie:", "\r\nupgrade:", "\r\nx-tenant:"} {
		if strings.Contains(lower, header) {
			return false
		}
	}
	line, _, _ := strings.Cut(request, "\r\n")
	return strings.HasPrefix(request, "GET ") && strings.Contains(lower, "\r\nhost:") && len(line) < 150
}

// fillAndHit sends the request twice. wire is the recorded key, if it belongs to the
// same template.
func (w *world) fillAndHit(t *testing.T, id, request, wire string) {
	t.Helper()
	miss := w.raw(request)
	if miss.status != 200 {
		t.Errorf("%s: %d %.100q", id, miss.status, miss.body)
		return
	}
	w.settle()
	if wire != "" && !w.has(wire) {
		t.Errorf("%s: not stored under %q", id, wire)
	}
	hit := w.raw(request)
	if s := hit.header.Get("Cache-Status"); s != "" && s != "uwgate; hit" || hit.body != miss.body {
		lines := w.lines()
		t.Errorf("%s: not a hit: %q, logged %+v", id, strings.SplitN(request, "\r\n", 2)[0], lines[len(lines)-1])
	}
}

// raw sends the bytes of a request through nginx.
func (w *world) raw(request string) page {
	w.t.Helper()
	nc, err := net.DialTimeout("tcp", w.Nginx.Addr, patience)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, request)
	resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
	return w.read(resp, err)
}

// Pages that must not be stored are not in memcached, whoever requests them and however
// often.
func TestNothingStored(t *testing.T) {
	t.Parallel()
	eachSetup(t, func(w *world) {
		for range 2 {
			for _, path := range []string{"/private", "/cookie", "/stream", "/contact", "/login", "/member", "/admin/", "/api/articles",
				"/crash", "/no/such/page", "/faults/short", "/faults/die-unframed", "/faults/die"} {
				w.get(path)
			}
			w.do("HEAD", "/clock", nil)
			w.do("PUT", "/clock", strings.NewReader("x"))
			w.do("DELETE", "/clock", nil)
			w.do("POST", "/guestbook", strings.NewReader("name=A&text=hello"), "Content-Type: application/x-www-form-urlencoded")
			w.get("/clock", "Authorization: Basic ZGVtbzpkZW1v")
			w.get("/clock", "Cookie: sessionid=abc")
			w.get("/clock", "Cookie: theme=dark")
			w.get("/clock?x=" + strings.Repeat("x", 300))
		}
		if w.KeyTemplate() == "" {
			// The recipe passes a POST on without its method.
			w.membersPages()
		}
		w.settle()
		if n := w.items(); n != 0 {
			w.t.Errorf("memcached holds %d entries: %q", n, w.keys())
		}
	})
}

// membersPages logs in and visits pages.
func (w *world) membersPages() {
	w.t.Helper()
	c := w.browser()
	w.want(w.submit(c, "/login", url.Values{"username": {"demo"}, "password": {"demo"}}), 200)
	if p := w.visit(c, "/member"); !strings.Contains(p.body, "demo") {
		w.t.Errorf("the logged-in user got %.300q, want a page with the name demo", p.body)
	}
	for _, path := range []string{"/", "/articles/", "/clock", "/admin/"} {
		w.want(w.visit(c, path), 200)
	}
	w.submit(c, "/contact", url.Values{"name": {"A"}, "message": {"hello"}})
}
