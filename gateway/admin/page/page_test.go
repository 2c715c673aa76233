package page

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func basic(password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+password))
}

// The page is for who may use the API. A browser's password opens the page, and not the API:
// the browser would add it to what other sites send there.
func TestWhoMaySee(t *testing.T) {
	for _, tt := range []struct {
		name, network, token string
		path                 string
		fields               []string
		status               int
	}{
		{"a socket", "unix", "", "/", nil, 200},
		{"a socket by address", "unix", "", "/", []string{"Host: 127.0.0.1:8080"}, 200},
		{"a socket by IPv6 address", "unix", "", "/", []string{"Host: [::1]:8080"}, 200},
		{"a socket by a name of this machine", "unix", "", "/", []string{"Host: uwgate.localhost:8080"}, 200},
		{"a socket by a name that somebody owns", "unix", "", "/", []string{"Host: evil.example:8080"}, 403},
		{"its API by that name", "unix", "", "/api/v1/status", []string{"Host: evil.example:8080"}, 403},
		{"a socket by that name, with the token", "unix", adminToken, "/", []string{"Host: status.example", basic(adminToken)}, 200},
		{"a socket by that name, without", "unix", adminToken, "/", []string{"Host: status.example"}, 401},
		{"an abstract socket", "abstract", adminToken, "/", nil, 401},
		{"an abstract socket with the token", "abstract", adminToken, "/", []string{basic(adminToken)}, 200},
		{"TCP, and there is no token", "tcp", "", "/", nil, 403},
		{"TCP, and there is no token, with an empty one", "tcp", "", "/", []string{basic("")}, 403},
		{"TCP", "tcp", adminToken, "/", nil, 401},
		{"TCP with another token", "tcp", adminToken, "/", []string{basic(adminToken + "0")}, 401},
		{"TCP with the token", "tcp", adminToken, "/", []string{basic(adminToken)}, 200},
		{"TCP with the token of the API", "tcp", adminToken, "/", []string{"Authorization: Bearer " + adminToken}, 200},
		{"the API with the page's password", "tcp", adminToken, "/api/v1/status", []string{basic(adminToken)}, 401},
		{"health", "tcp", adminToken, "/-/healthy", nil, 200},
		{"readiness", "tcp", adminToken, "/-/ready", nil, 503},
		{"metrics", "tcp", adminToken, "/metrics", nil, 200},
		{"metrics by another name", "unix", "", "/metrics", []string{"Host: metrics.example"}, 200},
		{"no such page", "unix", "", "/nothing", nil, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, tt.network, tt.token)
			r := s.do("GET", tt.path, nil, tt.fields...)
			if r.StatusCode != tt.status {
				t.Errorf("got %d %.200s, want %d", r.StatusCode, r.body, tt.status)
			}
			if asks := strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Basic "); asks != (tt.status == 401 && tt.path == "/") {
				t.Errorf("asks for a password: %v", asks)
			}
		})
	}
}

var elements = regexp.MustCompile(`(?s)<(style|script)>(.*?)</(?:style|script)>`)

// Every response has the headers, and the policy allows the very style and script of the page.
func TestHeaders(t *testing.T) {
	s := newSite(t, "unix", adminToken)
	form := url.Values{"token": {s.token()}, "url": {"http://a.example/"}, "scope": {"page"}}
	for _, r := range []response{
		s.do("GET", "/", nil), s.do("POST", "/explain", form), s.do("POST", "/purge", form), s.do("POST", "/purge", nil), s.do("GET", "/", nil, "Host: a.example"),
	} {
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s %d: %s is %q", r.Request.URL, r.StatusCode, name, got)
			}
		}
		csp := r.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: %q", r.Request.URL, csp)
		}
		found := elements.FindAllStringSubmatch(r.body, -1)
		if r.Header.Get("Content-Type") == "text/html; charset=utf-8" && len(found) != 2 {
			t.Errorf("%s has %d styles and scripts", r.Request.URL, len(found))
		}
		for _, e := range found {
			if !strings.Contains(csp, e[1]+"-src '"+hashOf(e[2])+"'") {
				t.Errorf("%s: the policy does not allow the %s", r.Request.URL, e[1])
			}
		}
	}
}

