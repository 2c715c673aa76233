package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uwgate/cachewriter"
	"uwgate/uwsgi"
)

// A trial is a Schedule with a scripted memcached and backend, which write
// down what they are asked and when. It runs in a bubble of synctest, on whose clock
// everything begins at 0.
type trial struct {
	Schedule
	began time.Time
	stop  func() // ends run and waits for it

	mu      sync.Mutex // guards what follows
	journal []string
}

// newTrial has every page found served and refetched at no cost, unless the
// test changes that. Nothing is spread.
func newTrial() *trial {
	x := &trial{began: time.Now()}
	x.random = func() float64 { return 0 }
	x.usage = func(_ context.Context, f *Page) (*cachewriter.Usage, error) {
		x.note("ask", f)
		return x.stored(f, true), nil
	}
	x.Fetch = func(_ context.Context, f *Page) Outcome {
		x.note("fetch", f)
		return Stored
	}
	x.expire = func(_ context.Context, f *Page) error {
		x.note("delete", f)
		return nil
	}
	x.purge = func(_ context.Context, f *Page) error {
		x.note("purge", f)
		return nil
	}
	return x
}

func (x *trial) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		x.Run(ctx)
		close(done)
	}()
	x.stop = func() {
		cancel()
		<-done
	}
}

func (x *trial) at() time.Duration { return time.Since(x.began) }

func (x *trial) note(what string, f *Page) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.journal = append(x.journal, fmt.Sprintf("%v %s %s", x.at(), what, f.Entry.Key))
}

// noted returns what has been noted since it was last called.
func (x *trial) noted() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	lines := x.journal
	x.journal = nil
	return lines
}

// stored is what memcached says of an entry that the Writer stored: seconds rounded
// down.
func (x *trial) stored(f *Page, served bool) *cachewriter.Usage {
	return &cachewriter.Usage{TTL: time.Until(f.Hard).Truncate(time.Second), Served: served}
}

// page is one that was asked for took ago, is fresh for ttl and then served for
// grace.
func (x *trial) page(key string, ttl, grace, took time.Duration) *Page {
	now := time.Now()
	return &Page{
		Entry: cachewriter.Entry{Key: key},
		Vars:  uwsgi.Vars{{Name: "REQUEST_URI", Value: "/" + key}},
		Took:  took,
		Soft:  now.Add(ttl),
		Hard:  now.Add(ttl + grace),
	}
}

