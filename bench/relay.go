//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"strings"
	"sync"
)

// A relay does the least that a relay in Go must do: accept, read, connect, write, copy,
// close. It reads only the packet's length, and the length of the body if there may be
// one.
type relay struct {
	to      net.Addr
	uploads bool
	buffers sync.Pool
}

// runRelay relays until the process ends. The args are the address to listen on, the
// worker's address, the socket of the profiles, and "uploads" if requests may have a body.
func runRelay(args []string) error {
	ln, err := net.Listen(network(args[0]))
	if err != nil {
		return fmt.Errorf("bench: relay: %w", err)
	}
	r := &relay{uploads: len(args) > 3, buffers: sync.Pool{New: func() any { return new([64 << 10]byte) }}}
	if r.to, err = resolve(args[1]); err != nil {
		return fmt.Errorf("bench: relay: %w", err)
	}
	profiles, err := net.Listen("unix", args[2])
	if err != nil {
		return fmt.Errorf("bench: relay: %w", err)
	}
	go http.Serve(profiles, http.HandlerFunc(pprof.Profile))
	for {
		nc, err := ln.Accept()
		if err != nil {
			return fmt.Errorf("bench: relay: %w", err)
		}
		go r.serve(nc)
	}
}

// network returns the network and address for package net.
func network(s string) (network, address string) {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return "unix", path
	}
	return "tcp", s
}

func resolve(s string) (net.Addr, error) {
	kind, address := network(s)
	if kind == "unix" {
		return net.ResolveUnixAddr(kind, address)
	}
	return net.ResolveTCPAddr(kind, address)
}

func (r *relay) serve(client net.Conn) {
	defer client.Close()
	buf := r.buffers.Get().(*[64 << 10]byte)
	defer r.buffers.Put(buf)
	if err := r.relay(client, buf[:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench: relay:", err)
	}
}

func (r *relay) relay(client net.Conn, buf []byte) error {
	n, err := io.ReadAtLeast(client, buf, blockHeader)
	if err != nil {
		return err
	}
	size := packetSize(buf[:n])
	if n < size {
		if _, err := io.ReadFull(client, buf[n:size]); err != nil {
			return err
		}
		n = size
	}
	worker, err := r.dial()
	if err != nil {
		return err
	}
	defer worker.Close()
	more := 0
	if r.uploads {
		a, err := parseBlock(buf[blockHeader:size])
		if err != nil {
			return err
		}
		more = size + a.length - n
	}
	if _, err := worker.Write(buf[:n]); err != nil {
		return err
	}
	if err := r.upload(worker, client, more, buf); err != nil {
		return err
	}
	return pass(client, worker, buf)
}

// upload copies the rest of a body.
func (r *relay) upload(worker, client net.Conn, more int, buf []byte) error {
	for more > 0 {
		n, err := client.Read(buf)
		if err != nil {
			return err
		}
		if _, err := worker.Write(buf[:n]); err != nil {
			return err
		}
		more -= n
	}
	return nil
}

func (r *relay) dial() (net.Conn, error) {
	if to, ok := r.to.(*net.UnixAddr); ok {
		return net.DialUnix("unix", nil, to)
	}
	return net.DialTCP("tcp", nil, r.to.(*net.TCPAddr))
}

// pass copies the response. io.Copy would splice, which is expensive for a small one.
func pass(client, worker net.Conn, buf []byte) error {
	for {
		n, err := worker.Read(buf)
		if n > 0 {
			if _, err := client.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
