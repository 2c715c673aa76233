package cachewriter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var recordTests = []record{
	{},
	{host: "a.example", uri: "/", key: "https://a.example/"},
	{host: "a.example", uri: "/a b?\n", key: "k\x00\xff", tags: []string{"a", "ab", "a b", "", ".*", ",1:a,", "\r\n"}},
	{tags: []string{strings.Repeat("x", 64<<10)}},
}

func TestRecord(t *testing.T) {
	for _, want := range recordTests {
		value := want.append(nil)
		if len(value) != want.size() {
			t.Errorf("%q has %d bytes, and size says %d", value, len(value), want.size())
		}
		if got, ok := parseRecord(string(value)); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%.80q is parsed as %+v, %v", value, got, ok)
		}
	}
	for _, bad := range []string{"", "1", "1 ", "1 0:,0:,", "2 0:,0:,0:,", "1 0:,0:,0:,1:a", "1 0:,0:,0:,2:a,", "1 0:,0:,0:,01:a,",
		"1 0:,0:,0:,-1:a,", "1 0:,0:,0:,1:a;", "1 0:,0:,0:,99999999999999999999:a,", "1 0:,0:,0:,x"} {
		if r, ok := parseRecord(bad); ok {
			t.Errorf("%q is parsed as %+v", bad, r)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range recordTests {
		f.Add(r.append(nil))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, ok := parseRecord(string(value))
		if !ok {
			return
		}
		if again := r.append(nil); !bytes.Equal(again, value) {
			t.Errorf("%q is written as %q", value, again)
		}
	})
}

// tagged returns an entry with tags.
func tagged(key string, tags ...string) Entry {
	e := page(key, "body")
	e.Subject = Subject{Host: "a.example", URI: "/" + key, Tags: tags}
	return e
}

// flags returns the client flags of what is stored under a wire key.
func flags(t *testing.T, m memcached, wire string) (n uint32) {
	t.Helper()
	head := get(t, m, wire)
	if _, err := fmt.Sscanf(head, "VALUE "+wire+" %d", &n); err != nil {
		t.Errorf("%q holds %q", wire, head)
	}
	return n
}

// recordOf returns the record beside a page, or nil.
func recordOf(t *testing.T, m memcached, key string) *record {
	t.Helper()
	d := NewDirect(m.address(), time.Minute)
	defer d.Close()
	item, err := d.Get(t.Context(), Sibling(KindRecord, key))
	if err != nil {
		t.Fatal(err)
	}
	if item == nil {
		return nil
	}
	r, ok := parseRecord(string(item.Value))
	if !ok {
		t.Fatalf("the record of %q is %.100q", key, item.Value)
	}
	return &r
}

// A page has a record if it needs one, and it is right after every Put.
func testRecords(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	w.Copies = true
	recorded := tagged("k")
	recorded.Recorded = true
	told := func(tags ...string) *record { return &record{"a.example", "/k", "k", tags} }
	huge := tagged("k", strings.Repeat("x", maxRecord))
	tests := []struct {
		name  string
		entry Entry
		flags uint32
		want  *record
	}{
		{"no tags", tagged("k"), FlagStored, nil},
		{"tags", tagged("k", "b", "a b"), FlagStored | FlagTagged, told("b", "a b")},
		{"other tags", tagged("k", "c"), FlagStored | FlagTagged, told("c")},
		{"recorded", recorded, FlagStored | FlagRecorded, told()},
		{"too many tags", huge, FlagStored | FlagTagged, nil},
		{"64 KiB of tags", tagged("k", strings.Fields(strings.Repeat("t ", 32<<10))...), FlagStored | FlagTagged, told(slices.Repeat([]string{"t"}, 32<<10)...)},
	}
	for _, tt := range tests {
		putStored(t, w, tt.entry)
		if got := flags(t, m, "k"); got != tt.flags {
			t.Errorf("%s: flags %x, want %x", tt.name, got, tt.flags)
		}
		if got := recordOf(t, m, "k"); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: the record is %.200v, want %.200v", tt.name, got, tt.want)
		}
	}
	if item, err := w.Get(t.Context(), Entry{Key: "k"}); err != nil || item.Flags != 0 {
		t.Errorf("Get returns %+v, %v; want no flags", item, err)
	}
	for name, remove := range map[string]func(Entry) error{
		"Delete":      func(e Entry) error { return w.Delete(context.Background(), e) },
		"DeleteLater": w.DeleteLater,
	} {
		putStored(t, w, askedFor(tagged("k", "a"), -1))
		if err := remove(Entry{Key: "k"}); err != nil {
			t.Fatal(err)
		}
		await(t, name, func() bool { return get(t, m, "k") == "" && w.Stats().Total.Pending.Entries == 0 })
		if got := recordOf(t, m, "k"); got != nil {
			t.Errorf("after %s the record is %v", name, got)
		}
	}
}

