package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// settleTime is how long a backend may take to close after the last byte that
// it announced. It is waited for after nginx has everything, and only if the
// page is to be stored; a server that keeps connections open costs no more.
const settleTime = 100 * time.Millisecond

// relay sends the answer to nginx as it comes, and captures it alongside when
// it is wanted.
func (x *exchange) relay(ctx context.Context) error {
	if x.resp.StatusCode == 101 && !x.mayTunnel() {
		return &failure{op: "read answer", side: sideBackend, status: 502,
			err: errors.New("101 Switching Protocols, which the request had not asked for")}
	}
	if x.resp.StatusCode == 101 {
		return x.tunnel(ctx)
	}
	x.body = x.resp.Body(x.from, x.method)
	if x.isNotModified() {
		return x.relayNotModified()
	}
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	err := x.sendHead(buf[:])
	for err == nil {
		err = x.relayMore(buf[:])
	}
	if err = x.ended(err); err == io.EOF {
		x.complete()
		if x.lag.on {
			x.store() // those who wait go first
		}
		return x.catchUp()
	}
	return x.relayFailure(ctx, err)
}

// isNotModified reports whether the client has this very page already. A
// candidate's worker was asked without the client's conditions, since the store
// needs the whole page, so the answer to them is ours.
func (x *exchange) isNotModified() bool {
	return x.plan.Reason == "" && !x.plan.AsSent && x.resp.StatusCode == http.StatusOK && policy.NotModified(x.received, x.resp.Header)
}

// relayNotModified answers 304, and takes the page in when nginx has that.
func (x *exchange) relayNotModified() error {
	resp := uwsgi.Response{StatusCode: http.StatusNotModified, Reason: "Not Modified"}
	resp.Header = policy.NotModifiedHeader(x.resp.Header)
	x.rec.status = resp.StatusCode
	x.answered = true
	if err := x.write(x.fitHead(nil, &resp, resp.Header)); err != nil || !x.isWanted() || x.follows {
		return err
	}
	x.tether.letGo() // nginx leaves as soon as it has this
	x.finishClient()
	if x.takeIn() != nil {
		x.page.reason = policy.Truncated
	}
	return nil
}

// headRoom is how much of a buffer is kept for a head in front of its body.
const headRoom = 4 << 10

// sendHead sends the head, and with it what is here already of the body: nginx
// before 1.31 mishandles a head that arrives in pieces, and a small page takes
// one system call. A page that is here as a whole is judged first, so that its head
// can say what becomes of it.
func (x *exchange) sendHead(buf []byte) error {
	n, err := x.readHere(buf[headRoom:])
	part := buf[headRoom : headRoom+n]
	if err == io.EOF {
		x.foresee(part)
	}
	x.freePlace(err)
	out := x.appendHead(buf[:0:headRoom])
	if head := len(out); head <= headRoom {
		out = buf[headRoom-head : headRoom+n]
		copy(out, buf[:head])
	} else {
		out = append(out, part...)
	}
	x.answered = true
	x.rec.bytes += int64(n)
	if werr := x.hand(out, part); werr != nil {
		return werr
	}
	return err
}

// freePlace closes the backend's connection if err says that the body has ended: the
// server's place is free before the client gets the last byte, and sends its next request.
// Of a page that is wanted, the surplus is still looked for.
func (x *exchange) freePlace(err error) {
	if err == io.EOF && !x.isWanted() {
		x.closeBackend()
	}
}

// readHere reads what is here of the body, without waiting for more. Of one in chunks
// that is the first part, or all of it if it ends with what is here.
func (x *exchange) readHere(b []byte) (n int, err error) {
	here, _ := x.from.Peek(x.from.Buffered())
	if len(here) == 0 && x.resp.ContentLength != 0 {
		return 0, nil
	}
	atEnd := x.resp.Chunked && bytes.HasSuffix(here, []byte("0\r\n\r\n"))
	n, err = x.body.Read(b)
	for atEnd && err == nil && n < len(b) {
		var m int
		m, err = x.body.Read(b[n:])
		n += m
	}
	return n, err
}

