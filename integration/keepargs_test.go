package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"uwgate/demo/stack"
)

// keptArgs is a configuration file with a derived key that contains one argument.
const keptArgs = `key: "$scheme://$host$uri?page=$arg_page"
rules:
  - path: /list/
    keep-args: [page]
`

// A key that contains one argument has its value from nginx's $arg_page. If the
// application may read another value, the page is not stored. The ordinary page beside
// it is. This holds for derived keys and for handed over ones.
func TestKeptArguments(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(keptArgs), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, handed := range []bool{false, true} {
		t.Run(fmt.Sprintf("handed over %v", handed), func(t *testing.T) {
			t.Parallel()
			cfg := stack.Config{App: filepath.Join("testdata", "targets"), Args: []string{"--config", file}}
			if !handed {
				cfg.Edits = [][2]string{keepsKey}
			}
			w := start(t, cfg)
			a := &app{w, w.AccessReader()}
			a.keepsArguments(handed)
		})
	}
}

// keepsArguments visits lists. With a derived key the worker gets only the kept
// argument.
func (a *app) keepsArguments(handed bool) {
	a.t.Helper()
	list := func(n int, query string) string { return fmt.Sprintf("[http://127.0.0.1/list/%d %s]http", n, query) }
	for i, query := range []string{
		"page=1&page=2", "page=2&page=1", "page=1&page=1", "page=&page=2", "page&page=2", "page=1&x=1&page=2", "page=1&%70age=2", "page=1&PAGE=2",
		"%70age=7", "pag%65=7", "%70%61%67%65=7", "PAGE=7", "Page=7", "x=1&%70age=7", "page", "page=",
	} {
		path := fmt.Sprintf("/list/%d?", i)
		if v := a.visit("GET", path+query, ""); v.body != list(i, query) || v.reason() != "arguments" || v.written != 0 {
			a.t.Errorf("%s: got %d %q, %s, stored %d; want its own page, arguments, nothing stored", query, v.status, v.body, v.reason(), v.written)
		}
		for _, ordinary := range []string{"page=1", "page=2", "page=7", ""} {
			a.isHitAfterAVisit(path+ordinary, list(i, ordinary))
		}
	}
	for i, tt := range []struct{ query, seen string }{
		{"page=2", "page=2"}, {"page=1;page=2", "page=1;page=2"}, {"page=1%26page=2", "page=1%26page=2"}, {"page=%37", "page=%37"},
		{"page=2&utm_source=mail", "page=2"}, {"x=1&page=2&y=2", "page=2"}, {"&page=2&&", "page=2"}, {"=&page=2", "page=2"}, {"pages=1&page=2", "page=2"},
		{"utm_source=mail", ""}, {"x=1;page=2", ""}, {"%20page=2", ""}, {"page[]=2", ""}, {"page%00=2", ""}, {"?page=2", ""},
	} {
		n := 100 + i
		path := fmt.Sprintf("/list/%d?", n)
		if handed && tt.query != tt.seen {
			if v := a.visit("GET", path+tt.query, ""); v.body != list(n, tt.query) || v.reason() != "arguments" || v.written != 0 {
				a.t.Errorf("%s: got %d %q, %s, stored %d; want its own page, arguments, nothing stored", tt.query, v.status, v.body, v.reason(), v.written)
			}
			continue
		}
		a.isHitAfterAVisit(path+tt.query, list(n, tt.seen))
		if v := a.visit("GET", path+tt.seen, ""); v.reason() != "hit" || v.body != list(n, tt.seen) {
			a.t.Errorf("%s after %s: got %q, %s; want a hit", tt.seen, tt.query, v.body, v.reason())
		}
	}
}

// isHitAfterAVisit checks that the page is stored for the first visitor and a hit for
// the second.
func (a *app) isHitAfterAVisit(target, body string) {
	a.t.Helper()
	if v := a.visit("GET", target, ""); v.status != 200 || v.body != body || v.written != 1 {
		a.t.Errorf("%s: got %d %q, %s, stored %d; want %q stored", target, v.status, v.body, v.reason(), v.written, body)
	}
	if v := a.visit("GET", target, ""); v.status != 200 || v.body != body || v.reason() != "hit" {
		a.t.Errorf("%s again: got %d %q, %s; want a hit with %q", target, v.status, v.body, v.reason(), body)
	}
}
