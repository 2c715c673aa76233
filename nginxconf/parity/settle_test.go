package parity

import (
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"uwgate/nginxconf/nginxtest"
)

// What makes subrequests, in all combinations and at all levels, beside what gives pages
// another path: the fixes lead to an end, where only people know what else to do, and nginx
// takes the result.
func TestFixesOfSubrequestsSettle(t *testing.T) {
	program := nginxtest.Program(t)
	modules := nginxtest.Modules(t, program)
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for n := range 160 {
		conf, flags := siteWithSubrequests(r, n)
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			dir := nginxtest.Frame(t, "", "")
			if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
				t.Fatal(err)
			}
			for _, f := range fixAll(t, dir, &txtar.Archive{Comment: []byte(flags)}, 5) {
				if f.Fix.Manual == "" {
					t.Errorf("after five rounds of fixes: %v\n    fix: %v\n%s\n%s", f, f.Fix, flags, conf)
				}
			}
			testNginx(t, program, modules, dir)
		})
	}
}

func siteWithSubrequests(r *mathrand.Rand, n int) (conf, flags string) {
	one := func(some ...string) string { return some[r.IntN(len(some))] }
	levels := make([]string, 3) // http, server, location
	level := r.IntN(3)
	for i, d := range []string{"ssi on;", "auth_request /auth;", "add_before_body /head;", "mirror /mirror;"} {
		if n>>i&1 == 1 {
			levels[level] += d + " "
		}
	}
	key := one("$scheme://$host$request_uri", "$scheme://$host$uri$is_args$args", "$uri", "$host$uri?$args")
	handed := one("uwsgi_param CACHE_KEY $memcached_key if_not_empty; uwsgi_param CACHE_STATUS $upstream_status;", "uwsgi_param CACHE_STATUS $upstream_status;", "")
	paths := one("", "rewrite ^/old/(.*) /new/$1 last;", "error_page 403 /sorry;", "location /static/ { try_files $uri /index.html; }", "rewrite ^ /index.html;",
		"location /new/ { rewrite ^ /x break; uwsgi_pass uwgate; }")
	flags = "--listen unix:/run/uwgate.sock\n" + one("", "--key $scheme://$host$request_uri\n")
	return strings.NewReplacer("XHOST", "HTTP_HOST", "HTTP", levels[0], "SERVER", levels[1], "LOCATION", levels[2], "KEY", key, "HANDED", handed, "PATHS", paths).Replace(`events {}
http {
    include mime.types;
    upstream uwgate { server unix:/run/uwgate.sock; server unix:/run/app.sock backup; }
    HTTP
    server {
        listen 127.0.0.1:8080;
        server_name example.com;
        default_type text/html; charset utf-8;
        include uwsgi_params;
        uwsgi_param XHOST $host;
        HANDED
        set $memcached_key "KEY";
        SERVER
        PATHS
        location / {
            LOCATION
            memcached_connect_timeout 200ms; memcached_read_timeout 500ms;
            memcached_pass 127.0.0.1:11211;
            error_page 404 405 502 504 = @app;
        }
        location @app { uwsgi_pass uwgate; }
    }
}
`), flags
}
