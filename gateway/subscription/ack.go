package subscription

import (
	"path/filepath"
	"syscall"
)

// acknowledge sends what uWSGI's notify socket expects, in the words of its own
// servers. It goes to UNIX sockets only and only to who came over one, so that no
// datagram with a forged source makes us send another to somebody else. It does
// not wait: a socket that is full or gone gets nothing.
func (from source) acknowledge(notify string, a announced) {
	if from.unix == nil || !filepath.IsAbs(notify) {
		return
	}
	raw, err := from.unix.SyscallConn()
	if err != nil {
		return
	}
	text := "[subscription ack] " + a.Key + " => new node: " + a.Addr
	raw.Control(func(fd uintptr) {
		syscall.Sendto(int(fd), []byte(text), syscall.MSG_DONTWAIT, &syscall.SockaddrUnix{Name: notify})
	})
}
