package gateway

import (
	"context"
	"encoding/json"
	"math"
	"strconv"

	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/uwsgi"
)

// purger is Purges with what it needs of the gateway.
func (g *Gateway) purger() *purge.Purger {
	g.purgeOnce.Do(func() {
		p := &g.Purges
		p.Store, p.Log, p.HideQuery, p.Forget = g.Store, g.Log, g.HideQuery, g.forget
	})
	return &g.Purges
}

// answerPurge carries out a PURGE request, and answers it. No worker sees it. While nobody
// may purge, it is a request like others.
func (x *exchange) answerPurge(ctx context.Context) (done bool, err error) {
	p := x.g.purger()
	if !x.isVisit() || !p.Serves(x.client.method) {
		return false, nil
	}
	pol, v := x.page.policy, x.client.received
	x.rec.reason = policy.Purge
	reply := p.Serve(ctx, v, pol, pol.Doubtful(v))
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
