package gateway

import (
	"strconv"
	"testing"
	"time"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// What lies under a key that nginx looks up for a subrequest, too, is deleted, and
// nothing is stored there while such subrequests come.
func TestContestedKeyStoresNothing(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello")))
	b.get("/page")
	eventually(t, "the page is stored", func() bool { _, ok := b.store.get("k:/page"); return ok })
	b.get("/page", uwsgi.Var{Name: "PATH_INFO", Value: "/fragment"})
	if b.line(1)["reason"] != string(policy.Rewritten) {
		t.Errorf("the fragment: logged %v", b.line(1))
	}
	if got, found := b.store.get("k:/page"); found {
		t.Errorf("after the fragment %+v is stored", got)
	}
	b.get("/page")
	if b.line(2)["reason"] != string(policy.Rewritten) {
		t.Errorf("the page: logged %v", b.line(2))
	}
	b.get("/other")
	eventually(t, "another page is stored", func() bool { _, ok := b.store.get("k:/other"); return ok })
}

func TestContested(t *testing.T) {
	var c contested
	now := time.Now()
	if c.has("k", now) {
		t.Error("the zero value has a key")
	}
	if !c.add("k", now) || c.add("k", now.Add(contestedAgain/2)) || !c.add("k", now.Add(contestedAgain)) {
		t.Error("a key is to be deleted at once, and then once in a while")
	}
	now = now.Add(contestedAgain)
	if !c.has("k", now.Add(contestedFor-1)) || c.has("k", now.Add(contestedFor)) || c.has("other", now) {
		t.Error("a key is there for contestedFor")
	}
	for i := range 2 * maxContested {
		if !c.add(strconv.Itoa(i), now) {
			t.Fatal("a new key is to be deleted")
		}
	}
	if len(c.keys) != maxContested {
		t.Errorf("%d keys, want %d", len(c.keys), maxContested)
	}
	if c.add("late", now.Add(contestedFor)); len(c.keys) != 1 {
		t.Errorf("%d keys after their time, want 1", len(c.keys))
	}
}
