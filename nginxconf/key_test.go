package nginxconf

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/nginxconf/nginxtest"
)

// fetchTests are server blocks in which /p is looked up by srcache_fetch.
var fetchTests = []struct{ name, server, expanded, asked string }{
	{"the argument", `location /p { srcache_fetch GET /memc $uri?$args; uwsgi_pass a:1; } location = /memc { set $memc_key $query_string; memc_pass m:1; }`,
		"$uri?$args", ""},
	{"a variable", `location /p { set $k k$uri; srcache_fetch GET /memc $k; uwsgi_pass a:1; } location /memc { set $memc_key $args; memc_pass m:1; }`,
		"k$uri", ""},
	{"more than the argument", `location /p { srcache_fetch GET /memc $uri; uwsgi_pass a:1; } location /memc { set $a $query_string; set $memc_key "[$a]"; memc_pass m:1; }`,
		"$uri", "[$uri]"},
	{"one of several arguments", `location /p { set $k k$uri; srcache_fetch GET /memc ttl=1&KEY=$k&x=2; uwsgi_pass a:1; } location /memc { set $memc_key $arg_key; memc_pass m:1; }`,
		"ttl=1&KEY=k$uri&x=2", "k$uri"},
	{"no argument", `location /p { srcache_fetch GET /memc; uwsgi_pass a:1; } location /memc { set $memc_key $uri$request_uri$arg_q; memc_pass m:1; }`,
		"", "/memc$request_uri"},
	{"the path of the fetch", `location /p { srcache_fetch GET /memc $uri; uwsgi_pass a:1; } location /memc { set $memc_key $document_uri:$args; memc_pass m:1; }`,
		"$uri", "/memc:$uri"},
	{"set outside", `set $k server; location /p { set $k location; set $o other; srcache_fetch GET /memc $k$o; uwsgi_pass a:1; } location /memc { set $memc_key "$k:$o:$args"; memc_pass m:1; }`,
		"locationother", "server::locationother"},
	{"memcached's own module", `location /p { srcache_fetch GET /memc $uri; uwsgi_pass a:1; } location /memc { set $memcached_key $args; memcached_pass m:1; }`,
		"$uri", ""},
}

func TestFetchedKeys(t *testing.T) {
	for _, tt := range fetchTests {
		t.Run(tt.name, func(t *testing.T) {
			k := fetchedKey(t, tt.server)
			if k.Expanded != tt.expanded || k.Asked.Value != tt.asked || k.Asked.IsZero() != (tt.asked == "") || k.Late != "" {
				t.Errorf("got %q, asked %v %q, late %q", k.Expanded, k.Asked.Place, k.Asked.Value, k.Late)
			}
		})
	}
}

func fetchedKey(t *testing.T, server string) Key {
	t.Helper()
	c := readText(t, "http { server {"+server+"} }")
	if len(c.Lookups) != 1 || len(c.Gaps) > 0 {
		t.Fatalf("got\n%s", dump(c))
	}
	return c.Lookups[0].Key
}

// memc_pass asks for the key that the reader expects.
func TestFetchedKeysAreThoseOfNginx(t *testing.T) {
	program := nginxtest.Program(t)
	modules := nginxtest.Modules(t, program)
	for _, tt := range fetchTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := fetchedKey(t, tt.server)
			expected := k.Expanded
			if k.Asked.Value != "" {
				expected = k.Asked.Value
			}
			dir := nginxtest.Frame(t, modules, "")
			asked := emptyMemcached(t, filepath.Join(dir, "memcached.sock"))
			socket := filepath.Join(dir, "show.sock")
			server := strings.NewReplacer(
				"m:1", "unix:"+filepath.Join(dir, "memcached.sock"),
				"uwsgi_pass a:1", fmt.Sprintf(`add_header X-Expanded "%s"; empty_gif`, expected),
			).Replace(tt.server)
			if err := nginxtest.WriteFile(dir, "site.conf", "server { listen unix:"+socket+"; "+server+"}"); err != nil {
				t.Fatal(err)
			}
			nginxtest.Start(t, program, dir, socket)
			resp, err := nginxtest.Client(socket).Get("http://example.com/p/a?q=1&b=2")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got, want := resp.Header.Get("X-Expanded"), asked(); got != want {
				t.Errorf("expanded %q, nginx asks for %q", got, want)
			}
		})
	}
}

// emptyMemcached runs a memcached without values. The function that it returns stops it,
// and returns the key that it was asked for; "" for none.
func emptyMemcached(t *testing.T, socket string) (asked func() string) {
	t.Helper()
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	keys := make(chan string, 1)
	go func() {
		defer close(keys)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		line, _ := bufio.NewReader(nc).ReadString('\n')
		nc.Write([]byte("END\r\n"))
		keys <- strings.TrimSpace(strings.TrimPrefix(line, "get "))
	}()
	return func() string {
		ln.Close()
		return <-keys
	}
}
