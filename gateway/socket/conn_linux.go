package socket

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Conn is a connection over TCP or a UNIX socket. It is a net.Conn and a
// syscall.Conn, and its methods are safe for concurrent use, but two Writes at once may
// be mixed, and it must be closed: it has no finalizer.
type Conn struct {
	peer   netip.AddrPort // of TCP; zero: it is a UNIX socket
	dialed bool

	mu     sync.Mutex // guards what follows, and is held for system calls, which do not wait
	fd     int
	closed bool
	wrote  bool   // the system has been given something to send
	polled uint32 // the events that the poller reports; 0: nobody has had to wait yet
	turn   int32  // see place
	reads  side
	writes side

	left uint32 // the events of hungUp that the poller has reported
	gone func() // see Watch; nil: nobody watches
	half bool
}

// newConn makes the Conn of a descriptor.
func newConn(fd int, peer netip.AddrPort, dialed bool) *Conn {
	c := &Conn{fd: fd, peer: peer, dialed: dialed}
	c.reads.conn, c.writes.conn = c, c
	c.reads.changed.L, c.writes.changed.L = &c.mu, &c.mu
	return c
}

var errWouldBlock = error(unix.EAGAIN)

// Read implements io.Reader. What has been dialed is waited for without asking first:
// the peer has been sent nothing yet, or just now.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.failure("read", net.ErrClosed)
		case c.reads.isOver():
			return 0, c.failure("read", os.ErrDeadlineExceeded)
		case c.dialed && c.polled == 0:
		default:
			if n, err := read(c.fd, p); err != errWouldBlock {
				return c.got(n, err)
			}
		}
		if err := c.reads.wait(); err != nil {
			return 0, c.failure("read", err)
		}
	}
}

// got is what read(2) means.
func (c *Conn) got(n int, err error) (int, error) {
	switch {
	case err != nil:
		return 0, c.failure("read", os.NewSyscallError("read", err))
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// Write implements io.Writer.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		m, err := c.writeSome(p[n:])
		n += m
		if err == errWouldBlock {
			err = c.writes.wait()
			if err == nil {
				continue
			}
		}
		return n, c.failure("write", err)
	}
}

// writeSome writes what the system takes at once. c.mu is held.
func (c *Conn) writeSome(p []byte) (int, error) {
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.writes.isOver():
		return 0, os.ErrDeadlineExceeded
	}
	c.hurry(len(p))
	for n := 0; ; {
		m, err := write(c.fd, p[n:])
		n += m
		switch {
		case err == errWouldBlock:
			return n, err
		case err != nil:
			return n, os.NewSyscallError("write", err)
		case n == len(p):
			return n, nil
		}
	}
}

// Segments of TCP: the least that one holds over a network, and on the way to the
// same machine.
const (
	segment      = 1220
	localSegment = 32 << 10
)

// hurry turns Nagle's algorithm off (TCP_NODELAY), as package net does for every
// connection, before it can delay anything: the first segment goes out at once anyway,
// and most connections have no second one. c.mu is held.
func (c *Conn) hurry(n int) {
	whole := segment
	if c.peer.Addr().IsLoopback() {
		whole = localSegment
	}
	if c.isTCP() && (c.wrote || n > whole) {
		unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	c.wrote = true
}

// WriteParts writes all parts in one system call, if the system takes as much.
func (c *Conn) WriteParts(parts ...[]byte) error {
	rest := net.Buffers(parts)
	c.mu.Lock()
	if !c.closed && !c.writes.isOver() {
		c.hurry(localSegment + 1)
		n, err := writev(c.fd, parts)
		if err == nil {
			skip(&rest, n)
		}
	}
	c.mu.Unlock()
	for _, p := range rest {
		if _, err := c.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// skip drops the first n bytes.
func skip(parts *net.Buffers, n int) {
	for len(*parts) > 0 && n >= len((*parts)[0]) {
		n -= len((*parts)[0])
		*parts = (*parts)[1:]
	}
	if n > 0 {
		(*parts)[0] = (*parts)[0][n:]
	}
}

func (c *Conn) setDeadline(t time.Time, sides ...*side) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.failure("set", net.ErrClosed)
	}
	for _, s := range sides {
		s.setDeadline(t)
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.setDeadline(t, &c.reads, &c.writes) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, &c.reads) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, &c.writes) }

// Close implements io.Closer. Whoever waits is woken.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.closed = true
	if c.polled != 0 {
		if p, err := thePoller(); err == nil {
			p.leave(c)
		}
		c.reads.changed.Broadcast()
		c.writes.changed.Broadcast()
	}
	return c.failure("close", closeSocket(c.fd))
}

// CloseWrite ends the stream to the peer.
func (c *Conn) CloseWrite() error {
	return c.control("close", func(fd int) error { return os.NewSyscallError("shutdown", unix.Shutdown(fd, unix.SHUT_WR)) })
}

// SetLinger is that of a net.TCPConn. It means nothing to a UNIX socket.
func (c *Conn) SetLinger(sec int) error {
	l := unix.Linger{Linger: int32(max(sec, 0))}
	if sec >= 0 {
		l.Onoff = 1
	}
	return c.control("set", func(fd int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l))
	})
}

// Unread returns how many bytes that the peer has sent wait to be read.
func (c *Conn) Unread() (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, c.failure("get", net.ErrClosed)
	}
	n, err = unread(c.fd)
	return n, c.failure("get", err)
}

// control makes a system call that does not wait.
func (c *Conn) control(op string, call func(fd int) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.failure(op, net.ErrClosed)
	}
	return c.failure(op, call(c.fd))
}

func (c *Conn) isTCP() bool { return c.peer.IsValid() }

var unixAddr = &net.UnixAddr{Net: "unix"}

// RemoteAddr implements net.Conn. That of a UNIX socket has no name.
func (c *Conn) RemoteAddr() net.Addr {
	if c.isTCP() {
		return net.TCPAddrFromAddrPort(c.peer)
	}
	return unixAddr
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr {
	if !c.isTCP() {
		return unixAddr
	}
	local := &net.TCPAddr{}
	c.control("get", func(fd int) error {
		sa, err := syscall.Getsockname(fd)
		local = net.TCPAddrFromAddrPort(addrPort(sa))
		return err
	})
	return local
}

// addrPort is an address of TCP, the zero value if it is another one. It is package
// syscall's: package unix asks the system for the protocol of every address.
func addrPort(sa syscall.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// failure makes errors look like those of package net.
func (c *Conn) failure(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	addr := c.RemoteAddr()
	return &net.OpError{Op: op, Net: addr.Network(), Addr: addr, Err: err}
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

// A rawConn is a syscall.RawConn.
type rawConn struct{ c *Conn }

// Control does not make the poller wait for the descriptor.
func (r rawConn) Control(f func(fd uintptr)) error {
	return r.c.control("raw-control", func(fd int) error { f(uintptr(fd)); return nil })
}

func (r rawConn) Read(f func(fd uintptr) bool) error { return r.wait("raw-read", &r.c.reads, f) }

func (r rawConn) Write(f func(fd uintptr) bool) error { return r.wait("raw-write", &r.c.writes, f) }

// wait calls f, which must not wait, until it returns true.
func (r rawConn) wait(op string, s *side, f func(fd uintptr) bool) error {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return c.failure(op, net.ErrClosed)
		case s.isOver():
			return c.failure(op, os.ErrDeadlineExceeded)
		case f(uintptr(c.fd)):
			return nil
		}
		if err := s.wait(); err != nil {
			return c.failure(op, err)
		}
	}
}
