package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// share has the request wait for the same page that is being fetched for another.
// It returns false if this one is to ask a backend itself, as the leader of a flight
// or alone.
//
// What becomes of a follower:
//   - The page has landed, or is live: it is answered with that, if its own vars
//     allow the page to be stored, too.
//   - The page has landed, and may have been purged before this request came: one of
//     those for whom that holds leads.
//   - The page may not be stored: it goes alone, and so do all requests for that key
//     for a while.
//   - No backend takes requests: that is its response, too.
//   - The worker closed the leader's connection without a byte of a response, as one
//     does that the request has crashed: it goes alone.
//   - The leader fails otherwise, or gets a 5xx: one of the followers leads. If the
//     next leader fails as well, each goes alone.
//   - It has waited for CoalesceWait without a byte: it goes alone, and so do those
//     who come for that key later, for a while.
func (x *exchange) share(ctx context.Context) (done bool, err error) {
	if !x.mayShare() {
		return false, nil
	}
	x.startReading(nil) // nginx may leave meanwhile
	x.came = time.Now()
	var timer *time.Timer
	for strikes := 0; ; {
		f, leads := x.g.flights.join(x, strikes, x.g.Coalescing.followers())
		switch {
		case f == nil:
			return false, nil
		case leads:
			x.lead(f)
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
			x.g.flights.markLate(f, x.stranger)
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

// mayShare reports whether the request may wait for others, and they for it. One
// that is to renew the page does not take part.
func (x *exchange) mayShare() bool {
	return x.plan.Reason == "" && !x.plan.Alone && !x.plan.Bypass && !x.policy.Observes(x.plan) && x.g.Coalescing.wait() > 0 && x.length == 0
}

// lead makes the exchange the leader.
func (x *exchange) lead(f *flight) {
	x.upload.mu.Lock()
	defer x.upload.mu.Unlock()
	x.flight = f
	x.rec.flight = "leader"
}

// follow waits for what the leader finds.
func (x *exchange) follow(ctx context.Context, f *flight, timeUp <-chan time.Time) (wait, error) {
	v, ok := f.await(ctx, timeUp, func(v *view) bool { return v.resp != nil || v.ending != aloft })
	if ok && v.ending == aloft && !x.agrees(&v) {
		return waitRefused, nil
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
	if v.ending == endRefused || !x.agrees(&v) {
		return waitRefused, nil
	}
	if v.ending == endLanded && !x.isCurrent(ctx, f, &v) {
		if left := goneFailure(ctx, "wait for the page"); left != nil {
			return waitLeft, left
		}
		x.g.flights.leaveOut(f)
		return waitAgain, nil
	}
	x.rec.flight = "follower"
	return waitShared, x.relayShared(ctx, f, &v)
}

// agrees reports whether the page could be stored for this request as well, or is
// one that nginx would have given to it. If it is not for one who is no stranger, it
// is not for others like it either.
func (x *exchange) agrees(v *view) bool {
	if v.reason != "" {
		return true
	}
	verdict := x.policy.Response(x.received, x.plan, v.resp, time.Now())
	if !verdict.Store() && !x.stranger {
		x.g.flights.setMark(x.plan.Key, false, uncacheable)
	}
	return verdict.Store()
}

// isCurrent reports whether the page of a flight that has landed is not older than a purge
// that was over when this request came, through whatever gateway. So it is
//   - if the request came before the worker was asked for the page;
//   - if it came before the page was handed to memcached, and memcached has said since, when
//     the page was stored, that there was no such purge;
//   - if it came later, and the page lies in memcached.
//
// While memcached is down nobody can tell, and nobody waits for it.
func (x *exchange) isCurrent(ctx context.Context, f *flight, v *view) bool {
	if !v.asOf.Before(x.came) {
		return true
	}
	if !v.settled {
		timer := time.NewTimer(settleWait)
		defer timer.Stop()
		settled, ok := f.await(ctx, timer.C, func(v *view) bool { return v.settled })
		if !ok {
			return false
		}
		v = &settled
	}
	return !v.asOf.Before(x.came) || x.isStillThere(ctx, f)
}

// settleWait is how long a follower waits to hear what has become of a page in memcached.
const settleWait = 250 * time.Millisecond

// isStillThere is the second look at memcached: nginx may have looked before the page
// was there, or the page has been deleted since.
func (x *exchange) isStillThere(ctx context.Context, f *flight) bool {
	value := f.inStore()
	if value == nil || x.g.Store == nil || x.looked { // one such look is enough
		return false
	}
	x.looked = true
	item := x.look(ctx, x.place())
	return item != nil && bytes.Equal(item.Value, value)
}

// look looks for an entry in memcached, while this client waits. Once that has failed it
// does not look for anything again.
func (x *exchange) look(ctx context.Context, e cachewriter.Entry) *cachewriter.Item {
	if x.blind {
		return nil
	}
	item, err := x.g.Store.Look(ctx, e)
	x.blind = err != nil
	return item
}

// relayShared answers with a flight's page, as it comes if it is live.
func (x *exchange) relayShared(ctx context.Context, f *flight, v *view) error {
	x.resp = v.resp
	x.rec.reason = cmp.Or(v.reason, policy.Shared)
	if v.ending == endLanded && x.resp.ContentLength < 0 {
		whole := *v.resp
		whole.Chunked, whole.ContentLength = false, int64(len(v.body))
		x.resp = &whole
	}
	x.verdict = policy.Verdict{TTL: v.ttl, Reason: x.rec.reason}
	x.follows = true
	if f != nil && v.ending == endLanded {
		x.stored = f.inStore() != nil
	}
	if x.isNotModified() {
		return x.relayNotModified()
	}
	out := x.appendHead(nil)
	sent := 0
	for {
		x.answered = true
		n, err := x.writePart(out, v.body[sent:])
		out, sent = nil, sent+n
		x.rec.bytes = int64(sent)
		switch {
		case err != nil:
			return err
		case int64(sent) == x.resp.ContentLength:
			return nil
		case sent < len(v.body):
			continue
		case v.ending != aloft:
			return brokenFlight(v)
		}
		have := sent
		next, ok := f.await(ctx, nil, func(v *view) bool { return len(v.body) > have || v.ending != aloft })
		if !ok {
			return goneFailure(ctx, "write answer")
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
	return &failure{op: "read answer", side: sideBackend, status: 502, err: errors.New("the page that others waited for, too, broke off")}
}

// offer tells the followers the judgement on the head.
func (x *exchange) offer() {
	if x.flight == nil {
		return
	}
	switch {
	case x.verdict.Store():
		live := !x.g.Coalescing.Fleet && x.resp.ContentLength >= 0 && !x.resp.Chunked && !x.policy.JudgesBody()
		x.flight.judged(x.resp, x.verdict.TTL, x.asked, live)
	case x.resp.StatusCode >= 500 && x.flight.strikes < maxStrike:
		x.land(endOrphan, nil)
	default:
		x.land(endRefused, nil)
		x.unlockPage(x.verdict.Reason)
	}
}

// markHead marks the key if the head of the response shows that the page cannot be
// stored. A 5xx says nothing of the page. Nor does what only the client's own
// Accept-Encoding and conditions have brought about: a mark must end, so that a page
// that has become cacheable is asked for in a form that can be stored.
func (x *exchange) markHead(now time.Time) {
	reason := x.verdict.Reason
	switch {
	case x.plan.Reason != "", x.verdict.Store(), x.resp.StatusCode >= 500:
		return
	case x.isWanted(): // and only observed
		if x.flight != nil {
			x.g.flights.setMark(x.plan.Key, x.stranger, apart)
		}
		return
	case x.plan.AsSent && x.resp.StatusCode == http.StatusNotModified:
		return
	case x.plan.AsSent && reason == policy.ContentEncoding:
		plain := x.policy.Unencoded(x.received, x.plan, x.resp, now)
		if plain.TTL > 0 {
			x.unmarkEncoded()
			return
		}
		reason = plain.Reason
	}
	x.mark(uncacheableFor(reason))
}

// unmarkEncoded has the page asked for in a form that can be stored, now that its head
// shows nothing else against that.
func (x *exchange) unmarkEncoded() {
	if x.g.flights.markOf(x.plan.Key, x.stranger) == uncacheable {
		x.g.flights.clearMarks(x.plan.Key)
	}
}

// uncacheableFor is the mark for a refusal that a head has shown.
func uncacheableFor(reason policy.Reason) mark {
	switch reason {
	case policy.NoLength, policy.TooLarge, policy.Empty:
		return uncacheableWhole
	}
	return uncacheable
}

// mark marks the key for those who ask like x. What credentials have brought about
// says nothing of others.
func (x *exchange) mark(m mark) {
	if !x.plan.Alone {
		x.g.flights.setMark(x.plan.Key, x.stranger, m)
	}
}

// markEnd marks the key if the end of the body has shown that the page cannot be
// stored, and takes its marks off if it could.
func (x *exchange) markEnd(reason policy.Reason) {
	switch reason {
	case policy.Purged, policy.Truncated, policy.Reloaded:
	case "", policy.StoreFull, policy.StoreDown:
		if x.verdict.Store() {
			x.g.flights.clearMarks(x.plan.Key)
		}
	default:
		x.mark(uncacheableWhole)
	}
}

// outgrow ends the flight of a page that has become too large.
func (x *exchange) outgrow() {
	if x.flight != nil {
		x.markEnd(policy.TooLarge)
		x.land(endRefused, nil)
	}
}

// askAsSent leaves the client's Accept-Encoding and conditions in the request of one
// who asks alone for what is not expected to be stored.
func (x *exchange) askAsSent() {
	if x.plan.Reason != "" || x.plan.Bypass || x.flight != nil || x.g.flights.markOf(x.plan.Key, x.stranger) < uncacheable {
		return
	}
	x.plan.AsSent = true
	x.compose()
}

// land ends the flight that the exchange leads. From then on it leads none: what it
// still relays is for its own client alone.
func (x *exchange) land(o ending, err error) {
	f := x.flight
	if f == nil {
		return
	}
	x.g.flights.end(f, o, err)
	x.upload.mu.Lock()
	defer x.upload.mu.Unlock()
	x.flight, x.lag.lost = nil, f.isGone()
}

// landWith ends the flight of a page that has come to its end, and was stored, or
// was not for some reason.
func (x *exchange) landWith(reason policy.Reason) {
	if x.flight == nil {
		return
	}
	switch reason {
	case "":
		x.land(endLanded, nil)
	case policy.StoreDown:
		x.flight.settle(time.Now(), false)
		x.land(endLanded, nil)
	case policy.StoreFull, policy.Purged:
		x.flight.settle(time.Time{}, false)
		x.land(endLanded, nil)
	case policy.Truncated, policy.Reloaded:
		x.land(endOrphan, nil)
	default:
		x.land(endRefused, nil)
	}
}

// landFailed ends the flight of a leader that failed.
func (x *exchange) landFailed(err error) {
	if x.flight == nil {
		return
	}
	var f *failure
	o := endOrphan
	switch {
	case errors.As(err, &f) && f.side == sideBackend && f.status == 503:
		o = endFailed
	case x.isCrash(f), x.flight.strikes >= maxStrike:
		o = endAlone
	}
	x.land(o, err)
}

// isCrash reports whether the worker may have died of the request.
func (x *exchange) isCrash(f *failure) bool {
	return f != nil && f.side == sideBackend && x.resp == nil && isSilent(f.err)
}
