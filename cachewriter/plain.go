package cachewriter

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// A plainClient writes, deletes and reads keys that gomemcache refuses, with the
// same commands of memcached's text protocol (doc/protocol.txt) and the same
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
		return p.talk(func(w *bufio.Writer) {
			fmt.Fprintf(w, "set %s %d %d %d\r\n", key, flags, exptime, len(body))
			w.Write(body)
			w.WriteString("\r\n")
		}, func(line string) error {
			if line == "STORED" {
				return nil
			}
			return unexpected(line)
		})
	})
}

func (p *plainClient) delete(ctx context.Context, keys ...string) error {
	return p.link.do(ctx, func() error {
		return p.talk(func(w *bufio.Writer) {
			for _, key := range keys {
				fmt.Fprintf(w, "delete %s\r\n", key)
			}
		}, func(line string) error { return p.readDeleted(line, len(keys)-1) })
	})
}

// readDeleted reads the answers to deletes, of which line is the first. The first
// error counts.
func (p *plainClient) readDeleted(line string, more int) error {
	err := deleted(line)
	for range more {
		line, readErr := p.readLine()
		if readErr != nil {
			return readErr
		}
		err = cmp.Or(err, deleted(line))
	}
	return err
}

func deleted(line string) error {
	if line == "DELETED" || line == "NOT_FOUND" {
		return nil
	}
	return unexpected(line)
}

// get returns nil without error if there is nothing under the key.
func (p *plainClient) get(ctx context.Context, key string) (*Item, error) {
	var found *Item
	err := p.link.do(ctx, func() error {
		return p.talk(func(w *bufio.Writer) { fmt.Fprintf(w, "get %s\r\n", key) }, func(line string) (err error) {
			found, err = p.readItem(line)
			return err
		})
	})
	return found, err
}

// readItem reads the answer to a get, of which line is the first.
func (p *plainClient) readItem(line string) (*Item, error) {
	if line == "END" {
		return nil, nil
	}
	var item Item
	var key string
	var size int
	if _, err := fmt.Sscanf(line, "VALUE %s %d %d", &key, &item.Flags, &size); err != nil || size < 0 || size > maxValue {
		return nil, unexpected(line)
	}
	item.Value = make([]byte, size+len("\r\nEND\r\n"))
	if _, err := io.ReadFull(p.rw, item.Value); err != nil {
		return nil, err
	}
	item.Value = item.Value[:size]
	return &item, nil
}

// maxValue is the largest value that a memcached can be told to hold (-I).
const maxValue = 1 << 30

// talk sends commands and has the answer read, of which it reads the first line.
// After an error the connection is closed.
func (p *plainClient) talk(command func(*bufio.Writer), read func(line string) error) (err error) {
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
	line, err := p.readLine()
	if err != nil {
		return err
	}
	return read(line)
}

func (p *plainClient) readLine() (string, error) {
	line, err := p.rw.ReadSlice('\n')
	return strings.TrimRight(string(line), "\r\n"), err
}

func unexpected(line string) error {
	if isRefusal(line) {
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
