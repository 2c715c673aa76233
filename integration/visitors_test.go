package integration

import (
	"fmt"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

func startVisitors(t *testing.T, cfg stack.Config) *app {
	t.Helper()
	cfg.App = "testdata/visitors"
	w := start(t, cfg)
	return &app{w, w.AccessReader()}
}

// A page without a lifetime is stored only for strangers. In each row the visitor comes
// first and gets an own page. Then a stranger fills the page, and the visitor is, or is
// not, served that.
func TestWhoAsks(t *testing.T) {
	t.Parallel()
	const certificate = "    uwsgi_param HTTP_HOST "
	for _, format := range []string{"body", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			a := startVisitors(t, stack.Config{
				Format: format,
				Edits:  [][2]string{{certificate, "    uwsgi_param SSL_CLIENT_S_DN $http_x_request_id;\n    uwsgi_param TENANT $http_x_correlation_id if_not_empty;\n" + certificate}},
			})
			for i, tt := range []struct {
				page, lines string
				first       string // the reason for what the visitor is answered
				then        string // the same, once the page of strangers is there
			}{
				{"/show", "X-Request-Id: CN=alice", "identity-var", "hit"}, // the lookup knows no certificates
				{"/show", "X-Correlation-Id: shop", "unknown-var", "hit"},  // nor vars
				{"/show", "X-Api-Key: s3cret", "identity-header", "identity-header"},
				{"/show", "HX-Request:", "unkeyed-header", "hit"}, // an empty header is no value in nginx
				{"/show", "HX-Request: true", "unkeyed-header", "unkeyed-header"},
				{"/show", "X-VHM-Root: /other", "unkeyed-header", "unkeyed-header"},
				{"/show", "X-Up-Target: .main", "unkeyed-header", "unkeyed-header"},
				{"/show", "X-Tenant: shop", "unknown-header", "hit"},
				{"/fresh", "X-Acme-Token: s3cret", "identity-header", "hit"}, // its name tells uwgate, not nginx
				{"/fresh", "X-Proxy-Host: evil.example", "unkeyed-header", "hit"},
				{"/fresh", "X-Client-Scheme: https", "unkeyed-header", "hit"},
				{"/fresh", "X-Ingress-Path: /other", "unkeyed-header", "hit"},
				{"/show", "Cf-Visitor: {\"scheme\":\"https\"}", "unkeyed-header", "hit"},
				{"/show", "Fastly-Ssl: 1", "unkeyed-header", "hit"},
				{"/show", "Cookie: =abc", "cookie", "cookie"},
				{"/show", "Cookie: cookie_consent=analytics=1", "cookie", "cookie"},
				{"/show", "Cookie: csrftoken=x", "token-cookie", "hit"},
				{"/show", "Cookie: theme=dark", "cookie", "cookie"},
				{"/show", "Cookie: _ga=1 sessionid=abc", "identity-cookie", "identity-cookie"},
				{"/show", "Cookie: \x1fsessionid=a", "identity-cookie", "identity-cookie"},
				{"/show", "Authorization: Basic eDp5", "not-looked-up", "not-looked-up"},
				{"/fresh", "Authorization: Basic eDp5", "not-looked-up", "not-looked-up"},
				{"/fresh", "Cookie: sessionid=x", "identity-cookie", "identity-cookie"},
				{"/fresh", "Cookie: django_language=de\nAccept-Language: en", "identity-cookie", "identity-cookie"},
			} {
				target := fmt.Sprintf("%s/%d", tt.page, i)
				own := a.visit("GET", target, tt.lines)
				if own.status != 200 || own.reason() != tt.first || own.written != 0 {
					t.Errorf("%q comes first: got %d, %s, stored %d; want 200, %s, nothing stored", tt.lines, own.status, own.reason(), own.written, tt.first)
				}
				if v := a.visit("GET", target, ""); v.body != target || v.written != 1 {
					t.Errorf("a stranger after %q: got %q, %s, stored %d", tt.lines, v.body, v.reason(), v.written)
				}
				if v := a.visit("GET", target, ""); v.body != target || v.reason() != "hit" {
					t.Errorf("a second stranger after %q: got %q, %s", tt.lines, v.body, v.reason())
				}
				v := a.visit("GET", target, tt.lines)
				want := own.body
				if tt.then == "hit" {
					want = target
				}
				if v.body != want || v.reason() != tt.then || v.written != 0 {
					t.Errorf("%q comes again: got %q, %s, stored %d; want %q, %s", tt.lines, v.body, v.reason(), v.written, want, tt.then)
				}
			}
			a.hasEntriesOfBearers()
		})
	}
}

