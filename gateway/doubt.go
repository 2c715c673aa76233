package gateway

import (
	"context"
	"errors"
	"io"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// A worker that has got an unsafe request may change something, whether or not anybody
// waits for its response. So the gateway waits for that even though the client has left,
// and deletes what the response makes old. If none comes, the outcome is in doubt, and
// what belongs to the request's own URI is deleted as after a success.

// setMustHear says whether the response must be waited for though the client leaves: from
// the first byte that the worker gets of an unsafe request until the head is there.
func (x *exchange) setMustHear(must bool) {
	if !policy.IsUnsafe(x.received) || x.mayTunnel() {
		return
	}
	x.upload.mu.Lock()
	defer x.upload.mu.Unlock()
	x.mustHear = must
}

// leavesUnheard notes that the client has left while the response must be waited for. It
// is called with upload.mu held.
func (x *exchange) leavesUnheard() bool {
	if !x.mustHear {
		return false
	}
	x.gone = true
	x.g.stats.unheard.Add(1)
	if p := x.upload.body; p != nil && x.upload.left > 0 && p.Taken() < x.upload.size {
		socket.CloseWrite(x.conn) // or the worker would wait for the rest
	}
	return true
}

// goneUnheard is the failure of a client that has left meanwhile; nil if it has not.
func (x *exchange) goneUnheard() error {
	x.upload.mu.Lock()
	defer x.upload.mu.Unlock()
	if !x.gone {
		return nil
	}
	return &failure{op: "read answer", side: sideClient, status: statusClientGone, err: errClientGone}
}

// isDoubtful reports whether a worker has got an unsafe request and given no response.
func (x *exchange) isDoubtful() bool {
	return x.conn != nil && !x.unseen && x.resp == nil && policy.IsUnsafe(x.received)
}

// invalidateDoubtful deletes what the request may have made old, before the client hears
// of the failure.
func (x *exchange) invalidateDoubtful() {
	if x.isDoubtful() {
		x.delete(context.Background(), x.policy.Doubtful(x.received))
	}
}

// hearOut waits once more for a worker that has timed out, for no longer than it was
// waited for before: what it changes after the first deletion must be deleted again. The
// client has its answer.
func (x *exchange) hearOut() {
	if !x.timedOut || !x.isDoubtful() || x.tether.ctx.Err() != nil {
		return
	}
	x.conn.SetDeadline(time.Now().Add(x.g.Timeouts.firstByte()))
	resp, err := uwsgi.ReadResponse(x.from)
	if err == nil {
		x.delete(context.Background(), x.policy.Invalidated(x.received, resp))
		return
	}
	if !isTimeout(err) && !errors.Is(err, io.EOF) {
		io.Copy(io.Discard, x.conn) // half of the head came before
	}
	x.delete(context.Background(), x.policy.Doubtful(x.received))
}
