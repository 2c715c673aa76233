package main

import (
	"strings"
	"testing"
	"time"

	"uwgate/nginxconf"
)

func TestViaOf(t *testing.T) {
	for _, tt := range []struct{ lines, want string }{
		{"", "--via http://127.0.0.1/"},
		{"listen 8080; server_name _ *.example.com example.com;", "--via http://127.0.0.1:8080/ -H 'Host: example.com'"},
		{"listen unix:/run/x.sock; listen 443 ssl; server_name .example.com;", "--via https://127.0.0.1/ --insecure -H 'Host: example.com'"},
		{"listen 10.0.0.7:80; server_name ~^x$;", "--via http://10.0.0.7/"},
		{"listen [::]:8443 ssl;", "--via https://127.0.0.1:8443/ --insecure"},
	} {
		c, err := nginxconf.Parse("nginx.conf", "events {} http { server { "+tt.lines+" location / { set $memcached_key $uri; memcached_pass 127.0.0.1:1; } } }")
		if err != nil {
			t.Fatal(err)
		}
		if got := viaOf(c.Lookups[0]); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.lines, got, tt.want)
		}
	}
}

func TestSameAddress(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"unix:/run/a.sock", "unix:/run/a.sock", true},
		{"unix:/run/a.sock", "unix:/run/b.sock", false},
		{"127.0.0.1:3030", "127.0.0.1:3030", true},
		{"127.0.0.1:3030", "0.0.0.0:3030", true},
		{"127.0.0.1:3030", ":3030", true},
		{"127.0.0.1:3030", "10.0.0.1:3030", false},
		{"127.0.0.1:3030", "unix:/run/a.sock", false},
		{"$where", "127.0.0.1:3030", false},
	} {
		if got := sameAddress(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: got %v", tt.a, tt.b, got)
		}
	}
}

// On a machine where nothing is, the overview says what to do.
func TestOverviewOfNothing(t *testing.T) {
	o := &overview{}
	o.wrong(uncached, "start it: uwgate serve …", "no gateway runs on this machine")
	o.wrong(fails, "install it", "nginx was not found")
	var b strings.Builder
	if err := o.write(&b, time.Time{}); err != nil {
		t.Fatal(err)
	}
	want := `1. nginx was not found.
   install it
2. no gateway runs on this machine.
   start it: uwgate serve …
nginx      not found
gateway    none runs
2 things to do.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// An overview has ten lines at most, whatever is wrong.
func TestOverviewOfMuch(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 9} {
		o := &overview{Nginx: nginxFound{File: "/etc/nginx/nginx.conf", Files: 3}, Command: "uwgate check", Memcached: []memcachedFound{{Server: "a:1"}, {Server: "b:1"}}}
		o.Gateway.elsewhere, o.Gateway.Unread = []string{"1", "2", "3", "4", "5", "6"}, []string{"one\ntwo"}
		for i := range n {
			o.wrong(level(i%3), "one\ntwo", "thing %d", i)
		}
		var b strings.Builder
		if err := o.write(&b, time.Time{}); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if lines := strings.Count(text, "\n"); lines > overviewLines {
			t.Errorf("%d lines:\n%s", lines, text)
		}
		if n == 2 && !strings.HasPrefix(text, "1. thing 0.\n   one; two\n2. thing 1.\n   one; two\n") || n == 9 && !strings.Contains(text, "\n3. and 7 more: uwgate check --json\n") {
			t.Errorf("%d things:\n%s", n, text)
		}
	}
}
