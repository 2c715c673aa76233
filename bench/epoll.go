//go:build linux

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A poller reports which descriptors can be read or written, or were closed by the
// other side. It is not safe for concurrent use.
type poller struct {
	fd     int
	events [256]unix.EpollEvent
}

// changes are the events of a connection, edge-triggered: each is reported once, so
// the connection must be used until it would block.
const changes = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("bench: epoll: %w", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { unix.Close(p.fd) }

// add makes wait report the events of a descriptor until it is closed.
func (p *poller) add(fd int, events uint32) error {
	return unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

// wait returns the events. It waits for that many milliseconds at most; negative means
// without limit. The events are valid until the next call.
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
