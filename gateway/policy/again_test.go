package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

// A request for a page can be made of one for another page of the site, and of a PURGE. It
// has nothing of who sent that.
func TestAnonymousFor(t *testing.T) {
	p := &Policy{Lifetimes: Lifetimes{Default: time.Minute}}
	var err error
	if p.Keys.Template, err = ParseTemplate("$scheme://$host$request_uri"); err != nil {
		t.Fatal(err)
	}
	get := uwsgi.Vars{
		{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/other?b=2"}, {Name: "PATH_INFO", Value: "/other"}, {Name: "QUERY_STRING", Value: "b=2"},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "REQUEST_SCHEME", Value: "https"}, {Name: "SERVER_NAME", Value: "example.com"}, {Name: "SERVER_PORT", Value: "443"},
		{Name: "HTTP_HOST", Value: "example.com"}, {Name: "REMOTE_ADDR", Value: "10.1.2.3"}, {Name: "CONTENT_LENGTH", Value: "0"},
		{Name: "CACHE_KEY", Value: "https://example.com/other?b=2"}, {Name: "CACHE_STATUS", Value: "404"}, {Name: "CACHE_SERVER", Value: "127.0.0.1:11211"},
	}
	with := func(v uwsgi.Vars, pairs ...string) uwsgi.Vars {
		out := append(uwsgi.Vars{}, v...)
		for i := 0; i < len(pairs); i += 2 {
			out = out.Set(uwsgi.Var{Name: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	const uri, key = "/page?a=1", "https://example.com/page?a=1"
	for _, tt := range []struct {
		name string
		v    uwsgi.Vars
		key  string
		want bool
	}{
		{"a GET", get, key, true},
		{"a PURGE", with(get, "REQUEST_METHOD", "PURGE", "CACHE_STATUS", "405"), key, true},
		{"a PURGE with tokens", with(get, "REQUEST_METHOD", "PURGE", "CACHE_STATUS", "405", "HTTP_X_PURGE_TOKEN", "s3cret", "HTTP_AUTHORIZATION", "Bearer s3cret", "HTTP_COOKIE", "sessionid=s3cret"), key, true},
		{"the other scheme", get, "http://example.com/page?a=1", false},
		{"another site", with(get, "HTTP_HOST", "example.org"), key, false},
		{"a key of something else", get, "page 1 of example.com", false},
		{"a client that a proxy names", with(get, "HTTP_FORWARDED", "for=10.0.0.1;host=other.example"), key, false},
	} {
		v := p.AnonymousFor(tt.v, uri, tt.key)
		if (v != nil) != tt.want {
			t.Errorf("%s: got %v, want one: %v", tt.name, v, tt.want)
			continue
		}
		if v == nil {
			continue
		}
		if plan := p.Request(v); plan.Key != key || plan.Reason != "" || v.Get("REQUEST_METHOD") != "GET" || v.Get("REQUEST_URI") != uri || v.Get("QUERY_STRING") != "a=1" || v.Get("PATH_INFO") != "/page" {
			t.Errorf("%s: got %v, planned as %+v", tt.name, v, plan)
		}
		if text := fmt.Sprint(v); strings.Contains(text, "s3cret") || strings.Contains(text, "10.1.2.3") {
			t.Errorf("%s: it tells who sent it: %s", tt.name, text)
		}
	}
}
