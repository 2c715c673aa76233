package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A gateway that reads nginx.conf needs no other flags about pages. It stores pages
// where nginx looks.
func TestServeReadsNginx(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		site   site
		format string
	}{
		{"body", sites[0], "body"},
		{"body, derived", sites[1], "body"},
		{"gzip over sockets", sites[2], "gzip"},
		{"gzip, derived", sites[6], "gzip"},
		{"http", sites[5], "http"},
		{"http to all", sites[4], "http"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := tt.site.config(tt.format)
			cfg.ReadsNginx = true
			if tt.site.derives {
				cfg.NginxArgs = withoutBypass
			}
			w := start(t, cfg)
			w.fillsAndHits(tt.site)
		})
	}
}

// The recipe of 2013 hands over no key. uwgate computes it, because only POSTs reach
// the gateway without a lookup.
func TestServeReadsTheRecipe(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{Conf: "recipe", Memcached: 2, ReadsNginx: true, Args: []string{"--allowed-host", "127.0.0.1"}})
	miss := w.want(w.get("/clock?a=%20b"), 200)
	w.wantKey(":1:CUSTOMKEY:/clock?a=%2520b")
	if hit := w.want(w.get("/clock?a=%20b"), 200); hit.body != miss.body {
		t.Error("the second request is no hit")
	}
}

// A changed nginx.conf is in force after nginx and uwgate reload.
func TestServeReadsNginxAgain(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{
		App: filepath.Join("testdata", "parity"), Workers: 1, Memcached: 2, ReadsNginx: true,
		Edits: derived, NginxArgs: withoutBypass,
	})
	conf := filepath.Join(w.Dir, "site.conf")
	before, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	rewrite := func(old, new string) {
		t.Helper()
		if !strings.Contains(string(before), old) {
			t.Fatalf("%q is not in\n%s", old, before)
		}
		if err := os.WriteFile(conf, []byte(strings.ReplaceAll(string(before), old, new)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	reloaded := func(word string) {
		t.Helper()
		n := strings.Count(w.Uwgate.Log(), word)
		if err := w.Uwgate.Reload(); err != nil {
			t.Fatal(err)
		}
		w.eventually("uwgate logs "+word, func() bool { return strings.Count(w.Uwgate.Log(), word) > n })
	}
	w.fill([]string{"/page"})

	// After a mistake the old settings stay in force.
	rewrite("location @uwgate { uwsgi_pass uwgate; }", "location @uwgate { uwsgi_pass uwgate;")
	reloaded("settings not reloaded")
	w.fill([]string{"/other"})
	w.wantKey("http://127.0.0.1/other")

	rewrite(`"$visitor$scheme://$host$request_uri"`, `"v2:$host$request_uri"`)
	if err := w.Nginx.Reload(); err != nil {
		t.Fatal(err)
	}
	reloaded("settings reloaded")
	// nginx's old workers may accept some more connections.
	w.eventually("a page under the new key", func() bool {
		w.want(w.get("/page"), 200)
		return w.has("v2:127.0.0.1/page")
	})
	stored := strings.Join(slices.Concat(w.talk(w.Memcached[0].Addr, "get v2:127.0.0.1/page\r\n", "END"), w.talk(w.Memcached[1].Addr, "get v2:127.0.0.1/page\r\n", "END")), "\n")
	w.eventually("a hit under the new key", func() bool {
		return strings.Contains(stored, strings.TrimSpace(w.want(w.get("/page"), 200).body))
	})
}