func checkNoted(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func checkEvents(t *testing.T, r *Schedule, want map[Event]uint64) {
	t.Helper()
	got := r.Stats().Events
	delete(got, eventAsked)
	for e, n := range want {
		if got[e] != n {
			t.Errorf("counted %d times %s, want %d", got[e], e, n)
		}
		delete(got, e)
	}
	for e, n := range got {
		t.Errorf("counted %d times %s, want none", n, e)
	}
}

// until returns whether it is not yet that time.
func until(end time.Duration) func(time.Duration) bool {
	return func(at time.Duration) bool { return at < end }
}

func always(time.Duration) bool { return true }
func never(time.Duration) bool  { return false }

type events = map[Event]uint64

// In every row a page "p", stored at 0, is watched until nobody does anything more.
// It is served if served says so, and fetched 100 ms long.
func TestSchedule(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name       string
		ttl, grace time.Duration
		took       time.Duration // 0: 100 ms
		served     func(at time.Duration) bool
		usage      func(at time.Duration) (*cachewriter.Usage, error) // in place of served
		busy       func(at time.Duration) bool
		locked     func(at time.Duration) bool
		outcomes   []Outcome // of one fetch after the other; the last one of all others
		want       []string
		events     events
	}{
		{name: "served", ttl: 60 * s,
			want:   []string{"57.55s ask p", "58.1s ask p", "58.1s fetch p"},
			events: events{eventDone: 1}},
		{name: "served, with grace", ttl: 60 * s, grace: 30 * s,
			want:   []string{"59.55s ask p", "59.55s fetch p"},
			events: events{eventDone: 1}},
		{name: "short", ttl: 5 * s,
			want:   []string{"2.55s ask p", "3.1s ask p", "3.1s fetch p"},
			events: events{eventDone: 1}},
		{name: "shorter", ttl: 3 * s,
			want:   []string{"1.5s ask p", "1.5s fetch p"},
			events: events{eventDone: 1}},
		{name: "too short", ttl: 2900 * time.Millisecond},
		{name: "slow", ttl: 60 * s, took: 5 * s,
			want:   []string{"47.75s ask p", "48.5s ask p", "48.5s fetch p"},
			events: events{eventDone: 1}},
		{name: "slower than half a life", ttl: 20 * s, took: 15 * s,
			want:   []string{"10s ask p", "10s fetch p"},
			events: events{eventDone: 1}},

		{name: "cold", ttl: 60 * s, served: never,
			want:   []string{"57.55s ask p", "58.1s ask p"},
			events: events{eventCold: 1}},
		{name: "cold, with grace", ttl: 60 * s, grace: 30 * s, served: never,
			want:   []string{"59.55s ask p", "1m0s ask p", "1m0s delete p"},
			events: events{eventCold: 1}},
		{name: "served at the last moment", ttl: 60 * s, grace: 30 * s, served: func(at time.Duration) bool { return at >= 59900*time.Millisecond },
			want:   []string{"59.55s ask p", "1m0s ask p", "1m0s fetch p"},
			events: events{eventDone: 1}},

		{name: "gone", ttl: 60 * s, usage: func(time.Duration) (*cachewriter.Usage, error) { return nil, nil },
			want:   []string{"57.55s ask p"},
			events: events{eventGone: 1}},
		{name: "stored by another gateway", ttl: 60 * s,
			usage: func(time.Duration) (*cachewriter.Usage, error) {
				return &cachewriter.Usage{TTL: 59 * s, Served: true}, nil
			},
			want:   []string{"57.55s ask p"},
			events: events{eventElsewhere: 1}},
		{name: "stored for ever", ttl: 60 * s,
			usage: func(time.Duration) (*cachewriter.Usage, error) {
				return &cachewriter.Usage{TTL: cachewriter.Forever, Served: true}, nil
			},
			want:   []string{"57.55s ask p"},
			events: events{eventElsewhere: 1}},
		{name: "perhaps stored by another gateway", ttl: 5 * s,
			usage: func(at time.Duration) (*cachewriter.Usage, error) {
				return &cachewriter.Usage{TTL: (6500*time.Millisecond - at).Truncate(s), Served: true}, nil
			},
			want:   []string{"2.55s ask p", "4.1s ask p", "4.65s ask p", "4.65s fetch p"},
			events: events{eventDone: 1}},
		{name: "no meta commands", ttl: 60 * s,
			usage: func(time.Duration) (*cachewriter.Usage, error) {
				return nil, fmt.Errorf("x: %w", cachewriter.ErrNoMeta)
			},
			want:   []string{"57.55s ask p"},
			events: events{eventNoMeta: 1}},
		{name: "no answer from memcached", ttl: 60 * s, usage: unanswered,
			want:   []string{"57.55s ask p", "58.55s ask p"},
			events: events{eventUnanswered: 2}},
		{name: "no answer from memcached, with grace", ttl: 60 * s, grace: 5 * s, usage: unanswered,
			want:   []string{"59.55s ask p", "1m0.55s ask p", "1m2.55s ask p"},
			events: events{eventUnanswered: 3}},

		{name: "visitors first", ttl: 60 * s, busy: until(58500 * time.Millisecond),
			want:   []string{"57.55s ask p", "58.1s ask p", "58.35s ask p", "58.6s ask p", "58.6s fetch p"},
			events: events{eventPutOff: 2, eventDone: 1}},
		{name: "visitors all the time", ttl: 4 * s, busy: always,
			want:   []string{"2s ask p", "2.55s ask p", "2.8s ask p", "3.05s ask p", "3.3s ask p", "3.55s ask p", "3.8s ask p"},
			events: events{eventPutOff: 6, eventGivenUp: 1}},
		{name: "visitors until after its time", ttl: 60 * s, grace: 30 * s, busy: until(60 * s),
			want:   []string{"59.55s ask p", "59.8s ask p", "1m0.05s ask p", "1m0.05s fetch p"},
			events: events{eventPutOff: 2, eventDone: 1}},

		{name: "another gateway at work", ttl: 60 * s, grace: 30 * s, locked: until(60 * s),
			want:   []string{"59.55s ask p", "59.9s ask p", "1m0.25s ask p", "1m0.25s ask p", "1m0.25s fetch p", "1m0.25s unlock p"},
			events: events{eventLocked: 2, eventDone: 1}},
		{name: "not storable any more", ttl: 60 * s, outcomes: []Outcome{Unstorable},
			want:   []string{"57.55s ask p", "58.1s ask p", "58.1s fetch p"},
			events: events{eventUnstorable: 1}},
		{name: "not storable any more, with grace", ttl: 60 * s, grace: 30 * s, outcomes: []Outcome{Unstorable},
			want:   []string{"59.55s ask p", "59.55s fetch p", "1m0s ask p", "1m0s delete p"},
			events: events{eventUnstorable: 1}},
		{name: "not storable any more, and memcached silent at the end", ttl: 60 * s, grace: 30 * s, outcomes: []Outcome{Unstorable},
			usage: func(at time.Duration) (*cachewriter.Usage, error) {
				if at == 60*s {
					return unanswered(at)
				}
				return &cachewriter.Usage{TTL: 90*s - at, Served: true}, nil
			},
			want:   []string{"59.55s ask p", "59.55s fetch p", "1m0s ask p", "1m1s ask p", "1m1s delete p"},
			events: events{eventUnstorable: 1, eventUnanswered: 1}},
		{name: "not storable after its time", ttl: 60 * s, grace: 30 * s, busy: until(60 * s), outcomes: []Outcome{Unstorable},
			want:   []string{"59.55s ask p", "59.8s ask p", "1m0.05s ask p", "1m0.05s fetch p", "1m0.05s delete p"},
			events: events{eventPutOff: 2, eventUnstorable: 1}},
		{name: "withdrawn", ttl: 60 * s, outcomes: []Outcome{Withdrawn},
			want:   []string{"57.55s ask p", "58.1s ask p", "58.1s fetch p", "58.1s purge p"},
			events: events{eventUnstorable: 1}},
		{name: "withdrawn, with grace", ttl: 60 * s, grace: 30 * s, outcomes: []Outcome{Withdrawn},
			want:   []string{"59.55s ask p", "59.55s fetch p", "59.55s purge p"},
			events: events{eventUnstorable: 1}},

		{name: "backend down", ttl: 60 * s, outcomes: []Outcome{Failed},
			want:   []string{"57.55s ask p", "58.1s ask p", "58.1s fetch p", "59.1s ask p", "59.1s fetch p"},
			events: events{eventFailed: 2}},
		{name: "backend down for a moment", ttl: 60 * s, outcomes: []Outcome{Failed, Stored},
			want:   []string{"57.55s ask p", "58.1s ask p", "58.1s fetch p", "59.1s ask p", "59.1s fetch p"},
			events: events{eventFailed: 1, eventDone: 1}},
		{name: "backend down without time for more", ttl: 4 * s, took: 2 * s, outcomes: []Outcome{Failed},
			want:   []string{"2s ask p", "2s fetch p"},
			events: events{eventFailed: 1}},
		{name: "backend down with time for more than one more", ttl: 60 * s, took: 5 * s, outcomes: []Outcome{Failed},
			want:   []string{"47.75s ask p", "48.5s ask p", "48.5s fetch p", "49.5s ask p", "49.5s fetch p"},
			events: events{eventFailed: 2}},
		{name: "backend down for long, with grace", ttl: 60 * s, grace: 100 * s, outcomes: []Outcome{Failed},
			want: []string{"59.55s ask p", "59.55s fetch p", "1m0.55s ask p", "1m0.55s fetch p", "1m2.55s ask p", "1m2.55s fetch p",
				"1m6.55s ask p", "1m6.55s fetch p", "1m14.55s ask p", "1m14.55s fetch p", "1m30.55s ask p", "1m30.55s fetch p",
				"2m0.55s ask p", "2m0.55s fetch p", "2m30.55s ask p", "2m30.55s fetch p"},
			events: events{eventFailed: 8}},
		{name: "backend down, with grace", ttl: 60 * s, grace: 9 * s, outcomes: []Outcome{Failed},
			want: []string{"59.55s ask p", "59.55s fetch p", "1m0.55s ask p", "1m0.55s fetch p", "1m2.55s ask p", "1m2.55s fetch p",
				"1m6.55s ask p", "1m6.55s fetch p"},
			events: events{eventFailed: 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTrial()
				x.usage = func(_ context.Context, f *Page) (*cachewriter.Usage, error) {
					x.note("ask", f)
					if tt.usage != nil {
						return tt.usage(x.at())
					}
					return x.stored(f, tt.served == nil || tt.served(x.at())), nil
				}
				fetches := 0
				x.Fetch = func(_ context.Context, f *Page) Outcome {
					x.note("fetch", f)
					if tt.outcomes == nil {
						return Stored
					}
					fetches++
					return tt.outcomes[min(fetches, len(tt.outcomes))-1]
				}
				if tt.busy != nil {
					x.Busy = func(*Page) bool { return tt.busy(x.at()) }
				}
				if tt.locked != nil {
					x.Lock = func(_ context.Context, f *Page) (func(), bool) {
						return func() { x.note("unlock", f) }, !tt.locked(x.at())
					}
				}
				x.start()
				x.Add(x.page("p", tt.ttl, tt.grace, cmp.Or(tt.took, 100*time.Millisecond)))
				time.Sleep(2 * (tt.ttl + tt.grace))
				x.stop()
				checkNoted(t, x.noted(), tt.want...)
				checkEvents(t, &x.Schedule, tt.events)
				if st := x.Stats(); st.Keys != 0 || st.Bytes != 0 || st.Fetching != 0 {
					t.Errorf("%d keys with %d bytes are held at the end, %d fetching", st.Keys, st.Bytes, st.Fetching)
				}
			})
		})
	}
}

