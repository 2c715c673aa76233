package integration

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// Of a printed configuration that somebody has changed, check says which visitors get the
// page of strangers. nginx does so.
func TestStrangersPages(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		edit   [2]string
		cookie string // of a visitor who gets the page of strangers; "": nobody does
		want   string // in the finding
	}{
		{"as printed", [2]string{}, "", ""},
		{"no $visitor in the key", [2]string{`"$visitor$scheme`, `"$scheme`}, "theme=1", "any other cookie that a page may depend on"},
		{"all are asked", [2]string{`if ($not_asked = "")`, `if ($has_body = "")`}, "sessionid=1", "those with sessionid"},
		{"other members", [2]string{`map "$identified$is_part`, `map "$cookie_member$is_part`}, "sessionid=1", "those with sessionid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := stack.Config{}
			if tt.want != "" {
				cfg.Edits = [][2]string{tt.edit}
			}
			w := start(t, cfg)
			w.put("http://127.0.0.1/clock", "that of strangers")
			for _, cookie := range []string{"theme=1", "sessionid=1"} {
				p := w.want(w.get("/clock", "Cookie: "+cookie), 200)
				if isShared := p.body == "that of strangers"; isShared != (cookie == tt.cookie) {
					t.Errorf("%s: got %q", cookie, p.body)
				}
			}
			if found := strangersFindings(t, w); !strings.Contains(found, tt.want) || (found == "") != (tt.want == "") {
				t.Errorf("check says %q, want %q", found, tt.want)
			}
		})
	}
}

// strangersFindings returns what check says about visitors who get the pages of strangers.
func strangersFindings(t *testing.T, w *world) string {
	t.Helper()
	conf, err := nginxconf.Read(filepath.Join(w.Dir, "nginx.conf"), "")
	if err != nil {
		t.Fatal(err)
	}
	found := parity.Check(conf, parity.Gateway{})
	if i := slices.IndexFunc(found, func(f parity.Finding) bool { return f.Code == "visitors-looked-up" }); i >= 0 {
		return found[i].Text
	}
	return ""
}
