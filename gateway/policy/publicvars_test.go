package policy

import (
	"slices"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestPublicVars(t *testing.T) {
	p := testPolicy()
	p.Bypass = Bypass{Name: "fresh", Secret: "s3cret!"}
	p.Visitors = NewVisitors(VisitorNames{IdentityHeaders: []string{"X-Tenant"}})
	for _, tt := range []struct{ name, value, want string }{
		{"HTTP_COOKIE", "a=v; b=v;flag; c=", "a=…; b=…;…; c="},
		{"HTTP_COOKIE", "", ""},
		{"HTTP_AUTHORIZATION", "Bearer v", "Bearer …"},
		{"HTTP_PROXY_AUTHORIZATION", "v", "…"},
		{"HTTP_X_API_KEY", "v", "…"},
		{"HTTP_X_FORWARDED_USER", "alice", "…"},
		{"HTTP_X_TENANT", "alice", "…"},
		{"REMOTE_USER", "alice", "…"},
		{"SSL_CLIENT_S_DN", "CN=alice", "…"},
		{"HTTP_ACCEPT", "text/html", "text/html"},
		{"REQUEST_URI", "/p?q=1", "/p?q=1"},
		{"REQUEST_URI", "/p?fresh=s3cret!&q=1", "/p?fresh=***&q=1"},
		{"QUERY_STRING", "fresh=s3cret%21", "***"},
		{"HTTP_REFERER", "http://x/?fresh=s3cret!", "http://x/?fresh=***"},
		{"CACHE_KEY", "http://x/?fresh=s3cret!", "http://x/?fresh=***"},
		{"REQUEST_METHOD", "GET", "GET"},
	} {
		v := uwsgi.Vars{{Name: tt.name, Value: tt.value}}
		if got := p.PublicVars(v)[0]; got.Name != tt.name || got.Value != tt.want || v[0].Value != tt.value {
			t.Errorf("%s: %s becomes %v, want %s", tt.name, tt.value, got, tt.want)
		}
	}
}

func TestPublicHeader(t *testing.T) {
	p := testPolicy()
	p.Bypass = Bypass{Name: "fresh", Secret: "s3cret!"}
	h := uwsgi.Header{
		{Name: "set-cookie", Value: "sid=v; Path=/; Secure"}, {Name: "Set-Cookie", Value: "v"},
		{Name: "Location", Value: "/?fresh=s3cret!"}, {Name: "ETag", Value: `"1"`},
	}
	before := slices.Clone(h)
	var got []string
	for _, f := range p.PublicHeader(h) {
		got = append(got, f.Name+": "+f.Value)
	}
	want := []string{"set-cookie: sid=…; Path=/; Secure", "Set-Cookie: …", "Location: /?fresh=***", `ETag: "1"`}
	if !slices.Equal(got, want) || !slices.Equal(h, before) {
		t.Errorf("got %s", strings.Join(got, "\n"))
	}
}
