package gateway

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitHangup waits until the peer of a UNIX socket, which has ended its own
// direction, has closed the other one as well. Then it returns io.EOF.
func awaitHangup(nc *net.UnixConn) error {
	rc, err := nc.SyscallConn()
	if err != nil {
		return err
	}
	// The runtime wakes a reader for this, too.
	if err := rc.Read(isHungUp); err != nil {
		return err
	}
	return io.EOF
}

// isHungUp reports whether both directions are closed. The end of the stream
// does not tell: that comes of the one as well.
func isHungUp(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(fds[:], 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// hasNothing reports whether nothing that the peer has sent is left to be read: else
// closing the connection would reset it.
func hasNothing(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	unread := 1
	rc.Control(func(fd uintptr) { unread, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return err == nil && unread == 0
}
