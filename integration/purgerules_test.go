package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// What unsafe requests purge besides their own page: by rules, and by groups.
func TestPurgesOfRules(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "uwgate.yaml")
	rules := `
rules:
  - methods: [POST]
    path: /any/do/tag
    purge: tag:comments
  - path: /any/do/
    action: bypass
  - regex: "^/any/do/article/([0-9]+)$"
    purge: ["url:/any/c/article-$1", "path:/any/b/x"]
  - path: /any/do/prefix
    purge: prefix:/any/b/
  - path: /any/do/site
    purge: site
  - glob: /any/*/tagged
    tags: [comments]
`
	if err := os.WriteFile(config, []byte(rules), 0o644); err != nil {
		t.Fatal(err)
	}
	a := startApp(t, stack.Config{Memcached: 2, Args: []string{"--config", config}})
	pages := []string{"/any/a/tagged", "/any/b/tagged", "/any/b/x", "/any/b/x?q=1", "/any/bx", "/any/c/article-7", "/any/c/article-71"}
	for _, tt := range []struct {
		name, method, target, answer string
		gone                         string // a space between them
	}{
		{"tag", "POST", "/any/do/tag", "303 See Other; Location: /elsewhere", "/any/a/tagged /any/b/tagged"},
		{"another method", "DELETE", "/any/do/tag", "200 OK", ""},
		{"an error", "POST", "/any/do/tag", "400 Bad Request", ""},
		{"groups of the regex, any query", "PUT", "/any/do/article/7", "204 No Content", "/any/c/article-7 /any/b/x /any/b/x?q=1"},
		{"prefix", "POST", "/any/do/prefix", "200 OK", "/any/b/tagged /any/b/x /any/b/x?q=1"},
		{"site", "POST", "/any/do/site", "200 OK", strings.Join(pages, " ")},
		{"Cache-Group-Invalidation", "POST", "/any/do", `200 OK; Cache-Group-Invalidation: "other", "comments"`, "/any/a/tagged /any/b/tagged"},
		{"Cache-Group-Invalidation with an error", "POST", "/any/do", `500 Oops; Cache-Group-Invalidation: "comments"`, ""},
		{"Cache-Group-Invalidation that is malformed", "POST", "/any/do", `200 OK; Cache-Group-Invalidation: comments`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := a.in(t)
			for _, page := range pages {
				a.eventually(page+" is stored", func() bool {
					a.want(a.get(page), 200)
					a.settle()
					return a.has(a.wireKey(page))
				})
			}
			p := a.fetch(tt.method, tt.target, "X-Answer: "+tt.answer)
			if want := tt.answer[:3]; p.err != nil || p.header.Get("Cache-Status") == "" || want != strconv.Itoa(p.status) {
				t.Fatalf("got %d %.300q, %v; want %s through uwgate", p.status, p.body, p.err, want)
			}
			gone := strings.Fields(tt.gone)
			for _, page := range pages {
				if has := a.has(a.wireKey(page)); has == slices.Contains(gone, page) {
					t.Errorf("%s is in memcached: %v", page, has)
				}
			}
		})
	}
}
