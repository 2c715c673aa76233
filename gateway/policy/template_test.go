package policy

import (
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestParseTemplateErrors(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		{"", "no variable"},
		{"page", "no variable"},
		{"$", "not followed by a variable's name"},
		{"a$", "not followed by a variable's name"},
		{"$$uri", "not followed by a variable's name"},
		{"$-uri", "not followed by a variable's name"},
		{"${}", "not followed by a variable's name"},
		{"${uri", "closing brace"},
		{"${uri-x}", "closing brace"},
		{"$1", "$1 cannot be derived"},
		{"$12", "$1 cannot be derived"},
		{"${slug}", "$slug cannot be derived"},
		{"$request", "$request cannot be derived"},
		{"$memcached_key", "$memcached_key cannot be derived"},
		{"$uri$device", "uwsgi_param CACHE_KEY $memcached_key if_not_empty"},
		{"$http_", "$http_ cannot be derived"},
		{"$arg_", "$arg_ cannot be derived"},
		{"$cookie_", "$cookie_ cannot be derived"},
		{"$ssl_protocol", "$ssl_protocol cannot be derived"},
	} {
		_, err := ParseTemplate(tt.template)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "policy: template ") {
			t.Errorf("%q: got %v, want an error with %q", tt.template, err, tt.want)
		}
	}
}

