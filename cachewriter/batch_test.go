package cachewriter

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// holdFirst keeps a worker busy with an entry, and returns the function that ends that.
func holdFirst(t *testing.T, w *Writer, f *fake) (release func()) {
	t.Helper()
	hold := make(chan struct{})
	f.on(onCommand("set first ", act{hold: hold}))
	put(t, w, page("first", "x"))
	await(t, "the first entry is being written", func() bool { return len(f.commands("set first ")) == 1 })
	return func() { close(hold) }
}

// What comes while a worker writes is written together: with one read of all tombstones
// before, and one after.
func TestEntriesOfABatch(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers = 1
	release := holdFirst(t, w, f)
	const n = maxBatch + 10
	for i := range n {
		put(t, w, page(fmt.Sprint("k", i), strings.Repeat("x", i*100)))
	}
	release()
	drain(t, w)
	for i := range n {
		wantValue(t, f, fmt.Sprint("k", i), strings.Repeat("x", i*100))
	}
	if s := w.Stats().Total; s.Stored != n+1 {
		t.Errorf("counted %+v", s)
	}
	var read []int
	for _, command := range f.commands("get ") {
		read = append(read, len(strings.Fields(command))-1)
	}
	if want := []int{2, 2, maxBatch + 1, maxBatch + 1, 11, 11}; !slices.Equal(read, want) {
		t.Errorf("tombstones read at a time, and the purge log: %d, want %d", read, want)
	}
}

// Each entry of a batch has its own outcome.
func TestOutcomesOfABatch(t *testing.T) {
	const many = 5
	tests := []struct {
		name   string
		script func(command string) act // once the batch is queued
		lost   string                   // keys that are not stored
		errs   map[string]error         // of these
		check  func(s ServerStats) bool
	}{
		{"all are stored", nil, "", nil, func(s ServerStats) bool { return s.Stored == many+1 }},
		{"one is refused", onCommand("set k2 ", act{say: "SERVER_ERROR out of memory storing object\r\n"}), "k2", map[string]error{"k2": ErrRefused},
			func(s ServerStats) bool { return s.Stored == many && s.Refused == 1 && s.Pending.Entries == 0 }},
		{"one is refused, and its value may come as commands", onCommand("set k2 ", act{say: "CLIENT_ERROR bad data chunk\r\n"}), "k2", map[string]error{"k2": ErrRefused},
			func(s ServerStats) bool { return s.Stored == many && s.Refused == 1 && s.Pending.Entries == 0 }},
		{"many tombstones cannot be read at once", func(command string) act {
			if strings.Count(command, "uwg:d:") > 1 {
				return act{say: "SERVER_ERROR one of the servers is dead\r\n"}
			}
			return act{}
		}, "", nil, func(s ServerStats) bool { return s.Stored == many+1 && s.Refused == 0 }},
		{"one tombstone cannot be read at all", func(command string) act {
			if strings.HasPrefix(command, "get") && strings.Contains(command, Sibling(KindTombstone, "k2")) {
				return act{say: "SERVER_ERROR its server is dead\r\n"}
			}
			return act{}
		}, "k2", map[string]error{"k2": ErrRefused}, func(s ServerStats) bool { return s.Stored == many && s.Refused == 1 }},
		{"one has an unreadable tombstone", func(command string) act {
			if tomb := Sibling(KindTombstone, "k2"); strings.HasPrefix(command, "get") && strings.Contains(command, tomb) {
				return act{say: "VALUE " + tomb + " 0 3\r\n???\r\nEND\r\n"}
			}
			return act{}
		}, "k2", map[string]error{"k2": ErrPurged}, func(s ServerStats) bool { return s.Stored == many && s.Dropped[DropPurged] == 1 }},
		{"the connection ends", onCommand("set k2 ", act{hangUp: true}), "k2 k3 k4", nil,
			func(s ServerStats) bool { return s.Stored == 3 && s.Failed == 3 && s.Pending.Done == 3 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			w := newWriter(t, f.addr)
			w.Workers, w.Backoff.Min = 1, time.Nanosecond
			release := holdFirst(t, w, f)
			outcomes := make(chan string, many)
			for i := range many {
				e := page(fmt.Sprint("k", i), "new")
				e.Done = func(err error) {
					if want := tt.errs[e.Key]; tt.errs != nil && !errors.Is(err, want) {
						t.Errorf("%s: %v, want %v", e.Key, err, want)
					}
					outcomes <- e.Key
				}
				put(t, w, e)
			}
			f.on(tt.script)
			release()
			for range many {
				<-outcomes
			}
			await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
			if s := w.Stats().Total; !tt.check(s) {
				t.Errorf("counted %+v", s)
			}
			for i := range many {
				key, want := fmt.Sprint("k", i), "new"
				if strings.Contains(tt.lost, key) {
					want = ""
				}
				wantValue(t, f, key, want)
			}
		})
	}
}

