package parity

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/snippet"
)

// looked are the directives of a lookup in the configurations below.
const looked = `default_type text/html; charset utf-8; memcached_pass memcached; memcached_connect_timeout 200ms;
	memcached_read_timeout 500ms;`

// site is a configuration with the server's lines. LOOKUP stands for looked.
func site(http, server string) string {
	return `events {}
http {
	include mime.types;
	upstream uwgate { server 127.0.0.1:3030; }
	upstream memcached { server 127.0.0.1:11211 max_fails=0; }
	` + http + `
	server {
		listen 127.0.0.1:18080;
		server_name example.com;
		include uwsgi_params;
		uwsgi_param HTTP_HOST $host;
		set $memcached_key "$scheme://$host$request_uri";
` + strings.ReplaceAll(server, "LOOKUP", looked) + `
	}
}
`
}

// readSite reads such a configuration from a folder of its own.
func readSite(t *testing.T, conf string) *nginxconf.Config {
	t.Helper()
	dir := nginxtest.Frame(t, "", "")
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	if program, err := exec.LookPath("nginx"); err == nil {
		if out, err := exec.Command(program, append(nginxtest.Arguments(dir), "-t", "-g", "pid x.pid;")...).CombinedOutput(); err != nil && !strings.Contains(string(out), "unknown directive") {
			t.Fatalf("nginx -t: %v\n%s", err, out)
		}
	}
	c, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// of returns the levels of the findings with that code.
func of(found []Finding, code Code) (levels []string) {
	for _, f := range found {
		if f.Code == code {
			levels = append(levels, string(f.Level))
		}
	}
	return levels
}

// An error page that leads to a lookup leaves the lookup's own error_page without effect,
// unless errors are recursive. nginx -t accepts that, and answers every miss with 404.
func TestMissOfAnErrorPage(t *testing.T) {
	const (
		lookup = "LOOKUP error_page 404 405 502 504 = @app; }"
		app    = "uwsgi_param CACHE_STATUS $upstream_status; location @app { uwsgi_pass uwgate; }"
	)
	for _, tt := range []struct{ name, server, want string }{
		{"a missing file", "error_page 404 = @cache; location / { root /srv; try_files $uri =404; } location @cache { " + lookup + app, "error"},
		{"a missing file, static", "error_page 404 = @cache; location / { root /srv; } location @cache { " + lookup + app, "error"},
		{"return", "location / { error_page 418 = @cache; return 418; } location @cache { " + lookup + app, "error"},
		{"a second lookup", "location / { LOOKUP error_page 404 405 502 504 = @cache; } location @cache { " + lookup + app, "warning error"},
		{"recursive there", "error_page 404 = @cache; location / { root /srv; try_files $uri =404; recursive_error_pages on; } location @cache { " + lookup + app, ""},
		{"recursive at the lookup alone", "error_page 404 = @cache; location / { root /srv; try_files $uri =404; } location @cache { recursive_error_pages on; " + lookup + app, "error"},
		{"try_files", "location / { root /srv; try_files $uri @cache; } location @cache { " + lookup + app, ""},
		{"other requests come directly", "error_page 404 /lost; location /static/ { root /srv; } location / { " + lookup + app, ""},
		{"srcache", "error_page 404 = @cache; location / { root /srv; } location @cache { srcache_fetch GET /memc $memcached_key; uwsgi_pass uwgate; } location = /memc { internal; set $memc_key $query_string; memc_pass memcached; } uwsgi_param CACHE_STATUS $srcache_fetch_status;", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := readSite(t, site("", tt.server))
			check := func(c *nginxconf.Config) string { return strings.Join(of(Check(c, Gateway{}), missNowhere), " ") }
			if got := check(c); got != tt.want {
				t.Fatalf("miss-nowhere is %q, want %q", got, tt.want)
			}
			if tt.want == "" {
				return
			}
			if len(of(Refusals(c, Gateway{}), missNowhere)) == 0 {
				t.Error("serve does not refuse it")
			}
			for _, f := range Check(c, Gateway{}) {
				if f.Code == missNowhere && f.Level == Error && !strings.Contains(f.Fix.String(), "recursive_error_pages on;") {
					t.Errorf("the fix is %q", f.Fix)
				}
			}
		})
	}
}

