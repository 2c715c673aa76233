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
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A last good copy is what a page was when it was last stored, with its whole head,
// under a key of its own. It is served while the backend fails, if the answer or the
// operator allowed that (stale-if-error, RFC 5861 §4).

// copyMagic begins a copy; its number changes with the form.
const copyMagic = "uwgate-copy/1 "

// keepCopy stores a copy beside the page, which is fresh until soft.
func (x *exchange) keepCopy(soft time.Time) {
	if x.verdict.StaleIfError <= 0 {
		return
	}
	e := x.place().Sibling(cachewriter.KindCopy)
	e.Body = appendCopy(nil, x.plan.Key, time.Now(), soft, x.cleanHead(), x.page.body())
	e.Expires = soft.Add(x.verdict.StaleIfError)
	e.Began = x.asked
	if err := x.g.Store.Put(e); err != nil {
		x.g.stats.copies.add(copyLost)
		return
	}
	x.g.stats.copies.add(copyKept)
	x.g.withdrawn.forget(e.Key)
}

// cleanHead is the answer's head with the length of what was captured.
func (x *exchange) cleanHead() *uwsgi.Response {
	resp := *x.resp
	resp.Header = resp.Header.Clone()
	resp.Chunked, resp.ContentLength = false, int64(len(x.page.body()))
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

// staleCopy returns the last good copy of the page, nil if there is none.
func (x *exchange) staleCopy(ctx context.Context) *found {
	if x.g.Store == nil || x.plan.Reason != "" || x.plan.Bypass || x.policy.Observes(x.plan) {
		return nil
	}
	if x.lookedOld {
		return nil
	}
	x.lookedOld = true
	at := time.Now()
	item := x.look(ctx, x.place().Sibling(cachewriter.KindCopy))
	if item == nil {
		return nil
	}
	page, stored, err := parseCopy(item.Value, x.plan.Key)
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

// instead answers with the last good copy in the place of a backend that has failed,
// or, without a cause, is known to be gone. It returns false if there is none.
func (x *exchange) instead(ctx context.Context, cause error) (done bool, err error) {
	page := x.staleCopy(ctx)
	if page == nil {
		return false, nil
	}
	x.g.stats.copies.add(copyServed)
	if cause != nil {
		x.g.log().Warn("backend failed; a last good copy is sent in its place", zap.String("backend", x.rec.backend), zap.Error(cause))
	}
	x.closeBackend()
	return true, x.relayFound(ctx, page)
}

// backendFailure is the failure that a copy may stand in for, if err is one, or the
// answer says so (RFC 5861 §4): no visitor's.
func (x *exchange) backendFailure(err error) error {
	var f *failure
	switch {
	case errors.As(err, &f) && f.side == sideBackend:
		return err
	case err == nil && slices.Contains([]int{500, 502, 503, 504}, x.resp.StatusCode):
		return fmt.Errorf("it answers %d", x.resp.StatusCode)
	}
	return nil
}

// outage is how long a pool that nobody answers of is not asked before a copy is
// looked for: waiting for a connect to fail is of no use to anyone.
const outage = time.Second

// isOut reports whether the pool has just been found without a server.
func (x *exchange) isOut() bool { return time.Since(x.pool.Outage()) < outage }

// noteAnswer has what could not be fetched while the pool was without servers be
// fetched now.
func (x *exchange) noteAnswer() {
	if x.pool.Recover() && x.g.keepsPages() {
		x.g.schedule().Hurry()
	}
}

// A copyEvent is counted.
type copyEvent string

const (
	copyKept   copyEvent = "kept"
	copyLost   copyEvent = "lost" // the store had no room for it
	copyServed copyEvent = "served"
)
