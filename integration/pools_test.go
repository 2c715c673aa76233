package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// startPools starts the workers of the shop beside those of all other hosts. nginx has
// the uwsgi_params of nginx.org: HTTP_HOST is the client's Host line.
func startPools(t *testing.T, args ...string) *app {
	t.Helper()
	dir, err := os.MkdirTemp("", "uwgate-pools-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, file := filepath.Join(dir, "shop.sock"), filepath.Join(dir, "pools.yaml")
	const pools = "pools:\n  - name: shop\n    hosts: [shop.test, .shop.example, \"shop-*.test\"]\n    backend: unix:%s\n"
	if err := os.WriteFile(file, fmt.Appendf(nil, pools, socket), 0o644); err != nil {
		t.Fatal(err)
	}
	w := start(t, stack.Config{App: filepath.Join("testdata", "pools"), Edits: stockParams, Args: append([]string{"--config", file}, args...)})
	shop := stack.Process{
		Name: "the shop's uWSGI", Addr: "unix:" + socket, LogFile: filepath.Join(dir, "shop.log"), Dir: w.Dir, Ready: stack.Pongs,
		Command: slices.Clone(w.UWSGI.Command), Env: append(stack.SystemEnv(), "POOL=shop"),
	}
	for i, arg := range shop.Command {
		arg = strings.ReplaceAll(arg, filepath.Join(w.Dir, "uwsgi.sock"), socket)
		shop.Command[i] = strings.ReplaceAll(arg, filepath.Join(w.Dir, "uwsgi-stats.sock"), filepath.Join(dir, "stats.sock"))
	}
	if err := shop.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shop.Kill() })
	return &app{w, w.AccessReader()}
}

// A host selects its pool in any spelling. The stored page is the one that the pool
// made for exactly that host.
func TestPoolsByHost(t *testing.T) {
	t.Parallel()
	a := startPools(t)
	for i, tt := range []struct{ host, pool string }{
		{"shop.test.", "shop"},
		{"Shop.Test", "shop"},
		{"SHOP.TEST.", "shop"},
		{"shop.test:80", "shop"},
		{"shop.test.:81", "shop"},
		{"shop.test:@evil.example", "shop"},
		{"shop.test:x", "shop"},
		{"www.shop.example.", "shop"},
		{"WWW.shop.example:8080", "shop"},
		{"shop-1.test.", "shop"},
		{"site.test.", "site"},
		{"site.test:@evil.example", "site"},
		{"Site.test:443", "site"},
		{"shop.test.evil.example", "site"},
		{"evilshop.test", "site"},
	} {
		target := fmt.Sprintf("/page?%d", i)
		want := func(host string) string { return fmt.Sprintf("<p>%s for %s%s</p>", tt.pool, host, target) }
		host := strings.ToLower(tt.host)
		host, _, _ = strings.Cut(host, ":")
		host = strings.TrimSuffix(host, ".")
		ordinary := host == tt.host
		v := a.visit("GET", target, "Host: "+tt.host)
		if v.status != 200 || v.body != want(tt.host) || !ordinary && (v.reason() != "host" || v.written != 0) {
			t.Errorf("%s: got %d %q, %s, stored %d; want %q, and it is not stored", tt.host, v.status, v.body, v.reason(), v.written, want(tt.host))
		}
		for visitor, reason := range []string{"default-ttl", "hit"} {
			if ordinary && visitor == 0 {
				continue
			}
			if v := a.visit("GET", target, "Host: "+host); v.body != want(host) || v.reason() != reason {
				t.Errorf("%s after %s: got %d %q, %s; want %q, %s", host, tt.host, v.status, v.body, v.reason(), want(host), reason)
			}
		}
	}
	a.holdsOnlyWhatKeysSay()
}

// holdsOnlyWhatKeysSay checks that each page in memcached belongs to its key.
func (a *app) holdsOnlyWhatKeysSay() {
	a.t.Helper()
	pages := 0
	for _, key := range a.keys() {
		target, isPage := strings.CutPrefix(key, "http://")
		if !isPage {
			continue
		}
		pages++
		if value := strings.Join(a.talk(a.Memcached[0].Addr, "get "+key+"\r\n", "END"), "\n"); !strings.Contains(value, " for "+target+"</p>") {
			a.t.Errorf("%s holds %q", key, value)
		}
	}
	if pages == 0 {
		a.t.Error("memcached holds no page")
	}
}

// With --allowed-host, pages of other hosts are not stored, in any pool.
func TestPoolsOfAllowedHosts(t *testing.T) {
	t.Parallel()
	a := startPools(t, "--allowed-host", "shop.test")
	for _, tt := range []struct{ host, body, reason, then string }{
		{"evil.test", "<p>site for evil.test/a</p>", "host", "host"},
		{"www.shop.example", "<p>shop for www.shop.example/a</p>", "host", "host"},
		{"shop.test", "<p>shop for shop.test/a</p>", "default-ttl", "hit"},
	} {
		for _, reason := range []string{tt.reason, tt.then} {
			if v := a.visit("GET", "/a", "Host: "+tt.host); v.body != tt.body || v.reason() != reason {
				t.Errorf("%s: got %d %q, %s; want %q, %s", tt.host, v.status, v.body, v.reason(), tt.body, reason)
			}
		}
	}
}
