package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// share lets the request wait for the same page that is being fetched for another. It
// returns false if this one is to ask a worker itself, as the leader of a flight or alone.
//
// What becomes of a follower:
//   - The page has landed, or is live: the follower gets it, if its own vars allow the page
//     to be stored, too.
//   - The page has landed, and may have been purged before this request came: one of the
//     requests of which that is true leads.
//   - The page may not be stored: the follower goes alone, and so do all requests for that
//     key for a while.
//   - No server takes requests: that is its response, too.
//   - The worker closed the leader's connection without a byte of a response, as one does
//     that the request has crashed: the follower goes alone.
//   - The leader fails otherwise, or gets a 5xx: one of the followers leads. If the next
//     leader fails as well, each goes alone.
//   - It has waited for Coalescing.Wait without a byte: it goes alone, and so do those who
//     come for that key later, for a while.
//
// A refresh leads if nobody else does, and never waits.
func (x *exchange) share(ctx context.Context) (done bool, err error) {
	switch {
	case x.refreshed != nil:
		if f, leads := x.g.flights.join(x.seeker(0), 0); leads {
			x.client.presence.leads(f)
		}
		return false, nil
	case x.explained != nil || !x.mayShare():
		return false, nil
	}
	x.client.startReading(&x.worker) // nginx may leave meanwhile
	x.looks.came = time.Now()
	var timer *time.Timer
	for strikes := 0; ; {
		f, leads := x.g.flights.join(x.seeker(strikes), x.g.Coalescing.followers())
		switch {
		case f == nil:
			return false, nil
		case leads:
			x.client.presence.leads(f)
			x.rec.flight = "leader"
			return false, nil
		}
		if timer == nil {
			timer = time.NewTimer(x.g.Coalescing.wait())
			defer timer.Stop()
		}
		next, err := x.follow(ctx, f, timer.C)
		f.leave()
		x.g.stats.waits.add(next)
		switch next {
		case waitLate:
			x.g.flights.markLate(f, x.page.stranger)
			return false, nil
		case waitRefused, waitAlone:
			return false, nil
		case waitAgain:
			strikes = f.strikesAfter()
			continue
		}
		return true, err
	}
}

// A wait is how a follower's wait for a page ended; it is a metric's label.
type wait string

const (
	waitShared  wait = "shared"  // with the page
	waitFailed  wait = "failed"  // with an error
	waitRefused wait = "refused" // the page is not for everyone: it goes alone
	waitLate    wait = "late"    // the time was up: it goes alone
	waitAgain   wait = "again"   // the leader failed, or the page may be old: it leads, or waits for the next one
	waitAlone   wait = "alone"   // the leader failed: it goes alone
	waitFound   wait = "found"   // the page was in memcached by then
	waitLeft    wait = "left"    // its client has left
)

// mayShare reports whether the request may wait for others, and they for it. One that
// bypasses the cache does not take part.
func (x *exchange) mayShare() bool {
	p := &x.page
	return p.plan.Reason == "" && !p.plan.Alone && !p.plan.Bypass && !p.policy.Observes(p.plan) && x.g.Coalescing.wait() > 0 && x.client.length == 0
}

// seeker is the request as the flights see it.
func (x *exchange) seeker(strikes int) *seeker {
	return &seeker{client: &x.client, key: x.page.plan.Key, policy: x.page.policy, pool: x.worker.pool, vars: x.worker.out.Vars,
		stranger: x.page.stranger, came: x.looks.came, strikes: strikes}
}

// follow waits for what the leader finds.
func (x *exchange) follow(ctx context.Context, f *flight, timeUp <-chan time.Time) (wait, error) {
	v, ok := f.await(ctx, timeUp, func(v *view) bool { return v.resp != nil || v.ending != aloft })
	if ok && v.ending == aloft && !x.mayHave(&v) {
		return x.refused(), nil
	}
	if ok && !v.live {
		v, ok = f.await(ctx, timeUp, func(v *view) bool { return v.ending != aloft })
	}
	switch {
	case ctx.Err() != nil:
		return waitLeft, goneFailure(ctx, "wait for the page")
	case !ok:
		return waitLate, nil
	}
	switch v.ending {
	case endFailed:
		return waitFailed, v.err
	case endOrphan:
		return waitAgain, nil
	case endAlone:
		return waitAlone, nil
	}
	if v.ending == endRefused {
		return waitRefused, nil
	}
	if !x.mayHave(&v) {
		return x.refused(), nil
	}
	if v.ending == endLanded && !x.confirmCurrent(ctx, f, &v) {
		if left := goneFailure(ctx, "wait for the page"); left != nil {
			return waitLeft, left
		}
		x.g.flights.leaveOut(f)
		return waitAgain, nil
	}
	x.rec.flight = "follower"
	return waitShared, x.relayShared(ctx, f, &v)
}

// mayHave reports whether the page could be stored for this request as well, or is one that
// nginx would have given to it.
func (x *exchange) mayHave(v *view) bool {
	p := &x.page
	return v.reason != "" || p.policy.Response(x.client.received, p.plan, v.resp, time.Now()).Store()
}

// refused marks the key of a page that is not for a client that is no stranger: it is not
// for others like it either.
func (x *exchange) refused() wait {
	if !x.page.stranger {
		x.g.flights.setMarker(x.page.plan.Key, false, uncacheable)
	}
	return waitRefused
}

