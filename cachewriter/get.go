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
	Usage *Usage // nil: the server does not speak the meta commands
}

// Get returns what nginx would find under the entry's key, or nil if that is
// nothing. Only Key, HashKey and Addr of the entry are looked at; of several
// servers that may hold it the first that does is told. It returns within ctx and
// Timeout. It is for explaining what lies there: requests never wait for it.
//
// With a server that speaks meta it leaves no trace. Any other takes it for a
// visit: the page counts as served from then on.
func (w *Writer) Get(ctx context.Context, e Entry) (*Item, error) {
	return w.firstOf(ctx, e, "get from", (*store).get)
}

// firstOf returns what the first of an entry's servers has under its key, within ctx and
// Timeout. An error ends the search; act is for its text.
func (w *Writer) firstOf(ctx context.Context, e Entry, act string, get func(*store, context.Context, string) (*Item, error)) (*Item, error) {
	key, stores, err := w.find(e)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.timeout(), errTimeout)
	defer cancel()
	for _, s := range stores {
		item, err := get(s, ctx, key)
		if err != nil {
			return nil, fmt.Errorf("cachewriter: %s %s: %w", act, s.addr, err)
		}
		if item != nil {
			return item, nil
		}
	}
	return nil, nil
}

// find returns the wire key of an entry, and the stores where it would be put.
func (w *Writer) find(e Entry) (key string, stores []*store, err error) {
	key = Escape(e.Key)
	if err := CheckKey(key); err != nil {
		return "", nil, err
	}
	t := w.servers()
	addrs, err := t.route(e)
	for _, addr := range addrs {
		stores = append(stores, t.stores[addr])
	}
	return key, stores, err
}

func (s *store) get(ctx context.Context, key string) (*Item, error) {
	item, err := s.look(ctx, key)
	if err != nil {
		c := s.checkOut()
		defer s.checkIn(c)
		item, err = c.get(ctx, key)
	}
	if item != nil {
		item.Addr = s.addr
	}
	return item, err
}

// look reads without being seen.
func (s *store) look(ctx context.Context, key string) (*Item, error) {
	it, err := s.peek(ctx, key, true)
	if err != nil || it == nil {
		return nil, err
	}
	return &Item{Value: it.value, Flags: it.flags, Usage: it.usage()}, nil
}

// peek asks what lies under a key, and leaves that as it was.
func (s *store) peek(ctx context.Context, key string, value bool) (*metaItem, error) {
	it, err := s.meta.get(ctx, key, metaGet{value: value, unseen: true})
	if err == nil && it != nil && it.won {
		// Whoever is to renew the page must win, not we. Invalidating it once
		// more, if it is still the same, calls the next one the first.
		s.meta.delete(ctx, key, metaDelete{cas: it.cas, stale: true})
	}
	return it, err
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

// Look is Get for somebody who cannot wait long. While the server's breaker is open its
// error is ErrServerDown, at once; if too many others are waiting for the server already
// it is ErrBusy. The breaker hears of the end.
func (w *Writer) Look(ctx context.Context, e Entry) (*Item, error) {
	return w.firstOf(ctx, e, "look at", (*store).lookFor)
}

func (s *store) lookFor(ctx context.Context, key string) (item *Item, err error) {
	err = s.visit(ctx, func(ctx context.Context) (err error) {
		item, err = s.look(ctx, key)
		return err
	})
	if errors.Is(err, ErrNoMeta) {
		err = s.visit(ctx, func(ctx context.Context) (err error) {
			c := s.checkOut()
			defer s.checkIn(c)
			item, err = c.get(ctx, key)
			return err
		})
	}
	if item != nil {
		item.Addr = s.addr
	}
	return item, err
}