// A file that nginx.conf includes by its path may not lie beside nginx.conf.
func TestParamsOfAnotherFolder(t *testing.T) {
	away := filepath.Join(t.TempDir(), "uwsgi_params")
	if err := os.WriteFile(away, []byte("uwsgi_param REQUEST_METHOD $request_method;\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	conf := strings.ReplaceAll(site("", "location / { LOOKUP error_page 404 405 502 504 = @app; } location @app { uwsgi_param A b; uwsgi_pass uwgate; }"), "include uwsgi_params;", "include "+away+";")
	for _, f := range Check(readSite(t, conf), Gateway{}) {
		if f.Code == noMethod && !strings.Contains(f.Fix.String(), "include \""+away+"\";") {
			t.Errorf("the fix is %q", f.Fix)
		}
	}
}

// What denies access behind a lookup alone does not keep anybody from hits.
func TestAccessBehindTheLookup(t *testing.T) {
	const app = " LOOKUP error_page 404 405 502 504 = @app; } uwsgi_param CACHE_STATUS $upstream_status; location = /auth { internal; return 204; } location @app { uwsgi_pass uwgate; "
	for _, tt := range []struct{ name, server, want string }{
		{"deny", "location / {" + app + "allow 10.0.0.0/8; deny all; }", "error"},
		{"auth_request", "location / {" + app + "auth_request /auth; }", "error"},
		{"auth_basic: Authorization keeps most pages from being stored", "location / {" + app + "auth_basic a; auth_basic_user_file /x; }", "warning"},
		{"deny in both", "location / { allow 10.0.0.0/8; deny all;" + app + "allow 10.0.0.0/8; deny all; }", ""},
		{"deny at the server", "deny 10.0.0.1; location / {" + app + "}", ""},
		{"auth_request at the server, and off", "auth_request /auth; location / { auth_request off; " + app + "}", "error"},
		{"off behind the lookup", "auth_request /auth; location / {" + app + "auth_request off; }", ""},
		{"at the lookup alone", "location / { auth_request /auth; deny 10.0.0.1;" + app + "}", ""},
		{"of others", "location / {" + app + "} location /admin/ { deny all; uwsgi_pass uwgate; }", ""},
		{"allow alone", "location / {" + app + "allow 10.0.0.0/8; }", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := readSite(t, site("", tt.server))
			if got := strings.Join(of(Check(c, Gateway{}), accessDiffers), " "); got != tt.want {
				t.Errorf("access-differs is %q, want %q", got, tt.want)
			}
			if refused := len(of(Refusals(c, Gateway{}), accessDiffers)) > 0; refused != (tt.want == "error") {
				t.Errorf("refused by serve is %v", refused)
			}
		})
	}
}

// Requests that reach the gateway without a lookup must not count as misses. If nginx
// looks up other requests for the same URLs, check reports an error, and serve --nginx
// does not start. With CACHE_STATUS handed over nothing is wrong.
func TestDiverted(t *testing.T) {
	const (
		refused  = "error"   // by check and by serve
		wasteful = "warning" // for check alone
		harmless = "note"    // for check alone
		fine     = ""
	)
	const lookupAt405 = "LOOKUP error_page 404 405 502 504 = @app; } location @app { uwsgi_pass uwgate; }"
	for _, tt := range []struct{ name, server, want string }{
		{"nothing", "location / { " + lookupAt405, fine},

		{"return 405", "location / { if ($cookie_member) { return 405; } " + lookupAt405, refused},
		{"return 404", "location / { if ($cookie_member) { return 404; } " + lookupAt405, refused},
		{"return 502", "location / { if ($http_x_member) { return 502; } " + lookupAt405, refused},
		{"return 504", "location / { if ($arg_member = 1) { return 504; } " + lookupAt405, refused},
		{"return 503, own page", "error_page 503 = @app; location / { if (-f /tmp/maintenance) { return 503; } LOOKUP error_page 404 405 502 503 504 = @app; } location @app { uwsgi_pass uwgate; }", refused},
		{"return 418", "location / { error_page 404 405 418 502 504 = @app; if ($cookie_member) { return 418; } LOOKUP } location @app { uwsgi_pass uwgate; }", refused},
		{"error_page within the if", "location / { if ($cookie_member) { error_page 410 = @app; return 410; } " + lookupAt405, refused},
		{"inherited from the server", "error_page 404 405 418 502 504 = @app; location / { if ($cookie_member) { return 418; } LOOKUP } location @app { uwsgi_pass uwgate; }", refused},
		{"inherited from an outer location", "location / { error_page 404 405 418 502 504 = @app; location /shop/ { if ($cookie_member) { return 418; } LOOKUP } } location @app { uwsgi_pass uwgate; }", refused},
		{"return in the server", "if ($cookie_member) { return 405; } error_page 404 405 502 504 = @app; location / { LOOKUP } location @app { uwsgi_pass uwgate; }", refused},
		{"return of a redirect", "location / { error_page 302 = @app; if ($cookie_member) { return 302 /login; } " + lookupAt405, refused},
		{"rewrite to a redirect", "location / { error_page 302 404 405 502 504 = @app; if ($cookie_member) { rewrite ^ /login redirect; } LOOKUP } location @app { uwsgi_pass uwgate; }", refused},
		{"through another named location", "location / { error_page 418 = @member; if ($cookie_member) { return 418; } " + lookupAt405 + " location @member { recursive_error_pages on; error_page 403 = @app; deny all; }", fine}, // error_page counts once
		{"through another named location, recursive", "recursive_error_pages on; location / { error_page 418 = @member; error_page 404 405 502 504 = @app; if ($cookie_member) { return 418; } LOOKUP } location @member { error_page 403 = @app; deny all; } location @app { uwsgi_pass uwgate; }", refused},

		{"a file that is not there", "location / { if ($cookie_guest) { memcached_pass memcached; } default_type text/html; charset utf-8; memcached_connect_timeout 200ms; memcached_read_timeout 500ms; error_page 404 405 502 504 = @app; } location @app { uwsgi_pass uwgate; }", refused},
		{"try_files with a status", "location / { if ($cookie_guest) { memcached_pass memcached; } try_files $uri =404; default_type text/html; error_page 404 405 502 504 = @app; } location @app { uwsgi_pass uwgate; }", refused},
		{"try_files to the pass", "location / { if ($cookie_guest) { memcached_pass memcached; } try_files $uri @app; default_type text/html; error_page 404 405 502 504 = @app; } location @app { uwsgi_pass uwgate; }", refused},
		{"the pass behind the lookup's if", "location / { if ($cookie_guest) { memcached_pass memcached; } uwsgi_pass uwgate; error_page 404 405 502 504 = @app; } location @app { uwsgi_pass uwgate; }", refused},
		{"another upstream's error", "location / { if ($cookie_member) { uwsgi_pass 127.0.0.1:3031; } " + lookupAt405, refused},
		{"an intercepted error", "location / { LOOKUP error_page 404 405 502 504 = @app; } location @app { recursive_error_pages on; uwsgi_intercept_errors on; error_page 503 = @sorry; uwsgi_pass uwgate; } location @sorry { uwsgi_pass uwgate; }", refused}, // error_page counts once, but nothing else is known to lead there
		{"an intercepted error, recursive", "recursive_error_pages on; location / { LOOKUP error_page 404 405 502 504 = @app; } location @app { uwsgi_intercept_errors on; error_page 503 = @sorry; uwsgi_pass uwgate; } location @sorry { uwsgi_pass uwgate; }", refused},

		{"limit_req", "limit_req zone=z; location / { LOOKUP error_page 404 405 502 503 504 = @app; } location @app { uwsgi_pass uwgate; }", refused},
		{"limit_req_status", "location / { limit_req zone=z; limit_req_status 404; " + lookupAt405, refused},
		{"limit_req, no page for it", "location / { limit_req zone=z; " + lookupAt405, fine},
		{"limit_conn", "location / { limit_conn c 1; limit_conn_status 429; error_page 404 405 429 502 504 = @app; LOOKUP } location @app { uwsgi_pass uwgate; }", refused},
		{"auth_basic", "location / { auth_basic x; auth_basic_user_file users; error_page 401 404 405 502 504 = @app; LOOKUP } location @app { auth_basic off; uwsgi_pass uwgate; }", refused},
		{"auth_basic off", "auth_basic x; location / { auth_basic off; error_page 401 404 405 502 504 = @app; LOOKUP } location @app { uwsgi_pass uwgate; }", fine},
		{"auth_request", "location / { auth_request /auth; error_page 401 404 405 502 504 = @app; LOOKUP } location = /auth { internal; proxy_pass http://127.0.0.1:9000; } location @app { auth_request off; uwsgi_pass uwgate; }", refused},
		{"deny", "location / { allow 10.0.0.0/8; deny all; error_page 403 404 405 502 504 = @app; LOOKUP } location @app { allow all; uwsgi_pass uwgate; }", refused},
		{"deny elsewhere", "deny 10.0.0.1; location / { allow all; error_page 403 404 405 502 504 = @app; LOOKUP } location @app { uwsgi_pass uwgate; }", fine},
		{"limit_except of other methods", "location / { limit_except GET { deny all; } error_page 403 404 405 502 504 = @app; LOOKUP } location @app { uwsgi_pass uwgate; }", fine},
		{"limit_except of GET, which takes the rewrites away", "location / { " + lookupAt405 + " location /in/ { return 403; limit_except POST { deny all; } error_page 403 = @app; }", harmless},
		{"break after a rewrite", "location / { LOOKUP error_page 404 405 502 504 = @b; } location @b { rewrite ^ /in/x; break; uwsgi_pass uwgate; } location /in/ { internal; uwsgi_pass 127.0.0.1:3031; }", fine},

		{"rewrite to another location", "location / { if ($cookie_member) { rewrite ^ /member/; } " + lookupAt405 + " location /member/ { uwsgi_pass uwgate; }", refused},
		{"rewrite of the server", "if ($cookie_member) { rewrite ^(.*)$ /member$1; } location / { " + lookupAt405 + " location /member/ { uwsgi_pass uwgate; }", refused},

		{"a rewrite of the server to an internal location", "rewrite ^/old /inner/x; location / { " + lookupAt405 + " location /inner/ { internal; uwsgi_pass uwgate; }", refused},
		{"a rewrite of the server for some, and a location of its own for all", "if ($cookie_member) { rewrite ^/in(.*)$ /shop$1; } location / { " + lookupAt405 + " location /in/ { uwsgi_pass uwgate; }", refused},
		{"rewrites in a circle", "location / { " + lookupAt405 + " location /b/ { rewrite ^/b/(.*)$ /b/$1/ last; error_page 500 = @app; }", refused},
		{"a redirect whose page is redirected", "recursive_error_pages on; error_page 302 /old; rewrite ^/old /new redirect; location / { " + lookupAt405, fine},

		{"another location", "location / { " + lookupAt405 + " location /api/ { uwsgi_pass uwgate; }", wasteful},
		{"files of another location", "error_page 404 405 502 504 = @app; location / { LOOKUP } location /static/ { root /srv; } location @app { uwsgi_pass uwgate; }", harmless},
		{"an internal location", "error_page 404 405 502 504 = @app; location / { LOOKUP } location /inner/ { internal; root /srv; } location @app { uwsgi_pass uwgate; }", harmless},
		{"another location's denial", "error_page 403 404 405 502 504 = @app; location / { LOOKUP } location /admin/ { deny all; } location @app { uwsgi_pass uwgate; }", harmless},

		{"other methods before", "location / { if ($request_method = POST) { return 405; } if ($request_method !~ ^(GET|HEAD)$) { return 418; } " + lookupAt405, fine},
		{"the lookup for GET alone", "location / { if ($request_method = GET) { memcached_pass memcached; } default_type text/html; uwsgi_pass uwgate; error_page 404 502 504 = @app; } location @app { uwsgi_pass uwgate; }", fine},
		{"an answer of nginx's own", "location / { if ($http_user_agent ~ bot) { return 404 \"no bots\"; } if ($arg_x) { return 204; } if ($arg_y) { return 444; } " + lookupAt405, fine},
		{"a status without a page", "location / { if ($http_user_agent ~ bot) { return 403; } " + lookupAt405, fine},
		{"a page elsewhere", "location / { error_page 403 /403.html; if ($http_user_agent ~ bot) { return 403; } " + lookupAt405 + " location = /403.html { internal; root /srv; }", fine},
		{"files before the lookup", "location / { try_files $uri @cache; } location @cache { " + lookupAt405, fine},
		{"two lookups, one pass", "location /a/ { LOOKUP error_page 404 405 502 504 = @app; } location / { " + lookupAt405, fine},
	} {
		t.Run(tt.name, func(t *testing.T) {
			http := "limit_req_zone $binary_remote_addr zone=z:1m rate=1r/s; limit_conn_zone $binary_remote_addr zone=c:1m;"
			c := readSite(t, site(http, tt.server))
			for _, g := range []Gateway{{}, {Key: snippet.DefaultKey}, {Listen: []string{"127.0.0.1:3030"}}} {
				got := of(Check(c, g), diverted)
				if tt.want == fine && got != nil || tt.want != fine && !slices.Contains(got, tt.want) || tt.want != refused && slices.Contains(got, refused) {
					t.Errorf("check says %q, want %q", got, tt.want)
				}
			}
			s, err := SettingsFor(c, []string{"127.0.0.1:3030"})
			if err != nil {
				t.Fatal(err)
			}
			if refuses := s.Unknown["key"] != nil; refuses != (tt.want == refused) {
				t.Errorf("serve is told of the key: %v, and check says %q", s.Unknown["key"], tt.want)
			}

			if (s.Diverted != nil) != (tt.want == refused) {
				t.Errorf("diverted: %v, and check says %q", s.Diverted, tt.want)
			}

			told := readSite(t, site(http, "uwsgi_param CACHE_STATUS $upstream_status; "+tt.server))
			s, err = SettingsFor(told, []string{"127.0.0.1:3030"})
			if err != nil {
				t.Fatal(err)
			}
			// A param of a location drops all those of the server.
			if strings.Contains(tt.server, "uwsgi_param") {
				return
			}
			if got := of(Check(told, Gateway{}), diverted); got != nil || s.Diverted != nil || s.Unknown["key"] != nil {
				t.Errorf("with CACHE_STATUS check says %q, and serve %v", got, s.Unknown["key"])
			}
		})
	}
}

// If nginx changes path or arguments after it made the key, a gateway that computes the
// key stores pages under other keys. A key that is handed over is right, unless many URLs
// are looked up under one key.
func TestRewrittenKey(t *testing.T) {
	const (
		derived = "error while the key is derived"
		shared  = "error while the key is derived, else a warning"
		always  = "error"
		fine    = ""
	)
	const passes = " error_page 404 405 502 504 = @app; } location @app { "
	for _, tt := range []struct{ name, key, server, want string }{
		{"nothing", "$host$uri", "location / { LOOKUP" + passes + "uwsgi_pass uwgate; }", fine},
		{"rewrite before the pass", "$host$uri", "location / { LOOKUP" + passes + "rewrite ^/app(/.*)$ $1 break; uwsgi_pass uwgate; }", derived},
		{"rewrite, $document_uri", "$host$document_uri", "location / { LOOKUP" + passes + "rewrite ^/app(/.*)$ $1 break; uwsgi_pass uwgate; }", derived},
		{"rewrite, the key has the URL", "$host$request_uri", "location / { LOOKUP" + passes + "rewrite ^/app(/.*)$ $1 break; uwsgi_pass uwgate; }", fine},
		{"rewrite in an if", "$host$uri", "location / { LOOKUP" + passes + "if ($http_x) { rewrite ^ /x break; } uwsgi_pass uwgate; }", derived},
		{"rewrite to a location", "$host$uri", "location / { LOOKUP" + passes + "uwsgi_pass uwgate; rewrite ^ /index.php last; } location /index.php { uwsgi_pass uwgate; }", derived},
		{"set of the arguments", "$host$uri?$args", "location / { LOOKUP" + passes + "set $args \"v=2&$args\"; uwsgi_pass uwgate; }", derived},
		{"set of the arguments, $query_string", "$host$uri?$query_string", "location / { LOOKUP" + passes + "set $args \"v=2&$args\"; uwsgi_pass uwgate; }", derived},
		{"set of the arguments, $is_args", "$host$uri$is_args", "location / { LOOKUP" + passes + "set $args \"v=2&$args\"; uwsgi_pass uwgate; }", derived},
		{"set of the arguments, one of them", "$host$uri?p=$arg_p", "location / { LOOKUP" + passes + "set $args \"p=2\"; uwsgi_pass uwgate; }", derived},
		{"set of the arguments, not in the key", "$host$uri", "location / { LOOKUP" + passes + "set $args \"v=2&$args\"; uwsgi_pass uwgate; }", fine},
		{"rewrite with arguments", "$host?$args", "location / { LOOKUP" + passes + "rewrite ^/(.*)$ /?page=$1 break; uwsgi_pass uwgate; }", derived},
		{"rewrite between key and lookup", "$host$uri", "location / { rewrite ^ /index.php break; LOOKUP" + passes + "uwsgi_pass uwgate; }", derived},
		{"error_page to a URI", "$host$request_uri", "location / { LOOKUP error_page 404 405 502 504 = /app; } location = /app { internal; uwsgi_pass uwgate; }", fine},
		{"error_page to a URI, $args", "$host$request_uri$args", "location / { LOOKUP error_page 404 405 502 504 = /app; } location = /app { internal; uwsgi_pass uwgate; }", always},
		{"error_page to a URI with the arguments", "$host$request_uri$args", "location / { LOOKUP error_page 404 405 502 504 = /app?$args; } location = /app { internal; uwsgi_pass uwgate; }", fine},
		{"error_page to a URI, the key is made once more", "$host$uri", "location / { LOOKUP error_page 404 405 502 504 = /app; } location = /app { internal; uwsgi_pass uwgate; }", always},
		{"try_files of the pass", "$host$uri", "location / { LOOKUP" + passes + "try_files /other $uri @end; uwsgi_pass uwgate; } location @end { uwsgi_pass uwgate; }", derived},
		{"try_files of the pass with the path alone", "$host$uri", "location / { LOOKUP" + passes + "try_files $uri @end; uwsgi_pass uwgate; } location @end { uwsgi_pass uwgate; }", fine},
		{"try_files to the lookup", "$host$uri?$args", "location / { try_files $uri /index.php?$args; } location = /index.php { LOOKUP" + passes + "uwsgi_pass uwgate; }", shared},
		{"try_files to the lookup, the key has the URL", "$host$request_uri", "location / { try_files $uri /index.php?$args; } location = /index.php { LOOKUP" + passes + "uwsgi_pass uwgate; }", fine},
		{"rewrite to the lookup", "$host$uri", "rewrite ^ /index.php; set $memcached_key \"$host$uri\"; location / { LOOKUP" + passes + "uwsgi_pass uwgate; }", shared},
		{"rewrite of a part to the lookup", "$host$uri", "rewrite ^/en(/.*)$ $1; set $memcached_key \"$host$uri\"; location / { LOOKUP" + passes + "uwsgi_pass uwgate; }", fine},
		{"rewrite of one URL to the lookup", "$host$uri", "location = / { rewrite ^/$ /home; } location / { set $memcached_key \"$host$uri\"; LOOKUP" + passes + "uwsgi_pass uwgate; }", fine},
		{"through another variable", "$host$page", "set $page $uri; set $memcached_key \"$host$page\"; location / { LOOKUP" + passes + "rewrite ^ /x break; uwsgi_pass uwgate; }", derived},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf := strings.Replace(site("", tt.server), "$scheme://$host$request_uri", tt.key, 1)
			check := func(conf string, refuses bool, want ...string) {
				t.Helper()
				c := readSite(t, conf)
				if got := slices.Compact(of(Check(c, Gateway{}), keyRewritten)); !slices.Equal(got, want) {
					t.Errorf("check says %q, want %q", got, want)
				}
				s, err := SettingsFor(c, []string{"127.0.0.1:3030"})
				if err != nil {
					t.Fatal(err)
				}
				if got := s.Unknown["key"]; (got != nil) != refuses {
					t.Errorf("serve is told of the key: %v, want an error: %v", got, refuses)
				}
			}
			const (
				status = "uwsgi_param CACHE_STATUS $upstream_status;"
				key    = "uwsgi_param CACHE_KEY $memcached_key;"
			)
			told, handed := strings.Replace(conf, "server {\n", "server {\n"+status, 1), strings.Replace(conf, "server {\n", "server {\n"+status+key, 1)
			switch tt.want {
			case fine:
				check(told, false)
				check(handed, false)
			case derived:
				check(told, true, "error")
				check(handed, false)
			case shared:
				check(told, true, "error")
				check(handed, false, "warning")
			case always:
				check(told, true, "error")
				check(handed, true, "error")
			}
			if tt.want == derived && !strings.Contains(tt.key, "$page") {
				// An expression is worth no more than the derived key.
				check(strings.Replace(handed, "CACHE_KEY $memcached_key", `CACHE_KEY "`+tt.key+`"`, 1), true, "error")
			}
		})
	}
}

