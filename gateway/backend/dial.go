package backend

import (
	"cmp"
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

	"go.uber.org/zap"

	"uwgate/gateway/socket"
)

// Errors of [Pool.Dial]. Nothing was sent to any server.
var (
	// ErrUnavailable is matched when no server accepted the connection within
	// QueueTimeout, or the request did not wait for one.
	ErrUnavailable = errors.New("no backend accepts connections")
	// ErrShortage is matched when this machine had no descriptor, port or memory for a
	// connection within QueueTimeout.
	ErrShortage = errors.New("this machine has no room for another connection")
	// ErrQueueFull is returned when every server has all the requests that it may
	// have, and the queue is full.
	ErrQueueFull = errors.New("all backends are busy and the queue is full")
	// ErrQueueTimeout is returned when a request has waited for QueueTimeout.
	ErrQueueTimeout = errors.New("all backends are busy and no request ended in time")
)

// A Want is what a request asks of a pool.
type Want struct {
	// Avoid is a server that has already failed this request. It is chosen only if
	// no other server is up.
	Avoid *Node

	// HashKey chooses the server if Choice is a hash. With "" the choice is that of
	// RoundRobin.
	HashKey string

	// Host is the host of the request. Hosts take turns in the queue.
	Host string

	// Away is called once before the request begins to wait because no server accepts
	// connections. If it returns true, Dial returns an error that matches ErrUnavailable
	// instead. With nil the request waits.
	Away func() (leaves bool)
}

// Dial connects to one of the servers. If every server that is up has all the requests
// that it may have, Dial waits in the queue. If a server does not accept the connection,
// Dial ejects it and tries another one, and ejected servers when no other is left. While
// none accepts it, Dial waits in the queue too, and tries again every 100 to 200 ms. The
// error matches [ErrUnavailable], [ErrQueueFull], [ErrQueueTimeout] or [ErrShortage], or is
// ctx's cause if that ended first. The caller closes the connection.
func (p *Pool) Dial(ctx context.Context, w Want) (*Conn, error) {
	d := dialing{p: p.init(), want: w, left: p.dialTimeout()}
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	for {
		n, err := d.acquire(ctx)
		if err != nil {
			return nil, err
		}
		nc, err := d.connect(ctx, n)
		if err == nil {
			return p.connected(n, nc, d.waited), nil
		}
		if err = d.failed(ctx, n, err); err != nil {
			return nil, err
		}
	}
}

// begin counts a request. While the pool has no server yet, begin waits for the first
// look-up of names.
func (p *pool) begin(ctx context.Context) error {
	p.mu.Lock()
	p.start()
	p.counts.requests++
	p.budget.request(time.Now())
	wait := p.lookedUp
	if len(p.nodes) > 0 {
		wait = nil
	}
	p.mu.Unlock()
	if wait == nil {
		return nil
	}
	limit := time.NewTimer(p.options().dialTimeout())
	defer limit.Stop()
	select {
	case <-wait:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-limit.C:
	}
	return nil
}

// Outage returns when a Dial last found no server. It returns the zero time if there was
// no such Dial, or none since the last Recover.
func (p *Pool) Outage() time.Time {
	if at := p.init().outage.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// Recover ends an outage: the caller has got a response from a server. It reports
// whether there was an outage; of several calls, only one returns true.
func (p *Pool) Recover() bool {
	o := &p.init().outage
	return o.Load() != nil && o.Swap(nil) != nil
}

// maxAttempts is the most ejected servers that one request tries without a pause.
const maxAttempts = 8

// A dialing is one call of Dial.
type dialing struct {
	p     *pool
	want  Want
	left  time.Duration // that may still be spent on connecting
	tried []*Node       // that have failed since the last pause
	first error         // that of the first server that failed
	short error         // this machine had no room for a connection
	began time.Time     // when the current attempt began

	queued   time.Time     // when it first had to wait; zero: it has not waited
	waited   time.Duration // in the queue
	returned bool          // it had a place, and could not use it
}

// connect connects to n, at which d has a place. While other servers remain to be tried,
// it spends half of the time that is left, so that a host that drops packets does not use
// up the time for the others.
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
		// This succeeds or fails at once, so ctx is not needed.
		return socket.DialUnix(n.addr)
	}
	if to, err := netip.ParseAddrPort(n.addr); err == nil && verify == nil && to.Addr().Zone() == "" {
		return socket.DialTCP(ctx, to, limit)
	}
	d := net.Dialer{Timeout: limit, KeepAlive: -1} // a connection serves one request, which has timeouts of its own
	if verify == nil {
		return d.DialContext(ctx, n.network, n.addr)
	}
	td := tls.Dialer{NetDialer: &d, Config: verify}
	return td.DialContext(ctx, n.network, n.addr)
}