func TestExpand(t *testing.T) {
	const unknown = ""
	tests := []struct {
		name, template, version string
		changes                 []string
		want, wantErr           string
	}{
		{"literals", "a b:%41 $uri!", unknown, nil, "a b:%41 /p!", ""},
		{"braces", "${uri}x$URI", unknown, nil, "/px/p", ""},
		{"digits in a name", "$http_x2", unknown, []string{"HTTP_X2=v"}, "v", ""},
		{"args", "$is_args$args|$query_string", unknown, nil, "?q=1|q=1", ""},
		{"no args", "$is_args$args|", unknown, []string{"QUERY_STRING="}, "|", ""},
		{"https", "$https|", unknown, nil, "|", ""},
		{"https on", "$https|", unknown, []string{"HTTPS=on"}, "on|", ""},
		{"HTTP_HOST missing", "$http_host|", unknown, []string{"-HTTP_HOST"}, "|", ""},
		{"HTTP_HOST of a new nginx", "$http_host", "1.29.5", nil, "", "since nginx 1.29.5"},
		{"HTTP_HOST of the version before", "$http_host", "1.29.4", nil, "www.example.com", ""},

		{"host", "$host", unknown, []string{"HTTP_HOST=WWW.Example.COM.:80"}, "www.example.com", ""},
		{"host, colons", "$host", unknown, []string{"HTTP_HOST=x:y:z"}, "x", ""},
		{"host, IPv6", "$host", unknown, []string{"HTTP_HOST=[2001:DB8::1]:8080"}, "[2001:db8::1]", ""},
		{"host, high bytes", "$host", unknown, []string{"HTTP_HOST=\xc3\x9c.x"}, "\xc3\x9c.x", ""},
		{"host, none", "$host", unknown, []string{"-HTTP_HOST"}, "www.example.com", ""},
		{"host, empty", "$host", unknown, []string{"HTTP_HOST="}, "www.example.com", ""},
		{"host twice, the last counts", "$host|$http_host", unknown, []string{"+HTTP_HOST=x"}, "x|x", ""},
		{"host twice, the same", "$host|$http_host", unknown, []string{"+HTTP_HOST=www.example.com"}, "www.example.com|www.example.com", ""},
		{"host, none at all", "$host", unknown, []string{"-HTTP_HOST", "-SERVER_NAME"}, "", "does not send SERVER_NAME"},

		{"var missing", "$request_uri", unknown, []string{"-REQUEST_URI"}, "", "does not send REQUEST_URI; include uwsgi_params"},
		{"var twice, different", "$uri", unknown, []string{"+PATH_INFO=/x"}, "/x", ""},
		{"var twice, the same", "$uri", unknown, []string{"+PATH_INFO=/p"}, "/p", ""},

		{"arg", "$arg_Q", unknown, nil, "1", ""},
		{"arg, first of two", "$arg_a", unknown, []string{"QUERY_STRING=b=0&A=1&a=2"}, "1", ""},
		{"arg without value is passed over", "$arg_a", unknown, []string{"QUERY_STRING=a&a=2"}, "2", ""},
		{"arg, not decoded", "$arg_a", unknown, []string{"QUERY_STRING=%61=0&a=%31;b=2"}, "%31;b=2", ""},
		{"arg, absent", "$arg_a|", unknown, nil, "|", ""},
		{"arg, end of a longer name", "$arg_a|", unknown, []string{"QUERY_STRING=ba=1"}, "|", ""},

		{"header twice, old", "$http_x", "1.22.1", []string{"+HTTP_X=a", "+HTTP_X=b"}, "a", ""},
		{"header twice, new", "$http_x", "1.23.0", []string{"+HTTP_X=a", "+HTTP_X=b"}, "a, b", ""},
		{"header twice, unknown", "$http_x", unknown, []string{"+HTTP_X=a", "+HTTP_X=b"}, "", "HTTP_X is repeated"},
		{"header twice and equal, unknown", "$http_x", unknown, []string{"+HTTP_X=a", "+HTTP_X=a"}, "a", ""},
		{"header twice and equal, new", "$http_x", "1.23.0", []string{"+HTTP_X=a", "+HTTP_X=a"}, "a", ""},
		{"cookies twice and equal, old", "$http_cookie", "1.22.1", []string{"+HTTP_COOKIE=a", "+HTTP_COOKIE=a"}, "a; a", ""},
		{"cookies twice and equal, new", "$http_cookie", "1.23.0", []string{"+HTTP_COOKIE=a", "+HTTP_COOKIE=a"}, "a", ""},
		{"cookies joined by all", "$http_cookie", unknown, []string{"+HTTP_COOKIE=a", "+HTTP_COOKIE=b"}, "a; b", ""},
		{"forwarded-for joined by all", "$http_x_forwarded_for", unknown, []string{"+HTTP_X_FORWARDED_FOR=a", "+HTTP_X_FORWARDED_FOR=b"}, "a, b", ""},

		{"cookie", "$cookie_Lang", unknown, []string{"HTTP_COOKIE=a=b; lang = de fr ;c=d"}, "de fr ", ""},
		{"cookie behind a comma, old", "$cookie_lang", "1.29.5", []string{"HTTP_COOKIE=a=1,lang=de"}, "de", ""},
		{"cookie behind a comma, new", "$cookie_lang|", "1.29.6", []string{"HTTP_COOKIE=a=1,lang=de"}, "|", ""},
		{"cookie behind a comma, unknown", "$cookie_lang", unknown, []string{"HTTP_COOKIE=a=1,lang=de"}, "", "read this Cookie header differently"},
		{"cookie in the second line", "$cookie_lang", unknown, []string{"+HTTP_COOKIE=a=1", "+HTTP_COOKIE=lang=de"}, "de", ""},
		{"cookie's name eats the separator", "$cookie_lang|", "1.22.1", []string{"HTTP_COOKIE=lang; lang=de"}, "|", ""},
		{"cookie of a longer name", "$cookie_lang", unknown, []string{"HTTP_COOKIE=language=x; lang=de"}, "de", ""},
		{"cookie, empty", "$cookie_lang|", unknown, []string{"HTTP_COOKIE=lang="}, "|", ""},

		{"user", "$remote_user", unknown, []string{"HTTP_AUTHORIZATION=Basic YW5uOngA"}, "ann", ""},
		{"user, unpadded", "$remote_user", unknown, []string{"HTTP_AUTHORIZATION=basic   YW5uOg"}, "ann", ""},
		{"user, no colon", "$remote_user|", unknown, []string{"HTTP_AUTHORIZATION=Basic YW5u"}, "|", ""},
		{"user, no base64", "$remote_user|", unknown, []string{"HTTP_AUTHORIZATION=Basic ?"}, "|", ""},
		{"user, another scheme", "$remote_user|", unknown, []string{"HTTP_AUTHORIZATION=Bearer YW5uOg"}, "|", ""},
		{"length", "$content_length|", unknown, []string{"CONTENT_LENGTH=5"}, "5|", ""},
		{"length of a chunked body", "$content_length|", unknown, []string{"HTTP_TRANSFER_ENCODING=chunked"}, "", "chunked"},
	}
	for _, tt := range tests {
		got, err := mustTemplate(t, tt.template, tt.version).Expand(get(tt.changes...))
		switch {
		case tt.wantErr != "":
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
				t.Errorf("%s: got %q, %v; want an error with %q", tt.name, got, err, tt.wantErr)
			}
		case err != nil || got != tt.want:
			t.Errorf("%s: got %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]Version{"": {}, "1.22.1": {1, 22, 1}, "1.29.0": {1, 29, 0}} {
		if got, err := ParseVersion(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"1", "1.22", "1.22.1.1", "1.22.x", "1.-2.1", "nginx/1.22.1", "1..1"} {
		if got, err := ParseVersion(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, got)
		}
	}
}

func TestVersionSince(t *testing.T) {
	for _, tt := range []struct {
		v, w Version
		want bool
	}{
		{Version{1, 23, 0}, Version{1, 23, 0}, true},
		{Version{1, 22, 9}, Version{1, 23, 0}, false},
		{Version{1, 30, 0}, Version{1, 29, 6}, true},
		{Version{2, 0, 0}, Version{1, 29, 6}, true},
		{Version{0, 99, 0}, Version{1, 23, 0}, false},
		{Version{}, Version{}, false},
	} {
		if got := tt.v.since(tt.w); got != tt.want {
			t.Errorf("%v since %v: got %v, want %v", tt.v, tt.w, got, tt.want)
		}
	}
}

func TestZeroTemplate(t *testing.T) {
	p := testPolicy()
	p.Keys.Template, p.Keys.TemplateIsProof = &Template{}, true
	plan := p.Request(get("-CACHE_KEY", "-CACHE_STATUS", "-CACHE_SERVER"))
	if plan.Reason != NoKey || plan.Key != "" {
		t.Errorf("got %+v, want no key", plan)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"$uri", "${uri}x", "$arg_a|$cookie_b|$http_c", "$host$request_uri", "$remote_user", "$1", "${", "a$"} {
		f.Add(s, "a=1&b=2", "b=1, c; b=2", "Host:1", uint8(0))
	}
	f.Fuzz(func(t *testing.T, s, query, cookie, host string, version uint8) {
		tmpl, err := ParseTemplate(s)
		if err != nil {
			return
		}
		v := get("QUERY_STRING="+query, "REQUEST_URI=/?"+query, "+HTTP_COOKIE="+cookie, "HTTP_HOST="+host, "+HTTP_C="+host, "HTTP_AUTHORIZATION=Basic "+cookie)
		old, oldErr := expandAs(tmpl, Version{1, 22, 1}, v)
		recent, recentErr := expandAs(tmpl, Version{1, 31, 5}, v)
		unknown, err := expandAs(tmpl, Version{}, v)
		if err == nil && oldErr == nil && recentErr == nil && (unknown != old || unknown != recent) {
			t.Errorf("%q: unknown %q, old %q, new %q", s, unknown, old, recent)
		}
		if again, err := expandAs(tmpl, Version{1, 22, 1}, v); again != old || (err == nil) != (oldErr == nil) {
			t.Errorf("%q: twice the same gives %q and %q", s, old, again)
		}
		tmpl.covers(host)
	})
}

func expandAs(t *Template, version Version, v uwsgi.Vars) (string, error) {
	as := *t
	as.Nginx = version
	return as.Expand(v)
}
