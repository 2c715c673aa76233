package gateway

import (
	"fmt"
	"strings"
	"testing"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A key without a URI that comes for two pages stores neither: what is stored is deleted,
// and what is fetched meanwhile is not stored either.
func TestPartialKeyStoresNothing(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello")))
	key := func(key string) uwsgi.Var { return uwsgi.Var{Name: "CACHE_KEY", Value: key} }
	stored := func(key string) bool { _, ok := b.store.get(key); return ok }
	b.get("/p/12/a", key("example.com:p:12"))
	eventually(t, "the first page is stored", func() bool { return stored("example.com:p:12") })
	b.get("/p/13/a", key("example.com:p:13"))
	eventually(t, "another key's page is stored", func() bool { return stored("example.com:p:13") })
	for range 2 {
		b.get("/p/12/b", key("example.com:p:12"))
		b.get("/p/12/a", key("example.com:p:12"))
	}
	for n, want := range []policy.Reason{policy.DefaultTTL, policy.DefaultTTL, policy.KeyPartial, policy.KeyPartial, policy.KeyPartial, policy.KeyPartial} {
		if got := b.line(n)["reason"]; got != string(want) {
			t.Errorf("request %d: logged %v, want %s", n, got, want)
		}
	}
	if stored("example.com:p:12") || !stored("example.com:p:13") {
		t.Errorf("stored: %v, %v", stored("example.com:p:12"), stored("example.com:p:13"))
	}
	told := b.logs.FilterMessageSnippet("two pages under one key").All()
	if len(told) != 1 || !strings.Contains(told[0].Message, `"example.com/p/12/a" and "example.com/p/12/b"`) {
		t.Errorf("logged %v, want both URLs once", told)
	}
}

// Keys with a URI are judged by it alone, and never remembered.
func TestKeysWithURIAreNotMet(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello")))
	b.get("/a")
	b.get("/b", uwsgi.Var{Name: "CACHE_KEY", Value: "example.com/a"})
	b.line(1)
	if n := len(b.partial.pages); n > 0 {
		t.Errorf("%d keys were remembered", n)
	}
}

func TestPartialKeys(t *testing.T) {
	var k partialKeys
	if k.has("k") {
		t.Error("the zero value has a key")
	}
	for range 2 {
		if partial, _ := k.meet("k", "a"); partial || k.has("k") {
			t.Error("one page makes a key partial")
		}
	}
	if partial, other := k.meet("k", "b"); !partial || other != "a" || !k.has("k") {
		t.Errorf("two pages: got %v, %q", partial, other)
	}
	if partial, other := k.meet("k", "a"); !partial || other != "" {
		t.Errorf("again: got %v, %q", partial, other)
	}
	for i := range 2 * maxMet {
		k.meet(fmt.Sprint(i), "a")
	}
	if len(k.pages) != maxMet || len(k.order) != maxMet {
		t.Errorf("%d keys are remembered, in an order of %d", len(k.pages), len(k.order))
	}
	if partial, _ := k.meet("0", "b"); partial {
		t.Error("the oldest key is remembered")
	}
	if partial, _ := k.meet(fmt.Sprint(2*maxMet-1), "b"); !partial || !k.has("k") {
		t.Error("a recent key, or a partial one, is forgotten")
	}
	for i := range maxPartial {
		k.meet(fmt.Sprint("x", i), "a")
		k.meet(fmt.Sprint("x", i), "b")
	}
	if len(k.partial) != maxPartial || !k.has("never met") {
		t.Errorf("%d partial keys, and others are stored: %v", len(k.partial), !k.has("never met"))
	}
	if k.forget(); k.has("k") {
		t.Error("a key is refused after forget")
	}
	if partial, _ := k.meet("k", "b"); partial {
		t.Error("a page is remembered after forget")
	}
}
