package policy

import "testing"

// browsing are the changes of a request with what the templates ask for.
func browsing() []string {
	return []string{
		"REQUEST_URI=/articles/some-title/?q=a&page=2", "PATH_INFO=/articles/some-title/", "QUERY_STRING=q=a&page=2",
		"HTTP_COOKIE=_ga=1; _gid=2; lang=de", "HTTP_ACCEPT_LANGUAGE=de",
	}
}

func BenchmarkTemplate(b *testing.B) {
	for _, bm := range []struct{ name, template string }{
		{"path", "$uri"},
		{"prefix", ":1:CUSTOMKEY:$request_uri"},
		{"URL", "$scheme://$host$request_uri"},
		{"arguments", "$uri?q=$arg_q&page=$arg_page"},
		{"cookie", "$request_uri|$cookie_lang"},
		{"header", "$request_uri|$http_accept_language"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			tmpl, v := mustTemplate(b, bm.template, ""), get(browsing()...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tmpl.Expand(v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDerivedKey plans requests for which nginx hands no key over.
func BenchmarkDerivedKey(b *testing.B) {
	for _, bm := range []struct {
		name, template string
		rules          []Rule
		changes        []string
	}{
		{"prefix", ":1:CUSTOMKEY:$request_uri", nil, browsing()},
		{"URL", "$scheme://$host$request_uri", nil, browsing()},
		{"cookie", "$request_uri|$cookie_lang", nil, browsing()},
		{"arguments cut", "$scheme://$host$request_uri", []Rule{{KeepArgs: []string{"page"}}}, browsing()},
		{"bypass", "$scheme://$host$request_uri", nil, asking("nocache=" + secret)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p := bypassPolicy()
			p.Keys.Template, p.Rules = mustTemplate(b, bm.template, ""), NewRules(bm.rules)
			benchPlan(b, p, "", append(bm.changes, "-CACHE_KEY")...)
		})
	}
}

// benchPlan plans a request, for which want is the reason.
func benchPlan(b *testing.B, p *Policy, want Reason, changes ...string) {
	v := get(changes...)
	b.ReportAllocs()
	for b.Loop() {
		plan := p.Request(v)
		if plan.Reason != want || plan.Key == "" {
			b.Fatalf("got %+v, want the reason %q and a key", plan, want)
		}
	}
}
