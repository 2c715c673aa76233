package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// newWriter writes to the addresses with All. The end of the test closes it.
func newWriter(t *testing.T, addrs ...string) *Writer {
	t.Helper()
	var servers []Server
	for _, a := range addrs {
		servers = append(servers, Server{Name: a})
	}
	// A wide bound, so that a busy machine fails no test; those that wait
	// for it set their own.
	w := &Writer{Ring: newRing(t, All, servers...), Timeout: time.Minute, DialTimeout: time.Minute}
	t.Cleanup(func() {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		w.Close(gone)
	})
	return w
}

func page(key, body string) Entry {
	return Entry{Key: key, Body: []byte(body), Expires: time.Now().Add(time.Minute)}
}

func put(t *testing.T, w *Writer, e Entry) {
	t.Helper()
	if err := w.Put(e); err != nil {
		t.Fatalf("Put(%q): %v", e.Key, err)
	}
}

// putStored puts an entry until it is stored: on a busy machine a Writer with a short
// Timeout may need several attempts.
func putStored(t *testing.T, w *Writer, e Entry) {
	t.Helper()
	await(t, fmt.Sprintf("%q is stored", e.Key), func() bool {
		outcome := make(chan error, 1)
		e.Done = func(err error) { outcome <- err }
		return w.Put(e) == nil && <-outcome == nil
	})
}

// drain closes the writer when everything is written.
func drain(t *testing.T, w *Writer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// await yields until other goroutines have made a condition true.
func await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !reached(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("never came about: %s", what)
		}
	}
}

func wantValue(t *testing.T, f *fake, key, want string) {
	t.Helper()
	if got, _ := f.value(key); got != want {
		t.Errorf("%q holds %q, want %q", key, got, want)
	}
}

func wantDropped(t *testing.T, s ServerStats, cause Drop, want uint64) {
	t.Helper()
	if got := s.Dropped[cause]; got != want {
		t.Errorf("dropped as %s: %d, want %d (%+v)", cause, got, want, s)
	}
}

// A clock stands still until advance.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_700_000_000, c.offset.Load()) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

func TestPutRefuses(t *testing.T) {
	down := newRing(t, All, Server{Name: "10.0.0.1", Down: true})
	tests := []struct {
		name string
		ring *Ring
		e    Entry
		want error
	}{
		{"empty key", nil, page("", "x"), ErrEmptyKey},
		{"key of 251 bytes", nil, page(strings.Repeat("x", 251), "x"), ErrKeyTooLong},
		{"key of 251 bytes when escaped", nil, page(strings.Repeat("%", 83)+"xx", "x"), ErrKeyTooLong},
		{"no end", nil, Entry{Key: "k"}, ErrExpired},
		{"past", nil, Entry{Key: "k", Expires: time.Now().Add(-time.Second)}, ErrExpired},
		{"foreign server", nil, Entry{Key: "k", Addr: "10.9.9.9:11211", Expires: time.Now().Add(time.Minute)}, ErrUnknownServer},
		{"name of an upstream", nil, Entry{Key: "k", Addr: "mem", Expires: time.Now().Add(time.Minute)}, ErrUnknownServer},
		{"all down", down, page("k", "x"), ErrNoServer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := startFake(t)
			w := newWriter(t, f.addr)
			if tt.ring != nil {
				w.Ring = tt.ring
			}
			if err := w.Put(tt.e); !errors.Is(err, tt.want) {
				t.Errorf("Put: %v, want %v", err, tt.want)
			}
			drain(t, w)
			if got := f.commands(""); len(got) != 0 {
				t.Errorf("memcached heard %q", got)
			}
		})
	}
}

func TestPutChoosesByRawKey(t *testing.T) {
	a, b := startFake(t), startFake(t)
	ring := newRing(t, Modulo, Server{Name: a.addr}, Server{Name: b.addr})
	w := newWriter(t, a.addr)
	w.Ring = ring
	for i := range 50 {
		put(t, w, page(fmt.Sprintf("/a b%%%d", i), "x"))
		put(t, w, Entry{Key: fmt.Sprint("h", i), HashKey: fmt.Sprint("/uri ", i), Body: []byte("x"), Expires: time.Now().Add(time.Minute)})
	}
	drain(t, w)
	for i := range 50 {
		for raw, hash := range map[string]string{fmt.Sprintf("/a b%%%d", i): fmt.Sprintf("/a b%%%d", i), fmt.Sprint("h", i): fmt.Sprint("/uri ", i)} {
			_, inA := a.value(Escape(raw))
			if want := ring.Pick(hash)[0] == a.addr; inA != want {
				t.Errorf("%q is at the first server: %v, want %v", raw, inA, want)
			}
		}
	}
}