// One of the pages of a batch is purged while they are stored.
func TestPurgedInABatch(t *testing.T) {
	f := startFake(t)
	a, b := newWriter(t, f.addr), newWriter(t, f.addr)
	b.Workers = 1
	release := holdFirst(t, b, f)
	for i := range 5 {
		put(t, b, askedFor(page(fmt.Sprint("k", i), "old"), time.Second))
	}
	hold := make(chan struct{})
	f.on(onCommand("set k4 ", act{hold: hold}))
	release()
	await(t, "the last one is being stored", func() bool { return len(f.commands("set k4 ")) == 1 })
	if err := a.Delete(t.Context(), Entry{Key: "k1"}); err != nil {
		t.Fatal(err)
	}
	close(hold)
	wantDropped(t, settled(t, b), DropPurged, 1)
	for i := range 5 {
		want := "old"
		if i == 1 {
			want = ""
		}
		wantValue(t, f, fmt.Sprint("k", i), want)
	}
}

// An entry does not wait long for a worker that is busy with others.
func TestPatience(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	defer holdFirst(t, w, f)()
	put(t, w, page("k", "x"))
	await(t, "another worker has written it", func() bool { return w.Stats().Total.Stored == 1 })
	wantValue(t, f, "k", "x")
}

// Deletes for which nobody waits are sent together, before what is stored after them.
func TestDeleteLater(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers, w.Copies = 1, true
	release := holdFirst(t, w, f)
	const n = 40
	for i := range n {
		key := fmt.Sprint("k", i)
		f.items[key], f.items[Sibling(KindCopy, key)] = fakeItem{body: []byte("old")}, fakeItem{body: []byte("old")}
		if err := w.DeleteLater(Entry{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	put(t, w, page("k7", "new"))
	release()
	drain(t, w)
	for i := range n {
		key, want := fmt.Sprint("k", i), ""
		if i == 7 {
			want = "new"
		}
		wantValue(t, f, key, want)
		wantValue(t, f, Sibling(KindCopy, key), "")
		if _, found := f.value(Sibling(KindTombstone, key)); !found {
			t.Errorf("%s has no tombstone", key)
		}
	}
	if s := w.Stats().Total; s.Deletes != 2*n || s.Pending.Done != 0 || s.DeleteErrors != 0 {
		t.Errorf("counted %+v", s)
	}
	if err := w.DeleteLater(Entry{}); !errors.Is(err, ErrEmptyKey) {
		t.Errorf("without a key: %v", err)
	}
}

// A delete for which nobody waits is pending if the server refuses it or cannot be
// reached. Others that were sent with it are done.
func TestDeleteLaterFails(t *testing.T) {
	for name, a := range map[string]act{
		"refused": {say: "SERVER_ERROR out of memory\r\n"},
		"cut off": {hangUp: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			w := newWriter(t, f.addr)
			w.Workers, w.Backoff.Min = 1, time.Nanosecond
			release := holdFirst(t, w, f)
			for i := range 5 {
				f.items[fmt.Sprint("k", i)] = fakeItem{body: []byte("old")}
				if err := w.DeleteLater(Entry{Key: fmt.Sprint("k", i)}); err != nil {
					t.Fatal(err)
				}
			}
			failures := 0
			f.on(func(command string) act {
				if command != "delete k2" || failures == 4 { // three are made up for at once
					return act{}
				}
				failures++
				return a
			})
			release()
			await(t, "all are done", func() bool { return w.Stats().Total.Pending.Entries == 0 })
			for i := range 5 {
				wantValue(t, f, fmt.Sprint("k", i), "")
			}
			if s := w.Stats().Total; s.DeleteErrors == 0 || s.Deletes+s.Pending.Done != 5 {
				t.Errorf("counted %+v", s)
			}
		})
	}
}

// What is withdrawn is purged if it is there. Else nothing stays behind in memcached.
func TestWithdraw(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers, w.Copies = 1, true
	f.items["there"], f.items[Sibling(KindCopy, "copied")] = fakeItem{body: []byte("old")}, fakeItem{body: []byte("old")}
	for _, key := range []string{"there", "copied", "nowhere"} {
		if err := w.Withdraw(Entry{Key: key}); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "all are withdrawn", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	for key, want := range map[string]bool{"there": true, "copied": true, "nowhere": false} {
		wantValue(t, f, key, "")
		wantValue(t, f, Sibling(KindCopy, key), "")
		if _, found := f.value(Sibling(KindTombstone, key)); found != want {
			t.Errorf("%s has a tombstone: %v, want %v", key, found, want)
		}
		err := w.Put(askedFor(page(key, "requested before"), time.Second))
		if err != nil && (!want || !errors.Is(err, ErrPurged)) {
			t.Errorf("%s: %v", key, err)
		}
	}
	drain(t, w)
	wantValue(t, f, "there", "")
	wantValue(t, f, "copied", "")
	wantValue(t, f, "nowhere", "requested before")
	if s := w.Stats().Total; s.Deletes != 6 || s.DeleteErrors != 0 || s.Stored != 1 {
		t.Errorf("counted %+v", s)
	}
	if err := w.Withdraw(Entry{}); !errors.Is(err, ErrEmptyKey) {
		t.Errorf("without a key: %v", err)
	}
}

// A page that is withdrawn while memcached is away, and stored again, stays.
func TestWithdrawPending(t *testing.T) {
	d := &pendingDeletes{maxEntries: 3}
	d.add(pendingDelete{key: "a", tomb: "t", lazy: true})
	d.removeStored(d.of("a"))
	if d.len() != 0 {
		t.Error("a withdrawal of a page that was stored again is pending")
	}
	for _, tt := range []struct {
		first, second pendingDelete
		lazy          bool
	}{
		{pendingDelete{tomb: "t", lazy: true}, pendingDelete{tomb: "t", lazy: true}, true},
		{pendingDelete{tomb: "t"}, pendingDelete{tomb: "t", lazy: true}, false},
		{pendingDelete{tomb: "t", lazy: true}, pendingDelete{tomb: "t"}, false},
		{pendingDelete{}, pendingDelete{tomb: "t", lazy: true}, true},
		{pendingDelete{tomb: "t", lazy: true}, pendingDelete{}, true},
		{pendingDelete{tomb: "t"}, pendingDelete{}, false},
	} {
		d := &pendingDeletes{maxEntries: 3}
		tt.first.key, tt.second.key = "a", "a"
		d.add(tt.first)
		d.add(tt.second)
		if got := d.of("a"); got.lazy != tt.lazy || got.tomb != "t" {
			t.Errorf("%+v after %+v: got %+v", tt.second, tt.first, got)
		}
	}
}
