package backend

import (
	"net"
	"sync/atomic"
	"time"
)

// A Conn is the connection of one request. Close frees the node's place for the next
// request.
type Conn struct {
	net.Conn
	Node *Node

	// Queued is how long the request has waited in the queue.
	Queued time.Duration

	pool   *pool
	closed atomic.Bool
}

// Raw returns the connection under c: one of package socket or net, or a *tls.Conn.
func (c *Conn) Raw() net.Conn { return c.Conn }

// Close closes the connection. The second call returns net.ErrClosed and does nothing.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	err := c.Conn.Close()
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.Node.open--
	c.Node.endedAt = time.Now()
	c.pool.give(c.Node)
	return err
}

// Report records the outcome of the request. An outcome alone ejects no server,
// since a client can cause each of them.
func (c *Conn) Report(o Outcome) {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	c.pool.report(c.Node, o)
}
