package gateway

import (
	"context"
	"io"
	"time"

	"uwgate/gateway/policy"
)

// Refresh has pages that are served fetched anew shortly before they expire, until ctx
// is done. It must run for RefreshAhead to mean anything.
func (g *Gateway) Refresh(ctx context.Context) {
	if g.keepsPages() {
		g.refresh().run(ctx)
	}
}

// keepsPages reports whether anything is done about pages once they are stored.
func (g *Gateway) keepsPages() bool { return g.RefreshAhead && g.Store != nil }

// refresh is the schedule.
func (g *Gateway) refresh() *refresher {
	g.refreshOnce.Do(func() {
		g.refresher.Store, g.refresher.Log = g.Store, g.Log
		g.refresher.Concurrency = g.RefreshConcurrency
		g.refresher.refetch = g.refetch
		g.refresher.busy = g.isBusy
		if g.Fleet {
			g.refresher.lock = g.lockFor
		}
	})
	return &g.refresher
}

// isBusy reports whether visitors wait for the servers of a page.
func (g *Gateway) isBusy(f *refill) bool {
	pool := g.poolFor(f.vars)
	return pool != nil && pool.PoolStats().Waiting > 0
}

// lockFor keeps other gateways from fetching the page.
func (g *Gateway) lockFor(ctx context.Context, f *refill) (unlock func(), ok bool) {
	lock, err := g.Store.Lock(ctx, f.entry, lockLife)
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
func (g *Gateway) refetch(ctx context.Context, f *refill) (became refetched) {
	became = fetchFailed // unless something better happens
	defer g.contain()
	vars := f.vars
	if f.plan.Key != "" {
		vars = f.policy.Anonymous(f.vars, f.plan)
	}
	if vars == nil {
		g.hintOnce(&g.hints.refresh, "a page that is served cannot be fetched anew before it expires: nobody's request would have its key, or be sure to have the same answer",
			"let --key be nginx's set $memcached_key, and name headers that a proxy of yours sets with --trusted-header (docs/refresh.md)")
		return notStorable
	}
	x := &exchange{g: g, policy: g.policy(), received: vars, method: "GET", refill: f}
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
func (x *exchange) renew(ctx context.Context) (refetched, error) {
	if err := x.choosePool(); err != nil {
		return fetchFailed, err
	}
	clean, err := x.screen()
	if err != nil {
		return notStorable, err
	}
	x.decide(ctx, clean)
	if x.plan.Reason != "" || x.plan.Key != x.refill.entry.Key {
		return notStorable, nil // the settings have changed
	}
	f, leads := x.g.flights.join(x, 0, 0)
	if leads {
		x.flight = f
	}
	if err := x.forward(ctx); err != nil {
		return fetchFailed, err
	}
	x.judge()
	switch {
	case x.resp.StatusCode >= 500:
		return fetchFailed, nil
	case x.policy.Withdraws(x.plan, x.resp, x.verdict):
		x.withdraw()
		return withdrawnSince, nil
	case !x.verdict.Store():
		return notStorable, nil
	}
	x.body = x.resp.Body(x.from, x.method)
	if err := x.takeIn(); err != nil {
		return fetchFailed, answerFailure(ctx, "read answer", err)
	}
	x.store()
	switch x.rec.reason {
	case policy.Truncated, policy.StoreFull, policy.StoreDown, policy.Purged, policy.Reloaded:
		return fetchFailed, nil
	}
	if x.rec.ttl == 0 {
		return notStorable, nil
	}
	return storedAnew, nil
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

// takeIn captures the body, for no client.
func (x *exchange) takeIn() error {
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	for x.page.reason == "" {
		x.conn.SetReadDeadline(time.Now().Add(x.g.idleTimeout()))
		n, err := x.body.Read(buf[:])
		x.capture(buf[:n])
		x.rec.bytes += int64(n)
		switch {
		case err == io.EOF:
			x.complete()
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// keep is how a page that is to be stored is kept: until
// soft it is fresh, and until hard it may be served while it is fetched anew, if it can
// be. To find out whether it can takes its time, and most pages will not be served, so
// that without grace it is left for later.
func (x *exchange) keep(now time.Time) *refill {
	f := &refill{entry: x.place(), policy: x.policy, took: now.Sub(x.asked), began: x.asked}
	f.soft = now.Add(x.verdict.TTL)
	f.hard = f.soft
	switch {
	case !x.g.keepsPages() || x.verdict.TTL < minRefreshTTL:
		return f
	case x.refill != nil:
		f.vars = x.received
	case x.verdict.Grace <= 0:
		f.vars, f.plan = x.received, x.plan
	default:
		f.vars = x.policy.Anonymous(x.received, x.plan)
	}
	if f.vars != nil {
		f.hard = f.soft.Add(x.verdict.Grace)
	}
	return f
}
