package cachewriter

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestSetRing(t *testing.T) {
	kept, leaves, comes := startFake(t), startFake(t), startFake(t)
	w := newWriter(t, kept.addr, leaves.addr)
	w.Workers = 1
	hold := make(chan struct{})
	for _, f := range []*fake{kept, leaves} {
		f.on(onCommand("set", act{hold: hold}))
	}
	put(t, w, page("first", "x"))
	await(t, "both are being written", func() bool {
		return len(kept.commands("set first")) == 1 && len(leaves.commands("set first")) == 1
	})
	put(t, w, page("queued", "x"))
	began := time.Now()

	w.SetRing(newRing(t, All, Server{Name: kept.addr}, Server{Name: comes.addr}))
	put(t, w, page("later", "x"))
	close(hold)
	drain(t, w)
	for _, tt := range []struct {
		what string
		f    *fake
		key  string
		want string
	}{
		{"kept server, queued before", kept, "queued", "x"},
		{"kept server, put after", kept, "later", "x"},
		{"new server, put after", comes, "later", "x"},
		{"new server, put before", comes, "queued", ""},
		{"server that left, queued before", leaves, "queued", ""},
		{"server that left, put after", leaves, "later", ""},
	} {
		if got, _ := tt.f.value(tt.key); got != tt.want {
			t.Errorf("%s: %q holds %q, want %q", tt.what, tt.key, got, tt.want)
		}
	}
	e := page("k", "x")
	e.Addr, e.Began = leaves.addr, began
	if err := w.Put(e); !errors.Is(err, ErrUnknownServer) {
		t.Errorf("Put to a server that left: %v, want %v", err, ErrUnknownServer)
	}
	if s := w.Stats(); len(s.Servers) != 2 || s.Servers[0].Addr != kept.addr || s.Servers[1].Addr != comes.addr {
		t.Errorf("stats of %+v, want those of the new ring", s.Servers)
	}
	w.SetRing(newRing(t, All, Server{Name: leaves.addr}))
	if got := w.Pick("k"); len(got) != 2 {
		t.Errorf("SetRing after Close: the ring has %q", got)
	}
}

// A page requested before a delete is not stored after it, even if the ring has changed.
func TestSetRingForgetsNoDelete(t *testing.T) {
	a, b := startFake(t), startFake(t)
	w := newWriter(t, a.addr)
	old := page("k", "stale")
	old.Began = time.Now()
	if err := w.Delete(t.Context(), Entry{Key: "k"}); err != nil {
		t.Fatal(err)
	}
	w.SetRing(newRing(t, All, Server{Name: b.addr}))
	if err := w.Put(old); !errors.Is(err, ErrPurged) {
		t.Errorf("Put: %v, want %v", err, ErrPurged)
	}
	put(t, w, page("k", "fresh"))
	drain(t, w)
	wantValue(t, b, "k", "fresh")
}

// The pending deletes of a server that stays are sent under the new ring.
func TestSetRingKeepsDebts(t *testing.T) {
	a, b := startFake(t), startFake(t)
	a.on(refuseDeletes)
	w := newWriter(t, a.addr)
	w.Backoff.Min = time.Hour
	failDeletes(t, w, "x")
	w.SetRing(newRing(t, All, Server{Name: a.addr}, Server{Name: b.addr}))
	a.on(nil)
	endPause(w, a)
	drain(t, w)
	if s := w.Stats().Total; s.Pending.Done != 1 || s.Pending.Entries != 0 {
		t.Errorf("pending %d, done later %d; want 0 and 1", s.Pending.Entries, s.Pending.Done)
	}
}

func TestSetRingWhilePutting(t *testing.T) {
	a, b := startFake(t), startFake(t)
	rings := []*Ring{newRing(t, All, Server{Name: a.addr}), newRing(t, All, Server{Name: b.addr}), newRing(t, All, Server{Name: a.addr}, Server{Name: b.addr})}
	w := newWriter(t, a.addr)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 200 {
				key := fmt.Sprintf("k%d.%d", i, n)
				if err := w.Put(page(key, "x")); err != nil && !errors.Is(err, ErrClosed) {
					t.Errorf("Put: %v", err)
				}
				w.Delete(t.Context(), Entry{Key: key})
			}
		})
	}
	for n := range 100 {
		w.SetRing(rings[n%len(rings)])
	}
	all.Wait()
	drain(t, w)
	if s := w.Stats().Total; s.QueuedEntries != 0 || s.QueuedBytes != 0 {
		t.Errorf("%d entries, %d bytes still queued", s.QueuedEntries, s.QueuedBytes)
	}
	if left := w.budget.left.Load(); left != w.Queue.bytes() {
		t.Errorf("%d bytes of room left, want all %d", left, w.Queue.bytes())
	}
}
