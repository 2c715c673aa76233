package snippet_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/snippet"
	"uwgate/uwsgi"
)

// nginx accepts sites with every combination of options. Those with the same extra are in
// one nginx, each under a name of its own; TestNames shows that only the names differ.
func TestNginxAcceptsSites(t *testing.T) {
	program := nginxtest.Program(t)
	modules := nginxtest.Modules(t, program)
	for extra, some := range sitesByExtra() {
		for kind, formats := range map[string][]policy.Format{"memcached": {policy.FormatBody, policy.FormatGzip}, "memc": {policy.FormatHTTP}} {
			t.Run(kind+"/"+extra, func(t *testing.T) {
				t.Parallel()
				loaded := ""
				if kind == "memc" {
					loaded = modules
				}
				conf := manySites(t, some, formats)
				dir := nginxtest.Frame(t, loaded, conf)
				out, err := exec.Command(program, append(nginxtest.Arguments(dir), "-t")...).CombinedOutput()
				if err != nil || strings.Contains(string(out), "[warn]") || strings.Contains(string(out), "[emerg]") {
					t.Errorf("nginx -t: %v\n%s\n%s", err, out, conf)
				}
			})
		}
	}
}

// manySites writes sites in all formats that they can have, each with its own name and
// address. The first one has no name, unless it needs one.
func manySites(t *testing.T, some map[string]snippet.Site, formats []policy.Format) string {
	t.Helper()
	var all strings.Builder
	all.WriteString("variables_hash_max_size 16384;\n")
	n := 0
	for _, f := range formats {
		for name, s := range some {
			if f == policy.FormatGzip && s.Fragments != nil {
				continue
			}
			s.Format, s.GzipFlag, s.Listen = f, 2, []string{fmt.Sprintf("unix:/tmp/never%d", n)}
			if n > 0 || s.Name != "" {
				s.Name = fmt.Sprintf("s%d", n)
			}
			n++
			fmt.Fprintf(&all, "# %s/%s\n%s\n", f, name, text(t, &s))
		}
	}
	return all.String()
}

// sitesByExtra are the sites of each extra.
func sitesByExtra() map[string]map[string]snippet.Site {
	all := map[string]map[string]snippet.Site{}
	for name, s := range sites() {
		extra := name[strings.LastIndexByte(name, ' ')+1:]
		if all[extra] == nil {
			all[extra] = map[string]snippet.Site{}
		}
		all[extra][name] = s
	}
	return all
}

// sites are all combinations of options except the format.
func sites() map[string]snippet.Site {
	servers := map[string][]string{
		"tcp":  {"127.0.0.1:11211", "[::1]:11212", "localhost:11213"},
		"unix": {"unix:/run/m1.sock", "unix:/run/m;2.sock", `unix:/run/m"3'\.sock`},
	}
	hashes := map[string]cachewriter.Method{"consistent": cachewriter.Consistent, "modulo": cachewriter.Modulo, "none": cachewriter.All, "one": cachewriter.All}
	cookies := map[string]*policy.Visitors{"identity": nil, "nobody": policy.NewVisitors(policy.VisitorNames{IdentityCookies: []string{"none"}, HarmlessCookies: []string{"theme"}})}
	extras := map[string]func(*snippet.Site){
		"plain": func(*snippet.Site) {},
		"hits": func(s *snippet.Site) {
			s.HitsTo = "unix:/run/uwgate;hits.sock"
		},
		"adds": func(s *snippet.Site) {
			s.Adds = []uwsgi.Field{{Name: "X-Frame-Options", Value: "DENY"}, {Name: "Link", Value: `</a;b>; rel="next"`}, {Name: "Link", Value: `</\n>; rel=up`}}
			s.Key = `p:"$host"\n$uri`
			s.HitType = "application/json; charset=utf-8"
			s.Names = []string{"example.com", "*.example.com", `~^www\d+\.example\.(org|net)$`}
		},
		"tracking": func(s *snippet.Site) {
			s.Gateways, s.Secure, s.ClientCert = []string{"10.0.0.5:3030"}, true, true
			s.IgnoreArgs = snippet.TrackingArgs
			s.HitType = "text/plain"
		},
		"proxy": func(s *snippet.Site) {
			s.ForwardedProto = true
		},
		"backup": func(s *snippet.Site) {
			s.Backups = []string{"unix:/run/app;1.sock weight=2", "127.0.0.1:3031"}
			s.ReadTimeout = 81500 * time.Millisecond
		},
		"fragments": func(s *snippet.Site) {
			s.Fragments, s.Name = []string{"/fragments/", "/a;b/"}, "shop"
		},
		"far": func(s *snippet.Site) {
			s.Gateways, s.Backups = []string{"10.0.0.5:3030", "[fd00::5]:3030"}, []string{"10.0.0.7:3031"}
		},
		"alone": func(s *snippet.Site) {
			s.Gateways, s.NoBackup = []string{"unix:/run/uwgate.sock", "127.0.0.1:3030"}, "only uwgate knows which server has which host"
		},
		"second": func(s *snippet.Site) {
			s.Name, s.Names = "blog", []string{"blog.example.com"}
		},
		"named": func(s *snippet.Site) {
			s.Name, s.ForwardedProto, s.IgnoreArgs = "shop", true, snippet.TrackingArgs
			s.Adds = []uwsgi.Field{{Name: "X-Frame-Options", Value: "DENY"}}
		},
	}
	all := map[string]snippet.Site{}
	for place, lines := range servers {
		for hash, method := range hashes {
			for who, visitors := range cookies {
				for extra, add := range extras {
					s := snippet.Site{Gateways: []string{"unix:/run/uwgate.sock"}, Hash: method, Visitors: visitors}
					s.Servers = []string{lines[0] + " weight=2", lines[1] + " max_fails=3 fail_timeout=1s", lines[2] + " down"}
					if hash == "one" {
						s.Servers = lines[:1]
					}
					add(&s)
					all[strings.Join([]string{hash, place, who, extra}, " ")] = s
				}
			}
		}
	}
	return all
}