func unanswered(time.Duration) (*cachewriter.Usage, error) { return nil, errors.New("timed out") }

// A hot page is fetched again and again; the store path adds what was stored.
func TestGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		x.Fetch = func(_ context.Context, f *Page) Outcome {
			x.note("fetch", f)
			time.Sleep(50 * time.Millisecond)
			x.Add(x.page("p", 5*time.Second, 0, 50*time.Millisecond))
			return Stored
		}
		x.start()
		x.Add(x.page("p", 5*time.Second, 0, 50*time.Millisecond))
		time.Sleep(10 * time.Minute)
		x.stop()
		fetches, last := 0, time.Duration(0)
		for _, line := range x.noted() {
			when, what, _ := strings.Cut(line, " ")
			if at, _ := time.ParseDuration(when); what == "fetch p" {
				fetches++
				if at-last > 4*time.Second {
					t.Errorf("no fetch between %v and %v: memcached may have dropped the page", last, at)
				}
				last = at
			}
		}
		if fetches < 150 || fetches > 250 {
			t.Errorf("got %d fetches in 10 minutes", fetches)
		}
		if st := x.Stats(); st.Keys != 1 || st.Events[eventDone] != uint64(fetches) {
			t.Errorf("got %+v after %d fetches", st, fetches)
		}
	})
}

