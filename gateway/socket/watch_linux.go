package socket

import "golang.org/x/sys/unix"

// Watch calls gone, once, when the peer has closed the connection; with half, also when it
// has only closed its own direction. Reading would take a goroutine and its stack for each
// connection. It returns false if c cannot be watched. The caller calls stop to end the
// watch; gone may be running when stop returns. gone is called by the goroutine that wakes all
// connections, so it must not wait. A Conn has one watch at a time.
func (c *Conn) Watch(half bool, gone func()) (stop func(), ok bool) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, false
	}
	p, err := thePoller()
	if err == nil {
		err = p.register(c, false)
	}
	if err != nil {
		c.mu.Unlock()
		return nil, false
	}
	c.gone, c.half = gone, half
	left := c.takeWatch()
	c.mu.Unlock()
	if left != nil {
		left() // the poller has reported it before
	}
	return c.unwatch, true
}

func (c *Conn) unwatch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = nil
}

// takeWatch ends the watch and returns what is to be called, if the peer has left. c.mu is
// held.
func (c *Conn) takeWatch() func() {
	events := uint32(unix.EPOLLHUP | unix.EPOLLERR)
	if c.half {
		events |= unix.EPOLLRDHUP
	}
	if c.left&events == 0 {
		return nil
	}
	gone := c.gone
	c.gone = nil
	return gone
}

// wake is called by the poller.
func (c *Conn) wake(events uint32) {
	c.mu.Lock()
	if events&(unix.EPOLLIN|hungUp) != 0 {
		c.reads.changed.Broadcast()
	}
	if events&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.writes.changed.Broadcast()
	}
	c.left |= events & hungUp
	gone := c.takeWatch()
	c.mu.Unlock()
	if gone != nil {
		gone()
	}
}
