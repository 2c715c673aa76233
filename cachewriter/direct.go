package cachewriter

import (
	"bufio"
	"context"
	"fmt"
	"time"
)

// A Direct speaks to one memcached at once, with no queue, ring or breaker in
// between, and with commands that every proxy passes on. It is for probes, whose
// entries must not replace anybody's. It holds at most one connection, and one
// goroutine uses it at a time; Close ends it.
type Direct struct {
	addr  string
	plain *plainClient
}

// NewDirect prepares for an address as Ring.Addrs has it. timeout bounds a
// connection attempt, and every command.
func NewDirect(addr string, timeout time.Duration) *Direct {
	return &Direct{addr, &plainClient{link: newLink(addr, timeout), timeout: timeout}}
}

// Add stores a value under a raw key if nothing lies there, for so many whole
// seconds, at least one; and reports whether it did.
func (d *Direct) Add(ctx context.Context, key string, value []byte, flags uint32, ttl time.Duration) (added bool, err error) {
	wire := Escape(key)
	if err := CheckKey(wire); err != nil {
		return false, err
	}
	now := time.Now()
	seconds := exptime(now, now.Add(max(ttl, time.Second)))
	// Once: a second add after one whose answer got lost would find the first.
	err = d.plain.link.once(ctx, func() error {
		return d.plain.talk(func(w *bufio.Writer) {
			fmt.Fprintf(w, "add %s %d %d %d\r\n", wire, flags, seconds, len(value))
			w.Write(value)
			w.WriteString("\r\n")
		}, func(line string) error {
			added = line == "STORED"
			if added || line == "NOT_STORED" {
				return nil
			}
			return unexpected(line)
		})
	})
	return added, d.wrap("add", err)
}

// Get returns what lies under a raw key, or nil if that is nothing.
func (d *Direct) Get(ctx context.Context, key string) (*Item, error) {
	wire := Escape(key)
	if err := CheckKey(wire); err != nil {
		return nil, err
	}
	item, err := d.plain.get(ctx, wire)
	if item != nil {
		item.Addr = d.addr
	}
	return item, d.wrap("get", err)
}

// Delete removes what lies under a raw key. That nothing does is no error.
func (d *Direct) Delete(ctx context.Context, key string) error {
	wire := Escape(key)
	if err := CheckKey(wire); err != nil {
		return err
	}
	return d.wrap("delete", d.plain.delete(ctx, wire))
}

// Close closes the connection.
func (d *Direct) Close() { d.plain.close() }

func (d *Direct) wrap(act string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cachewriter: %s on %s: %w", act, d.addr, err)
}
