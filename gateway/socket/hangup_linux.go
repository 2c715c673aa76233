package socket

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// AwaitHangup waits until the peer of a UNIX socket, which has ended its own
// direction, has closed the other one as well. Then it returns io.EOF.
func AwaitHangup(nc net.Conn) error {
	rc, err := rawOf(nc)
	if err != nil {
		return err
	}
	// The runtime wakes a reader for this, too.
	if err := rc.Read(isHungUp); err != nil {
		return err
	}
	return io.EOF
}

// rawOf is the kernel's side of a connection, if the bytes on it are those.
func rawOf(nc net.Conn) (syscall.RawConn, error) {
	if sc, ok := nc.(syscall.Conn); ok {
		return sc.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

// isHungUp reports whether both directions are closed. The end of the stream
// does not show that: one closed direction is enough for it.
func isHungUp(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}