// What the fetch of a page takes is averaged over its fetches.
func TestAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		x.Add(x.page("p", time.Minute, 0, time.Second))
		x.Add(x.page("p", time.Minute, 0, 5*time.Second))
		x.start()
		time.Sleep(56*time.Second + 300*time.Millisecond)
		x.stop()
		// 1 s and a quarter of the 4 s more: 2 × 2 s, 250 ms and 2 s before its end.
		checkNoted(t, x.noted(), "53.75s ask p", "54.5s ask p", "54.5s fetch p")
	})
}

func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		x.random = nil
		early, late := time.Duration(1<<62), time.Duration(0)
		for i := range 200 {
			x.Add(x.page(fmt.Sprint(i), time.Minute, 0, 0))
			at := x.pages[fmt.Sprint(i)].at.Sub(x.began)
			early, late = min(early, at), max(late, at)
		}
		if earliest, latest := 57500*time.Millisecond, 57750*time.Millisecond; early < earliest || late > latest || late-early < 150*time.Millisecond {
			t.Errorf("looked at from %v to %v, want all over from %v to %v", early, late, earliest, latest)
		}
	})
}

func TestForget(t *testing.T) {
	tests := []struct {
		name   string
		forget func(x *trial)
		want   []string
	}{
		{"nothing", func(*trial) {}, []string{"58.1s fetch a", "59.1s fetch a", "58.1s fetch b", "59.1s fetch b"}},
		{"one", func(x *trial) { x.Forget("a") }, []string{"58.1s fetch b", "59.1s fetch b"}},
		{"one that there is not", func(x *trial) { x.Forget("c") }, []string{"58.1s fetch a", "59.1s fetch a", "58.1s fetch b", "59.1s fetch b"}},
		{"all", func(x *trial) { x.Forget("a"); x.Forget("b") }, nil},
		{"one that can be asked for by visitors alone", func(x *trial) {
			f := x.page("a", time.Minute, 0, 0)
			f.Vars = nil
			x.Add(f)
		}, []string{"58.1s fetch b", "59.1s fetch b"}},
		{"one during its fetch", func(x *trial) {
			time.Sleep(58200 * time.Millisecond)
			x.Forget("a")
		}, []string{"58.1s fetch a", "58.1s fetch b", "59.6s fetch b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTrial()
				x.usage = func(_ context.Context, f *Page) (*cachewriter.Usage, error) { return x.stored(f, true), nil }
				x.Fetch = func(_ context.Context, f *Page) Outcome {
					x.note("fetch", f)
					if strings.HasPrefix(tt.name, "one during") {
						time.Sleep(500 * time.Millisecond)
					}
					return Failed
				}
				x.start()
				x.Add(x.page("a", time.Minute, 0, 100*time.Millisecond))
				x.Add(x.page("b", time.Minute, 0, 100*time.Millisecond))
				tt.forget(x)
				time.Sleep(2 * time.Minute)
				x.stop()
				got := x.noted()
				slices.SortStableFunc(got, func(a, b string) int { return cmp.Compare(a[len(a)-1], b[len(b)-1]) })
				checkNoted(t, got, tt.want...)
			})
		})
	}
}

