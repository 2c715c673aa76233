package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// An addition is what a site has beside the printed configuration.
type addition struct {
	name     string
	server   string // in its server block
	location string // in location /
	fallback string // in location @uwgate, if location / needs it there as well
	site     string // in nginx's http context
	args     []string
	onlyBody bool // not for format http
	shows    func(p *printed)
}

func (a addition) start(t *testing.T, format string) *printed {
	t.Helper()
	files := shortDir(t)
	for name, text := range map[string]string{"static/a.css": "body {}", "files/f.txt": "a file", "404.html": "our 404", "50x.html": "our 50x", "maintenance.html": "back soon", "htpasswd": "ana:{PLAIN}s3cret\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(files, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(files, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	local := strings.NewReplacer("FILES", files)
	cfg := stack.Config{Format: format, Args: a.args, Site: local.Replace(a.site)}
	cfg.Edits = [][2]string{{"    location / {", local.Replace(a.server) + "\n    location / {\n" + local.Replace(a.location)}}
	if a.fallback != "" && format != "http" {
		cfg.Edits = append(cfg.Edits, [2]string{"location @uwgate {", "location @uwgate { " + a.fallback})
	}
	p := startPrinted(t, cfg)
	p.files = files
	return p
}

const member, unknown = "Cookie: sessionid=ana", "Cookie: theme=dark"

// wants sends a GET, for a page with these words.
func (p *printed) wants(target, lines string, status int, words string) page {
	p.t.Helper()
	got := p.fetch("GET", target, strings.TrimRight(host+"\n"+lines, "\n"))
	if got.err != nil || got.status != status || !strings.Contains(got.body, words) {
		p.t.Errorf("%s with %q: got %d %.400q, %v; want %d with %q", target, lines, got.status, got.body, got.err, status, words)
	}
	p.settle()
	return got
}

// neverHits requests a page three times, as strangers, and as all others in between.
func (p *printed) neverHits(target string, words string) {
	p.t.Helper()
	seen := map[string]bool{}
	for _, lines := range []string{member, "", "", unknown, "", "Cookie: csrftoken=x"} {
		got := p.wants(target, lines, 200, words)
		if seen[got.body] {
			p.t.Errorf("%s with %q is a hit", target, lines)
		}
		seen[got.body] = true
	}
}

// hits requests a page as all visitors, and wants hits for strangers.
func (p *printed) hits(target string, words string) page {
	p.t.Helper()
	own := p.wants(target, member, 200, words)
	first := p.wants(target, "", 200, words)
	for _, lines := range []string{"", "Cookie: csrftoken=x", ""} {
		if hit := p.wants(target, lines, 200, words); hit.body != first.body {
			p.t.Errorf("%s with %q is no hit: %q", target, lines, hit.body)
		}
	}
	if again := p.wants(target, member, 200, words); own.body == first.body || again.body == first.body {
		p.t.Errorf("%s: a member got the page of strangers", target)
	}
	return first
}

// calls is how often the application got such a request.
func (p *printed) calls(method, path string) int {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.Dir, "site", "calls"))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Count(string(b), method+" "+path+"\n")
}

