package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A last good copy is what a page was when it was last stored, with its whole head,
// under a key of its own. It is served while the backend fails, if the response or the
// operator allowed that (stale-if-error, RFC 5861 §4).

// copyMagic begins a copy; its number changes with the form.
const copyMagic = "uwgate-copy/1 "

// keepCopy stores a copy beside the page, which is fresh until soft.
func (p *page) keepCopy(soft, asked time.Time) {
	if p.verdict.StaleIfError <= 0 {
		return
	}
	e := p.place().Sibling(cachewriter.KindCopy)
	e.Body = appendCopy(nil, p.plan.Key, time.Now(), soft, p.cleanHead(), p.capture.body())
	e.Expires = soft.Add(p.verdict.StaleIfError)
	e.Began = asked
	if err := p.g.Store.Put(e); err != nil {
		p.g.stats.copies.add(copyLost)
		return
	}
	p.g.stats.copies.add(copyKept)
	p.g.withdrawn.forget(e.Key)
}

// cleanHead is the response's head with the length of what was captured.
func (p *page) cleanHead() *uwsgi.Response {
	resp := *p.resp
	resp.Header = p.policy.StripTags(resp.Header).Clone()
	resp.Chunked, resp.ContentLength = false, int64(len(p.capture.body()))
	resp.Clean()
	return &resp
}

// appendCopy appends a copy: when it was stored and is fresh until, in Unix seconds,
// and the key that it is of, for a hash may be another's, too; then head and body.
func appendCopy(b []byte, key string, stored, soft time.Time, resp *uwsgi.Response, body []byte) []byte {
	b = append(b, copyMagic...)
	b = strconv.AppendInt(b, stored.Unix(), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, soft.Unix(), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(key)), 10)
	b = append(b, '\n')
	b = append(b, key...)
	b = resp.AppendHead(b)
	return append(b, body...)
}

var errNoCopy = errors.New("gateway: not a copy of this page")

// parseCopy takes a copy of the page of that key apart. What it returns shares memory
// with b.
func parseCopy(b []byte, key string) (page *found, stored time.Time, err error) {
	line, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok || !bytes.HasPrefix(line, []byte(copyMagic)) {
		return nil, stored, errNoCopy
	}
	var at, soft int64
	var size int
	if n, err := fmt.Sscanf(string(line[len(copyMagic):]), "%d %d %d", &at, &soft, &size); n != 3 || err != nil {
		return nil, stored, errNoCopy
	}
	if size != len(key) || len(rest) < size || string(rest[:size]) != key {
		return nil, stored, errNoCopy
	}
	resp, body, err := policy.CutHead(rest[size:])
	if err != nil {
		return nil, stored, err
	}
	return &found{resp: resp, body: body, ttl: time.Until(time.Unix(soft, 0)), reason: policy.Stale}, time.Unix(at, 0), nil
}

// findCopy returns the last good copy of the page, nil if there is none. It looks for it
// once.
func (x *exchange) findCopy(ctx context.Context) *found {
	if !x.looks.copy {
		x.looks.copy, x.looks.lastGood = true, x.lookForCopy(ctx)
	}
	return x.looks.lastGood
}

func (x *exchange) lookForCopy(ctx context.Context) *found {
	p := &x.page
	if !x.isVisit() || x.g.Store == nil || p.plan.Reason != "" || p.plan.Bypass || p.policy.Observes(p.plan) {
		return nil
	}
	e, at := p.place().Sibling(cachewriter.KindCopy), time.Now()
	if x.g.withdrawn.has(e.Key, at) {
		return nil // its delete may be on the way
	}
	item := x.looks.look(ctx, e)
	if item == nil {
		return nil
	}
	page, stored, err := parseCopy(item.Value, p.plan.Key)
	if err != nil {
		return nil
	}
	page.at = at
	age := max(time.Since(stored), 0)
	if said, err := strconv.ParseUint(page.resp.Header.Get("Age"), 10, 31); err == nil {
		age += time.Duration(said) * time.Second
	}
	page.resp.Header.Set("Age", strconv.Itoa(int(age/time.Second)))
	return page
}

// outage is how long after a pool was found without a server a copy is looked for before
// the pool is asked again: nobody gains by waiting until a connect fails.
const outage = time.Second

// standInForOutage sends the last good copy if the pool has just been found without a
// server. It returns false if there is none.
func (x *exchange) standInForOutage(ctx context.Context) (done bool, err error) {
	if time.Since(x.worker.pool.Outage()) >= outage {
		return false, nil
	}
	return x.standIn(ctx, nil)
}

// standInForFailure sends the last good copy in the place of a worker that has failed with
// err, or with a status that means as much. It returns false if there is none.
func (x *exchange) standInForFailure(ctx context.Context, err error) (done bool, sent error) {
	cause := x.worker.failed(err)
	if cause == nil {
		return false, nil
	}
	return x.standIn(ctx, cause)
}

// standIn sends the last good copy. cause is nil if no worker has been asked.
func (x *exchange) standIn(ctx context.Context, cause error) (done bool, err error) {
	page := x.findCopy(ctx)
	if page == nil {
		return false, nil
	}
	x.g.stats.copies.add(copyServed)
	if cause != nil {
		x.g.log().Warn("backend failed; a last good copy is sent in its place", zap.String("backend", x.worker.name()), zap.Error(cause))
	}
	x.worker.close()
	return true, x.relayFound(ctx, page)
}

// failed is the failure that a copy may stand in for (RFC 5861 §4): err if it is one of the
// backend, or what its status means. A client's failure is none.
func (w *worker) failed(err error) error {
	var f *failure
	switch {
	case errors.As(err, &f) && f.side == sideBackend:
		return err
	case err == nil && slices.Contains([]int{500, 502, 503, 504}, w.resp.StatusCode):
		return fmt.Errorf("it responds with status %d", w.resp.StatusCode)
	}
	return nil
}

// noteResponse hurries the refreshes that were postponed while the pool had no server.
func (g *Gateway) noteResponse(pool *backend.Pool) {
	if pool.Recover() && g.schedules() {
		g.schedule().Hurry()
	}
}

// A copyEvent is counted.
type copyEvent string

const (
	copyKept   copyEvent = "kept"
	copyLost   copyEvent = "lost" // the store had no room for it
	copyServed copyEvent = "served"
)
