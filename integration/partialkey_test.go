package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A key of captures says too little: two pages have one. uwgate cannot see the requests for
// which nginx finds the other page, but the first that finds none shows it.
func TestPartialKey(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: filepath.Join("testdata", "parity"), Workers: 1, Edits: [][2]string{
		{`set $memcached_key "$visitor$scheme://$host$request_uri";`, `if ($uri ~ ^/p/(\w+)) { set $id $1; }` + "\n        " + `set $memcached_key "$host:p:$id";`},
	}})
	const key = "127.0.0.1:p:12"
	w.want(w.get("/p/12/a"), 200)
	w.eventually("the first page is stored", func() bool { return w.has(key) })
	if got := w.want(w.get("/p/12/b"), 200); !strings.Contains(got.body, "/p/12/a") {
		t.Errorf("the other page is no hit of the first: %.80q", got.body)
	}
	w.talk(w.Memcached[0].Addr, "delete "+key+"\r\n", "DELETED")
	for range 2 {
		for _, path := range []string{"/p/12/b", "/p/12/a"} {
			if got := w.want(w.get(path), 200); !strings.Contains(got.body, path) {
				t.Errorf("%s: got %.80q", path, got.body)
			}
		}
	}
	w.settle()
	if w.has(key) {
		t.Error("a page is stored under the key")
	}
	for _, line := range w.lines()[1:] {
		if line.Reason != "key-partial" {
			t.Errorf("%s: logged %s, want key-partial", line.URI, line.Reason)
		}
	}
	if log := w.Uwgate.Log(); strings.Count(log, "two pages under one key") != 1 {
		t.Errorf("the log does not say it once:\n%s", log)
	}
}
