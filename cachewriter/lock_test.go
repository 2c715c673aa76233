package cachewriter

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func lock(t *testing.T, w *Writer, key string, ttl time.Duration) *Lock {
	t.Helper()
	l, err := w.Lock(t.Context(), Entry{Key: key}, ttl)
	if err != nil || l == nil {
		t.Fatalf("Lock(%q): %v", key, err)
	}
	return l
}

func wantLocked(t *testing.T, w *Writer, key string, want LockState) {
	t.Helper()
	if got, err := w.Locked(t.Context(), Entry{Key: key}); got != want || err != nil {
		t.Errorf("the lock of %q is %s, %v; want %s", key, got, err, want)
	}
}

func wantTaken(t *testing.T, w *Writer, key string) {
	t.Helper()
	if l, err := w.Lock(t.Context(), Entry{Key: key}, time.Minute); l != nil || err != ErrLocked {
		t.Errorf("Lock(%q): %v, %v; want %v", key, l, err, ErrLocked)
	}
}

func testLock(t *testing.T, m memcached) {
	ours, theirs := newWriter(t, m.address()), newWriter(t, m.address())
	for _, key := range []string{"/a b%", "k"} {
		wantLocked(t, theirs, key, Free)
		l := lock(t, ours, key, time.Minute)
		wantLocked(t, theirs, key, Held)
		wantTaken(t, theirs, key)
		wantTaken(t, ours, key)
		if got := get(t, m, Escape(key)); got != "" {
			t.Errorf("nginx would serve %q", got)
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		wantLocked(t, theirs, key, Free)
		next := lock(t, theirs, key, time.Minute)
		if err := l.Unlock(t.Context()); err != ErrLockLost {
			t.Errorf("unlocked twice: %v, want %v", err, ErrLockLost)
		}
		if err := l.Refuse(t.Context(), time.Minute); err != ErrLockLost {
			t.Errorf("refused after that: %v, want %v", err, ErrLockLost)
		}
		wantLocked(t, ours, key, Held)
		if err := next.Refuse(t.Context(), time.Minute); err != nil {
			t.Errorf("Refuse: %v", err)
		}
		wantLocked(t, ours, key, Refused)
		wantTaken(t, ours, key)
		if err := next.Unlock(t.Context()); err != ErrLockLost {
			t.Errorf("unlocked after Refuse: %v, want %v", err, ErrLockLost)
		}
		wantLocked(t, ours, key, Refused)
	}
	if got := ttl(t, m, Sibling(kindLock, "k")); got < 55 || got > 62 {
		t.Errorf("refused for %d s, want a minute", got)
	}
}

// Of all that try to get a lock, through two gateways, one has it at a time.
func testLockCrowd(t *testing.T, m memcached) {
	const goroutines, rounds = 50, 4
	writers := []*Writer{newWriter(t, m.address()), newWriter(t, m.address())}
	var holders, most, had atomic.Int32
	run := func(w *Writer) error {
		for n := 0; n < rounds; {
			l, err := w.Lock(t.Context(), Entry{Key: "k"}, time.Minute)
			if err == ErrLocked || err == ErrBusy { // the machine may be slow
				continue
			}
			if err != nil {
				return err
			}
			now := holders.Add(1)
			runtime.Gosched()
			if now > most.Load() {
				most.Store(now)
			}
			had.Add(1)
			n++
			holders.Add(-1)
			if err := l.Unlock(t.Context()); err != nil {
				return err
			}
		}
		return nil
	}
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			if err := run(writers[i%2]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if had.Load() != goroutines*rounds || most.Load() != 1 {
		t.Errorf("it was had %d times, by up to %d at once; want %d and 1", had.Load(), most.Load(), goroutines*rounds)
	}
}

// After its holder's death a lock expires. A holder that is only late does not take the
// lock from the next one.
func testLockExpires(t *testing.T, r *realServer) {
	dead, next := newWriter(t, r.address()), newWriter(t, r.address())
	const life = 1200 * time.Millisecond
	start := time.Now()
	late, refused := lock(t, dead, "k", life), lock(t, dead, "refused", time.Minute)
	if err := refused.Refuse(t.Context(), life); err != nil {
		t.Fatal(err)
	}
	if err := dead.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var l *Lock
	await(t, "the lock expires", func() (got bool) {
		var err error
		l, err = next.Lock(t.Context(), Entry{Key: "k"}, time.Minute)
		return err == nil
	})
	if took := time.Since(start); took < life || took > life+3*time.Second {
		t.Errorf("the next one has it after %v, want %v and up to 2 s", took, life)
	}
	late.store = next.servers().stores[r.address()] // of a Writer that lives
	if err := late.Unlock(t.Context()); err != ErrLockLost {
		t.Errorf("the late one unlocks: %v, want %v", err, ErrLockLost)
	}
	if err := late.Refuse(t.Context(), time.Minute); err != ErrLockLost {
		t.Errorf("the late one refuses: %v, want %v", err, ErrLockLost)
	}
	wantLocked(t, next, "k", Held)
	if err := l.Unlock(t.Context()); err != nil {
		t.Errorf("the next one unlocks: %v", err)
	}
	await(t, "the mark expires", func() bool {
		state, err := next.Locked(t.Context(), Entry{Key: "refused"})
		return state == Free && err == nil
	})
}

// Locks at a memcached that dies, and at the one that replaces it.
func testLockKilled(t *testing.T, r *realServer) {
	w, c := newWriter(t, r.address()), new(clock)
	w.now, w.Backoff.Min = c.now, time.Hour
	l := lock(t, w, "k", time.Minute)
	r.stop()
	start := time.Now()
	if err := l.Unlock(t.Context()); err == nil || err == ErrLockLost {
		t.Errorf("Unlock: %v, want the error of an attempt", err)
	}
	for range tripAfter - 1 {
		if _, err := w.Lock(t.Context(), Entry{Key: "k"}, time.Minute); err == nil || err == ErrLocked || err == ErrServerDown {
			t.Errorf("Lock: %v, want the error of an attempt", err)
		}
	}
	if _, err := w.Lock(t.Context(), Entry{Key: "k"}, time.Minute); err != ErrServerDown {
		t.Errorf("Lock: %v, want %v", err, ErrServerDown)
	}
	if err := l.Unlock(t.Context()); err != ErrServerDown {
		t.Errorf("Unlock: %v, want %v", err, ErrServerDown)
	}
	if state, err := w.Locked(t.Context(), Entry{Key: "k"}); state != Free || err != ErrServerDown {
		t.Errorf("Locked: %s, %v, want %v", state, err, ErrServerDown)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	r.restart()
	next := newWriter(t, r.address())
	lock(t, next, "other", time.Minute) // has the CAS that l had
	lock(t, next, "k", time.Minute)
	c.advance(time.Hour)
	put(t, w, Entry{Key: "x", Body: []byte("x"), Expires: c.now().Add(time.Hour)})
	await(t, "the breaker is closed", func() bool { return w.Stats().Servers[0].Breaker == BreakerClosed })
	if err := l.Unlock(t.Context()); err != ErrLockLost {
		t.Errorf("Unlock after the restart: %v, want %v", err, ErrLockLost)
	}
	wantLocked(t, next, "k", Held)
}

// A memcached without CAS gives no lock, and no lock stays there.
func testLockWithoutCAS(t *testing.T, r *realServer) {
	w := newWriter(t, r.address())
	for range 2 {
		if l, err := w.Lock(t.Context(), Entry{Key: "k"}, time.Minute); l != nil || err == nil || err == ErrLocked {
			t.Errorf("Lock: %v, %v, want an error", l, err)
		}
		wantLocked(t, w, "k", Free)
	}
}

// A caller waits Timeout for a server that does not respond, and after a few times not at
// all.
func TestLockOfAHungServer(t *testing.T) {
	const timeout = 50 * time.Millisecond
	never := make(chan struct{})
	tests := []struct {
		name string
		hang func(string) act
	}{
		{"when asked for the lock", onCommand("ms", act{hold: never})},
		{"when asked who it is", onCommand("version", act{hold: never})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			f.on(tt.hang)
			w := newWriter(t, f.addr)
			w.Timeout, w.Backoff.Min = timeout, time.Hour
			for i := range tripAfter {
				start := time.Now()
				_, err := w.Lock(t.Context(), Entry{Key: "k"}, time.Minute)
				if err == nil || err == ErrLocked || err == ErrServerDown {
					t.Errorf("Lock %d: %v, want the error of an attempt", i, err)
				}
				if took := time.Since(start); took > 100*timeout {
					t.Errorf("Lock %d took %v", i, took)
				}
			}
			heard := len(f.commands(""))
			if _, err := w.Lock(t.Context(), Entry{Key: "k"}, time.Minute); err != ErrServerDown {
				t.Errorf("Lock: %v, want %v", err, ErrServerDown)
			}
			if got := f.commands("")[heard:]; len(got) != 0 {
				t.Errorf("a server that is down heard %q", got)
			}
		})
	}
}

// A caller that leaves returns at once, and the breaker does not count that.
func TestLockCalledOff(t *testing.T) {
	f := startFake(t)
	f.on(onCommand("ms", act{hold: make(chan struct{})}))
	w := newWriter(t, f.addr)
	for n := range tripAfter + 1 {
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := w.Lock(ctx, Entry{Key: "k"}, time.Minute)
			result <- err
		}()
		await(t, "it is sent", func() bool { return asked(w.servers().stores[f.addr].meta) > n })
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("Lock: %v, want %v", err, context.Canceled)
		}
	}
	if s := w.Stats().Servers[0]; s.Breaker != BreakerClosed || s.LastError != "" {
		t.Errorf("breaker %s, last error %q", s.Breaker, s.LastError)
	}
}

