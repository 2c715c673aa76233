package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

// checkExplained compares an explanation with the verdict that it explains, and
// its refusals with the verdict's reason.
func checkExplained(t *testing.T, e Explanation, want Verdict) {
	t.Helper()
	if e.Verdict.Store != want.Store() || e.Verdict.Reason != want.Reason || e.Verdict.TTL != int64(want.TTL/time.Second) || e.Verdict.Observe != want.Observe {
		t.Errorf("explained as %+v, decided as %+v", e.Verdict, want)
	}
	refused := slices.DeleteFunc(slices.Clone(e.Refusals), func(f Finding) bool { return f.Reason == Observe })
	switch {
	case want.TTL > 0 || want.Reason == "":
		if len(refused) > 0 {
			t.Errorf("nothing refuses, and yet it is said: %+v", refused)
		}
	case len(refused) == 0 || refused[0].Reason != want.Reason:
		t.Errorf("refused for %q, and explained as %+v", want.Reason, refused)
	}
	for _, f := range e.Refusals {
		if f.Detail == "" || strings.Contains(f.Detail, "%") || strings.HasSuffix(f.Detail, " ") || strings.Contains(f.Detail, "  ") {
			t.Errorf("no sentence: %+v", f)
		}
	}
	for _, s := range e.Freshness {
		if s.Source == "" || s.Detail == "" {
			t.Errorf("no step: %+v", s)
		}
	}
}

// decide is what the gateway does.
func decide(p *Policy, v uwsgi.Vars, r *uwsgi.Response, body string, whole, trailers bool) Verdict {
	verdict := p.Response(v, p.Request(v), r, testNow)
	if reason := p.Body(r, []byte(body), whole, trailers); verdict.TTL > 0 && reason != "" {
		return Verdict{Reason: reason}
	}
	return verdict
}

func TestExplainAgrees(t *testing.T) {
	for _, r := range requestRows {
		t.Run("request/"+r.name, func(t *testing.T) {
			p, v := testPolicy(), get(r.changes...)
			checkExplained(t, p.Explain(v, nil, nil, false, false, testNow), Verdict{Reason: p.Request(v).Reason})
			checkExplained(t, p.Explain(v, page(), []byte("hello"), true, false, testNow), decide(p, v, page(), "hello", true, false))
		})
	}
	for _, r := range responseRows {
		t.Run("response/"+r.name, func(t *testing.T) {
			for _, observe := range []bool{false, true} {
				p, v, answer := r.policy(), get(r.request...), page(r.lines...)
				p.Observe = observe
				checkExplained(t, p.Explain(v, answer, []byte("hello"), true, false, testNow), decide(p, v, answer, "hello", true, false))
			}
		})
	}
	for _, r := range bodyRows {
		t.Run("body/"+r.name, func(t *testing.T) {
			p, v, answer := testPolicy(), get(), page(r.head)
			e := p.Explain(v, answer, []byte(r.body), r.whole, r.trailers, testNow)
			checkExplained(t, e, decide(p, v, answer, r.body, r.whole, r.trailers))
		})
	}
}

// Every reason not to store that this package finds has a sentence, and no
// other word has.
func TestEveryRefusalHasASentence(t *testing.T) {
	other := map[Reason]bool{Purged: true, CaptureFull: true, StoreFull: true, StoreDown: true, Reloaded: true, KeyPartial: true, Shared: true, Found: true, Stale: true, Canary: true, Purge: true}
	for _, s := range sources {
		other[s] = true
	}
	for name, reason := range declaredReasons(t) {
		if _, ok := sentences[reason]; ok == other[reason] {
			t.Errorf("%s: has a sentence is %v", name, ok)
		}
	}
}

