package gateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/gateway/refresh"
	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// An exchange is one request and its answer. Its fields are filled in along
// the way, by the goroutine that runs it.
type exchange struct {
	g      *Gateway
	policy *policy.Policy // the one in force when the exchange began
	tether *tether

	client net.Conn
	closed bool          // client is, and nothing is left to be read from it
	in     *bufio.Reader // what nginx sends
	upload upload

	pool     *backend.Pool
	received uwsgi.Vars // as nginx sent them: the key and the plan come from these
	sent     [2]uint8   // the modifiers beside them
	method   string
	plan     policy.Plan
	stranger bool          // a candidate's: see policy.IsStranger
	clean    uwsgi.Vars    // what of them the worker may see
	out      uwsgi.Request // as the worker gets it
	length   int64         // of the body that goes with it
	spool    spool         // holds that body, unless uploads are streamed
	asked    time.Time     // when a worker first got to see the request

	conn    *backend.Conn
	from    *bufio.Reader // what the backend sends
	resp    *uwsgi.Response
	body    *uwsgi.Body
	verdict policy.Verdict
	page    capture

	flight  *flight // that it leads, until that ends; nil: none. Set under upload.mu
	follows bool    // the answer is that of another's flight
	lag     lag
	settled bool // the page has been handed over, or refused

	foreseen bool // it has been judged before its head was sent
	stored   bool // it is stored, as far as can be known when the head is sent

	came      time.Time // when it asked to share a page; see share
	looked    bool      // it has been looked for the page of a flight that had landed
	lookedOld bool      // it has been looked for the last good copy
	blind     bool      // memcached could not be looked at

	refreshed *refresh.Page // what is fetched anew without a client; nil: there is one

	lock    *cachewriter.Lock // nil: none
	written chan struct{}     // closed once it is known what memcached has made of the page; nil: nobody asks
	later   sync.WaitGroup    // what is done while nobody waits for it

	mustHear bool // the response is waited for though the client leaves; guarded by upload.mu
	gone     bool // and it has left; guarded likewise
	timedOut bool // no response came in time

	unseen   bool // the backend has not got a byte of the request
	cutOff   bool // it closed before it had got the packet
	answered bool // something of an answer has been sent to nginx
	broken   bool // the answer must not look complete
	rec      record
}

const (
	clientBuffer  = 8 << 10 // a packet of usual size, and the start of a small body
	backendBuffer = 32 << 10
)

var (
	clientReaders  = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, clientBuffer) }}
	backendReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, backendBuffer) }}
	buffers        = sync.Pool{New: func() any { return new([backendBuffer]byte) }}
)

func newExchange(g *Gateway, nc net.Conn, t *tether) *exchange {
	x := &exchange{g: g, policy: g.policy(), tether: t, client: nc, in: clientReaders.Get().(*bufio.Reader)}
	x.in.Reset(nc)
	x.rec.start = time.Now()
	return x
}

// run is the journey. Whatever its outcome, the connection is closed, the
// second goroutine has ended and the line is logged when it returns.
func (x *exchange) run() {
	defer x.release()
	defer x.limit()()
	err := x.answer(x.tether.ctx)
	if err != nil {
		x.invalidateDoubtful()
		x.landFailed(err)
		x.fail(err)
	} else if !x.isWanted() {
		x.closeBackend() // its place is free before the client sends its next request
	}
	x.finishClient()
	x.rec.took = time.Since(x.rec.start)
	if err == nil {
		x.store()
		err = x.unheard()
	}
	x.tally()
	x.g.record(&x.rec, err)
	x.hearOut()
	x.closeBackend()
}

// limit bounds the whole exchange until the function that it returns is called.
func (x *exchange) limit() (stop func() bool) {
	if d := x.g.Timeouts.Total; d > 0 {
		return time.AfterFunc(d, func() { x.tether.end(errTotalTimeout) }).Stop
	}
	return func() bool { return false }
}

