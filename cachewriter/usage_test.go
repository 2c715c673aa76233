package cachewriter

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func usage(t *testing.T, w *Writer, e Entry) Usage {
	t.Helper()
	u, err := w.Usage(t.Context(), e)
	if err != nil || u == nil {
		t.Fatalf("Usage(%q): %+v, %v", e.Key, u, err)
	}
	return *u
}

// Refreshes depend on this: nginx's classic get marks a page as served, Usage does not,
// and a new page, stored by a classic set, is not served yet.
func testUsage(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	for _, key := range []string{"/a b%", "k\x7f"} {
		e := Entry{Key: key}
		if u, err := w.Usage(t.Context(), e); u != nil || err != nil {
			t.Errorf("before it is stored: %+v, %v; want nothing", u, err)
		}
		for range 2 {
			stored := w.Stats().Total.Stored
			put(t, w, page(key, "x"))
			await(t, "it is stored", func() bool { return w.Stats().Total.Stored == stored+1 })
			for range 2 {
				got := usage(t, w, e)
				if got.Served || got.Stale || got.TTL > time.Minute || got.TTL < 50*time.Second || got.LastAccess > 5*time.Second {
					t.Errorf("%q stored and not visited: %+v", key, got)
				}
			}
			get(t, m, Escape(key))
			if !usage(t, w, e).Served {
				t.Errorf("%q is not served after nginx's get", key)
			}
		}
	}
}

// Usage of a stale page leaves the right to refresh it to others.
func testUsageOfStale(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	put(t, w, page("k", "x"))
	await(t, "it is stored", func() bool { return w.Stats().Total.Stored == 1 })
	meta := newMeta(t, m.address())
	if err := meta.delete(t.Context(), "k", metaDelete{stale: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := usage(t, w, Entry{Key: "k"}); !got.Stale {
			t.Errorf("%+v, want it stale", got)
		}
	}
	if got := mustMetaGet(t, meta, "k", metaGet{}); !got.won {
		t.Errorf("after it was looked at: %+v, want it to be won", got)
	}
}

func TestUsageOfSeveral(t *testing.T) {
	const k = 1000 // seconds
	tests := []struct {
		name string
		at   [2]*fakeItem // nil: not there
		want *Usage
	}{
		{"nowhere", [2]*fakeItem{}, nil},
		{"at the second", [2]*fakeItem{nil, {exptime: k}}, &Usage{TTL: k * time.Second}},
		{"at both", [2]*fakeItem{{exptime: 2 * k}, {exptime: k, meta: fakeMeta{hit: true}}}, &Usage{TTL: k * time.Second, Served: true}},
		{"the first is served", [2]*fakeItem{{exptime: k, meta: fakeMeta{hit: true}}, {exptime: 2 * k}}, &Usage{TTL: k * time.Second, Served: true}},
		{"the second is stale", [2]*fakeItem{{exptime: k}, {exptime: k, meta: fakeMeta{stale: true}}}, &Usage{TTL: k * time.Second, Stale: true}},
		{"the first is stale", [2]*fakeItem{{exptime: k, meta: fakeMeta{stale: true}}, {exptime: k}}, &Usage{TTL: k * time.Second, Stale: true}},
		{"none has an end", [2]*fakeItem{{}, {}}, &Usage{TTL: Forever}},
		{"one has no end", [2]*fakeItem{{}, {exptime: k}}, &Usage{TTL: k * time.Second}},
	}
	for _, tt := range tests {
		fakes := []*fake{startFake(t), startFake(t)}
		for i, it := range tt.at {
			if it != nil {
				fakes[i].items["k"] = *it
			}
		}
		w := newWriter(t, fakes[0].addr, fakes[1].addr)
		got, err := w.Usage(t.Context(), Entry{Key: "k"})
		if err != nil || (got == nil) != (tt.want == nil) || got != nil && *got != *tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(f *fake)
		e     Entry
		want  error
	}{
		{"key too long", func(*fake) {}, Entry{Key: strings.Repeat("k", 251)}, ErrKeyTooLong},
		{"foreign server", func(*fake) {}, Entry{Key: "k", Addr: "10.9.9.9:1"}, ErrUnknownServer},
		{"no meta", func(f *fake) { f.on(onCommand("version", act{say: "VERSION 1.5.6\r\n"})) }, Entry{Key: "k"}, ErrNoMeta},
		{"no response", func(f *fake) { f.on(onCommand("mg", act{hold: make(chan struct{})})) }, Entry{Key: "k"}, errTimeout},
		{"refused", func(f *fake) { f.on(onCommand("mg", act{say: "SERVER_ERROR x\r\n"})) }, Entry{Key: "k"}, ErrRefused},
	}
	for _, tt := range tests {
		f := startFake(t)
		tt.spoil(f)
		w := newWriter(t, f.addr)
		w.Timeout = 50 * time.Millisecond
		if u, err := w.Usage(t.Context(), tt.e); u != nil || !errors.Is(err, tt.want) {
			t.Errorf("%s: %+v, %v, want %v", tt.name, u, err, tt.want)
		}
	}
}

// A server that is down is not asked.
func TestUsageOfADeadServer(t *testing.T) {
	f := startFake(t)
	f.stop()
	w := newWriter(t, f.addr)
	w.Backoff.Min = time.Hour
	for range tripAfter {
		if _, err := w.Usage(t.Context(), Entry{Key: "k"}); err == nil || errors.Is(err, ErrServerDown) {
			t.Errorf("Usage: %v, want the error of an attempt", err)
		}
	}
	if _, err := w.Usage(t.Context(), Entry{Key: "k"}); !errors.Is(err, ErrServerDown) {
		t.Errorf("Usage: %v, want %v", err, ErrServerDown)
	}
}

// With one of two servers dead the other one's usage counts, if it has the page.
func TestUsageOfSome(t *testing.T) {
	dead, alive := startFake(t), startFake(t)
	dead.stop()
	alive.items["k"] = fakeItem{exptime: 1000}
	w := newWriter(t, dead.addr, alive.addr)
	if got := usage(t, w, Entry{Key: "k"}); got.TTL != 1000*time.Second {
		t.Errorf("got %+v", got)
	}
	if u, err := w.Usage(t.Context(), Entry{Key: "nothing"}); u != nil || err == nil || !strings.Contains(err.Error(), dead.addr) {
		t.Errorf("of nothing: %+v, %v; want an error of the dead one", u, err)
	}
}

// A page that is old lives no longer than it is told, and is not prolonged.
func testShorten(t *testing.T, r *realServer) {
	w := newWriter(t, r.address())
	for _, key := range []string{"/a b%", "k\x7f"} {
		e := Entry{Key: key}
		if err := w.Shorten(t.Context(), e, time.Minute); err != nil {
			t.Errorf("before it is stored: %v", err)
		}
		stored := w.Stats().Total.Stored
		put(t, w, page(key, "x"))
		await(t, "it is stored", func() bool { return w.Stats().Total.Stored == stored+1 })
		for _, ttl := range []time.Duration{30 * time.Second, 50 * time.Second} {
			if err := w.Shorten(t.Context(), e, ttl); err != nil {
				t.Error(err)
			}
			got := usage(t, w, e)
			if got.Served || got.TTL > 30*time.Second || got.TTL < 20*time.Second {
				t.Errorf("%q shortened to %v: %+v", key, ttl, got)
			}
		}
		if got := get(t, r, Escape(key)); !strings.HasSuffix(got, "\nx") {
			t.Errorf("got %q", got)
		}
	}
}
