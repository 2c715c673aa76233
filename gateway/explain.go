package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// An Explanation is everything that decides about one request, for people. Its
// JSON form is that of the admin API. It can be shown around: it hides the values of
// cookies, credentials and whatever names the visitor, and the bypass argument's secret.
type Explanation struct {
	Vars    [][2]string `json:"vars"`              // as nginx would send them
	Dropped []string    `json:"dropped"`           // by the firewall
	Refused string      `json:"refused,omitempty"` // why the journey ends early, if it does

	Backend string      `json:"backend,omitempty"` // that made the fresh answer
	Status  int         `json:"status,omitempty"`
	Header  [][2]string `json:"header,omitempty"`

	Policy policy.Explanation `json:"policy"`

	Wire     string      `json:"wire,omitempty"`    // the key as it stands in nginx's get
	Servers  []string    `json:"servers,omitempty"` // where nginx looks
	Stored   *StoredCopy `json:"stored,omitempty"`  // nil: nothing lies there
	StoreErr string      `json:"store_error,omitempty"`
}

// A StoredCopy is what memcached holds, beside a fresh answer.
type StoredCopy struct {
	Server  string `json:"server"`
	Bytes   int    `json:"bytes"`
	Flags   uint32 `json:"flags"`
	Same    bool   `json:"same"`
	Differs string `json:"differs,omitempty"` // where, for people

	Usage *StoredUsage `json:"usage,omitempty"` // nil: the server cannot tell
}

// A StoredUsage is what memcached knows of a page beside its bytes.
type StoredUsage struct {
	TTL    int  `json:"ttl"`    // seconds left; -1: for ever
	Served bool `json:"served"` // since it was stored
	Stale  bool `json:"stale"`  // purged softly, and served until somebody renews it
}

// Explain goes through a request's whole journey without a client: it asks a
// backend for a fresh answer (only if the method is GET or HEAD), judges it, and
// looks at what memcached holds. It writes nothing. It returns within the
// gateway's timeouts.
func (g *Gateway) Explain(ctx context.Context, received uwsgi.Vars) *Explanation {
	x := explainer{g: g, policy: g.policy()}
	x.told = &Explanation{Vars: pairs(x.policy.PublicVars(received)), Dropped: []string{}}
	received = x.policy.Conceal(received)
	x.plan = x.policy.Request(received)
	fresh := x.fresh(ctx, received)
	x.told.Policy = x.policy.Explain(received, fresh.resp, fresh.body, fresh.whole, fresh.trailers, time.Now())
	x.stored(ctx, fresh.body)
	return x.told
}

// An explainer makes one Explanation.
type explainer struct {
	g      *Gateway
	policy *policy.Policy
	plan   policy.Plan
	told   *Explanation
}

// A fetched answer is one that nobody waits for.
type fetched struct {
	resp            *uwsgi.Response // nil: there is none
	body            []byte          // at most a byte more than may be stored
	whole, trailers bool
}

// fresh fetches what the worker would answer, and tells what ended the
// journey if it cannot.
func (x *explainer) fresh(ctx context.Context, received uwsgi.Vars) (f fetched) {
	e := x.told
	pool := x.g.poolFor(received)
	if pool == nil {
		e.Refused = "no pool is for this host"
		return f
	}
	clean, dropped, err := x.g.firewallOf(pool).Screen(received)
	e.Dropped = append(e.Dropped, dropped...)
	if err != nil {
		e.Refused = x.policy.Bypass.Public(screenFailure(err).Error())
		return f
	}
	method := received.Get("REQUEST_METHOD")
	if method != "GET" && method != "HEAD" {
		e.Refused = "only GET and HEAD are asked of a backend to be explained"
		return f
	}
	req := uwsgi.Request{Vars: setVars(x.policy.ForWorker(clean, x.plan), pool)}
	withoutBody(req.Vars)
	if f, err = x.fetch(ctx, pool, req, method); err != nil {
		e.Refused = err.Error()
	}
	return f
}

// fetch has a backend answer. The body is read as far as it may be stored.
func (x *explainer) fetch(ctx context.Context, pool *backend.Pool, req uwsgi.Request, method string) (f fetched, err error) {
	packet, err := encodeFor(pool, &req)
	if err != nil {
		return f, err
	}
	nc, err := pool.Dial(ctx, backend.Want{Host: policy.HostOf(req.Vars)})
	if err != nil {
		return f, dialFailure(ctx, err)
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	e := x.told
	e.Backend = nc.Node.String()
	address(packet, nc.Node)
	nc.SetDeadline(time.Now().Add(x.g.Timeouts.firstByte()))
	nc.Write(packet) // what fails here shows in the answer
	br := bufio.NewReader(nc)
	resp, err := uwsgi.ReadResponse(br)
	if err != nil {
		return f, answerFailure(ctx, "read answer", err)
	}
	e.Status, e.Header = resp.StatusCode, fields(x.policy.PublicHeader(resp.Header))
	body := resp.Body(br, method)
	b, err := io.ReadAll(io.LimitReader(body, x.policy.BodyLimit()+1))
	if err != nil {
		e.Refused = answerFailure(ctx, "read answer", err).Error()
	}
	return fetched{resp, b, body.Whole(), body.Trailers()}, nil
}

// stored looks up what nginx would find.
func (x *explainer) stored(ctx context.Context, fresh []byte) {
	e, plan, store := x.told, x.plan, x.g.Store
	if store == nil || plan.Key == "" {
		return
	}
	e.Wire = cachewriter.Escape(plan.Key)
	e.Servers = store.Pick(plan.Key)
	if plan.Addr != "" {
		e.Servers = []string{plan.Addr}
	}
	item, err := store.Get(ctx, cachewriter.Entry{Key: plan.Key, Addr: plan.Addr})
	switch {
	case err != nil:
		e.StoreErr = err.Error()
	case item != nil:
		e.Stored = &StoredCopy{
			Server: item.Addr, Bytes: len(item.Value), Flags: item.Flags, Usage: storedUsage(item.Usage),
		}
		stored, err := x.bodyOf(item)
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
func (x *explainer) bodyOf(item *cachewriter.Item) ([]byte, error) {
	switch {
	case x.policy.Format == policy.FormatHTTP:
		_, body, found := bytes.Cut(item.Value, []byte("\r\n\r\n"))
		if !found {
			return nil, errors.New("the stored value has no head, which the format http needs: nginx takes it for a miss")
		}
		return body, nil
	case x.policy.Format == policy.FormatGzip && item.Flags&x.policy.GzipFlag != 0:
		return inflate(item.Value, x.policy.BodyLimit())
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

// difference tells where a stored page departs from a fresh one, "" if nowhere.
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
