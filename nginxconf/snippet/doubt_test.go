package snippet_test

import (
	"strings"
	"testing"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
	"uwgate/nginxconf/snippet"
)

// check says which visitors get the pages of strangers from a printed configuration that
// somebody has changed, or that it cannot know.
func TestChangedSitesAreNoticed(t *testing.T) {
	const others = "those with any other cookie that a page may depend on, such as theme"
	members := policy.NewVisitors(policy.VisitorNames{IdentityCookies: []string{"none", "ana"}})
	more := policy.NewVisitors(policy.VisitorNames{IdentityCookies: []string{"none", "ana", "bob"}})
	for _, tt := range []struct {
		name     string
		from, to string
		flags    *policy.Visitors
		want     []string
	}{
		{name: "as printed", flags: members},
		{"no $visitor in the key", `"$visitor$scheme:`, `"$scheme:`, members, []string{"under the same keys: " + others}},
		{"another variable in the key", `"$visitor$scheme:`, `"$session_cookie$scheme:`, members, []string{"under the same keys: " + others}},
		{"members looked up", `ASKED`, `$has_body`, members, []string{"under the same keys: those with ana"}},
		{"members not among those who are not looked up", `map "$identified$is_part`, `map "$is_part`, members, []string{"under the same keys: those with ana"}},
		{"headers alone", `map "$session_cookie$named_1`, `map "$named_1`, members, []string{"under the same keys: those with ana"}},
		{"a member more", "", "", more, []string{"check cannot evaluate the map of $session_cookie", "those with ana and bob"}},
		{"another regex of members", " ana\n", " an\n", members, []string{"check cannot evaluate the map of $session_cookie", "those with ana"}},
		{"another regex of parts", `~(?s)^(?:([^ ]*+) \1|(.*) \2)\z`, `~(?s)^(?:([^ ]*+) \1|(.*?) \2)\z`, members, []string{"check cannot evaluate the map of $is_part", "those with ana"}},
		{"another regex of strangers", `(?!(?1)))[`, `(?!(?1)|x)[`, members, []string{"this map of $visitor differs"}},
	} {
		for _, format := range []policy.Format{policy.FormatBody, policy.FormatHTTP} {
			t.Run(tt.name+"/"+string(format), func(t *testing.T) {
				s := snippet.Site{Gateways: []string{"unix:/run/uwgate.sock"}, Servers: []string{"127.0.0.1:11211"}, Format: format, Visitors: members}
				changed := text(t, &s)
				from := strings.Replace(tt.from, "ASKED", map[policy.Format]string{policy.FormatBody: `($not_asked = "")`, policy.FormatHTTP: "$not_asked;"}[format], 1)
				to := strings.Replace(from, "$not_asked", tt.to, 1)
				if tt.from != "ASKED" {
					to = tt.to
				}
				if !strings.Contains(changed, from) {
					t.Fatalf("nothing to change: %q is not in\n%s", from, changed)
				}
				c, err := nginxconf.Parse("site.conf", "http {"+strings.ReplaceAll(strings.ReplaceAll(changed, from, to), "include", "# include")+"}")
				if err != nil {
					t.Fatal(err)
				}
				var got string
				for _, f := range parity.Check(c, parity.Gateway{Resolve: oneAddress, Visitors: tt.flags}) {
					if f.Code == "visitors-looked-up" || f.Code == "visitor-differs" {
						got += f.Text + "\n"
					}
				}
				for _, want := range tt.want {
					if !strings.Contains(got, want) {
						t.Errorf("got %q, want %q", got, want)
					}
				}
				if len(tt.want) == 0 && got != "" {
					t.Errorf("got %q, want nothing", got)
				}
			})
		}
	}
}
