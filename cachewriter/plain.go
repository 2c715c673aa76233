package cachewriter

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// A plainClient writes and deletes keys that gomemcache refuses, with the same
// two commands of memcached's text protocol (doc/protocol.txt) and the same
// results. The meta commands would not do: a memcached before 1.6.10, as in
// Debian 11, does not take `ms` in today's form and runs the value as commands.
type plainClient struct {
	link    *link
	timeout time.Duration

	nc net.Conn // nil: none is open
	rw *bufio.ReadWriter
}

func (p *plainClient) set(ctx context.Context, key string, body []byte, flags uint32, exptime int32) error {
	return p.link.do(ctx, func() error {
		return p.ask("STORED", func(w *bufio.Writer) {
			fmt.Fprintf(w, "set %s %d %d %d\r\n", key, flags, exptime, len(body))
			w.Write(body)
			w.WriteString("\r\n")
		})
	})
}

func (p *plainClient) delete(ctx context.Context, key string) error {
	return p.link.do(ctx, func() error {
		return p.ask("DELETED", func(w *bufio.Writer) { fmt.Fprintf(w, "delete %s\r\n", key) })
	})
}

// ask sends one command and reads its answer. The connection is kept only if
// the answer was the wanted one, or that there was nothing to delete.
func (p *plainClient) ask(want string, command func(*bufio.Writer)) (err error) {
	if err := p.connect(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.nc.SetDeadline(time.Now().Add(p.timeout))
	command(p.rw.Writer)
	if err := p.rw.Flush(); err != nil {
		return err
	}
	answer, err := p.rw.ReadSlice('\n')
	if err != nil {
		return err
	}
	line := strings.TrimRight(string(answer), "\r\n")
	switch {
	case line == want, line == "NOT_FOUND" && want == "DELETED":
		return nil
	case isRefusal(line):
		return refusal(line)
	}
	return fmt.Errorf("unexpected answer %q", line)
}

func (p *plainClient) connect() error {
	if p.nc != nil {
		return nil
	}
	nc, err := p.link.dial()
	if err != nil {
		return err
	}
	p.nc = nc
	p.rw = bufio.NewReadWriter(bufio.NewReader(nc), bufio.NewWriter(nc))
	return nil
}

func (p *plainClient) close() {
	if p.nc == nil {
		return
	}
	p.nc.Close()
	p.nc = nil
}
