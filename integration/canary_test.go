package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A proof is a run of `uwgate check --via` and its expected result.
type proof struct {
	name    string
	via     string   // a path of the site, or a URL
	args    []string // besides those that fit nginx
	outcome string
	says    []string // what the report has in it
}

// A told is the part of the output of `check --json` that the tests read.
type told struct {
	Outcome  string
	Tried    int
	Hits     int
	Warnings []string
	Left     []string
}

// proves runs `uwgate check` for each proof. No run may leave an entry in memcached.
func (w *world) proves(t *testing.T, fitting []string, proofs []proof) {
	t.Helper()
	for _, p := range proofs {
		t.Run(p.name, func(t *testing.T) {
			before := w.items()
			got, text, status := w.check(t, p.via, append(slices.Clone(fitting), p.args...))
			w.settle()
			if n := w.items(); n != before {
				t.Errorf("memcached held %d entries before, and holds %d: %q", before, n, w.keys())
			}
			want := 1
			if p.outcome == "hit" {
				want = 0
			}
			if got.Outcome != p.outcome || status != want || len(got.Left) > 0 {
				t.Errorf("got %s and status %d, want %s and %d:\n%s", got.Outcome, status, p.outcome, want, text)
			}
			if p.outcome == "hit" && (got.Tried < 16 || got.Hits != got.Tried || len(got.Warnings) > 0 && len(p.says) == 0) {
				t.Errorf("got a hit with warnings or without all tries:\n%s", text)
			}
			for _, s := range p.says {
				if !strings.Contains(text, s) {
					t.Errorf("%q is missing from\n%s", s, text)
				}
			}
		})
	}
}

// check runs `uwgate check`. A later flag replaces an earlier one.
func (w *world) check(t *testing.T, via string, args []string) (got told, text string, status int) {
	t.Helper()
	if strings.HasPrefix(via, "/") {
		via = w.URL(via)
	}
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"check", "--json", "--via", via}, args...)...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "UWGATE_") })
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var report struct{ Live told }
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	got = report.Live
	if errs.Len() > 0 {
		t.Errorf("on stderr: %s", errs.String())
	}
	return got, out.String(), cmd.ProcessState.ExitCode()
}

// memcachedArgs are flags for servers in the notation of nginx.conf.
func memcachedArgs(hash string, lines ...string) []string {
	args := []string{"--hash", hash}
	for _, line := range lines {
		args = append(args, "--memcached", line)
	}
	return args
}

// canaryStack starts the application of testdata/parity, which has a page under each
// URL.
func canaryStack(t *testing.T, cfg stack.Config) *world {
	t.Helper()
	cfg.App, cfg.Workers = filepath.Join("testdata", "parity"), 1
	return start(t, cfg)
}

// shortDir is a directory for sockets. Their paths are known before the sockets exist.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwgate-canary-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// lookupIn is a location that looks up pages like the location of the site.
func lookupIn(path, upstream string) string {
	return "location " + path + ` {
		default_type text/html; charset utf-8;
		set $memcached_key "$scheme://$host$request_uri";
		memcached_pass ` + upstream + `;
		error_page 404 502 504 = @uwgate;
	}
	`
}

