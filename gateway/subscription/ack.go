package subscription

import (
	"path/filepath"
	"syscall"
)

// acknowledge sends the text that uWSGI expects on its notify socket, in the words of
// its own servers. It sends to UNIX sockets only, and only for datagrams that came over
// a UNIX socket, so that no forged source makes us send a datagram to a third party. It
// does not wait: a socket that is full or gone gets nothing.
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
