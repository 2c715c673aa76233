package cachewriter

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// An endpoint is an address that gomemcache passes on to DialContext as it is.
type endpoint struct{ network, address string }

// A link dials the one connection that a client keeps, and closes it when a context
// ends: gomemcache and reads of a socket do not take contexts.
type link struct {
	endpoint    endpoint
	dialTimeout time.Duration
	ctx         context.Context // of the operation under way, for dial
	fresh       bool            // the operation under way has dialled

	mu   sync.Mutex // guards conn, which cut uses from another goroutine
	conn net.Conn   // the last that was dialled; nil: none
}

func newLink(addr string, dialTimeout time.Duration) *link {
	network, address := dialArgs(addr)
	return &link{endpoint: endpoint{network, address}, dialTimeout: dialTimeout}
}

func (l *link) dial() (net.Conn, error) {
	l.fresh = true
	d := net.Dialer{Timeout: l.dialTimeout}
	nc, err := d.DialContext(l.ctx, l.endpoint.network, l.endpoint.address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = nc
	if l.ctx.Err() != nil {
		nc.Close() // cut came before conn was set
	}
	return nc, nil
}

// isUp reports whether the connection that an operation has used is still there.
func (l *link) isUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn != nil && !isHungUp(l.conn)
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
}

// do runs an operation and interrupts it when ctx ends. It runs the operation a
// second time if a connection from earlier turns out to be closed, so that a restart
// of memcached costs no entry. op must be safe to repeat.
func (l *link) do(ctx context.Context, op func() error) error {
	err := l.once(ctx, op)
	if err != nil && !l.fresh && ctx.Err() == nil && isClosed(err) {
		err = l.once(ctx, op)
	}
	if err == nil || errors.Is(err, ErrRefused) || ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

func (l *link) once(ctx context.Context, op func() error) error {
	l.ctx, l.fresh = ctx, false
	cut := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { l.cut(); close(cut) })
	err := op()
	if !stop() {
		<-cut // else it could close the connection of the next operation
	}
	return err
}

// isClosed reports whether err means that the connection was closed while it was
// idle, by the peer or by a late cut.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
