package gateway

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"uwgate/gateway/socket"
)

// An upload is what an exchange does beside the reading of the answer. One
// goroutine reads from nginx: the body if it is not spooled, which it sends to
// the backend, and from then on until nginx leaves. It alone reads from nginx
// once it has been started. Without a body all that it does is to have the tether's
// watcher see nginx leave. Another one sends a large body that is spooled.
type upload struct {
	left int64         // bytes of the body still to come from nginx
	body *socket.Copy  // to the backend; nil: all of it went out with the packet
	size int64         // of what goes that way
	done chan struct{} // closed when the first goroutine has ended; nil: not started
	soon *time.Timer   // starts it if that is no hurry; nil: it is one

	watched bool          // all that it does is to start a watch
	unwatch func()        // ends the watch, once done is closed; nil: there is none
	sent    chan struct{} // closed when the second one has; nil: not started

	mu        sync.Mutex
	finishing bool // guarded by mu: the deadline for reading is the last one
}

// startUpload has the backend sent what did not go out with the packet.
func (x *exchange) startUpload() {
	switch {
	case x.spool.isApart():
		x.upload.body = x.toBackend(x.spool.origin(), x.length)
		x.upload.sent = make(chan struct{})
		go x.sendSpooled(x.upload.body, x.upload.sent)
	case x.upload.left > 0:
		x.upload.body = x.toBackend(bounded{x.client, &x.upload}, x.upload.left)
	}
	x.startReading(x.conn)
}

// toBackend is the way of a body. While it moves, nobody is waiting for the
// answer.
func (x *exchange) toBackend(from socket.Source, length int64) *socket.Copy {
	to := x.conn
	x.upload.size = length
	return &socket.Copy{From: from, To: to, Left: length, Idle: x.g.Timeouts.idle(), Spliced: x.g.stats.splice,
		Moved: func(int) { to.SetReadDeadline(time.Now().Add(x.g.Timeouts.firstByte())) }}
}

// startReading starts the goroutine that reads from nginx, once: what it sends
// to one backend it cannot send to a second one. If there is nothing to send, only
// nginx's leaving is to be seen, and most answers come before that is of use to anyone.
func (x *exchange) startReading(to net.Conn) {
	if x.upload.done != nil || x.client == nil {
		return
	}
	x.upload.done = make(chan struct{})
	tunnel := x.mayTunnel()
	if x.upload.left > 0 || tunnel {
		go x.runUpload(to, tunnel)
		return
	}
	watch := x.runWatch
	if c, ok := x.client.(*socket.Conn); ok && x.tether.watcher != nil {
		x.upload.watched = true
		watch = func() { x.watchHangUp(c) }
	}
	x.upload.soon = time.AfterFunc(watchAfter, watch)
}

// watchAfter is how long nobody watches whether nginx leaves.
const watchAfter = 20 * time.Millisecond

// runUpload ends when nginx closes its side, or at the last deadline.
func (x *exchange) runUpload(to net.Conn, tunnel bool) {
	defer close(x.upload.done)
	err := x.sendBody()
	if err == nil {
		x.upload.extend(x.client, time.Time{})
		err = x.watch(to, tunnel)
	}
	x.left(err)
}

// watchHangUp has the watcher see nginx leave. The client's buffer is of no more use, and
// there may be thousands who wait.
func (x *exchange) watchHangUp(c *socket.Conn) {
	defer close(x.upload.done)
	x.giveClientBuffer()
	// One that cannot be watched is noticed when it is written to.
	x.upload.unwatch, _ = x.tether.watcher.Watch(c, !x.mayHalfClose(), func() { x.left(io.EOF) })
}

// runWatch is watchHangUp with a goroutine, for a client that the watcher cannot watch.
func (x *exchange) runWatch() {
	defer close(x.upload.done)
	x.giveClientBuffer()
	var surplus [64]byte
	var err error
	for err == nil {
		_, err = x.client.Read(surplus[:])
	}
	if err == io.EOF {
		err = x.watchHalf(nil, false)
	}
	x.left(err)
}

// sendBody sends what is left of a body that is streamed. A backend that stops
// reading may have answered already, so the rest is taken from nginx all the same.
func (x *exchange) sendBody() error {
	if x.upload.left == 0 {
		return nil
	}
	p := x.upload.body
	err := p.Run()
	var werr socket.WriteError
	if errors.As(err, &werr) {
		p.To = nil
		err = p.Run()
	}
	return err
}