// answer goes from the first byte of the request to the last of the answer.
func (x *exchange) answer(ctx context.Context) error {
	req, err := x.read()
	if err != nil {
		return err
	}
	if req.IsPing() {
		return x.pong()
	}
	if err := x.choosePool(); err != nil {
		return err
	}
	clean, err := x.screen()
	if err != nil {
		return err
	}
	x.decide(ctx, clean)
	if err := x.awaitBody(); err != nil {
		return err
	}
	if err := x.takeBody(ctx); err != nil {
		return err
	}
	x.spool.whole = x.spool.isHeld()
	if done, err := x.share(ctx); done {
		return err
	}
	x.askAsSent()
	if done, err := x.lockPage(ctx); done {
		return err
	}
	if x.isOut() {
		if done, err := x.instead(ctx, nil); done {
			return err
		}
	}
	err = x.forward(ctx)
	if cause := x.backendFailure(err); cause != nil {
		if done, err := x.instead(ctx, cause); done {
			return err
		}
	}
	if err != nil {
		return err
	}
	x.judge()
	x.invalidate(ctx)
	x.withdraw()
	if err := x.goneUnheard(); err != nil {
		return err
	}
	return x.relay(ctx)
}

// read takes the request's packet from nginx.
func (x *exchange) read() (*uwsgi.Request, error) {
	x.client.SetReadDeadline(time.Now().Add(x.g.Timeouts.head()))
	req, err := x.g.limits().ReadRequest(x.in)
	if err == io.EOF {
		x.g.wonder(x.client)
	}
	if err != nil {
		return nil, readFailure(x.policy.Bypass.PublicError(err))
	}
	x.received = x.policy.Conceal(req.Vars)
	x.sent = [2]uint8{req.Modifier1, req.Modifier2}
	x.method = req.Vars.Get("REQUEST_METHOD")
	x.rec.request(req.Vars, x.policy.PublicURI(req.Vars), x.g.HideQuery)
	return req, nil
}

// pong answers a ping; no worker is troubled with it.
func (x *exchange) pong() error {
	x.rec.ping = true
	x.answered = true
	return x.write([]byte(uwsgi.Pong))
}

// choosePool finds the servers for the request.
func (x *exchange) choosePool() error {
	x.pool = x.g.poolFor(x.received)
	if x.pool == nil {
		return &failure{op: "choose a pool", side: sideClient, status: 503, code: codeNoPool,
			err: errors.New("no pool is for this host, and there is no default one: add --backend")}
	}
	return nil
}

// screen keeps from the worker what it must not see.
func (x *exchange) screen() (uwsgi.Vars, error) {
	clean, dropped, err := x.g.firewallOf(x.pool).Screen(x.received)
	if err != nil {
		return nil, screenFailure(err)
	}
	x.g.stats.dropVars(dropped)
	x.g.hintProto(x.received)
	return clean, nil
}

// decide plans what becomes of the answer, and says what the worker is asked.
func (x *exchange) decide(ctx context.Context, clean uwsgi.Vars) {
	x.plan = x.policy.Request(x.received)
	x.contest(ctx)
	x.rec.plan(x.plan)
	x.g.hint(x.policy, x.plan, x.received)
	if x.plan.Bypass && x.plan.Key != "" {
		x.delete(ctx, x.policy.Entries(x.received, x.plan))
	}
	x.stranger = x.plan.Reason == "" && x.policy.IsStranger(x.received, x.plan)
	x.clean = clean
	x.compose()
	// The firewall has seen to it that the length is a number.
	x.length, _ = x.out.ContentLength()
}

// compose makes the vars that the worker gets.
func (x *exchange) compose() {
	x.out.Vars = setVars(x.policy.ForWorker(x.clean, x.plan), x.pool)
	if x.g.AskToClose && !x.mayTunnel() {
		x.out.Vars = append(x.out.Vars, uwsgi.Var{Name: "HTTP_CONNECTION", Value: "close"})
	}
}

// awaitBody sees to it that the body announced by a GET is really coming. On its
// way through memcached_pass nginx throws it away, and without CACHE_STATUS
// nothing tells; a worker would wait for it in vain.
func (x *exchange) awaitBody() error {
	if x.length == 0 || x.method != "GET" && x.method != "HEAD" {
		return nil
	}
	late, err := x.isBodyLate()
	if late {
		x.length = 0
		withoutBody(x.out.Vars)
	}
	return err
}

