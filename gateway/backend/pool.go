package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// ErrUnavailable is matched by the error of [Pool.Dial] when no server
// accepted the connection. Nothing was sent to any of them.
var ErrUnavailable = errors.New("no backend accepts connections")

const (
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	busyPause  = 10 * time.Millisecond
)

// A Pool is a set of servers that can answer the same requests. It is made by
// [NewPool]; the exported fields may be set before its first use. Its methods
// are safe for concurrent use. It has no goroutines.
type Pool struct {
	// DialTimeout bounds one call of Dial, however many servers it tries.
	// Zero means one second.
	DialTimeout time.Duration

	// Log is told when a server is ejected and when it is back. Nil is silent.
	Log *zap.Logger

	nodes []*Node

	mu sync.Mutex // guards the choice and health of every node
}

// A Node is one server of a [Pool].
type Node struct {
	name          string // as configured, without parameters
	network, addr string
	weight        int

	// Guarded by Pool.mu.
	current   int           // smooth weighted round robin's running weight
	backoff   time.Duration // 0: not ejected
	ejectedAt time.Time     // when it last failed after a pause
	retryAt   time.Time     // it is nobody's first choice before that

	requests, dialErrors, busy atomic.Uint64
}

// String returns the node's address as it was configured.
func (n *Node) String() string { return n.name }

// NewPool makes a pool of the servers given as "ADDRESS [weight=N]", with the
// addresses of [ParseAddr] and weights from 1 (the default) to 65535.
func NewPool(servers ...string) (*Pool, error) {
	if len(servers) == 0 {
		return nil, errors.New("backend: no server given; name at least one, as in unix:/run/app.sock or 127.0.0.1:3031")
	}
	p := &Pool{}
	for _, s := range servers {
		n, err := parseNode(s)
		if err != nil {
			return nil, err
		}
		p.nodes = append(p.nodes, n)
	}
	return p, nil
}

func parseNode(s string) (*Node, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return nil, errors.New("backend: empty address; write host:port, unix:/path or @name")
	}
	network, addr, err := ParseAddr(words[0])
	if err != nil {
		return nil, err
	}
	n := &Node{name: words[0], network: network, addr: addr, weight: 1}
	for _, word := range words[1:] {
		value, ok := strings.CutPrefix(word, "weight=")
		if !ok {
			return nil, fmt.Errorf("backend: %s: unknown parameter %q; known is weight=N", n, word)
		}
		n.weight, err = strconv.Atoi(value)
		if err != nil || n.weight < 1 || n.weight > 65535 {
			return nil, fmt.Errorf("backend: %s: weight %q is no number from 1 to 65535", n, value)
		}
	}
	return n, nil
}

// Len returns the number of servers.
func (p *Pool) Len() int { return len(p.nodes) }

// Dial connects to one of the servers, avoid only if there is no other. It
// tries every server at most once, except that it waits for one whose backlog
// is full as long as DialTimeout allows. The error matches [ErrUnavailable],
// or is ctx's if that ended first. The caller closes the connection.
func (p *Pool) Dial(ctx context.Context, avoid *Node) (net.Conn, *Node, error) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, p.dialTimeout())
	defer cancel()
	for {
		nc, n, err := p.dialOnce(ctx, avoid)
		if err == nil {
			return nc, n, nil
		}
		if parent.Err() != nil {
			return nil, nil, context.Cause(parent)
		}
		if !errors.Is(err, syscall.EAGAIN) || !pause(ctx, busyPause) {
			return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// dialOnce goes through the servers once.
func (p *Pool) dialOnce(ctx context.Context, avoid *Node) (net.Conn, *Node, error) {
	var room [8]*Node
	order := p.order(room[:0], avoid)
	var first error
	for i, n := range order {
		nc, err := n.dial(ctx, len(order)-1-i)
		if err == nil {
			p.succeeded(n)
			return nc, n, nil
		}
		p.failed(ctx, n, err)
		// A full backlog is worth waiting for, so it is the error to report.
		if first == nil || errors.Is(err, syscall.EAGAIN) {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, nil, first
}

// dial connects within half of the time that ctx leaves while others are yet
// to be tried, so that a host that drops packets does not use up their share.
func (n *Node) dial(ctx context.Context, others int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok && others > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, n.network, n.addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", n.name, cause(err))
	}
	return nc, nil
}

// cause strips what net.OpError repeats of the address.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// failed notes that n did not accept a connection. A full backlog is a busy
// server, and a client that left says nothing about it: neither ejects.
func (p *Pool) failed(ctx context.Context, n *Node, err error) {
	if errors.Is(err, syscall.EAGAIN) {
		n.busy.Add(1)
		return
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	n.dialErrors.Add(1)
	pause, news := p.eject(n)
	if news {
		p.log().Warn("backend ejected", zap.Stringer("backend", n), zap.Duration("retry_in", pause), zap.Error(err))
	}
}

func (p *Pool) succeeded(n *Node) {
	n.requests.Add(1)
	if p.restore(n) {
		p.log().Info("backend is back", zap.Stringer("backend", n))
	}
}

func (p *Pool) dialTimeout() time.Duration {
	if p.DialTimeout > 0 {
		return p.DialTimeout
	}
	return time.Second
}

func (p *Pool) log() *zap.Logger {
	if p.Log != nil {
		return p.Log
	}
	return zap.NewNop()
}

// pause waits for d and reports whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
