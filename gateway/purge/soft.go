package purge

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A soft purge leaves the pages that are being visited in memcached, where nginx finds them,
// until they have been fetched again. Others are deleted. An old page that is left gets a
// life of SoftLimit in memcached, so that it ends even if this process does before. The purge
// log of cachewriter keeps those who were fetching a page by then from storing it.

const (
	// hotFor is how long ago a page may have been visited that is worth a fetch.
	hotFor = 5 * time.Minute

	// maxHot bounds the pages of one purge that are fetched again. The others are deleted.
	maxHot = 4096
)

// A Page is one that is to be fetched again.
type Page struct {
	cachewriter.Found
	Policy *policy.Policy // in force when it was purged
	Vars   uwsgi.Vars     // of the PURGE request; nil: there was none
	Left   bool           // the old page is in memcached until the new one is

	until time.Time // when it is given up
	done  func(Fate)
}

// A Fate is what has become of a page that was to be fetched again.
type Fate int

const (
	Failed    Fate = iota // no response came in time, or an error
	Replaced              // a new page is in its place
	Withdrawn             // it may not be stored any more, or nobody can ask for it
)

// Until is when the page is no longer worth a fetch.
func (pg *Page) Until() time.Time { return pg.until }

// Place is where the page belongs.
func (pg *Page) Place() cachewriter.Entry {
	return cachewriter.Entry{Key: pg.Key, Addr: pg.Server}
}

// A keeper collects the pages of a purge that are fetched again. It is safe for concurrent
// use.
type keeper struct {
	o     Order
	began time.Time

	mu    sync.Mutex // guards pages
	pages []*Page
}

// keep reports whether a page that matches stays in memcached.
func (k *keeper) keep(f cachewriter.Found) bool {
	if !f.Fetched || k.began.Sub(f.Accessed) > hotFor || f.Subject.Host == "" || f.Subject.URI == "" {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pages) == maxHot {
		return false
	}
	k.pages = append(k.pages, &Page{Found: f, Policy: k.o.Policy, Vars: k.o.Vars, Left: k.o.Soft})
	return k.o.Soft
}

// fetchAgain hands the pages over to Run, the last visited first, and returns a function that
// waits for them and says what became of them.
func (p *Purger) fetchAgain(ctx context.Context, k *keeper) (wait func(context.Context) fetches) {
	slices.SortStableFunc(k.pages, func(a, b *Page) int { return b.Accessed.Compare(a.Accessed) })
	limit := p.softLimit()
	var all errgroup.Group
	all.SetLimit(maxDeletes)
	for _, pg := range k.pages {
		pg.until = k.began.Add(limit)
		if pg.Left && (pg.Expires.IsZero() || pg.Expires.After(pg.until)) {
			all.Go(func() error {
				if p.Store.Shorten(ctx, pg.Place(), limit) != nil {
					p.drop(pg, Withdrawn)
				}
				return nil
			})
		}
	}
	all.Wait()
	b := newBatch(len(k.pages))
	for _, pg := range k.pages {
		pg.done = b.end
	}
	for _, pg := range p.queue.add(k.pages) {
		p.give(pg, Failed)
	}
	return b.wait
}

// drop deletes an old page that cannot be replaced. If no response came, its last good copy
// stays, for the next visitor may get none either.
func (p *Purger) drop(pg *Page, f Fate) {
	if !pg.Left {
		return
	}
	pg.Left = false
	if f == Failed && p.Store.Expire(context.Background(), pg.Place()) == nil {
		return
	}
	p.Store.DeleteLater(pg.Place()) // a key that was found is no bad one
}

// give ends with a page.
func (p *Purger) give(pg *Page, f Fate) {
	if f != Replaced {
		p.drop(pg, f)
	}
	p.stats.refetched(f == Replaced)
	pg.done(f)
}

// Run fetches the pages of soft purges, and of those that refresh, until ctx is done. Then
// it deletes what it has not replaced, and returns. Without it all purges are hard.
func (p *Purger) Run(ctx context.Context) {
	if p.Refetch == nil || p.Store == nil {
		return
	}
	p.queue.open()
	var jobs errgroup.Group
	jobs.SetLimit(cmp.Or(p.Concurrency, 2))
	for pg := p.queue.next(ctx); pg != nil; pg = p.queue.next(ctx) {
		jobs.Go(func() error {
			p.replace(ctx, pg)
			return nil
		})
	}
	jobs.Wait()
	for _, pg := range p.queue.close() {
		p.give(pg, Failed)
	}
}

func (p *Purger) replace(ctx context.Context, pg *Page) {
	ctx, cancel := context.WithDeadline(ctx, pg.until)
	defer cancel()
	f := Failed
	if ctx.Err() == nil {
		f = p.Refetch(ctx, pg)
	}
	p.give(pg, f)
}

func (p *Purger) softLimit() time.Duration { return cmp.Or(p.SoftLimit, time.Minute) }