func TestExplainRefusals(t *testing.T) {
	p := testPolicy()
	p.Rules = NewRules([]Rule{{PathPrefix: "/x"}, {PathPrefix: "/admin", Action: ActionBypass}})
	v := get("REQUEST_METHOD=POST", "REQUEST_URI=/admin/x", "PATH_INFO=/admin/x", "HTTP_COOKIE=lang=de; sessionid=top", "REMOTE_USER=top",
		"CONTENT_LENGTH=5", "HTTP_X_FORWARDED_HOST=evil.example", "CACHE_KEY=victim.example/admin/x", "CACHE_STATUS=502")
	r := page("=404", "Set-Cookie: sessionid=top", "Cache-Control: private, max-age=0", "Content-Type: text/plain", "Content-Disposition: attachment", "Vary: Cookie")
	e := p.Explain(v, r, []byte("csrf_token"), true, false, testNow)
	want := []struct {
		reason Reason
		detail string
	}{
		{Method, "the method is POST, and only GET fills the cache"},
		{Excluded, "the path's beginning /admin keeps the page out of the cache"},
		{Authorization, "REMOTE_USER says who is asking"},
		{IdentityCookie, "the cookie sessionid names the visitor"},
		{RequestBody, "the GET announces a body, with CONTENT_LENGTH"},
		{UnkeyedHeader, "the client sent X-Forwarded-Host: the page may depend on it, and the key does not contain it"},
		{Host, "the key says victim.example, but the page is made for www.example.com"},
		{NotLookedUp, "CACHE_STATUS is 502, which is not a miss"},
		{Excluded, "the rule that matches keeps the page out of the cache"},
		{Status, "the status is 404, and nginx would serve the page as a 200"},
		{SetCookie, "the response sets the cookie sessionid"},
		{Private, "the response is for one person, by Cache-Control: private, max-age=0"},
		{Vary, "Vary: Cookie names what the key does not contain"},
		{DuplicateHeader, "Content-Type was given more than once, with different values"},
		{HeaderLoss, "a hit would lack Content-Disposition: attachment"},
		{Expired, "no lifetime is left of max-age"},
		{Truncated, "the body is not what its head announced: 10 bytes came, of 5"},
		{Sentinel, "the body contains the text csrf_token"},
	}
	for i := range max(len(e.Refusals), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("too much: %+v", e.Refusals[i])
		case i >= len(e.Refusals):
			t.Errorf("missing: %+v", want[i])
		case e.Refusals[i].Reason != want[i].reason, e.Refusals[i].Detail != want[i].detail:
			t.Errorf("got %+v, want %+v", e.Refusals[i], want[i])
		}
	}
	if want := "2: path prefix /admin: bypass"; e.Rule != want {
		t.Errorf("got rule %q, want %q", e.Rule, want)
	}
	text, err := json.Marshal(e)
	if err != nil || strings.Contains(string(text), "top") || strings.Contains(string(text), "dG9w") {
		t.Errorf("a secret is told: %s, %v", text, err)
	}
}

