package gateway

import (
	"bufio"
	"io"
	"net"
	"sync"
	"time"
)

// An upload is the second goroutine of an exchange: it sends the request's
// body to the backend while the answer is being read, and from then on watches
// for nginx leaving. It alone reads from nginx once it has been started.
type upload struct {
	left int64         // bytes of the body still to come
	done chan struct{} // closed when the goroutine has ended; nil: not started

	mu        sync.Mutex
	finishing bool // guarded by mu: the deadline for reading is the last one
}

// startUpload starts the goroutine, once: only a request without a body is
// ever asked of a second backend.
func (x *exchange) startUpload() {
	if x.upload.done != nil {
		return
	}
	x.upload.done = make(chan struct{})
	go x.runUpload(x.conn, x.out.Vars.Get("HTTP_UPGRADE") != "")
}

// runUpload ends when nginx closes its side, or at the last deadline.
func (x *exchange) runUpload(to net.Conn, tunnel bool) {
	defer close(x.upload.done)
	buf := buffers.Get().(*[backendBuffer]byte)
	defer buffers.Put(buf)
	err := x.sendBody(to, buf[:])
	if err == nil {
		x.upload.extend(x.client, time.Time{})
		err = x.watch(to, tunnel, buf[:])
	}
	x.left(err)
}

// sendBody sends what is left of the body. A backend that stops reading may
// have answered already, so the rest is taken from nginx all the same.
func (x *exchange) sendBody(to net.Conn, buf []byte) error {
	idle, answer := x.g.idleTimeout(), x.g.firstByteTimeout()
	for x.upload.left > 0 {
		x.upload.extend(x.client, time.Now().Add(idle))
		n, err := x.in.Read(buf[:min(int64(len(buf)), x.upload.left)])
		x.upload.left -= int64(n)
		if n > 0 && to != nil {
			to.SetWriteDeadline(time.Now().Add(idle))
			if _, werr := to.Write(buf[:n]); werr != nil {
				to = nil
			} else {
				// While the body moves, nobody is waiting for the answer.
				to.SetReadDeadline(time.Now().Add(answer))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// watch reads until nginx leaves. What comes after the body is surplus and
// dropped, unless the connection may become a tunnel.
func (x *exchange) watch(to net.Conn, tunnel bool, buf []byte) error {
	for {
		n, err := x.in.Read(buf)
		if n > 0 && tunnel {
			to.SetDeadline(time.Now().Add(x.g.idleTimeout()))
			if _, werr := to.Write(buf[:n]); werr != nil {
				tunnel = false
			}
		}
		if err != nil {
			return err
		}
	}
}

// left ends the exchange's context, unless its answer is through.
func (x *exchange) left(err error) {
	x.upload.mu.Lock()
	defer x.upload.mu.Unlock()
	switch {
	case x.upload.finishing:
	case isTimeout(err):
		x.cancel(errUploadStall)
	default:
		x.cancel(errClientGone)
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

// finish gives nginx until the deadline to close its side, reading whatever it
// still sends, and waits for the goroutine.
func (u *upload) finish(client net.Conn, in *bufio.Reader, linger time.Duration) {
	u.mu.Lock()
	u.finishing = true
	client.SetReadDeadline(time.Now().Add(linger))
	u.mu.Unlock()
	if u.done == nil {
		io.Copy(io.Discard, in)
		return
	}
	<-u.done
}
