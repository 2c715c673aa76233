package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// The configuration in the README works as it stands there, for a reader who copies it alone:
// only its addresses are replaced.
func TestReadmeConfiguration(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "\n    upstream uwgate {")
	var conf strings.Builder
	conf.WriteString("upstream uwgate {")
	for line := range strings.Lines(rest) {
		if line != "\n" && !strings.HasPrefix(line, "    ") && conf.Len() > 20 {
			break
		}
		conf.WriteString(line)
	}
	w := start(t, stack.Config{App: filepath.Join("testdata", "printed"), Workers: 2})
	text := conf.String()
	for _, r := range [][2]string{
		{"unix:/run/uwgate/uwgate.sock", w.Uwgate.Addr}, {"unix:/run/app.sock", w.UWSGI.Addr}, {"memcached_pass 127.0.0.1:11211", "memcached_pass " + w.Memcached[0].Addr}, {"listen 80;", "listen " + w.Nginx.Addr + ";"},
	} {
		if !found || strings.Count(text, r[0]) != 1 {
			t.Fatalf("%s is not once in\n%s", r[0], text)
		}
		text = strings.Replace(text, r[0], r[1], 1)
	}
	w.writeFile("site.conf", text)
	read, err := nginxconf.Read(filepath.Join(w.Dir, "nginx.conf"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range parity.Check(read, parity.Gateway{Listen: []string{w.Uwgate.Addr}}) {
		if f.Level != parity.Note {
			t.Errorf("%s: %s: %s", f.Place, f.Level, f.Text)
		}
	}
	if err := w.Nginx.Reload(); err != nil {
		t.Fatal(err)
	}
	p := &printed{world: w}
	// The old workers of nginx may still take connections; they know no www.example.com.
	const own = "Host: www.example.com"
	w.eventually("nginx uses the configuration", func() bool {
		w.fetch("GET", "/first", own)
		w.settle()
		return w.has("http://www.example.com/first")
	})
	visit := func(method, lines string) string {
		got := w.fetch(method, "/page?a=1", strings.TrimRight(own+"\n"+lines, "\n"))
		if got.err != nil || got.status != 200 {
			t.Errorf("%s with %q: got %d, %v", method, lines, got.status, got.err)
		}
		w.settle()
		return got.body
	}
	before := visit("GET", member)
	stored := visit("GET", "")
	if again := visit("GET", ""); again != stored || !strings.Contains(stored, "QUERY_STRING=a=1<") {
		t.Errorf("no hit: got %q and then %q", stored, again)
	}
	for _, lines := range []string{member, unknown, "Authorization: x", "HX-Request: true", "X-Requested-With: XMLHttpRequest", "Content-Length: 3\n\na=b"} {
		if body := visit("GET", lines); body == stored || body == before {
			t.Errorf("with %q: got a stored page", lines)
		}
	}
	if visit("GET", "") != stored || visit("HEAD", "") != "" {
		t.Error("no hit after other visitors")
	}
	visit("POST", "Content-Length: 3\n\na=b")
	if visit("GET", "") == stored {
		t.Error("the page is still cached after a POST")
	}
	w.Uwgate.Kill()
	p.fails("/page?a=1", "", 200, "")
	if got := w.fetch("GET", "/other", own); got.status != 200 {
		t.Errorf("without uwgate: got %d, %v", got.status, got.err)
	}
}
