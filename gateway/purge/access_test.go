package purge

import (
	"net/netip"
	"testing"

	"uwgate/uwsgi"
)

func TestAccess(t *testing.T) {
	from := func(values ...string) (v uwsgi.Vars) {
		for _, value := range values {
			v = append(v, uwsgi.Var{Name: "REMOTE_ADDR", Value: value})
		}
		return v
	}
	with := func(name, value string) uwsgi.Vars {
		return append(from("192.0.2.9"), uwsgi.Var{Name: name, Value: value})
	}
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("fe80::/10")}
	a := Access{Networks: networks, Token: "0123456789abcdef"}
	for _, tt := range []struct {
		name string
		vars uwsgi.Vars
		want bool
	}{
		{"in a network", from("10.1.2.3"), true},
		{"in an IPv6 network", from("2001:db8::7"), true},
		{"with a zone", from("fe80::1%eth0"), true},
		{"IPv4 in IPv6", from("::ffff:10.1.2.3"), true},
		{"in none", from("192.0.2.9"), false},
		{"a UNIX socket", from("unix:"), false},
		{"no address", nil, false},
		{"an empty address", from(""), false},
		{"two addresses, both permitted", from("10.1.2.3", "10.1.2.3"), true},
		{"two addresses, the first permitted", from("10.1.2.3", "192.0.2.9"), false},
		{"two addresses, the last permitted", from("192.0.2.9", "10.1.2.3"), false},
		{"the token", with("HTTP_X_PURGE_TOKEN", "0123456789abcdef"), true},
		{"a bearer", with("HTTP_AUTHORIZATION", "Bearer 0123456789abcdef"), true},
		{"a bearer in other letters", with("HTTP_AUTHORIZATION", "BEARER  0123456789abcdef"), true},
		{"another token", with("HTTP_X_PURGE_TOKEN", "0123456789abcdee"), false},
		{"a longer token", with("HTTP_X_PURGE_TOKEN", "0123456789abcdef0"), false},
		{"no token", with("HTTP_X_PURGE_TOKEN", ""), false},
		{"the token without a scheme", with("HTTP_AUTHORIZATION", "0123456789abcdef"), false},
		{"the token elsewhere", with("HTTP_X_TOKEN", "0123456789abcdef"), false},
	} {
		if got := a.Permits(CallerOf(tt.vars)); got != tt.want {
			t.Errorf("%s: permitted %v, want %v", tt.name, got, tt.want)
		}
	}
	for _, c := range []Caller{{}, {tokens: []string{""}}, {addrs: []string{"10.1.2.3"}}} {
		if (&Access{}).Permits(c) {
			t.Errorf("the zero Access permits %+v", c)
		}
	}
}
