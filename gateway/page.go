package gateway

import (
	"errors"
	"math/rand/v2"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/gateway/refresh"
	"uwgate/uwsgi"
)

// A page is what a request asks for, and what becomes of it: the plan of the request, the
// verdict on the response, the copy for the store, and the lock in a fleet. It is used by
// the goroutine of its exchange.
type page struct {
	g        *Gateway
	policy   *policy.Policy // the one in force when the exchange began
	plan     policy.Plan
	stranger bool // the request is a candidate of a stranger: see policy.IsStranger

	resp    *uwsgi.Response // that the client gets; nil: none yet
	verdict policy.Verdict
	subject policy.Subject // of a page that is wanted
	capture capture

	shared   bool // it comes from another's flight or from memcached; it is not stored again
	foreseen bool // it was judged as a whole before its head was sent
	stored   bool // it is stored, as far as can be known when its head is sent
	settled  bool // it has been handed over, or refused

	lock    *cachewriter.Lock // nil: none
	written chan struct{}     // closed when memcached has the page, or will not have it; nil: nobody waits
	lost    error             // why it will not; set before written is closed
}

// place is where the page is stored, and what purges know it by.
func (p *page) place() cachewriter.Entry {
	s := p.subject
	return cachewriter.Entry{
		Key: p.plan.Key, Addr: p.plan.Addr,
		Subject:  cachewriter.Subject{Host: s.Host, URI: s.URI, Tags: s.Tags, TagsLost: s.TagsLost},
		Recorded: s.Recorded,
	}
}

// SubjectOf is cachewriter.Writer.Subject for the policy in force.
func (g *Gateway) SubjectOf(key string) (s cachewriter.Subject, ok bool) {
	s.Host, s.URI, ok = g.policy().Subject(key)
	return s, ok
}

// judge decides about the page by the head of its response.
func (p *page) judge(received uwsgi.Vars, resp *uwsgi.Response, now time.Time) {
	p.resp = resp
	p.verdict = p.policy.Response(received, p.plan, resp, now)
	if p.isWanted() {
		p.subject = p.policy.PageSubject(received, p.plan, p.verdict)
		p.verdict.TTL = p.policy.Spread(p.verdict, rand.Float64())
		p.capture = capture{limit: p.policy.BodyLimit(), budget: &p.g.captures, total: p.g.captureMemory(p.policy)}
		p.capture.start(p.policy.StoredHead(resp, now), resp.ContentLength)
	}
}

// isWanted reports whether the page would be stored, observed or not.
func (p *page) isWanted() bool { return p.verdict.TTL > 0 }

// isNotModified reports whether the client has this page already. The worker of a
// candidate is asked without the client's conditions, since the store needs the whole
// page, so the response to them is ours.
func (p *page) isNotModified(received uwsgi.Vars) bool {
	return p.plan.Reason == "" && !p.plan.AsSent && p.resp.StatusCode == 200 && policy.NotModified(received, p.resp.Header)
}

// isContested reports whether another target has come for the key, perhaps meanwhile.
func (p *page) isContested() bool { return p.g.contested.has(p.plan.Key, time.Now()) }

// foresee judges a page that has come as a whole with its head, before anything of it is
// sent: body is all of it. more says that the worker has sent more than it announced.
func (p *page) foresee(body []byte, from *uwsgi.Body, more bool, asked time.Time) {
	if !p.mayStore() || p.capture.makeRoom(len(body)) != "" {
		return
	}
	p.capture.reason = p.policy.Body(p.resp, body, from.Whole(), from.Trailers())
	p.foreseen = true
	if p.capture.reason != "" || p.g.Store == nil || more || p.policy != p.g.policy() {
		return
	}
	e := p.place()
	e.Body, e.Began = body, asked
	p.stored = p.g.Store.Accepts(e)
}