func TestPutToAddr(t *testing.T) {
	a, b := startFake(t), startFake(t)
	w := newWriter(t, a.addr, b.addr)
	e := page("k", "x")
	e.Addr = "UNIX:" + strings.TrimPrefix(b.addr, unixPrefix)
	put(t, w, e)
	drain(t, w)
	wantValue(t, a, "k", "")
	wantValue(t, b, "k", "x")
}

func TestAllServersGetIt(t *testing.T) {
	alive := startFake(t)
	dead := unixPrefix + filepath.Join(t.TempDir(), "nobody")
	w := newWriter(t, dead, alive.addr)
	for i := range 10 {
		put(t, w, page(fmt.Sprint("k", i), "x"))
	}
	drain(t, w)
	s := w.Stats()
	if s.Servers[0].Stored != 0 || s.Servers[1].Stored != 10 || s.Total.Stored != 10 {
		t.Errorf("stored %d, %d, total %d, want 0, 10, 10", s.Servers[0].Stored, s.Servers[1].Stored, s.Total.Stored)
	}
	if got := s.Servers[0].Failed + s.Servers[0].Dropped[DropServerDown]; got != 10 {
		t.Errorf("failed or dropped at the dead server: %d, want 10", got)
	}
}

func TestNewestWins(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers = 1
	hold := make(chan struct{})
	f.on(onCommand("set first", act{hold: hold}))
	put(t, w, page("first", "x"))
	await(t, "first is being written", func() bool { return len(f.commands("set first")) == 1 })
	for _, body := range []string{"1", "22", "333"} {
		put(t, w, page("k", body))
	}
	close(hold)
	drain(t, w)
	wantValue(t, f, "k", "333")
	if got := f.commands("set k"); len(got) != 1 {
		t.Errorf("memcached heard %q, want one set", got)
	}
	wantDropped(t, w.Stats().Total, DropSuperseded, 2)
}

// Eight workers must not write two entries of one key in the wrong order.
func TestOrderOfOneKey(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers = 8
	const last = 400
	for i := range last + 1 {
		put(t, w, page("k0", fmt.Sprintf("%05d", i)))
		put(t, w, page("k1", fmt.Sprintf("%05d", i)))
	}
	drain(t, w)
	wantValue(t, f, "k0", fmt.Sprintf("%05d", last))
	wantValue(t, f, "k1", fmt.Sprintf("%05d", last))
	s := w.Stats().Total
	if s.Stored+s.Dropped[DropSuperseded] != 2*(last+1) {
		t.Errorf("stored and superseded do not add up: %+v", s)
	}
}

// While one entry of a key is being written, the next waits, even if workers are free.
func TestOneWriteOfAKeyAtATime(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	hold := make(chan struct{})
	f.on(onCommand("set k ", act{hold: hold}))
	put(t, w, page("k", "old"))
	await(t, "old is being written", func() bool { return len(f.commands("set k ")) == 1 })
	put(t, w, page("k", "new"))
	put(t, w, page("other", "x"))
	await(t, "other has been written", func() bool { return w.Stats().Total.Stored == 1 })
	if got := f.commands("set k "); len(got) != 1 {
		t.Errorf("memcached heard %q while the first was held", got)
	}
	close(hold)
	drain(t, w)
	wantValue(t, f, "k", "new")
}

