package gateway

import (
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"uwgate/gateway/policy"
)

// A record is one request's line in the access log and its share of the
// counters. It is filled in along the way and written once.
type record struct {
	asker
	method  string
	uri     string
	status  int
	bytes   int64 // of the response's body
	course  course
	ttl     time.Duration // zero: not to be stored
	observe bool          // it would be stored
	tags    []string
	reason  policy.Reason
	key     string
	flight  string // leader, follower or refresh; empty: neither
	err     error  // what ended it, nil for a whole response

	hideQuery bool
}

// An asker is who has sent a request, as nginx says, and how others call the request. The
// texts may be logged.
type asker struct {
	host   string // nginx's $host
	client string // address
	id     string // nginx's $request_id; empty: it is not handed over
	trace  string // of the header traceparent; empty: there is none
}

// request notes what was asked.
func (r *record) request(method, uri string, hideQuery bool) {
	r.method = method
	r.uri = uri
	r.hideQuery = hideQuery
}

// plan notes the key, and the reason if there is one already.
func (r *record) plan(p policy.Plan) {
	r.key = p.Key
	r.reason = p.Reason
	if p.Bypass {
		// The argument's value is a secret.
		r.uri = p.URI
	}
}

// verdict notes what the head decided.
func (r *record) verdict(v policy.Verdict) {
	r.ttl, r.reason, r.observe, r.tags = v.TTL, v.Reason, v.Observe, first(v.Tags, maxLogTags)
}

// maxLogTags bounds the tags of an access line, in bytes.
const maxLogTags = 1 << 10

// first returns the first texts that have at most so many bytes together.
func first(texts []string, size int) []string {
	for i, text := range texts {
		if size -= len(text); size < 0 {
			return texts[:i]
		}
	}
	return texts
}

// sent notes what the client has got, and from which backend.
func (r *record) sent(c *client, backend string) {
	r.status, r.bytes, r.course.backend = c.sent.status, c.sent.bytes, backend
}

// refuse notes why a page that was wanted is not stored after all.
func (r *record) refuse(reason policy.Reason) {
	if r.ttl > 0 {
		r.ttl, r.reason = 0, reason
	}
}

// record counts and logs the request. It is the end of err's journey.
func (g *Gateway) record(r *record, err error) {
	switch {
	case err == errProbe:
		g.stats.probes.Add(1)
		return
	case err == errPing:
		g.stats.pings.Add(1)
		return
	}
	g.stats.count(r, err)
	g.traffic.count(r)
	g.writeAccess("request", r, err)
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return
	}
	switch {
	case f.side == sideBackend:
		g.log().Warn("backend failed", zap.String("backend", r.course.backend), zap.Int("status", r.status), zap.Error(err))
	case f.side == sideGateway && f.status != 503:
		g.log().Error("request failed: a local resource is exhausted", zap.Int("status", r.status), zap.Error(err))
	}
}

// recordRefresh logs a request that nobody has sent. It is none of those that are
// counted.
func (g *Gateway) recordRefresh(r *record, err error) {
	g.writeAccess("refresh", r, err)
}

func (g *Gateway) writeAccess(what string, r *record, err error) {
	if g.AccessLog == nil {
		return
	}
	if ce := g.AccessLog.Check(zap.InfoLevel, what); ce != nil {
		r.err = err
		ce.Write(zap.Inline(r))
	}
}

// MarshalLogObject adds the fields of the access line, the same names everywhere.
// They go to the encoder one by one: a slice of them all would be a kilobyte of
// garbage a request.
func (r *record) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	uri, key := r.uri, r.key
	if r.hideQuery {
		uri, _, _ = strings.Cut(uri, "?")
		key, _, _ = strings.Cut(key, "?")
	}
	enc.AddString("host", r.host)
	enc.AddString("client", r.client)
	if r.id != "" {
		enc.AddString("request_id", r.id)
	}
	if r.trace != "" {
		enc.AddString("trace_id", r.trace)
	}
	enc.AddString("method", r.method)
	enc.AddString("uri", uri)
	enc.AddInt64("status", int64(r.status))
	enc.AddInt64("bytes", r.bytes)
	enc.AddString("pool", r.course.pool)
	enc.AddString("backend", r.course.backend)
	enc.AddString("verdict", r.decision())
	enc.AddString("reason", string(r.reason))
	enc.AddInt64("ttl", int64(r.ttl/time.Second))
	enc.AddString("key", key)
	enc.AddDuration("queued", r.course.queued)
	enc.AddDuration("first_byte", r.course.firstByte)
	enc.AddDuration("took", r.course.took)
	if r.flight != "" {
		enc.AddString("flight", r.flight)
	}
	if len(r.tags) > 0 {
		zap.Strings("tags", r.tags).AddTo(enc)
	}
	if f, ok := errors.AsType[*failure](r.err); ok {
		enc.AddString("side", string(f.side))
		zap.Error(r.err).AddTo(enc)
		if f.code != "" {
			enc.AddString("code", string(f.code))
		}
	}
	return nil
}

// decision is the verdict in a word.
func (r *record) decision() string {
	switch {
	case r.ttl > 0 && r.observe:
		return "observe"
	case r.ttl > 0:
		return "store"
	}
	return "pass"
}
