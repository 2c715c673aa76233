package cachewriter

import (
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Done gets the outcome on all servers of an entry, once.
func TestOutcome(t *testing.T) {
	refused := errors.New("SERVER_ERROR")
	tests := []struct {
		name  string
		acts  [2]act // of the servers, with set
		purge [2]bool
		want  error
	}{
		{"stored", [2]act{}, [2]bool{}, nil},
		{"stored on one", [2]act{{say: "SERVER_ERROR full\r\n"}, {}}, [2]bool{}, nil},
		{"refused", [2]act{{say: "SERVER_ERROR full\r\n"}, {say: "SERVER_ERROR full\r\n"}}, [2]bool{}, refused},
		{"purged on one", [2]act{}, [2]bool{false, true}, ErrPurged},
		{"purged", [2]act{}, [2]bool{true, true}, ErrPurged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			servers := []*fake{startFake(t), startFake(t)}
			other := newProcess(time.Now())
			for i, f := range servers {
				if tt.acts[i].say != "" {
					f.on(onCommand("set ", tt.acts[i]))
				}
				if tt.purge[i] {
					f.items[Sibling(KindTombstone, "k")] = fakeItem{body: other.tombstone(time.Now()).append(nil)}
				}
			}
			w := newWriter(t, servers[0].addr)
			w.Ring = newRing(t, All, Server{Name: "pair", Addrs: []string{servers[0].addr, servers[1].addr}})
			done := make(chan error, 3)
			e := page("k", "v")
			e.Done = func(err error) { done <- err }
			put(t, w, e)
			switch err := <-done; {
			case tt.want == refused && !errors.Is(err, ErrRefused), tt.want != refused && !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			}
			settled(t, w)
			if len(done) > 0 {
				t.Errorf("called again with %v", <-done)
			}
		})
	}
}

// Done of a queued entry gets the reason why it was dropped.
func TestOutcomeOfTheQueued(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*testing.T, *Writer)
		want error
	}{
		{"superseded", func(t *testing.T, w *Writer) { put(t, w, page("k", "newer")) }, errSuperseded},
		{"deleted", func(t *testing.T, w *Writer) { go w.Delete(t.Context(), Entry{Key: "k"}) }, ErrPurged},
		{"server gone from the ring", func(t *testing.T, w *Writer) { w.SetRing(newRing(t, All, Server{Name: "127.0.0.1:1"})) }, ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, release := startFake(t), make(chan struct{})
			f.on(onCommand("set ", act{hold: release}))
			w := newWriter(t, f.addr)
			w.Workers = 1
			put(t, w, page("first", "v"))
			await(t, "the worker is busy", func() bool { return len(f.commands("set ")) == 1 })
			done := make(chan error, 2)
			e := page("k", "v")
			e.Done = func(err error) { done <- err }
			put(t, w, e)
			tt.end(t, w)
			if err := <-done; err != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			close(release)
		})
	}
}

// If no server accepts the entry, Put returns the error and Done is not called.
func TestOutcomeOfNone(t *testing.T) {
	w := newWriter(t, "127.0.0.1:1")
	e := page("k", "v")
	e.Done = func(err error) { t.Errorf("done with %v", err) }
	if err := w.Delete(t.Context(), Entry{Key: "k"}); err == nil {
		t.Fatal("deleted from nobody")
	}
	e = askedFor(e, time.Second)
	if err := w.Put(e); !errors.Is(err, ErrPurged) {
		t.Errorf("got %v", err)
	}
}

func TestIsDown(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	if w.IsDown(Entry{Key: "k"}) || !w.IsDown(Entry{Key: "k", Addr: "127.0.0.1:1"}) {
		t.Error("a server that nobody has asked is down, or an unknown one is not")
	}
	f.stop()
	await(t, "it is down", func() bool {
		w.Put(page("k", "v"))
		return w.IsDown(Entry{Key: "k"})
	})
}

// One failed operation is enough: the next entry may be refused as well.
func TestAcceptsNothingAfterAFailure(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	if w.Accepts(page("k", "v")) {
		t.Error("a server that nobody has asked is known to accept")
	}
	w.Greet(t.Context())
	if !w.Accepts(page("k", "v")) {
		t.Error("a server that is up does not accept")
	}
	f.stop()
	if w.Accepts(page("k", "v")) {
		t.Error("a server accepts that has just closed its connections")
	}
	failed := make(chan error, 1)
	e := page("k", "v")
	e.Done = func(err error) { failed <- err }
	if err := w.Put(e); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil || w.IsDown(e) || w.Accepts(e) {
		t.Errorf("after %v: down is %v, accepts is %v", err, w.IsDown(e), w.Accepts(e))
	}
}

// A server that does not respond at the start is logged once, and accepts nothing.
func TestGreetReportsADeadServer(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	core, logs := observer.New(zap.WarnLevel)
	w.Log = zap.New(core)
	f.stop()
	for range 2 {
		w.Greet(t.Context())
	}
	if told := logs.FilterField(zap.String("server", f.addr)).Len(); told != 1 || w.Accepts(page("k", "v")) {
		t.Errorf("logged %d times, want once; accepts is %v", told, w.Accepts(page("k", "v")))
	}
}
