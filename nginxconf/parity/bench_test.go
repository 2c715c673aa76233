package parity

import (
	"fmt"
	"strings"
	"testing"

	"uwgate/nginxconf"
	"uwgate/nginxconf/snippet"
)

// The time for a configuration must grow as its size does: a hosting company has thousands
// of sites in one nginx.
func BenchmarkCheck(b *testing.B) {
	for _, kind := range []struct {
		name  string
		write func(n int) string
	}{
		{"mistakes", sitesWithMistakes}, {"shared", sitesOfOneKey}, {"subrequests", sitesWithSubrequests}, {"names", sitesOfManyNames},
		{"locations", siteOfManyLocations}, {"upstreams", sitesOfManyUpstreams}, {"printed", printedSites},
	} {
		for _, n := range []int{500, 2000} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, n), func(b *testing.B) {
				text := kind.write(n)
				for b.Loop() {
					checkAndFix(b, text)
				}
			})
		}
	}
}

// checkAndFix does what `check --diff` does.
func checkAndFix(b *testing.B, text string) {
	c, err := nginxconf.Parse("nginx.conf", text)
	if err != nil {
		b.Fatal(err)
	}
	var fixes []Fix
	for _, f := range Check(c, Gateway{Listen: []string{"127.0.0.1:3030"}, Resolve: oneAddress}) {
		fixes = append(fixes, f.Fix)
	}
	Routes(c, Gateway{Listen: []string{"127.0.0.1:3030"}})
	if _, err := nginxconf.Edited("nginx.conf", text, Together(fixes).Edits); err != nil {
		b.Fatal(err)
	}
}

const benchUpstreams = "upstream workers { server 127.0.0.1:3030; }\nupstream pages { server 127.0.0.1:11211; server 127.0.0.2:11211; }\n"

// ofServers writes n server blocks, in which %[1]d is their number.
func ofServers(n int, server string) string {
	var all strings.Builder
	all.WriteString("http {\n" + benchUpstreams)
	for i := range n {
		fmt.Fprintf(&all, "server {\nlisten 80; server_name www%[1]d.example.com;\n"+server+"}\n", i)
	}
	all.WriteString("}\n")
	return all.String()
}

func sitesWithMistakes(n int) string {
	return ofServers(n, `set $memcached_key $host$uri; add_header X-Frame-Options DENY;
location / { memcached_pass pages; add_header X-A b; error_page 404 = @app; if ($cookie_sessionid) { uwsgi_pass workers; } }
location /static%[1]d/ { root /srv; auth_request /auth; }
location = /auth { uwsgi_pass workers; }
location @app { uwsgi_pass workers; uwsgi_param REQUEST_URI $uri; uwsgi_param CACHE_KEY $uri; }
`)
}

func sitesOfOneKey(n int) string {
	return ofServers(n, `set $memcached_key $uri; location / { memcached_pass pages; error_page 404 = @app; }
location @app { uwsgi_pass workers; uwsgi_param SITE %[1]d; }
`)
}

func sitesWithSubrequests(n int) string {
	text := ofServers(n, `set $memcached_key $host$request_uri; location / { memcached_pass pages; error_page 404 = @app; }
location @app { uwsgi_pass workers; }
`)
	return strings.Replace(text, "http {", "http {\nssi on; auth_request /auth; mirror /mirror; add_before_body /head;", 1)
}

func sitesOfManyNames(n int) string {
	return ofServers(n, `server_name www%[1]d.example.org *.w%[1]d.example.com .x%[1]d.example.com www.example.* ~^y%[1]d\.; listen 127.0.0.1:8080;
set $memcached_key $host$request_uri; location / { memcached_pass pages; error_page 404 = @app; } location @app { uwsgi_pass workers; }
`)
}

func sitesOfManyUpstreams(n int) string {
	text := ofServers(n, `set $memcached_key $host$request_uri; location / { memcached_pass pages%[1]d; error_page 404 = @app; } location @app { uwsgi_pass workers%[1]d; }
`)
	for i := range n {
		text = strings.Replace(text, "server {", fmt.Sprintf("upstream pages%[1]d { server 127.0.0.1:%[2]d; }\nupstream workers%[1]d { server unix:/run/%[1]d.sock; server 127.0.0.1:3030 backup; }\nserver {", i, 11211+i), 1)
	}
	return text
}

func siteOfManyLocations(n int) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "location /a%d/ { set $memcached_key $host$uri; memcached_pass pages; error_page 404 = @app; }\n", i)
	}
	return ofServers(1, all.String()+"location @app { uwsgi_pass workers; }\n")
}

func printedSites(n int) string {
	var all strings.Builder
	for i := range n {
		s := snippet.Site{Name: fmt.Sprintf("s%d", i), Names: []string{fmt.Sprintf("www%d.example.com", i)}, Gateways: []string{"127.0.0.1:3030"}, Servers: []string{"127.0.0.1:11211"}}
		if err := s.Write(&all); err != nil {
			panic(err)
		}
	}
	return "http {\n" + strings.ReplaceAll(all.String(), "include ", "# include ") + "}\n"
}
