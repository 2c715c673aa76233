package cachewriter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A site is an application whose pages change, two gateways that fill one memcached, and
// what may not be found any more. A page is purged after it has changed. When the purge has
// returned, no body of before the change may be found, however the fills were delayed: not
// at all if the same gateway has stored it, and not after its fill has ended if the other
// one has, which looks at the purges once more after it has stored a page.
type site struct {
	t     *testing.T
	m     memcached
	gates [2]*Writer
	pages [24]sitePageState
	fills [1 << 16]sitePageFill
	next  atomic.Int64
	stats struct{ stored, refused, found, purges atomic.Int64 }
}

type sitePageState struct {
	entry   Entry
	version atomic.Int64    // what the application shows now
	floor   atomic.Int64    // what must be shown at least
	own     [2]atomic.Int64 // what must be shown at least of what this gateway has stored
}

type sitePageFill struct {
	stored atomic.Bool // it has ended, and has stored the page
}

func newSite(t *testing.T, m memcached) *site {
	s := &site{t: t, m: m}
	for i := range s.gates {
		s.gates[i] = newWriter(t, m.address())
		s.gates[i].Subject, s.gates[i].Copies = told, true
	}
	for i := range s.pages {
		host, uri := fmt.Sprintf("%c.example", 'a'+i%3), fmt.Sprintf("/%c/%d", 'a'+i%4, i)
		tags := []string{"all", fmt.Sprint("t", i%5), fmt.Sprint("t ", i%7)}
		e := sitePage(host, uri, tags[:i%4]...)
		if i%6 == 0 {
			e = handedOver(fmt.Sprint(":1:", i), host, uri, tags[:i%4]...)
		}
		e.Subject.Host, e.Subject.URI = host, uri
		s.pages[i].entry = e
	}
	return s
}

// fill requests a page and stores it, sometimes late.
func (s *site) fill(r *rand.Rand) {
	p := &s.pages[r.IntN(len(s.pages))]
	id := s.next.Add(1) % int64(len(s.fills))
	f := &s.fills[id]
	e, began := p.entry, time.Now()
	version := p.version.Load()
	gate := r.IntN(len(s.gates))
	f.stored.Store(false)
	e.Body = fmt.Appendf(nil, "%d %d %d %s", version, id, gate, strings.Repeat("x", r.IntN(2000)))
	e.Began, e.Expires = began, began.Add(time.Hour)
	done := make(chan error, 1)
	e.Done = func(err error) {
		f.stored.Store(err == nil)
		done <- err
	}
	time.Sleep(delay(r))
	err := s.gates[gate].Put(e)
	if err == nil {
		if r.IntN(4) == 0 {
			c := lastGood(e, fmt.Sprint(version, " ", id, " ", gate))
			c.Began = began
			s.gates[gate].Put(c)
		}
		err = <-done
	}
	if err == nil {
		s.stats.stored.Add(1)
	} else {
		s.stats.refused.Add(1)
	}
}

// delay is that of a worker, or of a server: now and then it is longer than a purge.
func delay(r *rand.Rand) time.Duration {
	return time.Duration(rand.ExpFloat64() * float64(r.IntN(3)) * float64(8*time.Millisecond))
}

// slowSets makes the fake store late, now and then.
func slowSets(command string) act {
	if !strings.HasPrefix(command, "set ") || rand.IntN(4) > 0 {
		return act{}
	}
	hold := make(chan struct{})
	time.AfterFunc(delay(rand.New(rand.NewPCG(rand.Uint64(), 0))), func() { close(hold) })
	return act{hold: hold}
}

// purge changes all pages that a purge matches, and purges them then.
func (s *site) purge(r *rand.Rand) {
	gate := r.IntN(len(s.gates))
	w := s.gates[gate]
	one := &s.pages[r.IntN(len(s.pages))]
	subject := one.entry.Subject
	scopes := []Scope{
		{Kind: ScopeURL, Host: subject.Host, URI: subject.URI}, {Kind: ScopePath, URI: subject.URI}, tagScope("t1"), tagScope("t 2"),
		{Kind: ScopeTag, Host: subject.Host, Tag: "t3"},
		{Kind: ScopePrefix, Host: subject.Host, URI: subject.URI[:2]}, {Kind: ScopeSite, Host: subject.Host}, tagScope("all"), {Kind: ScopeAll},
	}
	scope := scopes[min(r.IntN(len(scopes)), r.IntN(len(scopes)))] // large ones are rarer
	matches := scope.Matches
	exact := r.IntN(3) > 0
	if exact {
		matches = func(page Subject) bool { return page.URI == subject.URI && page.Host == subject.Host }
	}
	var floors []func()
	for i := range s.pages {
		if p := &s.pages[i]; matches(p.entry.Subject) {
			version := p.version.Add(1)
			floors = append(floors, func() { raise(&p.floor, version); raise(&p.own[gate], version) })
		}
	}
	if exact {
		if err := w.Delete(context.Background(), Entry{Key: one.entry.Key}); err != nil {
			s.t.Errorf("Delete: %v", err)
		}
	} else {
		for _, result := range w.PurgeMatching(context.Background(), Purge{Scopes: []Scope{scope}}) {
			if result.Err != nil || result.Pending || result.Incomplete != "" {
				s.t.Errorf("purge of %v: %+v", scope, result)
			}
		}
	}
	s.stats.purges.Add(1)
	for _, set := range floors {
		set()
	}
}

