package policy

import (
	"testing"
	"time"
)

func TestWithdraws(t *testing.T) {
	const grants = "Cache-Control: max-age=60"
	tests := []struct {
		name    string
		changes []string
		lines   []string
		want    bool
	}{
		{"a page that is stored", nil, []string{grants}, false},
		{"404", nil, []string{"=404"}, true},
		{"404 that may be stored elsewhere", nil, []string{"=404", grants}, true},
		{"410", nil, []string{"=410"}, true},
		{"451", nil, []string{"=451"}, true},
		{"401", nil, []string{"=401"}, true},
		{"403", nil, []string{"=403"}, true},
		{"301", nil, []string{"=301", "Location: /x"}, true},
		{"302", nil, []string{"=302", "Location: /login"}, true},
		{"308", nil, []string{"=308", "Location: /x"}, true},
		{"204", nil, []string{"=204"}, true},
		{"private", nil, []string{"Cache-Control: private"}, true},
		{"no-store", nil, []string{"Cache-Control: no-store"}, true},
		{"no-cache", nil, []string{"Cache-Control: no-cache"}, true},
		{"Pragma", nil, []string{"Pragma: no-cache"}, true},
		{"max-age=0", nil, []string{"Cache-Control: max-age=0"}, true},
		{"Expires has passed", nil, []string{"Expires: Thu, 01 Jan 1970 00:00:00 GMT"}, true},
		{"Set-Cookie", nil, []string{grants, "Set-Cookie: a=b"}, true},
		{"Vary", nil, []string{grants, "Vary: Accept-Language"}, true},
		{"another type", nil, []string{grants, "-Content-Type", "Content-Type: application/json"}, true},
		{"a header that gets lost", nil, []string{grants, "Content-Disposition: attachment"}, true},
		{"X-Accel-Redirect", nil, []string{grants, "X-Accel-Redirect: /inner"}, true},

		{"500", nil, []string{"=500"}, false},
		{"502", nil, []string{"=502"}, false},
		{"503", nil, []string{"=503", "Cache-Control: no-store"}, false},
		{"504", nil, []string{"=504"}, false},
		{"400 is about the request", nil, []string{"=400"}, false},
		{"408", nil, []string{"=408"}, false},
		{"421", nil, []string{"=421"}, false},
		{"425", nil, []string{"=425"}, false},
		{"429", nil, []string{"=429", "Cache-Control: no-store"}, false},
		{"304", nil, []string{"=304"}, false},
		{"206", nil, []string{"=206", "Content-Range: bytes 0-1/5"}, false},

		{"HEAD", []string{"REQUEST_METHOD=HEAD"}, []string{"=404"}, false},
		{"POST", []string{"REQUEST_METHOD=POST"}, []string{"=404"}, false},
		{"a range", []string{"HTTP_RANGE=bytes=0-1"}, []string{"=404"}, false},
		{"a precondition", []string{"HTTP_IF_MATCH=x"}, []string{"=404"}, false},
		{"a session", []string{"HTTP_COOKIE=sessionid=1"}, []string{"Cache-Control: private"}, false},
		{"a session, 404", []string{"HTTP_COOKIE=sessionid=1"}, []string{"=404"}, false},
		{"credentials", []string{"HTTP_AUTHORIZATION=Basic x"}, []string{"=403"}, false},
		{"an unknown cookie", []string{"HTTP_COOKIE=theme=dark"}, []string{"Cache-Control: private"}, false},
		{"an unknown cookie, 404", []string{"HTTP_COOKIE=theme=dark"}, []string{"=404"}, false},
		{"an unknown header", []string{"HTTP_X_NOBODY_KNOWS=1"}, []string{"=404"}, false},
		{"a var that nobody knows", []string{"SITE_MODE=1"}, []string{"=404"}, true},
		{"a harmless cookie", []string{"HTTP_COOKIE=_ga=1"}, []string{"=404"}, true},
		{"no key", []string{"-CACHE_KEY"}, []string{"=404"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, v, r := testPolicy(), get(tt.changes...), page(tt.lines...)
			plan := p.Request(v)
			verdict := p.Response(v, plan, r, time.Now())
			if got := p.Withdraws(plan, r, verdict); got != tt.want {
				t.Errorf("got %v, want %v (%s, %s)", got, tt.want, plan.Reason, verdict.Reason)
			}
		})
	}
}
