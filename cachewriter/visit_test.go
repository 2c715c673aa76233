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

func TestLook(t *testing.T) {
	for name, script := range map[string]func(string) act{
		"meta":    nil,
		"no meta": onCommand("version", act{say: "ERROR\r\n"}),
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			f.on(script)
			f.items["k"] = fakeItem{body: []byte("page"), flags: 2}
			w := newWriter(t, f.addr)
			item, err := w.Look(t.Context(), Entry{Key: "k"})
			if err != nil || item == nil || string(item.Value) != "page" || item.Flags != 2 || item.Addr != f.addr {
				t.Errorf("got %+v, %v", item, err)
			}
			if item, err := w.Look(t.Context(), Entry{Key: "none"}); item != nil || err != nil {
				t.Errorf("got %+v, %v, want nothing", item, err)
			}
		})
	}
}

// If a server hangs, few of a hundred visitors wait for it, and none once its breaker is
// open. They open no connections of their own.
func TestLookAtHungServer(t *testing.T) {
	for name, hang := range map[string]func(string) act{
		"meta":          onCommand("mg", act{hold: make(chan struct{})}),
		"no word":       func(string) act { return act{hold: make(chan struct{})} },
		"no meta":       hangsAfter("version", "get"),
		"locks as well": onCommand("ms", act{hold: make(chan struct{})}),
	} {
		t.Run(name, func(t *testing.T) {
			const timeout = 500 * time.Millisecond
			f := startFake(t)
			f.on(hang)
			w := newWriter(t, f.addr)
			w.Timeout, w.Backoff.Min = timeout, time.Hour
			look := func(i int) error {
				if name == "locks as well" {
					_, err := w.Lock(t.Context(), Entry{Key: fmt.Sprint("k", i)}, time.Minute)
					return err
				}
				_, err := w.Look(t.Context(), Entry{Key: "k"})
				return err
			}
			waited := 0
			isOpen := func() bool { return w.Stats().Servers[0].Breaker == BreakerOpen }
			for range 2 * tripAfter {
				errs := make([]error, 100)
				var all sync.WaitGroup
				for i := range errs {
					all.Go(func() { errs[i] = look(i) })
				}
				all.Wait()
				for _, err := range errs {
					if err == nil {
						t.Error("a server that hangs has responded")
					}
					if !errors.Is(err, ErrBusy) && !errors.Is(err, ErrServerDown) {
						waited++
					}
				}
			}
			if !isOpen() || waited > 2*tripAfter*maxVisits { // each round fills the places once at most
				t.Errorf("open: %v, when %d of some hundreds had waited for the server", isOpen(), waited)
			}
			for i := range 100 {
				if err := look(i); !errors.Is(err, ErrServerDown) {
					t.Errorf("with the breaker open: %v", err)
				}
			}
			f.mu.Lock()
			conns := len(f.conns)
			f.mu.Unlock()
			if conns > 2*maxVisits {
				t.Errorf("%d connections for %d who waited", conns, waited)
			}
		})
	}
}

// hangsAfter refuses the first command and does not respond to the second.
func hangsAfter(refused, held string) func(string) act {
	return func(command string) act {
		switch {
		case strings.HasPrefix(command, refused):
			return act{say: "ERROR\r\n"}
		case strings.HasPrefix(command, held):
			return act{hold: make(chan struct{})}
		}
		return act{}
	}
}

// A healthy server serves any number of visitors.
func TestLooksOfACrowd(t *testing.T) {
	f := startFake(t)
	f.items["k"] = fakeItem{body: []byte("page")}
	w := newWriter(t, f.addr)
	w.Timeout = time.Minute
	failed := 0
	for range 200 {
		if item, err := w.Look(t.Context(), Entry{Key: "k"}); err != nil || item == nil {
			failed++
		}
	}
	if failed > 0 {
		t.Errorf("%d of 200 visitors were sent away", failed)
	}
}

// Deletes that hang use no more connections than maxDeleters.
func TestDeletesAreBounded(t *testing.T) {
	f := startFake(t)
	w := newWriter(t, f.addr)
	w.Timeout = time.Minute
	hold := make(chan struct{})
	f.on(func(string) act { return act{hold: hold} })
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range 4 * maxDeleters {
		all.Go(func() { w.Delete(ctx, Entry{Key: fmt.Sprint("k", i)}) })
	}
	conns := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.conns)
	}
	await(t, "they have connected", func() bool { return conns() >= maxDeleters })
	if n := conns(); n > 2*maxDeleters {
		t.Errorf("%d connections", n)
	}
	cancel()
	close(hold)
	all.Wait()
}
