package gateway

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/uwsgi"
)

// purger is Purges with what it needs of the gateway.
func (g *Gateway) purger() *purge.Purger {
	g.purgeOnce.Do(func() {
		p := &g.Purges
		p.Store, p.Log, p.HideQuery = g.Store, g.Log, g.HideQuery
		p.Forget, p.ForgetMatching = g.forget, g.flights.forgetMatching
		p.Refetch, p.Concurrency = g.refetch, g.Refreshing.Concurrency
	})
	return &g.Purges
}

// Purge carries out a purge of the admin API. client is the address of who wants it, for the
// log; "" if there is none. The error is one of Check, or a *purge.RateError; what became of
// the purge is in the result.
func (g *Gateway) Purge(ctx context.Context, r *purge.Request, client string) (*purge.Result, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	p := g.purger()
	if err := p.Admit(); err != nil {
		return nil, err
	}
	return p.Do(ctx, purge.Order{Request: r, Client: client, Via: purge.ViaAPI, Policy: g.policy()}), nil
}

// purgeWait bounds how long the client of an unsafe request waits for what it purges by rules
// and groups. What is not done by then is done later.
const purgeWait = 5 * time.Second

// purge deletes what an unsafe request makes old besides its own page.
func (x *exchange) purge(ctx context.Context, scopes []policy.Scope) {
	if len(scopes) == 0 || x.explained != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), purgeWait)
	defer cancel()
	v := x.client.received
	x.g.purger().Invalidate(ctx, purge.Order{Client: purge.CallerOf(v).String(), Via: x.client.method, Policy: x.page.policy, Vars: v}, scopes)
}

// answerPurge carries out a PURGE request, and answers it. No worker sees it. While nobody
// may purge, it is a request like others. In others a token says nothing.
func (x *exchange) answerPurge(ctx context.Context) (done bool, err error) {
	p := x.g.purger()
	if !x.isVisit() || !p.Serves(x.client.method) {
		x.client.received = p.Access.Conceal(x.client.received)
		return false, nil
	}
	pol, v := x.page.policy, x.client.received
	x.rec.reason = policy.Purge
	reply := p.Serve(ctx, v, pol)
	body, err := json.Marshal(reply.Body)
	if err != nil {
		return true, &failure{op: "write response", side: sideGateway, status: 500, err: err}
	}
	body = append(body, '\n')
	x.client.sent.status, x.client.sent.bytes = reply.Status, int64(len(body))
	return true, x.client.write(append(purgeHead(reply, len(body)), body...))
}

func purgeHead(r purge.Reply, length int) []byte {
	resp := uwsgi.Response{StatusCode: r.Status, Reason: statusText[r.Status], Header: uwsgi.Header{
		{Name: "Content-Type", Value: "application/json"},
		{Name: "Content-Length", Value: strconv.Itoa(length)},
		{Name: "Cache-Control", Value: "no-store"},
		{Name: "Cache-Status", Value: "uwgate; detail=" + string(policy.Purge)},
	}}
	if r.RetryAfter > 0 {
		resp.Header = append(resp.Header, uwsgi.Field{Name: "Retry-After", Value: strconv.Itoa(int(math.Ceil(r.RetryAfter.Seconds())))})
	}
	return resp.AppendHead(nil)
}