// asked is the number of commands that were sent and have no response.
func asked(m *metaClient) int {
	m.mu.Lock()
	c := m.conn
	m.mu.Unlock()
	if c == nil {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked)
}

func TestLockErrors(t *testing.T) {
	tests := []struct {
		name string
		act  func(string) act
		e    Entry
		want error
	}{
		{"old memcached", onCommand("version", act{say: "VERSION 1.5.6\r\n"}), Entry{Key: "k"}, ErrNoMeta},
		{"proxy", onCommand("mn", act{hangUp: true}), Entry{Key: "k"}, ErrNoMeta},
		{"out of memory", onCommand("ms", act{say: "SERVER_ERROR out of memory storing object\r\n"}), Entry{Key: "k"}, ErrRefused},
		{"foreign server", nil, Entry{Key: "k", Addr: "10.9.9.9:1"}, ErrUnknownServer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			f.on(tt.act)
			w := newWriter(t, f.addr)
			for range tripAfter + 1 {
				if l, err := w.Lock(t.Context(), tt.e, time.Minute); l != nil || !errors.Is(err, tt.want) {
					t.Errorf("Lock: %v, %v, want %v", l, err, tt.want)
				}
			}
			if s := w.Stats().Servers[0]; s.Breaker != BreakerClosed {
				t.Errorf("breaker %s: a server that responds is not down", s.Breaker)
			}
		})
	}
	f := startFake(t)
	w := newWriter(t, f.addr)
	l := lock(t, w, "k", time.Minute)
	drain(t, w)
	if err := l.Unlock(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Unlock after Close: %v, want %v", err, ErrClosed)
	}
	if _, err := w.Lock(t.Context(), Entry{Key: "k"}, time.Minute); !errors.Is(err, ErrClosed) {
		t.Errorf("Lock after Close: %v, want %v", err, ErrClosed)
	}
}

