package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"uwgate/cmd/uwgate/settings"
)

func TestRequestLines(t *testing.T) {
	for _, tt := range []struct {
		name  string
		given []string
		want  []string // after the first two, before the last three; or the error
	}{
		{"none", nil, []string{"Host: h:81", "User-Agent: uwgate-check"}},
		{"some", []string{"X:1", " Cookie :  a=b; c=d "}, []string{"Host: h:81", "User-Agent: uwgate-check", "X: 1", "Cookie: a=b; c=d"}},
		{"host", []string{"host: example.com"}, []string{"User-Agent: uwgate-check", "host: example.com"}},
		{"agent", []string{"USER-AGENT: me"}, []string{"Host: h:81", "USER-AGENT: me"}},
		{"no colon", []string{"X"}, []string{`--header "X": write 'Name: value'`}},
		{"two lines", []string{"X: 1\r\nY: 2"}, []string{`write 'Name: value'`}},
		{"two requests", []string{"X: 1\n\nGET / HTTP/1.1"}, []string{`write 'Name: value'`}},
		{"space in the name", []string{"X Y: 1"}, []string{`write 'Name: value'`}},
		{"no-store", []string{"Cache-Control: max-age=0"}, []string{"the canary's request has a Cache-Control of its own, or none; leave it out"}},
		{"length", []string{"content-length: 5"}, []string{"has a content-length of its own, or none"}},
		{"range", []string{"Range: bytes=0-1"}, []string{"has a Range of its own, or none"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines, err := requestLines("h:81", "gzip", tt.given)
			if err != nil {
				if len(tt.want) != 1 || !strings.Contains(err.Error(), tt.want[0]) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
				return
			}
			want := append(tt.want, "Accept-Encoding: gzip", "Cache-Control: no-store", "Connection: close")
			if !slices.Equal(lines, want) {
				t.Errorf("got  %q\nwant %q", lines, want)
			}
		})
	}
}

// No header makes a line, or a request, of its own.
func FuzzRequestLines(f *testing.F) {
	f.Add("Cookie: a=b")
	f.Add("X: 1\r\nY: 2")
	f.Add("Host:")
	f.Fuzz(func(t *testing.T, given string) {
		lines, err := requestLines("h", "gzip", []string{given})
		if err != nil {
			return
		}
		if n := len(lines); n < 5 || n > 6 {
			t.Errorf("%q makes %d lines", given, n)
		}
		for _, line := range lines {
			if name, _, ok := strings.Cut(line, ": "); strings.ContainsAny(line, "\r\n\x00") || !ok || !settings.IsHeaderName(name) {
				t.Errorf("%q makes the line %q", given, line)
			}
		}
	})
}

// nginx gets the very bytes of the URL and the lines, and nothing that has the
// gateway store a page.
func TestGetAsksLiterally(t *testing.T) {
	s := startSite(t, 1)
	s.page = "/a%2fb//x%20y/../?q=%zz&&"
	var asked []*http.Request
	s.before = func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r) }
	s.key = func(r *http.Request) string { return "k" + r.RequestURI }
	r, err := s.check(t.Context(), nil, "--key", "k$request_uri", "--header", "X-A: b", "--header", "Host: example.com:81")
	if err != nil || !r.hit() {
		t.Fatalf("got %+v, %v", r, err)
	}
	for _, got := range asked {
		if !strings.HasPrefix(got.RequestURI, "/a%2fb//x%20y/../"+canaryName) || !strings.HasSuffix(got.RequestURI, "?q=%zz&&") {
			t.Errorf("asked for %s", got.RequestURI)
		}
		if got.Host != "example.com:81" || got.Header.Get("X-A") != "b" || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("User-Agent") != "uwgate-check" {
			t.Errorf("asked for %s with %v", got.Host, got.Header)
		}
	}
	if len(asked) != 17 {
		t.Errorf("%d requests", len(asked))
	}
}

func TestAnswerInWords(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, tt := range []struct {
		name string
		a    response
		want string
	}{
		{"none", response{step: stepTLS, err: http.ErrHandlerTimeout}, "none: agree on TLS: http: Handler timeout"},
		{"plain", response{status: 404}, "404 Not Found"},
		{"unknown", response{status: 599}, "599"},
		{"headers", response{status: 200, header: http.Header{"Server": {"nginx"}, "Content-Type": {"a\x1b[31m"}, "Location": {long}, "X-Other": {"x"}}},
			`200 OK, Content-Type: "a\x1b[31m", Location: ` + long[:59] + "…, Server: nginx"},
	} {
		if got := tt.a.String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