// A rewritten path is proven to depend on the URL alone only if nothing else can decide
// it.
func TestRewritesProven(t *testing.T) {
	const (
		lookup = "LOOKUP error_page 404 405 502 504 = @app; }"
		app    = " location @app { uwsgi_pass uwgate; }"
		all    = "location / { " + lookup + app
	)
	for _, tt := range []struct {
		name, http, server string
		want               string // a part of why not, "" if it is proven
	}{
		{"nothing is rewritten", "", all, ""},
		{"rewrite", "", "location / { " + lookup + " location @app { rewrite ^ /index.php?$args break; uwsgi_pass uwgate; }", ""},
		{"rewrite of some paths", "", "location / { rewrite ^/old/(.*)$ /new/$1 last; " + lookup + app, ""},
		{"rewrite of the server", "", "rewrite ^/en(/.*)$ $1; " + all, ""},
		{"rewrite for a method", "", "location / { if ($request_method = GET) { rewrite ^/en(/.*)$ $1 break; } " + lookup + app, ""},
		{"try_files", "", "location / { try_files $uri /index.php?$args; } location = /index.php { " + lookup + app, ""},
		{"a page of files", "", "error_page 404 /404.html; " + all + " location = /404.html { root /srv; }", ""},
		{"arguments", "", "location / { set $args \"$args&v=2\"; " + lookup + app, ""},
		{"headers ignored", "", strings.Replace(all, "uwsgi_pass", "uwsgi_ignore_headers X-Accel-Redirect; uwsgi_pass", 1), ""},
		{"an if that changes no path", "", "location / { if ($http_x) { set $y 1; } rewrite ^/en(/.*)$ $1 break; " + lookup + app, ""},
		{"auth_request elsewhere", "", "auth_request /auth; location = /auth { auth_request off; proxy_pass http://127.0.0.1:9000; } " + all, ""},
		{"mirror elsewhere", "", "mirror /mirror; location = /mirror { internal; proxy_pass http://127.0.0.1:9000; } " + all, ""},

		{"rewrite in an if", "", "location / { if ($http_x) { rewrite ^ /sorry last; } " + lookup + app, "rewrite ^ /sorry last"},
		{"rewrite while a file is there", "", "if (-f /tmp/maintenance) { rewrite ^ /sorry; } " + all, "rewrite ^ /sorry"},
		{"rewrite behind an if with break", "", "location / { if ($http_x) { break; } rewrite ^ /sorry break; " + lookup + app, "rewrite ^ /sorry break"},
		{"rewrite by a cookie", "", "location / { rewrite ^ /$cookie_site$uri break; " + lookup + app, "$cookie_site"},
		{"rewrite by a map", "map $http_x $tenant { default a; }", "rewrite ^(.*)$ /$tenant$1; " + all, "$tenant"},
		{"try_files with a file", "", "location / { " + lookup + " location @app { try_files /maintenance.html $uri @end; uwsgi_pass uwgate; } location @end { uwsgi_pass uwgate; }", "try_files"},
		{"error_page that counts once", "", "error_page 503 /sorry/; location /shop/ { return 503; } " + all, ""},
		{"error_page to a page", "", "recursive_error_pages on; error_page 404 /notfound/; location /files/ { root /srv; } " + all, "error_page 404 /notfound/"},
		{"error_page of 503", "", "recursive_error_pages on; error_page 503 /sorry/; location /shop/ { return 503; } " + all, "error_page 503 /sorry/"},
		{"an intercepted error", "", "recursive_error_pages on; uwsgi_intercept_errors on; location / { " + lookup + " location @app { error_page 404 /notfound/; uwsgi_pass uwgate; }", "error_page 404 /notfound/"},
		{"a named location for an error", "", "location / { if ($http_x) { return 503; } LOOKUP error_page 404 405 502 504 = @app; error_page 503 = @sorry; }" + app + " location @sorry { rewrite ^ /sorry break; uwsgi_pass uwgate; }", "rewrite ^ /sorry break"},
		{"ssi", "", "ssi on; " + all, "ssi on"},
		{"ssi of http", "ssi on;", all, "ssi on"},
		{"auth_request", "", "location /prot/ { auth_request /auth; root /srv; } " + all, "auth_request /auth"},
		{"auth_request to the pass", "", "location /prot/ { auth_request /auth; root /srv; } location = /auth { internal; uwsgi_pass uwgate; } " + all, "auth_request /auth"},
		{"mirror", "", "mirror /mirror; " + all, "mirror /mirror"},
		{"add_before_body", "", "add_before_body /head; " + all, "add_before_body /head"},
		{"add_after_body", "", "location / { add_after_body /foot; " + lookup + app, "add_after_body /foot"},
		{"slice", "", "location / { slice 1m; " + lookup + app, "slice 1m"},
		{"post_action", "", "location / { post_action /count; " + lookup + app, "post_action"},
		{"lua", "", "location / { access_by_lua_block { ngx.exec('/x') } " + lookup + app, "access_by_lua_block"},
		{"arguments in an if", "", "location / { if ($http_x) { set $args x=1; } " + lookup + app, "set $args x=1"},
		{"arguments by a header", "", "location / { set $args \"$args&$http_x\"; " + lookup + app, "$http_x"},
		{"other arguments", "", "uwsgi_param QUERY_STRING x=$http_x; " + all, "QUERY_STRING is x=$http_x"},
		{"X-Accel-Redirect", "", strings.Replace(all, "uwsgi_pass", "uwsgi_param CACHE_STATUS $srcache_fetch_status; uwsgi_pass", 1), "X-Accel-Redirect"},
		{"another path", "", "uwsgi_param PATH_INFO $http_x_path; " + all, "PATH_INFO is $http_x_path"},
		{"a file that is not there", "", "include none.conf; " + all, "none.conf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := nginxtest.Frame(t, "", "")
			conf := site(tt.http, "uwsgi_param CACHE_KEY $memcached_key; uwsgi_param CACHE_STATUS $upstream_status; "+tt.server)
			if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
				t.Fatal(err)
			}
			c, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
			if err != nil {
				t.Fatal(err)
			}
			s, err := SettingsFor(c, []string{"127.0.0.1:3030"})
			if err != nil {
				t.Fatal(err)
			}
			if s.RewritesProven != (tt.want == "") || s.RewritesProven != (s.RewritesErr == nil) || s.RewritesErr != nil && !strings.Contains(s.RewritesErr.Error(), tt.want) {
				t.Errorf("got %v, %v, want %q", s.RewritesProven, s.RewritesErr, tt.want)
			}
		})
	}
}