// isBodyLate reports whether the body has not begun to come in time. If nginx has read it
// before it connects, as it does unless told otherwise, it is here at once.
func (x *exchange) isBodyLate() (late bool, err error) {
	if x.in.Buffered() > 0 {
		return false, nil
	}
	x.client.SetReadDeadline(time.Now().Add(bodyGrace))
	_, err = x.in.Peek(1)
	switch {
	case err == nil:
		return false, nil
	case isTimeout(err):
		return true, nil
	}
	return false, &failure{op: "read request body", side: sideClient, status: statusClientGone, err: errClientGone}
}

// withoutBody changes the vars of a request to those of one without a body.
func withoutBody(v uwsgi.Vars) {
	for i := range v {
		if v[i].Name == "CONTENT_LENGTH" {
			v[i].Value = ""
		}
	}
}

// bodyGrace is how long the first byte of a body may take.
const bodyGrace = time.Second

// judge decides on the answer's head.
func (x *exchange) judge() {
	now := time.Now()
	x.verdict = x.policy.Response(x.received, x.plan, x.resp, now)
	x.g.hintUnknown(x.policy, x.received, x.resp.Header, x.verdict.Reason)
	if x.isWanted() {
		x.verdict.TTL = x.policy.Spread(x.verdict, rand.Float64())
		x.page = newCapture(x.policy.StoredHead(x.resp, now), x.resp.ContentLength, x.policy.BodyLimit())
		x.g.hintLost(x.policy.Lost(x.resp.Header))
	}
	x.rec.verdict(x.verdict)
	x.markHead(now)
	x.offer()
}

// isWanted reports whether the page would be stored, observed or not.
func (x *exchange) isWanted() bool { return x.verdict.TTL > 0 }

// invalidate deletes what the answer to a POST and the like has made old, before
// the client hears of it.
func (x *exchange) invalidate(ctx context.Context) {
	x.delete(ctx, x.policy.Invalidated(x.received, x.resp))
}

