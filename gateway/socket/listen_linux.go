package socket

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A listener accepts Conns.
type listener struct {
	conn *Conn // only the descriptor, and who waits for it
	addr net.Addr

	ready  func(fd uintptr) bool // is try
	accept func(fd int) (*Conn, error)
	nc     *Conn // what that has returned
	err    error
}

// Listen returns a listener in the place of ln, whose connections are Conns; ln is of
// no more use, and a path that it has is not unlinked when it is closed. It is ln
// itself if that is none of *net.TCPListener, *net.UnixListener and *PathListener. Accept
// is not for concurrent use.
func Listen(ln net.Listener) (net.Listener, error) {
	l := &listener{addr: ln.Addr()}
	var file *os.File
	var err error
	if p, ok := ln.(*PathListener); ok {
		ln = p.UnixListener
	}
	switch ln := ln.(type) {
	case *net.UnixListener:
		l.accept = acceptUnix
		file, err = ln.File()
		ln.SetUnlinkOnClose(false)
	case *net.TCPListener:
		l.accept = acceptTCP
		file, err = ln.File()
	default:
		return ln, nil
	}
	ln.Close()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	l.ready = l.try
	l.conn = newConn(fd, netip.AddrPort{}, false)
	if isTCP := l.addr.Network() == "tcp"; isTCP {
		keepAlive(fd)
	}
	return l, nil
}

// keepAlive has the connections of a listening socket, which inherit its options, ask
// for a sign of life after a minute of silence, and break after four that did not come.
func keepAlive(ln int) {
	for _, o := range [...]struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 60},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
	} {
		unix.SetsockoptInt(ln, o.level, o.name, o.value) // without it they are no worse than before
	}
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// Close implements net.Listener.
func (l *listener) Close() error { return l.conn.Close() }

// SetDeadline bounds the wait of Accept.
func (l *listener) SetDeadline(t time.Time) error { return l.conn.SetReadDeadline(t) }

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	if err := (rawConn{l.conn}).Read(l.ready); err != nil {
		if failed, ok := errors.AsType[*net.OpError](err); ok {
			err = failed.Err
		}
		return nil, l.failure(err)
	}
	if l.err != nil {
		return nil, l.failure(os.NewSyscallError("accept4", l.err))
	}
	return l.nc, nil
}

func (l *listener) failure(err error) error {
	return &net.OpError{Op: "accept", Net: l.addr.Network(), Addr: l.addr, Err: err}
}

const acceptFlags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC

// try returns false if there is nothing to accept yet.
func (l *listener) try(ln uintptr) bool {
	for {
		if l.nc, l.err = l.accept(int(ln)); !isPassing(l.err) {
			return l.err != unix.EAGAIN
		}
	}
}

// acceptUnix does not ask who has connected: those sockets have no name.
func acceptUnix(ln int) (*Conn, error) {
	fd, err := accept(ln)
	if err != nil {
		return nil, err
	}
	return newConn(fd, netip.AddrPort{}, false), nil
}

func acceptTCP(ln int) (*Conn, error) {
	fd, sa, err := syscall.Accept4(ln, acceptFlags)
	if err != nil {
		return nil, err
	}
	return newConn(fd, addrPort(sa), false), nil
}

// isPassing reports whether the next try may find another connection: this one has
// gone, or the call was interrupted.
func isPassing(err error) bool { return err == unix.EINTR || err == unix.ECONNABORTED }
