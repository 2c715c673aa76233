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
	capture capture

	shared   bool // it comes from another's flight or from memcached; it is not stored again
	foreseen bool // it was judged as a whole before its head was sent
	stored   bool // it is stored, as far as can be known when its head is sent
	settled  bool // it has been handed over, or refused

	lock    *cachewriter.Lock // nil: none
	written chan struct{}     // closed when memcached has the page, or will not have it; nil: nobody waits
}

// place is where the page is stored.
func (p *page) place() cachewriter.Entry {
	return cachewriter.Entry{Key: p.plan.Key, Addr: p.plan.Addr}
}

// judge decides about the page by the head of its response.
func (p *page) judge(received uwsgi.Vars, resp *uwsgi.Response, now time.Time) {
	p.resp = resp
	p.verdict = p.policy.Response(received, p.plan, resp, now)
	if p.isWanted() {
		p.verdict.TTL = p.policy.Spread(p.verdict, rand.Float64())
		p.capture = newCapture(p.policy.StoredHead(resp, now), resp.ContentLength, p.policy.BodyLimit())
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
	if !p.verdict.Store() || !p.capture.fits(body) {
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
	if p.isContested() {
		return policy.Rewritten
	}
	if led != nil {
		led.stored(value)
		if g.Store.IsDown(p.place()) {
			led.settle(time.Now(), false)
		}
	}
	err := g.Store.Put(cachewriter.Entry{
		Key:     p.plan.Key,
		Addr:    p.plan.Addr,
		Body:    value,
		Flags:   flags,
		Expires: f.Hard,
		Began:   asked,
		Done:    p.whenWritten(led),
	})
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
			close(written)
		}
	}
}

// A capture is the copy of a page that may be stored. Its size is bounded.
type capture struct {
	value  []byte // the body, after the head if that is stored, too
	head   int    // the length of that head
	limit  int64
	reason policy.Reason // why the copy is of no use
	on     bool
}

// newCapture expects length bytes after the head, or an unknown number if that
// is negative.
func newCapture(head []byte, length, limit int64) capture {
	size := min(int64(len(head))+max(length, 0), limit)
	return capture{value: append(make([]byte, 0, size), head...), head: len(head), limit: limit, on: true}
}

func (c *capture) body() []byte { return c.value[c.head:] }

func (c *capture) fits(b []byte) bool { return int64(len(c.value)+len(b)) <= c.limit }

func (c *capture) add(b []byte) {
	if !c.on {
		return
	}
	if !c.fits(b) {
		*c = capture{reason: policy.TooLarge}
		return
	}
	c.value = append(c.value, b...)
}
