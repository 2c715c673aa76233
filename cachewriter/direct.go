package cachewriter

import (
	"context"
	"fmt"
	"time"
)

// A Direct speaks to one memcached at once, without queue, ring and breaker, and uses
// only commands that every proxy passes on. It is for probes, which must not replace
// entries of others. It has one connection at most, which Close closes. One goroutine
// uses it at a time.
type Direct struct {
	addr  string
	plain *plainClient
}

// NewDirect returns a Direct for an address in a form of Server.Addrs. timeout bounds
// a connection attempt, and each command.
func NewDirect(addr string, timeout time.Duration) *Direct {
	return &Direct{addr, &plainClient{link: newLink(addr, timeout), timeout: timeout}}
}

// Add stores a value under a raw key if there is nothing, and reports whether it did.
// ttl is in whole seconds, one at least.
func (d *Direct) Add(ctx context.Context, key string, value []byte, flags uint32, ttl time.Duration) (added bool, err error) {
	wire := Escape(key)
	if err := CheckKey(wire); err != nil {
		return false, err
	}
	now := time.Now()
	seconds := exptime(now, now.Add(max(ttl, time.Second)))
	// Not link.do: a second add, after the response to the first got lost, would find the first.
	err = d.plain.link.once(ctx, func() error {
		return d.plain.talk(func(o *output) {
			o.storage("add", wire, value, int64(flags), int64(seconds))
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

// Get returns what lies under a raw key, or nil if there is nothing.
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

// Delete removes what lies under a raw key. It is no error if there is nothing.
func (d *Direct) Delete(ctx context.Context, key string) error {
	wire := Escape(key)
	if err := CheckKey(wire); err != nil {
		return err
	}
	return d.wrap("delete", d.plain.delete(ctx, wire))
}

// Close closes the connection.
func (d *Direct) Close() { d.plain.close() }

// wrap adds the act and the address to an error.
func (d *Direct) wrap(act string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cachewriter: %s on %s: %w", act, d.addr, err)
}
