package backend

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoolsFor(t *testing.T) {
	ps := &Pools{Default: &Pool{Name: "default"}, TrustKey: true}
	for _, host := range []string{"www.example.com", "WWW.Example.org", "port.example.com:8080", ".example.com", ".deep.example.com", "shop-*.example.net", "*.example.net", "[::1]"} {
		if err := ps.Add(&Pool{Name: host}, host); err != nil {
			t.Fatal(err)
		}
	}
	subscribed := &Pool{Name: "subscribed"}
	ps.Subscribed = func(key string) *Pool {
		if key == "Key" {
			return subscribed
		}
		return nil
	}
	for _, tt := range []struct{ host, key, want string }{
		{"www.example.com", "", "www.example.com"},
		{"www.example.com:8080", "", "www.example.com"},
		{"www.example.org", "", "WWW.Example.org"},
		{"Www.example.org:80", "", "WWW.Example.org"},
		{"port.example.com:8080", "", "port.example.com:8080"},
		{"port.example.com", "", ".example.com"},
		{"example.com", "", ".example.com"},
		{"a.b.c.Example.com", "", ".example.com"},
		{"deep.example.com", "", ".deep.example.com"},
		{"a.deep.example.com:80", "", ".deep.example.com"},
		{"badexample.com", "", "default"},
		{"shop-1.example.net", "", "shop-*.example.net"},
		{"blog.example.net:1", "", "*.example.net"},
		{"[::1]:8080", "", "[::1]"},
		{"[::1]", "", "[::1]"},
		{"::1", "", "default"},
		{"Key", "", "subscribed"},
		{"www.example.com", "Key", "subscribed"},
		{"www.example.com", "unknown", "www.example.com"},
		{"", "", "default"},
		{strings.Repeat("a.", 4000) + "example.com", "", "default"},
	} {
		if got := ps.For(tt.host, tt.key); got.Name != tt.want {
			t.Errorf("For(%.40q, %q) = %s, want %s", tt.host, tt.key, got.Name, tt.want)
		}
	}
	ps.TrustKey = false
	if got := ps.For("www.example.com", "Key"); got.Name != "www.example.com" {
		t.Errorf("a key that is not trusted chose %s", got.Name)
	}
	if got := (&Pools{}).For("a", ""); got != nil {
		t.Errorf("without pools: %v", got)
	}
}

func TestPoolsRefuseHosts(t *testing.T) {
	for _, host := range []string{"", ".", "http://a/", "a b", "a..b", "twice.example.com", "[a*"} {
		ps := &Pools{}
		ps.Add(&Pool{}, "twice.example.com")
		if err := ps.Add(&Pool{}, host); err == nil {
			t.Errorf("host %q was taken", host)
		}
	}
}

func TestWithoutPort(t *testing.T) {
	for in, want := range map[string]string{
		"A.example": "a.example", "a.example:80": "a.example", "a.example:": "a.example", "a.example:http": "a.example:http",
		"[::1]:80": "[::1]", "[::1]": "[::1]", "::1": "::1", "": "", ":80": "", "a:b:80": "a:b:80",
	} {
		if got := WithoutPort(in); got != want {
			t.Errorf("WithoutPort(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHostMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "map")
	ps := &Pools{}
	defer ps.Close()
	ps.Add(&Pool{Name: "shop"})
	load := func(text string) error {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return ps.Load(path)
	}
	if err := load("# hosts\na.example shop\n\nb.example @b weight=2 , @c backup # two\n.c.example @b weight=2 , @c backup\n*.d.example @d\n"); err != nil {
		t.Fatal(err)
	}
	b := ps.For("b.example", "")
	if b.Len() != 2 || b != ps.For("x.c.example", "") || ps.For("a.example", "").Name != "shop" || len(ps.All()) != 3 {
		t.Errorf("pools %v", ps.All())
	}
	simulate(b)
	nc := dial(t, b, Want{})
	if err := load("b.example @b weight=2 , @c backup\n"); err != nil {
		t.Fatal(err)
	}
	if again := ps.For("b.example", ""); again != b || ps.For("a.example", "") != nil || len(ps.All()) != 2 {
		t.Errorf("after the change: %v, want the same pool and no other but shop", ps.All())
	}
	for text, want := range map[string]string{
		"b.example":                    ":1: b.example has no pool",
		"\nb.example nowhere":          `:2: there is no pool "nowhere"`,
		"b.example @b wait=2":          ":1: backend: @b: unknown parameter",
		"b.example @b\nB.example @c\n": `:2: host "B.example": it has a pool already`,
		"a/b @b":                       `:1: host "a/b"`,
	} {
		if err := load(text); err == nil || !strings.Contains(err.Error(), path+want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
		if ps.For("b.example", "") != b {
			t.Errorf("%q has changed something", text)
		}
	}
	if err := load(""); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Write([]byte("x")); err != nil {
		t.Errorf("a request of a pool that is gone: %v", err)
	}
	nc.Close()
}

func TestWatchSeesChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "map")
		write := func(text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ps := &Pools{}
		defer ps.Close()
		write("a.example @a\n")
		if err := ps.Load(path); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go ps.Watch(ctx)
		write("a.example @a\nb.example @b\n")
		time.Sleep(2 * mapInterval)
		if ps.For("b.example", "") == nil {
			t.Error("the change was not seen")
		}
		os.Remove(path)
		time.Sleep(2 * mapInterval)
		if ps.For("b.example", "") == nil {
			t.Error("without its file the map is gone")
		}
	})
}

// For any file, either the error names the file, or all hosts in it are found.
func FuzzHostMap(f *testing.F) {
	f.Add("a.example @a weight=2, @b backup # comment\n.b.example 127.0.0.1:3031")
	f.Add("*.c.example suwsgi:app:3031 insecure")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "ca=") {
			return // reads files
		}
		m, err := (&Pools{}).parseMap("f", []byte(text), nil)
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Fatalf("%v does not name the file", err)
		}
		for host, p := range m.hosts.exact {
			if m.hosts.find(host) != p {
				t.Fatalf("%q is not found", host)
			}
		}
	})
}

func FuzzParseNode(f *testing.F) {
	f.Add("127.0.0.1:3031 weight=2 max-conns=3 cores=4 modifier1=5 modifier2=6 backup down")
	f.Add("suwsgi:app.example.com:3031 insecure server-name=a")
	f.Add("srv:_uwsgi._tcp.example.com")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "ca=") {
			return // reads files
		}
		s, err := parseNode(text)
		if err != nil {
			return
		}
		if s.Addr == "" || s.Weight < 0 || s.Weight > 65535 || s.validate() != nil {
			t.Fatalf("%q is %+v", text, s)
		}
	})
}
