package gateway

import (
	"context"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/gateway/refresh"
	"uwgate/uwsgi"
)

const (
	busyPause  = 250 * time.Millisecond // while visitors wait for the page's pool
	lockPause  = 50 * time.Millisecond  // while another gateway fetches the page
	retryPause = time.Second            // after the backend has failed, or memcached has not taken the page
)

// refetch fetches a page that was purged, until ctx is done. A new page in its place
// counts, whoever has fetched it.
func (g *Gateway) refetch(ctx context.Context, pg *purge.Page) purge.Fate {
	page := g.pageToFetch(pg)
	if page == nil {
		return purge.Withdrawn
	}
	for ctx.Err() == nil {
		if g.isBusy(page) {
			sleep(ctx, busyPause)
			continue
		}
		unlock, ok := g.lockToFetch(ctx, page)
		if !ok {
			sleep(ctx, lockPause)
			continue
		}
		if g.isReplaced(ctx, pg) {
			unlock()
			return purge.Replaced
		}
		became := g.refreshPage(ctx, page)
		unlock()
		switch became {
		case refresh.Stored:
			return purge.Replaced
		case refresh.Withdrawn, refresh.Unstorable:
			return purge.Withdrawn
		}
		sleep(ctx, retryPause)
	}
	return purge.Failed
}

// lockToFetch keeps the other gateways of a fleet from fetching the page.
func (g *Gateway) lockToFetch(ctx context.Context, page *refresh.Page) (unlock func(), ok bool) {
	if !g.Coalescing.Fleet {
		return func() {}, true
	}
	return g.lockFor(ctx, page)
}

// isReplaced reports whether another page lies under the key by now: an old one that was
// left would expire soon, and one that was deleted is gone.
func (g *Gateway) isReplaced(ctx context.Context, pg *purge.Page) bool {
	u, err := g.Store.Usage(ctx, pg.Place())
	if err != nil || u == nil {
		return false
	}
	return !pg.Left || u.TTL < 0 || u.TTL > time.Until(pg.Until())+refreshMargin
}

// refreshMargin is how far memcached's count of seconds may be off.
const refreshMargin = 2 * time.Second

// pageToFetch returns the request for a page that was purged, nil if nobody can make one:
// that by which the page is refreshed, or one that is made of another request of its site.
func (g *Gateway) pageToFetch(pg *purge.Page) *refresh.Page {
	if g.schedules() {
		if page := g.schedule().Page(pg.Key); page != nil && page.Vars != nil {
			return page
		}
	}
	p := g.policy()
	sources := g.samples.of(pg.Subject.Host)
	if pg.Vars != nil && policy.HostOf(pg.Vars) == pg.Subject.Host {
		sources = append(sources, pg.Vars)
	}
	for _, v := range sources {
		if vars := p.AnonymousFor(v, pg.Subject.URI, pg.Key); vars != nil {
			return anonymousPage(pg, p, vars)
		}
	}
	return nil
}

func anonymousPage(pg *purge.Page, p *policy.Policy, vars uwsgi.Vars) *refresh.Page {
	return &refresh.Page{Entry: pg.Place(), Policy: p, Vars: vars}
}
