package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

const canaryToken = "0123456789abcdef"

// The gateway answers an announced request itself, stores nothing for it, and keeps what
// nginx has sent.
func TestCanary(t *testing.T) {
	b := newBench(t, nil, says(okPage("a page")))
	const uri = "/folder/uwgate-canary-" + canaryToken + "-1.html"
	if a := b.get(uri); a.body != "a page" {
		t.Errorf("before it is announced: got %q", a.raw)
	}
	if err := b.ExpectCanaries(canaryToken); err != nil {
		t.Fatal(err)
	}
	a := b.get(uri+"?more", uwsgi.Var{Name: "HTTP_COOKIE", Value: "sessionid=secret"})
	if got := a.header.Get("Cache-Status"); a.status != 200 || got != "uwgate; detail=canary" || a.err != nil {
		t.Errorf("got %q, %v", a.raw, a.err)
	}
	if a := b.get("/other"); a.body != "a page" {
		t.Errorf("another page: got %q", a.raw)
	}
	eventually(t, "a canary is logged", func() bool { return b.lines(policy.Canary) == 1 })
	isCanary := func(e observer.LoggedEntry) bool { return e.ContextMap()["reason"] == "canary" }
	if line := b.access.Filter(isCanary).All()[0].ContextMap(); line["verdict"] != "pass" || line["status"] != int64(200) || line["key"] != "k:"+uri+"?more" {
		t.Errorf("logged %v", line)
	}
	came, known := b.Canaries(canaryToken)
	if !known || len(came) != 1 {
		t.Fatalf("got %v, %v", came, known)
	}
	if text := fmt.Sprint(came); strings.Contains(text, "secret") {
		t.Errorf("a secret is shown: %s", text)
	}
	p := came[0].Policy
	if p.Key != "k:"+uri+"?more" || p.KeySource != "nginx" || !p.LookedUp {
		t.Errorf("got %+v", p)
	}
	if !slices.ContainsFunc(p.Refusals, func(f policy.Finding) bool { return f.Reason == policy.IdentityCookie }) {
		t.Errorf("got %v, want identity-cookie", p.Refusals)
	}
	if held := b.contents(); len(held) != 2 {
		t.Errorf("memcached has %v, want two pages", held)
	}
}

// A canary is one whatever var contains its token, and even if a worker would not get it.
func TestCanaryInAnyVar(t *testing.T) {
	b := newBench(t, nil, says(okPage("a page")))
	if err := b.ExpectCanaries(canaryToken); err != nil {
		t.Fatal(err)
	}
	v := uwsgi.Vars{{Name: "CACHE_KEY", Value: "k:" + canaryToken}}
	if a := b.ask(v, nil); !strings.Contains(a.raw, "detail=canary") {
		t.Errorf("got %q", a.raw)
	}
}

// What is kept of canaries has bounds; all get a response.
func TestCanariesAreBounded(t *testing.T) {
	p := &policy.Policy{}
	var g Gateway
	fill := func(token string, n, size int) (kept int) {
		if err := g.ExpectCanaries(token); err != nil {
			t.Fatal(err)
		}
		for range n {
			if !g.canaries.take(p, uwsgi.Vars{{Name: "HTTP_X", Value: token + strings.Repeat("x", size-len("HTTP_X")-len(token))}}) {
				t.Fatal("a canary is not taken")
			}
		}
		came, _ := g.Canaries(token)
		return len(came)
	}
	if kept := fill(canaryToken, 2*maxCanaries, 100); kept != maxCanaries+1 {
		t.Errorf("%d are kept, want %d", kept, maxCanaries+1)
	}
	const large = 64 << 10
	if kept := fill("fedcba9876543210", 200, large); kept != maxCanaryBytes/large-1 {
		t.Errorf("%d large ones are kept beside the others, want %d", kept, maxCanaryBytes/large-1)
	}
	if kept := fill("aaaaaaaaaaaaaaaa", 1, large); kept != 0 {
		t.Error("there is no room, and one is kept")
	}
	for _, token := range []string{canaryToken, "fedcba9876543210"} { // announced again
		fill(token, 0, 0)
	}
	if g.canaries.bytes != 0 {
		t.Errorf("%d bytes are in use after all was forgotten", g.canaries.bytes)
	}
}

func TestCanaryTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gateway
		for _, token := range []string{"", "0123456789a", "0123456789ABCDEF", "/favicon.ico.ico", strings.Repeat("0", 65)} {
			if err := g.ExpectCanaries(token); !errors.Is(err, ErrCanaryToken) {
				t.Errorf("%q: got %v", token, err)
			}
		}
		for i := range maxTokens {
			if err := g.ExpectCanaries(fmt.Sprintf("%016x", i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := g.ExpectCanaries(canaryToken); !errors.Is(err, ErrTooManyCanaries) {
			t.Errorf("got %v", err)
		}
		if err := g.ExpectCanaries(fmt.Sprintf("%016x", 1)); err != nil {
			t.Errorf("the same again: %v", err)
		}
		time.Sleep(canaryLife + time.Second)
		if _, known := g.Canaries(fmt.Sprintf("%016x", 1)); known || g.canaries.expected.Load() != 0 {
			t.Error("a token is still known after its life")
		}
		if err := g.ExpectCanaries(canaryToken); err != nil {
			t.Errorf("after the life of the others: %v", err)
		}
	})
}
