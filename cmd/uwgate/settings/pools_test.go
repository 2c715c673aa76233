package settings

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

func poolsOf(t *testing.T, text string, flags ...string) (*backend.Pools, error) {
	t.Helper()
	file, err := parseFile("f", strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	parts, err := partsWith(t, file, flags...)
	return parts.Pools, err
}

func TestPoolFlags(t *testing.T) {
	pools, err := poolsOf(t, "", "--choice", "hash-key", "--connect-timeout", "2s", "--queue-length", "0", "--queue-timeout", "3s", "--slow-start", "30s",
		"--buffer-size", "64k", "--max-vars", "128", "--modifier1", "5", "--modifier2", "6", "--allow-var", "UWSGI_APPID", "--set-var", "A=b=c", "--set-var", "A=d",
		"--probe", "/health", "--probe-interval", "7s", "--probe-timeout", "1s", "--resolve-interval", "1m")
	if err != nil {
		t.Fatal(err)
	}
	p := pools.Default
	got := []any{p.Choice, p.DialTimeout, p.QueueLength, p.QueueTimeout, p.SlowStart, p.BufferSize, p.MaxVars, p.Modifier1, p.Modifier2, p.AllowVars, p.SetVars,
		p.Probe, p.ProbeInterval, p.ProbeTimeout, p.ResolveInterval}
	want := []any{backend.HashKey, 2 * time.Second, -1, 3 * time.Second, 30 * time.Second, 65535, 128, uint8(5), uint8(6), []string{"UWSGI_APPID"}, uwsgi.Vars{{Name: "A", Value: "d"}},
		backend.Probe("/health"), 7 * time.Second, time.Second, time.Minute}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// What the flags say holds for every pool that does not say otherwise.
func TestPools(t *testing.T) {
	pools, err := poolsOf(t, `
pools:
  - name: shop
    hosts: [shop.example.com, .shop.example.com]
    backend: ["127.0.0.1:1 weight=2", "127.0.0.1:2 backup"]
    choice: least-busy
    set-var: A=shop
  - {name: blog, hosts: "blog-*.example.com", backend: "127.0.0.1:3"}
`, "--choice", "round-robin", "--set-var", "A=b", "--set-var", "C=d", "--queue-timeout", "3s")
	if err != nil {
		t.Fatal(err)
	}
	shop, blog := pools.For("www.shop.example.com", ""), pools.For("Blog-2.example.com:80", "")
	if shop.Name != "shop" || shop.Len() != 2 || shop.Choice != backend.LeastBusy || shop.QueueTimeout != 3*time.Second || len(shop.SetVars) != 1 || shop.SetVars.Get("A") != "shop" {
		t.Errorf("shop is %+v", shop)
	}
	if blog.Name != "blog" || blog.Choice != backend.RoundRobin || len(blog.SetVars) != 2 {
		t.Errorf("blog is %+v", blog)
	}
	if p := pools.For("other.example.com", ""); p != pools.Default {
		t.Errorf("another host has %+v", p)
	}
}

func TestPoolsRefused(t *testing.T) {
	const shop = "pools:\n  - name: shop\n    backend: 127.0.0.1:1\n"
	for _, tt := range []struct{ name, text, want string }{
		{"no list", "pools: shop", `f:1: pools is a list of pools`},
		{"no mapping", "pools: [shop]", `f:1: a pool is lines`},
		{"unknown key", shop + "    bakend: x", `f:4: pool: unknown key "bakend"; did you mean "backend"?; there are name, hosts, backend, choice`},
		{"twice", shop + "    name: shop", `f:4: pool: name is set a second time`},
		{"no name", "pools:\n  - backend: 127.0.0.1:1", `f:2: pool: a pool has a name, and servers`},
		{"no servers", "pools:\n  - name: shop", `f:2: pool: a pool has a name, and servers`},
		{"name twice", shop + "  - name: shop\n    backend: 127.0.0.1:2", `f:4: pool: there is a pool "shop" above`},
		{"name of an address", "pools:\n  - name: a:1\n    backend: 127.0.0.1:1", `f:2: pool: name "a:1"`},
		{"bad server", "pools:\n  - name: shop\n    backend: 127.0.0.1:1 wait=2", `f:2: pool: 127.0.0.1:1: unknown parameter "wait=2"`},
		{"bad host", shop + "    hosts: http://a/", `f:2: pool: host "http://a/": write a host`},
		{"host of two", shop + "    hosts: a.example\n  - {name: b, hosts: A.example, backend: '127.0.0.1:2'}", `host "A.example": it has a pool already`},
		{"bad value", shop + "    choice: best", `f:4: pool: choice "best": backend: there is no choice "best"`},
		{"list for one", shop + "    choice: [a, b]", `f:4: pool: choice takes one value`},
		{"no value", shop + "    choice:", `f:4: pool: choice: has no value`},
		{"not a pool's", shop + "    ttl: 5m", `f:4: pool: unknown key "ttl"`},
		{"the file's own name", "config: x", "f:1: config cannot be set in the file; use --config or UWGATE_CONFIG"},
		{"unknown key beside", "pool:\n  - name: shop", `f:1: unknown key "pool"; did you mean "pools"?`},
	} {
		if _, err := poolsOf(t, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestPoolFlagsRefused(t *testing.T) {
	for _, tt := range []struct{ flag, value, want string }{
		{"choice", "best", "there is no choice"},
		{"queue-length", "-1", "a number from 0"},
		{"queue-timeout", "0s", "write a time of 1ms or more"},
		{"slow-start", "-1s", "write a time"},
		{"buffer-size", "65537", "65535 at most"},
		{"buffer-size", "0", "65535 at most"},
		{"max-vars", "many", "a number from 0"},
		{"modifier1", "256", "a number from 0 to 255"},
		{"allow-var", "HTTP_X", "UWSGI_* var"},
		{"set-var", "A", "NAME=VALUE"},
		{"set-var", "REQUEST_URI=/", "cannot be set"},
		{"probe", "pong", "there is no probe"},
		{"host-map", "/no/such/file", `--host-map "/no/such/file": map file`},
	} {
		_, err := poolsOf(t, "", "--"+tt.flag, tt.value)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "--"+tt.flag) {
			t.Errorf("--%s %s: error %v, want %q", tt.flag, tt.value, err, tt.want)
		}
	}
}

// Whatever the file, an error names it, and pools that are taken have servers.
func FuzzPools(f *testing.F) {
	f.Add("pools:\n  - name: a\n    hosts: [a.example, .b.example]\n    backend: 127.0.0.1:1\n    choice: hash-key\n")
	f.Add("pools: [{name: a, backend: ['unix:/a weight=2', '[::1]:1'], set-var: [A=b], max-vars: 3}]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parseFile("f", strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("%v does not name the file", err)
			}
			return
		}
		for _, s := range file.pools {
			if s.name == "" || len(s.servers) == 0 || s.place == "" {
				t.Fatalf("%+v", s)
			}
		}
	})
}
