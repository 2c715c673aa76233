package integration

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// startFormat runs the application of testdata/formats behind an nginx that reads
// values of that format.
func startFormat(t *testing.T, format string, args ...string) *world {
	t.Helper()
	dir := filepath.Join("testdata", "formats")
	return start(t, stack.Config{
		App: dir, Conf: filepath.Join(dir, format+".conf"),
		Args: append([]string{"--format", format}, args...),
	})
}

const shortPage, longPage = "hello", "<p>hello</p>"

// With memcached_gzip_flag one copy serves clients with and without gzip. A page that
// does not shrink is stored uncompressed.
func TestFormatGzip(t *testing.T) {
	t.Parallel()
	w := startFormat(t, "gzip")
	for path, body := range map[string]string{"/page": strings.Repeat(longPage, 200), "/short": shortPage} {
		if first := w.want(w.get(path), 200); first.body != body {
			t.Errorf("%s: the first visitor got %.40q", path, first.body)
		}
		w.wantKey(key(w, path))
	}
	w.UWSGI.Kill()
	for _, path := range []string{"/page", "/short"} {
		plain := w.want(w.get(path, "Accept-Encoding: identity"), 200)
		if plain.header.Get("Content-Encoding") != "" || !strings.Contains(plain.body, "hello") {
			t.Errorf("%s: without gzip came %v %.40q", path, plain.header, plain.body)
		}
		packed := w.want(w.get(path, "Accept-Encoding: gzip"), 200)
		isPacked := packed.header.Get("Content-Encoding") == "gzip"
		if isPacked != (path == "/page") {
			t.Fatalf("%s: with gzip came %v", path, packed.header)
		}
		if isPacked && inflated(t, packed.body) != plain.body {
			t.Errorf("%s: inflated, the page is another", path)
		}
	}
}

func inflated(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// key is the raw key of a path that has no byte to escape.
func key(w *world, path string) string { return "http://127.0.0.1" + path }

// With the headers in the value a hit equals the miss, and nginx responds to
// conditional requests by itself.
func TestFormatHTTP(t *testing.T) {
	t.Parallel()
	rules := filepath.Join(t.TempDir(), "uwgate.yaml")
	if err := os.WriteFile(rules, []byte("rules:\n  - status: [301, 410]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := startFormat(t, "http", "--config", rules)
	misses := map[string]page{}
	for path, status := range map[string]int{"/rich": 200, "/data": 200, "/moved": 301, "/gone": 410} {
		p := w.want(w.get(path), status)
		if got := p.header.Get("X-Lookup"); got != "MISS" {
			t.Fatalf("%s: the first lookup was a %s", path, got)
		}
		misses[path] = p
		w.wantKey(key(w, path))
	}
	w.UWSGI.Kill()
	for path, miss := range misses {
		hit := w.want(w.get(path), miss.status)
		if hit.header.Get("X-Lookup") != "HIT" || hit.body != miss.body {
			t.Errorf("%s: a hit is %v %.40q", path, hit.header, hit.body)
		}
		for _, name := range []string{"Content-Type", "ETag", "Last-Modified", "Content-Security-Policy", "Content-Language", "Link", "Cache-Control", "Location"} {
			if got, want := strings.Join(hit.header[name], "|"), strings.Join(miss.header[name], "|"); got != want {
				t.Errorf("%s: a hit has %s %q, the miss had %q", path, name, got, want)
			}
		}
		if s := hit.header.Get("Cache-Status"); s != "uwgate; hit" {
			t.Errorf("%s: a hit says Cache-Status %q", path, s)
		}
	}
	for _, condition := range []string{`If-None-Match: "v1"`, "If-Modified-Since: Sun, 01 Mar 2026 12:00:00 GMT"} {
		if p := w.want(w.get("/rich", condition), 304); p.body != "" || p.header.Get("ETag") != `"v1"` {
			t.Errorf("%s: got %v %q", condition, p.header, p.body)
		}
	}
	w.want(w.get("/rich", `If-None-Match: "v0"`), 200)
}
