//go:build linux

package main

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// An address is the address of a listener. It is not safe for concurrent use.
type address struct {
	family int
	sa     unix.Sockaddr
}

// parseAddress reads "unix:/path" or "127.0.0.1:port".
func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return address{unix.AF_UNIX, &unix.SockaddrUnix{Name: path}}, nil
	}
	at, err := netip.ParseAddrPort(s)
	if err != nil || !at.Addr().Is4() {
		return address{}, fmt.Errorf("bench: address %q: write unix:/path or 127.0.0.1:port", s)
	}
	return address{unix.AF_INET, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}}, nil
}

func (a address) socket() (int, error) {
	return unix.Socket(a.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// connect begins a connection. Over TCP it may be incomplete when connect returns.
func (a address) connect() (int, error) {
	fd, err := a.socket()
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(fd, a.sa); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, fmt.Errorf("connect: %w", err)
	}
	return fd, nil
}

// listen returns a listening socket.
func (a address) listen(backlog int) (int, error) {
	fd, err := a.socket()
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	if a.family == unix.AF_INET {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, a.sa)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("listen: %w", err)
	}
	return fd, nil
}

// accept accepts a connection; ok is false if there is none.
func accept(listener int) (fd int, ok bool) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return fd, err == nil
}

// read reads what has arrived. If nothing has, n is 0 and end is false.
func read(fd int, b []byte) (n int, end bool, err error) {
	n, err = unix.Read(fd, b)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("read: %w", err)
	}
	return n, n == 0, nil
}

// write writes as much as the socket accepts.
func write(fd int, b []byte) (int, error) {
	n, err := unix.Write(fd, b)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("write: %w", err)
	}
	return n, nil
}