func TestExplainFreshness(t *testing.T) {
	limited := testPolicy()
	limited.Lifetimes.Min, limited.Lifetimes.Max = 30*time.Second, 60*time.Second
	ruled := testPolicy()
	ruled.Rules = NewRules([]Rule{{TTL: time.Minute, MaxTTL: 50 * time.Second, Tags: []string{"a"}}})
	tests := []struct {
		name  string
		p     *Policy
		lines []string
		want  string
	}{
		{"nothing said", testPolicy(), nil, "default-ttl=600 s decides: 600 s"},
		{"one source", testPolicy(), []string{"Cache-Control: max-age=60"},
			"max-age=60 decides: 60 s; default-ttl=600 s is not asked: max-age comes first"},
		{"two, one of them malformed, and an age", testPolicy(), []string{"X-Accel-Expires: x", "Cache-Control: s-maxage=60", "Age: 20"},
			"x-accel-expires=x says no lifetime that counts, and is passed over; s-maxage=60 decides: 60 s; default-ttl=600 s is not asked: s-maxage comes first; age=20 s is subtracted: 40 s left"},
		{"malformed", testPolicy(), []string{"Cache-Control: max-age=x"},
			"max-age=x decides, and grants no lifetime; default-ttl=600 s is not asked: max-age comes first"},
		{"age malformed", testPolicy(), []string{"Cache-Control: max-age=60", "Age: x"},
			"max-age=60 decides: 60 s; default-ttl=600 s is not asked: max-age comes first"},
		{"too short", limited, []string{"Cache-Control: max-age=5"},
			"max-age=5 decides: 5 s; default-ttl=600 s is not asked: max-age comes first; min-ttl=30 s lengthens it"},
		{"too long", limited, nil, "default-ttl=600 s decides: 600 s; max-ttl=60 s shortens it"},
		{"a rule", ruled, nil, "rule=60 s decides: 60 s; default-ttl=600 s is not asked: rule comes first; max-ttl=50 s shortens it"},
		{"a fixed time", testPolicy(), []string{"X-Accel-Expires: @1772366460", "Age: 20"},
			"x-accel-expires=@1772366460 decides: 60 s; default-ttl=600 s is not asked: x-accel-expires comes first; age=20 s is not subtracted: the lifetime ends at a fixed time"},
	}
	for _, tt := range tests {
		var got []string
		for _, s := range tt.p.Explain(get(), page(tt.lines...), []byte("hello"), true, false, testNow).Freshness {
			got = append(got, s.Source+"="+s.Value+" "+s.Detail)
		}
		if text := strings.Join(got, "; "); text != tt.want {
			t.Errorf("%s: got\n\t%s\nwant\n\t%s", tt.name, text, tt.want)
		}
	}
}

func TestExplainRequestOnly(t *testing.T) {
	p := testPolicy()
	p.Rules = NewRules([]Rule{{ContentTypes: []string{"text/*"}, TTL: time.Minute}, {PathPrefix: "/p"}})
	got, err := json.Marshal(p.Explain(get(), nil, nil, false, false, testNow))
	want := `{"key":":1:/p?q=1","key_source":"nginx","server":"10.0.0.1:11211","looked_up":true,` +
		`"rule":"1: content type text/*: cache, ttl 1m0s (if the response is of that type), or 2: path prefix /p: cache",` +
		`"refusals":[],"freshness":[],"verdict":{"store":false,"reason":"","ttl":0}}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// What an unsafe request makes old is known before there is a response, but for what that
// names.
func TestExplainPurges(t *testing.T) {
	p := testPolicy()
	p.Rules = NewRules([]Rule{
		{Methods: []string{"POST"}, PathPrefix: "/p", Purge: scopes(t, "tag:news", "url:/")},
		{Methods: []string{"PUT"}, Purge: scopes(t, "site")},
	})
	for method, want := range map[string][2]string{"POST": {":1:/p?q=1", "tag:news url://www.example.com/"}, "PUT": {":1:/p?q=1", "site:www.example.com"}, "PATCH": {":1:/p?q=1", ""}, "GET": {}, "HEAD": {}} {
		e := p.Explain(get("REQUEST_METHOD="+method, "-CACHE_STATUS"), nil, nil, false, false, testNow)
		if got := [2]string{strings.Join(e.Deletes, " "), strings.Join(e.Purges, " ")}; got != want {
			t.Errorf("%s: got %q, want %q", method, got, want)
		}
	}
}

func TestExplainObserve(t *testing.T) {
	p := testPolicy()
	p.Rules = NewRules([]Rule{{Action: ActionObserve, Tags: []string{"a"}}})
	e := p.Explain(get(), page("X-Frame-Options: DENY"), []byte("hello"), true, false, testNow)
	if len(e.Refusals) != 1 || e.Refusals[0].Reason != Observe || !e.Verdict.Observe || e.Verdict.Store || e.Verdict.TTL != 600 || !slices.Equal(e.Verdict.Tags, []string{"a"}) {
		t.Errorf("got %+v", e)
	}
	if want := []string{"X-Frame-Options: DENY"}; !slices.Equal(e.Lost, want) {
		t.Errorf("got lost %q, want %q", e.Lost, want)
	}
}
