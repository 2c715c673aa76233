package cachewriter

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"
)

// Shorten makes an entry expire after ttl, in whole seconds, if it would expire later, on
// all servers that have it. It is for pages that are old, and are served until a new one is
// there: whatever becomes of this process, they are not served for longer. Readers cannot
// tell; the entry does not count as read. A page that is stored meanwhile may get the shorter
// life, too.
//
// Errors are those of Usage.
func (w *Writer) Shorten(ctx context.Context, e Entry, ttl time.Duration) error {
	key, stores, err := w.find(e)
	if err != nil {
		return err
	}
	errs := make([]error, len(stores))
	var all sync.WaitGroup
	for i, s := range stores {
		all.Go(func() {
			errs[i] = s.attempt(ctx, func(ctx context.Context) error { return s.meta.shorten(ctx, key, ttl) })
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// shorten changes the time to live of what lies under a key, if it is longer.
func (m *metaClient) shorten(ctx context.Context, key string, ttl time.Duration) error {
	item, err := m.get(ctx, key, metaGet{unseen: true})
	if err != nil || item == nil || item.ttl != Forever && item.ttl <= ttl {
		return err
	}
	seconds := strconv.FormatInt(max(int64(ttl/time.Second), 1), 10)
	_, err = m.do(ctx, "shorten", metaCommand{verb: "mg", key: key, flags: " u T" + seconds})
	return err
}
