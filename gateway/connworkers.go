package gateway

import (
	"net"
	"sync"
	"sync/atomic"
)

// connWorkers are the goroutines that serve connections. A goroutine that has served one
// takes the next: its stack has already grown to the size that this takes. They end when
// done is closed, each after its connection; all waits for them.
type connWorkers struct {
	serve func(net.Conn)
	done  <-chan struct{} // no connection comes any more

	all  sync.WaitGroup
	next chan net.Conn // to a goroutine that waits
	idle atomic.Int32  // goroutines that wait
}

// maxIdle is how many goroutines wait for a connection at most.
const maxIdle = 64

func newConnWorkers(done <-chan struct{}, serve func(net.Conn)) *connWorkers {
	return &connWorkers{serve: serve, done: done, next: make(chan net.Conn)}
}

// take serves a connection, in a goroutine that waits or in a new one.
func (c *connWorkers) take(nc net.Conn) {
	select {
	case c.next <- nc:
	default:
		c.all.Go(func() { c.work(nc) })
	}
}

func (c *connWorkers) work(nc net.Conn) {
	for nc != nil {
		c.serve(nc)
		nc = c.await()
	}
}

// await returns the next connection, or nil if enough goroutines wait or none will come.
func (c *connWorkers) await() (nc net.Conn) {
	defer c.idle.Add(-1)
	if c.idle.Add(1) > maxIdle {
		return nil
	}
	select {
	case nc = <-c.next:
	case <-c.done:
	}
	return nc
}
