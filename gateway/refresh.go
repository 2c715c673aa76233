package gateway

import (
	"cmp"
	"container/heap"
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A refill is what a stored page was made of, as needed to make it once more. It is
// not changed any more once it was given away.
type refill struct {
	entry  cachewriter.Entry // Key, HashKey and Addr of the page; no body
	policy *policy.Policy
	vars   uwsgi.Vars    // of a request for the page; nil: nobody but a visitor can ask
	plan   policy.Plan   // of that request, if it is one that filled the page; else it is an anonymous one
	took   time.Duration // from the request to the last byte of the answer
	began  time.Time     // when a worker was asked
	soft   time.Time     // when the page is no longer fresh
	hard   time.Time     // when memcached is to drop it; not before soft
}

// grace is for how long the page is served over its time.
func (f *refill) grace() time.Duration { return f.hard.Sub(f.soft) }

// size is roughly what the refill takes of memory.
func (f *refill) size() int64 {
	const page, each = 512, 32 // the structs; two strings without their bytes
	n := page + len(f.entry.Key) + len(f.entry.HashKey) + len(f.entry.Addr) + each*len(f.vars)
	for i := range f.vars {
		n += len(f.vars[i].Name) + len(f.vars[i].Value)
	}
	return int64(n)
}

// A refetched is what became of a page that was fetched once more.
type refetched int

const (
	storedAnew     refetched = iota // it has been handed to the store, and to add
	withdrawnSince                  // it has become private, or a 404, …
	notStorable                     // nobody can ask for it, or a word in it forbids
	fetchFailed                     // the backend did not give an answer that says anything of the page
)

// A refreshEvent is one of the things that a refresher counts. The words are fit
// for a metric's label.
type refreshEvent string

const (
	refreshAsked      refreshEvent = "asked"      // memcached was asked whether a page is served
	refreshDone       refreshEvent = "refetched"  // a page was stored anew
	refreshCold       refreshEvent = "cold"       // nobody was served it, and so it dies
	refreshGone       refreshEvent = "gone"       // memcached has it no longer
	refreshElsewhere  refreshEvent = "elsewhere"  // somebody else has stored it since
	refreshLocked     refreshEvent = "locked"     // another gateway was just fetching it
	refreshPutOff     refreshEvent = "put-off"    // visitors came first
	refreshFailed     refreshEvent = "failed"     // the backend failed
	refreshUnstorable refreshEvent = "unstorable" // what came is not to be stored
	refreshUnanswered refreshEvent = "unanswered" // memcached failed
	refreshNoMeta     refreshEvent = "no-meta"    // memcached cannot tell
	refreshGivenUp    refreshEvent = "given-up"   // its time was over before it could be fetched
	refreshDropped    refreshEvent = "no-room"    // it was the one to make room
)

// A refresher has pages that are served fetched once more before they expire, and
// lets others die. It knows when, and asks others to do all else.
//
// Shortly before a page expires it asks memcached whether anyone has been served
// it. One that was is refetched, if visitors leave its backend room, as soon as one of
// few slots is free. While a page may be served over its time (refill.hard lies after
// soft) that is tried again until it must go, and a page that nobody was served is
// deleted when its time is over, for its next visitor must not get it then. Its last good
// copy stays. A page that is withdrawn is deleted at once, and its copy with it.
//
// Its exported fields and the functions are set before the first call of a method; all
// methods are safe for concurrent use. The goroutines are run's.
type refresher struct {
	Store *cachewriter.Writer
	Log   *zap.Logger // nil is silent

	// MaxKeys and MaxBytes bound what is held. Beyond them the page goes whose
	// turn is farthest away. Zero means 16384 and 16 MiB.
	MaxKeys  int
	MaxBytes int64

	// Concurrency is how many pages are fetched at once. Zero means 2.
	Concurrency int

	// refetch fetches a page, and has add called if it is stored.
	refetch func(ctx context.Context, f *refill) refetched

	// busy reports whether visitors wait for the page's backend. Nil: never.
	busy func(f *refill) bool

	// lock keeps other gateways from fetching the page until unlock; if it is not
	// ok, one of them keeps us. Nil: there is only this one.
	lock func(ctx context.Context, f *refill) (unlock func(), ok bool)

	usage  func(ctx context.Context, f *refill) (*cachewriter.Usage, error) // nil: what Store says
	expire func(ctx context.Context, f *refill) error                       // nil: Store's Expire
	purge  func(ctx context.Context, f *refill) error                       // nil: Store's Delete
	random func() float64                                                   // nil: rand.Float64

	mu       sync.Mutex // guards everything below
	pages    map[string]*refreshPage
	bytes    int64        // of all pages
	waiting  refreshQueue // for their time; the first to come first
	farthest refreshQueue // the same pages, in the other order
	ready    refreshQueue // for a slot to be refetched in; the first to expire first
	looking  int          // questions to memcached under way
	fetching int          // refetches under way
	changed  chan struct{}
	counts   map[refreshEvent]uint64
	noMeta   bool // has been logged
}

const (
	// minRefreshTTL: memcached counts seconds, and what lives for no more than a
	// few is gone before it could be asked about.
	minRefreshTTL = 3 * time.Second

	// refreshMargin is how long before an entry's expiry memcached may drop it: a
	// Writer rounds down to whole seconds, and memcached's own clock ticks once a
	// second.
	refreshMargin = 2 * time.Second

	refreshReserve  = 250 * time.Millisecond // beside the time that a fetch takes
	refreshSpread   = 250 * time.Millisecond // what was stored together is not fetched together
	refreshPause    = 250 * time.Millisecond // before a page that was put off is looked at again
	minLookPause    = 500 * time.Millisecond
	minRetryPause   = time.Second
	maxRetryPause   = 30 * time.Second
	maxRefreshLooks = 8 // a memcached that hangs holds up no more goroutines
)

// A refreshPage is a refill and its place in the schedule. It is in one of the queues
// or in the hands of a goroutine.
type refreshPage struct {
	*refill
	usual time.Duration // that a fetch of the page takes
	reach time.Duration // how long before it is needed a fetch is begun
	at    time.Time     // its turn
	tries int           // failures in a row
	ends  bool          // it is not to outlive soft

	queue *refreshQueue // that it is in: waiting or ready; nil: neither
	place [2]int        // there, and in farthest
}

// add schedules a page that has been handed to the store, in the place of an older
// one of the same key.
func (r *refresher) add(f *refill) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.init()
	usual := f.took
	if old := r.pages[f.entry.Key]; old != nil {
		usual = old.usual + (f.took-old.usual)/4
		r.drop(old)
	}
	now := time.Now()
	if f.vars == nil || f.soft.Sub(now) < minRefreshTTL {
		return
	}
	p := &refreshPage{refill: f, usual: usual}
	p.reach = 2*usual + refreshReserve + time.Duration(r.float()*float64(refreshSpread))
	p.at = p.firstLook(now)
	r.pages[f.entry.Key] = p
	r.bytes += f.size()
	r.wait(p)
	for len(r.pages) > r.maxKeys() || r.bytes > r.maxBytes() {
		if !r.makeRoom() {
			break
		}
	}
}

