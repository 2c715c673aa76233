package nginxconf

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration // negative: nginx refuses it
	}{
		{"200ms", 200 * time.Millisecond},
		{"1s", time.Second},
		{"1m30s", 90 * time.Second},
		{"1m 30s", 90 * time.Second},
		{"60", time.Minute},
		{"0", 0},
		{"1m30", 90 * time.Second},
		{"1m  5", 65 * time.Second},
		{"1s5ms", 1005 * time.Millisecond},
		{"1ms5", 5001 * time.Millisecond},
		{"1d 2h 3m 4s 5ms", 26*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond},
		{"1w", 7 * 24 * time.Hour},
		{"99999999999w", maxTime / units[0].long * units[0].long},
		{"", -1},
		{"s", -1},
		{"-1", -1},
		{"1.5s", -1},
		{"5S", -1},
		{"5 s", -1},
		{"1x", -1},
		{"1M", -1},
		{"1h2d", -1},
		{"1m1m", -1},
		{" 1m", -1},
		{"1s 5s", -1},
		{"1 5", -1},
		{"99999999999999999999", -1},
	}
	for _, tt := range tests {
		got, ok := parseTime(tt.text)
		if ok != (tt.want >= 0) || ok && got != tt.want {
			t.Errorf("%q: got %v, %v; want %v", tt.text, got, ok, tt.want)
		}
	}
}

