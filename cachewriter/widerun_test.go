package cachewriter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const listCommand = "lru_crawler"

// wantPurged waits until no purge is owed and a page is gone.
func wantPurged(t *testing.T, w *Writer, f *fake, key string) {
	t.Helper()
	await(t, "no purge is owed", func() bool { return w.Stats().Total.Pending.Purges == 0 })
	wantValue(t, f, key, "")
}

// A purge that did not reach its server is made up for when the server is back, without
// another call, and holds for pages of other gateways from then on.
func TestPurgeIsOwed(t *testing.T) {
	for name, fails := range map[string]func(string) act{
		"log":      onCommand("add", act{hangUp: true}),
		"list":     onCommand(listCommand, act{hangUp: true}),
		"damaged":  onCommand(listCommand, act{say: "key=k exp=1\nkey=kkey=\nEND\r\n"}),
		"flags":    onCommand("mg k ", act{hangUp: true}),
		"records":  onCommand("mg "+Sibling(KindRecord, "k"), act{say: "SERVER_ERROR out of memory\r\n"}),
		"deletes":  onCommand("md k ", act{say: "SERVER_ERROR out of memory\r\n"}),
		"refused":  onCommand("add", act{say: "SERVER_ERROR out of memory\r\n"}),
		"all dead": func(string) act { return act{hangUp: true} },
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			w, other := newWriter(t, f.addr), newWriter(t, f.addr)
			w.Backoff = Backoff{time.Millisecond, 10 * time.Millisecond}
			putStored(t, w, tagged("k", "a"))
			slow := askedFor(tagged("k", "a"), time.Second)
			f.on(fails)
			r := w.PurgeMatching(t.Context(), Purge{Scopes: []Scope{tagScope("a")}})[0]
			if !r.Pending || r.Err == nil || r.Incomplete != "" {
				t.Errorf("result %+v", r)
			}
			if n := w.Stats().Total.Pending.Purges; n != 1 {
				t.Errorf("%d purges are owed", n)
			}
			f.on(nil)
			wantPurged(t, w, f, "k")
			put(t, other, slow)
			wantDropped(t, settled(t, other), DropPurged, 1)
			wantValue(t, f, "k", "")
		})
	}
}

// While the breaker is open nobody waits, and a dry run leaves nothing behind.
func TestPurgeOfAServerThatIsDown(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Backoff = Backoff{time.Hour, time.Hour}
	putStored(t, w, tagged("k", "a"))
	f.on(func(string) act { return act{hangUp: true} })
	for range tripAfter {
		w.Delete(t.Context(), Entry{Key: "other"})
	}
	if r := w.PurgeMatching(t.Context(), Purge{Scopes: []Scope{tagScope("a")}, DryRun: true})[0]; r.Pending || !errors.Is(r.Err, ErrServerDown) {
		t.Errorf("dry run: %+v", r)
	}
	if n := w.Stats().Total.Pending.Purges; n != 0 {
		t.Errorf("after a dry run %d purges are owed", n)
	}
	heard := len(f.commands(""))
	for i := range 3 * maxOwed / 2 {
		r := w.PurgeMatching(t.Context(), Purge{Scopes: []Scope{tagScope("a"), tagScope(fmt.Sprint(i))}})[0]
		if !r.Pending || !errors.Is(r.Err, ErrServerDown) {
			t.Errorf("result %+v", r)
		}
	}
	if n := len(f.commands("")); n != heard {
		t.Errorf("it was asked: %q", f.commands("")[heard:])
	}
	if n := w.Stats().Total.Pending.Purges; n == 0 || n > maxOwed {
		t.Errorf("%d purges are owed", n)
	}
	f.on(nil)
	s := w.servers().stores[f.addr]
	s.mu.Lock()
	s.breaker.until = time.Now()
	s.mu.Unlock()
	put(t, w, page("probe", "x"))
	wantPurged(t, w, f, "k")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Close(ctx)
	if r := w.PurgeMatching(t.Context(), Purge{Scopes: []Scope{tagScope("a")}})[0]; r.Err != ErrClosed {
		t.Errorf("after Close: %+v", r)
	}
}

// Purges that are still owed at the end are reported.
func TestCloseWithOwedPurges(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Backoff.Min = time.Hour
	f.on(onCommand(listCommand, act{hangUp: true}))
	w.PurgeMatching(t.Context(), Purge{Scopes: []Scope{tagScope("a")}})
	if err := w.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "1 deletes still pending") {
		t.Errorf("Close: %v", err)
	}
}

