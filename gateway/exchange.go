package gateway

import (
	"context"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/gateway/refresh"
	"uwgate/uwsgi"
)

// An exchange is one request and its response: the order of the steps over the client, the
// worker and the page. Most requests come from a client. A refresh and an explanation go
// the same way without one.
//
// One goroutine runs it. What else it starts is said at presence and upload; what it leaves
// to be done in the background is in later, which release waits for.
type exchange struct {
	g      *Gateway
	ctx    *requestContext
	client client
	worker worker
	page   page
	looks  looks
	rec    record
	later  sync.WaitGroup

	refreshed *refresh.Page // what a refresh fetches again; nil: it is none
	explained *explained    // what an explanation is made of; nil: it is none
}

// newExchange makes an exchange without a client's connection.
func newExchange(g *Gateway, t *requestContext) *exchange {
	x := &exchange{g: g, ctx: t}
	x.client.g, x.client.ctx, x.client.began = g, t, time.Now()
	x.worker.g, x.worker.ctx = g, t
	x.page.g, x.page.policy = g, g.policy()
	x.looks.store = g.Store
	return x
}

// serve serves the client at nc. When it returns the connection is closed, the goroutines of
// the request have ended, and its line is logged.
func (x *exchange) serve(nc net.Conn) {
	x.client.connect(nc)
	defer x.release()
	defer x.limit()()
	err := x.conclude(x.run(x.ctx.ctx))
	x.g.record(&x.rec, err)
	x.exemplify()
	x.hearOut()
}

// run goes from the first byte of a client's request to the last byte of its response.
func (x *exchange) run(ctx context.Context) error {
	req, err := x.client.read(x.page.policy)
	if err != nil {
		return err
	}
	if req.IsPing() {
		return x.client.pong()
	}
	x.note(req.Vars)
	return x.journey(ctx)
}

// journey is the way of every request whose vars are known. The steps that concern
// visitors alone do nothing for a refresh or an explanation. A step that returns done has
// ended the journey: its err is what became of the response.
func (x *exchange) journey(ctx context.Context) error {
	if done, err := x.answerCanary(); done {
		return err
	}
	if done, err := x.answerPurge(ctx); done {
		return err
	}
	if err := x.worker.choosePool(x.client.received); err != nil {
		return err
	}
	if err := x.screen(); err != nil {
		return err
	}
	x.plan(ctx)
	if done, err := x.check(); done {
		return err
	}
	if err := x.takeBody(ctx); err != nil {
		return err
	}
	if done, err := x.share(ctx); done {
		return err
	}
	x.askAsSent()
	if done, err := x.lockPage(ctx); done {
		return err
	}
	if done, err := x.standInForOutage(ctx); done {
		return err
	}
	err := x.forward(ctx)
	if done, err := x.standInForFailure(ctx, err); done {
		return err
	}
	if err != nil {
		return err
	}
	x.judge()
	x.invalidate(ctx)
	x.withdraw()
	if err := x.client.presence.goneFailure(); err != nil {
		return err
	}
	return x.relay(ctx)
}

// conclude ends the response, which err has ended or nothing has, and stores the page. It
// returns the error to log.
func (x *exchange) conclude(err error) error {
	if err != nil {
		x.invalidateDoubtful()
		x.landFailed(err)
		if !x.client.sendError(err) {
			x.client.abort(x.page.resp)
		} else {
			x.finishClient()
		}
	} else {
		if !x.page.isWanted() {
			x.worker.close() // its place is free before the client sends its next request
		}
		x.finishClient()
	}
	x.rec.course = x.worker.course(x.client.began, time.Now())
	if err == nil {
		x.store()
		err = x.client.unheard()
	}
	if x.explained == nil {
		x.worker.tally(&x.client)
	}
	x.rec.sent(&x.client, x.worker.name())
	return err
}

// release waits for all that the exchange has started, closes its connections, and gives
// back its buffers.
func (x *exchange) release() {
	x.land(endOrphan, nil)
	x.unlockPage(policy.Truncated)
	defer x.later.Wait()
	x.worker.release() // first: whoever sends it a body ends with it
	x.client.release()
	x.page.capture.release()
	x.ctx.wait()
}

// limit bounds the whole exchange until the function that it returns is called.
func (x *exchange) limit() (stop func() bool) {
	if d := x.g.Timeouts.Total; d > 0 {
		return time.AfterFunc(d, func() { x.ctx.end(errTotalTimeout) }).Stop
	}
	return func() bool { return false }
}

// isVisit reports whether a client waits for the response.
func (x *exchange) isVisit() bool { return x.client.conn != nil }

// note records what was asked. v are the vars as they came.
func (x *exchange) note(v uwsgi.Vars) {
	x.rec.request(x.client.method, x.page.policy.PublicURI(v), x.g.HideQuery)
	x.rec.asker = askerOf(x.page.policy, v)
	if !x.isVisit() {
		x.rec.client, x.rec.id, x.rec.trace = "", "", ""
	}
}

// screen keeps from the worker what it must not see.
func (x *exchange) screen() error {
	dropped, err := x.worker.screen(x.client.received)
	if x.explained != nil {
		x.explained.dropped = dropped
		return err
	}
	if err == nil {
		x.g.stats.dropVars(dropped)
		x.g.hintProto(x.client.received)
	}
	return err
}