// The site uses several servers on sockets with consistent hashing and weights. Parts
// of it use the other methods.
func TestCanaryOfServers(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	a, b, c := "unix:"+dir+"/memcached1.sock", "unix:"+dir+"/memcached2.sock", "unix:"+dir+"/memcached3.sock"
	w := canaryStack(t, stack.Config{
		Dir: dir, Memcached: 3, MemcachedSockets: true, Weights: []int{1, 2},
		Edits: [][2]string{
			{"upstream uwgate {", "upstream modulo { hash $memcached_key; server " + a + " weight=2; server " + b + "; }\n" +
				"upstream turns { server " + a + "; server " + b + "; }\nupstream uwgate {"},
			{"    location @uwgate {", lookupIn("/modulo/", "modulo") + lookupIn("/turns/", "turns") + location("/unsaid/", "$scheme://$host$request_uri", "@unsaid") + `
				location @unsaid  { ` + params(`uwsgi_param CACHE_KEY $memcached_key;`) + ` }
				location /plain/  { uwsgi_pass uwgate; }
				location /static/ { return 200 "a file"; }
				location /moved/  { return 301 /; }
				location /typeless/ { default_type application/octet-stream; set $memcached_key "$scheme://$host$request_uri"; memcached_pass memcached; error_page 404 = @uwgate; }
				location /changed/ { sub_filter canary bird; default_type text/html; charset utf-8; set $memcached_key "$scheme://$host$request_uri"; memcached_pass memcached; error_page 404 = @uwgate; }
				location @uwgate {`},
		},
	})
	fitting := memcachedArgs("consistent", a, b+" weight=2", c)
	w.proves(t, fitting, []proof{
		{"consistent", "/", nil, "hit", nil},
		{"written to all", "/", []string{"--hash", "none"}, "hit", nil},
		{"another hash", "/", []string{"--hash", "modulo"}, "server", []string{`"todo":["give --hash consistent"]`}},
		{"nothing looked up", "/plain/", nil, "lookup", []string{"the request came to uwgate"}},
		{"nothing stored, as its own response says", "/unsaid/", nil, "store", []string{"stores none of them: not-looked-up", "uwsgi_param CACHE_STATUS $upstream_status;"}},
		{"nginx's own file", "/static/", nil, "lookup", []string{"does not have uwgate's Cache-Status"}},
		{"members are not looked up", "/", []string{"-H", "Cookie: sessionid=ana"}, "lookup", nil},
		{"sent on", "/moved/", nil, "reach", []string{"nginx itself responds with 301", "the one that it redirects to"}},
		{"another type", "/typeless/", nil, "format", []string{`nginx serves the page as \"application/octet-stream\"`}},
		{"changed on the way", "/changed/", nil, "hit", []string{"nginx changes the page on its way"}},
		{"head and body", "/", []string{"--format", "http"}, "format", []string{"serves the head as a part of the page"}},
		{"no gzip flag", "/", []string{"--format", "gzip"}, "format", []string{"memcached_gzip_flag 2; gunzip on;"}},
	})
	w.proves(t, nil, []proof{
		{"no weights", "/", memcachedArgs("consistent", a, b, c), "server", []string{"nginx looks for the page on", "compare --memcached"}},
		{"one missing", "/", memcachedArgs("consistent", a, b+" weight=2"), "server", []string{"name every server of nginx's upstream block"}},
		{"another spelling", "/", memcachedArgs("consistent", a, "unix:"+dir+"/./memcached2.sock weight=2", c), "server", nil},
		{"modulo", "/modulo/x?y=%20z", memcachedArgs("modulo", a+" weight=2", b), "hit", nil},
		{"another order", "/modulo/", memcachedArgs("modulo", b, a+" weight=2"), "server", nil},
		{"other weights", "/modulo/", memcachedArgs("modulo", a+" weight=2", b+" weight=9"), "server", nil},
		{"in turns", "/turns/", memcachedArgs("none", a, b), "hit", nil},
		{"a hash that nginx does not have", "/turns/", memcachedArgs("consistent", a, b), "server", nil},
		{"none of nginx's", "/modulo/", memcachedArgs("none", c), "lookup", []string{"compare --memcached with nginx's upstream block"}},
	})
}

