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

// In a fleet other gateways fill the same memcached, and a page is to be fetched by
// one of them. Its leader takes a lock there; the others' leaders look whether the
// page has come, and so have their followers wait with them.

const (
	// lockLife is how long a gateway that was killed holds up the others, and a
	// second more, for memcached counts in seconds.
	lockLife = 2 * time.Second

	// writeTime is how long the writing of a page may keep its lock.
	writeTime = time.Second

	firstLook, lastLook = 2 * time.Millisecond, 50 * time.Millisecond // pauses between looks
)

// lockPage has the leader of a flight take the lock of its page, wait for the one who
// has it, or find the page. It returns true if the page has been answered with.
func (x *exchange) lockPage(ctx context.Context) (done bool, err error) {
	if !x.g.Coalescing.Fleet || x.g.Store == nil || x.flight == nil {
		return false, nil
	}
	deadline := time.Now().Add(x.g.Coalescing.wait())
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		x.lock, err = x.g.Store.Lock(ctx, x.lockPlace(), lockLife)
		if errors.Is(err, cachewriter.ErrNoMeta) {
			x.g.hintOnce(&x.g.hints.lock, "memcached gives no locks, so each gateway of the fleet fetches pages for itself: "+err.Error(),
				"use memcached 1.6.10 or later without a proxy before it, or start without --fleet")
		}
		if err != nil && !errors.Is(err, cachewriter.ErrLocked) {
			return false, nil // there is none to be had
		}
		// Who had it before may have left the page. A look that failed says nothing of
		// the next one: the breaker ends this, and CoalesceWait.
		x.blind = false
		page, state := x.lookAround(ctx)
		switch {
		case page != nil:
			x.unlockPage(policy.Found)
			x.g.stats.waits.add(waitFound)
			return true, x.relayFound(ctx, page)
		case x.lock != nil:
			x.lock.Keep()
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

// place is where the page belongs.
func (x *exchange) place() cachewriter.Entry {
	return cachewriter.Entry{Key: x.plan.Key, Addr: x.plan.Addr}
}

// lockPlace is where the lock of the page belongs. Strangers do not wait for others, nor
// believe what those have found, so that there is one for each of the two.
func (x *exchange) lockPlace() cachewriter.Entry {
	e := x.place()
	if !x.stranger {
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

// left is how long an item will lie in memcached, if it told.
func left(item *cachewriter.Item) time.Duration {
	if item.Usage == nil {
		return 0
	}
	return max(item.Usage.TTL, 0)
}

// lookAround looks for the page, and then at its lock: if it is gone by then the page
// is there at the next look.
func (x *exchange) lookAround(ctx context.Context) (*found, cachewriter.LockState) {
	at := time.Now()
	if item := x.look(ctx, x.place()); item != nil && (item.Usage == nil || !item.Usage.Stale) {
		if resp, body, err := x.policy.Hit(x.received, item.Value, item.Flags); err == nil {
			return &found{item.Value, at, resp, body, left(item), policy.Found}, cachewriter.Free
		}
	}
	if x.lock != nil {
		return nil, cachewriter.Held
	}
	state, err := x.g.Store.Locked(ctx, x.lockPlace())
	if err != nil {
		x.g.log().Debug("the state of a lock is not known", zap.Error(err))
	}
	return nil, state
}

// relayFound answers with a page out of memcached, and lets those who wait for it
// have it.
func (x *exchange) relayFound(ctx context.Context, page *found) error {
	if x.flight != nil {
		x.flight.hit(page)
		x.land(endLanded, nil)
	}
	x.rec.flight = ""
	return x.relayShared(ctx, nil, &view{resp: page.resp, ttl: page.ttl, body: page.body, ending: endLanded, reason: page.reason})
}

// whenWritten is what the Writer calls once the page is where it belongs, or is not known
// to be. Nil: nobody has to know.
func (x *exchange) whenWritten() func(error) {
	f, put := x.flight, time.Now()
	if x.lock != nil || x.refreshed != nil {
		x.written = make(chan struct{})
	}
	written := x.written
	if f == nil && written == nil {
		return nil
	}
	return func(err error) {
		if f != nil {
			f.settleBy(err, put)
		}
		if written != nil {
			close(written)
		}
	}
}

// unlockPage gives the lock back in the background: when the page is there, or at once
// if none is to come for that reason.
func (x *exchange) unlockPage(reason policy.Reason) {
	if x.lock == nil {
		return
	}
	lock, written := x.lock, x.written
	x.lock = nil
	if reason != "" {
		written = nil
	}
	x.later.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*writeTime)
		defer cancel()
		if written != nil {
			select {
			case <-written:
			case <-time.After(writeTime):
			}
		}
		if err := endLock(ctx, lock, reason); err != nil && !errors.Is(err, cachewriter.ErrLockLost) {
			x.g.log().Debug("a lock is left to run out", zap.Error(err))
		}
	})
}

// endLock leaves word for others if the page is not for everyone.
func endLock(ctx context.Context, lock *cachewriter.Lock, reason policy.Reason) error {
	switch reason {
	case "", policy.StoreFull, policy.StoreDown, policy.Purged, policy.Reloaded, policy.Truncated, policy.Status, policy.Found:
		return lock.Unlock(ctx)
	}
	return lock.Refuse(ctx, markFor)
}