// Purges that come during a walk share the next one.
func TestPurgesShareAWalk(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	hold := make(chan struct{})
	f.on(onCommand(listCommand, act{hold: hold}))
	for i := range 10 {
		putStored(t, w, tagged(fmt.Sprint(i), fmt.Sprint(i)))
	}
	results := make(chan PurgeResult, 10)
	purge := func(i int) {
		results <- w.PurgeMatching(context.Background(), Purge{Scopes: []Scope{tagScope(fmt.Sprint(i))}})[0]
	}
	go purge(0)
	await(t, "the first walks", func() bool { return len(f.commands(listCommand)) == 1 })
	for i := range 9 {
		go purge(i + 1)
	}
	s := w.servers().stores[f.addr]
	await(t, "the others wait", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.wide.jobs) == 9
	})
	close(hold)
	for range 10 {
		if r := <-results; r.Err != nil || r.Found != 1 || r.Deleted != 1 {
			t.Errorf("result %+v", r)
		}
	}
	if n := len(f.commands(listCommand)); n != 2 {
		t.Errorf("%d walks", n)
	}
	if s := w.Stats().Total; s.Purges != 10 {
		t.Errorf("counted %d purges", s.Purges)
	}
}

// A caller that leaves is told that the purge is pending. It goes on, and does not call
// Keep any more.
func TestPurgeGoesOnWithoutItsCaller(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	putStored(t, w, tagged("k", "a"))
	hold := make(chan struct{})
	f.on(onCommand(listCommand, act{hold: hold}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil && len(f.commands(listCommand)) == 0 {
		}
		cancel()
	}()
	r := w.PurgeMatching(ctx, Purge{Scopes: []Scope{tagScope("a")}, Keep: func(Found) bool {
		t.Error("Keep was called")
		return true
	}})[0]
	if !r.Pending || r.Err != context.Canceled {
		t.Errorf("result %+v", r)
	}
	close(hold)
	await(t, "the page is gone", func() bool { _, ok := f.value("k"); return !ok })
}

// A server that does not list its keys says so, and keeps out old pages all the same.
func TestPurgeWithoutAList(t *testing.T) {
	for name, script := range map[string]func(string) act{
		"old":         onCommand("version", act{say: "VERSION 1.5.22\r\n"}),
		"proxy":       onCommand("mn", act{hangUp: true}),
		"not allowed": onCommand(listCommand, act{say: "ERROR metadump not allowed\r\n"}),
		"no crawler":  onCommand(listCommand, act{say: "ERROR\r\n"}),
	} {
		f := startFake(t)
		f.on(script)
		w, other := newWriter(t, f.addr), newWriter(t, f.addr)
		slow := askedFor(tagged("k", "a"), time.Second)
		r := w.PurgeMatching(t.Context(), Purge{Scopes: []Scope{tagScope("a")}})[0]
		if r.Incomplete == "" || r.Pending || r.Err != nil {
			t.Errorf("%s: %+v", name, r)
		}
		if err := w.Put(slow); err != ErrPurged {
			t.Errorf("%s: Put of an old page: %v", name, err)
		}
		put(t, other, slow)
		wantDropped(t, settled(t, other), DropPurged, 1)
		if err := w.Walk(t.Context(), func(Found) bool { return true }); err == nil {
			t.Errorf("%s: Walk returns no error", name)
		}
	}
}

// What waits in the queue is dropped, and what is being written is waited for.
func TestPurgeOfWhatIsBeingStored(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Workers = 1
	hold := make(chan struct{})
	f.on(onCommand("set writing", act{hold: hold}))
	done := make(chan error, 2)
	old := func(key string) Entry {
		e := tagged(key, "a")
		e.Done = func(err error) { done <- err }
		return e
	}
	put(t, w, old("writing"))
	await(t, "it is being written", func() bool { return len(f.commands("set writing")) == 1 })
	put(t, w, old("queued"))
	put(t, w, tagged("other", "b"))
	result := make(chan []PurgeResult, 1)
	go func() { result <- w.PurgeMatching(context.Background(), Purge{Scopes: []Scope{tagScope("a")}}) }()
	if err := <-done; err != ErrPurged {
		t.Errorf("queued: %v", err)
	}
	if err := w.Put(askedFor(tagged("late", "a"), time.Second)); err != ErrPurged {
		t.Errorf("Put of an old page: %v", err)
	}
	if w.Accepts(askedFor(tagged("late", "a"), time.Second)) {
		t.Error("an old page would be accepted")
	}
	await(t, "the log is written", func() bool { return len(f.commands("add")) == purgeLogCopies })
	if n := len(f.commands(listCommand)); n > 0 {
		t.Error("it walks before the write has ended")
	}
	close(hold)
	if err := <-done; err != ErrPurged {
		t.Errorf("writing: %v", err)
	}
	if r := (<-result)[0]; r.Err != nil {
		t.Errorf("result %+v", r)
	}
	settled(t, w)
	wantValue(t, f, "writing", "")
	wantValue(t, f, "queued", "")
	wantValue(t, f, "other", "body")
}

// Several servers have a result each, in the order of the ring. A server that is marked
// down has none.
func TestPurgeSeveralServers(t *testing.T) {
	a, b, c := startFake(t), startFake(t), startFake(t)
	w := newWriter(t, a.addr)
	w.Ring = newRing(t, All, Server{Name: a.addr}, Server{Name: b.addr, Down: true}, Server{Name: c.addr})
	putStored(t, w, tagged("k", "a"))
	a.on(onCommand(listCommand, act{hangUp: true}))
	r := w.PurgeMatching(t.Context(), Purge{Scopes: []Scope{tagScope("a")}})
	if len(r) != 2 || r[0].Server != a.addr || !r[0].Pending || r[1].Server != c.addr || r[1].Deleted != 1 {
		t.Errorf("results %+v", r)
	}
	a.on(nil)
	n := 0
	if err := w.Walk(t.Context(), func(f Found) bool { n++; return true }); err != nil || n > 1 {
		t.Errorf("Walk: %v, %d pages", err, n)
	}
}

// A hung or damaged server does not keep Close from ending.
func TestCloseDuringAWalk(t *testing.T) {
	f := startFake(t)
	f.on(onCommand(listCommand, act{hold: make(chan struct{})}))
	w := newWriter(t, f.addr)
	result := make(chan []PurgeResult, 1)
	go func() { result <- w.PurgeMatching(context.Background(), Purge{Scopes: []Scope{tagScope("a")}}) }()
	await(t, "it walks", func() bool { return len(f.commands(listCommand)) == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Close(ctx); err == nil {
		t.Error("Close says nothing of the purge")
	}
	if r := (<-result)[0]; r.Err == nil {
		t.Errorf("result %+v", r)
	}
}

// Behind a proxy the log holds, and the result says what could not be done.
func TestPurgeBehindProxy(t *testing.T) {
	p := startProxy(t)
	a, b := newWriter(t, p.addr), newWriter(t, p.addr)
	slow := []Entry{}
	for i := range 20 {
		slow = append(slow, askedFor(tagged(fmt.Sprint(i), "a"), time.Second))
	}
	r := a.PurgeMatching(t.Context(), Purge{Scopes: []Scope{tagScope("a")}})[0]
	if r.Err != nil || r.Pending || !strings.Contains(r.Incomplete, "proxy") {
		t.Errorf("result %+v", r)
	}
	for _, e := range slow {
		put(t, b, e)
	}
	put(t, b, tagged("other"))
	wantDropped(t, settled(t, b), DropPurged, 20)
	if s := b.Stats().Total; s.Stored != 1 {
		t.Errorf("counted %+v", s)
	}
}

// A server with more keys than fit into memory is walked in parts.
func testManyKeys(t *testing.T, m memcached) {
	w := newWriter(t, m.address())
	w.maxListed = 2
	const pages = 20 * chunkKeys
	var all sync.WaitGroup
	for i := range pages {
		all.Add(1)
		e := tagged(fmt.Sprint(i), "a")
		e.Done = func(error) { all.Done() }
		for w.Put(e) != nil {
			settled(t, w)
		}
	}
	all.Wait()
	seen := map[string]bool{}
	err := w.Walk(t.Context(), func(f Found) bool { seen[f.Key] = true; return true })
	if err != nil || len(seen) != pages {
		t.Errorf("Walk: %v, %d pages, want %d", err, len(seen), pages)
	}
	purgeNow(t, w, Purge{Scopes: []Scope{tagScope("a")}})
	wantKeys(t, m)
}

func TestParts(t *testing.T) {
	own := newWriter(t, "10.0.0.1:11211")
	own.servers()
	w := &walker{s: newStore(own, "a", 1)}
	for i := range 1000 {
		key := []byte(fmt.Sprint("key", i))
		if few, many := w.partOf(key, 3), w.partOf(key, 3*manyParts); few < 0 || few > 2 || many/manyParts != few {
			t.Fatalf("part %d of 3, and %d of %d", few, many, 3*manyParts)
		}
	}
}

func TestKeyList(t *testing.T) {
	l := newKeyList(2)
	var err error
	added := 0
	for ; err == nil; added++ {
		err = l.add([]byte(fmt.Sprint("key", added)))
	}
	if err != errManyKeys || added != 3*chunkKeys+1 {
		t.Errorf("%v after %d keys", err, added)
	}
	l = newKeyList(100)
	for i := range 1000 {
		if err := l.add([]byte(strings.Repeat("x", i%251))); err != nil {
			t.Fatal(err)
		}
	}
	l.end(nil)
	n := 0
	for {
		keys, err := l.next()
		if err != nil || keys == nil {
			break
		}
		for _, key := range keys {
			if len(key) != n%251 {
				t.Errorf("key %d has %d bytes", n, len(key))
			}
			n++
		}
	}
	if n != 1000 {
		t.Errorf("%d keys", n)
	}
}
