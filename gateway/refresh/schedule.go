package refresh

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
)

// An Event is what a Schedule counts. The words are values of a metric's label.
type Event string

const (
	eventAsked      Event = "asked"      // memcached was asked whether a page is served
	eventDone       Event = "refetched"  // a page was fetched and stored
	eventCold       Event = "cold"       // nobody was served it, so it expires
	eventGone       Event = "gone"       // memcached no longer has it
	eventElsewhere  Event = "elsewhere"  // somebody else has stored it since
	eventLocked     Event = "locked"     // another gateway was just fetching it
	eventPutOff     Event = "put-off"    // visitors came first
	eventFailed     Event = "failed"     // the backend failed
	eventUnstorable Event = "unstorable" // what came is not to be stored
	eventUnanswered Event = "unanswered" // memcached failed
	eventNoMeta     Event = "no-meta"    // memcached does not say
	eventGivenUp    Event = "given-up"   // its time was over before it was fetched
	eventDropped    Event = "no-room"    // it was dropped to make room
)

// A Schedule refreshes pages that are served before they expire; others expire. It decides
// when, and calls functions for all else.
//
// Shortly before a page expires it asks memcached whether the page has been served. If so,
// it is fetched as soon as one of a few slots is free, unless visitors wait for its backend.
// While a page may be served after its time (Page.Hard is after Soft), that is tried again
// until it must go. A page that has not been served is deleted when its time is over: its
// next visitor must not get it then. Its last good copy stays. A page that is withdrawn is
// deleted at once, with its copy.
//
// The exported fields are set before the first call of a method; all methods are safe for
// concurrent use. Run starts a goroutine for each look and each fetch, at most eight and
// Concurrency of them, and waits for them.
type Schedule struct {
	Store *cachewriter.Writer
	Log   *zap.Logger // nil is silent

	// MaxKeys and MaxBytes bound the pages that are held. Beyond them the page whose turn
	// comes last is dropped. Zero means 16384 and 16 MiB.
	MaxKeys  int
	MaxBytes int64

	// Concurrency is how many pages are fetched at once. Zero means 2.
	Concurrency int

	// Fetch fetches a page, and calls Add if it is stored. It must be set.
	Fetch func(ctx context.Context, f *Page) Outcome

	// Busy reports whether visitors wait for the page's backend. Nil: never.
	Busy func(f *Page) bool

	// Lock prevents other gateways from fetching the page until unlock is called. It is not
	// ok if another gateway holds the lock. Nil: there is only this gateway.
	Lock func(ctx context.Context, f *Page) (unlock func(), ok bool)

	storage
	random func() float64 // nil: rand.Float64

	mu     sync.Mutex // guards everything below
	agenda            // pages and their turns
	work              // under way
	counts map[Event]uint64
	noMeta bool // has been logged
}

// storage is what a Schedule does in memcached. Nil functions mean what Store does.
type storage struct {
	usage  func(ctx context.Context, f *Page) (*cachewriter.Usage, error)
	expire func(ctx context.Context, f *Page) error
	purge  func(ctx context.Context, f *Page) error
}

// An agenda holds the pages of a Schedule, and whose turn comes when.
type agenda struct {
	pages    map[string]*planned
	bytes    int64 // of all pages
	waiting  queue // for their time; the first to come first
	farthest queue // the same pages, in the other order
	ready    queue // for a slot to be fetched in; the first to expire first
}

// work counts the goroutines of a Schedule.
type work struct {
	looking  int // looks at memcached
	fetching int
	changed  chan struct{} // gets a value when Run should look again
}

const (
	// MinTTL: memcached counts seconds, and what lives for no more than a
	// few is gone before it could be asked about.
	MinTTL = 3 * time.Second

	// margin is how long before an entry's expiry memcached may drop it: a
	// Writer rounds down to whole seconds, and memcached's own clock ticks once a
	// second.
	margin = 2 * time.Second

	reserve       = 250 * time.Millisecond // beside the time that a fetch takes
	spread        = 250 * time.Millisecond // what was stored together is not fetched together
	putOffPause   = 250 * time.Millisecond // before a page that was put off is looked at again
	minLookPause  = 500 * time.Millisecond
	minRetryPause = time.Second
	maxRetryPause = 30 * time.Second
	maxLooks      = 8 // a memcached that hangs holds up no more goroutines
)

// A planned is a Page and its place in the schedule. It is in one of the queues
// or in the hands of a goroutine.
type planned struct {
	*Page
	usual time.Duration // that a fetch of the page takes
	reach time.Duration // how long before it is needed a fetch is begun
	at    time.Time     // its turn
	tries int           // failures in a row
	ends  bool          // it is not to outlive soft

	queue *queue // that it is in: waiting or ready; nil: neither
	place [2]int // there, and in farthest
}

