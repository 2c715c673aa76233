package cachewriter

import (
	"bufio"
	"cmp"
	"context"
	"errors"
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

	nc  net.Conn // nil: not connected
	r   *bufio.Reader
	out output
}

func (p *plainClient) delete(ctx context.Context, keys ...string) error {
	return p.link.do(ctx, func() error { return p.deleteNow(keys) })
}

// deleteNow deletes keys, and their records if that is not refused: a record without a
// page does no harm. Like every method below that takes no ctx, it must run within
// link.do.
func (p *plainClient) deleteNow(keys []string, records ...string) error {
	var refused error // the first
	err := p.talkLines(len(keys)+len(records), func(o *output) {
		for _, key := range keys {
			o.command("delete", key)
		}
		for _, key := range records {
			o.command("delete", key)
		}
	}, func(i int, line string) error {
		err := deleted(line)
		if errors.Is(err, ErrRefused) {
			if i < len(keys) {
				refused = cmp.Or(refused, err)
			}
			err = nil
		}
		return err
	})
	return cmp.Or(err, refused)
}

// readAll returns the values under keys that have one. It sends one command for all.
func (p *plainClient) readAll(keys []string) (values map[string][]byte, err error) {
	values = make(map[string][]byte)
	err = p.talk(func(o *output) { o.get(keys...) }, func(line string) error { return p.readValues(line, values) })
	return values, err
}

// readValues reads the response to a get; line is its first line.
func (p *plainClient) readValues(line string, values map[string][]byte) error {
	for line != "END" {
		key, item, err := p.readValue(line)
		if err != nil {
			return err
		}
		values[key] = item.Value
		if line, err = p.readLine(); err != nil {
			return err
		}
	}
	return nil
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
	err = p.talk(func(o *output) {
		o.storage("add", key, value, 0, seconds)
		o.command("gets", key)
	}, func(line string) (err error) {
		s, err = p.readCASResult(line, line == "NOT_STORED")
		return err
	})
	return s, err
}

// replace stores a value, for so many seconds, if what lies under the key has that
// CAS.
func (p *plainClient) replace(key string, value []byte, seconds int64, cas uint64) (s casResult, err error) {
	err = p.talk(func(o *output) {
		o.storage("cas", key, value, 0, seconds, cas)
		o.command("gets", key)
	}, func(line string) (err error) {
		s, err = p.readCASResult(line, line == "EXISTS" || line == "NOT_FOUND")
		return err
	})
	return s, err
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
		return p.talk(func(o *output) { o.command("get", key) }, func(line string) (err error) {
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
	_, item, err := p.readValue(line)
	if err != nil {
		return nil, err
	}
	if line, err := p.readLine(); err != nil || line != "END" {
		return nil, cmp.Or(err, unexpected(line))
	}
	return item, nil
}

// readValue reads what follows the line VALUE in the response to a get.
func (p *plainClient) readValue(line string) (key string, item *Item, err error) {
	var size int
	item = new(Item)
	if _, err := fmt.Sscanf(line, "VALUE %s %d %d", &key, &item.Flags, &size); err != nil || size < 0 || size > maxValue {
		return "", nil, unexpected(line)
	}
	item.Value = make([]byte, size+len("\r\n"))
	if _, err := io.ReadFull(p.r, item.Value); err != nil {
		return "", nil, err
	}
	item.Value = item.Value[:size]
	return key, item, nil
}

// maxValue is the largest value that a memcached can be configured to hold (-I).
const maxValue = 1 << 30

// talk sends commands, reads the first line of the response and passes it to read,
// which reads the rest. After an error the connection is closed.
func (p *plainClient) talk(command func(*output), read func(line string) error) (err error) {
	if err := p.connect(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	p.nc.SetDeadline(time.Now().Add(p.timeout))
	command(&p.out)
	if err := p.out.send(p.nc); err != nil {
		return err
	}
	line, err := p.readLine()
	if err != nil {
		return err
	}
	return read(line)
}

// talkLines is talk for n commands, to each of which the response is one line.
func (p *plainClient) talkLines(n int, command func(*output), read func(i int, line string) error) error {
	if n == 0 {
		return nil
	}
	return p.talk(command, func(line string) (err error) {
		for i := range n {
			if i > 0 {
				if line, err = p.readLine(); err != nil {
					return err
				}
			}
			if err := read(i, line); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *plainClient) readLine() (string, error) {
	line, err := p.r.ReadSlice('\n')
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
	p.nc, p.r, p.out = nc, bufio.NewReader(nc), output{}
	return nil
}

func (p *plainClient) close() {
	if p.nc == nil {
		return
	}
	p.nc.Close()
	p.nc = nil
}
