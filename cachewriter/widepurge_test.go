package cachewriter

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// siteKey makes keys of a template: https://host/uri. told inverts it.
func told(key string) (s Subject, ok bool) {
	rest, ok := strings.CutPrefix(key, "https://")
	host, uri, ok2 := strings.Cut(rest, "/")
	return Subject{Host: host, URI: "/" + uri}, ok && ok2
}

// sitePage is a page with a key that tells its host and URI.
func sitePage(host, uri string, tags ...string) Entry {
	e := page("https://"+host+uri, "page of "+host+uri)
	e.Subject.Tags = tags
	return e
}

// handedOver is a page whose key tells nothing, or something wrong.
func handedOver(key, host, uri string, tags ...string) Entry {
	e := page(key, "page of "+host+uri)
	e.Subject, e.Recorded = Subject{Host: host, URI: uri, Tags: tags}, true
	return e
}

func tagScope(tag string) Scope { return Scope{Kind: ScopeTag, Tag: tag} }

// wantKeys compares the pages that memcached holds with raw keys.
func wantKeys(t *testing.T, m memcached, want ...string) {
	t.Helper()
	var got []string
	err := dump(t.Context(), m.address(), time.Minute, func(wire []byte) error {
		if !bytes.HasPrefix(wire, []byte("uwg:")) {
			key, _ := unescapeKey(string(wire))
			got = append(got, key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("memcached holds %q, want %q", got, want)
	}
}

// purgeNow purges, and wants that all is done.
func purgeNow(t *testing.T, w *Writer, p Purge) PurgeResult {
	t.Helper()
	results := w.PurgeMatching(t.Context(), p)
	if len(results) != 1 {
		t.Fatalf("%d results", len(results))
	}
	r := results[0]
	if r.Err != nil || r.Pending || r.Incomplete != "" || r.Took < 0 || r.Server == "" {
		t.Errorf("purge of %v: %+v", p.Scopes, r)
	}
	return r
}

func testPurgeMatching(t *testing.T, m memcached) {
	const a, b = "a.example", "b.example"
	long := strings.Repeat("t", 60<<10)
	entries := []Entry{
		sitePage(a, "/"),
		sitePage(a, "/news/1?page=2", "a", "news"),
		sitePage(a, "/news/2", "ab"),
		sitePage(a, "/newsletter", "a b", ".*", "a|b"),
		sitePage(b, "/news/1", "a"),
		sitePage(b, "/long", long),
		handedOver(":1:/x y%\x7f", a, "/x y%"),
		handedOver("https://a.example/wrong", b, "/right", "b"),
		sitePage(a, "/lost", "lost"),
		handedOver("lost", b, "/lost too"),
	}
	foreign := []string{"https://a.example/foreign", "uwg:s:foreign", "django:session"}
	all := []string{}
	for _, e := range entries {
		all = append(all, e.Key)
	}
	without := func(keys ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(key string) bool { return slices.Contains(keys, key) })
	}
	lost := []string{"https://a.example/lost", "lost"}
	tests := []struct {
		name   string
		scopes []Scope
		gone   []string
	}{
		{"a tag", []Scope{tagScope("a")}, []string{"https://a.example/news/1?page=2", "https://b.example/news/1", lost[0]}},
		{"a tag of a site", []Scope{{ScopeTag, b, "", "a"}}, []string{"https://b.example/news/1"}},
		{"tags with it inside", []Scope{tagScope("ab"), tagScope("b a")}, []string{"https://a.example/news/2", lost[0]}},
		{"a tag of regex bytes", []Scope{tagScope(".*")}, []string{"https://a.example/newsletter", lost[0]}},
		{"a long tag", []Scope{tagScope(long)}, []string{"https://b.example/long", lost[0]}},
		{"a long tag that differs in the end", []Scope{tagScope(long[1:] + "u")}, lost[:1]},
		{"a prefix", []Scope{{ScopePrefix, a, "/news/", ""}}, []string{"https://a.example/news/1?page=2", "https://a.example/news/2", lost[1]}},
		{"a path", []Scope{{ScopePath, a, "/news/1", ""}}, []string{"https://a.example/news/1?page=2", lost[1]}},
		{"a URL", []Scope{{ScopeURL, a, "/news/1", ""}}, lost[1:]},
		{"a site", []Scope{{ScopeSite, b, "", ""}}, []string{"https://b.example/news/1", "https://b.example/long", "https://a.example/wrong", lost[1]}},
		{"a handed-over key", []Scope{{ScopeURL, a, "/x%20y%", ""}}, []string{":1:/x y%\x7f", lost[1]}},
		{"two scopes", []Scope{tagScope("b"), {ScopeURL, "", "/", ""}}, []string{"https://a.example/wrong", "https://a.example/", lost[0], lost[1]}},
		{"all", []Scope{{Kind: ScopeAll}}, all},
		{"nothing", nil, nil},
	}
	w := newWriter(t, m.address())
	w.Subject, w.Copies = told, true
	for _, key := range foreign {
		ask(t, m, fmt.Sprintf("set %s 2 0 1\r\nx", key), "")
	}
	foreignPages := []string{foreign[0], foreign[2]}
	for _, tt := range tests {
		for _, e := range entries {
			put(t, w, e)
			put(t, w, lastGood(e, "copy"))
		}
		settled(t, w)
		for _, key := range lost {
			ask(t, m, "delete "+Sibling(KindRecord, key), "")
			ask(t, m, "delete "+Sibling(KindCopy, key), "") // else it is deleted by any purge
		}
		// The copies of these pages stay behind: the pages have expired.
		expired := []string{"https://a.example/news/2", "https://b.example/news/1"}
		for _, key := range expired {
			ask(t, m, "delete "+Escape(key), "")
		}
		dry := purgeNow(t, w, Purge{Scopes: tt.scopes, DryRun: true})
		wantKeys(t, m, append(without(expired...), foreignPages...)...)
		kept := 0
		soft := purgeNow(t, w, Purge{Scopes: tt.scopes, Keep: func(f Found) bool { kept++; return true }, DryRun: true})
		hard := purgeNow(t, w, Purge{Scopes: tt.scopes})
		gone := slices.DeleteFunc(slices.Clone(tt.gone), func(key string) bool { return slices.Contains(expired, key) })
		if n := len(gone); dry.Found != n || dry.Deleted != 0 || soft.Kept != n || kept != n || hard.Found != n || hard.Deleted != n {
			t.Errorf("%s: dry run %+v, soft %+v, purge %+v; want %d", tt.name, dry, soft, hard, n)
		}
		wantKeys(t, m, append(without(append(expired, gone...)...), foreignPages...)...)
		for _, e := range entries {
			isGone := slices.Contains(tt.gone, e.Key)
			if got := get(t, m, Sibling(KindCopy, e.Key)); (got == "") != (isGone || slices.Contains(lost, e.Key)) {
				t.Errorf("%s: the copy of %q is %q", tt.name, e.Key, got)
			}
			if isGone && recordOf(t, m, e.Key) != nil {
				t.Errorf("%s: the record of %q is left", tt.name, e.Key)
			}
		}
	}
	if got := get(t, m, foreign[1]); got == "" {
		t.Errorf("%q was deleted", foreign[1])
	}
}

// A soft purge leaves what Keep wants, with the records, and tells what it finds.
func testPurgeKeeps(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	w.Subject, w.Copies = told, true
	hot, cold := sitePage("a", "/hot", "x", "y"), sitePage("a", "/cold", "x")
	for _, e := range []Entry{hot, cold, lastGood(hot, "copy")} {
		put(t, w, e)
	}
	settled(t, w)
	get(t, m, hot.Key)
	r := purgeNow(t, w, Purge{Scopes: []Scope{tagScope("x")}, Keep: func(f Found) bool {
		life := time.Until(f.Expires)
		if !f.Known || f.Subject.Host != "a" || !slices.Contains(f.Subject.Tags, "x") || f.Size == 0 || f.Server != m.address() || life < 50*time.Second || life > time.Minute+time.Second {
			t.Errorf("found %+v", f)
		}
		if f.Fetched != (f.Key == hot.Key) {
			t.Errorf("%q was fetched: %v", f.Key, f.Fetched)
		}
		return f.Fetched
	}})
	if r.Found != 2 || r.Deleted != 1 || r.Kept != 1 {
		t.Errorf("result %+v", r)
	}
	wantKeys(t, m, hot.Key)
	if got := get(t, m, Sibling(KindCopy, hot.Key)); got != "" {
		t.Errorf("the copy of a purged page is %q", got)
	}
	if recordOf(t, m, hot.Key) == nil {
		t.Error("the record of the kept page is gone")
	}
	purgeNow(t, w, Purge{Scopes: []Scope{tagScope("y")}})
	wantKeys(t, m)
}

// Walk visits all pages of ours, and ends when the visitor has seen enough.
func testWalk(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	w.Subject = told
	ask(t, m, "set foreign 0 0 1\r\nx", "")
	want := map[string]Subject{}
	for i := range 3 * chunkKeys / 2 {
		e := sitePage("a", fmt.Sprint("/", i))
		if i%3 == 0 {
			e.Subject.Tags = []string{"t"}
		}
		put(t, w, e)
		put(t, w, lastGood(e, ""))
		want[e.Key] = Subject{Host: "a", URI: fmt.Sprint("/", i), Tags: e.Subject.Tags}
		if i%500 == 0 {
			settled(t, w)
		}
	}
	settled(t, w)
	got := map[string]Subject{}
	err := w.Walk(t.Context(), func(f Found) bool {
		if f.Fetched || !f.Known {
			t.Errorf("found %+v", f)
		}
		got[f.Key] = f.Subject
		return true
	})
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, and %d pages, want %d", err, len(got), len(want))
	}
	n := 0
	if err := w.Walk(t.Context(), func(Found) bool { n++; return n < 10 }); err != nil || n != 10 {
		t.Errorf("%v after %d visits", err, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := w.Walk(ctx, func(Found) bool { cancel(); return true }); err != context.Canceled {
		t.Errorf("after ctx: %v", err)
	}
}
