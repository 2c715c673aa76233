package gateway

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// In a fleet other gateways fill the same memcached, and one of them fetches a page. Its
// leader takes a lock there. The leaders of the other gateways look whether the page has
// come, and their followers wait with them.

const (
	// lockLife is how long a gateway that was killed holds up the others, and a
	// second more, for memcached counts in seconds.
	lockLife = 2 * time.Second

	// writeTime is how long the writing of a page may keep its lock.
	writeTime = time.Second

	firstLook, lastLook = 2 * time.Millisecond, 50 * time.Millisecond // pauses between looks
)

// lockPage takes the lock of the page for the leader of a flight, waits for the gateway that
// has it, or finds the page. It returns true if the client has been sent the page.
func (x *exchange) lockPage(ctx context.Context) (done bool, err error) {
	p := &x.page
	if !x.isVisit() || !x.g.Coalescing.Fleet || x.g.Store == nil || x.client.presence.flight == nil {
		return false, nil
	}
	deadline := time.Now().Add(x.g.Coalescing.wait())
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		p.lock, err = x.g.Store.Lock(ctx, p.lockPlace(), lockLife)
		if errors.Is(err, cachewriter.ErrNoMeta) {
			x.g.hintOnce(&x.g.hints.lock, "memcached gives no locks, so each gateway of the fleet fetches pages for itself: "+err.Error(),
				"use memcached 1.6.10 or later without a proxy before it, or start without --fleet")
		}
		if err != nil && !errors.Is(err, cachewriter.ErrLocked) {
			return false, nil // there is none to be had
		}
		// Who had it before may have left the page. A look that failed says nothing of
		// the next one: the breaker ends this, and Coalescing.Wait.
		x.looks.blind = false
		page, state := x.lookAround(ctx)
		switch {
		case page != nil:
			x.unlockPage(policy.Found)
			x.g.stats.waits.add(waitFound)
			return true, x.relayFound(ctx, page)
		case p.lock != nil:
			p.lock.Keep()
			return false, nil
		case state == cachewriter.Refused:
			x.mark(uncacheable)
			x.land(endRefused, nil)
			x.askAsSent()
			return false, nil
		}
		sleep(ctx, min(pause, time.Until(deadline)))
		switch {
		case ctx.Err() != nil:
			return true, goneFailure(ctx, "wait for the page")
		case !time.Now().Before(deadline):
			x.g.stats.waits.add(waitLate)
			return false, nil
		}
	}
}

// sleep waits for d, or until ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	waitFor(ctx.Done(), d)
}

// waitFor waits until c is closed, for d at most.
func waitFor(c <-chan struct{}, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
	case <-timer.C:
	}
}

// lockPlace is where the lock of the page belongs. Strangers do not wait for others, nor
// believe what those have found, so that there is one for each of the two.
func (p *page) lockPlace() cachewriter.Entry {
	e := p.place()
	if !p.stranger {
		e.Key, e.HashKey = e.Key+" but for strangers", e.Key
	}
	return e
}

// A found page is one that lay in memcached.
type found struct {
	value  []byte
	at     time.Time // it lay there then or later
	resp   *uwsgi.Response
	body   []byte
	ttl    time.Duration // negative: it is stale
	reason policy.Reason // Found or Stale
}

// left is how long an item will lie in memcached, zero if memcached does not say.
func left(item *cachewriter.Item) time.Duration {
	if item.Usage == nil {
		return 0
	}
	return max(item.Usage.TTL, 0)
}

// lookAround looks for the page, and then at its lock: if that is gone by then, the page
// is there at the next look.
func (x *exchange) lookAround(ctx context.Context) (*found, cachewriter.LockState) {
	p := &x.page
	at := time.Now()
	if item := x.looks.look(ctx, p.place()); item != nil && (item.Usage == nil || !item.Usage.Stale) {
		if resp, body, err := p.policy.Hit(x.client.received, item.Value, item.Flags); err == nil {
			return &found{item.Value, at, resp, body, left(item), policy.Found}, cachewriter.Free
		}
	}
	if p.lock != nil {
		return nil, cachewriter.Held
	}
	state, err := x.g.Store.Locked(ctx, p.lockPlace())
	if err != nil {
		x.g.log().Debug("memcached does not say whether a page is locked", zap.Error(err))
	}
	return nil, state
}

// relayFound sends a page that lay in memcached, and serves it to the followers.
func (x *exchange) relayFound(ctx context.Context, page *found) error {
	if f := x.client.presence.flight; f != nil {
		f.hit(page)
		x.land(endLanded, nil)
	}
	x.rec.flight = ""
	return x.relayShared(ctx, nil, &view{resp: page.resp, ttl: page.ttl, body: page.body, ending: endLanded, reason: page.reason})
}

// unlockPage gives the lock back in the background: when the page is in memcached, or at
// once if none is to come for that reason.
func (x *exchange) unlockPage(reason policy.Reason) {
	p := &x.page
	if p.lock == nil {
		return
	}
	lock, written := p.lock, p.written
	p.lock = nil
	if reason != "" {
		written = nil
	}
	x.later.Go(func() { x.g.unlock(lock, written, reason) })
}

// unlock gives a lock back when written is closed, or after writeTime.
func (g *Gateway) unlock(lock *cachewriter.Lock, written <-chan struct{}, reason policy.Reason) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*writeTime)
	defer cancel()
	if written != nil {
		waitFor(written, writeTime)
	}
	if err := endLock(ctx, lock, reason); err != nil && !errors.Is(err, cachewriter.ErrLockLost) {
		g.log().Debug("a page could not be unlocked; its lock expires", zap.Error(err))
	}
}

// endLock leaves word for others if the page is not for everyone.
func endLock(ctx context.Context, lock *cachewriter.Lock, reason policy.Reason) error {
	switch reason {
	case "", policy.CaptureFull, policy.StoreFull, policy.StoreDown, policy.Purged, policy.Reloaded, policy.Truncated, policy.Status, policy.Found:
		return lock.Unlock(ctx)
	}
	return lock.Refuse(ctx, markerLife)
}
