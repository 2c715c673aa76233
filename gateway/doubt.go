package gateway

import (
	"context"
	"errors"
	"io"
	"time"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A worker that has got an unsafe request may change something, whether or not anybody
// waits for its response. So the gateway waits for that even though the client has left,
// and deletes what the response makes old. If none comes, the outcome is in doubt, and
// what belongs to the request's own URI is deleted as after a success.

// isDoubtful reports whether a worker has got an unsafe request and given no response.
func (x *exchange) isDoubtful() bool {
	w := &x.worker
	return w.conn != nil && !w.unseen && w.resp == nil && policy.IsUnsafe(x.client.received)
}

// invalidateDoubtful deletes what the request may have made old, before the client sees
// the failure.
func (x *exchange) invalidateDoubtful() {
	if x.isDoubtful() {
		x.deleteDoubtful()
	}
}

// hearOut waits once more for a worker that has timed out, for no longer than it was
// waited for before: what it changes after the first deletion must be deleted again. The
// client has its response.
func (x *exchange) hearOut() {
	w := &x.worker
	if !w.timedOut || !x.isDoubtful() || x.ctx.ctx.Err() != nil {
		return
	}
	w.conn.SetDeadline(time.Now().Add(x.g.Timeouts.firstByte()))
	resp, err := uwsgi.ReadResponse(w.in)
	if err == nil {
		x.delete(context.Background(), x.page.policy.Invalidated(x.client.received, resp))
		x.purge(context.Background(), x.page.policy.Purges(x.client.received, resp))
		return
	}
	if !isTimeout(err) && !errors.Is(err, io.EOF) {
		io.Copy(io.Discard, w.conn) // half of the head came before
	}
	x.deleteDoubtful()
}

func (x *exchange) deleteDoubtful() {
	p, v := x.page.policy, x.client.received
	x.delete(context.Background(), p.Doubtful(v))
	x.purge(context.Background(), p.Purges(v, nil))
}