func TestUpstreams(t *testing.T) {
	const blocks = `
		upstream app { server 127.0.0.1:1; zone z 1m; keepalive 4; }
		upstream Mixed { server 127.0.0.1:1; }
		upstream two { hash $a; server 127.0.0.1:1; hash "$b c" consistent; server unix:/x max_fails=0; }
		upstream last { hash $a consistent; server 127.0.0.1:1; least_conn; }
		upstream least { random two least_conn; server 127.0.0.1:1 weight=3 down; }
	`
	tests := []struct {
		pass string
		want Upstream // without places
	}{
		{"app", Upstream{Name: "app", Servers: []UpstreamServer{{Text: "127.0.0.1:1"}}}},
		{"mIXED", Upstream{Name: "mIXED", Servers: []UpstreamServer{{Text: "127.0.0.1:1"}}}},
		{"uwsgi://app", Upstream{Name: "uwsgi://app", Servers: []UpstreamServer{{Text: "127.0.0.1:1"}}}},
		{"SUWSGI://app", Upstream{Name: "SUWSGI://app", Servers: []UpstreamServer{{Text: "127.0.0.1:1"}}}},
		{"two", Upstream{Name: "two", Method: "hash", Hash: "$b c", Ketama: true, Servers: []UpstreamServer{{Text: "127.0.0.1:1"}, {Text: "unix:/x max_fails=0"}}}},
		{"last", Upstream{Name: "last", Method: "least_conn", Servers: []UpstreamServer{{Text: "127.0.0.1:1"}}}},
		{"least", Upstream{Name: "least", Method: "random", Servers: []UpstreamServer{{Text: "127.0.0.1:1 weight=3 down"}}}},
		{"127.0.0.1:2", Upstream{Name: "127.0.0.1:2", Implicit: true, Servers: []UpstreamServer{{Text: "127.0.0.1:2"}}}},
		{"uwsgi://unix:/x", Upstream{Name: "uwsgi://unix:/x", Implicit: true, Servers: []UpstreamServer{{Text: "unix:/x"}}}},
		{"$app", Upstream{Name: "$app", Implicit: true}},
	}
	for _, tt := range tests {
		t.Run(tt.pass, func(t *testing.T) {
			c := readText(t, "http {"+blocks+"server { location / { uwsgi_pass "+tt.pass+"; } } }")
			got := c.Passes[0].Upstream
			if got.IsZero() || got.MethodAt.IsZero() != (got.Method == "") {
				t.Errorf("places %v, %v", got.Place, got.MethodAt)
			}
			got.Place, got.MethodAt = Place{}, Place{}
			for i := range got.Servers {
				got.Servers[i].Place = Place{}
			}
			if !sameUpstream(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func sameUpstream(a, b Upstream) bool {
	same := slices.Equal(a.Servers, b.Servers)
	return same && a.Name == b.Name && a.Implicit == b.Implicit && a.Method == b.Method && a.Hash == b.Hash && a.Ketama == b.Ketama
}

// Values are those that a header can have on a hit.
func TestHeaderValues(t *testing.T) {
	const maps = `
		map $upstream_http_a $without { "" ours; default theirs; }
		map $upstream_http_a $by_regex { ~^$ empty; ~* other; }
		map $upstream_http_a $by_default { default d; x y; }
		map $upstream_http_a $nothing { x y; }
		map $scheme $either { http a; https b; }
		map $scheme $any { volatile; default c; http a; https $without; }
		map "$upstream_http_a$upstream_http_b" $both { "" none; default some; }
		map $without $of_map { OURS yes; default no; }
		map $scheme $unknown { http $uri; }
		map $host $round { default $trip; }
		map $host $trip { default $round; }
		map $upstream_http_a $names { hostnames; "" x; }
		map $upstream_http_a $perl { ~(?<=a)b x; }
	`
	tests := []struct {
		value string
		want  []string
	}{
		{"DENY", []string{"DENY"}},
		{"", []string{""}},
		{"$upstream_http_x", []string{""}},
		{"a$without", []string{"aours"}},
		{"$by_regex", []string{"empty"}},
		{"$by_default", []string{"d"}},
		{"$nothing", []string{""}},
		{"$either", []string{"", "a", "b"}},
		{"$any", []string{"a", "c", "ours"}},
		{"$both", []string{"none"}},
		{"$of_map", []string{"yes"}},
		{"$either-$without-$either", []string{"-ours-", "-ours-a", "-ours-b", "a-ours-", "a-ours-a", "a-ours-b", "b-ours-", "b-ours-a", "b-ours-b"}},
		{"$uri", nil},
		{"$unknown", nil},
		{"$round", nil},
		{"$names", nil},
		{"$perl", nil},
	}
	for _, tt := range tests {
		t.Run(tt.value, func(t *testing.T) {
			c := readText(t, "http {"+maps+`add_header X-A "`+tt.value+`"; server { location / { set $memcached_key a; memcached_pass a:1; } } }`)
			if got := c.Lookups[0].Headers[0].Values; !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestAddHeaderInherit(t *testing.T) {
	tests := []struct{ name, http, server, location, in, lost string }{
		{"as ever", "", "", "add_header c 3;", "c", "a b"},
		{"none of its own", "", "", "", "b", "a"},
		{"merged everywhere", "add_header_inherit merge;", "", "add_header c 3;", "a b c", ""},
		{"merged here", "", "", "add_header_inherit merge; add_header c 3;", "b c", "a"},
		{"off", "", "", "add_header_inherit off;", "", "a b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := readText(t, "http {"+tt.http+"add_header a 1; server {"+tt.server+"add_header b 2; location / {"+tt.location+" set $memcached_key a; memcached_pass a:1; } } }")
			in, lost := names(c.Lookups[0].Headers), names(c.Lookups[0].HeadersLost)
			if in != tt.in || lost != tt.lost {
				t.Errorf("got %q, lost %q; want %q, %q", in, lost, tt.in, tt.lost)
			}
		})
	}
}

func names(headers []AddHeader) string {
	var all []string
	for _, h := range headers {
		all = append(all, h.Name)
	}
	return strings.Join(all, " ")
}

// Set finds requests that have a key although they were not looked up.
func TestParamSet(t *testing.T) {
	tests := []struct {
		name, server string
		want         int // the line of the set; 0: none
	}{
		{"never set", "location / {\nuwsgi_pass a:1; }", 0},
		{"set in the location", "location / {\nset $memcached_key a; uwsgi_pass a:1; }", 2},
		{"set empty", "set $memcached_key a; location / {\nset $memcached_key \"\"; uwsgi_pass a:1; }", 0},
		{"set by the server", "set $memcached_key a; location / {\nuwsgi_pass a:1; }", 1},
		{"cleared in the branch", "location / { set $memcached_key a; if ($uri) {\nset $memcached_key \"\"; uwsgi_pass a:1; } memcached_pass a:1; }", 0},
		{"set behind the branch", "location / { if ($uri) { uwsgi_pass a:1; }\nset $memcached_key a; memcached_pass a:1; }", 2},
		{"behind a break in the branch", "location / { if ($uri) { uwsgi_pass a:1; break; }\nset $memcached_key a; memcached_pass a:1; }", 0},
		{"set for some", "location / { if ($uri) {\nset $memcached_key a; } uwsgi_pass a:1; }", 2},
		{"another variable", "location / {\nset $k a; uwsgi_pass a:1; }", 0},
		{"in braces", "location / {\nset $Memcached_Key a; uwsgi_pass a:1; uwsgi_param CACHE_KEY ${memcached_key}; }", 2},
		{"a part of the value", "location / {\nset $memcached_key a; uwsgi_pass a:1; uwsgi_param CACHE_KEY x$memcached_key; }", 0},
		{"after a lookup", "location / { set $memcached_key a; memcached_pass a:1; error_page 404 = @m; } location @m { uwsgi_pass a:1; }", 0},
		{"after a lookup or without", "location / { set $memcached_key a; memcached_pass a:1; error_page 404 = @m; }\nlocation /b { set $memcached_key b; try_files /x @m; } location @m { uwsgi_pass a:1; }", 2},
		{"fetched by srcache", "location / {\nset $memcached_key a; srcache_fetch GET /m $memcached_key; uwsgi_pass a:1; } location /m { set $memc_key $args; memc_pass a:1; }", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := readText(t, "http { server { uwsgi_param CACHE_KEY $memcached_key; "+tt.server+"} }")
			if got := c.Passes[0].Params[0].Set.Line; got != tt.want {
				t.Errorf("got line %d, want %d", got, tt.want)
			}
		})
	}
}

// Of two handlers in a location the last one counts, and none in a limit_except that takes
// GETs.
func TestMemcachedPassThatDoesNotCount(t *testing.T) {
	for _, tt := range []struct{ lines, want string }{
		{"memcached_pass a:1; uwsgi_pass a:2;", "`memcached_pass a:1` counts for nothing: the requests are those of `uwsgi_pass a:2` of line 2"},
		{"memcached_pass a:1; limit_except POST { deny all; }", "`memcached_pass a:1` counts for nothing: `limit_except POST` of line 2 takes GETs away from it, and nginx looks for a file"},
	} {
		c := readText(t, "http { server { location / { set $memcached_key a;\n"+tt.lines+" } } }")
		if len(c.Lookups) > 0 || len(c.Gaps) != 1 || c.Gaps[0].Text != tt.want || c.Gaps[0].Line != 2 {
			t.Errorf("got %v, %v, want %s", c.Lookups, c.Gaps, tt.want)
		}
	}
}
