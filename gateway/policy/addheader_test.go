package policy

import (
	"strings"
	"testing"

	"uwgate/uwsgi"
)

// What to do about a header that keeps a page out is possible for that header.
func TestFixOfHeaderLoss(t *testing.T) {
	for _, tt := range []struct {
		hits     Hits
		lines    []string
		want, no []string
	}{
		{Hits{}, []string{"Location: /login"}, []string{"do not send Location with pages for everybody", "--format http"}, []string{"--nginx-adds"}},
		{Hits{}, []string{"Clear-Site-Data: *"}, []string{"do not send Clear-Site-Data"}, []string{"--nginx-adds", "--format"}},
		{Hits{}, []string{"X-Robots-Tag: noindex"}, []string{"if all pages have this X-Robots-Tag", `map $upstream_http_x_robots_tag $hit_x_robots_tag { "" "noindex"; }`,
			"add_header X-Robots-Tag $hit_x_robots_tag;", `--nginx-adds "X-Robots-Tag: noindex"`, "--format http"}, []string{"always"}},
		{Hits{}, []string{"X-Robots-Tag: $1"}, []string{"do not send X-Robots-Tag", "--format http"}, []string{"--nginx-adds"}},
		{Hits{}, []string{"Content-Security-Policy: script-src 'nonce-x'"}, []string{"do not send Content-Security-Policy"}, []string{"--nginx-adds", "--format"}},
		{Hits{KeepTags: true}, []string{"Surrogate-Key: a"}, []string{"do not send Surrogate-Key", "--format http"}, []string{"--nginx-adds"}},
		{Hits{}, []string{"Refresh: 5", "X-Robots-Tag: noindex"}, []string{"do not send Refresh", "$hit_x_robots_tag"}, nil},
		{Hits{Strict: true}, []string{"NEL: {}"}, []string{"add_header NEL $hit_nel;"}, nil},
		{Hits{Format: FormatHTTP}, []string{"Clear-Site-Data: *"}, []string{"do not send Clear-Site-Data"}, []string{"--format"}},
	} {
		p := testPolicy()
		p.Hits = tt.hits
		v := get("HTTP_HOST=www.example.com", "CACHE_KEY=www.example.com/", "CACHE_STATUS=404", "REQUEST_URI=/")
		e := p.Explain(v, page(tt.lines...), []byte("hello"), true, false, testNow)
		fix := ""
		for _, f := range e.Refusals {
			if f.Reason == HeaderLoss {
				fix = f.Fix
			} else if f.Fix != "" {
				t.Errorf("%q: %s has the fix %q", tt.lines, f.Reason, f.Fix)
			}
		}
		for _, want := range tt.want {
			if !strings.Contains(fix, want) {
				t.Errorf("%q: got %q, want %q", tt.lines, fix, want)
			}
		}
		for _, no := range tt.no {
			if strings.Contains(fix, no) {
				t.Errorf("%q: got %q, want no %q", tt.lines, fix, no)
			}
		}
	}
	if got := AddToHits(uwsgi.Field{Name: "X.Y", Value: "1"}); got != "" {
		t.Errorf("got %q for a name of which nginx has no variable", got)
	}
}
