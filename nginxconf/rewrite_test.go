package nginxconf

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/nginxconf/nginxtest"
)

// asks stands for the directive that looks up, on a line of its own.
const asks = "ASKS;"

// keyTests are the server blocks of configurations.
var keyTests = []struct {
	name, server string
	want         Key // without places and the name of the variable; of Opaque the names and kinds
}{
	{"alone", `location / { set $memcached_key "p:$request_uri"; ASKS; }`,
		Key{Text: Text{Value: "p:$request_uri"}, Expanded: "p:$request_uri"}},
	{"a chain", `set $prefix ":1:"; location / { set $a "$prefix$uri"; set $memcached_key "$a?$args"; ASKS; }`,
		Key{Text: Text{Value: "$a?$args"}, Expanded: ":1:$uri?$args"}},
	{"names without case", `set $PreFix x; location / { set $Memcached_Key "$prefix$Request_URI"; ASKS; }`,
		Key{Text: Text{Value: "$prefix$Request_URI"}, Expanded: "x$Request_URI"}},
	{"braces", `location / { set $a ${uri}; set $b -x; set $memcached_key "${a}1$b$a-${a}"; ASKS; }`,
		Key{Text: Text{Value: "${a}1$b$a-${a}"}, Expanded: "${uri}1-x$uri-$uri"}},
	{"quotes and escapes", `location / { set $memcached_key 'a\tb"\'\\c\d $uri'; ASKS; }`,
		Key{Text: Text{Value: "a\tb\"'\\c\\d $uri"}, Expanded: "a\tb\"'\\c\\d $uri"}},
	{"from itself", `location / { set $memcached_key $uri; set $memcached_key "$memcached_key:2"; set $memcached_key "[$memcached_key]"; ASKS; }`,
		Key{Text: Text{Value: "[$memcached_key]"}, Expanded: "[$uri:2]"}},
	{"the value at its time", `set $a 1; location / { set $memcached_key "$a$uri"; set $a 2; ASKS; }`,
		Key{Text: Text{Value: "$a$uri"}, Expanded: "1$uri"}},
	{"below what looks up", `location / { ASKS; set $memcached_key $uri; }`,
		Key{Text: Text{Value: "$uri"}, Expanded: "$uri"}},
	{"of the server", `set $memcached_key "s$uri"; location / { ASKS; }`,
		Key{Text: Text{Value: "s$uri"}, Expanded: "s$uri"}},
	{"below the location", `location / { ASKS; } set $memcached_key "s$uri";`,
		Key{Text: Text{Value: "s$uri"}, Expanded: "s$uri"}},
	{"a constant", `location / { set $a 1; set $memcached_key "c$a"; ASKS; }`,
		Key{Text: Text{Value: "c$a"}, Expanded: "c1"}},
	{"empty", `location / { set $memcached_key ""; ASKS; }`, Key{Late: "`set $memcached_key \"\"` of nginx.conf:5 gives it no value"}},
	{"a variable of another location", `location /b { set $a 1; } location / { set $memcached_key "k$a:$uri"; ASKS; }`,
		Key{Text: Text{Value: "k$a:$uri"}, Expanded: "k:$uri"}},
	{"headers, arguments, cookies", `location / { set $memcached_key "$http_host$arg_x$cookie_c$is_args"; ASKS; }`,
		Key{Text: Text{Value: "$http_host$arg_x$cookie_c$is_args"}, Expanded: "$http_host$arg_x$cookie_c$is_args"}},

	{"map", `location / { set $memcached_key "k:$mapped"; ASKS; }`,
		Key{Text: Text{Value: "k:$mapped"}, Expanded: "k:$mapped", Opaque: []Variable{{Name: "$mapped", Kind: "map", Value: "$arg_x"}}}},
	{"the key is mapped", `location / { ASKS; }`,
		Key{Text: Text{Value: "$memcached_key"}, Expanded: "$memcached_key", Opaque: []Variable{{Name: "$memcached_key", Kind: "map", Value: "$uri"}}}},
	{"geo, split_clients", `location / { set $a $place$half; set $memcached_key "$a$a"; ASKS; }`,
		Key{Text: Text{Value: "$a$a"}, Expanded: "$place$half$place$half", Opaque: []Variable{{Name: "$place", Kind: "geo", Value: "$remote_addr"}, {Name: "$half", Kind: "split_clients", Value: "$uri"}}}},
	{"capture of the location", `location ~ ^/(.?) { set $memcached_key "k$1x"; ASKS; }`,
		Key{Text: Text{Value: "k$1x"}, Expanded: "k$1x", Opaque: []Variable{{Name: "$1", Kind: "capture", Value: "~ ^/(.?)"}}}},
	{"named capture", `location ~ ^/(?<first>.?) { set $memcached_key "k$first"; ASKS; }`,
		Key{Text: Text{Value: "k$first"}, Expanded: "k$first", Opaque: []Variable{{Name: "$first", Kind: "capture", Value: "~ ^/(?<first>.?)"}}}},
	{"set in a branch", `location / { set $a 0; if ($arg_x) { set $a 1; } set $memcached_key "k$a$uri"; ASKS; }`,
		Key{Text: Text{Value: "k$a$uri"}, Expanded: "k$a$uri", Opaque: []Variable{{Name: "$a", Kind: "set", Value: "1"}}}},
	{"set again after a branch", `location / { if ($arg_x) { set $a 1; } set $a 2; set $memcached_key "k$a$uri"; ASKS; }`,
		Key{Text: Text{Value: "k$a$uri"}, Expanded: "k2$uri"}},
	{"set in a branch of the server", `set $a 0; if ($arg_x) { set $a 1; } location / { set $memcached_key "k$a$uri"; ASKS; }`,
		Key{Text: Text{Value: "k$a$uri"}, Expanded: "k$a$uri", Opaque: []Variable{{Name: "$a", Kind: "set", Value: "1"}}}},

	{"requests that leave do not matter", `location / { set $memcached_key $uri; if ($arg_none) { set $memcached_key x; return 403; } if ($arg_none) { set $memcached_key y; rewrite ^ /z last; } ASKS; }`,
		Key{Text: Text{Value: "$uri"}, Expanded: "$uri"}},
	{"break in a server", `set $a 1; break; set $a 2; location / { set $memcached_key "$a$uri"; ASKS; }`,
		Key{Text: Text{Value: "$a$uri"}, Expanded: "1$uri"}},
	{"break below the key", `location / { set $memcached_key $uri; break; set $memcached_key x; ASKS; }`,
		Key{Text: Text{Value: "$uri"}, Expanded: "$uri"}},
	{"rewritten before", `location / { rewrite ^/none /x last; set $memcached_key $request_uri; ASKS; }`,
		Key{Text: Text{Value: "$request_uri"}, Expanded: "$request_uri"}},

	{"nested", `location / { set $a outer; location ~ / { set $memcached_key "k$a$uri"; ASKS; } }`,
		Key{Text: Text{Value: "k$a$uri"}, Expanded: "k$uri"}},
	{"named", `location / { set $a outer; try_files /none @m; } location @m { set $memcached_key "k$a$uri"; ASKS; }`,
		Key{Text: Text{Value: "k$a$uri"}, Expanded: "kouter$uri"}},
	{"named by an error page", `location / { set $memcached_key "k$uri"; error_page 404 = @m; root /none; } location @m { ASKS; }`,
		Key{Text: Text{Value: "k$uri"}, Expanded: "k$uri"}},
	{"args that are set", `location / { set $args "a=1&$args"; set $memcached_key "$uri$is_args$query_string:$arg_a"; ASKS; }`,
		Key{Text: Text{Value: "$uri$is_args$query_string:$arg_a"}, Expanded: "$uri$is_args$query_string:$arg_a", Opaque: []Variable{
			{Name: "$is_args", Kind: "set", Value: "a=1&$args"}, {Name: "$query_string", Kind: "set", Value: "a=1&$args"}, {Name: "$arg_a", Kind: "set", Value: "a=1&$args"}}}},
	{"set in a branch and never", `location / { set $a 0; if ($arg_x) { set $a 1; } set $memcached_key "k$a$uri"; break; set $a 2; ASKS; }`,
		Key{Text: Text{Value: "k$a$uri"}, Expanded: "k$a$uri", Opaque: []Variable{{Name: "$a", Kind: "set", Value: "1"}}}},
	{"named by an error page of all", `error_page 404 = @m; location / { set $memcached_key "a$uri"; root /none; } location @m { set $memcached_key "k$memcached_key"; ASKS; }`,
		Key{Text: Text{Value: "k$memcached_key"}, Expanded: "ka$uri"}},
	{"looked up in a branch", `location / { set $a 1; if ($request_method = GET) { set $a 2; set $memcached_key "$a$uri"; ASKS; } set $a 3; }`,
		Key{Text: Text{Value: "$a$uri"}, Expanded: "2$uri"}},
}