// complete judges the body when its last byte has come.
func (p *page) complete(from *uwsgi.Body) {
	if p.isWanted() && !p.foreseen && p.capture.reason == "" {
		p.capture.reason = p.policy.Body(p.resp, p.capture.body(), from.Whole(), from.Trailers())
	}
}

// put hands the page to the store, and says why not if it does not. It is the only place
// where a page leaves for the store. f is what is kept of the page, and led the flight that
// fetched it; nil: none.
func (p *page) put(f *refresh.Page, led *flight, asked time.Time) policy.Reason {
	g := p.g
	value, flags := p.value()
	g.reloads.RLock()
	defer g.reloads.RUnlock()
	if p.policy != g.policy() {
		return policy.Reloaded
	}
	switch {
	case p.isContested():
		return policy.Rewritten
	case p.plan.Page != "" && g.partial.has(p.plan.Key):
		return policy.KeyPartial
	}
	if led != nil {
		led.stored(value)
		if g.Store.IsDown(p.place()) {
			led.settle(time.Now(), false)
		}
	}
	e := p.place()
	e.Body, e.Flags, e.Expires, e.Began = value, flags, f.Hard, asked
	e.Done = p.whenWritten(led)
	err := g.Store.Put(e)
	switch {
	case err == nil:
		g.withdrawn.forget(p.plan.Key)
		p.keepCopy(f.Soft, asked)
		if g.schedules() {
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
func (p *page) value() (value []byte, flags uint32) {
	page, flag := p.capture.value, p.policy.Hits.GzipFlag
	if p.policy.Hits.Format != policy.FormatGzip || flag == 0 {
		return page, 0
	}
	value, shrunk := cachewriter.Gzip(page)
	if !shrunk {
		return page, 0
	}
	return value, flag
}

// whenWritten is what the Writer calls when the page is in memcached, or will not be; nil:
// nobody has to know.
func (p *page) whenWritten(led *flight) func(error) {
	put, written := time.Now(), p.written
	if led == nil && written == nil {
		return nil
	}
	return func(err error) {
		if led != nil {
			led.settleBy(err, put)
		}
		if written != nil {
			p.lost = err
			close(written)
		}
	}
}

// A capture is the copy of a page that may be stored. Its size is bounded, and that of all
// captures together is.
type capture struct {
	value  []byte // the body, after the head if that is stored, too
	head   int    // the length of that head
	limit  int64
	reason policy.Reason // why the copy is of no use
	on     bool

	budget *budget // of all captures
	total  int64   // its limit
	held   int64   // bytes that are taken from it
}

// start begins with the head. It expects length bytes after that, or an unknown number if
// length is negative.
func (c *capture) start(head []byte, length int64) {
	c.head, c.on = len(head), true
	size := min(int64(len(head))+max(length, 0), c.limit)
	if reason := c.makeRoom(int(size)); reason != "" {
		c.drop(reason)
		return
	}
	c.value = append(make([]byte, 0, size), head...)
}

func (c *capture) body() []byte { return c.value[c.head:] }

// makeRoom makes sure that n more bytes fit, and returns why they do not.
func (c *capture) makeRoom(n int) policy.Reason {
	need := int64(len(c.value) + n)
	switch {
	case need > c.limit:
		return policy.TooLarge
	case need <= c.held:
		return ""
	case !c.budget.take(need-c.held, c.total):
		return policy.CaptureFull
	}
	c.held = need
	return ""
}

func (c *capture) add(b []byte) {
	if !c.on {
		return
	}
	if reason := c.makeRoom(len(b)); reason != "" {
		c.drop(reason)
		return
	}
	c.value = append(c.value, b...)
}

// drop gives the copy up.
func (c *capture) drop(reason policy.Reason) {
	c.release()
	*c = capture{reason: reason}
}

// release gives back the room that the copy took. The copy stays as it is: the store and
// the followers of a flight may have it.
func (c *capture) release() {
	if c.held > 0 {
		c.budget.free(c.held)
		c.held = 0
	}
}
