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
	Flags uint32 // without ReservedFlags
	Usage *Usage // nil: the server could not be asked by a meta command
}

// Get returns what nginx would find under the entry's key, or nil if there is
// nothing. Only Key, HashKey and Addr of the entry are used. If the entry belongs to
// several servers, Get asks one after the other until one has it; an error ends the
// search. It returns within ctx and Timeout. It does not look at the breaker, and it
// tries a server a second time if the meta command fails, so it is not for requests
// of visitors: see Look.
//
// A meta command leaves no trace. The second attempt counts as a visit: the page is
// marked as served.
func (w *Writer) Get(ctx context.Context, e Entry) (*Item, error) {
	return w.firstOf(ctx, e, "get from", (*store).get)
}

// Look is Get for a visitor's request. Its error is ErrServerDown, at once, while the
// server's breaker is open, and ErrBusy if too many other requests wait for the
// server. The outcome counts for the breaker.
func (w *Writer) Look(ctx context.Context, e Entry) (*Item, error) {
	return w.firstOf(ctx, e, "look at", (*store).lookFor)
}

// firstOf asks an entry's servers, one after the other, until one has the entry, all
// within ctx and Timeout. An error ends the search; act is for its text.
func (w *Writer) firstOf(ctx context.Context, e Entry, act string, get func(*store, context.Context, string) (*Item, error)) (*Item, error) {
	key, stores, err := w.find(e)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.OperationTimeout(), errTimeout)
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

// find returns the wire key of an entry, and the stores to which Put writes it while
// all servers are up.
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

// get reads by a meta command, or if that fails by `get`.
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

// lookFor is get for a visitor's request. It uses `get` only if the server has no meta
// commands.
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

// look reads by a meta command, which does not count as a visit.
func (s *store) look(ctx context.Context, key string) (*Item, error) {
	it, err := s.peek(ctx, key, true)
	if err != nil || it == nil {
		return nil, err
	}
	return &Item{Value: it.value, Flags: it.flags &^ ReservedFlags, Usage: it.usage()}, nil
}

// peek returns what lies under a key, or nil. It does not count as a visit, and it
// leaves the right to refresh a stale entry to others.
func (s *store) peek(ctx context.Context, key string, value bool) (*metaItem, error) {
	it, err := s.meta.get(ctx, key, metaGet{value: value, unseen: true})
	if err == nil && it != nil && it.won {
		// memcached gives the right to refresh a stale entry to the first reader. To
		// mark the same entry as stale again makes the next reader the first one.
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
			return replyError(err)
		}
		found = &Item{Value: item.Value, Flags: item.Flags &^ ReservedFlags}
		return nil
	})
	return found, err
}
