package gateway

import (
	"io"
	"net"
	"sync"
	"time"

	"uwgate/gateway/socket"
)

// A presence is what is known of whether a client is still there, and what its leaving
// ends.
//
// While the exchange waits for the response, one goroutine reads from the client: the rest
// of a body that is streamed, which it sends to the worker, and then until nginx leaves.
// It alone reads from nginx once it has been started, and ends when nginx closes its
// side, or at the last deadline; client.linger waits for it. Without a body there is no
// goroutine: package socket watches the connection. Where it cannot (TLS), the goroutine reads.
type presence struct {
	begun bool          // startReading has been called
	done  chan struct{} // closed when the goroutine has ended; nil: not started, or stopped
	soon  *time.Timer   // starts it; nil: it was started at once
	watch hangUpWatch

	mu        sync.Mutex // guards what follows
	finishing bool       // the last deadline for reading is set; leaving ends nothing any more
	mustHear  bool       // the response is waited for though the client leaves
	gone      bool       // the client has left while it was
	flight    *flight    // that the client leads, until it ends; only the exchange sets it, and it reads it without mu
}

// startReading starts the goroutine, once: what it has sent to one worker it cannot send
// to another. w has no connection yet if there is nothing to send.
func (c *client) startReading(w *worker) {
	p := &c.presence
	if p.begun || c.conn == nil {
		return
	}
	p.begun = true
	tunnel := w.mayTunnel()
	if _, ok := c.conn.(*socket.Conn); ok && c.left == 0 && !tunnel {
		p.watch.on = true
		c.g.delay.Add(&p.watch.place, c, time.Now())
		return
	}
	p.done = make(chan struct{})
	if c.left > 0 || tunnel {
		go c.sendAndWatch(&w.upload, w.conn, tunnel)
	} else {
		p.soon = time.AfterFunc(socket.DelayTime, c.watchByReading)
	}
}

// A hangUpWatch is how package socket watches whether nginx leaves. It begins after
// socket.DelayTime: most responses come earlier.
type hangUpWatch struct {
	on    bool // it has begun, or will
	place socket.Delayed

	mu   sync.Mutex // held while it begins or ends; guards what follows
	over bool
	stop func() // nil: it has not begun
}

// Due begins the watch. The client's buffer is of no more use, and thousands of clients
// may wait.
func (c *client) Due() {
	w := &c.presence.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	c.giveBuffer()
	// A client that cannot be watched is noticed when it is written to.
	w.stop, _ = c.conn.(*socket.Conn).Watch(!c.mayHalfClose(), c.hungUp)
}

func (c *client) hungUp() { c.leave(io.EOF, nil, nil) }

// end ends the watch, or prevents it.
func (w *hangUpWatch) end(d *socket.Delay) {
	w.on = false
	if d.Remove(&w.place) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.stop != nil {
		w.stop()
	}
}

// sendAndWatch sends a body that is streamed, and then reads until nginx leaves.
func (c *client) sendAndWatch(u *upload, to net.Conn, tunnel bool) {
	defer close(c.presence.done)
	var err error
	if c.left > 0 {
		err = u.run()
	}
	if err == nil {
		c.presence.extend(c.conn, time.Time{})
		err = c.readOn(to, tunnel)
	}
	c.leave(err, u, to)
}

// watchByReading watches a client that package socket cannot watch.
func (c *client) watchByReading() {
	defer close(c.presence.done)
	c.giveBuffer()
	var surplus [64]byte
	var err error
	for err == nil {
		_, err = c.conn.Read(surplus[:])
	}
	if err == io.EOF {
		err = c.awaitHangup(nil, false)
	}
	c.leave(err, nil, nil)
}

// readOn reads until nginx leaves. It returns nil if it cannot know when that is. What
// comes after the body is dropped, unless the connection may become a tunnel.
func (c *client) readOn(to net.Conn, tunnel bool) error {
	for {
		_, err := c.in.Peek(1)
		here, _ := c.in.Peek(c.in.Buffered())
		if len(here) > 0 && tunnel {
			to.SetDeadline(time.Now().Add(c.g.Timeouts.idle()))
			if _, werr := to.Write(here); werr != nil {
				tunnel = false
			}
		}
		c.in.Discard(len(here))
		switch {
		case err == io.EOF:
			return c.awaitHangup(to, tunnel)
		case err != nil:
			return err
		}
	}
}

// awaitHangup is for the end of what nginx sends. It means that nginx has left. Other
// clients may only have closed their own direction: a UNIX socket shows which, TCP only
// when it is written to.
func (c *client) awaitHangup(to net.Conn, tunnel bool) error {
	if !c.mayHalfClose() {
		return io.EOF
	}
	if tunnel {
		socket.CloseWrite(to)
	}
	if isUnix(c.conn.RemoteAddr()) {
		return socket.AwaitHangup(c.conn)
	}
	return nil
}

// leave ends the request's context, unless the response has been sent, must be waited for,
// or others wait for it. u is the way of a streamed body to the worker at to.
func (c *client) leave(err error, u *upload, to net.Conn) {
	p := &c.presence
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.finishing, err == nil:
	case isTimeout(err):
		c.ctx.end(errUploadStall)
	case p.mustHear:
		p.gone = true
		c.g.stats.unheard.Add(1)
		if c.left > 0 && !u.isTaken() {
			socket.CloseWrite(to) // or the worker would wait for the rest
		}
	case p.flight != nil && c.g.flights.leaderLeft(p.flight):
	default:
		c.ctx.end(errClientGone)
	}
}

// extend sets the deadline for the next read from nginx, unless the last one has been set.
func (p *presence) extend(conn net.Conn, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.finishing {
		conn.SetReadDeadline(t)
	}
}

// finish notes that the client may leave.
func (p *presence) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finishing = true
}

// stopWatching ends the watch, or prevents it. It reports whether the goroutine goes on:
// the one that reads from the client cannot be stopped so.
func (c *client) stopWatching() (reading bool) {
	p := &c.presence
	switch {
	case p.watch.on:
		p.watch.end(&c.g.delay)
	case p.soon != nil && p.soon.Stop():
		p.done = nil
	}
	p.soon = nil
	return p.done != nil
}

// setMustHear says whether the response is waited for though the client leaves.
func (p *presence) setMustHear(must bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mustHear = must
}

// leads makes the client the leader of f, or of none if f is nil.
func (p *presence) leads(f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flight = f
}

// goneFailure is the failure of a client that left while the response was waited for; nil
// if it has not.
func (p *presence) goneFailure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		return nil
	}
	return &failure{op: "read response", side: sideClient, status: statusClientGone, err: errClientGone}
}

// A boundedConn is the connection to nginx, with deadlines that respect the last one.
type boundedConn struct {
	net.Conn
	p *presence
}

func (b boundedConn) SetReadDeadline(t time.Time) error {
	b.p.extend(b.Conn, t)
	return nil
}

// Raw is the connection that may be spliced.
func (b boundedConn) Raw() net.Conn { return b.Conn }
