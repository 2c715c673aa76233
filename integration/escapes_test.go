package integration

import (
	"testing"

	"uwgate/demo/stack"
	"uwgate/nginxconf/parity"
)

// What nginx does with misses alone, hits escape. check says so, and with its fix they do
// not.
func TestHitsEscape(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, lines, header string
		code                parity.Code
		status              int // of a hit after the fix
		body                string
	}{
		{"referer", `valid_referers none server_names; if ($invalid_referer) { return 403; }`, "Referer: http://elsewhere.example/", "access-differs", 403, ""},
		{"secure link", `secure_link $arg_md5; secure_link_md5 "$uri secret"; if ($secure_link = "") { return 404; }`, "", "access-differs", 404, ""},
		{"header", `if ($http_x_staff = "no") { return 403; }`, "X-Staff: no", "access-differs", 403, ""},
		{"sub_filter", `sub_filter "hit" "filtered";`, "", "filter-differs", 200, "a filtered"},
		{"addition", `add_after_body /foot;`, "", "filter-differs", 200, "a hitfoot"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			const to, server = "location @uwgate { ", "    location / {"
			w := start(t, stack.Config{Edits: [][2]string{
				{to, to + tt.lines + " "},
				{server, "    location = /foot { internal; return 200 foot; }\n" + server},
			}})
			w.put("http://127.0.0.1/clock", "a hit")
			var headers []string
			if tt.header != "" {
				headers = []string{tt.header}
			}
			if p := w.want(w.get("/clock", headers...), 200); p.body != "a hit" {
				t.Errorf("before the fix: got %q", p.body)
			}
			w.edit(w.fixOf(tt.code))
			if p := w.want(w.get("/clock", headers...), tt.status); tt.body != "" && p.body != tt.body {
				t.Errorf("after the fix: got %q, want %q", p.body, tt.body)
			}
		})
	}
}
