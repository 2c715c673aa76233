package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func TestStone(t *testing.T) {
	now := time.Now()
	p, other := newProcess(now), newProcess(now)
	at := now.Add(time.Second)
	s, ok := parseTombstone(p.tombstone(at).append(nil))
	if !ok || s != (tombstone{p.id, at.UnixNano(), time.Second}) {
		t.Fatalf("got %+v, %v", s, ok)
	}
	for _, bad := range []string{"", "1", "2 a 1 1", "1 a b 1", "1 a 1 b", "1 a 1 1 1", "1  1"} {
		if _, ok := parseTombstone([]byte(bad)); ok {
			t.Errorf("parsed %q", bad)
		}
	}
	for _, tt := range []struct {
		name  string
		p     process
		began time.Duration // after the purge
		want  bool
	}{
		{"own, before", p, -1, true},
		{"own, at once", p, 0, true},
		{"own, after", p, 1, false},
		{"another's, before", other, -1, true},
		{"another's, within what clocks may differ", other, clockSkew, true},
		{"another's, after", other, clockSkew + 1, false},
	} {
		if got := tt.p.covers(s, at.Add(tt.began)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// askedFor returns the entry as requested so long ago.
func askedFor(e Entry, ago time.Duration) Entry {
	e.Began = time.Now().Add(-ago)
	return e
}

// settled waits until a Writer has nothing to write, and returns its counters.
func settled(t *testing.T, w *Writer) ServerStats {
	t.Helper()
	await(t, "all is written", func() bool { return w.Stats().Total.QueuedEntries == 0 })
	return w.Stats().Total
}

// A purge by one gateway holds for the pages of another, and for its copies.
func testTombstone(t *testing.T, m memcached) {
	a, b := newWriter(t, m.address()), newWriter(t, m.address())
	a.Copies, b.Copies = true, true
	for _, key := range []string{"k", "a b", "del\x7f", "caf\u00e9/\x80", strings.Repeat("x", 250)} {
		slow := askedFor(page(key, "old"), time.Second)
		slowCopy := askedFor(lastGood(slow, "old"), time.Second)
		stored := b.Stats().Total.Stored
		put(t, a, page(key, "older"))
		settled(t, a)
		if err := a.Delete(t.Context(), Entry{Key: key}); err != nil {
			t.Fatal(err)
		}
		purged := b.Stats().Total.Dropped[DropPurged]
		done := make(chan error, 2)
		slow.Done = func(err error) { done <- err }
		put(t, b, slow)
		put(t, b, slowCopy)
		if err := <-done; err != ErrPurged {
			t.Errorf("%q: done with %v", key, err)
		}
		wantDropped(t, settled(t, b), DropPurged, purged+2)
		if got := get(t, m, Escape(key)) + get(t, m, slowCopy.Key); got != "" {
			t.Errorf("%q: the old page came back: %q", key, got)
		}
		put(t, b, askedFor(page(key, "new"), -2*clockSkew))
		if s := settled(t, b); s.Stored != stored+1 {
			t.Errorf("%q: a page of after the purge was not stored: %+v", key, s)
		}
		// The process that purged compares exactly.
		if err := b.Delete(t.Context(), Entry{Key: key}); err != nil {
			t.Fatal(err)
		}
		put(t, b, askedFor(page(key, "newest"), 0))
		if s := settled(t, b); s.Stored != stored+2 {
			t.Errorf("%q: a page of after its own purge was not stored: %+v", key, s)
		}
		if got := get(t, m, Escape(key)); !strings.HasSuffix(got, "newest") {
			t.Errorf("%q holds %q", key, got)
		}
	}
}

// If several servers may hold a page, each has a tombstone.
func TestTombstoneOnEveryServer(t *testing.T) {
	for _, method := range []Method{All, Modulo, Consistent} {
		f, g := startFake(t), startFake(t)
		a, b := newWriter(t, f.addr), newWriter(t, f.addr)
		a.Ring = newRing(t, method, Server{Name: f.addr}, Server{Name: g.addr})
		b.Ring = a.Ring
		if err := a.Delete(t.Context(), Entry{Key: "k"}); err != nil {
			t.Fatal(err)
		}
		await(t, "no delete is pending", func() bool { return a.Stats().Total.Pending.Entries == 0 })
		for _, addr := range []string{f.addr, g.addr} {
			e := askedFor(page("k", "old"), time.Second)
			e.Addr = addr
			put(t, b, e)
		}
		wantDropped(t, settled(t, b), DropPurged, 2)
		wantValue(t, f, "k", "")
		wantValue(t, g, "k", "")
	}
}

// The second read of the tombstone sees a purge after the first read.
func TestPurgedBetweenTheLooks(t *testing.T) {
	for _, key := range []string{"k", "k\x7f"} {
		f := startFake(t)
		a, b := newWriter(t, f.addr), newWriter(t, f.addr)
		hold := make(chan struct{})
		f.on(onCommand("set", act{hold: hold}))
		put(t, b, askedFor(page(key, "old"), time.Second))
		await(t, "it has looked", func() bool { return len(f.commands("set")) == 1 })
		if err := a.Delete(t.Context(), Entry{Key: key}); err != nil {
			t.Fatal(err)
		}
		close(hold)
		wantDropped(t, settled(t, b), DropPurged, 1)
		wantValue(t, f, key, "")
		if s := b.Stats().Total; s.Stored != 0 || s.Pending.Entries != 0 {
			t.Errorf("counted %+v", s)
		}
	}
}

// If the tombstone cannot be read the page is not stored, and the breaker counts that.
func TestTombstoneCannotBeRead(t *testing.T) {
	tests := []struct {
		name            string
		nth             int // look that fails
		a               act
		refused, failed uint64
	}{
		{"refused", 1, act{say: "SERVER_ERROR out of memory\r\n"}, 1, 0},
		{"nonsense", 1, act{say: "what?\r\n"}, 0, 1},
		{"hung up", 1, act{hangUp: true}, 0, 1},
		{"refused after the set", 2, act{say: "SERVER_ERROR out of memory\r\n"}, 1, 0},
		{"nonsense after the set", 2, act{say: "what?\r\n"}, 0, 1},
		{"hung up after the set", 2, act{hangUp: true}, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			w := newWriter(t, f.addr)
			n, over := 0, false
			f.on(func(command string) act {
				if strings.HasPrefix(command, "get ") {
					if n++; n >= tt.nth && !over {
						return tt.a
					}
				}
				return act{}
			})
			put(t, w, page("k", "x"))
			settled(t, w)
			s := w.Stats().Servers[0]
			if s.Stored != 0 || s.Refused != tt.refused || s.Failed != tt.failed || s.LastError == "" {
				t.Errorf("counted %+v", s)
			}
			await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
			wantValue(t, f, "k", "")
			f.mu.Lock()
			over = true
			f.mu.Unlock()
			put(t, w, page("k", "y"))
			if s := settled(t, w); s.Stored != 1 {
				t.Errorf("the next one was not stored: %+v", s)
			}
		})
	}
}

// A tombstone in the form of a later version forbids every page.
func TestTombstoneOfALaterVersion(t *testing.T) {
	f := startFake(t)
	f.items[Sibling(KindTombstone, "k")] = fakeItem{body: []byte("2 what=ever")}
	w := newWriter(t, f.addr)
	put(t, w, page("k", "x"))
	put(t, w, page("other", "x"))
	wantDropped(t, settled(t, w), DropPurged, 1)
	wantValue(t, f, "k", "")
	wantValue(t, f, "other", "x")
}

func stoneOf(t *testing.T, f *fake, key string) tombstone {
	t.Helper()
	value, _ := f.value(Sibling(KindTombstone, key))
	s, ok := parseTombstone([]byte(value))
	if !ok {
		t.Fatalf("the tombstone of %q is %q", key, value)
	}
	return s
}

// If two purges overlap, the later one's tombstone stays, whichever is written first.
func TestPurgesOverlap(t *testing.T) {
	f := startFake(t)
	a, b := newWriter(t, f.addr), newWriter(t, f.addr)
	hold := make(chan struct{})
	first := true
	f.on(func(command string) act {
		if strings.HasPrefix(command, "add ") && first {
			first = false
			return act{hold: hold}
		}
		return act{}
	})
	result := make(chan error, 1)
	go func() { result <- a.Delete(context.Background(), Entry{Key: "k"}) }()
	await(t, "the first is on its way", func() bool { return len(f.commands("add")) == 1 })
	between := time.Now()
	if err := b.Delete(t.Context(), Entry{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	later := stoneOf(t, f, "k")
	close(hold)
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	if s := stoneOf(t, f, "k"); s.process != a.process.id || s.wall < later.wall || !a.process.covers(s, between) {
		t.Errorf("the tombstone is %+v, after %+v", s, later)
	}
	e := page("k", "old")
	e.Began = between
	put(t, a, e)
	wantDropped(t, settled(t, a), DropPurged, 1)
	wantValue(t, f, "k", "")
}

// Many purges of one page at a time all succeed.
func testPurgesInACrowd(t *testing.T, m memcached) {
	const gateways, purges = 4, 50
	results := make(chan error)
	for range gateways {
		w := newWriter(t, m.address())
		go func() {
			var errs error
			for range purges {
				errs = errors.Join(errs, w.Delete(context.Background(), Entry{Key: "k"}))
			}
			results <- errs
		}()
	}
	for range gateways {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// A pending delete writes a tombstone with the time of the purge.
func TestPendingTombstone(t *testing.T) {
	f := startFake(t)
	f.on(func(string) act { return act{say: "SERVER_ERROR proxy: try later\r\n"} })
	w, b, c := newWriter(t, f.addr), newWriter(t, f.addr), new(clock)
	w.now, b.now = c.now, c.now
	old := Entry{Key: "k", Body: []byte("old"), Expires: c.now().Add(time.Hour), Began: c.now()}
	c.advance(time.Second)
	purged := c.now()
	failDeletes(t, w, "k")
	f.on(nil)
	c.advance(100 * time.Second)
	endPause(w, f)
	await(t, "the delete is sent", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	if s := stoneOf(t, f, "k"); s.wall != purged.UnixNano() {
		t.Errorf("the tombstone is of %v, want %v", time.Unix(0, s.wall), purged)
	}
	if got := f.items[Sibling(KindTombstone, "k")].exptime; got != 800 {
		t.Errorf("it lives for %d s, want 800", got)
	}
	put(t, b, old)
	wantDropped(t, settled(t, b), DropPurged, 1)
	old.Began = purged.Add(clockSkew + 1)
	put(t, b, old)
	if s := settled(t, b); s.Stored != 1 {
		t.Errorf("what began after the purge was not stored: %+v", s)
	}

	// After the tombstone's life none is written any more.
	f.on(func(string) act { return act{say: "SERVER_ERROR proxy: try later\r\n"} })
	failDeletes(t, w, "later")
	f.on(nil)
	c.advance(tombstoneLife)
	endPause(w, f)
	await(t, "the delete is sent", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	if _, ok := f.value(Sibling(KindTombstone, "later")); ok {
		t.Error("a tombstone was set up that nobody may look at any more")
	}
}

// Deletes that are pending when the process ends are sent with their tombstones.
func TestCloseLeavesTombstones(t *testing.T) {
	f := startFake(t)
	f.on(func(string) act { return act{say: "SERVER_ERROR proxy: try later\r\n"} })
	w := newWriter(t, f.addr)
	w.Backoff.Min = time.Hour
	slow := askedFor(page("k", "old"), time.Second)
	failDeletes(t, w, "k")
	f.on(nil)
	drain(t, w)
	next := newWriter(t, f.addr)
	put(t, next, slow)
	wantDropped(t, settled(t, next), DropPurged, 1)
	wantValue(t, f, "k", "")
}

// A tombstone that another gateway has written holds at a server that joins the ring.
func TestTombstoneAndSetRing(t *testing.T) {
	f, g := startFake(t), startFake(t)
	a, b := newWriter(t, g.addr), newWriter(t, f.addr)
	slow := askedFor(page("k", "old"), time.Second)
	if err := a.Delete(t.Context(), Entry{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	b.SetRing(newRing(t, All, Server{Name: g.addr}))
	put(t, b, slow)
	put(t, b, page("other", "x"))
	drain(t, b)
	wantValue(t, g, "k", "")
	wantValue(t, g, "other", "x")
}

// A page that took longer than tombstones live is not stored.
func TestFillOfLongAgo(t *testing.T) {
	f := startFake(t)
	w, c := newWriter(t, f.addr), new(clock)
	w.now = c.now
	e := Entry{Key: "k", Expires: c.now().Add(time.Hour), Began: c.now().Add(-maxFillAge)}
	if err := w.Put(e); !errors.Is(err, ErrPurged) {
		t.Errorf("Put: %v, want %v", err, ErrPurged)
	}
	hold := make(chan struct{})
	f.on(onCommand("set", act{hold: hold}))
	e.Began = e.Began.Add(1)
	put(t, w, e)
	await(t, "it is being written", func() bool { return len(f.commands("set")) == 1 })
	c.advance(1)
	f.mu.Lock()
	f.items[Sibling(KindTombstone, "k")] = fakeItem{body: []byte("1 x 0 0")} // so that it looks twice
	f.mu.Unlock()
	close(hold)
	wantDropped(t, settled(t, w), DropPurged, 2)
	wantValue(t, f, "k", "")
}

// If clocks are wrong, the tombstone's age by memcached counts.
func TestClocksDiffer(t *testing.T) {
	const none = time.Duration(-1)
	tests := []struct {
		name   string
		off    time.Duration // of the purger's clock
		age    time.Duration // of the tombstone, by memcached; 0: unknown
		began  time.Duration // ago
		stored bool
		logged int
	}{
		{"right, before", 0, 100 * time.Second, 101 * time.Second, false, 0},
		{"right, after", 0, 100 * time.Second, 99 * time.Second, true, 0},
		{"off by no more than memcached can measure", 2 * time.Second, 100 * time.Second, 97 * time.Second, true, 0},
		{"an hour slow, before", -time.Hour, 100 * time.Second, 101 * time.Second, false, 1},
		{"an hour slow, after", -time.Hour, 100 * time.Second, 90 * time.Second, true, 1},
		{"an hour fast, before", time.Hour, 100 * time.Second, 101 * time.Second, false, 1},
		{"an hour fast, after", time.Hour, 100 * time.Second, 90 * time.Second, true, 1},
		{"off, within memcached's seconds", time.Hour, 100 * time.Second, 98 * time.Second, false, 1},
		{"an hour fast, and nobody to ask", time.Hour, none, 90 * time.Second, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			w, c := newWriter(t, f.addr), new(clock)
			var log *zap.Logger
			log, logs := observed()
			w.now, w.Log = c.now, log
			c.advance(time.Hour)
			purger := newProcess(c.now())
			at := c.now().Add(tt.off)
			if tt.age != none {
				at = at.Add(-tt.age)
			} else {
				f.on(onCommand("mn", act{say: "ERROR\r\n"}))
			}
			keys := []string{"k", "l"}
			for _, key := range keys {
				f.items[Sibling(KindTombstone, key)] = fakeItem{
					body:    purger.tombstone(at).append(nil),
					exptime: int64((tombstoneLife - tt.age) / time.Second),
				}
			}
			for _, key := range keys {
				put(t, w, Entry{Key: key, Body: []byte("x"), Expires: c.now().Add(time.Hour), Began: c.now().Add(-tt.began)})
			}
			s := settled(t, w)
			if stored := s.Stored == 2; stored != tt.stored || !stored && s.Dropped[DropPurged] != 2 {
				t.Errorf("counted %+v, want stored: %v", s, tt.stored)
			}
			if got := len(messages(logs)); got != tt.logged {
				t.Errorf("logged %q", messages(logs))
			}
		})
	}
}

// A page that has expired is not a purged page.
func testExpire(t *testing.T, m memcached) {
	a, b := newWriter(t, m.address()), newWriter(t, m.address())
	a.Copies = true
	slow := askedFor(page("k", "slow"), time.Second)
	put(t, a, page("k", "x"))
	put(t, a, lastGood(page("k", ""), "copy"))
	settled(t, a)
	if err := a.Expire(t.Context(), Entry{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, m, "k"); got != "" {
		t.Errorf("after Expire there is %q", got)
	}
	if got := get(t, m, Sibling(KindCopy, "k")); !strings.HasSuffix(got, "copy") {
		t.Errorf("the copy is %q", got)
	}
	put(t, b, slow)
	put(t, a, askedFor(page("l", "x"), time.Second))
	if a, b := settled(t, a), settled(t, b); b.Stored != 1 || a.Stored != 3 {
		t.Errorf("a fill under way was not stored: %+v, %+v", a, b)
	}
	if err := a.Expire(t.Context(), Entry{Key: ""}); err == nil {
		t.Error("Expire of no key is no error")
	}
	if err := a.Expire(t.Context(), Entry{Key: "k", Addr: "nobody:1"}); !errors.Is(err, ErrUnknownServer) {
		t.Errorf("Expire elsewhere: %v", err)
	}
}

// Purges hold behind a proxy, too, which may put a tombstone on another server than its
// page.
func TestTombstoneBehindProxy(t *testing.T) {
	p := startProxy(t)
	a, b := newWriter(t, p.addr), newWriter(t, p.addr)
	const pages = 20
	for i := range pages {
		key := fmt.Sprint("k", i)
		for range 2 { // the second time there is a tombstone
			if err := a.Delete(t.Context(), Entry{Key: key}); err != nil {
				t.Fatal(err)
			}
		}
		put(t, b, askedFor(page(key, "old"), time.Second))
	}
	wantDropped(t, settled(t, b), DropPurged, pages)
	for i := range pages {
		key := fmt.Sprint("k", i)
		if got := get(t, p.backends[0], key) + get(t, p.backends[1], key); got != "" {
			t.Errorf("%s: %q", key, got)
		}
		put(t, a, page(key, "new"))
	}
	if s := settled(t, a); s.Stored != pages {
		t.Errorf("counted %+v", s)
	}
}

// Behind a proxy with a dead server, a page whose tombstone cannot be read is not stored.
func TestTombstoneOnADeadServer(t *testing.T) {
	p := startProxy(t)
	w := newWriter(t, p.addr)
	p.backends[0].stop()
	os.Remove(p.backends[0].socket)
	for i := range 20 {
		put(t, w, page(fmt.Sprint("k", i), "x"))
	}
	settled(t, w)
	s := w.Stats().Servers[0]
	if s.Stored == 0 || s.Refused == 0 || s.Stored+s.Refused != 20 || s.Breaker != BreakerClosed {
		t.Errorf("counted %+v", s)
	}
}

// Put does not wait for the read of a tombstone, so no visitor does.
func TestPutDoesNotLook(t *testing.T) {
	f := startFake(t)
	f.on(onCommand("get", act{hold: make(chan struct{})}))
	w := newWriter(t, f.addr)
	for i := range 100 {
		put(t, w, page(fmt.Sprint(i), "x"))
	}
	if got := f.commands("set"); !slices.Equal(got, nil) {
		t.Errorf("heard %q", got)
	}
}