var additions = []addition{
	{
		name: "own locations",
		server: `location = /old { rewrite ^ /new last; }
    location /static/ { root FILES; try_files $uri @app; }
    location @app { uwsgi_pass uwgate; }
    location /files/ { internal; root FILES; }
    location /tried { try_files $uri /new; }`,
		shows: func(p *printed) {
			p.neverHits("/old", "PATH_INFO=/new<")
			p.hits("/new", "PATH_INFO=/new<")
			p.neverHits("/old", "PATH_INFO=/new<")
			p.neverHits("/tried/x", "PATH_INFO=/new<")
			p.wants("/static/a.css", "", 200, "body {}")
			p.neverHits("/static/b.css", "PATH_INFO=/static/b.css<")
			for range 2 {
				p.wants("/accel/files/f.txt", "", 200, "a file")
				p.wants("/accel/files/f.txt", member, 200, "a file")
				p.neverHits("/accel/page", "PATH_INFO=/page<")
				p.wants("/files/f.txt", "", 404, "")
			}
			p.hits("/page", "PATH_INFO=/page<")
			p.neverHits("/accel/page", "PATH_INFO=/page<")
		},
	},
	{
		name:   "auth_request",
		server: `error_page 403 = /login; location = /auth { internal; uwsgi_pass uwgate; } location = /login { auth_request off; uwsgi_pass uwgate; }`, location: `auth_request /auth;`,
		shows: authorizes,
	},
	{name: "auth_request that could be looked up", location: `auth_request /auth;`, server: "error_page 403 = /login; location = /login { auth_request off; uwsgi_pass uwgate; }", shows: authorizes},
	{name: "auth_request of the whole server", server: `auth_request /auth; location = /auth { auth_request off; internal; uwsgi_pass uwgate; }`, shows: func(p *printed) {
		p.hits("/page", "PATH_INFO=/page<")
		p.wants("/page", "Cookie: no=1", 403, "")
	}},
	{name: "auth_request and a key of $uri", location: `auth_request /auth;`, args: []string{"--key", "$scheme://$host$uri$is_args$args"}, server: "error_page 403 = /login; location = /login { auth_request off; uwsgi_pass uwgate; }", shows: authorizes},
	{name: "mirror", server: `location = /mirror { internal; uwsgi_pass uwgate; }`, location: `mirror /mirror;`, shows: mirrors},
	{name: "mirror that could be looked up", location: `mirror /mirror;`, shows: mirrors},
	{name: "mirror and a key of $uri", location: `mirror /mirror;`, args: []string{"--key", "$scheme://$host$uri$is_args$args"}, shows: mirrors},
	{name: "ssi", location: `ssi on;`, fallback: `ssi on;`, shows: func(p *printed) {
		p.neverHits("/parts/1", "PATH_INFO=/part<")
		p.hits("/part?n=1", "PATH_INFO=/part<")
		p.neverHits("/parts/1", "PATH_INFO=/part<")
		p.hits("/plain", "PATH_INFO=/plain<")
	}},
	{name: "add_before_body", location: `add_before_body /before;`, fallback: `add_before_body /before;`, shows: func(p *printed) {
		p.neverHits("/page", "PATH_INFO=/before<")
		p.neverHits("/page", "PATH_INFO=/page<")
		if n := p.calls("GET", "/page"); n > 9 {
			p.t.Errorf("the application made /page %d times", n)
		}
		p.wants("/before", "", 200, "PATH_INFO=/before<")
	}},
	{
		name:   "error pages of nginx",
		server: errorPages,
		shows: func(p *printed) {
			for _, status := range []int{404, 405, 502, 504} {
				path := fmt.Sprintf("/status/%d", status)
				for i, lines := range []string{"", member, unknown} {
					p.fetch("POST", path, host+"\n"+lines+"\nContent-Length: 0")
					if n := p.calls("POST", path); n != i+1 {
						p.t.Errorf("POST %s with %q ran %d times", path, lines, n-i)
					}
				}
			}
			showsErrorPages(p)
		},
	},
	{name: "error pages of nginx, recursive", server: errorPages + "recursive_error_pages on;", shows: showsErrorPages},
	{name: "error pages for our own jumps", server: errorPages + "error_page 405 418 419 599 /404.html;", shows: showsErrorPages},
	{
		name:   "error pages of the application",
		server: `uwsgi_intercept_errors on; error_page 404 /status/404; error_page 503 /made; error_page 500 = /fresh;`,
		shows: func(p *printed) {
			for _, lines := range []string{"", member, unknown, "HX-Request: true", ""} {
				p.wants("/status/503", lines, 503, "PATH_INFO=/made<")
				p.wants("/status/500", lines, 200, "PATH_INFO=/fresh<")
				n := p.calls("GET", "/status/404")
				p.wants("/missing/../status/404", lines, 404, "")
				if n = p.calls("GET", "/status/404") - n; n > 2 {
					p.t.Errorf("with %q: an error page that fails is made %d times", lines, n)
				}
			}
			p.hits("/fresh", "PATH_INFO=/fresh<")
		},
	},
	{
		name:   "error pages for what nginx refuses",
		server: errorPages + `error_page 401 403 429 /404.html; auth_basic site; auth_basic_user_file FILES/htpasswd; location = /no { return 403; }`,
		shows: func(p *printed) {
			for _, lines := range []string{"", member, unknown} {
				if got := p.wants("/page", lines, 401, "our 404"); got.header.Get("WWW-Authenticate") != `Basic realm="site"` {
					p.t.Errorf("with %q: the head is %v", lines, got.header)
				}
			}
			p.wants("/no", "", 403, "our 404")
		},
	},
	{
		name: "a time limit", location: `uwsgi_read_timeout 300ms;`, fallback: `uwsgi_read_timeout 300ms;`,
		shows: func(p *printed) {
			for i, lines := range []string{"", member, unknown} {
				if got := p.fetch("POST", "/slow?0.6", strings.TrimRight(host+"\n"+lines, "\n")+"\nContent-Length: 0"); got.status != 504 {
					p.t.Errorf("with %q: got %d, %v", lines, got.status, got.err)
				}
				p.settle()
				if n := p.calls("POST", "/slow"); n != i+1 {
					p.t.Errorf("with %q: the POST ran %d times", lines, n-i)
				}
			}
		},
	},
	{
		name: "maintenance",
		server: `if (-f FILES/maintenance) { return 503; }
    error_page 503 @maintenance;
    location @maintenance { root FILES; rewrite ^ /maintenance.html break; }`,
		shows: isMaintained,
	},
	{
		name: "maintenance, rewritten",
		server: `if (-f FILES/maintenance) { rewrite ^ /maintenance.html last; }
    location = /maintenance.html { root FILES; }`,
		shows: isMaintained,
	},
	{
		name: "rewrites of the server",
		server: `rewrite ^/old/(.*)$ /new/$1 last;
    if ($http_user_agent ~ Mobile) { rewrite ^/both$ /mobile last; }
    rewrite ^/stays$ /gone break;`,
		shows: func(p *printed) {
			for range 2 {
				p.neverHits("/old/x", "PATH_INFO=/new/x<")
				p.hits("/new/x", "PATH_INFO=/new/x<")
				p.wants("/both", "User-Agent: Mobile", 200, "PATH_INFO=/mobile<")
				p.wants("/both", "", 200, "PATH_INFO=/both<")
				p.wants("/stays", "", 200, "PATH_INFO=/gone<")
			}
		},
	},
	{
		name: "limit_req", site: `limit_req_zone $http_x_tenant zone=few:1m rate=1r/m;`, location: `limit_req zone=few burst=3 nodelay;`,
		shows: func(p *printed) {
			p.hits("/page", "PATH_INFO=/page<")
			got := map[int]int{}
			for range 8 {
				got[p.fetch("GET", "/page", host+"\nX-Tenant: shop").status]++
			}
			if got[200] != 4 || got[503] != 4 {
				p.t.Errorf("got %v, want 4 pages and 4 refusals", got)
			}
		},
	},
	{
		name: "auth_basic", location: `if ($http_x_tenant) { return 403; } auth_basic site; auth_basic_user_file FILES/htpasswd;`,
		shows: func(p *printed) {
			const ana = "Authorization: Basic YW5hOnMzY3JldA=="
			for range 2 {
				p.wants("/page", "", 401, "")
				p.wants("/page", member, 401, "")
				p.wants("/page", ana, 200, "PATH_INFO=/page<")
				p.wants("/page", "X-Tenant: shop", 403, "")
				p.put("http://shop.example/page", "<p>Copy, PATH_INFO=/page< of the cache</p>")
				p.wants("/page", "", 401, "")
			}
		},
	},
	{
		// With format http a hit is served whatever the access modules say.
		name: "satisfy any", onlyBody: true, location: `satisfy any; deny all; auth_basic site; auth_basic_user_file FILES/htpasswd;`,
		shows: func(p *printed) {
			p.wants("/page", "", 401, "")
			p.wants("/page", "Authorization: Basic YW5hOnMzY3JldA==", 200, "PATH_INFO=/page<")
			p.put("http://shop.example/page", "cached")
			p.wants("/page", "", 401, "")
			p.wants("/page", member, 401, "")
		},
	},
	{
		name: "gzip", server: `gzip on; gzip_min_length 1; gzip_proxied any; gzip_vary on;`,
		shows: func(p *printed) {
			first := p.hits("/page", "PATH_INFO=/page<")
			for _, lines := range []string{"", member} {
				packed := p.fetch("GET", "/page", strings.TrimRight(host+"\nAccept-Encoding: gzip\n"+lines, "\n"))
				if packed.header.Get("Content-Encoding") != "gzip" || !strings.Contains(inflated(p.t, packed.body), "PATH_INFO=/page<") || lines == "" && inflated(p.t, packed.body) != first.body {
					p.t.Errorf("with %q: got %v %.40q", lines, packed.header, packed.body)
				}
			}
		},
	},
}