// keyMap defines the key without a `set`. It cannot stand beside the other cases.
const keyMaps = `
map $arg_x $mapped { default d; 1 one; }
geo $place { default nowhere; 127.0.0.0/8 here; }
split_clients $uri $half { 50% a; * b; }
`

// keyMap is the case in which nothing sets the key. It cannot stand beside the others.
const keyMap = `map $uri $memcached_key { default "m$uri"; }`

func keySite(name, server string) string {
	site := keyMaps
	if name == "the key is mapped" {
		site += keyMap
	}
	return site + "server { listen unix:show.sock; root /none; " + server + " }"
}

func TestKeys(t *testing.T) {
	for _, tt := range keyTests {
		t.Run(tt.name, func(t *testing.T) {
			got := keyOf(t, keySite(tt.name, tt.server))
			if got.Variable != "$memcached_key" || got.IsZero() {
				t.Errorf("variable %s, place %v", got.Variable, got.Place)
			}
			for i, v := range got.Opaque {
				if v.IsZero() {
					t.Errorf("%s has no place", v.Name)
				}
				got.Opaque[i].Place = Place{}
			}
			got.Place, got.Variable = Place{}, ""
			if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", tt.want) {
				t.Errorf("got  %#v\nwant %#v", got, tt.want)
			}
		})
	}
}

