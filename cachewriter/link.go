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

// endpoint is an address that gomemcache passes on unread.
type endpoint struct{ network, address string }

// A link dials the one connection that a speaker keeps, and can cut it: neither
// gomemcache nor a read on a socket knows of contexts.
type link struct {
	endpoint    endpoint
	dialTimeout time.Duration
	ctx         context.Context // of the operation under way, for dial; set by do
	fresh       bool            // the operation under way has dialled

	mu   sync.Mutex // guards conn, which cut takes from another goroutine
	conn net.Conn   // dialled last, nil before
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
		nc.Close() // cut came before there was anything to cut
	}
	return &bufferedConn{Conn: nc}, nil
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
}

// do runs one operation, cut off when ctx ends. It runs a second time if a
// connection kept from earlier turns out to have been closed meanwhile: a
// restarted memcached must not cost an entry. Both operations may be repeated.
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
		<-cut // or it would hit the next operation
	}
	return err
}

// isClosed is true for what a connection says that the peer, or a late cut,
// closed while it lay idle.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
