package socket

import (
	"errors"
	"io"
	"io/fs"
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
	wrote  bool     // the system has been given something to send
	file   *os.File // waits for fd; nil: nobody has had to yet
	reads  side
	writes side
}

// A side is one direction of a Conn.
type side struct {
	deadline time.Time
	late     bool // the file does not have the deadline yet
	waiting  int  // goroutines
}

// isOver reports whether the deadline has passed.
func (s *side) isOver() bool { return !s.deadline.IsZero() && !time.Now().Before(s.deadline) }

var errWouldBlock = error(unix.EAGAIN)

// Read implements io.Reader. What has been dialed is waited for without asking first:
// the peer has been sent nothing yet, or just now.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if c.file == nil && !c.closed && !c.dialed && !c.reads.isOver() && len(p) > 0 {
		n, err := read(c.fd, p)
		if err != errWouldBlock {
			c.mu.Unlock()
			return c.got(n, err)
		}
	}
	f, err := c.wait(&c.reads)
	c.mu.Unlock()
	if err != nil {
		return 0, c.failure("read", err)
	}
	n, err := f.Read(p)
	c.stop(&c.reads)
	return n, c.failure("read", err)
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
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	n, err := c.writeSome(p)
	if err != errWouldBlock {
		c.mu.Unlock()
		return n, c.failure("write", err)
	}
	f, err := c.wait(&c.writes)
	c.mu.Unlock()
	if err != nil {
		return n, c.failure("write", err)
	}
	m, err := f.Write(p[n:])
	c.stop(&c.writes)
	return n + m, c.failure("write", err)
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
		n, err := unix.Writev(c.fd, parts)
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

// wait returns the file that waits on one side, until stop. c.mu is held.
func (c *Conn) wait(s *side) (*os.File, error) {
	if c.closed {
		return nil, net.ErrClosed
	}
	if c.file == nil {
		c.file = os.NewFile(uintptr(c.fd), "socket")
	}
	s.waiting++
	c.apply(s)
	return c.file, nil
}

func (c *Conn) stop(s *side) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.waiting--
}

// apply passes a side's deadline to the file, if somebody waits there. c.mu is held.
func (c *Conn) apply(s *side) {
	if !s.late || s.waiting == 0 {
		return
	}
	s.late = false
	if s == &c.reads {
		c.file.SetReadDeadline(s.deadline)
	} else {
		c.file.SetWriteDeadline(s.deadline)
	}
}

func (c *Conn) setDeadline(t time.Time, sides ...*side) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.failure("set", net.ErrClosed)
	}
	for _, s := range sides {
		s.deadline, s.late = t, true
		c.apply(s)
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
	if c.file != nil {
		return c.failure("close", c.file.Close())
	}
	return c.failure("close", os.NewSyscallError("close", unix.Close(c.fd)))
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
	err = c.control("get", func(fd int) error {
		n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
		return os.NewSyscallError("ioctl", err)
	})
	return n, err
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
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	if err == os.ErrClosed {
		err = net.ErrClosed
	}
	addr := c.RemoteAddr()
	return &net.OpError{Op: op, Net: addr.Network(), Addr: addr, Err: err}
}

// SyscallConn implements syscall.Conn.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return rawConn{c}, nil }

// A rawConn is a syscall.RawConn.
type rawConn struct{ c *Conn }

// Control does not make the runtime wait for the descriptor.
func (r rawConn) Control(f func(fd uintptr)) error {
	return r.c.control("raw-control", func(fd int) error { f(uintptr(fd)); return nil })
}

func (r rawConn) Read(f func(fd uintptr) bool) error {
	return r.wait("raw-read", &r.c.reads, func(rc syscall.RawConn) error { return rc.Read(f) })
}

func (r rawConn) Write(f func(fd uintptr) bool) error {
	return r.wait("raw-write", &r.c.writes, func(rc syscall.RawConn) error { return rc.Write(f) })
}

func (r rawConn) wait(op string, s *side, call func(syscall.RawConn) error) error {
	c := r.c
	c.mu.Lock()
	f, err := c.wait(s)
	c.mu.Unlock()
	if err != nil {
		return c.failure(op, err)
	}
	defer c.stop(s)
	rc, err := f.SyscallConn()
	if err == nil {
		err = call(rc)
	}
	return c.failure(op, err)
}