// store hands the page over, if it turned out whole and wanted. Only the first call
// does anything.
func (x *exchange) store() {
	if !x.isWanted() || x.follows || x.settled {
		return
	}
	x.settled = true
	reason := x.page.reason
	if reason == "" && x.overlong() {
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

// put is the one place where a page leaves for the store.
func (x *exchange) put() policy.Reason {
	g := x.g
	if x.verdict.Observe {
		g.stats.observed.Add(1)
		return ""
	}
	if g.Store == nil {
		return policy.StoreDown
	}
	value, flags := x.value()
	g.reloads.RLock()
	defer g.reloads.RUnlock()
	if x.policy != g.policy() {
		return policy.Reloaded
	}
	if x.isContested() {
		return policy.Rewritten
	}
	f := x.keep(time.Now())
	if x.flight != nil {
		x.flight.stored(value)
		if g.Store.IsDown(x.place()) {
			x.flight.settle(time.Now(), false)
		}
	}
	err := g.Store.Put(cachewriter.Entry{
		Key:     x.plan.Key,
		Addr:    x.plan.Addr,
		Body:    value,
		Flags:   flags,
		Expires: f.Hard,
		Began:   x.asked,
		Done:    x.whenWritten(),
	})
	switch {
	case err == nil:
		g.withdrawn.forget(x.plan.Key)
		x.keepCopy(f.Soft)
		if g.keepsPages() {
			g.schedule().Add(f)
		}
		return ""
	case errors.Is(err, cachewriter.ErrPurged):
		return policy.Purged
	case errors.Is(err, cachewriter.ErrQueueFull):
		return policy.StoreFull
	}
	return policy.StoreDown
}

// value is what is stored: the page, compressed where nginx expects that.
func (x *exchange) value() (value []byte, flags uint32) {
	page, flag := x.page.value, x.policy.GzipFlag
	if x.policy.Format != policy.FormatGzip || flag == 0 {
		return page, 0
	}
	value, shrunk := cachewriter.Gzip(page)
	if !shrunk {
		return page, 0
	}
	return value, flag
}

// delete removes entries, all within the time that one may take. The end of ctx does not
// end it: what was changed must go whether or not anybody waits.
func (x *exchange) delete(ctx context.Context, targets []policy.Target) {
	g := x.g
	ctx = context.WithoutCancel(ctx)
	for _, t := range targets {
		g.flights.forget(t.Key)
		if g.keepsPages() {
			g.schedule().Forget(t.Key)
		}
	}
	if g.Store == nil || x.policy.Observe {
		return
	}
	var all sync.WaitGroup
	for _, t := range targets {
		all.Go(func() {
			err := g.Store.Delete(ctx, cachewriter.Entry{Key: t.Key, Addr: t.Addr})
			if err != nil {
				g.log().Warn("an entry could not be deleted; it stays until it expires or is refilled", zap.Error(err))
			}
		})
	}
	all.Wait()
}

// fail answers for the backend, or breaks off what has begun.
func (x *exchange) fail(err error) {
	var f *failure
	if !errors.As(err, &f) {
		return
	}
	if x.answered {
		x.broken = true
		return
	}
	x.rec.status = f.status
	if f.status == statusClientGone {
		return
	}
	answer := ownAnswer(f.status, x.method)
	x.answered = true
	x.client.SetWriteDeadline(time.Now().Add(ownAnswerTimeout))
	x.client.Write(answer)
}

// ownAnswerTimeout bounds the sending of an answer of ours, which is a few lines.
const ownAnswerTimeout = 10 * time.Second

// write sends b to nginx.
func (x *exchange) write(b []byte) error {
	x.client.SetWriteDeadline(x.sendBy())
	if _, err := x.client.Write(b); err != nil {
		return x.sendFailure(err)
	}
	return nil
}

// sendBy is the deadline for a write to nginx that begins now; zero: there is none.
func (x *exchange) sendBy() (by time.Time) {
	if d := x.g.Timeouts.Send; d > 0 {
		by = time.Now().Add(d)
	}
	if d := x.g.Timeouts.Total; d > 0 {
		if end := x.rec.start.Add(d); by.IsZero() || end.Before(by) {
			by = end
		}
	}
	return by
}

// sendFailure is the failure to send to nginx, for the reason why the exchange ends if
// that is known.
func (x *exchange) sendFailure(err error) error {
	if end := x.g.Timeouts.Total; end > 0 && isTimeout(err) && time.Since(x.rec.start) >= end {
		x.tether.end(errTotalTimeout)
	}
	if gone := goneFailure(x.tether.ctx, "write answer"); gone != nil {
		return gone
	}
	return writeFailure(err)
}

// finishClient ends the connection to nginx so that the answer arrives: a
// close with unread bytes of the request would make the kernel send a reset,
// and nginx drop an answer that it has not read yet.
func (x *exchange) finishClient() {
	switch {
	case x.broken:
		x.abort()
	case x.isTaken() && x.endUpload() && socket.IsDrained(x.client):
		x.client.Close()
		x.closed = true
	default:
		socket.CloseWrite(x.client)
	}
}

// isTaken reports whether all that nginx has announced has come. If there is nothing
// beside that, its connection can be closed at once.
func (x *exchange) isTaken() bool {
	if x.out.Vars == nil || x.mayTunnel() {
		return false
	}
	announced := x.received.Get("CONTENT_LENGTH")
	return announced == "" || announced == "0" || x.spool.whole
}

// abort makes the end of an answer look like what it is. With a declared length
// nginx counts for itself.
func (x *exchange) abort() {
	socket.Cut(x.client, x.resp != nil && x.resp.ContentLength < 0)
}

// release waits for nginx to close its side and for the second goroutine, and
// gives the buffers back.
func (x *exchange) release() {
	x.land(endOrphan, nil)
	x.unlockPage(policy.Truncated)
	defer x.later.Wait()
	x.finishUpload()
	x.client.Close()
	x.spool.free(x.g)
	x.giveClientBuffer()
	x.giveBuffers()
}

// giveClientBuffer gives back what came with the client's connection.
func (x *exchange) giveClientBuffer() {
	if x.in != nil {
		x.in.Reset(nil)
		clientReaders.Put(x.in)
		x.in = nil
	}
}

// giveBuffers gives back what came with the backend's connection.
func (x *exchange) giveBuffers() {
	if x.from != nil {
		x.from.Reset(nil)
		backendReaders.Put(x.from)
	}
}
