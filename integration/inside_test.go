package integration

import (
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A wish is a request for a path, with a header if it is not empty, and the expected
// status and body. Status 0 means that the response does not matter.
type wish struct {
	path, header string
	status       int
	body         string
}

// nginx sends subrequests and redirects besides the requests of visitors. Each visitor
// still gets the application's response to the own request, in any order, and an
// ordinary page is a hit.
func TestInsideRequests(t *testing.T) {
	t.Parallel()
	const (
		asksBody = `        if ($not_asked = "") {`
		asksHTTP = "        srcache_fetch GET "
		pass     = "    location @uwgate {"
	)
	for _, tt := range []struct {
		name   string
		server string // lines of the server
		asks   string // lines before the lookup
		pages  []wish
		only   string // format, if not all
	}{
		{name: "a fragment in a fragment", server: "ssi on;", pages: []wish{
			{"/with/with/leaf", "", 200, "[/with/with/leaf ][/with/leaf ][/leaf ]"},
			{"/mine/with/leaf", "", 200, "[/mine/with/leaf ][/with/leaf ][/leaf ]"},
			{"/mine/leaf", "", 200, "[/mine/leaf ][/leaf ]"},
			{"/with/leaf", "", 200, "[/with/leaf ][/leaf ]"},
			{"/leaf", "", 200, "[/leaf ]"},
		}},
		{name: "auth_request with a page for those who may not", asks: "        auth_request /guard; error_page 401 = @login;\n",
			server: "location = /guard { internal; include uwsgi_params; uwsgi_pass uwgate; }\n    location @login { rewrite ^ /login break; uwsgi_pass uwgate; }", pages: []wish{
				{"/a", "X-Ticket: yes", 200, "[/a ]"},
				{"/a", "", 200, "[/login ]"},
				{"/b", "", 200, "[/login ]"},
				{"/b", "X-Ticket: yes", 200, "[/b ]"},
			}, only: "http"},
		{name: "a status with a page, and that with another", server: `recursive_error_pages on; uwsgi_intercept_errors on;
    error_page 403 = @sorry; error_page 410 /gone.html; error_page 500 = /status/503?a; error_page 503 = @sorry;
    location @sorry { uwsgi_param X_SORRY 1; include uwsgi_params; rewrite ^ /sorry break; uwsgi_pass uwgate; }`, pages: []wish{
			{"/status/410", "", 410, "[/gone.html ]"},
			{"/status/403", "", 200, "[/sorry ]"},
			{"/gone.html", "", 200, "[/gone.html ]"},
			{"/sorry", "", 200, "[/sorry ]"},
		}, only: "http"},
		{name: "X-Accel-Redirect to what is looked up", server: "recursive_error_pages on;", pages: []wish{
			{"/go/leaf", "", 200, "[/leaf ]"},
			{"/go/go/leaf", "", 200, "[/leaf ]"},
			{"/go/mine", "", 200, "[/mine ]"},
			{"/leaf", "", 200, "[/leaf ]"},
		}},
		{name: "X-Accel-Redirect to a location without a lookup", server: "location /inner/ { internal; uwsgi_pass uwgate; }", pages: []wish{
			{"/go/inner/x", "", 200, "[/inner/x ]"},
			{"/go/inner/y?q=1", "", 200, "[/inner/y ]"},
		}},
		{name: "try_files that may be there", server: "location /try/ { try_files /nowhere /index?$args; }", pages: []wish{
			{"/try/a?x=1", "", 200, "[/index x=1]"},
			{"/try/b?x=1", "", 200, "[/index x=1]"},
			{"/index?x=1", "", 200, "[/index x=1]"},
			{"/index", "", 200, "[/index ]"},
		}},
		{name: "a rewrite for some", asks: "        if ($http_x_mobile) { rewrite ^ /mobile$uri last; }\n", pages: []wish{
			{"/a", "X-Mobile: 1", 0, "[/mobile/a ]"},
			{"/a", "", 200, "[/a ]"},
			{"/mobile/a", "", 200, "[/mobile/a ]"},
		}},
		{name: "a rewrite of the server for some", server: "if ($http_x_mobile) { rewrite ^ /mobile$uri; }", pages: []wish{
			{"/a", "X-Mobile: 1", 0, "[/mobile/a ]"},
			{"/a", "", 200, "[/a ]"},
			{"/b", "", 200, "[/b ]"},
			{"/b", "X-Mobile: 1", 0, "[/mobile/b ]"},
			{"/mobile/a", "", 200, "[/mobile/a ]"},
		}},
		{name: "arguments for some", server: "if ($http_x_mobile) { set $args mobile=1; }", pages: []wish{
			{"/a", "X-Mobile: 1", 0, "[/a mobile=1]"},
			{"/a", "", 200, "[/a ]"},
			{"/b?x=1", "", 200, "[/b x=1]"},
			{"/b?x=1", "X-Mobile: 1", 0, "[/b mobile=1]"},
			{"/a?mobile=1", "", 200, "[/a mobile=1]"},
		}},
		{name: "post_action", server: "post_action /count;", pages: []wish{
			{"/a", "", 200, "[/a ]"},
			{"/b", "", 200, "[/b ]"},
			{"/count", "", 200, "[/count ]"},
		}},
		{name: "mirror", server: "mirror /count;", pages: []wish{
			{"/a", "", 200, "[/a ]"},
			{"/b", "", 200, "[/b ]"},
			{"/count", "", 200, "[/count ]"},
		}},
		{name: "before and after", server: "location = /head { uwsgi_pass uwgate; }\n    location = /foot { uwsgi_pass uwgate; }",
			asks: "        add_before_body /head; add_after_body /foot; addition_types *;\n", pages: []wish{
				{"/a", "", 200, "[/head ][/a ][/foot ]"},
				{"/b", "", 200, "[/head ][/b ][/foot ]"},
			}, only: "http"},
	} {
		for _, format := range []string{"body", "http"} {
			if tt.only != "" && tt.only != format {
				continue
			}
			t.Run(tt.name+"/"+format, func(t *testing.T) {
				t.Parallel()
				edits := [][2]string{}
				if tt.asks != "" && format == "http" {
					edits = append(edits, [2]string{asksHTTP, tt.asks + asksHTTP})
				} else if tt.asks != "" {
					edits = append(edits, [2]string{asksBody, tt.asks + asksBody})
				}
				if tt.server != "" {
					edits = append(edits, [2]string{"    location / {", "    " + tt.server + "\n    location / {"})
				}
				w := start(t, stack.Config{App: filepath.Join("testdata", "inside"), Workers: 2, Format: format, Edits: edits,
					Args: []string{"--harmless-header", "X-Ticket", "--harmless-header", "X-Mobile"}})
				for round := range 3 {
					for i := range tt.pages {
						p := tt.pages[i]
						if round == 1 {
							p = tt.pages[len(tt.pages)-1-i]
						}
						headers := []string{}
						if p.header != "" {
							headers = append(headers, p.header)
						}
						got := w.get(p.path, headers...)
						// With a key of $request_uri, a request that nginx rewrites may
						// hit another page.
						if p.status != 0 && (got.status != p.status || strings.TrimSpace(got.body) != p.body) {
							t.Errorf("round %d, %s %s: got %d %q, want %d %q", round, p.path, p.header, got.status, got.body, p.status, p.body)
						}
						w.settle()
					}
				}
				first := w.get("/plain", "X-Ticket: yes")
				w.settle()
				if n := w.items(); n == 0 {
					t.Errorf("an ordinary page is not stored: %d %q", first.status, first.body)
				}
			})
		}
	}
}