// firstLook is in time for a fetch before the page is no longer fresh, or gone. Half
// of a page's life it is left alone.
func (p *refreshPage) firstLook(now time.Time) time.Time {
	ttl := p.soft.Sub(now)
	needed := min(ttl, p.hard.Sub(now)-refreshMargin)
	return now.Add(max(needed-p.reach, ttl/2))
}

func (r *refresher) makeRoom() bool {
	p := r.farthest.first()
	if p == nil {
		return false
	}
	r.counts[refreshDropped]++
	r.drop(p)
	return true
}

// forget cancels what is planned for a page. A fetch under way goes on; whether its
// page is stored, the store must know.
func (r *refresher) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pages[key]; p != nil {
		r.drop(p)
	}
}

// clear is forget for all pages.
func (r *refresher) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.pages {
		r.drop(p)
	}
}

// hurry has the pages that could not be fetched tried again at once: their backend
// is back.
func (r *refresher) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, p := range r.pages {
		if p.tries > 0 && p.queue == &r.waiting && p.at.After(now) {
			r.leave(p)
			p.at = now
			r.wait(p)
		}
	}
}

// run does what is planned until ctx is done, and then waits for the fetches under
// way, which it breaks off.
func (r *refresher) run(ctx context.Context) {
	r.mu.Lock()
	r.init()
	r.mu.Unlock()
	var jobs sync.WaitGroup
	defer jobs.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(r.begin(ctx, &jobs))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.changed:
		}
	}
}

