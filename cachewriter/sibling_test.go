package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The hashes are openssl's: dgst -sha256 -binary | head -c16 | base64 | tr +/ -_
func TestSibling(t *testing.T) {
	tests := []struct{ kind, key, want string }{
		{kindLock, "k", "uwg:l:glTDKakoUPbVOd03b0gW7g"},
		{KindCopy, "k", "uwg:s:glTDKakoUPbVOd03b0gW7g"},
		{kindLock, ":1:/a b", "uwg:l:zhiofKnCOgBQ0kR_BghXvA"},
		{kindLock, "", "uwg:l:47DEQpj8HBSa-_TImW-5JA"},
	}
	for _, tt := range tests {
		got := Sibling(tt.kind, tt.key)
		if got != tt.want || Escape(got) != got {
			t.Errorf("Sibling(%q, %q) = %q, want %q", tt.kind, tt.key, got, tt.want)
		}
	}
}

func TestEntrySibling(t *testing.T) {
	whole := Entry{Key: "k", HashKey: "/h", Addr: "10.0.0.1:11211", Body: []byte("x"), Flags: 1, Expires: time.Unix(1, 0), Began: time.Unix(1, 0)}
	tests := []struct {
		name string
		page Entry
		want Entry
	}{
		{"key only", Entry{Key: "k"}, Entry{Key: Sibling("s", "k"), HashKey: "k", Of: "k"}},
		{"everything", whole, Entry{Key: Sibling("s", "k"), HashKey: "/h", Addr: "10.0.0.1:11211", Of: "k"}},
	}
	for _, tt := range tests {
		if got := tt.page.Sibling(KindCopy); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// lastGood is a copy of a page, to be put.
func lastGood(page Entry, body string) Entry {
	c := page.Sibling(KindCopy)
	c.Body, c.Expires = []byte(body), time.Now().Add(time.Minute)
	return c
}

// A sibling lies on its page's server, not on the one that its own key hashes to.
func TestSiblingsLieWithTheirPage(t *testing.T) {
	a, b := startFake(t), startFake(t)
	for _, method := range []Method{Modulo, Consistent} {
		w := newWriter(t, a.addr)
		w.Ring = newRing(t, method, Server{Name: a.addr}, Server{Name: b.addr})
		for i := range 20 {
			e := page(fmt.Sprint(method, " k", i), "x")
			if i%2 == 1 {
				e.HashKey = fmt.Sprint("/", i)
			}
			put(t, w, e)
			put(t, w, lastGood(e, "x"))
			if _, err := w.Lock(t.Context(), e, time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		drain(t, w)
		for i := range 20 {
			key := fmt.Sprint(method, " k", i)
			_, page := a.value(Escape(key))
			for _, kind := range []string{KindCopy, kindLock} {
				if _, got := a.value(Sibling(kind, key)); got != page {
					t.Errorf("%q: its %q is at the first server: %v, the page: %v", key, kind, got, page)
				}
			}
		}
	}
}

// An invalidated page does not come back as a copy.
func testDeleteTakesTheCopy(t *testing.T, m memcached) {
	for _, copies := range []bool{false, true} {
		w := newWriter(t, m.address())
		w.Copies = copies
		for _, e := range []Entry{page("k", "x"), page("a b\x7f", "x"), page("k2", "x")} {
			e.Key += fmt.Sprint(copies) // a new Writer respects the tombstones of the one before
			other := e.Sibling(KindCopy)
			for range 2 { // the second time there is nothing to delete
				stored := w.Stats().Total.Stored
				put(t, w, e)
				put(t, w, lastGood(e, "copy"))
				await(t, "both are stored", func() bool { return w.Stats().Total.Stored == stored+2 })
				if err := w.Delete(t.Context(), Entry{Key: e.Key}); err != nil {
					t.Errorf("Delete(%q): %v", e.Key, err)
				}
				if got := get(t, m, Escape(e.Key)); got != "" {
					t.Errorf("after Delete %q holds %q", e.Key, got)
				}
				if got := get(t, m, other.Key); (got == "") != copies {
					t.Errorf("Copies %v: after Delete of %q its copy is %q", copies, e.Key, got)
				}
			}
			if err := w.Delete(t.Context(), other); err != nil {
				t.Errorf("Delete of a copy: %v", err)
			}
			if got := get(t, m, other.Key); got != "" {
				t.Errorf("the copy was deleted, and is %q", got)
			}
		}
	}
}

func TestDeleteTakesTheCopyAtOnce(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Copies = true
	copyKey := Sibling(KindCopy, "k")
	if err := w.Delete(t.Context(), Entry{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if got, want := f.commands("delete"), []string{"delete k", "delete " + copyKey, "delete " + Sibling(KindRecord, "k")}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
	if got := w.Stats().Total.Deletes; got != 1 {
		t.Errorf("%d deletes counted, want 1", got)
	}
	if err := w.Delete(t.Context(), Entry{Key: "k"}.Sibling(KindCopy)); err != nil {
		t.Fatal(err)
	}
	if got := f.commands("delete"); len(got) != 4 {
		t.Errorf("heard %q, want one more: a copy has no copy", got)
	}
	hold := make(chan struct{})
	f.on(onCommand("delete k", act{hold: hold}))
	deleted := make(chan error, 1)
	go func() { deleted <- w.Delete(context.Background(), Entry{Key: "k"}) }()
	await(t, "the page's delete has arrived", func() bool { return len(f.commands("delete k")) == 2 })
	put(t, w, lastGood(Entry{Key: "k"}, "during"))
	wantDropped(t, w.Stats().Total, DropSuperseded, 1)
	close(hold)
	if err := <-deleted; err != nil {
		t.Error(err)
	}
}

// Delete waits for copies that are being written, or drops them, as it does with pages.
func TestDeleteWinsOverCopies(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Copies = true
	k := Entry{Key: "k"}
	copyKey := Sibling(KindCopy, "k")
	hold := make(chan struct{})
	f.on(onCommand("set "+copyKey, act{hold: hold}))
	put(t, w, lastGood(k, "in flight"))
	await(t, "the set has arrived", func() bool { return len(f.commands("set "+copyKey)) == 1 })
	put(t, w, lastGood(k, "queued"))
	deleted := make(chan error, 1)
	go func() { deleted <- w.Delete(context.Background(), k) }()
	await(t, "what is queued is dropped", func() bool { return w.Stats().Total.Dropped[DropSuperseded] == 1 })
	if got := f.commands("delete"); len(got) != 0 {
		t.Errorf("memcached heard %q before the set had its response", got)
	}
	close(hold)
	if err := <-deleted; err != nil {
		t.Error(err)
	}
	wantValue(t, f, copyKey, "")
	if got := len(f.commands("set " + copyKey)); got != 1 {
		t.Errorf("%d copies were written, want 1", got)
	}
}

// A copy of a page that was requested before a purge is not stored.
func TestPurgedCopies(t *testing.T) {
	f := startFake(t)
	tests := []struct {
		name    string
		deleted Entry
		put     Entry
		began   time.Duration // before the Delete
		want    error
	}{
		{"the page deleted, begun before", Entry{Key: "k 1"}, Entry{Key: "k 1"}.Sibling(KindCopy), time.Minute, ErrPurged},
		{"the page deleted, begun after", Entry{Key: "k 2"}, Entry{Key: "k 2"}.Sibling(KindCopy), -time.Minute, nil},
		{"the copy deleted, begun before", Entry{Key: "k 3"}.Sibling(KindCopy), Entry{Key: "k 3"}.Sibling(KindCopy), time.Minute, ErrPurged},
		{"the copy deleted, the page put", Entry{Key: "k 4"}.Sibling(KindCopy), Entry{Key: "k 4"}, time.Minute, nil},
		{"another deleted", Entry{Key: "k 5"}, Entry{Key: "k 6"}.Sibling(KindCopy), time.Minute, nil},
	}
	for _, tt := range tests {
		w := newWriter(t, f.addr)
		w.Copies = true
		if err := w.Delete(t.Context(), tt.deleted); err != nil {
			t.Fatal(err)
		}
		tt.put.Expires, tt.put.Began = time.Now().Add(time.Hour), time.Now().Add(-tt.began)
		if err := w.Put(tt.put); err != tt.want {
			t.Errorf("%s: Put: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// Delete is done only when both are gone; until then both are pending.
func TestPendingCopies(t *testing.T) {
	copyKey := Sibling(KindCopy, "k")
	for _, refused := range []string{"delete k", "delete " + copyKey} {
		f := startFake(t)
		w := newWriter(t, f.addr)
		w.Copies, w.Backoff.Min = true, time.Millisecond
		f.on(onCommand(refused, act{say: "SERVER_ERROR not today\r\n"}))
		f.items["k"], f.items[copyKey] = fakeItem{body: []byte("x")}, fakeItem{body: []byte("x")}
		err := w.Delete(t.Context(), Entry{Key: "k"})
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "not today") {
			t.Errorf("%s: Delete: %v, want %v", refused, err, ErrRefused)
		}
		f.on(nil)
		await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
		wantValue(t, f, "k", "")
		wantValue(t, f, copyKey, "")
		if s := w.Stats().Total; s.DeleteErrors != 1 || s.Pending.Done != 2 {
			t.Errorf("%s: %d errors, made up for %d; want 1 and 2", refused, s.DeleteErrors, s.Pending.Done)
		}
	}
}

// A later Delete replaces both pending ones.
func TestPendingCopiesPaidByDelete(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Copies, w.Backoff.Min = true, time.Hour
	f.on(refuseDeletes)
	failDeletes(t, w, "k")
	if got := w.Stats().Total.Pending.Entries; got != 2 {
		t.Errorf("%d pending deletes, want 2", got)
	}
	f.on(nil)
	if err := w.Delete(t.Context(), Entry{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if got := w.Stats().Total.Pending.Entries; got != 0 {
		t.Errorf("%d deletes are still pending", got)
	}
}

// The copy is deleted, too, on the servers where nginx or Put may have gone meanwhile.
func TestCopiesOnTheWholeRing(t *testing.T) {
	fakes := []*fake{startFake(t), startFake(t), startFake(t)}
	w := newWriter(t, fakes[0].addr)
	w.Ring = newRing(t, Consistent, Server{Name: fakes[0].addr}, Server{Name: fakes[1].addr}, Server{Name: fakes[2].addr})
	w.Copies = true
	copyKey := Sibling(KindCopy, "k")
	for _, f := range fakes {
		f.items[copyKey] = fakeItem{body: []byte("stale")}
	}
	if err := w.Delete(t.Context(), Entry{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	for _, f := range fakes {
		wantValue(t, f, copyKey, "")
	}
}
