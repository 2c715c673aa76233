package cachewriter

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var logTests = []purgeLog{
	{process: "p"},
	{process: "p", wall: 1, purges: []loggedPurge{
		{tombstone{"p", 1, 2}, 0, Scope{Kind: ScopeAll}},
		{tombstone{"q", -1, -2}, 3, Scope{ScopeTag, "a.example", "", "a b\n,1:x,"}},
		{tombstone{noProcess, 1, 0}, 0, Scope{ScopePrefix, "", "/\x00\xff", ""}},
	}},
}

func TestPurgeLog(t *testing.T) {
	for _, want := range logTests {
		value := want.append(nil)
		if got, ok := parsePurgeLog(string(value)); !ok || !reflect.DeepEqual(*got, want) {
			t.Errorf("%q is parsed as %+v, %v", value, got, ok)
		}
	}
	all := "1 p 1\n" + string(appendNetstring(nil, "p 1 1 0 all 0:,0:,0:,"))
	if _, ok := parsePurgeLog(all); !ok {
		t.Fatalf("%q cannot be parsed", all)
	}
	for _, bad := range []string{"", "1 p 1", "1 p\n", "1 p x\n", "2 p 1\n", all + "x", all[:len(all)-1],
		strings.Replace(all, "all", "odd", 1), strings.Replace(all, "1 1 0", "1 1 x", 1), strings.Replace(all, "0:,0:,0:", "0:,0:,1:", 1)} {
		if l, ok := parsePurgeLog(bad); ok {
			t.Errorf("%q is parsed as %+v", bad, l)
		}
	}
}

func FuzzPurgeLog(f *testing.F) {
	for _, l := range logTests {
		f.Add(l.append(nil))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		l, ok := parsePurgeLog(string(value))
		if !ok {
			return
		}
		again, ok := parsePurgeLog(string(l.append(nil)))
		if !ok || !reflect.DeepEqual(l, again) {
			t.Errorf("%q is written as %q", value, l.append(nil))
		}
		l.add(l.wall, []loggedPurge{{scope: Scope{Kind: ScopeAll}}})
		if n := len(l.append(nil)); n > maxPurgeLog+maxLoggedScope {
			t.Errorf("%d bytes", n)
		}
	})
}

// Whatever a log forgets when it is changed, it forbids every page that it forbade before.
func TestPurgeLogForgetsNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	start := time.Now()
	procs := []process{newProcess(start), newProcess(start.Add(-time.Hour)), newProcess(start)}
	hosts, tags := []string{"", "a", "b"}, []string{"x", "y", strings.Repeat("z", 300), strings.Repeat("y", 2000)}
	l := &purgeLog{process: procs[0].id, wall: start.UnixNano()}
	var all []loggedPurge
	for i := range 300 {
		now := start.Add(time.Duration(i) * 50 * time.Millisecond)
		at := now.Add(-time.Duration(r.IntN(1000)) * time.Millisecond)
		p := loggedPurge{tombstone: procs[r.IntN(len(procs))].tombstone(at), moves: r.IntN(10) / 9}
		switch p.scope = (Scope{ScopeTag, hosts[r.IntN(3)], "", tags[r.IntN(4)]}); r.IntN(10) {
		case 0:
			p.scope = Scope{Kind: ScopeSite, Host: "a"}
		case 1:
			p.scope = Scope{Kind: ScopePrefix, Host: "b", URI: fmt.Sprint("/", r.IntN(50))}
		}
		all = append(all, p)
		l.add(now.UnixNano(), []loggedPurge{p})
		if n := len(l.append(nil)); n > maxPurgeLog {
			t.Fatalf("it has %d bytes after %d purges", n, i+1)
		}
		for range 100 {
			page := Subject{Host: hosts[r.IntN(3)], URI: fmt.Sprint("/", r.IntN(50)), Tags: tags[:r.IntN(5)]}
			began := now.Add(-time.Duration(r.IntN(3000)) * time.Millisecond)
			own := procs[r.IntN(len(procs))]
			before := purgeLog{purges: all}
			if before.forbids(own, page, began, 0) && !l.forbids(own, page, began, 0) {
				t.Fatalf("after %d purges: %.80v of %v is not forbidden any more", i+1, page, began.Sub(start))
			}
		}
	}
	l.add(start.Add(time.Hour).UnixNano(), nil)
	if len(l.purges) != 0 {
		t.Errorf("after an hour it has %d purges", len(l.purges))
	}
}