// When a backend is back nothing waits for its next try.
func TestHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		var back atomic.Bool
		x.Fetch = func(_ context.Context, f *Page) Outcome {
			if !back.Load() {
				return Failed
			}
			x.note("fetch", f)
			return Stored
		}
		x.start()
		x.Add(x.page("down", 10*time.Second, time.Hour, 0))
		x.Add(x.page("later", time.Hour, time.Hour, 0))
		time.Sleep(10 * time.Minute)
		x.noted()
		back.Store(true)
		x.Hurry()
		synctest.Wait()
		checkNoted(t, x.noted(), "10m0s ask down", "10m0s fetch down")
		x.stop()
	})
}

// Fetches keep to their slots.
func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		x.Concurrency = 3
		var g gauge
		x.Fetch = func(context.Context, *Page) Outcome {
			defer g.enter()()
			time.Sleep(time.Second)
			return Stored
		}
		x.start()
		for i := range 9 {
			x.Add(x.page(fmt.Sprint(i), time.Minute, time.Minute, 10*time.Second))
		}
		time.Sleep(59 * time.Second)
		x.stop()
		if got := x.Stats().Events[eventDone]; got != 9 || g.most != 3 {
			t.Errorf("%d pages fetched, at most %d at once; want 9, 3 at once", got, g.most)
		}
	})
}

// A gauge counts who is inside, and the most that ever were.
type gauge struct {
	mu        sync.Mutex // guards the two
	now, most int
}

func (g *gauge) enter() (leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now++
	g.most = max(g.most, g.now)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.now--
	}
}

// Of the pages that wait for a slot the one that expires first gets it, and one that
// has expired gets none.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		x.Concurrency = 1
		x.usage = func(_ context.Context, f *Page) (*cachewriter.Usage, error) { return x.stored(f, true), nil }
		x.Fetch = func(_ context.Context, f *Page) Outcome {
			x.note("fetch", f)
			time.Sleep(f.Took)
			return Stored
		}
		x.start()
		x.Add(x.page("first", 80*time.Second, time.Minute, 20*time.Second))
		x.Add(x.page("early, but not urgent", 70*time.Second, time.Minute, 12*time.Second))
		x.Add(x.page("urgent", 60*time.Second, time.Minute, 5*time.Second))
		x.Add(x.page("too late", 50*time.Second, 0, time.Second))
		time.Sleep(2 * time.Minute)
		x.stop()
		checkNoted(t, x.noted(), "40s fetch first", "1m0s fetch urgent", "1m5s fetch early, but not urgent")
		checkEvents(t, &x.Schedule, events{eventDone: 3, eventGivenUp: 1})
	})
}

// A memcached that hangs holds up few goroutines, and no fetch of another page.
func TestLooksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		var g gauge
		x.usage = func(context.Context, *Page) (*cachewriter.Usage, error) {
			defer g.enter()()
			time.Sleep(250 * time.Millisecond)
			return nil, errors.New("timed out")
		}
		x.start()
		for i := range 100 {
			x.Add(x.page(fmt.Sprint(i), time.Minute, 0, 0))
		}
		time.Sleep(2 * time.Minute)
		x.stop()
		if st := x.Stats(); g.most != maxLooks || st.Keys != 0 {
			t.Errorf("%d questions at once, want %d; %d pages left", g.most, maxLooks, st.Keys)
		}
	})
}