// A copy has the record of its page, for as long as the copy lives.
func testRecordOfACopy(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	w.Subject = func(key string) (Subject, bool) { return Subject{Host: "told", URI: "/" + key}, true }
	e := page("k", "body")
	lasting := lastGood(e, "copy")
	lasting.Expires = e.Expires.Add(1000 * e.Expires.Sub(e.Began))
	put(t, w, e)
	put(t, w, lasting)
	settled(t, w)
	if got := flags(t, m, "k"); got != FlagStored {
		t.Errorf("the page has flags %x", got)
	}
	if got, want := recordOf(t, m, "k"), (&record{host: "told", uri: "/k", key: "k"}); !reflect.DeepEqual(got, want) {
		t.Errorf("the record is %v, want %v", got, want)
	}
	if got, want := ttl(t, m, Sibling(KindRecord, "k")), ttl(t, m, lasting.Key); got != want {
		t.Errorf("the record lives for %d s, the copy for %d s", got, want)
	}
}

// A page and its copy, stored together, have one record, before them.
func TestRecordIsWrittenOnce(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers = 1
	hold := make(chan struct{})
	f.on(onCommand("set first", act{hold: hold}))
	put(t, w, page("first", ""))
	await(t, "the worker is busy", func() bool { return len(f.commands("set first")) == 1 })
	e := tagged("k", "a")
	put(t, w, e)
	put(t, w, lastGood(e, "copy"))
	close(hold)
	settled(t, w)
	var keys []string
	for _, command := range f.commands("set")[1:] {
		keys = append(keys, strings.Fields(command)[1])
	}
	if want := []string{Sibling(KindRecord, "k"), "k", Sibling(KindCopy, "k")}; !slices.Equal(keys, want) {
		t.Errorf("stored %q, want %q", keys, want)
	}
}

// A record that is refused does not cost the page, and no older record stays.
func TestRecordRefused(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	rec := Sibling(KindRecord, "k")
	f.items[rec] = fakeItem{body: record{tags: []string{"old"}}.append(nil)}
	f.on(onCommand("set "+rec, act{say: "SERVER_ERROR out of memory storing object\r\n"}))
	put(t, w, tagged("k", "a"))
	put(t, w, page("other", "x"))
	if s := settled(t, w); s.Stored != 2 || s.Refused != 0 {
		t.Errorf("counted %+v", s)
	}
	wantValue(t, f, "k", "body")
	if got, ok := f.value(rec); ok {
		t.Errorf("the record is %q", got)
	}
	f.on(onCommand("set "+rec, act{say: "what?\r\n"}))
	done := make(chan error, 1)
	e := tagged("k", "b")
	e.Done = func(err error) { done <- err }
	put(t, w, e)
	if err := <-done; err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("after nonsense: %v", err)
	}
}

// A page that was purged while it was stored leaves no record.
func TestRecordOfAPurgedPage(t *testing.T) {
	f := startFake(t)
	a, b := newWriter(t, f.addr), newWriter(t, f.addr)
	hold := make(chan struct{})
	f.on(onCommand("set k", act{hold: hold}))
	put(t, b, tagged("k", "a"))
	await(t, "it has looked", func() bool { return len(f.commands("set k")) == 1 })
	if err := a.Delete(t.Context(), Entry{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	close(hold)
	wantDropped(t, settled(t, b), DropPurged, 1)
	wantValue(t, f, "k", "")
	if got, ok := f.value(Sibling(KindRecord, "k")); ok {
		t.Errorf("the record is %q", got)
	}
}

// Records count against the limits of the queue.
func TestRecordsAreCounted(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	hold := make(chan struct{})
	f.on(onCommand("get", act{hold: hold}))
	put(t, w, tagged("k", strings.Repeat("x", 1000)))
	if got := w.Stats().Total.QueuedBytes; got < 1000 {
		t.Errorf("%d bytes are queued", got)
	}
	close(hold)
}