const errorPages = `uwsgi_intercept_errors on;
    error_page 404 /404.html; error_page 500 502 503 504 /50x.html;
    location = /404.html { internal; auth_basic off; root FILES; }
    location = /50x.html { internal; auth_basic off; root FILES; }
    `

// showsErrorPages wants the server's error pages for all visitors, whoever makes the error.
func showsErrorPages(p *printed) {
	p.t.Helper()
	visitors := []string{"", member, unknown, "HX-Request: true", "Authorization: x"}
	for _, lines := range visitors {
		p.wants("/status/404", lines, 404, "our 404")
		p.wants("/status/503", lines, 503, "our 50x")
		p.wants("/status/500", lines, 500, "our 50x")
		p.wants("/status/403", lines, 403, "PATH_INFO=/status/403<") // for which there is none
	}
	p.hits("/page", "PATH_INFO=/page<")
	p.Uwgate.Kill()
	p.UWSGI.Kill()
	for _, lines := range visitors {
		p.fails("/cold", lines, 502, "our 50x")
	}
	p.fails("/page", "", 200, "PATH_INFO=/page<")
}

// fails is wants without a gateway.
func (p *printed) fails(target, lines string, status int, words string) {
	p.t.Helper()
	got := p.fetch("GET", target, strings.TrimRight(host+"\n"+lines, "\n"))
	if got.err != nil || got.status != status || !strings.Contains(got.body, words) {
		p.t.Errorf("%s with %q: got %d %.400q, %v; want %d with %q", target, lines, got.status, got.body, got.err, status, words)
	}
}

