package gateway

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// An Explanation is everything that decides about one request, for people. Its JSON form
// is that of the admin API. It can be shown to others: it hides the values of cookies and
// credentials, whatever names the visitor, and the secret of the bypass argument.
type Explanation struct {
	Vars    [][2]string `json:"vars"`              // as nginx would send them
	Dropped []string    `json:"dropped"`           // by the firewall
	Refused string      `json:"refused,omitempty"` // why the journey ends early, if it does

	Backend string      `json:"backend,omitempty"` // that made the fresh response
	Status  int         `json:"status,omitempty"`
	Header  [][2]string `json:"header,omitempty"`

	Policy policy.Explanation `json:"policy"`

	Wire     string      `json:"wire,omitempty"`    // the key as it stands in nginx's get
	Servers  []string    `json:"servers,omitempty"` // where nginx looks
	Stored   *StoredCopy `json:"stored,omitempty"`  // nil: nothing lies there
	StoreErr string      `json:"store_error,omitempty"`
}

// A StoredCopy is what memcached holds, beside a fresh response.
type StoredCopy struct {
	Server  string `json:"server"`
	Bytes   int    `json:"bytes"`
	Flags   uint32 `json:"flags"`
	Same    bool   `json:"same"`
	Differs string `json:"differs,omitempty"` // where, for people

	Usage *StoredUsage `json:"usage,omitempty"` // nil: the server does not say
}

// A StoredUsage is what memcached knows of a page beside its bytes.
type StoredUsage struct {
	TTL    int  `json:"ttl"`    // seconds left; -1: for ever
	Served bool `json:"served"` // since it was stored
	Stale  bool `json:"stale"`  // purged softly, and served until somebody renews it
}

// Explain sends a request on its whole journey without a client: it asks a backend for a
// fresh response (only if the method is GET or HEAD), judges it, and looks at what memcached
// holds. It stores and deletes nothing. It returns within the gateway's timeouts.
func (g *Gateway) Explain(ctx context.Context, received uwsgi.Vars) *Explanation {
	t := newRequestContext(ctx)
	defer context.AfterFunc(ctx, func() { t.end(nil) })()
	x := newExchange(g, t)
	x.explained = &explained{}
	defer t.end(nil)
	defer x.release()
	defer x.limit()()
	p := x.page.policy
	x.client.take(p.Conceal(received))
	err := x.conclude(x.journey(t.ctx))
	x.worker.close() // its place is free before memcached is asked
	if x.worker.out.Vars == nil {
		x.page.plan = p.Request(x.client.received) // the journey has ended before
	}
	e := &Explanation{Vars: pairs(p.PublicVars(received)), Dropped: append([]string{}, x.explained.dropped...)}
	e.Backend = x.worker.name()
	if err != nil {
		e.Refused = p.Bypass.Public(err.Error())
	}
	resp, whole, trailers := x.worker.resp, false, false
	if resp != nil {
		e.Status, e.Header = resp.StatusCode, fields(p.PublicHeader(resp.Header))
	}
	if body := x.worker.body; body != nil {
		whole, trailers = body.Whole(), body.Trailers()
	}
	e.Policy = p.Explain(x.client.received, resp, x.explained.body, whole, trailers, time.Now())
	if g.purger().Serves(x.client.method) {
		e.Policy.Deletes, e.Policy.Purges = nil, nil // it is a purge itself
	}
	e.explainStored(ctx, g.Store, &x.page, x.explained.body)
	return e
}

// explained is what an explanation keeps of its journey.
type explained struct {
	dropped []string // by the firewall
	body    []byte   // at most a byte more than may be stored
}

// read reads the body, as far as it may be stored.
func (e *explained) read(ctx context.Context, w *worker, limit int64) (err error) {
	w.conn.SetReadDeadline(time.Now().Add(w.g.Timeouts.idle()))
	e.body, err = io.ReadAll(io.LimitReader(w.body, limit+1))
	if err != nil {
		return responseFailure(ctx, "read response", err)
	}
	return nil
}

// explainStored looks up what nginx would find, and compares it with the fresh body.
func (e *Explanation) explainStored(ctx context.Context, store *cachewriter.Writer, p *page, fresh []byte) {
	if store == nil || p.plan.Key == "" {
		return
	}
	e.Wire = cachewriter.Escape(p.plan.Key)
	e.Servers = store.Pick(p.plan.Key)
	if p.plan.Addr != "" {
		e.Servers = []string{p.plan.Addr}
	}
	item, err := store.Get(ctx, p.place())
	switch {
	case err != nil:
		e.StoreErr = err.Error()
	case item != nil:
		e.Stored = &StoredCopy{
			Server: item.Addr, Bytes: len(item.Value), Flags: item.Flags, Usage: storedUsage(item.Usage),
		}
		stored, err := bodyOf(p.policy, item)
		if err != nil {
			e.Stored.Differs = err.Error()
			return
		}
		e.Stored.Same, e.Stored.Differs = bytes.Equal(stored, fresh), difference(stored, fresh)
	}
}

func storedUsage(u *cachewriter.Usage) *StoredUsage {
	switch {
	case u == nil:
		return nil
	case u.TTL == cachewriter.Forever:
		return &StoredUsage{-1, u.Served, u.Stale}
	}
	return &StoredUsage{int(u.TTL.Seconds()), u.Served, u.Stale}
}

// bodyOf is the body within a value, as nginx would send it.
func bodyOf(p *policy.Policy, item *cachewriter.Item) ([]byte, error) {
	switch {
	case p.Hits.Format == policy.FormatHTTP:
		_, body, found := bytes.Cut(item.Value, []byte("\r\n\r\n"))
		if !found {
			return nil, errors.New("the stored value has no head, which the format http needs: nginx takes it for a miss")
		}
		return body, nil
	case p.Hits.Format == policy.FormatGzip && item.Flags&p.Hits.GzipFlag != 0:
		return inflate(item.Value, p.BodyLimit())
	}
	return item.Value, nil
}

// inflate undoes cachewriter.Gzip. What is longer than a page may be is cut.
func inflate(value []byte, limit int64) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(value))
	if err != nil {
		return nil, fmt.Errorf("the stored value is marked as compressed and is not: %w", err)
	}
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("the stored value cannot be inflated: %w", err)
	}
	return body, nil
}

// difference says where a stored page differs from a fresh one, "" if nowhere.
func difference(stored, fresh []byte) string {
	if bytes.Equal(stored, fresh) {
		return ""
	}
	at := 0
	for at < min(len(stored), len(fresh)) && stored[at] == fresh[at] {
		at++
	}
	return fmt.Sprintf("%d bytes stored, %d fresh; the first difference is at byte %d: stored %s, fresh %s",
		len(stored), len(fresh), at, excerpt(stored, at), excerpt(fresh, at))
}

// excerpt quotes a little of b around a place.
func excerpt(b []byte, at int) string {
	const around = 20
	return strconv.QuoteToASCII(string(b[max(0, at-around):min(len(b), at+around)]))
}

func pairs(v uwsgi.Vars) [][2]string {
	out := make([][2]string, len(v))
	for i, x := range v {
		out[i] = [2]string{x.Name, x.Value}
	}
	return out
}

func fields(h uwsgi.Header) [][2]string {
	out := make([][2]string, len(h))
	for i, f := range h {
		out[i] = [2]string{f.Name, f.Value}
	}
	return out
}