// A purge that is repeated takes the place of the former.
func TestPurgeLogRepeated(t *testing.T) {
	now := time.Now()
	p, l := newProcess(now), &purgeLog{}
	for i := range 100 {
		at := now.Add(time.Duration(i) * time.Second)
		l.add(at.UnixNano(), []loggedPurge{{tombstone: p.tombstone(at), scope: Scope{Kind: ScopeTag, Tag: "a"}}})
	}
	if len(l.purges) != 1 || l.purges[0].since != 99*time.Second {
		t.Errorf("it has %d purges: %+v", len(l.purges), l.purges)
	}
}

// logPurges writes purges to a server's log, as PurgeMatching does.
func logPurges(t *testing.T, w *Writer, addr string, at time.Time, scopes ...Scope) {
	t.Helper()
	s := w.servers().stores[addr]
	c := s.checkOut()
	defer s.checkIn(c)
	var purges []loggedPurge
	for _, scope := range scopes {
		purges = append(purges, loggedPurge{tombstone: w.process.tombstone(at), scope: scope})
	}
	if err := c.plain.link.do(t.Context(), func() error { return c.plain.writePurgeLog(s, purges) }); err != nil {
		t.Fatal(err)
	}
}

func logAt(t *testing.T, f *fake, key string) *purgeLog {
	t.Helper()
	value, _ := f.value(key)
	l, ok := parsePurgeLog(value)
	if !ok {
		t.Fatalf("the log is %q", value)
	}
	return l
}

// A page that was requested before a wide purge by another gateway is not stored, and
// others are. So it is with its copy.
func testPurgeLogHolds(t *testing.T, m memcached) {
	a, b := newWriter(t, m.address()), newWriter(t, m.address())
	put(t, b, page("warm", "x")) // it has read when there was no log
	settled(t, b)
	logPurges(t, a, m.address(), time.Now(), Scope{Kind: ScopeTag, Tag: "x"}, Scope{Kind: ScopePrefix, Host: "a.example", URI: "/old"})
	tests := []struct {
		e    Entry
		want error
	}{
		{tagged("1", "x"), ErrPurged},
		{tagged("2", "xx", "x y"), nil},
		{tagged("old"), ErrPurged},
		{tagged("3"), nil},
		{Entry{Key: "unknown", Body: []byte("?"), Expires: time.Now().Add(time.Minute)}, ErrPurged},
		{askedFor(tagged("1", "x"), -2*clockSkew), nil},
	}
	for _, tt := range tests {
		e := tt.e
		if e.Began.IsZero() {
			e.Began = time.Now().Add(-time.Second)
		}
		done := make(chan error, 2)
		e.Done = func(err error) { done <- err }
		c := lastGood(e, "copy")
		c.Began, c.Done = e.Began, e.Done
		put(t, b, e)
		put(t, b, c)
		for range 2 {
			if err := <-done; err != tt.want {
				t.Errorf("%s: done with %v, want %v", e.Key, err, tt.want)
			}
		}
		if got := get(t, m, e.Key) + get(t, m, c.Key); (got == "") != (tt.want != nil) {
			t.Errorf("%s: memcached holds %q", e.Key, got)
		}
	}
}