func authorizes(p *printed) {
	p.t.Helper()
	p.wants("/page", "Cookie: no=1", 200, "PATH_INFO=/login<")
	p.hits("/page", "PATH_INFO=/page<")
	p.hits("/page?x", "QUERY_STRING=x<")
	p.wants("/page", "Cookie: no=1", 200, "PATH_INFO=/login<")
	p.wants("/page", "Cookie: no=1; sessionid=ana", 200, "PATH_INFO=/login<")
	p.hits("/other", "PATH_INFO=/other<")
	p.wants("/login", "", 200, "PATH_INFO=/login<")
	p.hits("/page", "PATH_INFO=/page<")
}

func mirrors(p *printed) {
	p.t.Helper()
	p.hits("/page", "PATH_INFO=/page<")
	p.hits("/other", "PATH_INFO=/other<")
	p.hits("/page", "PATH_INFO=/page<")
	p.wants("/mirror", "", p.fetch("GET", "/mirror", host).status, "")
	n := p.calls("POST", "/page")
	p.fetch("POST", "/page", host+"\nContent-Length: 5\n\nhello")
	if got := p.calls("POST", "/page") - n; got != 1 {
		p.t.Errorf("the POST ran %d times", got)
	}
}

// isMaintained makes the site show its page of maintenance for a while.
func isMaintained(p *printed) {
	p.t.Helper()
	p.hits("/page", "PATH_INFO=/page<")
	flag := filepath.Join(p.files, "maintenance")
	if err := os.WriteFile(flag, nil, 0o644); err != nil {
		p.t.Fatal(err)
	}
	for _, lines := range []string{"", member, unknown, "HX-Request: true"} {
		for _, target := range []string{"/page", "/cold"} {
			got := p.fetch("GET", target, host+"\n"+lines)
			if got.body != "back soon" {
				p.t.Errorf("%s with %q: got %d %.200q", target, lines, got.status, got.body)
			}
		}
	}
	if err := os.Remove(flag); err != nil {
		p.t.Fatal(err)
	}
	p.hits("/page", "PATH_INFO=/page<")
	p.hits("/cold", "PATH_INFO=/cold<")
}

// The printed configuration serves the right pages beside what real sites add to it.
func TestPrintedBeside(t *testing.T) {
	t.Parallel()
	for _, a := range additions {
		for _, format := range []string{"body", "http"} {
			if a.onlyBody && format != "body" {
				continue
			}
			t.Run(a.name+"/"+format, func(t *testing.T) {
				t.Parallel()
				a.shows(a.start(t, format))
			})
		}
	}
}
