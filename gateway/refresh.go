package gateway

import (
	"context"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/refresh"
)

// Refresh has pages that are served fetched anew shortly before they expire, until ctx
// is done. It must run for RefreshAhead to mean anything.
func (g *Gateway) Refresh(ctx context.Context) {
	if g.keepsPages() {
		g.schedule().Run(ctx)
	}
}

// keepsPages reports whether anything is done about pages once they are stored.
func (g *Gateway) keepsPages() bool { return g.Refreshing.Ahead && g.Store != nil }

// schedule is what Refresh runs.
func (g *Gateway) schedule() *refresh.Schedule {
	g.refreshOnce.Do(func() {
		g.refreshes.Store, g.refreshes.Log = g.Store, g.Log
		g.refreshes.Concurrency = g.Refreshing.Concurrency
		g.refreshes.Fetch = g.refetch
		g.refreshes.Busy = g.isBusy
		if g.Coalescing.Fleet {
			g.refreshes.Lock = g.lockFor
		}
	})
	return &g.refreshes
}

// isBusy reports whether visitors wait for the servers of a page.
func (g *Gateway) isBusy(f *refresh.Page) bool {
	pool := g.poolFor(f.Vars)
	return pool != nil && pool.PoolStats().Waiting > 0
}

// lockFor keeps other gateways from fetching the page.
func (g *Gateway) lockFor(ctx context.Context, f *refresh.Page) (unlock func(), ok bool) {
	lock, err := g.Store.Lock(ctx, f.Entry, lockLife)
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

// refetch makes a page once more. Visitors who come for it meanwhile wait for it.
func (g *Gateway) refetch(ctx context.Context, f *refresh.Page) (became refresh.Outcome) {
	became = refresh.Failed // unless something better happens
	defer g.contain()
	vars := f.Vars
	if f.Plan.Key != "" {
		vars = f.Policy.Anonymous(f.Vars, f.Plan)
	}
	if vars == nil {
		g.hintOnce(&g.hints.refresh, "a page that is served cannot be fetched anew before it expires: nobody's request would have its key, or be sure to have the same answer",
			"let --key be nginx's set $memcached_key, and name headers that a proxy of yours sets with --trusted-header (docs/refresh.md)")
		return refresh.Unstorable
	}
	x := &exchange{g: g, policy: g.policy(), received: vars, method: "GET", refreshed: f}
	x.rec.start = time.Now()
	x.rec.request(vars, x.policy.PublicURI(vars), g.HideQuery)
	x.rec.flight = "refresh"
	x.tether = newTether(ctx)
	defer context.AfterFunc(ctx, func() { x.tether.end(nil) })()
	defer x.limit()()
	defer x.dismiss()
	became, err := x.renew(x.tether.ctx)
	x.awaitWritten()
	x.rec.took = time.Since(x.rec.start)
	g.recordRefresh(&x.rec, err)
	return became
}

// dismiss is release for a request without a client.
func (x *exchange) dismiss() {
	x.land(endOrphan, nil)
	defer x.later.Wait()
	x.closeBackend()
	x.tally()
	x.tether.end(nil)
	x.giveBuffers()
}

// renew is the journey of a request that nobody has sent.
func (x *exchange) renew(ctx context.Context) (refresh.Outcome, error) {
	if err := x.choosePool(); err != nil {
		return refresh.Failed, err
	}
	clean, err := x.screen()
	if err != nil {
		return refresh.Unstorable, err
	}
	x.decide(ctx, clean)
	if x.plan.Reason != "" || x.plan.Key != x.refreshed.Entry.Key {
		return refresh.Unstorable, nil // the settings have changed
	}
	f, leads := x.g.flights.join(x, 0, 0)
	if leads {
		x.flight = f
	}
	if err := x.forward(ctx); err != nil {
		return refresh.Failed, err
	}
	x.judge()
	switch {
	case x.resp.StatusCode >= 500:
		return refresh.Failed, nil
	case x.policy.Withdraws(x.plan, x.resp, x.verdict):
		x.withdraw()
		return refresh.Withdrawn, nil
	case !x.verdict.Store():
		return refresh.Unstorable, nil
	}
	x.body = x.resp.Body(x.from, x.method)
	if err := x.takeIn(); err != nil {
		return refresh.Failed, answerFailure(ctx, "read answer", err)
	}
	x.store()
	switch x.rec.reason {
	case policy.Truncated, policy.StoreFull, policy.StoreDown, policy.Purged, policy.Reloaded:
		return refresh.Failed, nil
	}
	if x.rec.ttl == 0 {
		return refresh.Unstorable, nil
	}
	return refresh.Stored, nil
}

// awaitWritten waits until others can see the page.
func (x *exchange) awaitWritten() {
	if x.written == nil || x.rec.ttl == 0 {
		return
	}
	select {
	case <-x.written:
	case <-time.After(writeTime):
	}
}

// keep is how a page that is to be stored is kept: until
// soft it is fresh, and until hard it may be served while it is fetched anew, if it can
// be. To find out whether it can takes its time, and most pages will not be served, so
// that without grace it is left for later.
func (x *exchange) keep(now time.Time) *refresh.Page {
	f := &refresh.Page{Entry: x.place(), Policy: x.policy, Took: now.Sub(x.asked)}
	f.Soft = now.Add(x.verdict.TTL)
	f.Hard = f.Soft
	switch {
	case !x.g.keepsPages() || x.verdict.TTL < refresh.MinTTL:
		return f
	case x.refreshed != nil:
		f.Vars = x.received
	case x.verdict.Grace <= 0:
		f.Vars, f.Plan = x.received, x.plan
	default:
		f.Vars = x.policy.Anonymous(x.received, x.plan)
	}
	if f.Vars != nil {
		f.Hard = f.Soft.Add(x.verdict.Grace)
	}
	return f
}
