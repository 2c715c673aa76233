package cachewriter

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A plainClient does what gomemcache does not: several commands in one round trip,
// and keys that gomemcache refuses. It uses the classic commands of memcached's text
// protocol (doc/protocol.txt), not the meta commands: a memcached before 1.6.10, as
// in Debian 11, does not know `ms` in today's form and runs the value as commands.
type plainClient struct {
	link    *link
	timeout time.Duration

	nc net.Conn // nil: not connected
	rw *bufio.ReadWriter
}

func (p *plainClient) delete(ctx context.Context, keys ...string) error {
	return p.link.do(ctx, func() error { return p.deleteNow(keys) })
}

// deleteNow deletes keys. Like every method below that takes no ctx, it must run
// within link.do.
func (p *plainClient) deleteNow(keys []string) error {
	return p.talk(func(w *bufio.Writer) {
		for _, key := range keys {
			w.WriteString("delete ")
			w.WriteString(key)
			w.WriteString("\r\n")
		}
	}, func(line string) error { return p.readDeleted(line, len(keys)-1) })
}

// setNow stores the entry.
func (p *plainClient) setNow(f *fill) error {
	return p.talk(func(w *bufio.Writer) {
		writeStorage(w, "set", f.key, f.body, int64(f.flags), int64(f.exptime))
	}, func(line string) error {
		if line == "STORED" {
			return nil
		}
		return unexpected(line)
	})
}

// writeStorage writes `set`, `add` or `cas`. more are the numbers that follow the
// length.
func writeStorage(w *bufio.Writer, verb, key string, value []byte, flags, exptime int64, more ...uint64) {
	w.WriteString(verb)
	w.WriteByte(' ')
	w.WriteString(key)
	b := w.AvailableBuffer()
	for _, n := range []int64{flags, exptime, int64(len(value))} {
		b = strconv.AppendInt(append(b, ' '), n, 10)
	}
	for _, n := range more {
		b = strconv.AppendUint(append(b, ' '), n, 10)
	}
	w.Write(append(b, "\r\n"...))
	w.Write(value)
	w.WriteString("\r\n")
}

// read returns the value under a key, or nil.
func (p *plainClient) read(key string) (value []byte, err error) {
	err = p.talk(func(w *bufio.Writer) {
		w.WriteString("get ")
		w.WriteString(key)
		w.WriteString("\r\n")
	}, func(line string) error {
		item, err := p.readItem(line)
		if item != nil {
			value = item.Value
		}
		return err
	})
	return value, err
}

// A casResult is the outcome of a conditional store.
type casResult struct {
	stored bool
	found  bool   // there is something under the key afterwards
	value  []byte // what is there
	cas    uint64 // of value
}

// add stores a value, for so many seconds, if there is nothing under the key.
func (p *plainClient) add(key string, value []byte, seconds int64) (s casResult, err error) {
	err = p.talk(func(w *bufio.Writer) {
		writeStorage(w, "add", key, value, 0, seconds)
		writeGets(w, key)
	}, func(line string) (err error) {
		s, err = p.readCASResult(line, line == "NOT_STORED")
		return err
	})
	return s, err
}

// replace stores a value, for so many seconds, if what lies under the key has that
// CAS.
func (p *plainClient) replace(key string, value []byte, seconds int64, cas uint64) (s casResult, err error) {
	err = p.talk(func(w *bufio.Writer) {
		writeStorage(w, "cas", key, value, 0, seconds, cas)
		writeGets(w, key)
	}, func(line string) (err error) {
		s, err = p.readCASResult(line, line == "EXISTS" || line == "NOT_FOUND")
		return err
	})
	return s, err
}

func writeGets(w *bufio.Writer, key string) {
	w.WriteString("gets ")
	w.WriteString(key)
	w.WriteString("\r\n")
}

// readCASResult reads the responses to a conditional store and to the gets after it. line
// is the first, and no says that it is a negative response.
func (p *plainClient) readCASResult(line string, no bool) (s casResult, err error) {
	if !no && line != "STORED" {
		return s, unexpected(line)
	}
	s.stored = !no
	head, err := p.readLine()
	if err != nil || head == "END" {
		return s, err
	}
	item, err := p.readItem(head)
	if err != nil {
		return s, err
	}
	s.found, s.value = true, item.Value
	s.cas, err = strconv.ParseUint(head[strings.LastIndexByte(head, ' ')+1:], 10, 64)
	return s, err
}

// readDeleted reads the responses to deletes; line is the first, and more follow. It
// returns the first error.
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

// readItem reads the response to a get; line is its first line.
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

// maxValue is the largest value that a memcached can be configured to hold (-I).
const maxValue = 1 << 30

// talk sends commands, reads the first line of the response and passes it to read,
// which reads the rest. After an error the connection is closed.
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
	return fmt.Errorf("unexpected response %q", line)
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
