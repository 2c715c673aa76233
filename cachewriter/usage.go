package cachewriter

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Usage is what a server knows about an entry, without its value.
type Usage struct {
	TTL        time.Duration // what is left, in whole seconds; or Forever
	Served     bool          // read since it was stored
	LastAccess time.Duration // ago; memcached updates it about once a minute
	Stale      bool          // invalidated, but still served
}

// Usage returns what Get returns as Item.Usage, or nil if there is nothing under the
// entry's key. It does not fetch the value and leaves no trace. If several servers
// have the page, it combines them: the shortest TTL, the latest access, and Served or
// Stale if any says so. It ignores errors of some servers if another has the page.
//
// Errors are ErrNoMeta; ErrServerDown, at once, while the server's breaker is open;
// Put's errors for the key and the Addr; and others if there is no response within
// ctx and Timeout.
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

// and combines what two servers know. Nil is nothing.
func (u *Usage) and(o *Usage) *Usage {
	if u == nil {
		return o
	}
	if o == nil {
		return u
	}
	shortest := min(uint64(u.TTL), uint64(o.TTL)) // Forever, which is -1, is the largest
	return &Usage{time.Duration(shortest), u.Served || o.Served, min(u.LastAccess, o.LastAccess), u.Stale || o.Stale}
}
