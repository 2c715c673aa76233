package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// A worker is the server that a request is sent to: the pool it is chosen from, what it
// gets, and what it has sent back. It is used by the goroutine of its exchange; see upload
// for those that send it the request's body.
type worker struct {
	g    *Gateway
	ctx  *requestContext
	pool *backend.Pool

	clean uwsgi.Vars    // what the firewall lets pass
	out   uwsgi.Request // as the worker gets it
	head  int           // the bytes of its packet without the body

	conn   *backend.Conn // nil: none yet; closed ones stay here
	in     *bufio.Reader // what the worker sends
	upload upload
	resp   *uwsgi.Response // nil: none came
	body   *uwsgi.Body     // nil: nobody has begun to read it

	timeline
	unseen   bool // the worker has not read the whole packet, so nothing has run
	cutOff   bool // it closed before it had got the packet
	timedOut bool // no response came in time
}

const backendBuffer = 32 << 10

var (
	backendReaders = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, backendBuffer) }}
	buffers        = sync.Pool{New: func() any { return new([backendBuffer]byte) }}
)

// choosePool finds the servers for the request.
func (w *worker) choosePool(received uwsgi.Vars) error {
	w.pool = w.g.poolFor(received)
	if w.pool == nil {
		return &failure{op: "choose a pool", side: sideClient, status: 503, code: codeNoPool,
			err: errors.New("no pool is for this host, and there is no default one: add --backend")}
	}
	return nil
}

// screen drops what the worker must not see, and returns the names of that.
func (w *worker) screen(received uwsgi.Vars) (dropped []string, err error) {
	w.clean, dropped, err = w.g.firewallOf(w.pool).Screen(received)
	if err != nil {
		return dropped, screenFailure(err)
	}
	return dropped, nil
}

// compose makes the vars that the worker gets.
func (w *worker) compose(p *page) {
	w.out.Vars = setVars(p.policy.ForWorker(w.clean, p.plan), w.pool)
	if w.g.AskToClose && !w.mayTunnel() {
		w.out.Vars = append(w.out.Vars, uwsgi.Var{Name: "HTTP_CONNECTION", Value: "close"})
	}
}

// dropBody makes the request one without a body, whatever nginx has announced.
func (w *worker) dropBody() {
	for _, v := range []uwsgi.Vars{w.clean, w.out.Vars} {
		for i := range v {
			if v[i].Name == "CONTENT_LENGTH" {
				v[i].Value = ""
			}
		}
	}
}

// maxAsks is how often a request is sent at most.
const maxAsks = 3

// forward sends the request to a worker, and reads the head of its response. It asks
// again, if possible another one, if that failed and the request may be repeated.
func (w *worker) forward(ctx context.Context, c *client, want backend.Want) error {
	packet, err := w.packet(c)
	if err != nil {
		return err
	}
	if c.left == 0 && !w.mayTunnel() {
		c.startReading(w) // nginx may leave before a backend is found
	}
	w.asked = time.Now()
	for asks := 1; ; asks++ {
		nc, err := w.pool.Dial(ctx, want)
		if err != nil {
			w.waitedInVain(err)
			return dialFailure(ctx, err)
		}
		w.connect(nc)
		err = w.ask(packet, c)
		if ctx.Err() == nil { // else the client's leaving has broken it off
			nc.Report(outcome(err))
		}
		if err == nil {
			return nil
		}
		w.timedOut = isTimeout(err)
		if gone := c.presence.goneFailure(); gone != nil {
			return gone
		}
		if ctx.Err() != nil || asks == maxAsks || !w.takeRetry(err, c, asks) {
			return responseFailure(ctx, "read response", err)
		}
		want.Avoid = nc.Node
		w.close()
	}
}

// want is what the choice of a server depends on: the key of the page, or else the
// request.
func (w *worker) want(received uwsgi.Vars, key string) backend.Want {
	want := backend.Want{Host: policy.HostOf(received)}
	switch w.pool.Choice {
	case backend.HashKey:
		if want.HashKey = key; key == "" {
			want.HashKey = received.Get("REQUEST_URI")
		}
	case backend.HashClient:
		want.HashKey = received.Get("REMOTE_ADDR")
	}
	return want
}

