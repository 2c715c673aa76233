package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"syscall"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// The way of a response's body: from the worker, through the copy that may be stored, to
// the client. A leader's client that is slow lags behind the copy, so that its followers
// need not wait for it.

// relay sends the response to nginx as it comes, and captures it alongside if it is
// wanted. Without a client it only captures.
func (x *exchange) relay(ctx context.Context) error {
	w, p := &x.worker, &x.page
	if p.resp.StatusCode == 101 && !(w.mayTunnel() && x.isVisit()) {
		return &failure{op: "read response", side: sideBackend, status: 502,
			err: errors.New("101 Switching Protocols, which the request had not asked for")}
	}
	if p.resp.StatusCode == 101 {
		return x.tunnel(ctx)
	}
	if x.refreshed != nil && !p.verdict.Store() {
		return nil
	}
	w.body = p.resp.Body(w.in, x.client.method)
	switch {
	case x.explained != nil:
		return x.explained.read(ctx, w, p.policy.BodyLimit())
	case x.refreshed != nil:
		return x.takeIn(ctx)
	case p.isNotModified(x.client.received):
		return x.relayNotModified(ctx)
	}
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	err := x.sendHead(buf[:])
	for err == nil {
		err = x.relayMore(buf[:])
	}
	if err = x.ended(err); err == io.EOF {
		p.complete(w.body)
		if x.client.lag.on {
			x.store() // those who wait go first
		}
		return x.client.catchUp(&p.capture)
	}
	return x.relayFailure(ctx, err)
}

// relayNotModified sends a 304, and captures the page when nginx has that.
func (x *exchange) relayNotModified(ctx context.Context) error {
	resp := uwsgi.Response{StatusCode: http.StatusNotModified, Reason: "Not Modified"}
	resp.Header = policy.NotModifiedHeader(x.page.resp.Header)
	x.client.sent.status = resp.StatusCode
	if err := x.client.write(x.page.fitHead(nil, &resp, resp.Header)); err != nil || !x.page.isWanted() || x.page.shared {
		return err
	}
	x.ctx.letGo() // nginx leaves as soon as it has this
	x.finishClient()
	if x.takeIn(ctx) != nil {
		x.page.capture.reason = policy.Truncated
	}
	return nil
}

// takeIn captures the body, for no client.
func (x *exchange) takeIn(ctx context.Context) error {
	w, p := &x.worker, &x.page
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	for p.capture.reason == "" {
		w.conn.SetReadDeadline(time.Now().Add(x.g.Timeouts.idle()))
		n, err := w.body.Read(buf[:])
		x.capture(buf[:n])
		x.client.sent.bytes += int64(n)
		switch {
		case err == io.EOF:
			p.complete(w.body)
			return nil
		case err != nil:
			return responseFailure(ctx, "read response", err)
		}
	}
	return nil
}

// headRoom is how much of a buffer is kept for the head in front of the body.
const headRoom = 4 << 10

// sendHead sends the head, and with it what has come of the body: nginx before 1.31
// mishandles a head that arrives in pieces, and a small page takes one system call. A page
// that has come as a whole is judged first, so that its head can say what becomes of it.
func (x *exchange) sendHead(buf []byte) error {
	w, p := &x.worker, &x.page
	n, err := w.readHere(buf[headRoom:])
	part := buf[headRoom : headRoom+n]
	if err == io.EOF {
		p.foresee(part, w.body, w.in.Buffered() > 0, w.asked)
	}
	x.freePlace(err)
	out := x.appendHead(buf[:0:headRoom])
	if head := len(out); head <= headRoom {
		out = buf[headRoom-head : headRoom+n]
		copy(out, buf[:head])
	} else {
		out = append(out, part...)
	}
	x.client.sent.bytes += int64(n)
	if werr := x.hand(out, part); werr != nil {
		return werr
	}
	return err
}

// freePlace closes the worker's connection if err says that the body has ended: the
// server's place is free before the client gets the last byte, and sends its next request.
// After a page that is wanted, the connection is still read for more than was announced.
func (x *exchange) freePlace(err error) {
	if err == io.EOF && !x.page.isWanted() {
		x.worker.close()
	}
}

// readHere reads what has come of the body, without waiting for more. Of a chunked one
// that is the first part, or all of it if it ends with what has come.
func (w *worker) readHere(b []byte) (n int, err error) {
	here, _ := w.in.Peek(w.in.Buffered())
	if len(here) == 0 && w.resp.ContentLength != 0 {
		return 0, nil
	}
	atEnd := w.resp.Chunked && bytes.HasSuffix(here, []byte("0\r\n\r\n"))
	n, err = w.body.Read(b)
	for atEnd && err == nil && n < len(b) {
		var m int
		m, err = w.body.Read(b[n:])
		n += m
	}
	return n, err
}

// relayMore leaves it to the kernel to move what need not be looked at, if it is much. Of
// a body without length, that shows when it has become much.
func (x *exchange) relayMore(buf []byte) error {
	w, c := &x.worker, &x.client
	rest := w.body.Rest()
	if x.page.capture.on || rest < socket.MinSplice || rest == socket.Endless && c.sent.bytes < socket.MinSplice {
		return x.relayPart(buf)
	}
	var took int64
	p := socket.Copy{From: w.conn, To: c.conn, Left: rest, Idle: x.g.Timeouts.idle(), WriteBy: c.sendBy,
		Spliced: x.g.stats.splice, Moved: func(n int) { took += int64(n) }}
	err := p.Run()
	c.sent.bytes += took
	var werr socket.WriteError
	if errors.As(err, &werr) {
		return c.sendFailure(werr)
	}
	return w.body.Took(took, err)
}