// If every server gets the page, its lock is at one of them, the same for all callers:
// the first, or the next while that is down.
func TestLockAtTheFirstLiveServer(t *testing.T) {
	a, b := startFake(t), startFake(t)
	w := newWriter(t, a.addr, b.addr)
	w.Backoff.Min = time.Hour
	key := Sibling(kindLock, "k")
	lock(t, w, "k", time.Minute)
	if _, ok := a.value(key); !ok {
		t.Error("it is not at the first server")
	}
	if _, ok := b.value(key); ok {
		t.Error("it is at the second server, too")
	}
	a.stop()
	for range tripAfter {
		w.Delete(t.Context(), Entry{Key: "x", Addr: a.addr})
	}
	wantLocked(t, w, "k", Free)
	lock(t, w, "k", time.Minute)
	if _, ok := b.value(key); !ok {
		t.Error("with the first one down it is not at the second server")
	}
}

// A lock whose release has failed expires: no renewal begins after that.
func TestLockKeptNoMore(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	l := lock(t, w, "k", time.Minute)
	l.Keep()
	f.stop()
	if err := l.Unlock(t.Context()); err == nil || errors.Is(err, ErrLockLost) {
		t.Errorf("unlock with nobody there: %v", err)
	}
	f.start()
	l.renew()
	if n := len(f.commands("ms ")); n != 1 || l.renewal != nil {
		t.Errorf("%d sets, and a timer %v; want the first set alone", n, l.renewal)
	}
}

// After Close no lock is renewed.
func TestLockKeptUntilClose(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	l := lock(t, w, "k", time.Minute)
	l.Keep()
	defer l.Unlock(t.Context())
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.renew()
	if n := len(f.commands("ms ")); n != 1 {
		t.Errorf("%d sets, want the first one only", n)
	}
}

// A lock that is kept outlives its ttl, until it is released.
func testLockKept(t *testing.T, r *realServer) {
	w := newWriter(t, r.address())
	l := lock(t, w, "k", time.Second)
	first := l.cas
	l.Keep()
	await(t, "renewed", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.cas != first
	})
	wantLocked(t, w, "k", Held)
	if err := l.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantLocked(t, w, "k", Free)
	l.renew() // as if its timer had just gone off
	wantLocked(t, w, "k", Free)
}
