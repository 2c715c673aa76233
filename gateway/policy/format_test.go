package policy

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestParseFormat(t *testing.T) {
	for _, s := range []string{"body", "gzip", "http"} {
		if f, err := ParseFormat(s); err != nil || string(f) != s {
			t.Errorf("%s: got %q, %v", s, f, err)
		}
	}
	for _, s := range []string{"", "HTTP", "srcache"} {
		if f, err := ParseFormat(s); err == nil {
			t.Errorf("%q: got %q, want an error", s, f)
		}
	}
}

// In FormatHTTP a hit has the answer's own head, so what a bare body cannot carry
// does not refuse; what would be wrong on a second answer still does.
func TestFormatHTTPRefuses(t *testing.T) {
	tests := []struct {
		name       string
		request    []string
		lines      []string
		body, http Reason // DefaultTTL: stored
	}{
		{"another type", nil, []string{"Content-Type: application/json"}, ContentType, DefaultTTL},
		{"no type", nil, []string{"-Content-Type"}, ContentType, DefaultTTL},
		{"a language", nil, []string{"Content-Language: de"}, HeaderLoss, DefaultTTL},
		{"a relation", nil, []string{"Link: </x>; rel=next"}, HeaderLoss, DefaultTTL},
		{"a download", nil, []string{"Content-Disposition: attachment"}, HeaderLoss, DefaultTTL},
		{"open to all sites", nil, []string{"Access-Control-Allow-Origin: *"}, HeaderLoss, DefaultTTL},
		{"open to the site that asks", []string{"HTTP_ORIGIN=https://a.example"}, []string{"Access-Control-Allow-Origin: https://a.example"}, HeaderLoss, Vary},
		{"open to another site", []string{"HTTP_ORIGIN=https://a.example"}, []string{"Access-Control-Allow-Origin: https://b.example"}, HeaderLoss, DefaultTTL},
		{"a nonce", nil, []string{"Content-Security-Policy: script-src 'nonce-x'"}, HeaderLoss, HeaderLoss},
		{"a challenge", nil, []string{"WWW-Authenticate: Basic"}, HeaderLoss, HeaderLoss},
		{"an action", nil, []string{"Clear-Site-Data: *"}, HeaderLoss, HeaderLoss},
		{"another charset", nil, []string{"X-Accel-Charset: koi8-r"}, HeaderLoss, HeaderLoss},
		{"a cookie", nil, []string{"Set-Cookie: a=b"}, SetCookie, SetCookie},
		{"encoded", nil, []string{"Content-Encoding: br"}, ContentEncoding, ContentEncoding},
		{"a head that nginx does not read", nil, []string{"X-Large: " + strings.Repeat("x", maxHead)}, DefaultTTL, TooLarge},
		{"a redirect without rule", nil, []string{"=301", "Location: /x"}, Status, Status},
		{"empty", nil, []string{"empty"}, Empty, Empty},
	}
	for _, tt := range tests {
		for format, want := range map[Format]Reason{"": tt.body, FormatGzip: tt.body, FormatHTTP: tt.http} {
			p := testPolicy()
			p.Hits.Format = format
			v := get(tt.request...)
			if got := p.Response(v, p.Request(v), page(tt.lines...), testNow); got.Reason != want {
				t.Errorf("%s, format %q: got %s, want %s", tt.name, format, got.Reason, want)
			}
		}
	}
}

// A rule has other statuses stored, with a head only, and no others.
func TestStatusesByRule(t *testing.T) {
	p := testPolicy()
	p.Rules = NewRules([]Rule{{PathPrefix: "/p", Statuses: []int{301, 404}}})
	for status, want := range map[int]Reason{200: DefaultTTL, 301: DefaultTTL, 404: DefaultTTL, 410: Status, 500: Status} {
		r := page("="+strconv.Itoa(status), "empty", "Location: /x")
		if status == 200 {
			r = page()
		}
		v := get()
		p.Hits.Format = FormatHTTP
		if got := p.Response(v, p.Request(v), r, testNow); got.Reason != want {
			t.Errorf("%d: got %s, want %s", status, got.Reason, want)
		}
		if reason := p.Body(r, make([]byte, r.ContentLength), true, false); reason != "" {
			t.Errorf("%d: the body is refused for %s", status, reason)
		}
		p.Hits.Format = FormatBody
		if got := p.Response(v, p.Request(v), r, testNow); status != 200 && got.Reason != Status {
			t.Errorf("%d in the format body: got %s, want %s", status, got.Reason, Status)
		}
	}
	for _, status := range []int{200, 206, 304, 500} {
		if err := (&Rule{Statuses: []int{status}}).Validate(); err == nil {
			t.Errorf("%d: a rule may name it", status)
		}
	}
}

func TestStoredHead(t *testing.T) {
	r := page("Date: Sun, 01 Mar 2026 11:00:00 GMT", "Age: 7", `ETag: "x"`, "Connection: X-Hop", "X-Hop: 1", "Keep-Alive: 5", "Content-Length: 5",
		"X-Accel-Expires: 60", "X-Accel-Buffering: no", "Surrogate-Control: max-age=5", "Server-Timing: db", "X-Request-Id: 1", "X-Custom: 1", "Link: </a>", "Link: </b>")
	before := r.Header.Clone()
	p := &Policy{Hits: Hits{Format: FormatHTTP}}
	want := "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nDate: Sun, 01 Mar 2026 11:00:00 GMT\r\nAge: 7\r\nETag: \"x\"\r\n" +
		"X-Custom: 1\r\nLink: </a>\r\nLink: </b>\r\nCache-Status: uwgate; hit\r\n\r\n"
	if got := string(p.StoredHead(r, testNow)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !slices.Equal(r.Header, before) {
		t.Error("the answer itself was changed")
	}
	undated := string(p.StoredHead(&uwsgi.Response{StatusCode: 404, Reason: "Not Found"}, testNow))
	if want := "HTTP/1.1 404 Not Found\r\nDate: " + httpDate(0) + "\r\nCache-Status: uwgate; hit\r\n\r\n"; undated != want {
		t.Errorf("without a Date: got %q, want %q", undated, want)
	}
	for _, format := range []Format{"", FormatBody, FormatGzip} {
		if got := (&Policy{Hits: Hits{Format: format}}).StoredHead(r, testNow); got != nil {
			t.Errorf("format %q has the head %q", format, got)
		}
	}
}
