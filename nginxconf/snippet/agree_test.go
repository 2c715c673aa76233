package snippet_test

import (
	"path/filepath"
	"strings"
	"testing"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/parity"
	"uwgate/nginxconf/snippet"
)

// listened returns the values of --listen to which the site leads.
func listened(s *snippet.Site) (addresses []string) {
	for _, address := range s.Gateways {
		if s.Secure {
			address = "suwsgi:" + address
		}
		addresses = append(addresses, address)
	}
	return addresses
}

// check has no errors and no warnings about what `uwgate nginx` prints for the same flags.
func TestSitesAgree(t *testing.T) {
	for _, format := range []policy.Format{policy.FormatBody, policy.FormatGzip, policy.FormatHTTP} {
		for name, s := range sites() {
			if format == policy.FormatGzip && s.Fragments != nil {
				continue
			}
			s.Format, s.GzipFlag = format, 4
			t.Run(string(format)+"/"+name, func(t *testing.T) {
				t.Parallel()
				c := readSite(t, &s)
				lacksVisitor := s.Key != "" && !strings.Contains(s.Key, "$visitor")
				for _, told := range []parity.Gateway{toldAll(t, &s), {Resolve: oneAddress, Visitors: s.Visitors}} {
					isWarned := false
					for _, f := range parity.Check(c, told) {
						if lacksVisitor && f.Code == "visitors-looked-up" && strings.Contains(f.Text, "the same keys: those with any other cookie that a page may depend on, such as ") {
							isWarned = true
						} else if f.Level != parity.Note {
							t.Errorf("%s: %s: %s: %s", f.Place, f.Level, f.Code, f.Text)
						}
					}
					if isWarned != lacksVisitor {
						t.Errorf("warned of visitors %t, want %t", isWarned, lacksVisitor)
					}
				}
			})
		}
	}
}

// readSite reads the printed site within nginx's other files.
func readSite(t *testing.T, s *snippet.Site) *nginxconf.Config {
	t.Helper()
	c, err := nginxconf.Read(filepath.Join(nginxtest.Frame(t, "", text(t, s)), "nginx.conf"), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func oneAddress(string) ([]string, error) { return []string{"127.0.0.1"}, nil }

// toldAll returns the gateway with the flags of the site.
func toldAll(t *testing.T, s *snippet.Site) parity.Gateway {
	t.Helper()
	g := parity.Gateway{
		Listen: listened(s), Key: s.Key, Hash: &s.Hash, Format: s.Format, GzipFlag: s.GzipFlag,
		Hits: parity.Hits{HitType: s.HitType, Adds: s.Adds}, IdentityCookies: s.Visitors.Cookies().Identity, VaryCookieAnonymous: true, Visitors: s.Visitors,
		Resolve: oneAddress,
	}
	if g.HitType == "" {
		g.HitType = "text/html; charset=utf-8"
	}
	for _, text := range s.Servers {
		server, err := cachewriter.ParseServer(text)
		if err != nil {
			t.Fatal(err)
		}
		g.Servers = append(g.Servers, server)
	}
	return g
}

// check says which sentinels serve needs for the fragments, until it has them.
func TestSentinelsOfFragments(t *testing.T) {
	s := snippet.Site{Gateways: []string{"unix:/run/uwgate.sock"}, Servers: []string{"127.0.0.1:11211"}, Fragments: []string{"/fragments/"}}
	c := readSite(t, &s)
	told := toldAll(t, &s)
	for _, tt := range []struct {
		sentinels []string
		fix       string
	}{
		{nil, "--sentinel csrfmiddlewaretoken --sentinel csrf_token --sentinel authenticity_token"},
		{[]string{"secret", "<!--#"}, "--sentinel secret"},
		{[]string{"<!--#"}, "--sentinel none"},
		{[]string{"secret"}, ""},
		{[]string{}, ""},
	} {
		told.Sentinels = tt.sentinels
		fix := ""
		for _, f := range parity.Check(c, told) {
			if f.Code == "ssi-sentinel" {
				fix = f.Fix.Text
			}
		}
		if fix != tt.fix {
			t.Errorf("%q: fix %q, want %q", tt.sentinels, fix, tt.fix)
		}
	}
}
