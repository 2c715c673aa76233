package policy

import "testing"

func BenchmarkRequest(b *testing.B) {
	p, v := bypassPolicy(), get("HTTP_COOKIE=_ga=1; _gid=2; lang=de", "HTTP_ACCEPT_ENCODING=gzip", "HTTP_ACCEPT=*/*", "HTTP_CACHE_CONTROL=max-age=0")
	b.ReportAllocs()
	for b.Loop() {
		if plan := p.Request(v); plan.Reason != "" {
			b.Fatal(plan.Reason)
		}
	}
}

func BenchmarkExpand(b *testing.B) {
	tmpl, v := mustTemplate(b, "$scheme://$host$request_uri|$cookie_lang", ""), get("HTTP_COOKIE=_ga=1; lang=de")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tmpl.Expand(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResponse(b *testing.B) {
	p, v := testPolicy(), get()
	plan := p.Request(v)
	r := page("Cache-Control: public, max-age=60", "X-Frame-Options: DENY", "Vary: Accept-Encoding", "X-Content-Type-Options: nosniff", "Date: "+httpDate(0))
	b.ReportAllocs()
	for b.Loop() {
		if verdict := p.Response(v, plan, r, testNow); !verdict.Store() {
			b.Fatal(verdict.Reason)
		}
	}
}

func BenchmarkScreen(b *testing.B) {
	f, v := &Firewall{}, get("HTTP_CONNECTION=keep-alive", "HTTP_COOKIE=lang=de", "HTTP_ACCEPT=*/*")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.Screen(v); err != nil {
			b.Fatal(err)
		}
	}
}