func TestQueueFull(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers, w.Queue.Entries, w.Queue.Bytes = 1, 3, 100
	if err := w.Put(page("huge", strings.Repeat("x", 101))); !errors.Is(err, ErrQueueFull) {
		t.Errorf("larger than the budget: %v, want %v", err, ErrQueueFull)
	}
	hold := make(chan struct{})
	f.on(onCommand("set", act{hold: hold}))
	put(t, w, page("1", "x"))
	await(t, "it is being written", func() bool { return len(f.commands("set 1 ")) == 1 })
	put(t, w, page("2", strings.Repeat("x", 89)))
	if err := w.Put(page("3", strings.Repeat("x", 8))); !errors.Is(err, ErrQueueFull) {
		t.Errorf("too many bytes: %v, want %v", err, ErrQueueFull)
	}
	put(t, w, page("3", strings.Repeat("x", 7)))
	if err := w.Put(page("4", "")); !errors.Is(err, ErrQueueFull) {
		t.Errorf("too many entries: %v, want %v", err, ErrQueueFull)
	}
	if err := w.Put(page("3", strings.Repeat("y", 8))); !errors.Is(err, ErrQueueFull) {
		t.Errorf("replaced by too large: %v, want %v", err, ErrQueueFull)
	}
	put(t, w, page("3", strings.Repeat("z", 7)))
	s := w.Stats().Total
	if s.QueuedEntries != 3 || s.QueuedBytes != 100 {
		t.Errorf("queued %d entries, %d bytes, want 3, 100", s.QueuedEntries, s.QueuedBytes)
	}
	wantDropped(t, s, DropQueueFull, 4)
	close(hold)
	drain(t, w)
	wantValue(t, f, "3", "zzzzzzz")
	if s := w.Stats().Total; s.QueuedEntries != 0 || s.QueuedBytes != 0 || w.budget.left.Load() != 100 {
		t.Errorf("after the drain %d entries, %d bytes are queued, room for %d", s.QueuedEntries, s.QueuedBytes, w.budget.left.Load())
	}
}

// One server that hangs does not use up the room of the other.
func TestQueueIsShared(t *testing.T) {
	hung, alive := startFake(t), startFake(t)
	w := newWriter(t, hung.addr, alive.addr)
	w.Workers, w.Queue.Entries, w.Queue.Bytes = 1, 8, 80
	hold := make(chan struct{})
	hung.on(onCommand("set", act{hold: hold}))
	to := func(f *fake, key, body string) Entry {
		e := page(key, body)
		e.Addr = f.addr
		return e
	}
	put(t, w, to(hung, "a", strings.Repeat("x", 29)))
	if err := w.Put(to(hung, "b", strings.Repeat("x", 29))); !errors.Is(err, ErrQueueFull) {
		t.Errorf("beyond the share: %v, want %v", err, ErrQueueFull)
	}
	put(t, w, to(alive, "c", strings.Repeat("x", 45))) // alone, beyond its share, within the whole
	await(t, "c is stored", func() bool { _, ok := alive.value("c"); return ok })
	close(hold)
	drain(t, w)
}

func TestExpiredInTheQueue(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	c := new(clock)
	w.now, w.Workers = c.now, 1
	hold := make(chan struct{})
	f.on(onCommand("set first", act{hold: hold}))
	put(t, w, Entry{Key: "first", Expires: c.now().Add(time.Hour)})
	await(t, "first is being written", func() bool { return len(f.commands("set first")) == 1 })
	put(t, w, Entry{Key: "short", Expires: c.now().Add(time.Minute)})
	put(t, w, Entry{Key: "long", Expires: c.now().Add(time.Hour)})
	c.advance(time.Minute)
	close(hold)
	drain(t, w)
	wantDropped(t, w.Stats().Total, DropExpired, 1)
	if got := f.commands("set short"); len(got) != 0 {
		t.Errorf("memcached heard %q", got)
	}
	if got, want := f.commands("set long"), []string{fmt.Sprintf("set long %d 3540 0", FlagStored)}; !slices.Equal(got, want) {
		t.Errorf("memcached heard %q, want %q: time in the queue counts", got, want)
	}
}

