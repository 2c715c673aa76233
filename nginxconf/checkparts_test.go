package nginxconf

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// What nginx evaluates alike is the same, and nothing else is.
func TestCanonical(t *testing.T) {
	for _, tt := range []struct{ name, a, b string }{
		{"braces", "${uri}", "$uri"},
		{"case", "$Request_URI", "$request_uri"},
		{"synonyms", "$document_uri?$query_string", "$uri?$args"},
		{"braces that are needed", "${host}s", "${HOST}s"},
		{"no variables", "a", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a, b := Canonical(tt.a), Canonical(tt.b); a != b {
				t.Errorf("got %q for %q and %q for %q", a, tt.a, b, tt.b)
			}
		})
	}
	for _, tt := range []struct{ name, a, b string }{
		{"case of text", "A$uri", "a$uri"},
		{"a longer name", "${host}s", "$hosts"},
		{"raw and decoded", "$request_uri", "$uri"},
		{"order", "$host$uri", "$uri$host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a, b := Canonical(tt.a), Canonical(tt.b); a == b {
				t.Errorf("got %q for %q and %q", a, tt.a, tt.b)
			}
		})
	}
}

func TestConditionsOnTheMethod(t *testing.T) {
	for _, tt := range []struct {
		condition, method string
		met, known        bool
	}{
		{"$request_method = POST", "GET", false, true},
		{"$request_method = POST", "POST", true, true},
		{"($request_method = POST)", "POST", true, true},
		{"$request_method != GET", "GET", false, true},
		{"$request_method != GET", "PUT", true, true},
		{"${Request_Method} = 'GET'", "GET", true, true},
		{"$request_method ~ ^(GET|HEAD)$", "GET", true, true},
		{"$request_method !~ ^(GET|HEAD)$", "GET", false, true},
		{"$request_method ~* ^post", "POST", true, true},
		{"$request_method !~* ^post", "POST", false, true},
		{"$request_method ~ (?<=x)", "GET", false, false}, // which Go cannot read
		{"$cookie_sessionid", "GET", false, false},
		{"$request_method$identified = GET", "GET", false, false},
		{"", "GET", false, false},
	} {
		t.Run(tt.method+" "+tt.condition, func(t *testing.T) {
			if met, known := MethodMeets(tt.method, tt.condition); met != tt.met || known != tt.known {
				t.Errorf("got %v, %v; want %v, %v", met, known, tt.met, tt.known)
			}
		})
	}
}

func TestReaches(t *testing.T) {
	hosts := map[string][]string{"gate": {"10.0.0.7"}, "localhost": {"::1", "127.0.0.1"}}
	for _, tt := range []struct {
		listen, server string
		want           bool
	}{
		{"unix:/run/u.sock", "unix:/run/u.sock", true},
		{"/run/u.sock", "UNIX:///run/u.sock max_fails=0", true},
		{"unix:/run/u.sock", "unix:/run/app.sock", false},
		{"unix:/run/u.sock", "127.0.0.1:3030", false},
		{"@u", "unix:/u", false},
		{"127.0.0.1:3030", "unix:/run/u.sock", false},
		{"127.0.0.1:3030", "127.0.0.1:3030 backup", true},
		{"127.0.0.1:3030", "localhost:3030", true},
		{"127.0.0.1:3030", "127.0.0.1:3031", false},
		{"127.0.0.1:3030", "10.0.0.7:3030", false},
		{"[::1]:3030", "localhost:3030", true},
		{":3030", "10.0.0.7:3030", true},
		{"0.0.0.0:3030", "gate:3030", true},
		{"[::]:3030", "gate:3031", false},
		{"10.0.0.7:3030", "gate:3030", true},
		{"10.0.0.8:3030", "gate:3030", false},
		{"10.0.0.8:3030", "unknown:3030", true}, // nginx may know it
		{"10.0.0.8:80", "10.0.0.8", true},
	} {
		t.Run(tt.listen+" "+tt.server, func(t *testing.T) {
			k := &checker{resolved: map[string]resolution{}, g: Gateway{Listen: []string{tt.listen}, Resolve: func(host string) ([]string, error) {
				if ips, ok := hosts[host]; ok {
					return ips, nil
				}
				return nil, errors.New("no such host")
			}}}
			if got := k.reaches(Upstream{Servers: []UpstreamServer{{Text: "unix:/other.sock"}, {Text: tt.server}}}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// The flags of a lookup are those of which the configuration was printed.
func TestLookupFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    Snippet
		want []string
	}{
		{"body", Snippet{Servers: []string{"127.0.0.1:11211"}},
			[]string{"--format body", "--memcached 127.0.0.1:11211", "--hit-type 'text/html; charset=utf-8'"}},
		{"gzip", Snippet{Format: policy.FormatGzip, GzipFlag: 8, HitType: "application/json", Hash: cachewriter.Modulo, Servers: []string{"10.0.0.1:11211 weight=2", "unix:/m.sock down"}},
			[]string{"--format gzip", "--gzip-flag 8", "--memcached '10.0.0.1:11211 weight=2'", "--memcached 'unix:/m.sock down'", "--hash modulo", "--hit-type application/json"}},
		{"http", Snippet{Format: policy.FormatHTTP, Hash: cachewriter.Consistent, Servers: []string{"a:1", "b:1"}},
			[]string{"--format http", "--memcached a:1", "--memcached b:1", "--hash consistent"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Gateway = "unix:/run/uwgate.sock"
			l := readSnippet(t, &tt.s).Lookups[0]
			var got []string
			for _, f := range l.Flags() {
				got = append(got, fmt.Sprint(f))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if key, ok := l.Template(); key != DefaultKey || !ok {
				t.Errorf("got the key %q, %v", key, ok)
			}
		})
	}
}

func TestFlagsForAShell(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"127.0.0.1:11211", "--a 127.0.0.1:11211"},
		{"$uri", "--a '$uri'"},
		{"it's", `--a 'it'\''s'`},
		{"", "--a ''"},
	} {
		if got := (Flag{"a", tt.value}).String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

// The guard counts on headers that it refuses pages for, and that nginx can be said to add.
func TestHeadersThatCount(t *testing.T) {
	for _, tt := range []struct {
		f    uwsgi.Field
		want bool
	}{
		{uwsgi.Field{Name: "X-Frame-Options", Value: "DENY"}, true},
		{uwsgi.Field{Name: "content-language", Value: "de"}, true},
		{uwsgi.Field{Name: "X-Cache", Value: "HIT"}, false},
		{uwsgi.Field{Name: "Cache-Control", Value: "no-store"}, false},
		{uwsgi.Field{Name: "Refresh", Value: "5"}, false}, // which belongs to one page
	} {
		if got := counts(tt.f); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.f, got, tt.want)
		}
	}
}
