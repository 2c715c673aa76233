package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"
)

func TestPendingDeletes(t *testing.T) {
	t0 := time.Unix(1e9, 0)
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	idle := func(string) bool { return false }
	names := func(d *pendingDeletes) (keys []string) {
		for el := d.list.Front(); el != nil; el = el.Next() {
			keys = append(keys, el.Value.(*pendingDelete).key)
		}
		return keys
	}
	want := func(t *testing.T, d *pendingDeletes, keys ...string) {
		t.Helper()
		if got := names(d); !slices.Equal(got, keys) || d.len() != len(keys) || d.bytes != len(strings.Join(keys, "")) {
			t.Errorf("pending %q (%d, %d bytes), want %q", got, d.len(), d.bytes, keys)
		}
	}
	d := &pendingDeletes{maxEntries: 3}
	for i, key := range []string{"a", "bb", "a", "ccc"} {
		if !d.add(pendingDelete{key: key, until: at(10 + i)}) {
			t.Errorf("no room for %q", key)
		}
	}
	want(t, d, "bb", "a", "ccc")
	if d.add(pendingDelete{key: "d", until: at(20)}) {
		t.Error("there is room for a fourth")
	}
	if !d.add(pendingDelete{key: "bb", until: at(20)}) {
		t.Error("there is no room for one that is there")
	}
	want(t, d, "a", "ccc", "bb")
	if got := d.next(at(0), func(key string) bool { return key == "a" }); got.key != "ccc" {
		t.Errorf("first but for a: %q", got.key)
	}
	old := d.of("a")
	d.add(pendingDelete{key: "a", until: at(30)})
	d.remove(old)
	d.remove(nil)
	want(t, d, "ccc", "bb", "a")
	x := d.next(at(0), idle)
	d.remove(x)
	d.restore(x, true)
	want(t, d, "bb", "a", "ccc")
	x = d.of("ccc")
	d.remove(x)
	d.restore(x, false)
	want(t, d, "ccc", "bb", "a")
	d.restore(&pendingDelete{key: "a"}, false)
	if got := d.of("a").until; got != at(30) {
		t.Errorf("a restored delete replaces a later one: until %v", got)
	}
	if got := d.next(at(20), idle); got.key != "a" {
		t.Errorf("first at 20 s: %q, want a", got.key)
	}
	want(t, d, "a")

	d = &pendingDeletes{maxEntries: 1 << 20}
	n := 0
	for d.add(pendingDelete{key: fmt.Sprintf("%0250d", n), until: at(1)}) {
		n++
	}
	if n != maxPendingBytes/250 {
		t.Errorf("%d keys of 250 bytes, want %d", n, maxPendingBytes/250)
	}
}

// When a server comes back with all its entries, those that were deleted meanwhile are
// deleted without another call.
func TestPendingDeleteIsMade(t *testing.T) {
	f := startFake(t)
	f.stop()
	w := newWriter(t, f.addr)
	w.Backoff.Min, w.Backoff.Max = time.Millisecond, 5*time.Millisecond
	var logs *observer.ObservedLogs
	w.Log, logs = observed()
	keys := []string{"k", "a b\x7f", "k"}
	for _, key := range keys {
		if err := w.Delete(t.Context(), Entry{Key: key}); err == nil {
			t.Error("Delete on a dead server succeeded")
		}
	}
	if got := w.Stats().Total; got.Pending.Entries != 2 || got.Pending.Done != 0 || got.Pending.Lost != 0 {
		t.Errorf("pending %d, done %d, lost %d; want 2, 0, 0", got.Pending.Entries, got.Pending.Done, got.Pending.Lost)
	}
	await(t, "it is tried in vain", func() bool { return w.Stats().Servers[0].Breaker != BreakerClosed })
	f.items["k"] = fakeItem{body: []byte("stale")}
	f.items["a%20b\x7f"] = fakeItem{body: []byte("stale")}
	f.start()
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	wantValue(t, f, "k", "")
	wantValue(t, f, "a%20b\x7f", "")
	if got := w.Stats().Servers[0]; got.Pending.Done != 2 || got.Breaker != BreakerClosed {
		t.Errorf("done %d, breaker %s; want 2, closed", got.Pending.Done, got.Breaker)
	}
	await(t, "the log says that it is back", func() bool {
		return slices.Equal(messages(logs), []string{"warn memcached is down", "info memcached is back"})
	})
	s := w.servers().stores[f.addr]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending.timer != nil || !s.pending.retryAt.IsZero() {
		t.Error("a timer is set and no delete is pending")
	}
}

