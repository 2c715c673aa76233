package policy

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkRefusedRequest is for requests whose answers are not to be stored, from
// the first thing that is looked at to the last.
func BenchmarkRefusedRequest(b *testing.B) {
	for _, bm := range []struct {
		want   Reason
		change string
	}{
		{Method, "REQUEST_METHOD=POST"},
		{Excluded, "PATH_INFO=/admin/"},
		{IdentityCookie, "HTTP_COOKIE=_ga=1; _gid=2; sessionid=x"},
		{Host, "CACHE_KEY=http://other.example/p?q=1"},
		{NotLookedUp, "CACHE_STATUS=502"},
	} {
		b.Run(string(bm.want), func(b *testing.B) { benchPlan(b, bypassPolicy(), bm.want, bm.change) })
	}
}

// BenchmarkRefusedResponse is for answers to a candidate that are not to be stored.
func BenchmarkRefusedResponse(b *testing.B) {
	for _, bm := range []struct {
		want Reason
		line string
	}{
		{Status, "=404"},
		{SetCookie, "Set-Cookie: sessionid=x; Path=/; HttpOnly"},
		{Private, "Cache-Control: private, max-age=60"},
		{Vary, "Vary: Accept-Language, Cookie"},
		{HeaderLoss, "Content-Language: de"},
	} {
		b.Run(string(bm.want), func(b *testing.B) {
			p, v := testPolicy(), get()
			plan := p.Request(v)
			r := page("X-Frame-Options: DENY", "X-Content-Type-Options: nosniff", "Date: "+httpDate(0), bm.line)
			b.ReportAllocs()
			for b.Loop() {
				if verdict := p.Response(v, plan, r, testNow); verdict.Reason != bm.want {
					b.Fatalf("got %q, want %q", verdict.Reason, bm.want)
				}
			}
		})
	}
}

// BenchmarkScreenHostile is for requests that somebody has forged.
func BenchmarkScreenHostile(b *testing.B) {
	for _, bm := range []struct {
		name, change string
		refused      bool
	}{
		{"var is dropped", "UWSGI_FILE=/tmp/evil.py", false},
		{"request is refused", "HTTP_COOKIE=lang=de\x00", true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			f, v := &Firewall{}, get("HTTP_CONNECTION=keep-alive", bm.change)
			b.ReportAllocs()
			for b.Loop() {
				_, dropped, err := f.Screen(v)
				if (err != nil) != bm.refused || !bm.refused && len(dropped) != 2 {
					b.Fatalf("dropped %q, %v", dropped, err)
				}
			}
		})
	}
}

// BenchmarkBody looks for form tokens in a page that has none.
func BenchmarkBody(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			const line = "<p class=\"c\">Some words of a page that <a href=\"/about\">authors</a> wrote.</p>\n"
			p, r, body := testPolicy(), page(), []byte(strings.Repeat(line, size/len(line)))
			r.ContentLength = int64(len(body))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if reason := p.Body(r, body, true, false); reason != "" {
					b.Fatal(reason)
				}
			}
		})
	}
}
