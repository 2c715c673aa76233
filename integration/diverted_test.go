package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// keepsKey removes CACHE_KEY from the configuration. CACHE_STATUS stays.
var keepsKey = [2]string{"    uwsgi_param CACHE_KEY", "    #"}

// lookupAlone takes the lookup of the printed location out of its if, so that the location
// looks up all requests.
var lookupAlone = [][2]string{
	{`        if ($not_asked = "") {`, ""},
	{`        }
        # The others are not. nginx hands the key over, but CACHE_STATUS is empty: uwgate
        # stores nothing.
        uwsgi_pass uwgate;`, ""},
}

// A request that nginx passes on without a lookup is not a miss. If the configuration
// does not let uwgate tell the two apart, a gateway that reads it does not start. If it
// does, uwgate stores only pages that were looked up.
func TestDivertedRequests(t *testing.T) {
	t.Parallel()
	const asks, pages = "            memcached_pass memcached;", "error_page 404 405 502 504 = @uwgate;"
	for _, tt := range []struct {
		name  string
		edits [][2]string
	}{
		{"return 405", [][2]string{{asks, "        if ($http_user_agent = member) { return 405; }\n" + asks}}},
		{"return 418", [][2]string{
			{asks, "        if ($http_user_agent = member) { return 418; }\n" + asks}, {pages, "error_page 404 405 418 502 504 = @uwgate;"},
		}},
		{"return of the server", [][2]string{
			{"    location / {", "    if ($http_user_agent = member) { return 404; }\n    error_page 404 405 502 504 = @uwgate;\n    location / {"},
		}},
		{"a file that is not there", [][2]string{
			{asks, "        if ($http_user_agent != member) { memcached_pass memcached; }"},
		}},
		{"the pass behind the lookup's if", [][2]string{
			{asks, "        if ($http_user_agent != member) { memcached_pass memcached; }\n        uwsgi_pass uwgate;"},
		}},
		{"deny", [][2]string{
			{asks, "        allow 127.0.0.2; deny all;\n        if ($http_user_agent != member) { set $x 1; }\n" + asks},
			{pages, "error_page 403 404 405 502 504 = @uwgate;"},
			{"location @uwgate {", "location @uwgate { allow all;"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{
				App: filepath.Join("testdata", "parity"), Workers: 1, ReadsNginx: true, NginxArgs: withoutBypass,
				Edits: slices.Concat(lookupAlone, [][2]string{keepsKey}, tt.edits),
			})
			w.storesWhatWasLookedUp(tt.name != "deny")
			w.without("    uwsgi_param CACHE_STATUS", func() {
				const fix = "uwsgi_param CACHE_STATUS $upstream_status;"
				w.refuses(fix)
				w.refuses(fix, "--key", "$scheme://$host$request_uri")
			})
		})
	}
}

// storesWhatWasLookedUp sends requests of a logged-in user, which are not looked up,
// and of strangers, which are if strangers is set.
func (w *world) storesWhatWasLookedUp(strangers bool) {
	w.t.Helper()
	const member = "User-Agent: member"
	mine := w.want(w.get("/page", member), 200)
	w.settle()
	if n := w.items(); n != 0 {
		w.t.Errorf("memcached holds %d entries after a request that was not looked up", n)
	}
	first := w.want(w.get("/page"), 200)
	if first.body == mine.body {
		w.t.Errorf("a stranger got the page of the logged-in user")
	}
	w.settle()
	if !strangers {
		return
	}
	if second := w.want(w.get("/page"), 200); second.body != first.body {
		w.t.Errorf("the stranger's page is no hit: %.60q, then %.60q", first.body, second.body)
	}
	if again := w.want(w.get("/page", member), 200); again.body == first.body {
		w.t.Errorf("the logged-in user got the page of the stranger")
	}
}

// without calls f while that line is missing from nginx's configuration.
func (w *world) without(line string, f func()) {
	w.t.Helper()
	path := filepath.Join(w.Dir, "site.conf")
	conf, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(conf), line, "    #", 1)), 0o644); err != nil {
		w.t.Fatal(err)
	}
	f()
	if err := os.WriteFile(path, conf, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// refuses starts a gateway with nginx's configuration. It must exit with an error that
// contains the fix.
func (w *world) refuses(fix string, args ...string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	args = append([]string{"serve", "--listen", w.Uwgate.Addr, "--backend", "127.0.0.1:1", "--nginx", filepath.Join(w.Dir, "nginx.conf")}, args...)
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "site.conf:") || !strings.Contains(string(out), fix) {
		w.t.Errorf("uwgate %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// A key may contain variables that nginx rewrites after the lookup. Such a key must be
// handed over. Then pages are stored under their own keys and found.
func TestRewrittenKeys(t *testing.T) {
	t.Parallel()
	const pass, key = "location @uwgate {", `$scheme://$host$request_uri"`
	for _, tt := range []struct {
		name  string
		edits [][2]string
	}{
		{"rewrite", [][2]string{{key, `$scheme://$host$uri$is_args$args"`}, {pass, pass + " rewrite ^/app(/.*)$ $1 break;"}}},
		{"arguments", [][2]string{{key, `$scheme://$host$uri$is_args$args"`}, {pass, pass + ` if ($args ~ ^x) { set $args "v=2&$args"; }`}}},
		{"try_files", [][2]string{{key, `$scheme://$host$uri$is_args$args"`}, {pass, pass + ` try_files /app$uri $uri @end; uwsgi_pass uwgate; } location @end {`}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{
				App: filepath.Join("testdata", "parity"), Workers: 1, ReadsNginx: true, NginxArgs: withoutBypass, Edits: tt.edits,
			})
			for _, path := range []string{"/page", "/other?a=1"} {
				first := w.fill([]string{path})[path]
				if second := w.want(w.get(path), 200); second.body != first.body {
					t.Errorf("%s is no hit: %.60q, then %.60q", path, first.body, second.body)
				}
			}
			for _, path := range []string{"/app/page", "/app/other?x=1"} {
				first := w.fill([]string{path})[path]
				if !strings.Contains(first.body, "GET "+path) {
					t.Errorf("%s: got %.80q", path, first.body)
				}
			}
			if second := w.want(w.get("/page"), 200); !strings.Contains(second.body, "GET /page ") {
				t.Errorf("/page: got %.80q", second.body)
			}
			w.without("    uwsgi_param CACHE_KEY", func() { w.refuses("uwsgi_param CACHE_KEY $memcached_key if_not_empty;") })
		})
	}
}
