package integration

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// derived removes CACHE_KEY, so that uwgate computes the key. CACHE_STATUS stays,
// because not all requests are looked up.
var derived = [][2]string{{"    uwsgi_param CACHE_KEY", "    #"}}

// withoutBypass makes nginx look up pages for all visitors.
var withoutBypass = []string{"--identity-cookie", "none"}

// A site is a setup of nginx, uwgate and memcached from the same flags.
type site struct {
	name    string
	servers int
	weights []int
	hash    string
	sockets bool
	derives bool // the key is not handed over
}

var sites = []site{
	{name: "one", servers: 1},
	{name: "one, socket, derived", servers: 1, sockets: true, derives: true},
	{name: "two, modulo, sockets", servers: 2, weights: []int{1, 3}, hash: "modulo", sockets: true},
	{name: "two, consistent", servers: 2, weights: []int{3}, hash: "consistent"},
	{name: "two, none", servers: 2, hash: "none"},
	{name: "five, consistent, sockets", servers: 5, weights: []int{1, 2, 3, 1, 2}, hash: "consistent", sockets: true},
	{name: "five, consistent, derived", servers: 5, weights: []int{1, 2, 3, 1, 2}, hash: "consistent", derives: true},
	{name: "five, modulo, sockets, derived", servers: 5, weights: []int{2, 1, 1, 1, 4}, hash: "modulo", sockets: true, derives: true},
	{name: "five, none, sockets", servers: 5, hash: "none", sockets: true},
}

// startSite runs the application of testdata/parity.
func startSite(t *testing.T, s site, format string, args ...string) *world {
	t.Helper()
	cfg := s.config(format)
	if s.derives {
		args = append(args, "--key", "$scheme://$host$request_uri")
	}
	cfg.Args = append(cfg.Args, args...)
	return start(t, cfg)
}

func (s site) config(format string) stack.Config {
	cfg := stack.Config{
		App: filepath.Join("testdata", "parity"), Workers: 1,
		Format: format, Memcached: s.servers, Weights: s.weights, Hash: s.hash, MemcachedSockets: s.sockets,
	}
	if s.derives {
		cfg.Edits = derived
		if format != "http" && s.hash != "none" {
			cfg.Edits = append(cfg.Edits, [2]string{"    uwsgi_param CACHE_SERVER", "    #"})
		}
	}
	return cfg
}

// With the configuration that `uwgate nginx` prints, a page is stored on the miss and
// is a hit on the next request, in each format and with any servers. It works without
// one of the servers, too.
func TestParity(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		for _, s := range sites {
			t.Run(format+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				w := startSite(t, s, format)
				w.fillsAndHits(s)
				w.agrees(s, format)
				w.doesWithoutOne(s, format)
			})
		}
	}
}

// agrees runs `uwgate check` with nginx's configuration and --via, with the flags of
// uwgate and without them.
func (w *world) agrees(s site, format string) {
	w.t.Helper()
	flags := []string{"--listen", w.Uwgate.Addr, "--nginx", filepath.Join(w.Dir, "nginx.conf")}
	told := append(slices.Clone(flags), memcachedArgs(cmp.Or(s.hash, "none"), w.serverLines(s)...)...)
	told = append(told, "--format", format, "--identity-cookie", "none")
	if s.derives {
		told = append(told, "--key", "$scheme://$host$request_uri")
	}
	for _, args := range [][]string{flags, told} {
		got, text, status := w.check(w.t, "/", args)
		// With a derived key and no lookups for logged-in users, check warns that
		// nothing tells the gateway which requests were looked up.
		if got.Outcome != "hit" || status != 0 && !s.derives {
			w.t.Errorf("uwgate check %s: status %d: %s", strings.Join(args, " "), status, text)
		}
	}
}

// serverLines are the servers in the notation of nginx.conf.
func (w *world) serverLines(s site) (lines []string) {
	for i, m := range w.Memcached {
		line := m.Addr
		if i < len(s.weights) {
			line += fmt.Sprintf(" weight=%d", s.weights[i])
		}
		lines = append(lines, line)
	}
	return lines
}

// paths returns so many paths that each of five servers gets some.
func paths(prefix string) []string {
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprintf("%s%d/a%%20b?q=%%26&n=%d", prefix, i, i*i))
	}
	return all
}