func TestAnswers(t *testing.T) {
	const timeout = 30 * time.Millisecond
	tests := []struct {
		name                    string
		act                     act
		stored, refused, failed uint64
	}{
		{"stored", act{say: "STORED\r\n"}, 1, 0, 0},
		{"too large", act{say: "SERVER_ERROR object too large for cache\r\n"}, 0, 1, 0},
		{"out of memory", act{say: "SERVER_ERROR out of memory storing object\r\n"}, 0, 1, 0},
		{"proxy without server", act{say: "SERVER_ERROR proxy: \"down\": try later\r\n"}, 0, 1, 0},
		{"client error", act{say: "CLIENT_ERROR bad data chunk\r\n"}, 0, 1, 0},
		{"error", act{say: "ERROR\r\n"}, 0, 1, 0},
		{"not stored", act{say: "NOT_STORED\r\n"}, 0, 1, 0},
		{"another response", act{say: "EXISTS\r\n"}, 0, 0, 1},
		{"a response to something else", act{say: "NOT_FOUND\r\n"}, 0, 0, 1},
		{"garbage", act{say: "HTTP/1.1 400 Bad Request\r\n"}, 0, 0, 1},
		{"garbage without end", act{say: strings.Repeat("x", 10000)}, 0, 0, 1},
		{"closed", act{hangUp: true}, 0, 0, 1},
		{"closed within the response", act{say: "STOR", hangUp: true}, 0, 0, 1},
		{"silence", act{hold: make(chan struct{})}, 0, 0, 1},
		{"silence within the response", act{say: "STOR"}, 0, 0, 1},
	}
	for _, tt := range tests {
		for _, key := range []string{"k", "k\x7f"} {
			t.Run(fmt.Sprintf("%s %q", tt.name, key), func(t *testing.T) {
				f := startFake(t)
				f.on(onCommand("set", tt.act))
				w := newWriter(t, f.addr)
				if tt.failed > 0 {
					w.Timeout = timeout
				}
				put(t, w, page(key, "x"))
				drain(t, w)
				s := w.Stats().Total
				if s.Stored != tt.stored || s.Refused != tt.refused || s.Failed != tt.failed {
					t.Errorf("stored %d, refused %d, failed %d, want %d, %d, %d", s.Stored, s.Refused, s.Failed, tt.stored, tt.refused, tt.failed)
				}
				if s.Latency.Count != tt.stored+tt.refused {
					t.Errorf("%d latencies, want %d", s.Latency.Count, tt.stored+tt.refused)
				}
				if last := w.Stats().Servers[0].LastError; (last == "") != (tt.stored == 1) {
					t.Errorf("last error %q", last)
				}
			})
		}
	}
}

// An idle connection that memcached closed must not cost an entry.
func TestClosedIdleConnection(t *testing.T) {
	for _, key := range []string{"k", "k\x7f"} {
		t.Run(fmt.Sprintf("%q", key), func(t *testing.T) {
			f := startFake(t)
			w := newWriter(t, f.addr)
			w.Workers = 1
			put(t, w, page(key, "1"))
			await(t, "the first is stored", func() bool { return w.Stats().Total.Stored == 1 })
			f.restart()
			put(t, w, page(key, "2"))
			await(t, "the second is stored", func() bool { return w.Stats().Total.Stored == 2 })
			f.hangUp()
			if err := w.Delete(t.Context(), Entry{Key: key}); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if s := w.Stats().Total; s.Failed != 0 {
				t.Errorf("%d failed: %s", s.Failed, w.Stats().Servers[0].LastError)
			}
		})
	}
}

func observed() (*zap.Logger, *observer.ObservedLogs) {
	core, logs := observer.New(zapcore.DebugLevel)
	return zap.New(core), logs
}

func messages(logs *observer.ObservedLogs) (lines []string) {
	for _, e := range logs.All() {
		lines = append(lines, e.Level.String()+" "+e.Message)
	}
	return lines
}