// relayPart reads once and writes once.
func (x *exchange) relayPart(buf []byte) error {
	w := &x.worker
	w.conn.SetReadDeadline(time.Now().Add(x.g.Timeouts.idle()))
	n, err := w.body.Read(buf)
	x.freePlace(err)
	if n > 0 {
		x.client.sent.bytes += int64(n)
		if werr := x.hand(buf[:n], buf[:n]); werr != nil {
			return werr
		}
	}
	return err
}

// ended is what err, which ended the body, means where only the end of the stream marks
// the end: a reset is no end, even if only the upload met it. But a worker that refuses a
// request without reading its body resets the connection, too, after it has sent the
// whole refusal.
func (x *exchange) ended(err error) error {
	w := &x.worker
	var f *failure
	if w.resp.Chunked || w.resp.ContentLength >= 0 || w.body.Whole() || errors.As(err, &f) {
		return err
	}
	if err == io.EOF && x.client.length > 0 && w.closeEarly() {
		err = syscall.ECONNRESET
	}
	if errors.Is(err, syscall.ECONNRESET) && x.client.length > 0 && w.resp.StatusCode >= 400 {
		return io.EOF
	}
	return err
}

// relayFailure is the end of a response of which nginx has got a part.
func (x *exchange) relayFailure(ctx context.Context, err error) error {
	x.rec.refuse(policy.Truncated)
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return responseFailure(ctx, "read response", err)
}

// tunnel sends a 101 and passes bytes both ways until one side closes. The goroutine that
// reads from nginx sends those that come from there.
func (x *exchange) tunnel(ctx context.Context) error {
	w, c := &x.worker, &x.client
	if err := c.write(x.appendHead(nil)); err != nil {
		return err
	}
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	for {
		w.conn.SetReadDeadline(time.Now().Add(x.g.Timeouts.idle()))
		n, err := w.in.Read(buf[:])
		c.sent.bytes += int64(n)
		if n > 0 {
			if werr := c.write(buf[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF, errors.Is(context.Cause(ctx), errClientGone):
			return nil
		case err != nil:
			return responseFailure(ctx, "tunnel", err)
		}
	}
}

// capture adds a part of the body to the copy, and shows it to the followers.
func (x *exchange) capture(part []byte) {
	copy, f := &x.page.capture, x.client.presence.flight
	copy.add(part)
	switch {
	case f == nil:
	case copy.reason != "":
		x.outgrow(copy.reason)
	case copy.on:
		f.grown(copy.body())
	}
}

// outgrow ends the flight of a page whose copy has become too large, for the reason.
func (x *exchange) outgrow(reason policy.Reason) {
	if x.client.presence.flight != nil {
		x.markEnd(reason)
		x.land(endRefused, nil)
	}
}

// hand captures a part of the body, and sends out, which ends with it, to nginx.
func (x *exchange) hand(out, part []byte) error {
	c, copy := &x.client, &x.page.capture
	if c.lag.on {
		if reason := copy.makeRoom(len(part)); reason != "" {
			x.outgrow(reason)
			if err := c.catchUp(copy); err != nil {
				return err
			}
		}
	}
	x.capture(part)
	if c.presence.flight == nil || !copy.on {
		return c.write(out)
	}
	return c.pass(out, len(copy.body()))
}

// A lag is what the leader's own client has not been sent, so that the followers need not
// wait for it.
type lag struct {
	on   bool
	lost bool   // the client had left when the flight ended
	rest []byte // of the write that was given up
	from int    // where it goes on after that in the captured body
}

// pass sends to the leader's client what it takes at once, if others are waiting. The
// captured body has captured bytes after that.
func (c *client) pass(out []byte, captured int) error {
	if c.lag.on {
		return nil
	}
	c.sent.begun = true
	f := c.presence.flight
	_, secured := c.conn.(*tls.Conn)
	for f.startWriting(c.sendBy(), !secured) {
		n, err := c.conn.Write(out)
		out = out[n:]
		followers, hurried := f.stopWriting()
		switch {
		case err == nil:
			return nil
		case !hurried || !isTimeout(err):
			return c.passFailure(f, err)
		}
		if followers > 0 {
			break
		}
	}
	c.lag = lag{on: true, rest: bytes.Clone(out), from: captured}
	return nil
}

// passFailure is what the failed write to the leader's client means: if it has left, the
// flight goes on, and nobody will catch up.
func (c *client) passFailure(f *flight, err error) error {
	if c.g.flights.leaderLeft(f) {
		c.lag.on = true
		return nil
	}
	return c.sendFailure(err)
}

// catchUp sends the leader's client what it has not got.
func (c *client) catchUp(captured *capture) error {
	if !c.lag.on || c.lag.lost {
		return nil
	}
	l := c.lag
	c.lag = lag{}
	if err := c.write(l.rest); err != nil {
		return err
	}
	for rest := captured.body()[l.from:]; len(rest) > 0; {
		n, err := c.writePart(nil, rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// unheard is the failure of a leader whose client left before the end; nil if it did not.
func (c *client) unheard() error {
	if !c.lag.on {
		return nil
	}
	c.sent.status = statusClientGone
	return writeFailure(errClientGone)
}