// packet is the request as it goes out: its head, and what has come of the body if that
// is not much.
func (w *worker) packet(c *client) ([]byte, error) {
	b, err := encodeFor(w.pool, &w.out)
	w.head = len(b)
	switch {
	case err != nil:
		return nil, err
	case c.spool.isApart():
		return b, nil
	case c.spool.isHeld():
		return append(b, c.spool.memory...), nil
	case c.length == 0: // and perhaps somebody is reading from nginx
		return b, nil
	}
	here := int(min(int64(c.in.Buffered()), c.length))
	start, _ := c.in.Peek(here)
	c.in.Discard(here)
	c.left = c.length - int64(here)
	return append(b, start...), nil
}

// encodeFor makes the packet for a server of the pool. A worker would reset the connection
// of one that is too large.
func encodeFor(pool *backend.Pool, req *uwsgi.Request) ([]byte, error) {
	size := req.Size()
	f := &failure{op: "encode request", side: sideClient, status: 431, err: uwsgi.ErrTooLarge}
	if !pool.Takes(size, len(req.Vars)) {
		f.code = uwsgi.TooManyVars
		if !pool.Takes(size, 0) {
			f.code = uwsgi.BlockTooLarge
		}
		f.err = fmt.Errorf("block of %d bytes with %d vars; the workers take %d bytes and %d vars (--buffer-size, --max-vars)",
			size, len(req.Vars), pool.BufferSize, pool.MaxVars)
		return nil, f
	}
	b, err := req.Append(make([]byte, 0, 4+size))
	if err != nil {
		f.err = err
		return nil, f
	}
	return b, nil
}

// connect makes nc the worker's connection.
func (w *worker) connect(nc *backend.Conn) {
	w.conn, w.connected = nc, time.Now()
	w.queued += nc.Queued
	w.ctx.hold(nc)
	if w.in == nil {
		w.in = backendReaders.Get().(*bufio.Reader)
	}
	w.in.Reset(nc)
}

// ask sends the packet, starts to send the rest of the body, and reads the head of the
// response.
func (w *worker) ask(packet []byte, c *client) error {
	w.conn.SetDeadline(time.Now().Add(w.g.Timeouts.firstByte()))
	packet[0], packet[3] = w.conn.Node.Modifiers()
	w.g.hintModifiers(c.modifiers, [2]uint8{packet[0], packet[3]})
	if policy.IsUnsafe(c.received) && !w.mayTunnel() {
		c.presence.setMustHear(true)
		defer c.presence.setMustHear(false)
	}
	// A worker may refuse a request without reading it all, and then the write fails
	// though a response has come: only reading shows.
	werr := w.send(packet, c)
	if w.unseen {
		return werr
	}
	w.cutOff = isCutOff(werr)
	w.startUpload(c)
	resp, err := uwsgi.ReadResponse(w.in)
	if err == io.EOF && werr != nil {
		err = werr
	}
	w.unseen = err != nil && c.length == 0 && w.isUnread(err)
	if w.resp = resp; resp != nil {
		w.headed = time.Now()
	}
	return err
}

// send sends the packet and what has come of the body. Over a UNIX socket it sends the body
// when the worker has read the packet: a server that ends leaves what waits in its backlog
// unread, and then another one may get it, POSTs too.
func (w *worker) send(packet []byte, c *client) error {
	n, err := w.conn.Write(packet[:w.head])
	w.unseen = n == 0 && err != nil
	if err != nil || c.length == 0 {
		return err
	}
	if err := socket.AwaitTaken(w.conn.Raw()); errors.Is(err, syscall.ECONNRESET) {
		w.unseen = true
		return err
	}
	_, err = w.conn.Write(packet[w.head:])
	return err
}

// isUnread reports whether a server has closed without having read the last byte of the
// request. A UNIX socket says so with a reset, and a server needs the whole packet to begin.
func (w *worker) isUnread(err error) bool {
	c, ok := w.conn.Raw().(*socket.Conn)
	return ok && isUnix(c.RemoteAddr()) && errors.Is(err, syscall.ECONNRESET)
}

// mayTunnel reports whether the client has asked for a 101.
func (w *worker) mayTunnel() bool { return w.out.Vars.Get("HTTP_UPGRADE") != "" }

// takeRetry reports whether the request is sent once more after that many times, and takes
// that from the budget of the pool. Any request may be repeated if the worker has not read
// all of its packet. Else it must be a safe one, the worker must have closed without a byte,
// the body must still be here, nobody may have asked for a tunnel, and it is repeated once.
//
// The only server of a pool is asked again, too: it may be about to end, and requests wait
// for the next.
func (w *worker) takeRetry(err error, c *client, asks int) bool {
	if w.unseen {
		return true
	}
	switch c.method {
	case "GET", "HEAD", "OPTIONS":
		return asks == 1 && isSilent(err) && (c.length == 0 || c.spool.isHeld()) && !w.mayTunnel() && w.pool.TakeRetry()
	}
	return false
}

