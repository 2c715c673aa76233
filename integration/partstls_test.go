package integration

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A sharing is a nginx with two sites, shop and blog, whose server blocks are the operator's
// own: they have TLS, static files, and include what `uwgate nginx --part` prints.
type sharing struct {
	*world
	addr string // of both
}

func startSharing(t *testing.T, format string) *sharing {
	t.Helper()
	w := start(t, stack.Config{App: filepath.Join("testdata", "printed"), Workers: 2, Format: format, ReadsNginx: true})
	s := &sharing{w, freeAddr(t)}
	cert, key := certificate(t, shortDir(t), "server")
	var conf strings.Builder
	for _, name := range []string{"shop", "blog"} {
		for _, part := range []string{"http", "server"} {
			w.writeFile("uwgate/"+name+"-"+part+".conf", w.printed("--format", format, "--part", part, "--name", name))
		}
		w.writeFile(name+"/static/a.txt", "a file of "+name)
		fmt.Fprintf(&conf, `
			include uwgate/%[1]s-http.conf;
			server {
				listen %[2]s ssl;
				server_name %[1]s.example.com;
				ssl_certificate %[3]s;
				ssl_certificate_key %[4]s;
				access_log off;
				location /static/ { root %[1]s; }
				include uwgate/%[1]s-server.conf;
			}`, name, s.addr, cert, key)
	}
	w.writeFile("site.conf", "variables_hash_max_size 2048;"+conf.String())
	if err := w.Nginx.Reload(); err != nil {
		t.Fatal(err)
	}
	w.eventually("nginx has both sites", func() bool { return stack.Connects(t.Context(), s.addr) == nil })
	if err := w.Uwgate.Reload(); err != nil {
		t.Fatal(err)
	}
	w.eventually("uwgate reads both sites", func() bool { return strings.Contains(w.Uwgate.Log(), "settings reloaded") })
	return s
}

// visit requests a page of a site.
func (s *sharing) visit(site, method, path string, headers ...string) page {
	s.t.Helper()
	var body io.Reader
	if method == "POST" {
		body = strings.NewReader("a=b")
	}
	req, err := http.NewRequest(method, "https://"+s.addr+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Host = site + ".example.com"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	p := s.want(s.send(&http.Transport{TLSClientConfig: &tls.Config{ServerName: req.Host, InsecureSkipVerify: true}}, req), 200)
	if method == "GET" && strings.HasPrefix(path, "/page") && !strings.Contains(p.body, "HTTP_HOST="+req.Host+"<") {
		s.t.Errorf("%s is a page of another site: %s", req.URL, p.body)
	}
	s.settle()
	return p
}

// Two sites share nginx, uwgate and memcached. Each has hits, and no page of the other.
func TestTwoSitesWithTLS(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := startSharing(t, format)
			sites, stored := []string{"shop", "blog"}, map[string]string{}
			for _, site := range sites {
				if p := s.visit(site, "GET", "/static/a.txt"); p.body != "a file of "+site {
					t.Errorf("the static file of %s is %q", site, p.body)
				}
				stored[site] = s.visit(site, "GET", "/page").body
				s.wantKey("https://" + site + ".example.com/page")
				if !strings.Contains(stored[site], "Scheme https") {
					t.Errorf("the page is not that for https: %s", stored[site])
				}
			}
			for _, site := range sites {
				if p := s.visit(site, "GET", "/page"); p.body != stored[site] {
					t.Errorf("%s: no hit", site)
				}
				if p := s.visit(site, "HEAD", "/page"); p.body != "" || p.header.Get("Content-Type") != "text/html; charset=utf-8" {
					t.Errorf("%s: HEAD: got %q %v", site, p.body, p.header)
				}
				if p := s.visit(site, "GET", "/page", member); p.body == stored[site] {
					t.Errorf("%s: a member got the page of strangers", site)
				}
			}
			s.visit("shop", "POST", "/page")
			if p := s.visit("shop", "GET", "/page"); p.body == stored["shop"] {
				t.Error("the page is still cached after a POST")
			}
			if p := s.visit("blog", "GET", "/page"); p.body != stored["blog"] {
				t.Error("a POST to one site deleted the page of the other")
			}
		})
	}
}