// A subrequest has the $request_uri of its page, and so the key of its page.
func TestSubrequests(t *testing.T) {
	const all = "location / { LOOKUP error_page 404 405 502 504 = @app; } location @app { uwsgi_pass uwgate; }"
	for _, tt := range []struct {
		name, key, server string
		want              []string
	}{
		{"none", "$host$request_uri", all, nil},
		{"ssi", "$host$request_uri", "ssi on; " + all, []string{"warning"}},
		{"ssi off", "$host$request_uri", "ssi off; " + all, nil},
		{"ssi, fragments apart", "$host$request_uri", "ssi on; " + all + " location /fragments/ { uwsgi_pass uwgate; }", []string{"warning"}},
		{"ssi, keys of paths", "$host$uri$is_args$args", "ssi on; " + all, []string{"note"}},
		{"auth_request", "$host$request_uri", "location /prot/ { auth_request /auth; root /srv; } " + all, []string{"error"}},
		{"auth_request to the gateway", "$host$request_uri", "location /prot/ { auth_request /auth; root /srv; } location = /auth { internal; uwsgi_pass uwgate; } " + all, []string{"note"}},
		{"auth_request elsewhere", "$host$request_uri", "location /prot/ { auth_request /auth; root /srv; } location = /auth { internal; proxy_pass http://127.0.0.1:9000; } " + all, nil},
		{"mirror", "$host$request_uri", "mirror /mirror; mirror /other; " + all + " location = /other { internal; return 204; }", []string{"warning"}},
		{"add_before_body and add_after_body", "$host$request_uri", "location /static/ { add_before_body /head; add_after_body /foot; root /srv; } " + all, []string{"error", "error"}},
		{"slice", "$host$request_uri", "location / { slice 1m; LOOKUP error_page 404 405 502 504 = @app; } location @app { uwsgi_pass uwgate; }", []string{"warning"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conf := strings.Replace(site("", tt.server), "$scheme://$host$request_uri", tt.key, 1)
			if got := of(Check(readSite(t, conf), Gateway{}), subrequests); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// If locations lead to each other in more ways than can be followed, reading ends in time
// and proves nothing.
func TestTooManyWays(t *testing.T) {
	var server strings.Builder
	for i := range 200 {
		fmt.Fprintf(&server, "location /l%d/ {\n", i)
		for j := range 8 {
			fmt.Fprintf(&server, "if ($http_a%d) { set $x%d $uri; rewrite ^/x(.*) /y$1; }\n", j, j)
		}
		fmt.Fprintf(&server, "try_files $uri /l%d/x$uri @n%d; }\n", (i+7)%200, i)
		fmt.Fprintf(&server, "location @n%d { auth_request /l%d/; LOOKUP recursive_error_pages on; error_page 404 = @app; error_page 500 502 = /l%d/; }\n", i, (i+5)%200, (i+3)%200)
	}
	server.WriteString("location @app { uwsgi_pass uwgate; }\n")
	c := readSite(t, site("", server.String()))
	s, err := SettingsFor(c, []string{"127.0.0.1:3030"})
	if err != nil {
		t.Fatal(err)
	}
	if s.Diverted == nil || s.RewritesProven {
		t.Errorf("diverted: %v, rewrites proven: %v; want an error and false", s.Diverted, s.RewritesProven)
	}
	if !slices.ContainsFunc(c.Gaps, func(g nginxconf.Gap) bool { return strings.Contains(g.Text, "too many ways") }) {
		t.Errorf("gaps %v; want one about too many ways", c.Gaps)
	}
}
