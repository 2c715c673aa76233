package gateway

import (
	"context"
	"sync"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/refresh"
)

// Refresh refreshes the pages that are served shortly before they expire, and those that
// were purged softly, until ctx is done. Without it Refreshing.Ahead means nothing, and all
// purges are hard.
func (g *Gateway) Refresh(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { g.purger().Run(ctx) })
	if g.schedules() {
		g.schedule().Run(ctx)
	}
}

// schedules reports whether pages are scheduled to be refreshed once they are stored.
func (g *Gateway) schedules() bool { return g.Refreshing.Ahead && g.Store != nil }

// schedule is what Refresh runs.
func (g *Gateway) schedule() *refresh.Schedule {
	g.refreshOnce.Do(func() {
		g.refreshes.Store, g.refreshes.Log = g.Store, g.Log
		g.refreshes.Concurrency = g.Refreshing.Concurrency
		g.refreshes.Fetch = g.refreshPage
		g.refreshes.Busy = g.isBusy
		if g.Coalescing.Fleet {
			g.refreshes.Lock = g.lockFor
		}
	})
	return &g.refreshes
}

// isBusy reports whether visitors wait for the servers of a page.
func (g *Gateway) isBusy(p *refresh.Page) bool {
	pool := g.poolFor(p.Vars)
	return pool != nil && pool.PoolStats().Waiting > 0
}

// lockFor keeps other gateways from fetching the page.
func (g *Gateway) lockFor(ctx context.Context, p *refresh.Page) (unlock func(), ok bool) {
	lock, err := g.Store.Lock(ctx, p.Entry, lockLife)
	if err != nil {
		return nil, false
	}
	lock.Keep()
	return func() {
		// It was fetched for those who look for the page, not for the lock.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTime)
		defer cancel()
		lock.Unlock(ctx)
	}, true
}

// refreshPage fetches a page again, and stores it. Visitors who come for it meanwhile wait
// for it.
func (g *Gateway) refreshPage(ctx context.Context, page *refresh.Page) (became refresh.Outcome) {
	became = refresh.Failed // unless something better happens
	defer g.contain()
	vars := page.Vars
	if page.Plan.Key != "" {
		vars = page.Policy.Anonymous(page.Vars, page.Plan)
	}
	if vars == nil {
		g.hintOnce(&g.hints.refresh, "a page that is served cannot be refreshed before it expires: nobody's request would have its key, or be sure to have the same response",
			"let --key be nginx's set $memcached_key, and name headers that a proxy of yours sets with --trusted-header (docs/refresh.md)")
		return refresh.Unstorable
	}
	t := newRequestContext(ctx)
	defer context.AfterFunc(ctx, func() { t.end(nil) })()
	x := newExchange(g, t)
	x.refreshed = page
	x.client.take(vars)
	x.note(vars)
	x.rec.flight = "refresh"
	defer t.end(nil)
	defer x.release()
	defer x.limit()()
	err := x.conclude(x.journey(t.ctx))
	isWritten := x.awaitWritten()
	x.rec.course.took = time.Since(x.client.began)
	g.recordRefresh(&x.rec, err)
	if became = x.outcome(err); became == refresh.Stored && !isWritten {
		return refresh.Failed // it may be that of a purge by another gateway at about the same time
	}
	return became
}

// outcome is what became of a page that was refreshed, with err.
func (x *exchange) outcome(err error) refresh.Outcome {
	switch {
	case x.worker.pool == nil:
		return refresh.Failed
	case x.worker.out.Vars == nil:
		return refresh.Unstorable // the firewall has refused the request
	case err != nil:
		return refresh.Failed
	case x.page.resp == nil:
		return refresh.Unstorable // the settings have changed
	case x.page.resp.StatusCode >= 500:
		return refresh.Failed
	case x.page.policy.Withdraws(x.page.plan, x.page.resp, x.page.verdict):
		return refresh.Withdrawn
	}
	switch x.rec.reason {
	case policy.Truncated, policy.CaptureFull, policy.StoreFull, policy.StoreDown, policy.Purged, policy.Reloaded:
		return refresh.Failed
	}
	if !x.page.verdict.Store() || x.rec.ttl == 0 {
		return refresh.Unstorable
	}
	return refresh.Stored
}

// awaitWritten waits until others can see the page, and reports whether they can.
func (x *exchange) awaitWritten() bool {
	if x.page.written == nil || x.rec.ttl == 0 {
		return true // nothing is written
	}
	waitFor(x.page.written, writeTime)
	select {
	case <-x.page.written:
		return x.page.lost == nil
	default:
		return false
	}
}

// keep is how a page that is to be stored is kept: until Soft it is fresh, and until Hard
// it may be served while it is refreshed, if it can be. To find out whether it can takes its
// time, and most pages will not be served, so that without grace it is left for later.
func (x *exchange) keep(now time.Time) *refresh.Page {
	p, c := &x.page, &x.client
	f := &refresh.Page{Entry: p.place(), Policy: p.policy, Took: now.Sub(x.worker.asked)}
	f.Soft = now.Add(p.verdict.TTL)
	f.Hard = f.Soft
	switch {
	case !x.g.schedules() || p.verdict.TTL < refresh.MinTTL:
		return f
	case x.refreshed != nil:
		f.Vars = c.received
	case p.verdict.Grace <= 0:
		f.Vars, f.Plan = c.received, p.plan
	default:
		f.Vars = p.policy.Anonymous(c.received, p.plan)
	}
	if f.Vars != nil {
		f.Hard = f.Soft.Add(p.verdict.Grace)
	}
	return f
}