func (w *world) fillsAndHits(s site) {
	w.t.Helper()
	misses := w.fill(paths("/page"))
	for path, miss := range misses {
		second := w.want(w.get(path), 200)
		if second.body == miss.body {
			continue
		}
		// On a busy machine nginx may time out on a lookup.
		w.settle()
		if third := w.want(w.get(path), 200); third.body != second.body {
			w.t.Errorf("%s is never a hit: %.60q, then %.60q, then %.60q", path, miss.body, second.body, third.body)
		}
	}
	want := len(misses)
	if s.hash == "none" {
		want *= s.servers
	}
	if got := w.items(); got != want {
		w.t.Errorf("memcached holds %d entries of %d pages, want %d", got, len(misses), want)
	}
}

// fill requests pages for the first time and waits until they are stored.
func (w *world) fill(paths []string) map[string]page {
	w.t.Helper()
	misses := map[string]page{}
	for _, path := range paths {
		misses[path] = w.want(w.get(path), 200)
	}
	w.settle()
	return misses
}

// doesWithoutOne kills the first server. If nginx hands over which server it has asked
// instead, or if all servers have all pages, only the entries of that server are lost.
func (w *world) doesWithoutOne(s site, format string) {
	w.t.Helper()
	if s.servers == 1 {
		return
	}
	w.Memcached[0].Kill()
	old := w.fill(paths("/page"))
	for path, miss := range maps.All(w.fill(paths("/new"))) {
		old[path] = miss
	}
	lost := 0
	for _, path := range slices.Sorted(maps.Keys(old)) {
		if hit := w.want(w.get(path), 200); hit.body != old[path].body {
			lost++
		}
	}
	told := !s.derives && format != "http" || s.hash == "none"
	if told && lost > 0 || lost == len(old) {
		w.t.Errorf("without one server of %d, %d pages of %d are never stored", s.servers, lost, len(old))
	}
}

// Without memcached all pages come from the application, in time.
func TestParityWithoutMemcached(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := startAsIs(t, site{servers: 1}.config(format))
			miss := w.fill([]string{"/page"})["/page"]
			w.Memcached[0].Pause()
			w.asksTheApp("paused", miss)
			w.Memcached[0].Resume()
			// For srcache a lookup that timed out is a miss, so the page was written
			// again.
			w.settle()
			hit, again := w.want(w.get("/page"), 200), w.want(w.get("/page"), 200)
			if hit.body != again.body || format != "http" && hit.body != miss.body {
				t.Errorf("once memcached goes on the page is no hit")
			}
			w.Memcached[0].Kill()
			w.asksTheApp("dead", miss)
		})
	}
}

func (w *world) asksTheApp(why string, miss page) {
	w.t.Helper()
	if p := w.want(w.get("/page"), 200); p.body == miss.body || !strings.Contains(p.body, "Copy") {
		w.t.Errorf("memcached %s: got %.60q, want a new copy", why, p.body)
	}
}

// A request that is not looked up is not stored, and reaches the application complete.
func TestParityBypass(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := startSite(t, site{servers: 1}, format)
			stored := w.fill([]string{"/page"})["/page"]
			entries := w.writes()
			for _, tt := range []struct{ method, body, header string }{
				{"GET", "", "Cookie: sessionid=ana"},
				{"GET", "", "Cookie: _ga=1; sessionid=ana"},
				{"POST", "hello", "X-None: 1"},
				{"POST", strings.Repeat("hello", 50000), "X-None: 1"},
				{"PUT", "hello", "X-None: 1"},
				{"DELETE", "", "X-None: 1"},
				{"PATCH", "hello", "X-None: 1"},
				{"OPTIONS", "", "X-None: 1"},
			} {
				p := w.want(w.do(tt.method, "/page", strings.NewReader(tt.body), tt.header), 200)
				want := fmt.Sprintf("Asked %s /page </p>\n<p>Sent %d<", tt.method, len(tt.body))
				if !strings.Contains(p.body, want) {
					t.Errorf("%s, %s: got %.100q, want %q", tt.method, tt.header, p.body, want)
				}
				if tt.method == "GET" && p.body == stored.body {
					t.Errorf("%s: a logged-in user got the page of strangers", tt.header)
				}
				w.get("/page", "Cookie: sessionid=ana")
			}
			w.settle()
			if n := w.writes() - entries; n != 0 {
				t.Errorf("%d entries written", n)
			}
			if p := w.want(w.do("HEAD", "/other", nil), 200); p.body != "" {
				t.Errorf("HEAD: got %q", p.body)
			}
		})
	}
}

