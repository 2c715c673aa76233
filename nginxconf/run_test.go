package nginxconf

import (
	"slices"
	"strings"
	"testing"
)

// Each way of a request to a lookup is followed with what the conditions before say.
func TestRuns(t *testing.T) {
	const site = `http {
		map $cookie_a $by_map { default 1; "" 0; }
		map $http_cookie $unread { "~(?!x)." 1; }
		server { listen 80; SERVER location / { LOCATION memcached_pass 127.0.0.1:1; error_page 404 = @app; } location @app { uwsgi_pass 127.0.0.1:2; } } }`
	for _, tt := range []struct {
		name, server, location string
		known                  map[string]string
		want                   []string // keys of those that are looked up, or what they leave by
	}{
		{"no condition", ``, `set $memcached_key $uri;`, nil, []string{"$uri"}},
		{"a flag", ``, `set $skip 0; if ($cookie_a) { set $skip 1; } if ($skip) { return 418; } set $memcached_key $uri;`, nil, []string{"$uri", "return 418"}},
		{"a flag of letters", ``, `set $is ""; if ($arg_a) { set $is "${is}A"; } if ($arg_b) { set $is "${is}B"; } if ($is = AB) { return 403; } set $memcached_key "$is$uri";`, nil, []string{"$uri", "A$uri", "B$uri", "return 403"}},
		{"the same condition", ``, `if ($arg_a) { set $memcached_key a; } if ($arg_a) { return 403; } set $memcached_key "b$memcached_key";`, nil, []string{"b", "return 403"}},
		{"its opposite", ``, `if ($arg_a = x) { set $memcached_key a; } if ($arg_a != x) { return 403; }`, nil, []string{"a", "return 403"}},
		{"an empty value is not true", ``, `if ($arg_a = "") { set $memcached_key a; } if ($arg_a) { return 403; }`, nil, []string{"a", "", "return 403"}}, // as in ?a=0
		{"a value meets a regex", ``, `if ($arg_a = xy) { set $b 1; } if ($arg_a ~ ^x) { return 403; } set $memcached_key "k$b";`, nil, []string{"k", "return 403"}},
		{"an empty value meets no regex", ``, `if ($arg_a ~ x) { set $b 1; } if ($arg_a = "") { return 403; } set $memcached_key "k$b";`, nil, []string{"k", "k1", "return 403"}},
		{"a regex meets no empty value", ``, `if ($arg_a ~ x) { set $b 1; } if ($arg_a = "") { set $c e; } set $memcached_key "k$b$c";`, nil, []string{"k", "k1", "ke"}},
		{"a false value meets no regex", ``, `if ($arg_a) { return 403; } if ($arg_a ~ x) { set $b never; } set $memcached_key "k$b";`, nil, []string{"k", "return 403"}},
		{"a false value", ``, `if ($arg_a) { return 403; } if ($arg_a = x) { set $memcached_key never; } set $memcached_key "k$memcached_key";`, nil, []string{"k", "return 403"}},
		{"both schemes", `listen 443 ssl;`, `if ($scheme = http) { return 301 /; } if ($scheme = https) { return 302 /; }`, nil, []string{"return 301 /", "return 302 /"}},
		{"one scheme", ``, `if ($scheme = http) { return 301 /; }`, nil, []string{"return 301 /"}},
		{"the method", ``, `if ($request_method != POST) { set $memcached_key $uri; }`, nil, []string{"$uri"}},
		{"of the server", `if ($arg_a) { return 301 /; } set $key x;`, `set $memcached_key $key;`, nil, []string{"x", "return 301 /"}},
		{"a break of the server", `if ($arg_a) { break; } set $key x;`, `set $memcached_key "k$key";`, nil, []string{"k", "kx"}},
		{"a break", ``, `set $memcached_key a; if ($arg_a) { break; } set $memcached_key b;`, nil, []string{"a", "b"}},
		{"another handler", ``, `if ($arg_a) { uwsgi_pass 127.0.0.1:2; } set $memcached_key $uri;`, nil, []string{"$uri", "uwsgi_pass 127.0.0.1:2"}},
		{"the last if", ``, `set $memcached_key $uri; if ($arg_a) { uwsgi_pass 127.0.0.1:2; } if ($arg_b) { set $x 1; }`, nil, []string{"$uri", "uwsgi_pass 127.0.0.1:2"}},
		{"a rewrite", ``, `rewrite ^/a /b last; set $memcached_key $uri;`, nil, []string{"$uri", "rewrite ^/a /b last"}},
		{"a redirect", ``, `rewrite ^/a http://b/; rewrite ^/c /d permanent; set $memcached_key $uri;`, nil, []string{"$uri", "rewrite ^/a http://b/", "rewrite ^/c /d permanent"}},
		{"arguments anew", ``, `if ($arg_a) { return 403; } set $args $uri; if ($arg_a) { return 404; } set $memcached_key $uri;`, nil, []string{"$uri", "return 403", "return 404"}},

		{"known", ``, `if ($by_map) { return 403; } set $memcached_key "$by_map$uri";`, map[string]string{"cookie_a": ""}, []string{"0$uri"}},
		{"known otherwise", ``, `if ($by_map) { return 403; } set $memcached_key $uri;`, map[string]string{"cookie_a": "x"}, []string{"return 403"}},
		{"captured", ``, `if ($http_cookie ~ "a=(\w+)(?<b>;?)") { set $a $1$b; } set $memcached_key "$a$uri";`, map[string]string{"http_cookie": "a=x;"}, []string{"x;$uri"}},
		{"a regex that Go cannot read", ``, `if ($unread) { return 403; } set $memcached_key $uri;`, map[string]string{"http_cookie": "a=x"}, []string{"$uri", "return 403"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Parse("nginx.conf", strings.NewReplacer("SERVER", tt.server, "LOCATION", tt.location).Replace(site))
			if err != nil {
				t.Fatal(err)
			}
			runs, ok := c.Runs(c.Lookups[0], func(name string) (string, bool) { value, ok := tt.known[name]; return value, ok })
			var got []string
			for _, r := range runs {
				end := r.Key
				if !r.IsAsked {
					end = strings.Trim(r.Left.Value, "`")
				}
				if !slices.Contains(got, end) {
					got = append(got, end)
				}
			}
			slices.Sort(got)
			slices.Sort(tt.want)
			if !ok || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Too many conditions are not followed, and then nothing is said.
func TestTooManyRuns(t *testing.T) {
	var ifs strings.Builder
	for _, letter := range "abcdefghij" {
		ifs.WriteString("if ($arg_" + string(letter) + ") { set $x " + string(letter) + "; }\n")
	}
	c, err := Parse("nginx.conf", "http { server { listen 80; location / {"+ifs.String()+" set $memcached_key $uri; memcached_pass 127.0.0.1:1; } } }")
	if err != nil {
		t.Fatal(err)
	}
	if runs, ok := c.Runs(c.Lookups[0], nil); ok {
		t.Errorf("%d runs", len(runs))
	}
	if l := c.Lookups[0]; l.Key.Late != "" || !l.Never.IsZero() {
		t.Errorf("late %q, never %v", l.Key.Late, l.Never)
	}
}