// wasCutOff reports whether the backend closed before it had taken the whole
// request. Then a clean end of its answer proves nothing: a worker that dies closes
// cleanly if it has read all that has come, and of a reset the system tells once,
// which may have been the upload. The connection is closed, so that nothing waits to
// be sent.
func (x *exchange) wasCutOff() bool {
	x.closeBackend()
	p := x.upload.body
	return x.cutOff || p != nil && p.Taken() < x.upload.size
}

// isCutOff reports whether err is that of writing to a peer that has closed.
func isCutOff(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// bounded is the connection to nginx, with deadlines that respect the last one.
type bounded struct {
	net.Conn
	u *upload
}

func (b bounded) SetReadDeadline(t time.Time) error {
	b.u.extend(b.Conn, t)
	return nil
}

// Raw is the connection that may be spliced.
func (b bounded) Raw() net.Conn { return b.Conn }

// watch reads until nginx leaves, and returns nil if it cannot tell when that
// is. What comes after the body is surplus and dropped, unless the connection may
// become a tunnel.
func (x *exchange) watch(to net.Conn, tunnel bool) error {
	for {
		_, err := x.in.Peek(1)
		here, _ := x.in.Peek(x.in.Buffered())
		if len(here) > 0 && tunnel {
			to.SetDeadline(time.Now().Add(x.g.Timeouts.idle()))
			if _, werr := to.Write(here); werr != nil {
				tunnel = false
			}
		}
		x.in.Discard(len(here))
		switch {
		case err == io.EOF:
			return x.watchHalf(to, tunnel)
		case err != nil:
			return err
		}
	}
}

// watchHalf is for the end of what nginx sends. nginx has left then, but other
// clients may have closed no more than their own direction: a UNIX socket tells
// which, and TCP only when it is written to.
func (x *exchange) watchHalf(to net.Conn, tunnel bool) error {
	if !x.mayHalfClose() {
		return io.EOF
	}
	if tunnel {
		socket.CloseWrite(to)
	}
	if isUnix(x.client.RemoteAddr()) {
		return socket.AwaitHangup(x.client)
	}
	return nil
}

// mayHalfClose reports whether a client that has ended its direction may still wait.
func (x *exchange) mayHalfClose() bool { return x.g.Peers.HalfClose || isUnix(x.client.RemoteAddr()) }

// left ends the exchange's context, unless its answer is through, or others wait
// for it.
func (x *exchange) left(err error) {
	x.upload.mu.Lock()
	defer x.upload.mu.Unlock()
	switch {
	case x.upload.finishing, err == nil:
	case isTimeout(err):
		x.tether.end(errUploadStall)
	case x.leavesUnheard():
	case x.flight != nil && x.g.flights.outlives(x.flight):
	default:
		x.tether.end(errClientGone)
	}
}

// extend sets the deadline for the next read from nginx, unless the last one
// has been set.
func (u *upload) extend(client net.Conn, t time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.finishing {
		client.SetReadDeadline(t)
	}
}

// finishUpload gives nginx until the deadline to close its side, reading whatever it
// still sends, and waits for the goroutine.
func (x *exchange) finishUpload() {
	u := &x.upload
	if x.closed && u.done == nil {
		return
	}
	u.mu.Lock()
	u.finishing = true
	x.client.SetReadDeadline(time.Now().Add(x.g.Timeouts.linger()))
	u.mu.Unlock()
	if !u.isReading() {
		io.Copy(io.Discard, x.client) // x.in may be given back
		return
	}
	<-u.done
}

// endUpload is to go before the client is closed. It reports whether all that has been read
// from it has been looked at.
func (x *exchange) endUpload() bool {
	x.upload.mu.Lock()
	x.upload.finishing = true
	x.upload.mu.Unlock()
	// Whoever reads throws away what comes.
	return x.upload.isReading() || x.in == nil || x.in.Buffered() == 0
}

// isReading reports whether the first goroutine has been started. From then on it will
// not be, if it has not.
func (u *upload) isReading() bool {
	switch {
	case u.soon != nil && u.soon.Stop():
		u.done = nil
	case u.watched && u.done != nil:
		<-u.done
		if u.unwatch != nil {
			u.unwatch()
		}
		u.done = nil
	}
	u.soon = nil
	return u.done != nil
}