func TestServerDownAndBack(t *testing.T) {
	f := startFake(t)
	f.stop()
	c := new(clock)
	w := newWriter(t, f.addr)
	var logs *observer.ObservedLogs
	w.Log, logs = observed()
	w.now, w.Workers = c.now, 1
	fill := func(key string) error {
		return w.Put(Entry{Key: key, Body: []byte("x"), Expires: c.now().Add(time.Hour)})
	}
	state := func() BreakerState { return w.Stats().Servers[0].Breaker }

	for i := range tripAfter {
		if err := fill("k"); err != nil {
			t.Fatal(err)
		}
		await(t, "the write fails", func() bool { return w.Stats().Total.Failed == uint64(i+1) })
	}
	if state() != BreakerOpen {
		t.Fatalf("breaker %s after %d failures", state(), tripAfter)
	}
	if err := fill("k"); !errors.Is(err, ErrServerDown) {
		t.Errorf("Put while open: %v, want %v", err, ErrServerDown)
	}
	wantDropped(t, w.Stats().Total, DropServerDown, 1)

	c.advance(time.Second)
	if err := fill("k"); err != nil {
		t.Errorf("Put after the backoff: %v", err)
	}
	await(t, "the probe fails", func() bool { return w.Stats().Total.Failed == tripAfter+1 })
	c.advance(time.Second)
	if err := fill("k"); !errors.Is(err, ErrServerDown) {
		t.Errorf("Put within the doubled backoff: %v, want %v", err, ErrServerDown)
	}

	f.start()
	c.advance(time.Second)
	if err := fill("k"); err != nil {
		t.Errorf("Put after the doubled backoff: %v", err)
	}
	await(t, "the probe succeeds", func() bool { return w.Stats().Total.Stored == 1 })
	if state() != BreakerClosed {
		t.Errorf("breaker %s after a success", state())
	}
	drain(t, w)
	if got, want := messages(logs), []string{"warn memcached is down", "info memcached is back"}; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// ofItsOwnBatch is a body that is so long that no other is sent with it.
var ofItsOwnBatch = strings.Repeat("x", maxBatchBytes)

// What is queued when the breaker opens is dropped; a refusal does not open it.
func TestBreakerEmptiesTheQueue(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers = 1
	hold := make(chan struct{})
	f.on(func(string) act { return act{hold: hold, say: "what?\r\n"} })
	for i := range 10 {
		put(t, w, page(fmt.Sprint(i), ofItsOwnBatch))
	}
	close(hold)
	await(t, "the queue is empty", func() bool { return w.Stats().Total.QueuedEntries == 0 })
	s := w.Stats().Total
	if s.Failed != tripAfter {
		t.Errorf("%d failed, want %d", s.Failed, tripAfter)
	}
	wantDropped(t, s, DropServerDown, 10-tripAfter)

	f.on(onCommand("set", act{say: "SERVER_ERROR out of memory storing object\r\n"}))
	w = newWriter(t, f.addr)
	for i := range 10 {
		put(t, w, page(fmt.Sprint(i), "x"))
	}
	drain(t, w)
	if s := w.Stats().Servers[0]; s.Refused != 10 || s.Breaker != BreakerClosed {
		t.Errorf("refused %d, breaker %s, want 10, closed", s.Refused, s.Breaker)
	}
}

// Operations that fail at the same time count as one: a short hitch that all workers
// notice must not empty the queue.
func TestMishapOfAllWorkersIsOne(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers = 2 * tripAfter
	hold := make(chan struct{})
	f.on(onCommand("set", act{hold: hold, say: "what?\r\n"}))
	for i := range w.Workers {
		put(t, w, page(fmt.Sprint(i), ofItsOwnBatch))
	}
	await(t, "all are being written", func() bool { return len(f.commands("set")) == w.Workers })
	close(hold)
	await(t, "all have failed", func() bool { return w.Stats().Total.Failed == uint64(w.Workers) })
	if s := w.Stats().Servers[0]; s.Breaker != BreakerClosed {
		t.Errorf("breaker %s after one mishap, want closed", s.Breaker)
	}
}

// While the breaker is open one operation probes, and the others wait for it.
func TestOneProbe(t *testing.T) {
	f := startFake(t)
	c := new(clock)
	w := newWriter(t, f.addr)
	w.now, w.Workers = c.now, 4
	f.on(func(string) act { return act{say: "what?\r\n"} })
	fill := func(key string) {
		put(t, w, Entry{Key: key, Expires: c.now().Add(time.Hour)})
	}
	for i := range tripAfter {
		fill("k")
		await(t, "the write fails", func() bool { return w.Stats().Total.Failed == uint64(i+1) })
	}
	c.advance(time.Second)
	hold := make(chan struct{})
	f.on(onCommand("set", act{hold: hold}))
	for i := range 5 {
		fill(fmt.Sprint("p", i))
	}
	await(t, "a probe is under way", func() bool { return len(f.commands("set p")) == 1 })
	if got := w.Stats().Servers[0].Breaker; got != BreakerProbing {
		t.Errorf("breaker %s, want probing", got)
	}
	if err := w.Delete(t.Context(), Entry{Key: "d"}); !errors.Is(err, ErrServerDown) {
		t.Errorf("Delete beside the probe: %v, want %v", err, ErrServerDown)
	}
	if got := f.commands("set p"); len(got) != 1 {
		t.Errorf("memcached heard %q, want one probe", got)
	}
	close(hold)
	drain(t, w)
	if got := w.Stats().Total.Stored; got != 5 {
		t.Errorf("stored %d, want 5", got)
	}
}

func TestDelete(t *testing.T) {
	a, b := startFake(t), startFake(t)
	for _, f := range []*fake{a, b} {
		for _, key := range []string{"k", "k%20\x7f", "kept"} {
			f.items[key] = fakeItem{body: []byte("x")}
		}
	}
	w := newWriter(t, a.addr, b.addr)
	for _, key := range []string{"k", "k \x7f", "never there"} {
		if err := w.Delete(t.Context(), Entry{Key: key}); err != nil {
			t.Errorf("Delete(%q): %v", key, err)
		}
	}
	for _, f := range []*fake{a, b} {
		wantValue(t, f, "k", "")
		wantValue(t, f, "k%20\x7f", "")
		wantValue(t, f, "kept", "x")
	}
	if got := w.Stats().Total.Deletes; got != 6 {
		t.Errorf("%d deletes, want 6", got)
	}
	if err := w.Delete(t.Context(), Entry{}); !errors.Is(err, ErrEmptyKey) {
		t.Errorf("empty key: %v", err)
	}
	if err := w.Delete(t.Context(), Entry{Key: "k", Addr: "10.9.9.9:1"}); !errors.Is(err, ErrUnknownServer) {
		t.Errorf("foreign server: %v", err)
	}
}

// Delete removes the entry at the ring's choice and the one where nginx asked.
func TestDeleteAtAddrAndRing(t *testing.T) {
	fakes := []*fake{startFake(t), startFake(t), startFake(t)}
	w := newWriter(t, fakes[0].addr)
	w.Ring = newRing(t, Modulo, Server{Name: fakes[0].addr}, Server{Name: fakes[1].addr}, Server{Name: fakes[2].addr})
	chosen := slices.IndexFunc(fakes, func(f *fake) bool { return f.addr == w.Ring.Pick("k")[0] })
	asked, other := fakes[(chosen+1)%3], fakes[(chosen+2)%3]
	if err := w.Delete(t.Context(), Entry{Key: "k", Addr: asked.addr}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*fake{fakes[chosen], asked} {
		if got := f.commands("delete k"); len(got) != 1 {
			t.Errorf("a server heard %q, want one delete", got)
		}
	}
	await(t, "the third server loses it, too", func() bool { return len(other.commands("delete k")) == 1 })
	if err := w.Delete(t.Context(), Entry{Key: "k", Addr: fakes[chosen].addr}); err != nil {
		t.Fatal(err)
	}
	if got := fakes[chosen].commands("delete k"); len(got) != 2 {
		t.Errorf("the server of both heard %q, want one delete each time", got)
	}
}

// The contract of Delete with Puts before, during and after it.
func TestDeleteWins(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	hold := make(chan struct{})
	f.on(onCommand("set k ", act{hold: hold}))
	put(t, w, page("k", "in flight"))
	await(t, "the set has arrived", func() bool { return len(f.commands("set k ")) == 1 })
	put(t, w, page("k", "queued"))

	deleted := make(chan error, 1)
	go func() { deleted <- w.Delete(context.Background(), Entry{Key: "k"}) }()
	s := w.servers().stores[f.addr]
	await(t, "the delete has begun", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.keys.deleting["k"] == 1
	})
	put(t, w, page("k", "during"))
	put(t, w, page("other", "x"))
	await(t, "another key is not held up", func() bool { _, ok := f.value("other"); return ok })
	if got := f.commands("delete"); len(got) != 0 {
		t.Errorf("memcached heard %q before the set had its response", got)
	}
	close(hold)
	if err := <-deleted; err != nil {
		t.Fatal(err)
	}
	if got, ok := f.value("k"); ok {
		t.Errorf("after Delete the key holds %q", got)
	}
	put(t, w, page("k", "after"))
	drain(t, w)
	wantValue(t, f, "k", "after")
	wantDropped(t, w.Stats().Total, DropSuperseded, 2)
	if got, want := len(f.commands("set k ")), 2; got != want {
		t.Errorf("%d sets of the key, want %d", got, want)
	}
}

// A page that was requested before its key was deleted may be the old one.
func TestPageOlderThanADelete(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	c := new(clock)
	w.now = c.now
	fill := func(key string, began time.Time) error {
		return w.Put(Entry{Key: key, Body: []byte("x"), Expires: c.now().Add(time.Hour), Began: began})
	}
	before := c.now()
	c.advance(time.Second)
	if err := w.Delete(t.Context(), Entry{Key: "k 1"}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		began time.Time
		want  error
	}{
		{"begun before", before, ErrPurged},
		{"begun at the very moment", c.now(), ErrPurged},
		{"begun after", c.now().Add(1), nil},
		{"not said", time.Time{}, nil},
	}
	for _, tt := range tests {
		if err := fill("k 1", tt.began); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestDeleteOfAHungServer(t *testing.T) {
	f := startFake(t)
	never := make(chan struct{})
	f.on(func(string) act { return act{hold: never} })
	const timeout = 50 * time.Millisecond
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		key     string
		put     bool // first, so that Delete finds it in flight
		want    error
		state   BreakerState
		attempt bool
	}{
		{name: "its own bound", ctx: t.Context(), key: "k", state: BreakerClosed, attempt: true},
		{name: "its own bound, key with DEL", ctx: t.Context(), key: "k\x7f", state: BreakerClosed, attempt: true},
		{name: "behind a set in flight", ctx: t.Context(), key: "k", put: true, state: BreakerClosed},
		{name: "the caller's bound", ctx: cancelled, key: "k", want: context.Canceled, state: BreakerClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWriter(t, f.addr)
			w.Timeout = timeout
			if tt.put {
				heard := len(f.commands("get"))
				put(t, w, page(tt.key, "x"))
				await(t, "the look has arrived", func() bool { return len(f.commands("get")) > heard })
			}
			start := time.Now()
			err := w.Delete(tt.ctx, Entry{Key: tt.key})
			if took := time.Since(start); took > 100*timeout {
				t.Errorf("took %v", took)
			}
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), f.addr) {
				t.Errorf("Delete: %v, want %v of %s", err, tt.want, f.addr)
			}
			if s := w.Stats().Servers[0]; s.DeleteErrors != 1 || s.Breaker != tt.state {
				t.Errorf("%d errors, breaker %s", s.DeleteErrors, s.Breaker)
			}
		})
	}
}

