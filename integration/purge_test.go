package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/gateway/purge"
	"uwgate/uwsgi"
)

const purgeToken = "0123456789abcdef0123"

// purges are the arguments of a gateway that accepts PURGE from this machine.
var purges = []string{"--purge-from", "127.0.0.0/8", "--purge-token", purgeToken}

// purge sends a PURGE request through nginx, and reads the result.
func (w *world) purge(target, lines string) purge.Result {
	w.t.Helper()
	p := w.want(w.fetch("PURGE", target, lines), 200)
	var r purge.Result
	if err := json.Unmarshal([]byte(p.body), &r); err != nil {
		w.t.Fatalf("%v in %q", err, p.body)
	}
	if p.header.Get("Cache-Status") != "uwgate; detail=purge" || p.header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("got %v", p.header)
	}
	return r
}

// A page that was purged is not served again, in whatever format it is stored.
func TestPurge(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		for _, servers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d memcached", format, servers), func(t *testing.T) {
				t.Parallel()
				a := startApp(t, stack.Config{Format: format, Memcached: servers, Args: purges})
				for _, target := range []string{"/any/page", "/any/page?a=1&b=%20", "/any/caf%C3%A9/"} {
					before := a.visit("GET", target, "")
					if again := a.visit("GET", target, ""); again.reason() != "hit" || again.copy() != before.copy() {
						t.Fatalf("%s is no hit: %s", target, again.reason())
					}
					if r := a.purge(target, ""); r.Status != purge.Done || r.Found != 1 || r.Deleted != 1 {
						t.Errorf("%s: got %+v", target, r)
					}
					if after := a.visit("GET", target, ""); after.reason() != "default-ttl" || after.copy() == before.copy() {
						t.Errorf("%s after the purge: got %s, copy %s", target, after.reason(), after.copy())
					}
				}
				if r := a.purge("/any/never", ""); r.Status != purge.Done || r.Found != 0 {
					t.Errorf("nothing there: got %+v", r)
				}
				if v := a.visit("PURGE", "/any/never", ""); v.reason() != "purge" || strings.Contains(a.UWSGI.Log(), "] PURGE ") {
					t.Errorf("logged as %s; a worker has got it: %v", v.reason(), strings.Contains(a.UWSGI.Log(), "] PURGE "))
				}
			})
		}
	}
}

// Who may purge, and who may not. A request that is refused deletes nothing and is logged.
func TestPurgeAccess(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Args: []string{"--purge-from", "10.0.0.0/8", "--purge-from", "::1", "--purge-token", purgeToken}})
	near := startApp(t, stack.Config{Args: []string{"--purge-from", "127.0.0.1"}})
	for _, tt := range []struct {
		name, method, lines string
		status              int
	}{
		{"no token", "PURGE", "", 403},
		{"a forged X-Forwarded-For", "PURGE", "X-Forwarded-For: 10.0.0.1\nX-Real-Ip: 10.0.0.1\nForwarded: for=10.0.0.1\nRemote-Addr: 10.0.0.1", 403},
		{"another token", "PURGE", "X-Purge-Token: 0123456789abcdef0124", 403},
		{"the beginning of the token", "PURGE", "X-Purge-Token: 0123456789abcdef", 403},
		{"an empty token", "PURGE", "X-Purge-Token: ", 403},
		{"another scheme of authorization", "PURGE", "Authorization: Basic " + purgeToken, 403},
		{"BAN without a token", "BAN", "", 403},
		{"BAN", "BAN", "X-Purge-Token: " + purgeToken, 501},
		{"tags by another method", "PURGEKEYS", "xkey-softpurge: news\nX-Purge-Token: " + purgeToken, 501},
		{"tags by a third one", "PURGETAGS", "X-Cache-Tags: news\nX-Purge-Token: " + purgeToken, 501},
		{"a scope that is none", "PURGE", "X-Purge-Scope: everything\nX-Purge-Token: " + purgeToken, 400},
		{"a method that is none", "PURGE", "X-Purge-Method: gently\nX-Purge-Token: " + purgeToken, 400},
		{"the token", "PURGE", "X-Purge-Token: " + purgeToken, 200},
		{"a bearer of the token", "PURGE", "Authorization: bearer " + purgeToken, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := a.in(t)
			const target = "/any/guarded"
			a.fetch("GET", target, "")
			a.settle()
			if p := a.fetch(tt.method, target, tt.lines); p.status != tt.status || !json.Valid([]byte(p.body)) || p.header.Get("Content-Type") != "application/json" {
				t.Errorf("got %d %q, want %d", p.status, p.body, tt.status)
			}
			if has := a.has(a.wireKey(target)); has != (tt.status != 200) {
				t.Errorf("the page is in memcached: %v", has)
			}
		})
	}
	if p := near.fetch("PURGE", "/any/guarded", ""); p.status != 200 {
		t.Errorf("from the network: got %d %q", p.status, p.body)
	}
	b, err := os.ReadFile(a.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	logs := string(b)
	if strings.Contains(logs+a.Uwgate.Log(), "0123456789abcdef") {
		t.Error("a token is logged")
	}
	if n := strings.Count(logs, "a purge was refused"); n != 7 {
		t.Errorf("%d refusals are logged, want 7", n)
	}
	if !strings.Contains(logs, `"msg":"purge","client":"127.0.0.1","purged":["url http://127.0.0.1/any/guarded"]`) {
		t.Errorf("no purge is logged in\n%s", logs)
	}
}

// Without the flags, PURGE is a method that nobody knows: the application gets it.
func TestPurgeIsOff(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{})
	for _, method := range []string{"PURGE", "BAN"} {
		a.visit("GET", "/any/page", "")
		if v := a.visit(method, "/any/page", "X-Answer: 403 Forbidden\nX-Purge-Token: "+purgeToken); v.status != 403 || v.reason() != "method" || !a.has(a.wireKey("/any/page")) {
			t.Errorf("%s: got %d, %s", method, v.status, v.reason())
		}
		if v := a.visit(method, "/any/page", ""); v.status != 200 || !strings.Contains(v.body, "Done.") || a.has(a.wireKey("/any/page")) {
			t.Errorf("%s: got %d, %s", method, v.status, v.reason())
		}
	}
}

// A purge of a URL is one of both schemes and of all classes of visitors, whichever of them
// nginx has handed over the keys for.
func TestPurgeOfBothSchemes(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Args: purges})
	const target = "/any/both"
	keys := make(map[string]string)
	for _, scheme := range []string{"http", "https"} {
		for _, visitor := range []string{"", "+"} {
			key := visitor + scheme + "://127.0.0.1" + target
			keys[key] = scheme
		}
	}
	fill := func() {
		for key, scheme := range keys {
			v := append(vars("GET", target), uwsgi.Var{Name: "CACHE_KEY", Value: key}, uwsgi.Var{Name: "CACHE_STATUS", Value: "404"})
			v = v.Set(uwsgi.Var{Name: "HTTP_HOST", Value: "127.0.0.1"})
			a.want(a.ask(a.Uwgate.Addr, v.Set(uwsgi.Var{Name: "REQUEST_SCHEME", Value: scheme}), ""), 200)
		}
		a.settle()
		for key := range keys {
			a.eventually(key+" is stored", func() bool { return a.has(key) })
		}
	}
	for _, lines := range []string{"", "Cookie: unknown=1"} {
		fill()
		if r := a.purge(target, lines); r.Status != purge.Done || r.Deleted != len(keys) {
			t.Errorf("PURGE: got %+v", r)
		}
		for key := range keys {
			if a.has(key) {
				t.Errorf("%s is left", key)
			}
		}
	}
}
