//go:build linux

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A loopRelay does the work of relay without package net, in one thread. It costs what
// the necessary system calls cost.
type loopRelay struct {
	poller   *poller
	listener int
	to       address
	ends     []*end // by descriptor
	buf      [64 << 10]byte
}

// An end is one of the two connections of a request.
type end struct {
	fd     int
	open   bool
	worker bool   // and not the client
	other  *end   // nil: not yet
	held   []byte // client: the packet so far; worker: what could not be written yet
}

func runRawRelay(backlog int, from, to string) error {
	r := &loopRelay{}
	var err error
	if r.poller, err = newPoller(); err != nil {
		return err
	}
	if r.to, err = parseAddress(to); err != nil {
		return err
	}
	a, err := parseAddress(from)
	if err != nil {
		return err
	}
	if r.listener, err = a.listen(backlog); err != nil {
		return fmt.Errorf("bench: relay: %w", err)
	}
	if err := r.poller.add(r.listener, unix.EPOLLIN); err != nil {
		return err
	}
	for {
		events, err := r.poller.wait(-1)
		if err != nil {
			return err
		}
		for i := range events {
			r.handle(int(events[i].Fd))
		}
	}
}

func (r *loopRelay) handle(fd int) {
	if fd == r.listener {
		r.accept()
		return
	}
	e := r.ends[fd]
	if !e.open {
		return
	}
	if err := r.proceed(e); err != nil {
		fmt.Fprintln(os.Stderr, "bench: relay:", err)
		r.close(e)
	}
}

func (r *loopRelay) accept() {
	for {
		fd, ok := accept(r.listener)
		if !ok {
			return
		}
		client := r.end(fd, nil)
		err := r.proceed(client)
		if err == nil && client.open && client.other == nil {
			err = r.poller.add(fd, changes) // the packet has not arrived
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: relay:", err)
			r.close(client)
		}
	}
}

// end returns the end of a descriptor. With another end it is the worker's.
func (r *loopRelay) end(fd int, other *end) *end {
	for len(r.ends) <= fd {
		r.ends = append(r.ends, nil)
	}
	e := r.ends[fd]
	if e == nil {
		e = &end{}
		r.ends[fd] = e
	}
	*e = end{fd: fd, open: true, worker: other != nil, other: other, held: e.held[:0]}
	return e
}

func (r *loopRelay) proceed(e *end) error {
	switch {
	case e.worker:
		return r.respond(e)
	case e.other == nil:
		return r.ask(e)
	}
	return r.flush(e)
}

// ask reads the packet and sends it to the worker.
func (r *loopRelay) ask(client *end) error {
	n, gone, err := read(client.fd, r.buf[:])
	if gone {
		r.close(client)
		return nil
	}
	if err != nil || n == 0 {
		return err
	}
	packet := r.buf[:n]
	if len(client.held) > 0 {
		client.held = append(client.held, packet...)
		packet = client.held
	}
	if size := packetSize(packet); size == 0 || len(packet) < size {
		if len(client.held) == 0 {
			client.held = append(client.held, packet...)
		}
		return nil
	}
	return r.connect(client, packet)
}

func (r *loopRelay) connect(client *end, packet []byte) error {
	fd, err := r.to.connect()
	if err != nil {
		return err
	}
	worker := r.end(fd, client)
	client.other = worker
	n, err := write(fd, packet)
	if err != nil {
		return err
	}
	worker.held = append(worker.held, packet[n:]...)
	client.held = client.held[:0]
	return r.poller.add(fd, changes)
}

// flush writes what could not be written before.
func (r *loopRelay) flush(e *end) error {
	if len(e.held) == 0 {
		return nil
	}
	n, err := write(e.fd, e.held)
	e.held = e.held[:copy(e.held, e.held[n:])]
	return err
}

// respond copies what has arrived from the worker. Responses are small enough for the
// buffer of the client's socket.
func (r *loopRelay) respond(worker *end) error {
	if err := r.flush(worker); err != nil {
		return err
	}
	for {
		n, gone, err := read(worker.fd, r.buf[:])
		switch {
		case gone:
			r.close(worker)
			return nil
		case err != nil || n == 0:
			return err
		}
		written, err := write(worker.other.fd, r.buf[:n])
		if err != nil {
			return err
		}
		if written < n {
			return fmt.Errorf("no room for %d bytes of the response", n-written)
		}
	}
}

// close ends both.
func (r *loopRelay) close(e *end) {
	for _, e := range []*end{e, e.other} {
		if e != nil && e.open {
			unix.Close(e.fd)
			e.open = false
		}
	}
}
