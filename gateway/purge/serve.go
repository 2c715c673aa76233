package purge

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A Reply is the response to a PURGE or BAN request.
type Reply struct {
	Status     int
	RetryAfter time.Duration // zero: none
	Body       any           // to be encoded as JSON
}

// A refusal is the body of a Reply to a request that has no effect.
type refusal struct {
	Error string `json:"error"`
}

// foreignMethods are those by which clients of other caches purge something else than the
// page of the URL. The application, which knows none of them, might respond 200.
var foreignMethods = map[string]error{"BAN": ErrBan, "PURGEKEYS": ErrPurgeTags, "PURGETAGS": ErrPurgeTags}

// Serves reports whether Serve answers requests with that method.
func (p *Purger) Serves(method string) bool {
	return p.Access.IsOn() && (method == "PURGE" || foreignMethods[method] != nil)
}

// Serve carries out a PURGE request that nginx has sent. v are its vars as received.
func (p *Purger) Serve(ctx context.Context, v uwsgi.Vars, pol *policy.Policy) Reply {
	caller := CallerOf(v)
	if !p.Access.Permits(caller) {
		p.log().Warn("a purge was refused: neither --purge-from has the client's address, nor did it send the --purge-token", zap.String("client", caller.String()))
		p.stats.refused(RefusedForbidden)
		return Reply{Status: http.StatusForbidden, Body: refusal{ErrForbidden.Error()}}
	}
	if err := foreignMethods[v.Get("REQUEST_METHOD")]; err != nil {
		p.stats.refused(RefusedMalformed)
		return Reply{Status: http.StatusNotImplemented, Body: refusal{err.Error()}}
	}
	if err := p.Admit(); err != nil {
		var limit *RateError
		errors.As(err, &limit)
		return Reply{Status: http.StatusTooManyRequests, RetryAfter: limit.RetryAfter, Body: refusal{err.Error()}}
	}
	r, err := Read(v, policy.HostOf(v), p.usual())
	if err != nil {
		p.stats.refused(RefusedMalformed)
		return Reply{Status: http.StatusBadRequest, Body: refusal{err.Error()}}
	}
	return Reply{Status: http.StatusOK, Body: p.Do(ctx, Order{Request: r, Client: caller.String(), Via: "PURGE", Policy: pol, Vars: without(v, varToken, "HTTP_AUTHORIZATION")})}
}

func (p *Purger) usual() Reach {
	if p.Usual == "" {
		return Exact
	}
	return p.Usual
}