// refuseDeletes makes each Delete fail at once at a server that is alive.
var refuseDeletes = onCommand("delete", act{say: "SERVER_ERROR proxy: try later\r\n"})

func failDeletes(t *testing.T, w *Writer, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := w.Delete(t.Context(), Entry{Key: key}); err == nil {
			t.Fatal("Delete succeeded, and no delete is pending")
		}
	}
}

// endPause wakes the workers as the retry timer would.
func endPause(w *Writer, f *fake) { w.servers().stores[f.addr].endPause() }

// A server that refuses is tried again after a pause, and then after a longer pause.
func TestPendingPause(t *testing.T) {
	f := startFake(t)
	f.on(refuseDeletes)
	w, c := newWriter(t, f.addr), new(clock)
	w.now, w.Workers, w.Backoff.Max = c.now, 1, 3*time.Second
	failDeletes(t, w, "a")
	heard := func(n int) func() bool { return func() bool { return len(f.commands("delete a")) == n } }
	for i, pause := range []time.Duration{1, 2, 3, 3} {
		c.advance(pause*time.Second - 1)
		endPause(w, f)
		put(t, w, Entry{Key: "k", Expires: c.now().Add(time.Hour)})
		await(t, "the workers are about", func() bool { return w.Stats().Total.Stored == uint64(i+1) })
		if !heard(1 + i)() {
			t.Fatalf("heard %q before the pause was over", f.commands("delete a"))
		}
		c.advance(1)
		endPause(w, f)
		await(t, "it is tried", func() bool { return heard(2+i)() && w.servers().stores[f.addr].paused() })
	}
	f.on(nil)
	c.advance(3 * time.Second)
	endPause(w, f)
	await(t, "the delete is sent", func() bool { return w.Stats().Total.Pending.Entries == 0 })
}

// paused reports whether the last attempt has been recorded.
func (s *store) paused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.sending == 0 && s.pending.retryAt.After(s.w.clock())
}

// Pending deletes are sent before queued entries.
func TestPendingGoesFirst(t *testing.T) {
	f := startFake(t)
	f.on(refuseDeletes)
	w, c := newWriter(t, f.addr), new(clock)
	w.now, w.Workers = c.now, 1
	hold := make(chan struct{})
	failDeletes(t, w, "a", "b")
	f.on(onCommand("set first", act{hold: hold}))
	fill := func(key string) { put(t, w, Entry{Key: key, Expires: c.now().Add(time.Hour)}) }
	fill("first")
	await(t, "the worker is busy", func() bool { return len(f.commands("set first")) == 1 })
	fill("second")
	c.advance(time.Second)
	close(hold)
	drain(t, w)
	got := slices.DeleteFunc(f.commands(""), func(command string) bool { return strings.Contains(command, " uwg:") })
	if want := []string{"delete a", "delete b", fmt.Sprintf("set second %d 3599 0", FlagStored)}; !slices.Equal(got[len(got)-3:], want) {
		t.Errorf("heard %q, want %q in the end", got, want)
	}
}

