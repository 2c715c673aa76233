package nginxconf

import (
	"net/netip"
	"testing"
)

const manyServers = `events {}
user www-data adm;
http {
	server { listen 80; server_name example.com www.example.com; } # 4
	server { listen 80 default_server; listen [::]:80 default_server; server_name _; } # 5
	server { listen 80; server_name *.example.com .example.net; } # 6
	server { listen 80; server_name www.example.* ~^api\d+\.; } # 7
	server { listen 80; server_name *.deep.example.com example.com; } # 8
	server { listen 127.0.0.1:80; listen 8080-8082; server_name status; } # 9
	server { server_name plain; } # 10
	server { listen [::1]:443 ssl; listen unix:/run/x.sock; listen host.example:80; } # 11
	server { listen [::]:9090 ipv6only=off; } # 12
	server { listen 80; server_name ~^api; server_name ""; } # 13
}
`

// TestServerForAsNginx asks a real nginx; here are addresses that a test cannot listen on, too.
var serverRows = []struct {
	at, host string
	line     int
}{
	{"10.0.0.1:80", "example.com", 4},
	{"10.0.0.1:80", "EXAMPLE.com:8080", 4},
	{"10.0.0.1:80", "example.com.", 4},
	{"10.0.0.1:80", "other.org", 5},
	{"10.0.0.1:80", "", 13},
	{"10.0.0.1:80", "a.example.com", 6},
	{"10.0.0.1:80", "a.deep.example.com", 8},
	{"10.0.0.1:80", "example.net", 6},
	{"10.0.0.1:80", "a.b.example.net", 6},
	{"10.0.0.1:80", "www.example.org", 7},
	{"10.0.0.1:80", "api12.other.org", 7},
	{"10.0.0.1:80", "api.other.org", 13},
	{"10.0.0.1:80", "plain", 10},
	{"127.0.0.1:80", "example.com", 9},
	{"10.0.0.1:8081", "example.com", 9},
	{"10.0.0.1:8083", "example.com", 0},
	{"[::2]:80", "example.com", 5},
	{"[::1]:443", "x", 11},
	{"[::2]:443", "x", 0},
	{"[::2]:9090", "x", 12},
	{"10.0.0.1:9090", "x", 12},
	{"0.0.0.0:80", "example.com", 4},
}

func TestServerFor(t *testing.T) {
	c, err := Parse("nginx.conf", manyServers)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range serverRows {
		line := 0
		if s := c.ServerFor(netip.MustParseAddrPort(tt.at), tt.host); s != nil {
			line = s.Line
		}
		if line != tt.line {
			t.Errorf("%s at %s: got the server of line %d, want %d", tt.host, tt.at, line, tt.line)
		}
	}
	if u := c.User(); u.Value != "www-data adm" || u.Line != 2 {
		t.Errorf("user: got %+v", u)
	}
	if n := len(c.Servers()); n != 10 {
		t.Errorf("%d servers", n)
	}
}

func TestLookupFor(t *testing.T) {
	c, err := Parse("nginx.conf", `events {}
http {
	server { listen 80; location / { return 200; } }
	server { listen 80; server_name a;
		location / { set $memcached_key $uri; memcached_pass m:1; } # 5
		location ~ \.css$ { set $memcached_key $uri; memcached_pass m:1; } # 6
		location /static/ { return 200; }
	}
}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host, path string
		line       int
	}{{"a", "/", 5}, {"a", "/x/y.css", 6}, {"a", "/static/x", 0}, {"b", "/", 0}} {
		line := 0
		if l := c.LookupFor(netip.MustParseAddrPort("10.0.0.1:80"), tt.host, tt.path); l != nil {
			line = l.Line
		}
		if line != tt.line {
			t.Errorf("%s%s: got line %d, want %d", tt.host, tt.path, line, tt.line)
		}
	}
	if l := c.LookupFor(netip.MustParseAddrPort("10.0.0.1:81"), "a", "/"); l != nil {
		t.Errorf("got %v", l)
	}
}