// connected makes the connection that Dial returns.
func (p *pool) connected(n *Node, nc net.Conn, queued time.Duration) *Conn {
	n.requests.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	n.open++
	switch {
	case n.backoff > 0 && !n.hung:
		p.restore(n)
	case n.backoff > 0:
		p.settle(n) // another request may try it
		p.dispatch()
	}
	return &Conn{Conn: nc, Node: n, Queued: queued, pool: p}
}

// failed notes that n did not accept a connection. It returns an error if Dial must stop.
// A full backlog means a busy server, and a client that left says nothing about the
// server, so neither ejects it.
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
		d.short = fmt.Errorf("connect to %s: %w; allow uwgate more open files (LimitNOFILE, ulimit -n), or the system more ports", n, cause(err))
		p.shortage(d.short)
		d.stepBack(n)
		return nil
	}
	if d.isFull(n, err) {
		n.busy.Add(1)
		d.stepBack(n)
		return nil
	}
	err = fmt.Errorf("connect to %s: %w", n, cause(err))
	n.dialErrors.Add(1)
	p.eject(n, err)
	d.tried = append(d.tried, n)
	if d.first == nil {
		d.first = err
	}
	switch {
	case !p.isAway():
		d.left = max(d.left, p.options().dialTimeout()/2) // a server that is up shall have a chance
	case d.left <= 0 || len(d.tried) >= min(maxAttempts, len(p.nodes)):
		d.exhausted()
	}
	return nil
}

// stepBack makes d wait in front of the queue: n has no room for it at the moment.
func (d *dialing) stepBack(n *Node) {
	d.p.full(n)
	d.left, d.returned = d.p.options().dialTimeout(), true
}

// exhausted makes d wait: no server has accepted its connection. It goes back to the front
// of the queue if it comes from there.
func (d *dialing) exhausted() {
	d.p.rest(d.first)
	d.tried, d.left = nil, d.p.options().dialTimeout()
	d.returned = d.returned || !d.queued.IsZero()
}

// unavailable is the error of a Dial that has found no server. p.mu is held.
func (d *dialing) unavailable() error {
	now := time.Now()
	d.p.outage.Store(&now)
	switch err := cmp.Or(d.first, d.p.absence.err); {
	case d.p.closed:
		return fmt.Errorf("%w: the pool is closed", ErrUnavailable)
	case !d.p.mayServe(), err == nil:
		return fmt.Errorf("%w: the pool has no servers", ErrUnavailable)
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// shortageLogs is the shortest time between two log lines about a shortage.
const shortageLogs = time.Minute

// shortage notes that this machine has no room for another connection. p.mu is held.
func (p *pool) shortage(err error) {
	p.counts.shortages++
	if now := time.Now(); p.shortAt.IsZero() || now.Sub(p.shortAt) >= shortageLogs {
		p.shortAt = now
		p.options().log().Error("a request waits: this machine has no room for another connection", zap.Error(err))
	}
}

// hasTried reports whether n has failed this Dial.
func (d *dialing) hasTried(n *Node) bool { return slices.Contains(d.tried, n) }

// isFull reports whether n's backlog is full, and n not dead. A UNIX socket says so, but
// over TCP the packets are dropped in both cases. So a server is considered busy if it
// is the last one up, and has or had requests since the attempt began. p.mu is held.
func (d *dialing) isFull(n *Node, err error) bool {
	if errors.Is(err, syscall.EAGAIN) {
		return true
	}
	return isTimeout(err) && (n.open > 0 || n.endedAt.After(d.began)) && n.tier != ejected && d.p.up() == 1
}

// isOurs reports whether an error says nothing about the server: this machine has no
// descriptor, port or memory left.
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

// cause removes the address that net.OpError repeats.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}