// keyOf reads the only lookup's key.
func keyOf(t *testing.T, site string) Key {
	t.Helper()
	c := readText(t, "http {"+strings.ReplaceAll(site, asks, "memcached_pass 127.0.0.1:11211;")+"}")
	if len(c.Lookups) != 1 || len(c.Gaps) > 0 {
		t.Fatalf("got\n%s", dump(c))
	}
	return c.Lookups[0].Key
}

// readText reads a whole configuration that includes nothing.
func readText(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("nginx.conf", text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// For any request nginx evaluates the expanded key to the key that it uses.
func TestKeysAreThoseOfNginx(t *testing.T) {
	program := nginxtest.Program(t)
	for _, tt := range keyTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			site := keySite(tt.name, tt.server)
			shows := fmt.Sprintf(`add_header X-Key ":$memcached_key" always; add_header X-Expanded "%s" always; empty_gif;`,
				strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(":"+keyOf(t, site).Expanded))
			if tt.name == "looked up in a branch" {
				shows = strings.Replace(shows, "empty_gif;", "", 1) // it cannot stand there
				site = strings.Replace(site, "set $a 3; }", "set $a 3; empty_gif; }", 1)
			}
			dir := nginxtest.Frame(t, "", strings.ReplaceAll(site, asks, shows))
			socket := filepath.Join(dir, "show.sock")
			nginxtest.Replace(t, filepath.Join(dir, "site.conf"), "unix:show.sock", "unix:"+socket)
			nginxtest.Start(t, program, dir, socket)
			client := nginxtest.Client(socket)
			for _, target := range []string{"/", "/a/b?x=1&y=2", "/%61%20b?x=&X=2", "/c/..//d?"} {
				req, err := http.NewRequest("GET", "http://Example.com", nil)
				if err != nil {
					t.Fatal(err)
				}
				req.URL.Opaque = target
				req.Header.Set("Cookie", "c=1")
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got, want := resp.Header.Get("X-Expanded"), resp.Header.Get("X-Key"); got != want || want == "" {
					t.Errorf("%s: expanded %q, nginx has %q", target, got, want)
				}
			}
		})
	}
}

