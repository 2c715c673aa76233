package parity

import (
	"slices"
	"strings"
	"testing"
)

// What Lua, njs and Perl do cannot be known: with such code before a lookup, or where it may
// send requests to the gateway, no derived key is proven. A key that is handed over is.
func TestPrograms(t *testing.T) {
	const all = "location / { LOOKUP error_page 404 405 502 504 = @app; } location @app { uwsgi_pass uwgate; }"
	for _, tt := range []struct {
		name, server          string
		isUnknown, isInTheKey bool // without and with CACHE_STATUS
	}{
		{"none", all, false, false},
		{"access_by_lua_block", strings.Replace(all, "LOOKUP", "access_by_lua_block { if x then ngx.exec('@app') end } LOOKUP", 1), true, true},
		{"rewrite_by_lua_file", "rewrite_by_lua_file x.lua; " + all, true, true},
		{"server_rewrite_by_lua_block", "server_rewrite_by_lua_block { x() } " + all, true, true},
		{"js_access", strings.Replace(all, "LOOKUP", "js_access m.f; LOOKUP", 1), true, true},
		{"after the lookup", strings.Replace(all, "@app {", "@app { access_by_lua_file x.lua;", 1), true, true},
		{"content_by_lua_block", all + " location /lua { content_by_lua_block { ngx.exec('@app') } }", true, false},
		{"js_content", all + " location /js { js_content m.f; }", true, false},
		{"perl", all + " location /perl { perl m::f; }", true, false},
		{"a variable of the key", "js_set $k m.f; set $memcached_key $k$request_uri; " + all, true, true},
		{"another variable of the key", "set_by_lua_block $k { return 1 } set $memcached_key $k$request_uri; " + all, true, true},
		{"a variable that is not in the key", "perl_set $k m::f; " + all, false, false},
		{"responses and logs", "header_filter_by_lua_block { x() } log_by_lua_file y.lua; js_header_filter m.f; js_body_filter m.f; body_filter_by_lua_file z.lua; " + all, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const key = "uwsgi_param CACHE_KEY $memcached_key;"
			for _, told := range []struct {
				param string
				want  bool
			}{{"", tt.isUnknown}, {"uwsgi_param CACHE_STATUS $upstream_status;", tt.isInTheKey}, {"uwsgi_param CACHE_STATUS $upstream_status;" + key, false}} {
				c := readSite(t, site("", told.param+tt.server))
				s, err := SettingsFor(c, []string{"127.0.0.1:3030"})
				if err != nil {
					t.Fatal(err)
				}
				refusals := Refusals(c, Gateway{Listen: []string{"127.0.0.1:3030"}})
				refusals = slices.DeleteFunc(refusals, func(f Finding) bool { return f.Code == keyWithoutHost })
				if (s.Unknown["key"] != nil) != told.want || len(refusals) > 0 != told.want {
					t.Errorf("with %q the key is unknown: %v; refusals: %v; want %v", told.param, s.Unknown["key"], refusals, told.want)
				}
			}
		})
	}
}