// The end of run ends what is under way.
func TestStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		ended := false
		x.Fetch = func(ctx context.Context, _ *Page) Outcome {
			<-ctx.Done()
			ended = true
			return Failed
		}
		x.start()
		x.Add(x.page("p", time.Minute, 0, 0))
		time.Sleep(59 * time.Second)
		if got := x.Stats().Fetching; got != 1 {
			t.Errorf("%d fetches under way, want 1", got)
		}
		x.stop()
		if !ended {
			t.Error("run has ended before the fetch")
		}
	})
}

// What has come in the place of a page is not deleted for its sake.
func TestDeletesNoOther(t *testing.T) {
	tests := []struct {
		name     string
		served   bool
		another  func(x *trial)
		deletion bool
	}{
		{"cold", false, func(*trial) {}, true},
		{"not storable", true, func(*trial) {}, true},
		{"cold, and filled by a visitor", false, func(x *trial) { x.Add(x.page("p", time.Hour, 0, 0)) }, false},
		{"not storable, and filled by a visitor", true, func(x *trial) { x.Add(x.page("p", time.Hour, 0, 0)) }, false},
		{"cold, and forgotten", false, func(x *trial) { x.Forget("p") }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTrial()
				x.usage = func(_ context.Context, f *Page) (*cachewriter.Usage, error) {
					time.Sleep(100 * time.Millisecond)
					return x.stored(f, tt.served), nil
				}
				x.Busy = func(f *Page) bool { return time.Now().Before(f.Soft) }
				x.Fetch = func(context.Context, *Page) Outcome {
					time.Sleep(100 * time.Millisecond)
					return Unstorable
				}
				x.start()
				x.Add(x.page("p", time.Minute, time.Minute, 0))
				time.Sleep(60*time.Second + 50*time.Millisecond)
				tt.another(x)
				time.Sleep(time.Minute)
				x.stop()
				if got := len(x.noted()) > 0; got != tt.deletion {
					t.Errorf("deleted: %v, want %v", got, tt.deletion)
				}
			})
		})
	}
}

// The page whose turn is farthest away makes room.
func TestMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		x.MaxKeys = 3
		for i, minutes := range []time.Duration{3, 9, 5, 1, 7} {
			x.Add(x.page(fmt.Sprint(i), minutes*time.Minute, 0, 0))
		}
		checkHeld(t, x, "0", "2", "3")
		checkEvents(t, &x.Schedule, events{eventDropped: 2})

		x.MaxBytes = x.Stats().Bytes - 1
		x.Add(x.page("0", 3*time.Minute, 0, 0)) // replaces, and finds that there is too much
		checkHeld(t, x, "0", "3")
		x.MaxBytes = 1
		x.Add(x.page("4", time.Hour, 0, 0))
		checkHeld(t, x)
	})
}

func checkHeld(t *testing.T, x *trial, want ...string) {
	t.Helper()
	var got []string
	var bytes int64
	for key, p := range x.pages {
		got = append(got, key)
		bytes += p.size()
	}
	slices.Sort(got)
	if !slices.Equal(got, want) || x.bytes != bytes {
		t.Errorf("holds %q with %d bytes, which it takes for %d; want %q", got, bytes, x.bytes, want)
	}
}

// One line says that memcached cannot.
func TestNoMetaIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		x := newTrial()
		x.Log = zap.New(core)
		x.usage = func(context.Context, *Page) (*cachewriter.Usage, error) { return nil, cachewriter.ErrNoMeta }
		x.start()
		for i := range 3 {
			x.Add(x.page(fmt.Sprint(i), time.Minute, 0, 0))
		}
		time.Sleep(time.Minute)
		x.stop()
		if st := x.Stats(); logs.Len() != 1 || st.Events[eventNoMeta] != 3 || st.Keys != 0 {
			t.Errorf("%d lines, and %+v", logs.Len(), st)
		}
	})
}

// The lock is asked for first, and then memcached once more: another gateway may
// have fetched the page in between.
func TestLocksAndLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTrial()
		locked := false
		x.Lock = func(_ context.Context, f *Page) (func(), bool) {
			locked = true
			return func() { x.note("unlock", f) }, true
		}
		x.usage = func(_ context.Context, f *Page) (*cachewriter.Usage, error) {
			x.note("ask", f)
			u := x.stored(f, true)
			if locked {
				u.TTL = time.Minute
			}
			return u, nil
		}
		x.start()
		x.Add(x.page("p", time.Minute, 0, 0))
		time.Sleep(time.Minute)
		x.stop()
		checkNoted(t, x.noted(), "57.75s ask p", "58.5s ask p", "58.5s ask p", "58.5s unlock p")
		checkEvents(t, &x.Schedule, events{eventElsewhere: 1})
	})
}