func raise(floor *atomic.Int64, to int64) {
	for {
		old := floor.Load()
		if old >= to || floor.CompareAndSwap(old, to) {
			return
		}
	}
}

// look is a visitor.
func (s *site) look(d *Direct, r *rand.Rand) {
	p := &s.pages[r.IntN(len(s.pages))]
	key := p.entry.Key
	if r.IntN(4) == 0 {
		key = Sibling(KindCopy, key)
	}
	floor, own := p.floor.Load(), [2]int64{p.own[0].Load(), p.own[1].Load()}
	item, err := d.Get(context.Background(), key)
	if err != nil {
		s.t.Error(err)
	}
	if item == nil {
		return
	}
	s.stats.found.Add(1)
	var version, id, gate int64
	fmt.Sscan(string(item.Value), &version, &id, &gate)
	if version >= floor {
		return
	}
	if version < own[gate] {
		s.t.Errorf("%q holds version %d, but gateway %d has purged all before %d", key, version, gate, own[gate])
	}
	if s.fills[id].stored.Load() && key == p.entry.Key {
		s.t.Errorf("%q holds version %d, and it was stored for good; %d is the least", key, version, floor)
	}
}

// settle checks all pages when nothing is under way any more.
func (s *site) settle(d *Direct) {
	for _, w := range s.gates {
		settled(s.t, w)
		await(s.t, "no delete is pending", func() bool { return w.Stats().Total.Pending.Entries == 0 })
	}
	for i := range s.pages {
		p := &s.pages[i]
		for _, key := range []string{p.entry.Key, Sibling(KindCopy, p.entry.Key)} {
			item, err := d.Get(s.t.Context(), key)
			if err != nil {
				s.t.Fatal(err)
			}
			var version int64
			if item != nil {
				fmt.Sscan(string(item.Value), &version)
			}
			if item != nil && version < p.floor.Load() {
				s.t.Errorf("in the end %q holds version %d, and %d is the least", key, version, p.floor.Load())
			}
		}
	}
}

// press stores values of others, so that memcached evicts.
func press(d *Direct, r *rand.Rand) {
	d.Add(context.Background(), fmt.Sprint("foreign", r.IntN(1<<20)), make([]byte, 1<<r.IntN(14)), 0, time.Hour)
}

// testNoOlderBody runs two gateways, visitors and purges of all kinds against each other.
func testNoOlderBody(t *testing.T, m memcached, purges int, evict bool) {
	s := newSite(t, m)
	if f, ok := m.(*fake); ok {
		f.on(slowSets)
	}
	var all, purging sync.WaitGroup
	var over atomic.Bool
	run := func(wg *sync.WaitGroup, more func(i int) bool, one func(d *Direct, r *rand.Rand)) {
		seed := rand.Uint64()
		wg.Go(func() {
			d := NewDirect(m.address(), time.Minute)
			defer d.Close()
			r := rand.New(rand.NewPCG(seed, seed))
			for i := 0; more(i); i++ {
				one(d, r)
			}
		})
	}
	untilOver := func(int) bool { return !over.Load() }
	for range 16 {
		run(&all, untilOver, func(_ *Direct, r *rand.Rand) { s.fill(r) })
	}
	for range 2 {
		run(&all, untilOver, s.look)
		run(&purging, func(i int) bool { return i < purges/2 }, func(_ *Direct, r *rand.Rand) { s.purge(r) })
	}
	if evict {
		run(&all, untilOver, press)
	}
	purging.Wait()
	over.Store(true)
	all.Wait()
	d := NewDirect(m.address(), time.Minute)
	defer d.Close()
	s.settle(d)
	t.Logf("%d stored, %d refused, %d found, %d purges", s.stats.stored.Load(), s.stats.refused.Load(), s.stats.found.Load(), s.stats.purges.Load())
	if s.stats.stored.Load() == 0 || s.stats.refused.Load() == 0 || s.stats.found.Load() == 0 {
		t.Error("it has shown nothing")
	}
	if evict && strings.Contains(strings.Join(ask(t, m, "stats", "END"), "\n"), "STAT evictions 0") {
		t.Error("nothing was evicted")
	}
}
