package backend

import (
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// An absence is a time in which no server of a pool accepts connections. Requests then
// wait in the queue, POSTs too: nothing was sent of them. After each pause some of them
// try to connect, one at a time to each server; see [Node.hasRoom].
type absence struct {
	since   time.Time   // zero: a server accepts connections, or nobody has found out that none does
	resting bool        // nobody tries until the pause is over
	pause   *time.Timer // ends it; nil: there was none yet
	err     error       // of the last connect that failed
}

// The pause before the servers of a pool are tried again. It varies, so that the gateways
// of a fleet do not try at the same time.
const (
	minPause = 100 * time.Millisecond
	maxPause = 200 * time.Millisecond
)

// isAway reports whether no server is known to accept connections. p.mu is held.
func (p *pool) isAway() bool { return p.up() == 0 }

// rest begins a pause: a request has found no server. p.mu is held.
func (p *pool) rest(err error) {
	now := time.Now()
	p.outage.Store(&now)
	if err != nil {
		p.absence.err = err
	}
	if !p.isAway() || p.closed {
		return
	}
	if p.since.IsZero() {
		p.since = now
		p.options().log().Warn("no backend accepts connections; requests wait until one does, for --queue-timeout at most",
			zap.Duration("queue_timeout", p.options().queueTimeout()), zap.Error(err))
	}
	if p.resting {
		return
	}
	p.resting = true
	d := minPause + rand.N(maxPause-minPause)
	if p.pause == nil {
		p.pause = time.AfterFunc(d, p.tryAgain)
		return
	}
	p.pause.Reset(d)
}

// tryAgain ends a pause.
func (p *pool) tryAgain() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resting = false
	p.dispatch()
}

// present ends an absence: a server accepts connections. p.mu is held; the caller
// dispatches.
func (p *pool) present() {
	if p.since.IsZero() {
		return
	}
	p.options().log().Info("a backend accepts connections again", zap.Duration("down", time.Since(p.since)), zap.Int("waiting", p.queue.length))
	p.since, p.resting, p.absence.err = time.Time{}, false, nil
}
