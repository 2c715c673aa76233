package socket

import (
	"context"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// DialUnix connects to a UNIX socket by its path, or by its name in the abstract
// namespace, which begins with @. That is done at once or not at all: a full backlog
// is an error that is syscall.EAGAIN.
func DialUnix(name string) (net.Conn, error) {
	fd, err := newSocket(unix.AF_UNIX)
	if err == nil {
		err = connectUnix(fd, name)
	}
	if err != nil {
		return nil, refused(fd, &net.UnixAddr{Net: "unix", Name: name}, err)
	}
	return newConn(fd, netip.AddrPort{}, true), nil
}

// DialTCP connects within d, or until ctx is done.
func DialTCP(ctx context.Context, to netip.AddrPort, d time.Duration) (net.Conn, error) {
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port()) // as LocalAddr has it
	fd, err := newSocket(family(to))
	if err == nil {
		err = connectTCP(fd, to)
	}
	if err != nil && err != unix.EINPROGRESS {
		return nil, refused(fd, net.TCPAddrFromAddrPort(to), err)
	}
	c := newConn(fd, to, true)
	if err != nil {
		// A server on the same machine has accepted by now.
		err = connectTCP(fd, to)
	}
	switch {
	case err == nil, err == unix.EISCONN:
		err = nil
	default:
		err = c.awaitConnect(ctx, to, d)
	}
	if err == nil && c.isLoop() {
		err = unix.ECONNREFUSED
	}
	if err != nil {
		c.Close()
		return nil, refused(-1, net.TCPAddrFromAddrPort(to), err)
	}
	return c, nil
}

// awaitConnect waits until the connection is made.
func (c *Conn) awaitConnect(ctx context.Context, to netip.AddrPort, d time.Duration) error {
	c.SetWriteDeadline(time.Now().Add(d))
	defer c.SetWriteDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { c.SetWriteDeadline(time.Unix(1, 0)) })()
	var err error
	werr := rawConn{c}.Write(func(fd uintptr) bool {
		err = connectTCP(int(fd), to)
		return err != unix.EALREADY && err != unix.EINPROGRESS
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case werr != nil:
		return os.ErrDeadlineExceeded
	case err == unix.EISCONN:
		return nil
	}
	return err
}

// isLoop reports whether the connection is one with itself, as the system makes it if
// nobody listens and the port that it chooses is that of the address.
func (c *Conn) isLoop() bool {
	return c.LocalAddr().(*net.TCPAddr).AddrPort() == c.peer
}

// refused closes fd, if there is one, and returns an error like those of package net.
func refused(fd int, to net.Addr, err error) error {
	if fd >= 0 {
		closeSocket(fd)
	}
	if errno, ok := err.(unix.Errno); ok {
		err = os.NewSyscallError("connect", errno)
	}
	return &net.OpError{Op: "dial", Net: to.Network(), Addr: to, Err: err}
}
