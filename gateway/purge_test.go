package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap/zaptest/observer"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/uwsgi"
)

// purging makes a gateway accept PURGE requests of a network.
func purging(rate int) func(*Gateway) {
	return func(g *Gateway) {
		g.Purges.Access.Networks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		g.Purges.Rate = rate
	}
}

// purgeOf are the vars of a PURGE request from that network.
func purgeOf(uri string, more ...uwsgi.Var) uwsgi.Vars {
	v := request("PURGE", uri, uwsgi.Var{Name: "CACHE_KEY", Value: "k:" + uri}, uwsgi.Var{Name: "CACHE_STATUS", Value: "405"},
		uwsgi.Var{Name: "REMOTE_ADDR", Value: "10.1.2.3"})
	return append(v, more...)
}

// Too many purges are refused for a while, and say for how long.
func TestPurgeRate(t *testing.T) {
	b := newBench(t, purging(1), says(okPage("a page")))
	refused := 0
	for range 20 {
		a := b.ask(purgeOf("/page"), nil)
		switch {
		case a.status == 200:
		case a.status == 429 && a.header.Get("Retry-After") == "1" && strings.Contains(a.body, "too many purges"):
			refused++
		default:
			t.Errorf("got %q", a.raw)
		}
	}
	if refused == 0 {
		t.Error("no purge was refused")
	}
}

// A PURGE with a body is answered whole. The bench's memcached cannot list its keys.
func TestPurgeWithABody(t *testing.T) {
	b := newBench(t, purging(0), says(okPage("a page")))
	v := setVar(purgeOf("/page"), uwsgi.Var{Name: "CONTENT_LENGTH", Value: "100000"})
	if a := b.ask(v, make([]byte, 100000)); a.status != 200 || a.err != nil || !strings.Contains(a.body, `"status":"`+purge.Incomplete+`"`) {
		t.Errorf("got %q, %v", a.raw, a.err)
	}
	if line := b.line(0); line["reason"] != string(policy.Purge) || line["bytes"].(int64) == 0 || line["backend"] != "" {
		t.Errorf("logged %v", line)
	}
}

// The log says who has purged, and how: by PURGE, by the API, or by a rule.
func TestPurgeIsLogged(t *testing.T) {
	b := newBench(t, func(g *Gateway) {
		purging(0)(g)
		g.Policy.Rules = policy.NewRules([]policy.Rule{{Methods: []string{"POST"}, Purge: []policy.Scope{{Kind: policy.ScopeTag, Tag: "news"}}}})
	}, says(okPage("a page")))
	from := uwsgi.Var{Name: "REMOTE_ADDR", Value: "10.1.2.3"}
	b.ask(purgeOf("/page"), nil)
	b.ask(request("POST", "/page", uwsgi.Var{Name: "CACHE_KEY", Value: "k:/page"}, from), nil)
	if _, err := b.Purge(t.Context(), &purge.Request{Tags: []string{"news"}}, ""); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range b.logs.FilterMessage("purge").All() {
		f := e.ContextMap()
		got = append(got, fmt.Sprint(f["client"], " ", f["via"], " ", f["purged"]))
	}
	want := []string{"10.1.2.3 PURGE [url http://example.com/page]", "10.1.2.3 POST [tag news]", " api [tag news]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A memcached that cannot be reached is no error for the client, which would repeat the
// purge: the body says that it is pending.
func TestPurgeWhileMemcachedIsDown(t *testing.T) {
	b := newBench(t, func(g *Gateway) {
		purging(0)(g)
		ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: "127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		g.Store = &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}
	}, says(okPage("a page")))
	for _, more := range [][]uwsgi.Var{nil, {{Name: "HTTP_SURROGATE_KEY", Value: "news"}}, {{Name: "HTTP_X_PURGE_SCOPE", Value: "prefix"}}} {
		a := b.ask(purgeOf("/page", more...), nil)
		if a.status != 200 || !strings.Contains(a.body, `{"status":"`+purge.Pending+`"`) || !strings.Contains(a.body, `"pending":true,"error":`) {
			t.Errorf("%v: got %q", more, a.raw)
		}
	}
}

// A gateway that only observes deletes nothing.
func TestPurgeWhileObserving(t *testing.T) {
	b := newBench(t, func(g *Gateway) { purging(0)(g); g.Policy.Observe = true }, says(okPage("a page")))
	b.store.set("k:/page", item{body: "stored by another gateway"})
	if a := b.ask(purgeOf("/page"), nil); a.status != 200 {
		t.Errorf("got %q", a.raw)
	}
	if _, there := b.contents()["k:/page"]; !there {
		t.Error("the page is gone")
	}
}

// In a request that is no purge the token says nothing: no worker and no log gets it, and it
// keeps no page from being stored. A bearer is the application's.
func TestPurgeTokenIsConcealed(t *testing.T) {
	const token = "0123456789abcdef0123"
	for _, isOn := range []bool{true, false} {
		seen := make(chan uwsgi.Vars, 10)
		b := newBench(t, func(g *Gateway) {
			if isOn {
				g.Purges.Access.Token = token
			}
		}, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
			seen <- req.Vars
			io.WriteString(nc, okPage("hello"))
		})
		sent := uwsgi.Var{Name: "HTTP_X_PURGE_TOKEN", Value: token}
		other := uwsgi.Var{Name: "HTTP_X_PURGE_TOKEN", Value: "another"}
		for i, v := range []uwsgi.Vars{missed("/page", sent), missed("/twice", sent, other), request("HEAD", "/page", sent), request("POST", "/page", sent), request("DELETE", "/page", other)} {
			if a := b.ask(v, nil); a.status != 200 {
				t.Fatalf("got %q", a.raw)
			}
			got, line := <-seen, b.line(i)
			if has := got.Count(sent.Name) > 0; has == isOn {
				t.Errorf("%s, purges %v: the worker got %q", v.Get("REQUEST_METHOD"), isOn, got.Get(sent.Name))
			}
			if v.Get("REQUEST_METHOD") == "GET" && isOn && line["reason"] != string(policy.DefaultTTL) {
				t.Errorf("logged %v", line)
			}
		}
		if a := b.ask(missed("/bearer", uwsgi.Var{Name: "HTTP_AUTHORIZATION", Value: "Bearer " + token}), nil); a.status != 200 || (<-seen).Get("HTTP_AUTHORIZATION") == "" {
			t.Errorf("got %q", a.raw)
		}
		e := b.Explain(t.Context(), missed("/page", sent))
		if got, want := (<-seen).Count(sent.Name) > 0, !isOn; got != want {
			t.Errorf("an explanation: the worker got it: %v, want %v", got, want)
		}
		b.close()
		for _, text := range []string{fmt.Sprintf("%+v", e.Vars), fmt.Sprint(entries(b.access.All())), fmt.Sprint(entries(b.logs.All()))} {
			if strings.Contains(text, token) || strings.Contains(text, "another") {
				t.Errorf("the token is in %s", text)
			}
		}
	}
}

func entries(logged []observer.LoggedEntry) (all []any) {
	for _, l := range logged {
		all = append(all, l.Message, l.ContextMap())
	}
	return all
}
