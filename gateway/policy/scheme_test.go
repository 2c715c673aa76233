package policy

import (
	"testing"

	"uwgate/uwsgi"
)

// $visitors_scheme is what the map of `uwgate nginx` makes of the proxy's header.
func TestVisitorsScheme(t *testing.T) {
	tmpl := mustTemplate(t, "$visitors_scheme://$host$request_uri", "")
	for _, tt := range []struct{ proto, scheme, want string }{
		{"https", "http", "https"}, {"HTTPS", "http", "https"}, {"http", "http", "http"}, {"", "http", "http"}, {"", "https", "https"},
		{"http", "https", "https"}, {"https, http", "http", "http"}, {"ftp", "http", "http"},
	} {
		v := uwsgi.Vars{{Name: "REQUEST_SCHEME", Value: tt.scheme}, {Name: "HTTP_HOST", Value: "a"}, {Name: "REQUEST_URI", Value: "/p"}}
		if tt.proto != "" {
			v = append(v, uwsgi.Var{Name: "HTTP_X_FORWARDED_PROTO", Value: tt.proto})
		}
		if got, err := tmpl.Expand(v); err != nil || got != tt.want+"://a/p" {
			t.Errorf("%q over %s: got %q, %v, want %s", tt.proto, tt.scheme, got, err, tt.want)
		}
	}
}

// A page for https behind a proxy is refreshed: its key, which nginx hands over, is the
// template's.
func TestRefreshBehindAProxy(t *testing.T) {
	for template, want := range map[string]bool{"$visitor$visitors_scheme://$host$request_uri": true, "$visitor$scheme://$host$request_uri": false} {
		p := &Policy{TrustForwardedProto: true, Keys: Keys{Template: mustTemplate(t, template, "")}}
		v := uwsgi.Vars{
			{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/p"}, {Name: "PATH_INFO", Value: "/p"}, {Name: "QUERY_STRING"},
			{Name: "REQUEST_SCHEME", Value: "http"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "HTTP_HOST", Value: "www.example.com"},
			{Name: "HTTP_X_FORWARDED_PROTO", Value: "https"}, {Name: "CACHE_KEY", Value: "https://www.example.com/p"}, {Name: "CACHE_STATUS", Value: "404"},
		}
		plan := p.Request(v)
		if plan.Reason != "" {
			t.Fatalf("%s: refused: %s", template, plan.Reason)
		}
		if got := p.Anonymous(v, plan) != nil; got != want {
			t.Errorf("%s: refreshed: %v, want %v", template, got, want)
		}
	}
}