// hasEntriesOfBearers visits a page that sets its own lifetime. Visitors with unknown
// cookies have an entry of their own, and a POST deletes both.
func (a *app) hasEntriesOfBearers() {
	a.t.Helper()
	const target, theme = "/fresh/bearers", "Cookie: theme=dark"
	for _, lines := range []string{theme, ""} {
		if v := a.visit("GET", target, lines); v.reason() != "max-age" || v.written != 1 {
			a.t.Errorf("with %q: got %s, stored %d", lines, v.reason(), v.written)
		}
		if v := a.visit("GET", target, lines); v.reason() != "hit" {
			a.t.Errorf("with %q again: got %s", lines, v.reason())
		}
	}
	if v := a.visit("GET", target, "Cookie: _ga=1"); v.reason() != "hit" || v.body != target {
		a.t.Errorf("with a harmless cookie: got %q, %s", v.body, v.reason())
	}
	a.visit("POST", target, "Cookie: sessionid=x\nContent-Length: 0")
	for _, lines := range []string{theme, ""} {
		if v := a.visit("GET", target, lines); v.reason() == "hit" {
			a.t.Errorf("with %q after a POST: a hit", lines)
		}
	}
}

// The printed configuration is extended with subrequests. Each request gets its own
// page, and pages that may be stored are hits.
func TestPrintedWithSubrequests(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			edits := [][2]string{{"    location / {", `    location = /auth { internal; uwsgi_pass uwgate; }
    location = /mirror { internal; uwsgi_pass uwgate; }
    location / {
        auth_request /auth;
        mirror /mirror;
        ssi on;`}}
			if format == "body" {
				edits = append(edits, [2]string{"location @uwgate {", "location @uwgate { ssi on;"})
			}
			a := startVisitors(t, stack.Config{Format: format, Edits: edits})
			for _, tt := range []struct {
				target, want string
				stored       bool
			}{
				{"/fresh/plain", "/fresh/plain", true},
				{"/fresh/caf%C3%A9?x=%20", "", true},
				{"/member/with-fragment", "/member/with-fragment [fragment n=1]", false},
				{"/fresh/with-fragment", "/fresh/with-fragment [fragment n=1]", false},
				{"/fragment?n=1", "[fragment n=1]", true},
			} {
				for i := range 3 {
					v := a.visit("GET", tt.target, "")
					if v.status != 200 || tt.want != "" && v.body != tt.want {
						t.Errorf("%s, visitor %d: got %d %q, want %q", tt.target, i+1, v.status, v.body, tt.want)
					}
					if stored := v.written == 1; stored != (tt.stored && i == 0) || v.written > 1 {
						t.Errorf("%s, visitor %d: stored %d", tt.target, i+1, v.written)
					}
					if i > 0 && tt.stored && strings.Contains(fmt.Sprint(reasons(v)), "default-ttl") {
						t.Errorf("%s, visitor %d: the page was made again, %v", tt.target, i+1, reasons(v))
					}
				}
			}
		})
	}
}

func reasons(v visit) (all []string) {
	for _, l := range v.logged {
		all = append(all, l.Reason)
	}
	return all
}
