package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/socket"
)

// connections counts the open connections of clients, over all listeners, and makes the
// listeners wait while there are too many. The zero value is ready.
type connections struct {
	open    atomic.Int64
	pauses  atomic.Uint64 // waits for a connection to end
	waiting atomic.Int32  // listeners that wait

	mu     sync.Mutex    // guards what follows
	freed  chan struct{} // is closed when a connection ends; nil: nobody has waited since
	logged time.Time     // when the limit was last logged
}

// pauseLogs is the shortest time between two log lines about the limit.
const pauseLogs = time.Minute

// defaultConnections is the limit if there is no other. A request needs a descriptor for its
// client, one for its backend, and at times one for its body. The rest is for memcached, logs
// and the admin side.
var defaultConnections = sync.OnceValue(func() int {
	const ourOwn, perRequest, unknown = 128, 3, 1024
	files := socket.MaxFiles()
	if files <= 0 {
		files = unknown
	}
	return max((files-ourOwn)/perRequest, 16)
})

// maxConnections returns the limit.
func (g *Gateway) maxConnections() int64 {
	if g.Peers.Connections > 0 {
		return int64(g.Peers.Connections)
	}
	return int64(defaultConnections())
}

// awaitRoom returns when another client may be accepted, or ctx is done: the clients in the
// backlog of a listener that closes are accepted whatever their number. Each listener that
// waits then accepts one.
func (g *Gateway) awaitRoom(ctx context.Context) {
	c, limit := &g.connections, g.maxConnections()
	if c.open.Load() < limit || ctx.Err() != nil {
		return
	}
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	c.pauses.Add(1)
	if c.takeLog(time.Now()) {
		g.log().Warn("too many client connections are open; new ones wait in the listen queue until others end. If this happens often, raise --max-connections, or the limit of open files (LimitNOFILE=), which sets its default",
			zap.Int64("limit", limit))
	}
	for {
		freed := c.nextFreed()
		if c.open.Load() < limit {
			return
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return
		}
	}
}

// takeLog reports whether the limit may be logged now, and if so forbids it for a while.
func (c *connections) takeLog(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.logged.IsZero() && now.Sub(c.logged) < pauseLogs {
		return false
	}
	c.logged = now
	return true
}

// nextFreed returns a channel that is closed when the next connection ends.
func (c *connections) nextFreed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freed == nil {
		c.freed = make(chan struct{})
	}
	return c.freed
}

// leave counts a connection that has ended.
func (c *connections) leave() {
	c.open.Add(-1)
	if c.waiting.Load() == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
}
