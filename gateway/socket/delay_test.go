package socket

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A noted says when it is called.
type noted struct {
	name  string
	calls *calls
}

type calls struct {
	mu    sync.Mutex // guards what follows
	names []string
}

func (n noted) Due() {
	n.calls.mu.Lock()
	defer n.calls.mu.Unlock()
	n.calls.names = append(n.calls.names, n.name)
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d Delay
		var got calls
		places := make([]Delayed, 4)
		add := func(i int, name string) { d.Add(&places[i], noted{name, &got}, time.Now()) }
		add(0, "first")
		add(1, "removed")
		add(0, "again")
		time.Sleep(DelayTime / 4)
		add(2, "second")
		if !d.Remove(&places[1]) || d.Remove(&places[1]) || d.Remove(&places[3]) {
			t.Error("Remove reports something else than what was queued")
		}
		time.Sleep(DelayTime - DelayTime/4 - 1)
		synctest.Wait()
		if early := got.all(); len(early) > 0 {
			t.Errorf("called early: %q", early)
		}
		time.Sleep(DelayTime)
		synctest.Wait()
		if want := []string{"first", "second"}; !slices.Equal(got.all(), want) {
			t.Errorf("got calls %q, want %q", got.all(), want)
		}
		add(0, "third")
		time.Sleep(2 * DelayTime)
		synctest.Wait()
		if want := []string{"first", "second", "third"}; !slices.Equal(got.all(), want) {
			t.Errorf("got calls %q, want %q", got.all(), want)
		}
		add(3, "the last one removed")
		d.Remove(&places[3])
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.armed || d.first != nil || d.last != nil {
			t.Error("an empty queue has a timer")
		}
	})
}

func (c *calls) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.names)
}

// What is queued is called or removed, and never both.
func TestDelayRace(t *testing.T) {
	var d Delay
	var got calls
	var all sync.WaitGroup
	var added, removed atomic.Int64
	for range 8 {
		all.Go(func() {
			for began := time.Now(); len(got.all()) < 100 && time.Since(began) < patience; runtime.Gosched() {
				places := make([]Delayed, 10)
				for i := range places {
					d.Add(&places[i], noted{"x", &got}, time.Now().Add(-DelayTime)) // due as soon as the timer fires
				}
				added.Add(int64(len(places)))
				runtime.Gosched()
				for i := range places {
					if d.Remove(&places[i]) {
						removed.Add(1)
					}
				}
			}
		})
	}
	all.Wait()
	want := int(added.Load() - removed.Load())
	for began := time.Now(); len(got.all()) < want && time.Since(began) < patience; {
		runtime.Gosched() // the last call is under way
	}
	if n := len(got.all()); n != want || n < 100 {
		t.Errorf("%d of %d were called, %d removed", n, added.Load(), removed.Load())
	}
}