// Gateways that change the log at the same time lose nothing.
func testPurgeLogInACrowd(t *testing.T, m memcached) {
	const gateways, purges = 4, 10
	results := make(chan error)
	for g := range gateways {
		w := newWriter(t, m.address())
		go func() {
			s := w.servers().stores[m.address()]
			c := s.checkOut()
			defer s.checkIn(c)
			var err error
			for i := range purges {
				one := []loggedPurge{{tombstone: w.process.tombstone(time.Now()), scope: Scope{Kind: ScopeTag, Tag: fmt.Sprint(g, " ", i)}}}
				if err == nil {
					err = c.plain.link.do(w.life, func() error { return c.plain.writePurgeLog(s, one) })
				}
			}
			results <- err
		}()
	}
	for range gateways {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	for _, key := range purgeLogKeys {
		_, value, _ := strings.Cut(get(t, m, key), "\n")
		if l, ok := parsePurgeLog(value); !ok || len(l.purges) != gateways*purges {
			t.Errorf("%s: the log is %q", key, value)
		}
	}
}

// A purge between the two reads of the log is seen by the second.
func TestLoggedBetweenTheReads(t *testing.T) {
	f := startFake(t)
	a, b := newWriter(t, f.addr), newWriter(t, f.addr)
	hold := make(chan struct{})
	f.on(onCommand("set k", act{hold: hold}))
	put(t, b, askedFor(tagged("k", "a"), time.Second))
	await(t, "it has looked", func() bool { return len(f.commands("set k")) == 1 })
	logPurges(t, a, f.addr, time.Now(), Scope{Kind: ScopeTag, Tag: "a"})
	close(hold)
	wantDropped(t, settled(t, b), DropPurged, 1)
	wantValue(t, f, "k", "")
}

// A log in the form of a later version forbids every page. Whoever changes it makes it a
// purge of all pages.
func TestPurgeLogOfALaterVersion(t *testing.T) {
	f := startFake(t)
	for _, key := range purgeLogKeys {
		f.items[key] = fakeItem{body: []byte("2 what=ever")}
	}
	w, other := newWriter(t, f.addr), newWriter(t, f.addr)
	put(t, w, tagged("k"))
	wantDropped(t, settled(t, w), DropPurged, 1)
	logPurges(t, w, f.addr, time.Now(), Scope{Kind: ScopeTag, Tag: "a"})
	put(t, other, askedFor(tagged("k"), time.Second))
	wantDropped(t, settled(t, other), DropPurged, 1)
	put(t, w, askedFor(tagged("k"), -1))
	if s := settled(t, w); s.Stored != 1 {
		t.Errorf("counted %+v", s)
	}
}

// If clocks are wrong, the log's age by memcached counts, and the purges in it keep their
// ages when others change the log.
func TestPurgeLogClocks(t *testing.T) {
	for _, off := range []time.Duration{0, -time.Hour, time.Hour, 3 * time.Second} {
		f := startFake(t)
		a, b, c := newWriter(t, f.addr), newWriter(t, f.addr), newWriter(t, f.addr)
		right := new(clock)
		right.advance(time.Hour)
		wrong := new(clock)
		wrong.advance(time.Hour + off)
		a.now, b.now, c.now = wrong.now, right.now, right.now
		tag := func(name string) Scope { return Scope{Kind: ScopeTag, Tag: name} }
		age := func(d time.Duration) {
			right.advance(d)
			wrong.advance(d)
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, key := range purgeLogKeys {
				it := f.items[key]
				it.exptime -= int64(d / time.Second)
				f.items[key] = it
			}
		}
		began := func(e Entry, ago time.Duration) Entry {
			e.Began, e.Expires = right.now().Add(-ago), right.now().Add(time.Hour)
			return e
		}
		purged := func(w *Writer, e Entry) bool {
			t.Helper()
			done := make(chan error, 1)
			e.Done = func(err error) { done <- err }
			put(t, w, e)
			return <-done == ErrPurged
		}
		logPurges(t, a, f.addr, a.now(), tag("a"))
		age(100 * time.Second)
		check := func(when string) {
			t.Helper()
			if !purged(c, began(tagged("k", "a"), 101*time.Second)) {
				t.Errorf("off %v, %s: an old page is stored", off, when)
			}
			if purged(c, began(tagged("k", "a"), 90*time.Second)) {
				t.Errorf("off %v, %s: a new page is not stored", off, when)
			}
		}
		check("at first")
		logPurges(t, b, f.addr, b.now(), tag("b"))
		check("after b")
		logPurges(t, a, f.addr, a.now(), tag("c"))
		check("after a")
		l := logAt(t, f, purgeLogKeys[0])
		if len(l.purges) != 3 || l.process != a.process.id || l.purges[0].moves != 0 {
			t.Errorf("off %v: the log is %+v", off, l)
		}
		slow := began(tagged("k", "a"), 101*time.Second)
		slow.Began, slow.Expires = wrong.now().Add(-100*time.Second), wrong.now().Add(time.Hour)
		if !purged(a, slow) {
			t.Errorf("off %v: the process that purged stores a page of that moment", off)
		}
		slow.Began = slow.Began.Add(1)
		if purged(a, slow) {
			t.Errorf("off %v: the process that purged does not store a page of the moment after", off)
		}
	}
}

// What this Writer has purged itself does not depend on the log.
func TestWidePurges(t *testing.T) {
	now := time.Now()
	var w widePurges
	if w.since(Subject{}, now) {
		t.Error("without purges something is purged")
	}
	page := Subject{Host: "a", Tags: []string{"x"}}
	w.note([]Scope{{Kind: ScopeTag, Tag: "x"}}, now)
	if !w.since(page, now) || w.since(page, now.Add(1)) || w.since(Subject{}, now) {
		t.Error("the purge does not hold, or for others")
	}
	for i := range 10 * maxNoted {
		w.note([]Scope{{Kind: ScopeTag, Tag: fmt.Sprint(i)}}, now.Add(time.Duration(i)*time.Millisecond))
	}
	if n := len(*w.list.Load()); n > maxNoted {
		t.Errorf("%d purges are remembered", n)
	}
	if !w.since(page, now) || !w.since(Subject{Tags: []string{fmt.Sprint(10*maxNoted - 1)}}, now.Add(10*maxNoted*time.Millisecond-time.Millisecond)) {
		t.Error("an old or a late purge is forgotten")
	}
	w.note(nil, now.Add(time.Hour))
	if n := len(*w.list.Load()); n > 0 {
		t.Errorf("after an hour %d purges are remembered", n)
	}
}

// The log is spread over its keys.
func TestPurgeLogKeys(t *testing.T) {
	seen := map[string]int{}
	for i := range 1000 {
		seen[purgeLogKeyOf(Sibling(KindTombstone, fmt.Sprint(i)))]++
	}
	keys := purgeLogKeys[:]
	for _, key := range keys {
		if seen[key] < 50 {
			t.Errorf("%q is read for %d pages of 1000", key, seen[key])
		}
	}
	slices.Sort(keys)
	if n := len(slices.Compact(slices.Clone(keys))); n != purgeLogCopies {
		t.Errorf("%d keys", n)
	}
	if bytes.ContainsAny([]byte(strings.Join(keys, "")), " \r\n") {
		t.Errorf("%q", keys)
	}
}

// Behind a proxy with dead servers, any key of the log that can be read counts, and one
// that cannot be read does not keep a page from being stored. If none can, nothing is
// stored.
func TestPurgeLogWithDeadServers(t *testing.T) {
	for alive := range purgeLogCopies + 1 {
		f := startFake(t)
		a, b := newWriter(t, f.addr), newWriter(t, f.addr)
		logPurges(t, a, f.addr, time.Now(), Scope{Kind: ScopeTag, Tag: "a"})
		f.on(func(command string) act {
			switch keys, ok := strings.CutPrefix(command, "get "); {
			case ok && strings.Contains(keys, " "):
				return act{hangUp: true}
			case ok && slices.Contains(purgeLogKeys[:], keys) && (alive == purgeLogCopies || keys != purgeLogKeys[alive]):
				return act{say: "SERVER_ERROR Connection refused\r\n"}
			}
			return act{}
		})
		stored := uint64(1)
		if alive == purgeLogCopies {
			stored = 0
		}
		put(t, b, askedFor(tagged("k", "a"), time.Second))
		put(t, b, askedFor(tagged("l"), time.Second))
		if s := settled(t, b); s.Stored != stored || s.Dropped[DropPurged] != stored || s.Refused != 2-2*stored {
			t.Errorf("with key %d: counted %+v", alive, s)
		}
	}
}
