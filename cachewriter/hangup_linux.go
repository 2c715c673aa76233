package cachewriter

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// isHungUp reports whether the peer has closed a connection, or this side has. It may be in
// use.
func isHungUp(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	err = rc.Control(func(fd uintptr) {
		fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(fds[:], 0)
		closed = err == nil && n > 0
	})
	return closed || err != nil
}