// With headers in the values a hit equals the miss, and nginx responds to conditional
// requests by itself.
func TestParityOfHeads(t *testing.T) {
	t.Parallel()
	w := startSite(t, site{servers: 2, hash: "consistent", sockets: true}, "http")
	miss := w.fill([]string{"/rich"})["/rich"]
	w.UWSGI.Kill()
	w.Uwgate.Kill()
	hit := w.want(w.get("/rich"), 200)
	compareHeads(t, hit, miss)
	if hit.body != miss.body {
		t.Errorf("the hit is another copy")
	}
	if head := w.want(w.do("HEAD", "/rich", nil), 200); head.body != "" || head.header.Get("ETag") != `"v1"` {
		t.Errorf("HEAD: got %v %.40q", head.header, head.body)
	}
	for _, tt := range []struct {
		header string
		status int
	}{
		{`If-None-Match: "v1"`, 304},
		{`If-None-Match: "v0", W/"v1"`, 304},
		{`If-None-Match: "v0"`, 200},
		{"If-Modified-Since: Sun, 01 Mar 2026 12:00:00 GMT", 304},
		{"If-Modified-Since: Sun, 01 Mar 2026 11:00:00 GMT", 200},
		{`If-Match: "v0"`, 412},
		{"Range: bytes=0-9", 200}, // srcache does not cut
	} {
		p := w.want(w.get("/rich", tt.header), tt.status)
		if tt.status == 304 && (p.body != "" || p.header.Get("ETag") != `"v1"`) {
			t.Errorf("%s: got %v %.40q", tt.header, p.header, p.body)
		}
	}
}

// compareHeads checks that a hit has all headers of the miss, except those of the
// connection.
func compareHeads(t *testing.T, hit, miss page) {
	t.Helper()
	for _, name := range []string{"Date", "Cache-Status", "Connection"} {
		hit.header.Del(name)
		miss.header.Del(name)
	}
	if !maps.EqualFunc(hit.header, miss.header, slices.Equal) {
		t.Errorf("the hit has\n%v\nthe miss had\n%v", hit.header, miss.header)
	}
	for _, name := range []string{"Content-Type", "Etag", "Content-Security-Policy", "Content-Language", "Link"} {
		if len(hit.header[name]) == 0 {
			t.Errorf("the hit has no %s", name)
		}
	}
}

// One compressed copy serves clients with and without gzip.
func TestParityOfEncodings(t *testing.T) {
	t.Parallel()
	w := startSite(t, site{servers: 1}, "gzip", "--gzip-flag", "8")
	miss := w.fill([]string{"/page"})["/page"]
	w.UWSGI.Kill()
	plain := w.want(w.get("/page", "Accept-Encoding: identity"), 200)
	packed := w.want(w.get("/page", "Accept-Encoding: gzip"), 200)
	if plain.body != miss.body || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("plain: got %v %.40q", plain.header, plain.body)
	}
	if packed.header.Get("Content-Encoding") != "gzip" || inflated(t, packed.body) != miss.body {
		t.Errorf("packed: got %v %.40q", packed.header, packed.body)
	}
	for _, p := range []page{plain, packed} {
		if got := p.header.Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("Vary is %q", got)
		}
	}
}

// Tracking arguments do not make additional copies, and a page for all does not contain
// them.
func TestParityOfIgnoredArguments(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			start(t, stack.Config{
				App: filepath.Join("testdata", "parity"), Workers: 1, Format: format, Memcached: 2,
				NginxArgs: []string{"--ignore-arg", "tracking", "--ignore-arg", "ref"},
			}).ignoresArguments()
		})
	}
}

func (w *world) ignoresArguments() {
	w.t.Helper()
	miss := w.want(w.get("/page?utm_source=evil&a=1&ref=me&gclid=x"), 200)
	if want := "Asked GET /page?a=1 a=1</p>"; !strings.Contains(miss.body, want) {
		w.t.Errorf("the application got arguments that are not in the key: %.100q", miss.body)
	}
	w.wantKey("http://127.0.0.1/page?a=1")
	w.settle()
	for _, path := range []string{"/page?a=1", "/page?a=1&ref=you", "/page?fbclid=z&a=1", "/page?a=1&utm_medium=mail&utm_term=t"} {
		if hit := w.want(w.get(path), 200); hit.body != miss.body {
			w.t.Errorf("%s: no hit: %.80q", path, hit.body)
		}
	}
	member := w.want(w.get("/page?a=1&ref=me", "Cookie: sessionid=ana"), 200)
	post := w.want(w.do("POST", "/page?a=1&ref=me", http.NoBody), 200)
	for _, p := range []page{member, post} {
		if !strings.Contains(p.body, " /page?a=1&amp;ref=me a=1&amp;ref=me</p>") {
			w.t.Errorf("a request without a lookup got %.100q, want a page of the whole URL", p.body)
		}
	}
}