// Add schedules a page that has been handed to the store. It replaces an older one of the
// same key.
func (r *Schedule) Add(f *Page) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.init()
	usual := f.Took
	if old := r.pages[f.Entry.Key]; old != nil {
		usual = old.usual + (f.Took-old.usual)/4
		r.drop(old)
	}
	now := time.Now()
	if f.Vars == nil || f.Soft.Sub(now) < MinTTL {
		return
	}
	p := &planned{Page: f, usual: usual}
	p.reach = 2*usual + reserve + time.Duration(r.float()*float64(spread))
	p.at = p.firstLook(now)
	r.pages[f.Entry.Key] = p
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
func (p *planned) firstLook(now time.Time) time.Time {
	ttl := p.Soft.Sub(now)
	needed := min(ttl, p.Hard.Sub(now)-margin)
	return now.Add(max(needed-p.reach, ttl/2))
}

func (r *Schedule) makeRoom() bool {
	p := r.farthest.first()
	if p == nil {
		return false
	}
	r.counts[eventDropped]++
	r.drop(p)
	return true
}

// Forget cancels what is planned for a page. A fetch under way goes on; whether its
// page is stored, the store must know.
func (r *Schedule) Forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pages[key]; p != nil {
		r.drop(p)
	}
}

// Hurry tries the pages that could not be fetched again at once, since their backend is
// back.
func (r *Schedule) Hurry() {
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

// Run does what is scheduled until ctx is done. Then it breaks off the fetches under way,
// and waits for them.
func (r *Schedule) Run(ctx context.Context) {
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
func (r *Schedule) begin(ctx context.Context, jobs *sync.WaitGroup) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := time.Hour
	for r.waiting.Len() > 0 && r.looking < maxLooks {
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
		jobs.Go(func() { r.finish(p, r.fetch(ctx, p), &r.fetching) })
	}
	return idle
}

// finish gives a page back, and the room that it took.
func (r *Schedule) finish(p *planned, s step, room *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*room--
	r.wake()
	r.count(s.event)
	if r.pages[p.Entry.Key] != p {
		return // forgotten, or another has come
	}
	if s.failed {
		p.tries++
	}
	p.ends = p.ends || s.ends
	switch {
	case s.fetch:
		p.at = p.Soft
		r.enter(&r.ready, p)
	case s.at.IsZero():
		r.drop(p)
	case !s.at.Before(p.Hard):
		r.count(eventGivenUp)
		r.drop(p)
	default:
		p.at = s.at
		r.wait(p)
	}
}

// Stats is what a Schedule has counted, and what it holds.
type Stats struct {
	Events   map[Event]uint64
	Keys     int
	Bytes    int64
	Fetching int
}

func (r *Schedule) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{maps.Clone(r.counts), len(r.pages), r.bytes, r.fetching}
}

func (r *Schedule) init() {
	if r.pages != nil {
		return
	}
	r.pages = make(map[string]*planned)
	r.counts = make(map[Event]uint64)
	r.changed = make(chan struct{}, 1)
	r.farthest.slot, r.farthest.latest = 1, true
}

func (r *Schedule) count(e Event) {
	if e != "" {
		r.counts[e]++
	}
}

// wake makes Run look at what has changed.
func (r *Schedule) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// drop removes a page.
func (r *Schedule) drop(p *planned) {
	r.leave(p)
	delete(r.pages, p.Entry.Key)
	r.bytes -= p.size()
}

// wait puts a page into the queue of those that wait for their turn.
func (r *Schedule) wait(p *planned) {
	r.enter(&r.waiting, p)
	heap.Push(&r.farthest, p)
	if r.waiting.first() == p {
		r.wake()
	}
}

func (r *Schedule) enter(q *queue, p *planned) {
	heap.Push(q, p)
	p.queue = q
}

// leave removes a page from its queue.
func (r *Schedule) leave(p *planned) {
	if p.queue == nil {
		return
	}
	heap.Remove(p.queue, p.place[0])
	if p.queue == &r.waiting {
		heap.Remove(&r.farthest, p.place[1])
	}
	p.queue = nil
}

func (r *Schedule) float() float64 {
	if r.random == nil {
		return rand.Float64()
	}
	return r.random()
}

func (r *Schedule) log() *zap.Logger {
	if r.Log == nil {
		return zap.NewNop()
	}
	return r.Log
}

func (r *Schedule) maxKeys() int     { return cmp.Or(r.MaxKeys, 16384) }
func (r *Schedule) maxBytes() int64  { return cmp.Or(r.MaxBytes, 16<<20) }
func (r *Schedule) concurrency() int { return cmp.Or(r.Concurrency, 2) }