// begin starts all that is due and has room, and returns how long there is nothing
// more to start.
func (r *refresher) begin(ctx context.Context, jobs *sync.WaitGroup) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := time.Hour
	for r.waiting.Len() > 0 && r.looking < maxRefreshLooks {
		p := r.waiting.first()
		if idle = time.Until(p.at); idle > 0 {
			break
		}
		idle = time.Hour
		r.leave(p)
		r.looking++
		jobs.Go(func() { r.finish(p, r.look(ctx, p), &r.looking) })
	}
	for r.ready.Len() > 0 && r.fetching < r.concurrency() {
		p := r.ready.first()
		r.leave(p)
		r.fetching++
		jobs.Go(func() { r.finish(p, r.renew(ctx, p), &r.fetching) })
	}
	return idle
}

// finish gives a page back, and the room that it took.
func (r *refresher) finish(p *refreshPage, s refreshStep, room *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*room--
	r.wake()
	r.count(s.event)
	if r.pages[p.entry.Key] != p {
		return // forgotten, or another has come
	}
	if s.failed {
		p.tries++
	}
	p.ends = p.ends || s.ends
	switch {
	case s.fetch:
		p.at = p.soft
		r.enter(&r.ready, p)
	case s.at.IsZero():
		r.drop(p)
	case !s.at.Before(p.hard):
		r.count(refreshGivenUp)
		r.drop(p)
	default:
		p.at = s.at
		r.wait(p)
	}
}

// A refreshStats is what a refresher has counted, and what it holds.
type refreshStats struct {
	Events   map[refreshEvent]uint64
	Keys     int
	Bytes    int64
	Fetching int
}

func (r *refresher) stats() refreshStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return refreshStats{maps.Clone(r.counts), len(r.pages), r.bytes, r.fetching}
}

func (r *refresher) init() {
	if r.pages != nil {
		return
	}
	r.pages = make(map[string]*refreshPage)
	r.counts = make(map[refreshEvent]uint64)
	r.changed = make(chan struct{}, 1)
	r.farthest.slot, r.farthest.latest = 1, true
}

func (r *refresher) count(e refreshEvent) {
	if e != "" {
		r.counts[e]++
	}
}

// wake has run look at what has changed.
func (r *refresher) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// drop takes a page out of everything.
func (r *refresher) drop(p *refreshPage) {
	r.leave(p)
	delete(r.pages, p.entry.Key)
	r.bytes -= p.size()
}

// wait has a page wait for its turn.
func (r *refresher) wait(p *refreshPage) {
	r.enter(&r.waiting, p)
	heap.Push(&r.farthest, p)
	if r.waiting.first() == p {
		r.wake()
	}
}

func (r *refresher) enter(q *refreshQueue, p *refreshPage) {
	heap.Push(q, p)
	p.queue = q
}

// leave takes a page out of the queue that it is in.
func (r *refresher) leave(p *refreshPage) {
	if p.queue == nil {
		return
	}
	heap.Remove(p.queue, p.place[0])
	if p.queue == &r.waiting {
		heap.Remove(&r.farthest, p.place[1])
	}
	p.queue = nil
}

func (r *refresher) float() float64 {
	if r.random == nil {
		return rand.Float64()
	}
	return r.random()
}

func (r *refresher) maxKeys() int     { return cmp.Or(r.MaxKeys, 16384) }
func (r *refresher) maxBytes() int64  { return cmp.Or(r.MaxBytes, 16<<20) }
func (r *refresher) concurrency() int { return cmp.Or(r.Concurrency, 2) }