// Only the page's own form does something, and only after it has asked.
func TestPurge(t *testing.T) {
	for _, tt := range []struct {
		name, method, path string
		change             func(form url.Values)
		fields             []string
		status             int
		shows              string
		purges             int
	}{
		{"asks first", "POST", "/purge", func(f url.Values) { f.Del("confirm") }, nil, 200, "This deletes <strong class=\"long\">the page https://a.example/n?q=1</strong>", 0},
		{"and does it then", "POST", "/purge", nil, nil, 200, "Purged: done", 1},
		{"as a browser does", "POST", "/purge", nil, []string{"Sec-Fetch-Site: same-origin", "Origin: http://localhost"}, 200, "Purged: done", 1},
		{"as an old browser does", "POST", "/purge", nil, []string{"Origin: http://localhost"}, 200, "Purged: done", 1},
		{"with any query", "POST", "/purge", func(f url.Values) { f.Set("scope", "path") }, nil, 200, "the page https://a.example/n with any query", 1},
		{"a prefix", "POST", "/purge", func(f url.Values) { f.Set("scope", "prefix") }, nil, 200, "all pages that begin with https://a.example/n?q=1", 1},
		{"a site, softly", "POST", "/purge", func(f url.Values) { f.Set("scope", "site"); f.Set("mode", "soft") }, nil, 200, "all pages of a.example", 1},
		{"without a token", "POST", "/purge", func(f url.Values) { f.Del("token") }, nil, 403, "Nothing was done", 0},
		{"with an old token", "POST", "/purge", func(f url.Values) { f.Set("token", "x") }, nil, 403, "Nothing was done", 0},
		{"by GET", "GET", "/purge", nil, nil, 303, "", 0},
		{"of another site", "POST", "/purge", nil, []string{"Sec-Fetch-Site: cross-site"}, 403, "cross-origin", 0},
		{"of another port", "POST", "/purge", nil, []string{"Sec-Fetch-Site: same-site"}, 403, "cross-origin", 0},
		{"of another origin", "POST", "/purge", nil, []string{"Origin: http://evil.example"}, 403, "cross-origin", 0},
		{"of no origin", "POST", "/purge", nil, []string{"Origin: null"}, 403, "cross-origin", 0},
		{"a word", "POST", "/purge", func(f url.Values) { f.Set("url", "news") }, nil, 400, "Nothing was purged", 0},
		{"an unknown scope", "POST", "/purge", func(f url.Values) { f.Set("scope", "<b>") }, nil, 400, "&lt;b&gt;", 0},
		{"an unknown mode", "POST", "/purge", func(f url.Values) { f.Set("mode", "?") }, nil, 400, "hard or soft", 0},
		{"too long", "POST", "/purge", func(f url.Values) { f.Set("url", "http://a.example/"+strings.Repeat("a", maxURL)) }, nil, 400, "longer than", 0},
		{"far too long", "POST", "/purge", func(f url.Values) { f.Set("url", strings.Repeat("a", maxForm)) }, nil, 400, "could not be read", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t, "unix", "")
			form := url.Values{"token": {s.token()}, "url": {"https://a.example/n?q=1"}, "scope": {"page"}, "mode": {"hard"}, "confirm": {"yes"}}
			if tt.change != nil {
				tt.change(form)
			}
			path := tt.path
			if tt.method == "GET" {
				path, form = path+"?"+form.Encode(), nil
			}
			r := s.do(tt.method, path, form, tt.fields...)
			if r.StatusCode != tt.status || !strings.Contains(r.body, tt.shows) {
				t.Errorf("got %d %s", r.StatusCode, r.body)
			}
			if n := s.purges(); n != tt.purges {
				t.Errorf("%d purges, want %d", n, tt.purges)
			}
		})
	}
}

// What another site makes a browser send does not reach the API either.
func TestAPIOfOtherSites(t *testing.T) {
	s := newSite(t, "unix", "")
	body := url.Values{} // what counts is who sends it
	for _, f := range []string{"Sec-Fetch-Site: cross-site", "Origin: http://evil.example"} {
		if r := s.do("POST", "/api/v1/purge", body, f); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d %s", f, r.StatusCode, r.body)
		}
	}
	if r := s.do("POST", "/api/v1/purge", body); r.StatusCode != http.StatusBadRequest {
		t.Errorf("a program: got %d %s", r.StatusCode, r.body)
	}
}

func TestExplain(t *testing.T) {
	s := newSite(t, "unix", "")
	form := url.Values{"token": {s.token()}, "url": {" http://a.example/<script>alert(1)</script> "}}
	r := s.do("POST", "/explain", form)
	for _, want := range []string{
		`<h2 id="explanation" class="long">http://a.example/&lt;script&gt;`, `class="verdict good">Would be stored for 5 s: s-maxage.<`,
		`<h3 id="step0">Request</h3>`, `<pre>REQUEST_URI  http://a.example/&lt;script&gt;`, `<h3 id="step1">Key</h3>`,
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("lacks %s: %d %s", want, r.StatusCode, r.body)
		}
	}
	form.Set("url", "bad")
	if r := s.do("POST", "/explain", form); r.StatusCode != 400 || !strings.Contains(r.body, "bad URL &lt;script&gt;bad") {
		t.Errorf("got %d %s", r.StatusCode, r.body)
	}
	form.Del("token")
	if r := s.do("POST", "/explain", form); r.StatusCode != 403 {
		t.Errorf("without a token: got %d %s", r.StatusCode, r.body)
	}
	if r := s.do("GET", "/?url="+url.QueryEscape(`"><script>alert(1)</script>`), nil); !strings.Contains(r.body, `value="&#34;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"`) {
		t.Errorf("the form is not filled in: %s", r.body)
	}
}
