package cachewriter

import "net"

// A bufferedConn sends what has been written when the next read begins. So a command
// and its value go out in one system call, though gomemcache writes them in pieces of
// the size of its buffer. One goroutine uses it at a time, except for Close.
type bufferedConn struct {
	net.Conn
	held []byte // written and not sent
}

// maxHeld is the largest number of bytes that are held back. The rest of a larger
// value is sent without a copy.
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
