package policy

import (
	"testing"

	"uwgate/uwsgi"
)

// visit are the vars of a browser's GET that nginx looked up and missed.
func visit() uwsgi.Vars {
	return get("CACHE_KEY=http://www.example.com/p?q=1", "HTTP_CONNECTION=keep-alive",
		"HTTP_USER_AGENT=Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
		"HTTP_ACCEPT=text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"HTTP_ACCEPT_LANGUAGE=en-US,en;q=0.5", "HTTP_ACCEPT_ENCODING=gzip, deflate, br")
}

// BenchmarkVisit is all that is asked here about one request and its answer.
func BenchmarkVisit(b *testing.B) {
	p, f, v := testPolicy(), &Firewall{}, visit()
	r := page("Content-Length: 5", "Cache-Control: no-store")
	b.ReportAllocs()
	for b.Loop() {
		clean, _, err := f.Screen(v)
		if err != nil {
			b.Fatal(err)
		}
		plan := p.Request(v)
		p.ForWorker(clean, plan)
		if verdict := p.Response(v, plan, r, testNow); verdict.Reason != NoStore {
			b.Fatal(verdict.Reason)
		}
		if p.Invalidated(v, r) != nil || NotModified(v, r.Header) {
			b.Fatal("a GET changes nothing")
		}
	}
}

func BenchmarkVisitRequest(b *testing.B) {
	p, v := testPolicy(), visit()
	b.ReportAllocs()
	for b.Loop() {
		if plan := p.Request(v); plan.Reason != "" {
			b.Fatal(plan.Reason)
		}
	}
}

func BenchmarkForWorker(b *testing.B) {
	p, v := testPolicy(), visit()
	plan := p.Request(v)
	b.ReportAllocs()
	for b.Loop() {
		p.ForWorker(v, plan)
	}
}

func BenchmarkNotModified(b *testing.B) {
	v, r := visit(), page("Cache-Control: max-age=60")
	b.ReportAllocs()
	for b.Loop() {
		if NotModified(v, r.Header) {
			b.Fatal("asked for nothing")
		}
	}
}

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