func TestLateKeys(t *testing.T) {
	tests := []struct {
		name, server, value, want string
	}{
		{"after break", `location / { break; set $memcached_key $uri; ASKS; }`,
			"$uri", "`set $memcached_key $uri` of nginx.conf:1 stands after `break` of line 1, and so never runs"},
		{"after break, empty before", `set $memcached_key ""; location / { break; set $memcached_key $uri; ASKS; }`,
			"$uri", "and so never runs"},
		{"after rewrite of all", `location / { rewrite ^ /x break; set $memcached_key $uri; ASKS; }`,
			"$uri", "stands after `rewrite ^ /x break` of line 1, and so never runs"},
		{"after rewrite of some", `location / { rewrite ^/a /x break; set $memcached_key $uri; ASKS; }`,
			"$uri", "stands after `rewrite ^/a /x break` of line 1, and so does not run for all requests"},
		{"after return", `location / { return 200; set $memcached_key $uri; ASKS; }`,
			"$uri", "stands after `return 200` of line 1, and so never runs"},
		{"after break of some", `location / { if ($arg_a) { break; } set $memcached_key $uri; ASKS; }`,
			"$uri", "stands after `break` of line 1, and so does not run for all requests"},
		{"in a branch", `location / { if ($arg_a) { set $memcached_key $uri; } ASKS; }`,
			"$uri", "stands in `if ($arg_a)` of line 1, and so runs for some requests only"},
		{"also in a branch", `location / { set $memcached_key $uri; if ($arg_a) { set $memcached_key b; } ASKS; }`,
			"$uri", "varies: `set $memcached_key b` of nginx.conf:1 stands in `if ($arg_a)` of line 1"},
		{"in a branch, empty before", `set $memcached_key ""; location / { if ($arg_a) { set $memcached_key b; } ASKS; }`,
			"b", "stands in `if ($arg_a)`"},
		{"in a branch of the server", `if ($arg_a) { set $memcached_key b; } location / { ASKS; }`,
			"b", "stands in `if ($arg_a)`"},
		{"in a branch, and never", `location / { set $memcached_key a; if ($arg_a) { set $memcached_key b; } break; set $memcached_key c; ASKS; }`,
			"a", "varies: `set $memcached_key b` of nginx.conf:1 stands in `if ($arg_a)`"},
		{"nowhere", `location / { ASKS; }`,
			"", "no `set $memcached_key` runs here"},
		{"elsewhere", `location /a { set $memcached_key b; } location / { ASKS; }`,
			"", "no `set $memcached_key` runs here"},
		{"in the location around", `location / { set $memcached_key b; location /a { ASKS; } }`,
			"", "runs here; that of nginx.conf:1 is of the location around this one, and nginx runs only the innermost one's"},
		{"ways that differ", `location / { set $memcached_key a; try_files /x @m; } location /b { set $memcached_key b; try_files /x @m; } location @m { ASKS; }`,
			"a", "varies: requests from `location /b` of nginx.conf:1 have another one, `b`"},
		{"not on all ways", `location / { try_files /x @m; } location /b { set $memcached_key b; try_files /x @m; } location @m { ASKS; }`,
			"b", "for requests from `location /` of nginx.conf:1, no `set $memcached_key` runs here"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := keyOf(t, "server {"+tt.server+"}")
			why := got.Late
			if got.Varies != "" {
				why += "varies: " + got.Varies
			}
			if got.Value != tt.value || !strings.Contains(why, tt.want) {
				t.Errorf("got %q, %q; want %q, %q", got.Value, why, tt.value, tt.want)
			}
			if got.IsZero() != (tt.value == "") {
				t.Errorf("place %v", got.Place)
			}
		})
	}
}

