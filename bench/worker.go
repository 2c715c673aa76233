//go:build linux

package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A worker serves requests by its script, in one thread. It takes the place of any number
// of uWSGI's workers, and costs as little as possible.
type worker struct {
	poller    *poller
	listeners map[int]bool
	visits    []*visit // by descriptor
	held      []*visit
	replies   map[script]*reply
	buf       [256 << 10]byte
}

// A visit is a connection to the worker.
type visit struct {
	fd    int
	open  bool
	in    []byte // the packet so far, if it arrives in parts
	reply *reply // nil: the packet has not arrived
	body  int    // bytes of the request that have not arrived
	out   []byte // what is left to send of the response, before
	more  int    // this number of bytes of filler
	hold  bool
}

// runWorker serves on these addresses until the process ends.
func runWorker(backlog int, addresses []string) error {
	p, err := newPoller()
	if err != nil {
		return err
	}
	w := &worker{poller: p, listeners: make(map[int]bool), replies: make(map[script]*reply)}
	for _, s := range addresses {
		if err := w.listen(s, backlog); err != nil {
			return fmt.Errorf("bench: worker: %s: %w", s, err)
		}
	}
	for {
		events, err := p.wait(-1)
		if err != nil {
			return err
		}
		for i := range events {
			w.handle(int(events[i].Fd))
		}
	}
}

func (w *worker) listen(s string, backlog int) error {
	a, err := parseAddress(s)
	if err != nil {
		return err
	}
	fd, err := a.listen(backlog)
	if err != nil {
		return err
	}
	w.listeners[fd] = true
	return w.poller.add(fd, unix.EPOLLIN)
}

func (w *worker) handle(fd int) {
	switch {
	case w.listeners[fd]:
		w.accept(fd)
	case w.visits[fd].open:
		w.proceed(w.visits[fd])
	}
}

func (w *worker) accept(listener int) {
	for {
		fd, ok := accept(listener)
		if !ok {
			return
		}
		for len(w.visits) <= fd {
			w.visits = append(w.visits, nil)
		}
		v := w.visits[fd]
		if v == nil {
			v = &visit{}
			w.visits[fd] = v
		}
		*v = visit{fd: fd, open: true, in: v.in[:0]}
		w.proceed(v)
		if !v.open {
			continue // most requests have arrived with their connection
		}
		if err := w.poller.add(fd, changes); err != nil {
			w.close(v, err)
		}
	}
}

// proceed reads and writes until it would block.
func (w *worker) proceed(v *visit) {
	for v.reply == nil || v.body > 0 {
		n, end, err := read(v.fd, w.buf[:])
		if end || err != nil {
			w.close(v, err)
			return
		}
		if n == 0 {
			return
		}
		if err := w.take(v, w.buf[:n]); err != nil {
			w.close(v, err)
			return
		}
	}
	if !v.hold {
		w.send(v)
	}
}

// take reads a part of the request.
func (w *worker) take(v *visit, b []byte) error {
	if v.reply != nil {
		v.body -= len(b)
		return nil
	}
	if len(v.in) > 0 {
		v.in = append(v.in, b...)
		b = v.in
	}
	size := packetSize(b)
	if size == 0 || len(b) < size {
		if len(v.in) == 0 {
			v.in = append(v.in, b...)
		}
		return nil
	}
	return w.begin(v, b[:size], len(b)-size)
}

// begin reads a packet. The given number of bytes of its body have arrived.
func (w *worker) begin(v *visit, packet []byte, here int) error {
	if packet[0] == 100 {
		v.reply = &reply{}
		v.out = []byte{100, 0, 0, 1} // a pong
		return nil
	}
	a, err := parseBlock(packet[blockHeader:])
	if err != nil {
		return err
	}
	s, err := parsePath(a.path)
	if err != nil {
		return err
	}
	v.reply, v.body = w.replyTo(s), a.length-here
	switch s.mode {
	case "hold":
		v.hold = true
		w.held = append(w.held, v)
	case "release":
		w.release()
	}
	return nil
}

func (w *worker) replyTo(s script) *reply {
	switch s.mode {
	case "held", "release":
		text := strconv.Itoa(len(w.held))
		return &reply{whole: fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text)}
	}
	r := w.replies[s]
	if r == nil {
		r = newReply(s)
		w.replies[s] = r
	}
	return r
}

// release serves the requests that wait.
func (w *worker) release() {
	for _, v := range w.held {
		v.hold = false
		if v.open {
			w.send(v)
		}
	}
	w.held = nil
}

// send writes as much of the response as the socket accepts, and closes after the end.
func (w *worker) send(v *visit) {
	if v.out == nil {
		v.out, v.more = v.reply.next(), v.reply.more
	}
	for {
		if len(v.out) == 0 && v.more > 0 {
			v.out = filler[:min(v.more, len(filler))]
			v.more -= len(v.out)
		}
		if len(v.out) == 0 {
			w.close(v, nil)
			return
		}
		n, err := write(v.fd, v.out)
		if err != nil {
			w.close(v, err)
			return
		}
		if n == 0 {
			return
		}
		v.out = v.out[n:]
	}
}

// close ends a visit. If a target has failed, the load sees it.
func (w *worker) close(v *visit, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	unix.Close(v.fd)
	v.open, v.hold = false, false
}
