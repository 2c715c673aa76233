package cachewriter

import (
	"context"
	"errors"
	"fmt"

	"github.com/bradfitz/gomemcache/memcache"
)

// An Item is what a server holds under a key.
type Item struct {
	Addr  string // of the server
	Value []byte
	Flags uint32
}

// Get returns what nginx would find under the entry's key, or nil if that is
// nothing. Only Key, HashKey and Addr of the entry are looked at; of several
// servers that may hold it the first that does is told. It returns within ctx and
// Timeout. It is for explaining what lies there: requests never wait for it.
func (w *Writer) Get(ctx context.Context, e Entry) (*Item, error) {
	key := Escape(e.Key)
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	addrs, err := w.route(e)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.timeout(), errTimeout)
	defer cancel()
	for _, addr := range addrs {
		item, err := w.stores[addr].get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("cachewriter: get from %s: %w", addr, err)
		}
		if item != nil {
			return item, nil
		}
	}
	return nil, nil
}

func (s *store) get(ctx context.Context, key string) (*Item, error) {
	c := s.checkOut()
	defer s.checkIn(c)
	item, err := c.get(ctx, key)
	if item != nil {
		item.Addr = s.addr
	}
	return item, err
}

// get returns nil without error if there is nothing under the key.
func (c *client) get(ctx context.Context, key string) (*Item, error) {
	if needsPlain(key) {
		return c.plain.get(ctx, key)
	}
	var found *Item
	err := c.link.do(ctx, func() error {
		item, err := c.common.Get(key)
		if errors.Is(err, memcache.ErrCacheMiss) {
			return nil
		}
		if err != nil {
			return verdict(err)
		}
		found = &Item{Value: item.Value, Flags: item.Flags}
		return nil
	})
	return found, err
}
