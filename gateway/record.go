package gateway

import (
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A record is one request's line in the access log and its share of the
// counters. It is filled in along the way and written once.
type record struct {
	start   time.Time
	took    time.Duration // until the last byte of the answer was written
	method  string
	uri     string
	status  int
	bytes   int64 // of the answer's body
	backend string
	ttl     time.Duration // zero: not to be stored
	observe bool          // it would be stored
	tags    []string
	reason  policy.Reason
	key     string
	flight  string // leader, follower or refresh; empty: neither
	ping    bool

	hideQuery bool
}

// request notes what was asked.
func (r *record) request(v uwsgi.Vars, hideQuery bool) {
	r.method = v.Get("REQUEST_METHOD")
	r.uri = v.Get("REQUEST_URI")
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
	r.ttl, r.reason, r.observe, r.tags = v.TTL, v.Reason, v.Observe, v.Tags
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
	case r.ping:
		g.stats.pings.Add(1)
		return
	}
	g.stats.count(r, err)
	if ce := orNop(g.AccessLog).Check(zap.InfoLevel, "request"); ce != nil {
		ce.Write(r.fields(err)...)
	}
	var f *failure
	if !errors.As(err, &f) {
		return
	}
	switch {
	case f.side == sideBackend:
		g.log().Warn("backend failed", zap.String("backend", r.backend), zap.Int("status", r.status), zap.Error(err))
	case f.side == sideGateway && f.status != 503:
		g.log().Error("request failed for want of something here", zap.Int("status", r.status), zap.Error(err))
	}
}

// recordRefresh logs a request that nobody has sent. It is none of those that are
// counted.
func (g *Gateway) recordRefresh(r *record, err error) {
	if ce := orNop(g.AccessLog).Check(zap.InfoLevel, "refresh"); ce != nil {
		ce.Write(r.fields(err)...)
	}
}

// fields are those of the access line, the same names everywhere.
func (r *record) fields(err error) []zap.Field {
	verdict := "pass"
	switch {
	case r.ttl > 0 && r.observe:
		verdict = "observe"
	case r.ttl > 0:
		verdict = "store"
	}
	uri, key := r.uri, r.key
	if r.hideQuery {
		uri, _, _ = strings.Cut(uri, "?")
		key, _, _ = strings.Cut(key, "?")
	}
	fields := make([]zap.Field, 0, 15)
	fields = append(fields,
		zap.String("method", r.method),
		zap.String("uri", uri),
		zap.Int("status", r.status),
		zap.Int64("bytes", r.bytes),
		zap.String("backend", r.backend),
		zap.String("verdict", verdict),
		zap.String("reason", string(r.reason)),
		zap.Int64("ttl", int64(r.ttl/time.Second)),
		zap.String("key", key),
		zap.Duration("took", r.took),
	)
	if r.flight != "" {
		fields = append(fields, zap.String("flight", r.flight))
	}
	if len(r.tags) > 0 {
		fields = append(fields, zap.Strings("tags", r.tags))
	}
	var f *failure
	if errors.As(err, &f) {
		fields = append(fields, zap.String("side", string(f.side)), zap.Error(err))
		if f.code != "" {
			fields = append(fields, zap.String("code", string(f.code)))
		}
	}
	return fields
}
