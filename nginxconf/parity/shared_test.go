package parity

import (
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
)

// The flags of a lookup are those for which the configuration was printed.
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
			tt.s.Gateways = []string{"unix:/run/uwgate.sock"}
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
