package gateway

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// A client is the connection to nginx over which one request comes, what has come over it,
// and what has been sent. Without a connection it is the client of a request that nobody
// sent, for a refresh or an explanation: then there is nothing to read, and nothing is sent.
//
// It is used by the goroutine of its exchange. Another goroutine may read from the
// connection meanwhile; see presence.
type client struct {
	g    *Gateway
	ctx  *requestContext
	conn net.Conn      // nil: nobody has sent the request
	in   *bufio.Reader // what nginx sends; nil: given back

	began     time.Time
	received  uwsgi.Vars // as nginx sent them: the key and the plan come from these
	modifiers [2]uint8   // of the packet
	method    string
	length    int64 // of the body that goes to the worker
	left      int64 // of it, still to come from nginx
	spool     spool // holds the body, unless uploads are streamed

	sent     sent
	lag      lag
	closed   bool // nothing is left to be read
	presence presence
}

// sent is what a client has been sent.
type sent struct {
	begun  bool // something of a response
	status int
	bytes  int64 // of the body
}

const clientBuffer = 8 << 10 // a packet of usual size, and the start of a small body

var clientReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, clientBuffer) }}

// connect makes nc the connection of the client.
func (c *client) connect(nc net.Conn) {
	c.conn, c.in = nc, clientReaders.Get().(*bufio.Reader)
	c.in.Reset(nc)
}

// read reads the request's packet.
func (c *client) read(p *policy.Policy) (*uwsgi.Request, error) {
	c.conn.SetReadDeadline(time.Now().Add(c.g.Timeouts.head()))
	req, err := c.g.limits().ReadRequest(c.in)
	if err == io.EOF {
		c.g.hintSilentTLS(c.conn)
	}
	if err != nil {
		return nil, readFailure(p.Bypass.PublicError(err))
	}
	c.take(p.Conceal(req.Vars))
	c.modifiers = [2]uint8{req.Modifier1, req.Modifier2}
	return req, nil
}

// take makes v the vars of the request.
func (c *client) take(v uwsgi.Vars) { c.received, c.method = v, v.Get("REQUEST_METHOD") }

// pong responds to a ping. No worker sees it.
func (c *client) pong() error {
	c.write([]byte(uwsgi.Pong)) // nothing is lost with one that does not arrive
	return errPing
}

// awaitBody waits for the first byte of the body, and reports whether it is late. If nginx
// has read the body before it connects, which is the default, it is there at once.
func (c *client) awaitBody() (late bool, err error) {
	if c.in.Buffered() > 0 {
		return false, nil
	}
	c.conn.SetReadDeadline(time.Now().Add(bodyGrace))
	_, err = c.in.Peek(1)
	switch {
	case err == nil:
		return false, nil
	case isTimeout(err):
		return true, nil
	}
	return false, &failure{op: "read request body", side: sideClient, status: statusClientGone, err: errClientGone}
}

// bodyGrace is how long the first byte of a body may take.
const bodyGrace = time.Second

// write sends b to nginx.
func (c *client) write(b []byte) error {
	c.sent.begun = true
	c.conn.SetWriteDeadline(c.sendBy())
	if _, err := c.conn.Write(b); err != nil {
		return c.sendFailure(err)
	}
	return nil
}

// maxPart is how much of a page in memory is sent at a time, so that a slow client has the
// send timeout for each part.
const maxPart = 128 << 10

// writePart sends a head, if there is one, and as much of body as goes at a time. It
// returns how much of body that was.
func (c *client) writePart(head, body []byte) (int, error) {
	c.sent.begun = true
	body = body[:min(len(body), maxPart)]
	c.conn.SetWriteDeadline(c.sendBy())
	if err := writeParts(c.conn, head, body); err != nil {
		return 0, c.sendFailure(err)
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

// sendBy is the deadline for a write to nginx that begins now; zero: none.
func (c *client) sendBy() (by time.Time) {
	if d := c.g.Timeouts.Send; d > 0 {
		by = time.Now().Add(d)
	}
	if d := c.g.Timeouts.Total; d > 0 {
		if end := c.began.Add(d); by.IsZero() || end.Before(by) {
			by = end
		}
	}
	return by
}

// sendFailure is the failure to send to nginx. If the request ends for another reason, it
// is the failure of that reason.
func (c *client) sendFailure(err error) error {
	if d := c.g.Timeouts.Total; d > 0 && isTimeout(err) && time.Since(c.began) >= d {
		c.ctx.end(errTotalTimeout)
	}
	if gone := goneFailure(c.ctx.ctx, "write response"); gone != nil {
		return gone
	}
	return writeFailure(err)
}

// sendError sends the error response for err. It returns false if something of another
// response has been sent before: then the response must not look complete.
func (c *client) sendError(err error) (ok bool) {
	var f *failure
	if c.conn == nil || !errors.As(err, &f) {
		return true
	}
	if c.sent.begun {
		return false
	}
	c.sent.status = f.status
	if f.status != statusClientGone {
		c.sent.begun = true
		c.conn.SetWriteDeadline(time.Now().Add(errorResponseTimeout))
		c.conn.Write(errorResponse(f.status, c.method))
	}
	return true
}

// errorResponseTimeout bounds the sending of an error response, which is a few lines.
const errorResponseTimeout = 10 * time.Second

// finish ends the response so that it arrives. A close with unread bytes of the request
// would make the kernel send a reset, and nginx drop a response that it has not read yet.
// taken says that all has come that nginx announced: then, if nothing else has come, the
// connection can be closed at once.
func (c *client) finish(taken bool) {
	if c.conn == nil {
		return
	}
	if taken {
		c.presence.finish()
		reading := c.stopWatching() // whoever reads throws away what comes
		if (reading || c.in == nil || c.in.Buffered() == 0) && socket.IsDrained(c.conn) {
			c.conn.Close()
			c.closed = true
			return
		}
	}
	socket.CloseWrite(c.conn)
}

// abort ends a response that is not complete, so that nginx notices. With a declared
// length nginx counts for itself; without one the end of the stream must look broken.
func (c *client) abort(resp *uwsgi.Response) {
	socket.Cut(c.conn, resp != nil && resp.ContentLength < 0)
}

// release waits for nginx to close its side, closes the connection, and gives back what
// the request took of memory.
func (c *client) release() {
	if c.conn == nil {
		return
	}
	c.linger()
	c.conn.Close()
	c.spool.free(c.g)
	c.giveBuffer()
}

// linger reads what nginx still sends until it closes its side, or the last deadline has
// passed, and waits for the goroutine that reads.
func (c *client) linger() {
	p := &c.presence
	if c.closed && p.done == nil {
		return
	}
	p.mu.Lock()
	p.finishing = true
	c.conn.SetReadDeadline(time.Now().Add(c.g.Timeouts.linger()))
	p.mu.Unlock()
	if !c.stopWatching() {
		io.Copy(io.Discard, c.conn) // c.in may have been given back
		return
	}
	<-p.done
}

func (c *client) giveBuffer() {
	if c.in != nil {
		c.in.Reset(nil)
		clientReaders.Put(c.in)
		c.in = nil
	}
}

// mayHalfClose reports whether a client that has ended its direction may still wait.
func (c *client) mayHalfClose() bool { return c.g.Peers.HalfClose || isUnix(c.conn.RemoteAddr()) }
