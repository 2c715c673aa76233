package snippet_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"uwgate/gateway/policy"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/snippet"
)

// Sites with different names live in one nginx, beside directives of the operator's own, and
// so do the parts of one site.
func TestPartsOfSeveralSites(t *testing.T) {
	program := nginxtest.Program(t)
	modules := nginxtest.Modules(t, program)
	for _, f := range []policy.Format{policy.FormatBody, policy.FormatGzip, policy.FormatHTTP} {
		for extra, some := range sitesByExtra() {
			t.Run(string(f)+"/"+extra, func(t *testing.T) {
				t.Parallel()
				conf, n := "", 0
				for name, s := range some {
					if s.Fragments != nil && f == policy.FormatGzip || s.Name != "" || strings.HasPrefix(name, "none") || strings.Contains(name, "unix") {
						continue
					}
					s.Format, s.GzipFlag, s.Listen = f, 2, []string{"127.0.0.1:18080"}
					if n == 0 {
						conf += text(t, &s)
					}
					n++
					for _, begin := range []string{"shop", "known", "my_blog2"} {
						s.Name = fmt.Sprintf("%s_%d", begin, n)
						conf += partsOf(t, s)
					}
				}
				dir := nginxtest.Frame(t, modules, "variables_hash_max_size 16384;\n"+conf+"# uwsgi_ssl_\n")
				out, err := exec.Command(program, append(nginxtest.Arguments(dir), "-t")...).CombinedOutput()
				if err != nil || strings.Contains(string(out), "[warn]") || strings.Contains(string(out), "[emerg]") {
					t.Errorf("nginx -t: %v\n%s\n%s", err, out, conf)
				}
			})
		}
	}
}

// partsOf writes a site with its server part in an operator's own server block.
func partsOf(t *testing.T, s snippet.Site) string {
	t.Helper()
	s.Part = snippet.PartHTTP
	around := text(t, &s)
	s.Part = snippet.PartServer
	server := text(t, &s)
	if found := regexp.MustCompile(`(?m)^\s*(listen|server_name|server)\b.*`).FindString(server); found != "" {
		t.Errorf("the server part has %q", found)
	}
	return around + "server {\nlisten 127.0.0.1:18081 ssl;\nserver_name " + strings.ReplaceAll(s.Name, "_", "-") + ".example.com;\n" +
		"ssl_certificate uwgate-ca.crt; ssl_certificate_key uwgate-client.key;\n" +
		"location /static/ { root /srv; }\n" + server + "}\n"
}

// The server part names the directives that nginx refuses a second time, and no others.
func TestOnceInServer(t *testing.T) {
	program := nginxtest.Program(t)
	for name, s := range sites() {
		if !strings.HasPrefix(name, "one tcp nobody") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.Part, s.ReadTimeout = snippet.PartHTTP, time.Minute
			around := text(t, &s)
			s.Part = snippet.PartServer
			server := text(t, &s)
			comment, _, _ := strings.Cut(server, "\n\n")
			_, once, _ := strings.Cut(comment+"\n", "yours:")
			seen := map[string]bool{}
			for _, m := range regexp.MustCompile(`(?m)^(location /|[a-z]\w*)[^;{#\n]*[;{]`).FindAllStringSubmatch(server, -1) {
				if seen[m[1]] || m[1] == "location" { // of a name of its own
					continue
				}
				seen[m[1]] = true
				second := strings.Replace(m[0], "{", "{}", 1)
				dir := nginxtest.Frame(t, "", around+"server {\n"+second+"\n"+server+"}\n# uwsgi_ssl_\n")
				out, err := exec.Command(program, append(nginxtest.Arguments(dir), "-t")...).CombinedOutput()
				isNamed, isRefused := strings.Contains(once, " "+m[1]+",") || strings.Contains(once, " "+m[1]+"\n"), err != nil
				if isRefused && !strings.Contains(string(out), "duplicate") || isNamed != isRefused {
					t.Errorf("a second %q: named %t, and nginx says %v\n%s", second, isNamed, err, out)
				}
			}
		})
	}
}

// What defines a name in nginx has the site's name at its end, and nothing else does.
func TestNames(t *testing.T) {
	defined := regexp.MustCompile(`(?m)^(?:map (?:"[^"]*"|\S+) |upstream |    set |    location @)(\S+)`)
	for name, s := range sites() {
		if s.Name != "" || len(s.Adds) > 0 { // TestHeadersOfSeveralSites has the others
			continue
		}
		for _, s.Format = range []policy.Format{policy.FormatBody, policy.FormatHTTP} {
			plain := text(t, &s)
			s.Name = snippet.DefaultName
			if text(t, &s) != plain {
				t.Errorf("%s: the default name makes a difference", name)
			}
			s.Name = "zz"
			named := text(t, &s)
			s.Name = ""
			for _, m := range defined.FindAllStringSubmatch(named, -1) {
				if !strings.HasSuffix(m[1], "_zz") && m[1] != "$memcached_key" {
					t.Errorf("%s: %q has no name of the site's own", name, m[0])
				}
			}
			if got := strings.ReplaceAll(named, "_zz", ""); got != plain {
				t.Errorf("%s: without the name the text differs:\n%s\n%s", name, got, plain)
			}
		}
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{"a-b", "A", "1a", "_a", "a_", "a__b", "é", "a b", "a.example"} {
		if snippet.CheckName(name) == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

// A value of a header that one site adds is not that of another site.
func TestHeadersOfSeveralSites(t *testing.T) {
	seen := map[string]string{}
	variable := regexp.MustCompile(`map \S+ (\$hits?_\S+)`)
	for _, site := range [][2]string{{"", "X-A-Shop"}, {"", "X-A"}, {"shop", "X-A"}, {"shop_x", "A"}, {"x", "A"}, {"x", "A-Shop"}, {"a_b", "C"}, {"a", "B-C"}, {"", "S-A-B-C"}, {"a", "-B"}} {
		s := snippet.Site{Name: site[0], Gateways: []string{"unix:/a"}, Servers: []string{"a:1"}}
		s.Adds = append(s.Adds, field(site[1], "1"))
		m := variable.FindStringSubmatch(text(t, &s))
		if m == nil {
			t.Fatalf("%v: no map", site)
		}
		if other, known := seen[m[1]]; known {
			t.Errorf("%v has the variable of %s, %s", site, other, m[1])
		}
		seen[m[1]] = site[0] + " " + site[1]
	}
}