// An `if` that takes requests without a key elsewhere leaves those that have one.
func TestRequestsWithoutAKeyLeave(t *testing.T) {
	const some = `set $memcached_key ""; if ($arg_a) { set $memcached_key $uri; } `
	for _, tt := range []struct{ name, location, expanded, late, varies string }{
		{"return", some + `if ($memcached_key = "") { return 418; }`, "$uri", "", ""},
		{"another handler", some + `if ($memcached_key = '') { uwsgi_pass 127.0.0.1:1; }`, "$uri", "", ""},
		{"never set before", `if ($arg_a) { set $memcached_key $uri; } if ($memcached_key = "") { return 418; }`, "$uri", "", ""},
		{"through a variable", `set $k ""; if ($arg_a) { set $k $uri; } if ($k = "") { return 418; } set $memcached_key $host$k;`, "$host$uri", "", ""},
		{"two keys", some + `if ($arg_b) { set $memcached_key b; } if ($memcached_key = "") { return 418; }`, "b", "", "$arg_b"},

		{"too early", `set $memcached_key ""; if ($memcached_key = "") { return 418; } if ($arg_a) { set $memcached_key $uri; }`, "$uri", "$arg_a", ""},
		{"after a break of some", some + `if ($arg_b) { break; } if ($memcached_key = "") { return 418; }`, "$uri", "$arg_a", ""},
		{"they stay", some + `if ($memcached_key = "") { set $x 1; }`, "$uri", "$arg_a", ""},
		{"others leave", some + `if ($memcached_key != "") { return 418; }`, "$uri", "$arg_a", ""},
		{"another value", some + `if ($memcached_key = "-") { return 418; }`, "$uri", "$arg_a", ""},
		{"another variable", some + `set $x ""; if ($x = "") { return 418; }`, "$uri", "$arg_a", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := keyOf(t, "server { location / {"+tt.location+" ASKS; } }")
			if k.Expanded != tt.expanded || len(k.Opaque) > 0 {
				t.Errorf("the key is %q, opaque %v; want %q", k.Expanded, k.Opaque, tt.expanded)
			}
			if (k.Late != "") != (tt.late != "") || !strings.Contains(k.Late, tt.late) || (k.Varies != "") != (tt.varies != "") || !strings.Contains(k.Varies, tt.varies) {
				t.Errorf("late %q, varies %q; want %q, %q", k.Late, k.Varies, tt.late, tt.varies)
			}
		})
	}
}

// Opaque says what defines a variable.
func TestVariables(t *testing.T) {
	const made = `
		map $uri $twice { a b; }
		map $host $twice { a b; }
		geo $arg_x $place { default a; }
		perl_set $perl 'sub { return "x"; }';
		js_set $js main.f;
		keyval $arg_k $kept zone=one;
		geoip2 /x.mmdb { $country source=$remote_addr country iso_code; }
		map $uri $caught { ~^/(?<in_map>.) a; "~(?P<twice>x)" b; }
	`
	const location = `
		set_by_lua_block $lua { return "}" }
		set_unescape_uri $plain $arg_y;
		auth_request_set $user $upstream_http_x;
		rewrite ^/(?'old'.*)x /y;
		if ($uri ~ ^/(.)) { set $none $1; }
	`
	tests := []struct{ name, kind, value string }{
		{"$twice", "map", "$host"},
		{"$place", "geo", "$arg_x"},
		{"$perl", "perl_set", `sub { return "x"; }`},
		{"$js", "js_set", "main.f"},
		{"$kept", "keyval", "$arg_k"},
		{"$country", "geoip2", "source=$remote_addr country iso_code"},
		{"$in_map", "capture", "~^/(?<in_map>.)"},
		{"$lua", "set_by_lua_block", ""},
		{"$plain", "set_unescape_uri", "$arg_y"},
		{"$user", "auth_request_set", "$upstream_http_x"},
		{"$old", "capture", "^/(?'old'.*)x"},
		{"$1", "capture", "($uri ~ ^/(.))"},
		{"$none", "set", "$1"},
		{"$geoip_city", "unknown", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := keyOf(t, made+"server { location / {"+location+` set $memcached_key "k`+tt.name+`"; ASKS; } }`)
			if len(k.Opaque) != 1 || k.Expanded != "k"+tt.name {
				t.Fatalf("got %+v", k)
			}
			got := k.Opaque[0]
			if got.Name != tt.name || got.Kind != tt.kind || got.Value != tt.value || got.IsZero() != (tt.kind == "unknown") {
				t.Errorf("got %+v, want %+v", got, tt)
			}
		})
	}
}

// A value that doubles with each line does not grow without bound.
func TestKeysAreBounded(t *testing.T) {
	text := "http { server { location / { set $a 0123456789;" + strings.Repeat(`set $a "$a$a"; set $b "$a$b";`, 200) +
		`set $memcached_key "$a$b"; memcached_pass 127.0.0.1:11211; } } }`
	k := readText(t, text).Lookups[0].Key
	if len(k.Expanded) > 4*maxExpansion || len(k.Opaque) == 0 {
		t.Errorf("%d bytes, opaque %v", len(k.Expanded), k.Opaque)
	}
}
