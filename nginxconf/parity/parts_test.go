package parity

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/snippet"
	"uwgate/uwsgi"
)

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
			if got := k.reaches(nginxconf.Upstream{Servers: []nginxconf.UpstreamServer{{Text: "unix:/other.sock"}, {Text: tt.server}}}); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// The flags of a lookup are those of which the configuration was printed.
func TestLookupFlags(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    snippet.Site
		want []string
	}{
		{"body", snippet.Site{Servers: []string{"127.0.0.1:11211"}},
			[]string{"--format body", "--memcached 127.0.0.1:11211", "--hit-type 'text/html; charset=utf-8'"}},
		{"gzip", snippet.Site{Format: policy.FormatGzip, GzipFlag: 8, Hits: snippet.Hits{HitType: "application/json"}, Hash: cachewriter.Modulo, Servers: []string{"10.0.0.1:11211 weight=2", "unix:/m.sock down"}},
			[]string{"--format gzip", "--gzip-flag 8", "--memcached '10.0.0.1:11211 weight=2'", "--memcached 'unix:/m.sock down'", "--hash modulo", "--hit-type application/json"}},
		{"http", snippet.Site{Format: policy.FormatHTTP, Hash: cachewriter.Consistent, Servers: []string{"a:1", "b:1"}},
			[]string{"--format http", "--memcached a:1", "--memcached b:1", "--hash consistent"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Gateway = "unix:/run/uwgate.sock"
			var b strings.Builder
			if err := tt.s.Write(&b); err != nil {
				t.Fatal(err)
			}
			c, err := nginxconf.Read(filepath.Join(nginxtest.Frame(t, "", b.String()), "nginx.conf"), "")
			if err != nil {
				t.Fatal(err)
			}
			l := Lookup{c.Lookups[0]}
			var got []string
			for _, f := range l.Flags() {
				got = append(got, fmt.Sprint(f))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if key, ok := l.Template(); key != snippet.DefaultKey || !ok {
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
