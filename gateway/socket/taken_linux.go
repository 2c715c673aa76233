package socket

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// AwaitTaken waits until the peer has read all that was written to nc, or the write deadline
// has passed. If the peer closes before, the error matches syscall.ECONNRESET: then it has
// not read the last byte. Only UNIX sockets know that; for others, and for connections of
// another package, the error is errors.ErrUnsupported.
//
// A connection in the backlog of a server that ends is such a case: nobody has accepted it.
func AwaitTaken(nc net.Conn) error {
	c, ok := nc.(*Conn)
	if !ok || c.isTCP() {
		return errors.ErrUnsupported
	}
	size, err := c.shrink()
	if err != nil {
		return err
	}
	defer c.control("set", func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size/2) })
	var cause error
	var again *time.Timer
	err = rawConn{c}.Write(func(fd uintptr) (done bool) {
		done, cause = isTaken(int(fd))
		switch {
		case done:
		case again == nil:
			again = time.AfterFunc(lookAgain, c.writes.wake)
		default:
			again.Reset(lookAgain)
		}
		return done
	})
	if again != nil {
		again.Stop()
	}
	if err == nil && cause != nil {
		err = c.failure("write", cause)
	}
	return err
}

// lookAgain is when it is looked again whether the peer has read, even if the system has not
// said so. A wake-up that is lost would cost the request its worker: uWSGI waits four seconds
// for a body.
const lookAgain = 50 * time.Millisecond

// shrink makes the send buffer so small that the system wakes a writer when the peer has
// read what was written. It returns the size that the buffer had.
func (c *Conn) shrink() (size int, err error) {
	err = c.control("set", func(fd int) error {
		size, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1) // the least is larger
		}
		return err
	})
	return size, err
}

// isTaken reports whether the peer has read everything, or will not. When the peer closes,
// the system notes the reset before it drops what was not read (unix_release_sock). One byte
// of a buffer is still counted when the system wakes writers (sock_wfree).
func isTaken(fd int) (done bool, err error) {
	left, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	if err != nil {
		return true, err
	}
	fds := [1]unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds[:], 0)
	if err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0 {
		return true, syscall.ECONNRESET
	}
	return left <= 1 || n > 0 && fds[0].Revents&unix.POLLHUP != 0, nil
}