// One server, a key that nginx does not hand over, and compressed pages.
func TestCanaryOfAKey(t *testing.T) {
	t.Parallel()
	const key = ":1:CUSTOM:$host$request_uri"
	w := canaryStack(t, stack.Config{
		Format: "gzip", Args: []string{"--key", key},
		Edits: append([][2]string{{"    uwsgi_param CACHE_SERVER", "    #"}}, derived...),
	})
	fitting := append(memcachedArgs("none", w.Memcached[0].Addr), "--format", "gzip", "--key", key)
	w.proves(t, fitting, []proof{
		{"hit", "/", nil, "hit", nil},
		{"another site", "/folder/page.html?a=b%20c", []string{"--header", "Host: WWW.Example.com:81"}, "hit", nil},
		{"uncompressed", "/", []string{"--format", "body"}, "hit", nil},
		{"default key", "/?x=1", []string{"--key", "$scheme://$host$request_uri"}, "key", []string{"give --key ':1:CUSTOM:$host$request_uri'"}},
		{"another prefix", "/", []string{"--key", ":2:CUSTOM:$host$request_uri"}, "key", []string{`"found":false`}},
		{"another host", "/", []string{"--key", ":1:CUSTOM:$http_host$request_uri"}, "key", nil},
		{"another flag", "/", []string{"--gzip-flag", "4"}, "format", []string{"memcached_gzip_flag 4;"}},
		{"head and body", "/", []string{"--format", "http"}, "format", nil},
		{"another port", "http://127.0.0.1:1/", nil, "reach", []string{"nginx does not take connections at 127.0.0.1 port 1"}},
		{"no TLS", "https://" + w.Nginx.Addr + "/", nil, "reach", []string{"no TLS with"}},
	})
	w.Uwgate.Kill()
	got, text, status := w.check(t, "/", fitting)
	if got.Outcome != "gateway" || status != 1 || got.Hits != 16 {
		t.Errorf("without the gateway: got %s and %d, want hits and no way for a miss:\n%s", got.Outcome, status, text)
	}
	got, text, status = w.check(t, "/", append(fitting, "--key", "$request_uri"))
	if got.Outcome != "key" || status != 1 {
		t.Errorf("without the gateway, another key: got %s and %d:\n%s", got.Outcome, status, text)
	}
	w.Nginx.Kill()
	if got, text, status = w.check(t, "/", fitting); got.Outcome != "reach" || status != 1 {
		t.Errorf("without nginx: got %s and %d:\n%s", got.Outcome, status, text)
	}
	if n := w.items(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
	w.Memcached[0].Pause()
	if got, text, status = w.check(t, "/", fitting); got.Outcome != "reach" || status != 1 || !strings.Contains(text, "the canary cannot be written") {
		t.Errorf("memcached hangs: got %s and %d:\n%s", got.Outcome, status, text)
	}
	w.Memcached[0].Kill()
	if got, text, status = w.check(t, "/", fitting); got.Outcome != "reach" || status != 1 || len(got.Left) > 0 {
		t.Errorf("without memcached: got %s and %d:\n%s", got.Outcome, status, text)
	}
}

// Values with headers, for srcache.
func TestCanaryOfHeads(t *testing.T) {
	t.Parallel()
	w := canaryStack(t, stack.Config{Format: "http", Memcached: 2, Hash: "modulo"})
	one, two := w.Memcached[0].Addr, w.Memcached[1].Addr
	w.proves(t, append(memcachedArgs("modulo", one, two), "--format", "http"), []proof{
		{"hit", "/", nil, "hit", nil},
		{"a hit with an extension", "/data.json", nil, "hit", nil},
		{"bare body", "/", []string{"--format", "body"}, "format", []string{"nginx finds the page on", "start uwgate with --format http"}},
		{"compressed", "/", []string{"--format", "gzip"}, "format", nil},
		{"another key", "/", []string{"--key", "x$request_uri"}, "key", []string{"give --key '$scheme://$host$request_uri'"}},
		{"another hash", "/", []string{"--hash", "consistent"}, "server", []string{"give --hash modulo"}},
		{"not looked up", "/", []string{"-H", "Cookie: sessionid=ana"}, "lookup", nil},
	})
}

// A proxy, and a memcached without the watch command, do not report which keys they are
// asked for. check then knows less and still says nothing wrong.
func TestCanaryUnwatched(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	memcached, proxy := "unix:"+dir+"/memcached1.sock", "unix:"+dir+"/proxy.sock"
	w := canaryStack(t, stack.Config{
		Dir: dir, MemcachedSockets: true, MemcachedArgs: []string{"-W"},
		// The gateway knows only memcached itself, so nginx must not name the proxy.
		Edits: [][2]string{{"server " + memcached, "server " + proxy}, {"    uwsgi_param CACHE_SERVER", "    #"}},
	})
	startProxy(t, dir)
	for _, at := range []string{memcached, proxy} {
		t.Run(filepath.Base(at), func(t *testing.T) {
			w.proves(t, memcachedArgs("none", at), []proof{
				{"hit", "/", nil, "hit", nil},
				{"another key", "/", []string{"--key", "x$request_uri"}, "miss", []string{"cannot be determined here", "watch " + at}},
				{"head and body", "/", []string{"--format", "http"}, "format", nil},
				{"no gzip flag", "/", []string{"--format", "gzip"}, "format", nil},
				{"another port", "http://127.0.0.1:1/", nil, "reach", nil},
			})
		})
	}
}

// startProxy runs nutcracker between dir/proxy.sock and dir/memcached1.sock.
func startProxy(t *testing.T, dir string) {
	t.Helper()
	program, err := exec.LookPath("nutcracker")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/nutcracker")
	}
	if err != nil && os.Getenv("UWGATE_TEST_STACK") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "nutcracker.yml")
	text := "uwgate:\n  listen: " + dir + "/proxy.sock 0666\n  timeout: 2000\n  servers:\n   - " + dir + "/memcached1.sock:1 a\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", conf, "-o", dir+"/nutcracker.log", "-p", dir+"/nutcracker.pid", "-a", "127.0.0.1", "-s", freePort(t)) // of its statistics
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	(&world{t: t}).eventually("nutcracker listens", func() bool {
		_, err := os.Stat(dir + "/proxy.sock")
		return err == nil
	})
}

// freeAddr is an address on loopback that no other test gets.
func freeAddr(t *testing.T) string {
	t.Helper()
	addrs, err := stack.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(freeAddr(t))
	return port
}