// Whatever comes in whatever order, the books are right, nothing is fetched twice at
// once, and in the end nothing is left.
func TestRandomly(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			x := newTrial()
			x.MaxKeys, x.random = 40, nil
			var mu sync.Mutex // guards what follows, and r
			fetching := make(map[*Page]bool)
			var over atomic.Bool
			chance := func(n int) bool {
				mu.Lock()
				defer mu.Unlock()
				return r.IntN(n) == 0
			}
			some := func(n int) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return time.Duration(r.IntN(n)) * 10 * time.Millisecond
			}
			x.usage = func(_ context.Context, f *Page) (*cachewriter.Usage, error) {
				time.Sleep(some(10))
				switch {
				case over.Load() || chance(10):
					return nil, nil
				case chance(10):
					return nil, errors.New("timed out")
				}
				return x.stored(f, !chance(4)), nil
			}
			x.Busy = func(*Page) bool { return chance(5) }
			x.Lock = func(context.Context, *Page) (func(), bool) { return func() {}, !chance(5) }
			x.Fetch = func(_ context.Context, f *Page) Outcome {
				mu.Lock()
				if fetching[f] {
					t.Errorf("%s is being fetched already", f.Entry.Key)
				}
				fetching[f] = true
				mu.Unlock()
				time.Sleep(some(300))
				mu.Lock()
				delete(fetching, f)
				mu.Unlock()
				switch {
				case chance(6):
					return Failed
				case over.Load() || chance(6):
					return Unstorable
				}
				x.Add(x.page(f.Entry.Key, 3*time.Second+some(3000), some(1000), some(300)))
				return Stored
			}
			x.start()
			for range 2000 {
				key := fmt.Sprint(some(60) / 10)
				switch {
				case chance(20):
					x.Hurry()
				case chance(4):
					x.Forget(key)
				default:
					x.Add(x.page(key, some(6000), some(1000), some(300)))
				}
				time.Sleep(some(20))
				checkBooks(t, &x.Schedule)
			}
			over.Store(true)
			time.Sleep(time.Minute)
			x.stop()
			checkBooks(t, &x.Schedule)
			if st := x.Stats(); st.Keys != 0 || st.Bytes != 0 || st.Fetching != 0 {
				t.Errorf("left: %+v", st)
			}
		})
	}
}

// checkBooks compares what a Schedule knows with what it says.
func checkBooks(t *testing.T, r *Schedule) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var bytes int64
	inHand := len(r.pages)
	for key, p := range r.pages {
		bytes += p.size()
		if p.Entry.Key != key {
			t.Fatalf("%q stands under %q", p.Entry.Key, key)
		}
		if p.queue != nil {
			inHand--
			if p.queue.pages[p.place[0]] != p || p.queue == &r.waiting && r.farthest.pages[p.place[1]] != p {
				t.Fatalf("%q does not stand where it says", key)
			}
		}
	}
	switch {
	case bytes != r.bytes:
		t.Fatalf("%d bytes held, %d counted", bytes, r.bytes)
	case r.waiting.Len() != r.farthest.Len() || r.waiting.Len()+r.ready.Len()+inHand != len(r.pages):
		t.Fatalf("%d and %d wait, %d are ready, %d in hand, of %d", r.waiting.Len(), r.farthest.Len(), r.ready.Len(), inHand, len(r.pages))
	case len(r.pages) > r.maxKeys():
		t.Fatalf("%d pages held, at most %d allowed", len(r.pages), r.maxKeys())
	case r.fetching > r.concurrency() || r.looking > maxLooks || inHand > r.fetching+r.looking:
		t.Fatalf("%d fetches, %d looks, %d pages in hand", r.fetching, r.looking, inHand)
	}
}