// A Delete whose caller leaves ends at once, and the breaker does not count it.
func TestDeleteCalledOff(t *testing.T) {
	f := startFake(t)
	f.on(func(string) act { return act{hold: make(chan struct{})} })
	for _, key := range []string{"k", "k\x7f"} {
		w := newWriter(t, f.addr)
		for range tripAfter + 1 {
			ctx, cancel := context.WithCancel(t.Context())
			heard := len(f.commands("add"))
			result := make(chan error, 1)
			go func() { result <- w.Delete(ctx, Entry{Key: key}) }()
			await(t, "the tombstone has arrived", func() bool { return len(f.commands("add")) > heard })
			cancel()
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("Delete: %v, want %v", err, context.Canceled)
			}
		}
		if s := w.Stats().Servers[0]; s.Breaker != BreakerClosed || s.LastError != "" {
			t.Errorf("breaker %s, last error %q", s.Breaker, s.LastError)
		}
	}
}

// While the breaker is open Delete does not wait for the server: the delete is pending at
// once, and a worker sends it when the server is back, without another call.
func TestDeleteDuringOutage(t *testing.T) {
	f := startFake(t)
	c := new(clock)
	w := newWriter(t, f.addr)
	w.now, w.Timeout = c.now, time.Minute
	f.on(func(string) act { return act{say: "what?\r\n"} })
	for range tripAfter {
		if err := w.Delete(t.Context(), Entry{Key: "k"}); err == nil || errors.Is(err, ErrServerDown) {
			t.Errorf("Delete: %v, want the error of an attempt", err)
		}
	}
	if got := w.Stats().Servers[0].Breaker; got != BreakerOpen {
		t.Fatalf("breaker %s, want open", got)
	}
	f.on(func(string) act { return act{hold: make(chan struct{})} }) // from now on it hangs
	heard := len(f.commands("add"))
	for i := range 100 {
		if err := w.Delete(t.Context(), Entry{Key: fmt.Sprint("k", i)}); !errors.Is(err, ErrServerDown) {
			t.Errorf("Delete %d: %v, want %v", i, err, ErrServerDown)
		}
	}
	if got := f.commands("add")[heard:]; len(got) > 0 {
		t.Errorf("memcached heard %q, want nothing", got)
	}
	if got := w.Stats().Total.Pending.Entries; got != 101 {
		t.Errorf("%d pending deletes, want 101", got)
	}
	f.on(nil)
	f.mu.Lock()
	f.items["k7"] = fakeItem{body: []byte("stale")}
	f.mu.Unlock()
	c.advance(w.Backoff.min())
	endPause(w, f)
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	wantValue(t, f, "k7", "")
	if got := w.Stats().Servers[0].Breaker; got != BreakerClosed {
		t.Errorf("breaker %s, want closed", got)
	}
}