// A page stored later makes the pending delete of an expired page needless, but not that
// of a purged one: another gateway may have stored an older page since.
func TestPendingAndStoredAgain(t *testing.T) {
	f := startFake(t)
	f.on(refuseDeletes)
	w := newWriter(t, f.addr)
	w.Backoff.Min = time.Hour
	for _, key := range []string{"k", "b"} {
		if err := w.Expire(t.Context(), Entry{Key: key}); err == nil {
			t.Fatal("Expire succeeded, and no delete is pending")
		}
	}
	failDeletes(t, w, "a", "c", "p")
	f.on(onCommand("set b", act{say: "SERVER_ERROR out of memory storing object\r\n"}))
	put(t, w, page("k", "fresh"))
	put(t, w, page("b", "fresh"))
	put(t, w, page("p", "fresh"))
	await(t, "the pages have been written", func() bool { return w.Stats().Total.QueuedEntries == 0 })
	if got := w.Stats().Total.Pending.Entries; got != 4 {
		t.Errorf("%d pending deletes, want those of a, b, c and p", got)
	}
	if err := w.Delete(t.Context(), Entry{Key: "c"}); err != nil {
		t.Error(err)
	}
	if got := w.Stats().Total.Pending.Entries; got != 3 {
		t.Errorf("%d pending deletes, want those of a, b and p", got)
	}
	drain(t, w)
	wantValue(t, f, "k", "fresh")
	wantValue(t, f, "p", "")
	if got := f.commands("delete k"); len(got) != 1 {
		t.Errorf("k was deleted again: %q", got)
	}
}

