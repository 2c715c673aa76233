package socket

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Watcher reports when peers hang up, for any number of connections, with one goroutine,
// which Close waits for. Reading would take a goroutine and its stack for each connection. Its methods are safe
// for concurrent use.
type Watcher struct {
	file *os.File // the epoll instance
	raw  syscall.RawConn
	done chan struct{} // closed when the goroutine has ended

	mu    sync.Mutex // guards what follows
	last  uint64
	calls map[uint64]func() // by the number of the watch
}

// NewWatcher starts one. Close ends it.
func NewWatcher() (*Watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime waits for it
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	w := &Watcher{file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{}), calls: make(map[uint64]func())}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		w.file.Close()
		return nil, err
	}
	go w.run()
	return w, nil
}

// Close waits for the goroutine, and so for a call under way. There are none after it.
func (w *Watcher) Close() error {
	err := w.file.Close()
	<-w.done
	return err
}

// Watch calls gone, once, when the peer of c has closed the connection; with half, also when
// it has only closed its own direction. It returns false if c cannot be watched. The caller
// calls stop to end the watch, even after c.Close: without it w keeps gone. gone may be
// running when stop returns.
func (w *Watcher) Watch(c *Conn, half bool, gone func()) (stop func(), ok bool) {
	w.mu.Lock()
	w.last++
	n := w.last
	w.calls[n] = gone
	w.mu.Unlock()
	// The system reports a hang-up and an error in any case.
	event := unix.EpollEvent{Events: unix.EPOLLONESHOT, Fd: int32(n), Pad: int32(n >> 32)}
	if half {
		event.Events |= unix.EPOLLRDHUP
	}
	err := c.control("watch", func(fd int) error {
		var cerr error
		err := w.raw.Control(func(epoll uintptr) { cerr = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, fd, &event) })
		if err == nil {
			err = cerr
		}
		return err
	})
	if err != nil {
		w.take(n)
		return nil, false
	}
	return func() { w.take(n) }, true
}

// take removes a watch, and returns what was to be called, or nil.
func (w *Watcher) take(n uint64) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := w.calls[n]
	delete(w.calls, n)
	return gone
}

// run ends when the file is closed.
func (w *Watcher) run() {
	defer close(w.done)
	var events [64]unix.EpollEvent
	var n int
	for {
		err := w.raw.Read(func(epoll uintptr) bool {
			n, _ = unix.EpollWait(int(epoll), events[:], 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for _, e := range events[:n] {
			if gone := w.take(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32); gone != nil {
				gone()
			}
		}
	}
}

// Len returns how many connections it watches.
func (w *Watcher) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.calls)
}