// A Delete does not wait either for a probe that is writing its key.
func TestDeleteBesideProbe(t *testing.T) {
	f := startFake(t)
	c := new(clock)
	w := newWriter(t, f.addr)
	w.now, w.Timeout = c.now, time.Minute
	f.on(func(string) act { return act{say: "what?\r\n"} })
	for i := range tripAfter {
		put(t, w, Entry{Key: "k", Expires: c.now().Add(time.Hour)})
		await(t, "the write fails", func() bool { return w.Stats().Total.Failed == uint64(i+1) })
	}
	c.advance(w.Backoff.min())
	hold := make(chan struct{})
	f.on(onCommand("set", act{hold: hold}))
	put(t, w, Entry{Key: "k", Body: []byte("old"), Expires: c.now().Add(time.Hour)})
	await(t, "the probe is being written", func() bool { return w.Stats().Servers[0].Breaker == BreakerProbing })
	if err := w.Delete(t.Context(), Entry{Key: "k"}); !errors.Is(err, ErrServerDown) {
		t.Errorf("Delete: %v, want %v", err, ErrServerDown)
	}
	close(hold)
	await(t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	wantValue(t, f, "k", "")
}

// With one of two servers dead the key is deleted at the other, and the error names only
// the dead one.
func TestDeleteOnSome(t *testing.T) {
	alive := startFake(t)
	dead := unixPrefix + filepath.Join(t.TempDir(), "nobody")
	alive.items["k"] = fakeItem{body: []byte("x")}
	w := newWriter(t, dead, alive.addr)
	err := w.Delete(t.Context(), Entry{Key: "k"})
	if err == nil || !strings.Contains(err.Error(), dead) || strings.Contains(err.Error(), alive.addr) {
		t.Errorf("Delete: %v, want an error of %s", err, dead)
	}
	wantValue(t, alive, "k", "")
}

func TestDeleteRefused(t *testing.T) {
	f := startFake(t)
	f.on(onCommand("delete", act{say: "SERVER_ERROR not today\r\n"}))
	w := newWriter(t, f.addr)
	for _, key := range []string{"k", "k\x7f"} {
		if err := w.Delete(t.Context(), Entry{Key: key}); !errors.Is(err, ErrRefused) {
			t.Errorf("Delete(%q): %v, want %v", key, err, ErrRefused)
		}
	}
}

func TestCloseGivesUp(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers = 1
	f.on(onCommand("set", act{hold: make(chan struct{})}))
	put(t, w, page("0", "x"))
	await(t, "one is being written", func() bool { return len(f.commands("set")) == 1 })
	for i := range 4 {
		put(t, w, page(fmt.Sprint(1+i), "x"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := w.Close(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "4 entries") {
		t.Errorf("Close: %v, want one about 4 entries", err)
	}
	s := w.Stats().Servers[0]
	wantDropped(t, s, DropClosed, 5)
	if s.QueuedEntries != 0 || s.Breaker != BreakerClosed {
		t.Errorf("%d queued, breaker %s", s.QueuedEntries, s.Breaker)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if err := w.Put(page("k", "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Put: %v, want %v", err, ErrClosed)
	}
	if err := w.Delete(t.Context(), Entry{Key: "k"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Delete: %v, want %v", err, ErrClosed)
	}
}

func TestUnusedWriterHasNoGoroutine(t *testing.T) {
	before := goleak.IgnoreCurrent()
	w := &Writer{Ring: newRing(t, All, Server{Name: "10.0.0.1"})}
	w.Stats()
	goleak.VerifyNone(t, before)
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// Everything at once, for the race detector, with a server that comes and goes.
func TestConcurrentUse(t *testing.T) {
	f, g := startFake(t), startFake(t)
	w := newWriter(t, f.addr, g.addr)
	w.Queue.Entries, w.Backoff.Min, w.Backoff.Max = 64, time.Millisecond, time.Millisecond
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				key := fmt.Sprint("k", (i+j)%10)
				if j%5 == 0 {
					w.Delete(t.Context(), Entry{Key: key})
				}
				w.Put(page(key, key))
				w.Stats()
			}
		})
	}
	wg.Go(func() {
		for range 5 {
			f.restart()
		}
	})
	wg.Wait()
	drain(t, w)
	for _, s := range w.Stats().Servers {
		total := s.Stored + s.Refused + s.Failed
		for _, n := range s.Dropped {
			total += n
		}
		if total != 8*200 || s.QueuedEntries != 0 || s.QueuedBytes != 0 {
			t.Errorf("%d of %d entries accounted for: %+v", total, 8*200, s)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	w := &Writer{Ring: newRing(b, Consistent, tenServers()...)}
	w.once.Do(w.init)
	for _, s := range w.servers().stores {
		s.workers.started = true // no workers: the queue alone
	}
	e := Entry{Key: typicalKey, Body: make([]byte, 10000), Expires: time.Now().Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		w.Put(e)
	}
}
