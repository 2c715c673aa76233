package cachewriter

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Usage returns what Get tells beside the value, which is not fetched, or nil if
// nothing lies under the entry's key. It leaves no trace. Of several servers that have
// the page the shortest TTL counts, the latest access, and that any has served it, or
// holds it as stale; those that do not answer are passed over if any has it.
//
// Errors are ErrNoMeta; ErrServerDown, at once while the server's breaker is open; those
// of Put's for the key and the Addr; and others if no answer came within ctx and
// Timeout.
func (w *Writer) Usage(ctx context.Context, e Entry) (*Usage, error) {
	key, stores, err := w.find(e)
	if err != nil {
		return nil, err
	}
	found := make([]*Usage, len(stores))
	errs := make([]error, len(stores))
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() { found[i], errs[i] = s.usage(ctx, key) })
	}
	all.Wait()
	var sum *Usage
	for _, u := range found {
		sum = sum.and(u)
	}
	if sum != nil {
		return sum, nil
	}
	return nil, errors.Join(errs...)
}

func (s *store) usage(ctx context.Context, key string) (*Usage, error) {
	var item *metaItem
	err := s.attempt(ctx, func(ctx context.Context) (err error) {
		item, err = s.peek(ctx, key, false)
		return err
	})
	if err != nil || item == nil {
		return nil, err
	}
	return item.usage(), nil
}

func (it *metaItem) usage() *Usage { return &Usage{it.ttl, it.hit, it.lastAccess, it.stale} }

// and sums up what two servers know. Nil is nothing.
func (u *Usage) and(o *Usage) *Usage {
	if u == nil {
		return o
	}
	if o == nil {
		return u
	}
	shortest := min(uint64(u.TTL), uint64(o.TTL)) // Forever, which is -1, comes last
	return &Usage{time.Duration(shortest), u.Served || o.Served, min(u.LastAccess, o.LastAccess), u.Stale || o.Stale}
}

// A Usage is what a server knows of an entry beside its value.
type Usage struct {
	TTL        time.Duration // what is left, in whole seconds; or Forever
	Served     bool          // since it was stored
	LastAccess time.Duration // ago; coarse, for memcached notes it about once a minute
	Stale      bool          // invalidated, but still served
}
