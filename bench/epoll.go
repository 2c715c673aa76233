//go:build linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A poller tells which descriptors can be read or written, or which the other side
// has closed. It is not safe for concurrent use.
type poller struct {
	fd     int
	events [256]unix.EpollEvent
}

// changes is what a connection is added with: it is told of once, and then used until
// it has no more.
const changes = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("bench: epoll: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { unix.Close(p.fd) }

// add has wait tell of a descriptor, until that is closed.
func (p *poller) add(fd int, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// wait returns what has happened, after that many milliseconds at most; negative: for
// ever. The events are good until the next call.
func (p *poller) wait(milliseconds int) ([]unix.EpollEvent, error) {
	n, err := unix.EpollWait(p.fd, p.events[:], milliseconds)
	if err == unix.EINTR {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("bench: epoll: %w", err)
	}
	return p.events[:n], nil
}