// TestReal asks a real memcached.
func TestReal(t *testing.T) {
	socket := startRealMemcached(t)
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: "unix:" + socket})
	if err != nil {
		t.Fatal(err)
	}
	store := &cachewriter.Writer{Ring: ring, Copies: true, DialTimeout: patience, Timeout: patience}
	defer store.Close(t.Context())
	entry := cachewriter.Entry{Key: "/a b", Body: []byte("hello"), Expires: time.Now().Add(2500 * time.Millisecond)}
	if err := store.Put(entry); err != nil {
		t.Fatal(err)
	}
	r := &Schedule{Store: store}
	r.init()
	f := &Page{Entry: cachewriter.Entry{Key: entry.Key}, Vars: uwsgi.Vars{{Name: "REQUEST_URI", Value: "/a%20b"}},
		Soft: time.Now().Add(time.Minute), Hard: time.Now().Add(time.Minute)}
	fetches := make(chan *Page)
	r.Fetch = func(_ context.Context, f *Page) Outcome {
		fetches <- f
		return Stored
	}
	ask := func() *cachewriter.Usage {
		u, err := r.ask(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	eventually(t, "stored", func() bool { return ask() != nil })
	if u := ask(); u.Served || u.TTL > 2*time.Second {
		t.Errorf("got %+v before anyone came", u)
	}
	hitMemcached(t, socket, "/a%20b")
	if u := ask(); !u.Served {
		t.Errorf("got %+v after a visit", u)
	}

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(done)
	}()
	r.Add(f)
	r.mu.Lock()
	p := r.pages[f.Entry.Key]
	r.leave(p)
	p.at = time.Now() // instead of a minute's waiting
	r.wait(p)
	r.mu.Unlock()
	if got := <-fetches; got != f {
		t.Errorf("fetched %+v, want %+v", got, f)
	}
	cancel()
	<-done
	r.Add(f)
	lastGood := f.Entry.Sibling(cachewriter.KindCopy)
	lastGood.Body, lastGood.Expires = []byte("copy"), time.Now().Add(time.Hour)
	copied := func() bool {
		item, err := store.Get(t.Context(), lastGood)
		return err == nil && item != nil
	}
	if err := store.Put(lastGood); err != nil {
		t.Fatal(err)
	}
	eventually(t, "copied", copied)
	r.delete(t.Context(), r.pages[f.Entry.Key], r.expired)
	if u := ask(); u != nil || !copied() {
		t.Errorf("got %+v after it was deleted; its copy is there: %v", u, copied())
	}
	r.delete(t.Context(), r.pages[f.Entry.Key], r.purged)
	if copied() {
		t.Error("it was withdrawn, and its copy is there")
	}
}

// startRealMemcached returns the path of its socket.
func startRealMemcached(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("memcached")
	switch {
	case err != nil && os.Getenv("UWGATE_TEST_STACK") == "1":
		t.Fatalf("%v, and UWGATE_TEST_STACK=1", err)
	case err != nil:
		t.Skip(err)
	}
	socket := filepath.Join(t.TempDir(), "m")
	args := []string{"-s", socket, "-m", "16", "-t", "1"}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, "memcached listens", func() bool {
		nc, err := net.Dial("unix", socket)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return socket
}

// hitMemcached reads a page as nginx does.
func hitMemcached(t *testing.T, socket, key string) {
	t.Helper()
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "get %s\r\n", key)
	buf := make([]byte, 256)
	if n, err := nc.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "VALUE ") {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
}

// BenchmarkAdd replaces one of as many pages as are held.
func BenchmarkAdd(b *testing.B) {
	r, fills := fullRefresher()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Add(fills[i%len(fills)])
	}
}

// BenchmarkAddFull adds pages for which others must go.
func BenchmarkAddFull(b *testing.B) {
	r, _ := fullRefresher()
	fills := refills(2*r.maxKeys(), "other")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Add(fills[i%len(fills)])
	}
}

// BenchmarkTurn takes the page whose turn is next, and puts it back.
func BenchmarkTurn(b *testing.B) {
	r, _ := fullRefresher()
	b.ReportAllocs()
	for b.Loop() {
		p := r.waiting.first()
		r.leave(p)
		p.at = p.at.Add(time.Hour)
		r.wait(p)
	}
}

func fullRefresher() (*Schedule, []*Page) {
	r := &Schedule{}
	fills := refills(r.maxKeys(), "page")
	for _, f := range fills {
		r.Add(f)
	}
	return r, fills
}

func refills(n int, name string) []*Page {
	fills := make([]*Page, n)
	for i := range fills {
		ttl := time.Hour + time.Duration(rand.IntN(3600))*time.Second
		fills[i] = &Page{Entry: cachewriter.Entry{Key: fmt.Sprint(name, i)}, Vars: uwsgi.Vars{{Name: "REQUEST_URI", Value: "/"}},
			Took: 100 * time.Millisecond, Soft: time.Now().Add(ttl), Hard: time.Now().Add(ttl)}
	}
	return fills
}