// confirmCurrent finds out whether the page of a flight that has landed is not older than a
// purge that was over when this request came, through whatever gateway. It is
//   - if the request came before the worker was asked for the page;
//   - if it came before the page was handed to memcached, and memcached has said since, when
//     the page was stored, that there was no such purge;
//   - if it came later, and the page lies in memcached.
//
// While memcached is down nobody can know, and nobody waits for it.
func (x *exchange) confirmCurrent(ctx context.Context, f *flight, v *view) bool {
	came := x.looks.came
	if !v.asOf.Before(came) {
		return true
	}
	if !v.settled {
		timer := time.NewTimer(x.g.Store.OperationTimeout()) // what is put has a store
		defer timer.Stop()
		settled, ok := f.await(ctx, timer.C, func(v *view) bool { return v.settled })
		if !ok {
			return false
		}
		v = &settled
	}
	return !v.asOf.Before(came) || x.looks.finds(ctx, x.page.place(), f.inStore())
}

// looks are what one request has looked for in memcached. While a client waits, nothing is
// looked for twice, and nothing more after a look has failed.
type looks struct {
	store *cachewriter.Writer // nil: none
	came  time.Time           // when the request asked to share a page
	page  bool                // the page of a flight that had landed has been looked for
	copy  bool                // the last good copy has
	blind bool                // a look has failed

	lastGood *found // that copy
}

// look looks for an entry; nil: it is not there, or not to be seen.
func (l *looks) look(ctx context.Context, e cachewriter.Entry) *cachewriter.Item {
	if l.blind {
		return nil
	}
	item, err := l.store.Look(ctx, e)
	l.blind = err != nil
	return item
}

// finds reports whether the page of a flight lies in memcached with that value. It is the
// second look: nginx may have looked before the page was there, or it has been deleted
// since.
func (l *looks) finds(ctx context.Context, e cachewriter.Entry, value []byte) bool {
	if value == nil || l.store == nil || l.page {
		return false
	}
	l.page = true
	item := l.look(ctx, e)
	return item != nil && bytes.Equal(item.Value, value)
}

// relayShared sends a flight's page, as it comes if it is live.
func (x *exchange) relayShared(ctx context.Context, f *flight, v *view) error {
	p, c := &x.page, &x.client
	p.resp, p.shared = v.resp, true
	x.rec.reason = cmp.Or(v.reason, policy.Shared)
	if v.ending == endLanded && p.resp.ContentLength < 0 {
		whole := *v.resp
		whole.Chunked, whole.ContentLength = false, int64(len(v.body))
		p.resp = &whole
	}
	p.verdict = policy.Verdict{TTL: v.ttl, Reason: x.rec.reason}
	if f != nil && v.ending == endLanded {
		p.stored = f.inStore() != nil
	}
	if p.isNotModified(c.received) {
		return x.relayNotModified(ctx)
	}
	out := x.appendHead(nil)
	sent := 0
	for {
		n, err := c.writePart(out, v.body[sent:])
		out, sent = nil, sent+n
		c.sent.bytes = int64(sent)
		switch {
		case err != nil:
			return err
		case int64(sent) == p.resp.ContentLength:
			return nil
		case sent < len(v.body):
			continue
		case v.ending != aloft:
			return brokenFlight(v)
		}
		have := sent
		next, ok := f.await(ctx, nil, func(v *view) bool { return len(v.body) > have || v.ending != aloft })
		if !ok {
			return goneFailure(ctx, "write response")
		}
		v = &next
	}
}

// brokenFlight is the failure of a page that has come in part.
func brokenFlight(v *view) error {
	var f *failure
	if errors.As(v.err, &f) {
		return f
	}
	return &failure{op: "read response", side: sideBackend, status: 502, err: errors.New("the page that several requests waited for broke off")}
}

// offer shows the followers the verdict on the head.
func (x *exchange) offer() {
	p, f := &x.page, x.client.presence.flight
	if f == nil {
		return
	}
	switch {
	case p.mayStore():
		live := !x.g.Coalescing.Fleet && p.resp.ContentLength >= 0 && !p.resp.Chunked && !p.policy.JudgesBody()
		f.judged(p.resp, p.verdict.TTL, x.worker.asked, live)
	case p.resp.StatusCode >= 500 && f.strikes < maxStrike:
		x.land(endOrphan, nil)
	default:
		x.land(endRefused, nil)
		x.unlockPage(cmp.Or(p.capture.reason, p.verdict.Reason))
	}
}

// land ends the flight that the client leads. From then on it leads none: what is still
// relayed is for the client alone.
func (x *exchange) land(o ending, err error) {
	c := &x.client
	f := c.presence.flight
	if f == nil {
		return
	}
	x.g.flights.end(f, o, err)
	c.presence.leads(nil)
	c.lag.lost = f.hasLeft()
}

// landWith ends the flight of a page that has come to its end, and was stored, or was not
// for some reason.
func (x *exchange) landWith(reason policy.Reason) {
	f := x.client.presence.flight
	if f == nil {
		return
	}
	switch reason {
	case "":
		x.land(endLanded, nil)
	case policy.StoreDown:
		f.settle(time.Now(), false)
		x.land(endLanded, nil)
	case policy.StoreFull, policy.Purged:
		f.settle(time.Time{}, false)
		x.land(endLanded, nil)
	case policy.Truncated, policy.Reloaded:
		x.land(endOrphan, nil)
	default:
		x.land(endRefused, nil)
	}
}

// landFailed ends the flight of a leader that failed. The failure of a refresh is nobody
// else's: release lets one of the followers lead, who may find a last good copy.
func (x *exchange) landFailed(err error) {
	flight := x.client.presence.flight
	if flight == nil || x.refreshed != nil {
		return
	}
	var f *failure
	o := endOrphan
	switch {
	case errors.As(err, &f) && f.side == sideBackend && f.status == 503:
		o = endFailed
	case x.worker.isCrash(f), flight.strikes >= maxStrike:
		o = endAlone
	}
	x.land(o, err)
}
