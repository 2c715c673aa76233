package nginxconf

import "testing"

func TestListens(t *testing.T) {
	for _, tt := range []struct {
		lines, port string
		tls         bool
	}{
		{"", "80", false},
		{"listen 8080;", "8080", false},
		{"listen *:443 ssl http2;", "443", true},
		{"listen [::]:443 quic;", "443", true},
		{"listen [::1];", "80", false},
		{"listen 127.0.0.1:81 default_server;", "81", false},
		{"listen localhost;", "80", false},
		{"listen unix:/run/x.sock;", "", false},
		{"listen 443; ssl on;", "443", true},
	} {
		c := readText(t, "http { server { "+tt.lines+" location / { set $memcached_key $uri; memcached_pass a:1; } } }")
		got := c.Lookups[0].Listens
		if len(got) != 1 || got[0].Port != tt.port || got[0].TLS != tt.tls || got[0].IsZero() != (tt.lines == "") {
			t.Errorf("%q: got %+v, want port %q, TLS %v", tt.lines, got, tt.port, tt.tls)
		}
	}
}
