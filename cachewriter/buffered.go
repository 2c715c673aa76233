package cachewriter

import "net"

// A corked connection sends what has been written when an answer is waited for: a
// command and its value go out in one system call, though they come in pieces of the
// size of gomemcache's buffer. It is one goroutine's, but for Close.
type bufferedConn struct {
	net.Conn
	held []byte
}

// maxHeld is how much is held back. The rest of a larger value is not copied.
const maxHeld = 16 << 10

func (c *bufferedConn) Write(b []byte) (int, error) {
	if len(c.held)+len(b) <= maxHeld {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *bufferedConn) Read(b []byte) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *bufferedConn) flush() error {
	if len(c.held) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.held)
	c.held = c.held[:0]
	return err
}