// foresee judges a page that has come as a whole with its head, before anything of it is
// sent.
func (x *exchange) foresee(page []byte) {
	if !x.verdict.Store() || !x.page.fits(page) {
		return
	}
	x.page.reason = x.policy.Body(x.resp, page, x.body.Whole(), x.body.Trailers())
	x.foreseen = true
	if x.page.reason != "" || x.g.Store == nil || x.from.Buffered() > 0 || x.policy != x.g.policy() {
		return
	}
	e := x.place()
	e.Body, e.Began = page, x.asked
	x.stored = x.g.Store.Accepts(e)
}

// relayMore has the kernel move what need not be looked at, if it is much. Of a
// body without length, that shows when it has become much.
func (x *exchange) relayMore(buf []byte) error {
	rest := x.body.Rest()
	if x.page.on || rest < socket.MinSplice || rest == socket.Endless && x.rec.bytes < socket.MinSplice {
		return x.relayPart(buf)
	}
	p := socket.Copy{From: x.conn, To: x.client, Left: rest, Idle: x.g.Timeouts.idle(), WriteBy: x.sendBy, Spliced: x.g.stats.splice}
	var took int64
	p.Moved = func(n int) { took += int64(n) }
	err := p.Run()
	x.rec.bytes += took
	var werr socket.WriteError
	if errors.As(err, &werr) {
		return x.sendFailure(werr)
	}
	return x.body.Took(took, err)
}

// relayPart reads once and writes once.
func (x *exchange) relayPart(buf []byte) error {
	x.conn.SetReadDeadline(time.Now().Add(x.g.Timeouts.idle()))
	n, err := x.body.Read(buf)
	x.freePlace(err)
	if n > 0 {
		x.rec.bytes += int64(n)
		if werr := x.hand(buf[:n], buf[:n]); werr != nil {
			return werr
		}
	}
	return err
}

// ended tells what err, which ended the body, means where nothing but the end of
// the stream marks it: a reset is no end, even if it was the upload that met it. But a worker that refuses a request without reading its
// body resets the connection, too, with the whole refusal sent.
func (x *exchange) ended(err error) error {
	var f *failure
	if x.resp.Chunked || x.resp.ContentLength >= 0 || x.body.Whole() || errors.As(err, &f) {
		return err
	}
	if err == io.EOF && x.length > 0 && x.wasCutOff() {
		err = syscall.ECONNRESET
	}
	if errors.Is(err, syscall.ECONNRESET) && x.length > 0 && x.resp.StatusCode >= 400 {
		return io.EOF
	}
	return err
}

// complete looks at the body now that its last byte has been relayed.
func (x *exchange) complete() {
	if x.isWanted() && !x.foreseen && x.page.reason == "" {
		x.page.reason = x.policy.Body(x.resp, x.page.body(), x.body.Whole(), x.body.Trailers())
	}
}

// relayFailure is the end of an answer that nginx has got a part of.
func (x *exchange) relayFailure(ctx context.Context, err error) error {
	x.rec.refuse(policy.Truncated)
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return answerFailure(ctx, "read answer", err)
}

// overlong reports whether the backend sends more than it announced. Then the
// application's idea of the page is not what nginx was given.
func (x *exchange) overlong() bool {
	x.tether.letGo() // nginx leaves as soon as it has the announced bytes
	x.conn.SetReadDeadline(time.Now().Add(settleTime))
	return x.body.Surplus()
}

// tunnel sends a 101 and lets bytes pass both ways until one side closes; the
// upload sends those from nginx.
func (x *exchange) tunnel(ctx context.Context) error {
	x.answered = true
	if err := x.write(x.appendHead(nil)); err != nil {
		return err
	}
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	for {
		x.conn.SetReadDeadline(time.Now().Add(x.g.Timeouts.idle()))
		n, err := x.from.Read(buf[:])
		x.rec.bytes += int64(n)
		if n > 0 {
			if werr := x.write(buf[:n]); werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF, errors.Is(context.Cause(ctx), errClientGone):
			return nil
		case err != nil:
			return answerFailure(ctx, "tunnel", err)
		}
	}
}

