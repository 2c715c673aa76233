package backend

import (
	"time"

	"go.uber.org/zap"
)

// An Outcome is how a request ended that was sent to a server.
type Outcome uint8

const (
	Responded Outcome = iota // with a head, whatever its status
	Silent                   // closed without a byte: an exception, an oversized request, a dead worker
	TimedOut                 // no response in time
	Reset                    // reset before a response
)

const (
	minBackoff = time.Second
	maxBackoff = 30 * time.Second

	// A server is in doubt after maxDoubts bad outcomes within doubtWindow, without
	// a response between them.
	maxDoubts   = 3
	doubtWindow = 10 * time.Second

	maxMisses = 3 // probes in a row that a server may fail before it is ejected
	minHits   = 2 // probes in a row that a hung server must pass to be back
)

// health is what a pool knows about the state of a node. Doubt only causes probes,
// because nothing that a client can cause may eject a server.
type health struct {
	backoff  time.Duration // until the next probe of a server that refused a connection; 0: it accepts them
	hung     bool          // ejected because it accepts connections and does not respond
	failedAt uint64        // the number of its last failure
	since    time.Time     // when it was ejected

	doubts     int // bad outcomes since doubtSince
	doubtSince time.Time
	suspect    bool // in doubt, so it is probed
	misses     int  // probes in a row that failed
	hits       int  // probes in a row that passed

	watch   *time.Timer // for the next probe
	probing bool
}

func (h *health) isEjected() bool { return h.backoff > 0 || h.hung }

// eject ejects a node that did not accept a connection: it gets no requests while others
// are up, and a probe after a pause. p.mu is held; the caller dispatches.
func (p *pool) eject(n *Node, err error) {
	if n.gone {
		return
	}
	p.failures++
	n.failedAt = p.failures
	if n.backoff == 0 {
		n.backoff, n.since = minBackoff, time.Now()
		p.watchNode(n, n.backoff)
		p.options().log().Warn("backend ejected", zap.Stringer("backend", n), zap.Duration("retry_in", n.backoff), zap.Error(err))
	}
	p.settle(n)
}

// restore gives an ejected node requests again. p.mu is held.
func (p *pool) restore(n *Node) {
	n.health = health{failedAt: n.failedAt, watch: n.watch, probing: n.probing}
	if n.watch != nil {
		n.watch.Stop()
	}
	n.pass = p.reached.next(n.weight())
	p.easeIn(n)
	p.settle(n)
	p.options().log().Info("backend is back", zap.Stringer("backend", n))
	p.present()
	p.dispatch()
}

// report notes the outcome of a request. p.mu is held.
func (p *pool) report(n *Node, o Outcome) {
	switch {
	case n.gone:
	case o == Responded:
		p.trust(n)
	case !n.isEjected():
		p.doubt(n)
	}
}

// trust ends all doubt about a node that has responded.
func (p *pool) trust(n *Node) {
	n.doubts, n.suspect = 0, false
	if n.unproven {
		n.unproven = false
		p.settle(n)
		p.dispatch()
	}
}

// doubt notes a bad outcome, and starts the probes if there were too many.
func (p *pool) doubt(n *Node) {
	if now := time.Now(); n.doubts == 0 || now.Sub(n.doubtSince) > doubtWindow {
		n.doubts, n.doubtSince = 0, now
	}
	n.doubts++
	if !n.suspect && (n.doubts >= maxDoubts || n.unproven) {
		n.suspect, n.misses = true, 0
		p.watchNode(n, 0)
	}
}

// probed notes the result of a probe. p.mu is held.
func (p *pool) probed(n *Node, err error) {
	switch e := err.(type) {
	case nil:
		p.hit(n)
	case *connectError:
		p.missConnect(n, e)
	default:
		p.miss(n, err)
	}
	p.dispatch()
}

// hit is for a probe that passed.
func (p *pool) hit(n *Node) {
	n.misses = 0
	n.hits++
	switch {
	case n.hung && n.backoff == 0 && n.hits < minHits:
		p.watchNode(n, p.options().probeInterval())
	case n.isEjected():
		n.unproven = false
		p.restore(n)
	default:
		p.trust(n)
	}
}

// missConnect is for a probe whose connection was not accepted.
func (p *pool) missConnect(n *Node, err error) {
	n.hits = 0
	if n.backoff == 0 {
		p.eject(n, err)
		return
	}
	p.backOff(n)
}

// miss is for a probe that got a connection and failed.
func (p *pool) miss(n *Node, err error) {
	n.hits = 0
	n.misses++
	switch {
	case n.backoff > 0:
		p.backOff(n)
	case n.hung:
		p.watchNode(n, p.options().probeInterval())
	case n.misses < maxMisses:
		p.watchNode(n, 0)
	case p.mayEject(n):
		p.hang(n, err)
	default:
		p.watchNode(n, p.options().probeInterval())
	}
}

// backOff doubles the pause until the next probe.
func (p *pool) backOff(n *Node) {
	n.backoff = min(2*n.backoff, maxBackoff)
	p.watchNode(n, n.backoff)
}

// hang ejects a node that accepts connections and fails its probes.
func (p *pool) hang(n *Node, err error) {
	p.failures++
	n.hung, n.suspect, n.failedAt, n.since = true, false, p.failures, time.Now()
	p.settle(n)
	p.watchNode(n, p.options().probeInterval())
	p.options().log().Warn("backend ejected: it accepts connections and does not respond", zap.Stringer("backend", n), zap.Error(err))
}

// mayEject reports whether hang may eject n: never the last node that is up, and never
// more than half of the pool.
func (p *pool) mayEject(n *Node) bool {
	hung := 1
	for _, other := range p.nodes {
		if other.hung {
			hung++
		}
	}
	return p.up() > 1 && 2*hung <= len(p.nodes)
}
