package gateway

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
)

// A refreshStep is what becomes of a page that a goroutine had in its hands.
type refreshStep struct {
	event  refreshEvent // to be counted; "": none
	fetch  bool         // it is to be refetched as soon as there is a slot
	at     time.Time    // else when it is looked at again; zero: it is done with
	failed bool         // something did, which may get better
	ends   bool         // it is not to outlive soft
}

// look finds out whether a page is worth fetching.
func (r *refresher) look(ctx context.Context, p *refreshPage) refreshStep {
	u, err := r.ask(ctx, p.refill)
	now := time.Now()
	switch {
	case errors.Is(err, cachewriter.ErrNoMeta):
		r.complain(err)
		return refreshStep{event: refreshNoMeta}
	case err != nil:
		return p.retry(refreshUnanswered, now)
	case u == nil:
		return refreshStep{event: refreshGone}
	case p.isReplaced(u, now):
		return refreshStep{event: refreshElsewhere}
	case p.ends:
		r.delete(ctx, p, r.expired)
		return refreshStep{}
	}
	if at := p.nextLook(u, now); at.Sub(now) >= minLookPause {
		return refreshStep{at: at}
	}
	switch {
	case u.Served:
		return refreshStep{fetch: true}
	case p.grace() <= 0:
		return refreshStep{event: refreshCold}
	case now.Before(p.soft):
		return refreshStep{at: p.soft}
	}
	r.delete(ctx, p, r.expired)
	return refreshStep{event: refreshCold}
}

// isReplaced reports whether the entry certainly expires later than ours.
func (p *refreshPage) isReplaced(u *cachewriter.Usage, now time.Time) bool {
	return u.TTL == cachewriter.Forever || u.TTL > p.hard.Sub(now)+refreshMargin
}

// nextLook is firstLook by memcached's own word, whose clock may be some of a
// second behind. It is later if the entry turns out to live longer than it had to,
// and if another gateway has stored it in the meantime.
func (p *refreshPage) nextLook(u *cachewriter.Usage, now time.Time) time.Time {
	return now.Add(u.TTL - time.Second - p.grace() - p.reach)
}

// retry is what becomes of a page after a failure: it gets another chance if it has
// the time, and just one if it has no grace.
func (p *refreshPage) retry(event refreshEvent, now time.Time) refreshStep {
	s := refreshStep{event: event, failed: true}
	pause := min(minRetryPause<<min(p.tries, 10), maxRetryPause)
	if at := now.Add(pause); at.Add(p.usual).Before(p.hard) && (p.tries == 0 || p.grace() > 0) {
		s.at = at
	}
	return s
}

// renew fetches a page, in a slot.
func (r *refresher) renew(ctx context.Context, p *refreshPage) refreshStep {
	now := time.Now()
	switch {
	case !now.Before(p.hard):
		return refreshStep{event: refreshGivenUp}
	case r.busy != nil && r.busy(p.refill):
		return refreshStep{event: refreshPutOff, at: now.Add(refreshPause)}
	}
	if r.lock != nil {
		unlock, ok := r.lock(ctx, p.refill)
		if !ok {
			return refreshStep{event: refreshLocked, at: now.Add(refreshPause + p.usual)}
		}
		defer unlock()
		// Whoever had the lock before may have fetched it since we looked.
		if s := r.look(ctx, p); !s.fetch {
			return s
		}
	}
	switch r.refetch(ctx, p.refill) {
	case storedAnew:
		return refreshStep{event: refreshDone}
	case withdrawnSince:
		r.delete(ctx, p, r.purged)
		return refreshStep{event: refreshUnstorable}
	case notStorable:
		return r.end(ctx, p)
	}
	return p.retry(refreshFailed, time.Now())
}

// end is what becomes of a page that is not to be stored any more: it may be served
// as long as it is fresh.
func (r *refresher) end(ctx context.Context, p *refreshPage) refreshStep {
	s := refreshStep{event: refreshUnstorable}
	switch {
	case p.grace() <= 0: // memcached sees to it
	case time.Now().Before(p.soft):
		s.at, s.ends = p.soft, true
	default:
		r.delete(ctx, p, r.expired)
	}
	return s
}

func (r *refresher) ask(ctx context.Context, f *refill) (*cachewriter.Usage, error) {
	r.mu.Lock()
	r.count(refreshAsked)
	r.mu.Unlock()
	if r.usage != nil {
		return r.usage(ctx, f)
	}
	return r.Store.Usage(ctx, f.entry)
}

// expired removes a page whose time is over.
func (r *refresher) expired(ctx context.Context, f *refill) error {
	if r.expire != nil {
		return r.expire(ctx, f)
	}
	return r.Store.Expire(ctx, f.entry)
}

// purged removes a page that is withdrawn, and its copy.
func (r *refresher) purged(ctx context.Context, f *refill) error {
	if r.purge != nil {
		return r.purge(ctx, f)
	}
	return r.Store.Delete(ctx, f.entry)
}

// delete removes a page from the store, unless another has come in its place.
func (r *refresher) delete(ctx context.Context, p *refreshPage, remove func(context.Context, *refill) error) {
	r.mu.Lock()
	current := r.pages[p.entry.Key] == p
	r.mu.Unlock()
	if !current {
		return
	}
	if err := remove(ctx, p.refill); err != nil {
		orNop(r.Log).Warn("an entry could not be deleted; it stays until it expires or is refilled", zap.Error(err))
	}
}

// complain says once that memcached cannot tell.
func (r *refresher) complain(err error) {
	r.mu.Lock()
	first := !r.noMeta
	r.noMeta = true
	r.mu.Unlock()
	if first {
		orNop(r.Log).Warn("memcached cannot tell which pages are served, so none is fetched again before it expires", zap.Error(err))
	}
}
