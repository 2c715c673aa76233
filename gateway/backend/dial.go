package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"uwgate/gateway/socket"
)

// maxAttempts bounds the servers that one request tries.
const maxAttempts = 8

// A dialing is one call of Dial.
type dialing struct {
	p     *pool
	want  Want
	left  time.Duration // for connecting
	tried []*Node       // and failed
	first error         // of the servers that failed
	began time.Time     // the attempt under way

	queued   time.Time // when it first had to wait; zero: not yet
	returned bool      // it had a place and lost it to a full backlog
}

// connect connects to n, whose place it has, within half of the time that is
// left while others may be tried, so that a host that drops packets does not
// use up their share.
func (d *dialing) connect(ctx context.Context, n *Node) (net.Conn, error) {
	limit := d.left
	if d.p.size() > len(d.tried)+1 {
		limit /= 2
	}
	d.began = time.Now()
	nc, err := d.p.dial(ctx, n, limit)
	d.left -= time.Since(d.began)
	return nc, err
}

func (p *pool) dial(ctx context.Context, n *Node, limit time.Duration) (net.Conn, error) {
	if dial := p.options().dialer; dial != nil {
		return dial(ctx, n, limit)
	}
	verify := n.tls.Load()
	if verify == nil && n.network == "unix" {
		// It is done at once or not at all, so there is nothing to call off.
		return socket.DialUnix(n.addr)
	}
	if to, err := netip.ParseAddrPort(n.addr); err == nil && verify == nil && to.Addr().Zone() == "" {
		return socket.DialTCP(ctx, to, limit)
	}
	d := net.Dialer{Timeout: limit, KeepAlive: -1} // a connection serves one request, and that has its timeouts
	if verify == nil {
		return d.DialContext(ctx, n.network, n.addr)
	}
	td := tls.Dialer{NetDialer: &d, Config: verify}
	return td.DialContext(ctx, n.network, n.addr)
}

// connected makes the connection that the caller gets.
func (p *pool) connected(n *Node, nc net.Conn) *Conn {
	n.requests.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	n.open++
	if n.backoff > 0 && !n.hung {
		p.restore(n)
	}
	return &Conn{Conn: nc, Node: n, pool: p}
}

// failed notes that n did not accept a connection, and returns an error if no
// further attempt is to be made. A full backlog is a busy server, and a client
// that left says nothing about it: neither ejects.
func (d *dialing) failed(ctx context.Context, n *Node, err error) error {
	p := d.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(n)
	defer p.dispatch()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if isOurs(err) {
		return fmt.Errorf("connect to %s: %w; allow uwgate more open files (LimitNOFILE, ulimit -n), or the system more ports", n, cause(err))
	}
	if d.isFull(n, err) {
		p.full(n)
		d.left, d.returned = p.options().dialTimeout(), true
		return nil
	}
	err = fmt.Errorf("connect to %s: %w", n, cause(err))
	n.dialErrors.Add(1)
	p.eject(n, err)
	d.tried = append(d.tried, n)
	if d.first == nil {
		d.first = err
	}
	// The first other server is free: no worker has seen the request. A pool
	// that is down must not be asked for every request as often as it has
	// servers.
	if d.left <= 0 || len(d.tried) >= min(maxAttempts, len(p.nodes)) || len(d.tried) > 1 && !p.mayRetry() {
		return d.unavailable()
	}
	return nil
}

func (d *dialing) unavailable() error {
	d.p.outage.Store(time.Now().UnixNano())
	if d.first == nil {
		return fmt.Errorf("%w: the pool has no servers", ErrUnavailable)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, d.first)
}

// hasTried reports whether n has failed this call.
func (d *dialing) hasTried(n *Node) bool { return slices.Contains(d.tried, n) }

// isFull tells a full backlog from a dead server. A UNIX socket says so; TCP
// drops the packets. So the last server that is up, and that had requests since
// the attempt began, is taken for a busy one. p.mu is held.
func (d *dialing) isFull(n *Node, err error) bool {
	if errors.Is(err, syscall.EAGAIN) {
		return true
	}
	return isTimeout(err) && (n.open > 0 || n.endedAt.After(d.began)) && n.tier != ejected && d.p.up() == 1
}

// isOurs knows the errors that say nothing about the server: we have no descriptor left,
// or no port, or no memory.
func isOurs(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// cause strips what net.OpError repeats of the address.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
