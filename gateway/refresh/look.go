package refresh

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
)

// A step is what becomes of a page after a goroutine has looked at it or fetched it.
type step struct {
	event  Event     // to be counted; "": none
	fetch  bool      // it is to be fetched as soon as there is a slot
	at     time.Time // else when it is looked at again; zero: it is done with
	failed bool      // it may succeed later
	ends   bool      // it must go when it is no longer fresh
}

// look finds out whether a page is worth fetching.
func (r *Schedule) look(ctx context.Context, p *planned) step {
	u, err := r.ask(ctx, p.Page)
	now := time.Now()
	switch {
	case errors.Is(err, cachewriter.ErrNoMeta):
		r.complain(err)
		return step{event: eventNoMeta}
	case err != nil:
		return p.retry(eventUnanswered, now)
	case u == nil:
		return step{event: eventGone}
	case p.isReplaced(u, now):
		return step{event: eventElsewhere}
	case p.ends:
		r.delete(ctx, p, r.expired)
		return step{}
	}
	if at := p.nextLook(u, now); at.Sub(now) >= minLookPause {
		return step{at: at}
	}
	switch {
	case u.Served:
		return step{fetch: true}
	case p.grace() <= 0:
		return step{event: eventCold}
	case now.Before(p.Soft):
		return step{at: p.Soft}
	}
	r.delete(ctx, p, r.expired)
	return step{event: eventCold}
}

// isReplaced reports whether the entry certainly expires later than ours.
func (p *planned) isReplaced(u *cachewriter.Usage, now time.Time) bool {
	return u.TTL == cachewriter.Forever || u.TTL > p.Hard.Sub(now)+margin
}

// nextLook is firstLook by memcached's clock, which may be a part of a second behind. It is later if the entry turns out to live longer than it had to,
// and if another gateway has stored it in the meantime.
func (p *planned) nextLook(u *cachewriter.Usage, now time.Time) time.Time {
	return now.Add(u.TTL - time.Second - p.grace() - p.reach)
}

// retry is what becomes of a page after a failure: it is tried again if there is time, and
// only once if it has no grace.
func (p *planned) retry(event Event, now time.Time) step {
	s := step{event: event, failed: true}
	pause := min(minRetryPause<<min(p.tries, 10), maxRetryPause)
	if at := now.Add(pause); at.Add(p.usual).Before(p.Hard) && (p.tries == 0 || p.grace() > 0) {
		s.at = at
	}
	return s
}

// fetch fetches a page, in a slot.
func (r *Schedule) fetch(ctx context.Context, p *planned) step {
	now := time.Now()
	switch {
	case !now.Before(p.Hard):
		return step{event: eventGivenUp}
	case r.Busy != nil && r.Busy(p.Page):
		return step{event: eventPutOff, at: now.Add(putOffPause)}
	}
	if r.Lock != nil {
		unlock, ok := r.Lock(ctx, p.Page)
		if !ok {
			return step{event: eventLocked, at: now.Add(putOffPause + p.usual)}
		}
		defer unlock()
		// Whoever had the lock before may have fetched it since we looked.
		if s := r.look(ctx, p); !s.fetch {
			return s
		}
	}
	switch r.Fetch(ctx, p.Page) {
	case Stored:
		return step{event: eventDone}
	case Withdrawn:
		r.delete(ctx, p, r.purged)
		return step{event: eventUnstorable}
	case Unstorable:
		return r.end(ctx, p)
	}
	return p.retry(eventFailed, time.Now())
}

// end is what becomes of a page that may not be stored any more: it is served as long as it
// is fresh.
func (r *Schedule) end(ctx context.Context, p *planned) step {
	s := step{event: eventUnstorable}
	switch {
	case p.grace() <= 0: // memcached sees to it
	case time.Now().Before(p.Soft):
		s.at, s.ends = p.Soft, true
	default:
		r.delete(ctx, p, r.expired)
	}
	return s
}

func (r *Schedule) ask(ctx context.Context, f *Page) (*cachewriter.Usage, error) {
	r.mu.Lock()
	r.count(eventAsked)
	r.mu.Unlock()
	if r.usage != nil {
		return r.usage(ctx, f)
	}
	return r.Store.Usage(ctx, f.Entry)
}

// expired removes a page whose time is over.
func (r *Schedule) expired(ctx context.Context, f *Page) error {
	if r.expire != nil {
		return r.expire(ctx, f)
	}
	return r.Store.Expire(ctx, f.Entry)
}

// purged removes a page that is withdrawn, and its copy.
func (r *Schedule) purged(ctx context.Context, f *Page) error {
	if r.purge != nil {
		return r.purge(ctx, f)
	}
	return r.Store.Delete(ctx, f.Entry)
}

// delete removes a page from the store, unless another has come in its place.
func (r *Schedule) delete(ctx context.Context, p *planned, remove func(context.Context, *Page) error) {
	r.mu.Lock()
	current := r.pages[p.Entry.Key] == p
	r.mu.Unlock()
	if !current {
		return
	}
	if err := remove(ctx, p.Page); err != nil {
		r.log().Warn("a page could not be deleted from memcached yet; uwgate deletes it when the server can be reached", zap.Error(err))
	}
}

// complain logs once that memcached does not say what it has served.
func (r *Schedule) complain(err error) {
	r.mu.Lock()
	first := !r.noMeta
	r.noMeta = true
	r.mu.Unlock()
	if first {
		r.log().Warn("memcached does not say which pages it has served, so no page is refreshed before it expires; use memcached 1.6 or later, without a proxy that has no meta commands", zap.Error(err))
	}
}

// Page returns what is known of the page of a key, nil if its refresh is not scheduled.
func (r *Schedule) Page(key string) *Page {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pages[key]; p != nil {
		return p.Page
	}
	return nil
}