// isCrash reports whether the worker may have died of the request, which ended with f.
func (w *worker) isCrash(f *failure) bool {
	return f != nil && f.side == sideBackend && w.resp == nil && isSilent(f.err)
}

// sendsMore reports whether the worker sends more than it announced, which it waits for.
// Then the application's idea of the page is not what nginx was given.
func (w *worker) sendsMore() bool {
	w.ctx.letGo() // nginx leaves as soon as it has the announced bytes
	w.conn.SetReadDeadline(time.Now().Add(settleTime))
	return w.body.Surplus()
}

// settleTime is how long a backend may take to close after the last byte that it
// announced. It is waited for after nginx has everything, and only if the page is to be
// stored; a server that keeps connections open costs no more.
const settleTime = 100 * time.Millisecond

// close ends the connection, and with it the sending of the body.
func (w *worker) close() {
	if w.conn == nil {
		return
	}
	w.ctx.letGo()
	w.conn.Close()
	if w.upload.sent != nil {
		<-w.upload.sent
	}
}

// closeEarly closes the connection, so that nothing waits to be sent, and reports whether
// the worker had closed it before it had taken the whole request. Then a clean end of its
// response proves nothing: a worker that dies closes cleanly if it has read all that has
// come, and a reset is reported once, which may have been to the upload.
func (w *worker) closeEarly() (cutOff bool) {
	w.close()
	return w.cutOff || !w.upload.isTaken()
}

// tally counts the bytes that the server has got and sent, heads of responses aside.
func (w *worker) tally(c *client) {
	if w.conn != nil {
		w.conn.Node.Count(c.sent.bytes, 4+int64(w.out.Size())+c.length)
	}
}

// name is the server's, "" if none was asked.
func (w *worker) name() string {
	if w.conn == nil {
		return ""
	}
	return w.conn.Node.String()
}

// release closes the connection, and gives back what came with it.
func (w *worker) release() {
	w.close()
	if w.in != nil {
		w.in.Reset(nil)
		backendReaders.Put(w.in)
	}
}

// An upload is the way of a request's body to a worker, as far as it did not go out with
// the packet. A large body that is spooled is sent by a goroutine of its own, which ends
// when the body or the connection does; worker.close waits for it. A body that is streamed
// is sent by the goroutine that reads from the client; see presence.
type upload struct {
	copy *socket.Copy  // nil: all of it went out with the packet
	size int64         // of what goes this way
	sent chan struct{} // closed when the goroutine has ended; nil: none was started
}

// startUpload starts to send what did not go out with the packet.
func (w *worker) startUpload(c *client) {
	switch {
	case c.spool.isApart():
		w.copyFrom(c.spool.source(), c.length)
		w.upload.sent = make(chan struct{})
		go w.sendSpooled(w.upload.copy, w.upload.sent)
	case c.left > 0:
		w.copyFrom(boundedConn{c.conn, &c.presence}, c.left)
	}
	c.startReading(w)
}

// copyFrom makes the way of a body. While it moves, nobody waits for the response.
func (w *worker) copyFrom(from socket.Source, length int64) {
	to := w.conn
	w.upload.size = length
	w.upload.copy = &socket.Copy{From: from, To: to, Left: length, Idle: w.g.Timeouts.idle(), Spliced: w.g.stats.splice,
		Moved: func(int) { to.SetReadDeadline(time.Now().Add(w.g.Timeouts.firstByte())) }}
}

// sendSpooled sends a body that is spooled.
func (w *worker) sendSpooled(copy *socket.Copy, sent chan<- struct{}) {
	defer close(sent)
	err := copy.Run()
	// A backend may stop reading: its response will show why.
	var werr socket.WriteError
	if err != nil && !errors.As(err, &werr) {
		w.ctx.end(errSpoolLost)
	}
}

// run sends a body that is streamed. A backend that stops reading may have responded
// already, so the rest is read from nginx all the same.
func (u *upload) run() error {
	err := u.copy.Run()
	var werr socket.WriteError
	if errors.As(err, &werr) {
		u.copy.To = nil
		err = u.copy.Run()
	}
	return err
}

// isTaken reports whether the worker has taken all that goes this way.
func (u *upload) isTaken() bool { return u.copy == nil || u.copy.Taken() >= u.size }

// isCutOff reports whether err is that of writing to a peer that has closed.
func isCutOff(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