// plan decides whether the response is a candidate for the store, and what the worker is
// asked.
func (x *exchange) plan(ctx context.Context) {
	p, c, w := &x.page, &x.client, &x.worker
	p.plan = p.policy.Request(c.received)
	if x.explained == nil {
		x.contest(ctx)
		x.g.hint(p.policy, p.plan, c.received)
		if p.plan.Bypass && p.plan.Key != "" {
			x.delete(ctx, p.policy.Bypassed(c.received, p.plan))
		}
	}
	x.rec.plan(p.plan)
	p.stranger = p.plan.Reason == "" && p.policy.IsStranger(c.received, p.plan)
	if !x.isVisit() {
		w.dropBody()
	}
	w.compose(p)
	// The firewall has seen to it that the length is a number.
	c.length, _ = w.out.ContentLength()
}

// check ends a refresh whose page has another key by now, and an explanation that might
// change something.
func (x *exchange) check() (done bool, err error) {
	switch {
	case x.refreshed != nil:
		return x.page.plan.Reason != "" || x.page.plan.Key != x.refreshed.Entry.Key, nil
	case x.explained != nil && x.client.method != "GET" && x.client.method != "HEAD":
		return true, errNotExplained
	}
	return false, nil
}

// takeBody reads the request's body. The body that a GET announces may not come at all: on
// its way through memcached_pass nginx throws it away, and without CACHE_STATUS nothing
// shows that. A worker would wait for it in vain.
func (x *exchange) takeBody(ctx context.Context) error {
	c := &x.client
	if c.length > 0 && (c.method == "GET" || c.method == "HEAD") {
		late, err := c.awaitBody()
		if err != nil {
			return err
		}
		if late {
			c.length = 0
			x.worker.dropBody()
		}
	}
	return c.takeBody(ctx)
}

// forward sends the request to a worker and reads the head of the response.
func (x *exchange) forward(ctx context.Context) error {
	want := x.worker.want(x.client.received, x.page.plan.Key)
	want.Away = func() (leaves bool) { return !x.isVisit() || x.findCopy(ctx) != nil }
	err := x.worker.forward(ctx, &x.client, want)
	if err == nil {
		x.g.noteResponse(x.worker.pool)
	}
	return err
}

// judge decides on the response's head, and shows it to those who wait for the page.
func (x *exchange) judge() {
	p, received, now := &x.page, x.client.received, time.Now()
	p.judge(received, x.worker.resp, now)
	if x.explained != nil {
		return
	}
	x.g.hintUnknown(p.policy, received, p.resp.Header, p.verdict.Reason)
	if p.isWanted() {
		x.g.hintLost(p.policy.Lost(p.resp.Header))
	}
	x.rec.verdict(p.verdict)
	x.markHead(now)
	x.offer()
}

// invalidate deletes what the response to a POST and the like has made old, before the
// client sees it.
func (x *exchange) invalidate(ctx context.Context) {
	x.delete(ctx, x.page.policy.Invalidated(x.client.received, x.page.resp))
	x.purge(ctx, x.page.policy.Purges(x.client.received, x.page.resp))
}

// store hands the page over, if it turned out whole and wanted. Only the first call does
// anything.
func (x *exchange) store() {
	p := &x.page
	if !p.isWanted() || p.shared || p.settled || x.worker.body == nil || x.explained != nil {
		return
	}
	p.settled = true
	reason := p.capture.reason
	if reason == "" && x.worker.sendsMore() {
		reason = policy.Truncated
	}
	if reason == "" {
		reason = x.put()
	}
	if reason != "" {
		x.rec.refuse(reason)
	}
	x.landWith(reason)
	x.markEnd(reason)
	x.unlockPage(reason)
}

// put hands the page to the store, or only counts it. It returns why it did not.
func (x *exchange) put() policy.Reason {
	switch {
	case x.page.verdict.Observe:
		x.g.stats.observed.Add(1)
		return ""
	case x.g.Store == nil:
		return policy.StoreDown
	}
	if x.page.lock != nil || x.refreshed != nil {
		x.page.written = make(chan struct{})
	}
	now := time.Now()
	if x.page.stranger && !x.page.plan.Bypass && x.refreshed == nil {
		x.g.samples.add(x.page.policy, x.client.received, x.page.plan, now)
	}
	return x.page.put(x.keep(now), x.client.presence.flight, x.worker.asked)
}

// delete removes entries, all within the time that one may take. The end of ctx does not
// end it: what was changed must go whether or not anybody waits.
func (x *exchange) delete(ctx context.Context, targets []policy.Target) {
	g := x.g
	ctx = context.WithoutCancel(ctx)
	for _, t := range targets {
		g.forget(t.Key)
	}
	if g.Store == nil || x.page.policy.Observe {
		return
	}
	var all sync.WaitGroup
	for _, t := range targets {
		all.Go(func() { g.deleteEntry(ctx, t) })
	}
	all.Wait()
}

// forget makes the flights and the schedule forget a page.
func (g *Gateway) forget(key string) {
	g.flights.forget(key)
	if g.schedules() {
		g.schedule().Forget(key)
	}
}

func (g *Gateway) deleteEntry(ctx context.Context, t policy.Target) {
	err := g.Store.Delete(ctx, cachewriter.Entry{Key: t.Key, Addr: t.Addr})
	if err != nil {
		g.log().Warn("a page could not be deleted from memcached yet; uwgate deletes it when the server can be reached", zap.Error(err))
	}
}

// finishClient ends the response.
func (x *exchange) finishClient() { x.client.finish(x.isTaken()) }

// isTaken reports whether all that nginx has announced has come. If nothing else has come,
// its connection can be closed at once.
func (x *exchange) isTaken() bool {
	if x.worker.out.Vars == nil || x.worker.mayTunnel() {
		return false
	}
	announced := x.client.received.Get("CONTENT_LENGTH")
	return announced == "" || announced == "0" || x.client.spool.whole
}