// takeIn captures the body, for no client.
func (x *exchange) takeIn() error {
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	for x.page.reason == "" {
		x.conn.SetReadDeadline(time.Now().Add(x.g.Timeouts.idle()))
		n, err := x.body.Read(buf[:])
		x.capture(buf[:n])
		x.rec.bytes += int64(n)
		switch {
		case err == io.EOF:
			x.complete()
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// A lag is what the leader's own client has not been sent, so that the followers
// need not wait for it.
type lag struct {
	on   bool
	lost bool   // the client had left when the flight ended
	rest []byte // of the write that was given up
	from int    // then this is where it goes on in the captured body
}

// capture adds a part of the body to the copy, and lets the followers see it.
func (x *exchange) capture(part []byte) {
	x.page.add(part)
	switch {
	case x.flight == nil:
	case x.page.reason != "":
		x.outgrow()
	case x.page.on:
		x.flight.grown(x.page.body())
	}
}

// hand captures a part of the body, and sends out, which ends with it, to nginx.
func (x *exchange) hand(out, part []byte) error {
	if x.lag.on && !x.page.fits(part) {
		x.outgrow()
		if err := x.catchUp(); err != nil {
			return err
		}
	}
	x.capture(part)
	if x.flight == nil || !x.page.on {
		return x.write(out)
	}
	return x.pass(out)
}

// pass sends to the leader's client what it takes at once, if others are waiting.
func (x *exchange) pass(out []byte) error {
	if x.lag.on {
		return nil
	}
	_, secured := x.client.(*tls.Conn)
	if !x.flight.startWriting(x.sendBy(), !secured) {
		x.lag = lag{on: true, rest: bytes.Clone(out), from: len(x.page.body())}
		return nil
	}
	n, err := x.client.Write(out)
	followers := x.flight.stopWriting()
	switch {
	case err == nil:
		return nil
	case followers > 0 && isTimeout(err):
		x.lag = lag{on: true, rest: bytes.Clone(out[n:]), from: len(x.page.body())}
		return nil
	case x.g.flights.outlives(x.flight):
		x.lag.on = true // and nobody will catch up
		return nil
	}
	return x.sendFailure(err)
}

// catchUp sends the leader's client what it has not got.
func (x *exchange) catchUp() error {
	if !x.lag.on || x.lag.lost {
		return nil
	}
	l := x.lag
	x.lag = lag{}
	if err := x.write(l.rest); err != nil {
		return err
	}
	for rest := x.page.body()[l.from:]; len(rest) > 0; {
		n, err := x.writePart(nil, rest)
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// unheard is the failure of a leader whose client left before the end.
func (x *exchange) unheard() error {
	if !x.lag.on {
		return nil
	}
	x.rec.status = statusClientGone
	return writeFailure(errClientGone)
}

// maxPart is how much of a page that is here is sent at a time, so that a slow
// client is given the send timeout for each.
const maxPart = 128 << 10

// writePart sends a head, if there is one, and as much of body as goes at a time,
// and returns how much that was.
func (x *exchange) writePart(head, body []byte) (int, error) {
	body = body[:min(len(body), maxPart)]
	x.client.SetWriteDeadline(x.sendBy())
	if err := writeParts(x.client, head, body); err != nil {
		return 0, x.sendFailure(err)
	}
	return len(body), nil
}

// writeParts writes both in one system call, if nc can do that.
func writeParts(nc net.Conn, head, body []byte) error {
	if len(head) == 0 {
		_, err := nc.Write(body)
		return err
	}
	if w, ok := nc.(interface{ WriteParts(parts ...[]byte) error }); ok {
		return w.WriteParts(head, body)
	}
	_, err := (&net.Buffers{head, body}).WriteTo(nc)
	return err
}

// A capture is the copy of a page that may be stored. Its size is bounded.
type capture struct {
	value  []byte // the body, after the head if that is stored, too
	head   int    // the length of that head
	limit  int64
	reason policy.Reason // why the copy is of no use
	on     bool
}

// newCapture expects length bytes after the head, or an unknown number if that
// is negative.
func newCapture(head []byte, length, limit int64) capture {
	size := min(int64(len(head))+max(length, 0), limit)
	return capture{value: append(make([]byte, 0, size), head...), head: len(head), limit: limit, on: true}
}

func (c *capture) body() []byte { return c.value[c.head:] }

func (c *capture) fits(b []byte) bool { return int64(len(c.value)+len(b)) <= c.limit }

func (c *capture) add(b []byte) {
	if !c.on {
		return
	}
	if !c.fits(b) {
		*c = capture{reason: policy.TooLarge}
		return
	}
	c.value = append(c.value, b...)
}
