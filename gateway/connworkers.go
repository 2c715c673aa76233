package gateway

import (
	"net"
	"sync"
	"sync/atomic"
)

// A crew is the goroutines that serve connections. One that is done takes the next
// connection: its stack has grown to what that takes already.
type crew struct {
	serve func(net.Conn)
	done  <-chan struct{} // nobody waits for a connection any more

	all  sync.WaitGroup
	next chan net.Conn // to one of those that wait
	idle atomic.Int32  // how many wait
}

// maxIdle is how many goroutines a crew keeps.
const maxIdle = 64

func newCrew(done <-chan struct{}, serve func(net.Conn)) *crew {
	return &crew{serve: serve, done: done, next: make(chan net.Conn)}
}

// take has a connection served.
func (c *crew) take(nc net.Conn) {
	select {
	case c.next <- nc:
	default:
		c.all.Go(func() { c.work(nc) })
	}
}

func (c *crew) work(nc net.Conn) {
	for nc != nil {
		c.serve(nc)
		nc = c.wait()
	}
}

// wait returns nil if enough are waiting, or there is nothing to come.
func (c *crew) wait() (nc net.Conn) {
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