// A page that was being written before the Delete is deleted.
func TestPendingAndStoredBefore(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Backoff.Min = time.Millisecond
	hold := make(chan struct{})
	f.on(onCommand("set k ", act{hold: hold}))
	put(t, w, page("k", "stale"))
	await(t, "the set has arrived", func() bool { return len(f.commands("set k ")) == 1 })
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Delete(gone, Entry{Key: "k"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v", err)
	}
	close(hold)
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	wantValue(t, f, "k", "")
	if s := w.Stats().Total; s.Stored != 1 || s.Pending.Done != 1 {
		t.Errorf("stored %d, made up for %d, want 1 and 1", s.Stored, s.Pending.Done)
	}
}

// While a pending delete is being sent, a fresh page of the key waits.
func TestPendingDoesNotOvertake(t *testing.T) {
	f := startFake(t)
	f.on(refuseDeletes)
	w, c := newWriter(t, f.addr), new(clock)
	w.now = c.now
	failDeletes(t, w, "k")
	hold := make(chan struct{})
	f.on(onCommand("delete", act{hold: hold}))
	c.advance(time.Second)
	endPause(w, f)
	await(t, "it is being made up for", func() bool { return len(f.commands("delete k")) == 2 })
	put(t, w, Entry{Key: "k", Body: []byte("fresh"), Expires: c.now().Add(time.Hour)})
	put(t, w, Entry{Key: "other", Expires: c.now().Add(time.Hour)})
	await(t, "another key passes", func() bool { return w.Stats().Total.Stored == 1 })
	if got := f.commands("set k "); len(got) != 0 {
		t.Errorf("memcached heard %q", got)
	}
	close(hold)
	drain(t, w)
	wantValue(t, f, "k", "fresh")
}

// A key that is deleted again while its pending delete fails is pending once.
func TestPendingTwice(t *testing.T) {
	f := startFake(t)
	f.on(refuseDeletes)
	w, c := newWriter(t, f.addr), new(clock)
	w.now = c.now
	failDeletes(t, w, "k")
	hold := make(chan struct{})
	f.on(onCommand("delete", act{hold: hold, say: "SERVER_ERROR proxy: try later\r\n"}))
	c.advance(time.Second)
	endPause(w, f)
	await(t, "it is being made up for", func() bool { return len(f.commands("delete k")) == 2 })
	deleted := make(chan error, 1)
	go func() { deleted <- w.Delete(context.Background(), Entry{Key: "k"}) }()
	close(hold)
	if err := <-deleted; !errors.Is(err, ErrRefused) {
		t.Errorf("Delete: %v", err)
	}
	await(t, "all is booked", w.servers().stores[f.addr].paused)
	if got := w.Stats().Total.Pending.Entries; got != 1 {
		t.Errorf("%d pending deletes, want 1", got)
	}
}

func TestPendingLost(t *testing.T) {
	f := startFake(t)
	f.on(refuseDeletes)
	w, c := newWriter(t, f.addr), new(clock)
	w.now, w.Pending.Entries = c.now, 2
	var logs *observer.ObservedLogs
	w.Log, logs = observed()
	const message = "warn too many deletes are pending for memcached; pages that were purged meanwhile may come back until they expire"
	failDeletes(t, w, "a", "b", "c", "d", "a")
	if s := w.Stats().Total; s.Pending.Entries != 2 || s.Pending.Lost != 2 {
		t.Errorf("pending %d, lost %d, want 2 and 2", s.Pending.Entries, s.Pending.Lost)
	}
	if got := messages(logs); !slices.Equal(got, []string{message}) {
		t.Errorf("logged %q", got)
	}
	f.on(nil)
	c.advance(time.Minute)
	endPause(w, f)
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	f.on(refuseDeletes)
	failDeletes(t, w, "a", "b", "c")
	if got := messages(logs); !slices.Equal(got, []string{message, message}) {
		t.Errorf("logged %q; want one line an outage", got)
	}
}

func TestPendingForgotten(t *testing.T) {
	f := startFake(t)
	f.on(refuseDeletes)
	w, c := newWriter(t, f.addr), new(clock)
	w.now, w.Pending.MaxAge, w.Backoff.Min, w.Backoff.Max = c.now, time.Hour, time.Hour, time.Hour
	failDeletes(t, w, "old")
	c.advance(time.Minute)
	failDeletes(t, w, "k")
	f.on(nil)
	c.advance(time.Hour - time.Minute)
	endPause(w, f)
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	if got, want := f.deletes(), []string{"delete old", "delete k", "delete k"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// The key is deleted from every other server of the ring, too, a little later.
func TestDeleteReachesTheWholeRing(t *testing.T) {
	fakes := []*fake{startFake(t), startFake(t), startFake(t)}
	w := newWriter(t, fakes[0].addr)
	w.Ring = newRing(t, Consistent, Server{Name: fakes[0].addr}, Server{Name: fakes[1].addr}, Server{Name: fakes[2].addr},
		Server{Name: unixPrefix + filepath.Join(t.TempDir(), "nobody"), Down: true})
	w.Workers = 1
	first := w.Ring.Pick("k")[0]
	hold := make(chan struct{})
	var others []*fake
	for _, f := range fakes {
		f.items["k"] = fakeItem{body: []byte("stale")}
		if f.addr != first {
			others = append(others, f)
			f.on(onCommand("set", act{hold: hold}))
		}
	}
	queued := page("k", "stale")
	queued.Addr = others[0].addr
	busy := page("busy", "x")
	busy.Addr = others[0].addr
	put(t, w, busy)
	await(t, "the worker is busy", func() bool { return len(others[0].commands("set busy")) == 1 })
	put(t, w, queued)
	if err := w.Delete(t.Context(), Entry{Key: "k"}); err != nil {
		t.Errorf("Delete: %v; it does not wait for the others", err)
	}
	wantDropped(t, w.Stats().Total, DropSuperseded, 1)
	close(hold)
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	for _, f := range fakes {
		wantValue(t, f, "k", "")
	}
	s := w.Stats()
	if s.Total.Deletes != 1 || s.Total.Pending.Done != 2 || s.Servers[3].Pending.Done+s.Servers[3].Pending.Lost != 0 {
		t.Errorf("%d deletes, %d made up for; want 1 and 2, and none where the line says down", s.Total.Deletes, s.Total.Pending.Done)
	}
}

func TestCloseWithPendingDeletes(t *testing.T) {
	tests := []struct {
		name string
		back func(f *fake) // before Close
		left string        // in the error; "": none
	}{
		{"the server is back", func(f *fake) { f.on(nil) }, ""},
		{"it refuses", func(f *fake) {}, "0 entries not written, 3 deletes still pending"},
		{"it is down", func(f *fake) { f.stop() }, "3 deletes still pending: cachewriter: server is down"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			f.on(refuseDeletes)
			w := newWriter(t, f.addr)
			w.Backoff.Min = time.Hour
			failDeletes(t, w, "a", "b", "c")
			tt.back(f)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			err := w.Close(ctx)
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if (err == nil) != (tt.left == "") || err != nil && !strings.Contains(err.Error(), tt.left) {
				t.Errorf("Close: %v, want %q", err, tt.left)
			}
			if s := w.Stats().Total; err == nil && s.Pending.Done != 3 || err != nil && s.Pending.Entries != 3 {
				t.Errorf("pending %d, done later %d", s.Pending.Entries, s.Pending.Done)
			}
		})
	}
	t.Run("it hangs", func(t *testing.T) {
		f := startFake(t)
		f.on(refuseDeletes)
		w := newWriter(t, f.addr)
		w.Workers = 1
		failDeletes(t, w, "a", "b", "c")
		f.on(func(string) act { return act{hold: make(chan struct{})} })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "3 deletes") {
			t.Errorf("Close: %v, want one of 3 deletes", err)
		}
	})
}

// If its first server is down, a page goes to the next one that nginx asks.
func TestPutFailsOver(t *testing.T) {
	for _, method := range []Method{Modulo, Consistent} {
		t.Run(method.String(), func(t *testing.T) {
			byAddr := make(map[string]*fake)
			var servers []Server
			for range 6 {
				f := startFake(t)
				byAddr[f.addr] = f
				servers = append(servers, Server{Name: f.addr})
			}
			w := newWriter(t, servers[0].Name)
			w.Ring = newRing(t, method, servers...)
			w.Backoff.Min = time.Hour
			order := w.Ring.order("k", 6)
			if len(order) < 5 {
				t.Skip("nginx gives up on the key too early")
			}
			bring := func(addr string) { // down
				byAddr[addr].stop()
				e := page("other", "x")
				e.Addr = addr
				for i := range tripAfter {
					put(t, w, e)
					await(t, "the write fails", func() bool { return stats(w, addr).Failed == uint64(i+1) })
				}
			}
			for i := range maxFailover {
				bring(order[i][0])
				put(t, w, page("k", fmt.Sprint("page ", i)))
				next := byAddr[order[i+1][0]]
				await(t, "it is stored", func() bool { return stats(w, next.addr).Stored == 1 })
				wantValue(t, next, "k", fmt.Sprint("page ", i))
				if got := stats(w, order[0][0]).Dropped[DropServerDown]; got != uint64(i+1) {
					t.Errorf("dropped at the first server: %d, want %d", got, i+1)
				}
			}
			e := page("k", "x")
			e.Addr = order[0][0]
			if err := w.Put(e); err != ErrServerDown {
				t.Errorf("Put to an Addr: %v, want %v", err, ErrServerDown)
			}
			bring(order[maxFailover][0])
			if err := w.Put(page("k", "x")); err != ErrServerDown {
				t.Errorf("Put with %d servers down: %v, want %v", maxFailover+1, err, ErrServerDown)
			}
			if got := byAddr[order[maxFailover+1][0]].commands("set"); len(got) > 0 {
				t.Errorf("the server after that heard %q", got)
			}
		})
	}
}

func stats(w *Writer, addr string) ServerStats {
	s := w.Stats().Servers
	return s[slices.IndexFunc(s, func(s ServerStats) bool { return s.Addr == addr })]
}
