package cachewriter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Reasons why the caller does not, or no longer, hold a lock.
var (
	ErrLocked   = errors.New("cachewriter: somebody else holds the lock")
	ErrLockLost = errors.New("cachewriter: the lock has expired or was released before")
)

// A LockState is what a page's lock says to those who do not hold it.
type LockState string

const (
	Free    LockState = "free"    // nobody is fetching the page
	Held    LockState = "held"    // somebody is: the page will be there soon
	Refused LockState = "refused" // the last response could not be stored: do not wait
)

// refusedMark is the value of a lock that says Refused. Other values name their
// owner, for people who look.
const refusedMark = "refused"

// A Lock is the right to fetch a page, which one of all gateways has. Its methods are
// safe for concurrent use. A Lock that is kept has a timer, which Unlock and Refuse
// stop. Writer.Close waits for a renewal under way, and none begins after it.
type Lock struct {
	store *store
	key   string
	ttl   time.Duration

	mu      sync.Mutex // guards everything below, and is held during a change
	cas     uint64
	renewal *time.Timer // nil: Keep was not called
	over    bool        // released or lost
}

// Lock takes the lock of a page for at least ttl, and for one second at least.
// memcached counts whole seconds, so the lock may last up to two seconds longer. Only
// Key, HashKey and Addr of the page's entry are used. The lock lies beside the page,
// on the first of the page's servers that is not down.
//
// ErrLocked means that somebody else has the lock. Any other error means that no lock
// can be taken, and the caller should go on without one: ErrNoMeta; ErrServerDown, at
// once, while the server's breaker is open; ErrBusy; no response within Timeout; and
// others.
//
// If the holder dies, or the response gets lost, the others wait until the lock
// expires. So a lock that is held for long should have a short ttl, and Keep.
func (w *Writer) Lock(ctx context.Context, e Entry, ttl time.Duration) (*Lock, error) {
	key, s, err := w.findLock(e)
	if err != nil {
		return nil, err
	}
	l := &Lock{store: s, key: key, ttl: ttl}
	err = s.visit(ctx, func(ctx context.Context) (err error) {
		l.cas, err = s.meta.set(ctx, l.key, metaSet{
			value:   []byte("held by " + rand.Text()),
			expires: lockEnd(s.meta.clock(), ttl),
			add:     true,
			wantCAS: true,
		})
		return err
	})
	switch {
	case errors.Is(err, errNotStored):
		return nil, ErrLocked
	case err != nil:
		return nil, err
	case l.cas == 0:
		return nil, l.withoutCAS(ctx)
	}
	return l, nil
}

// withoutCAS releases a lock that could not be distinguished from another one later.
func (l *Lock) withoutCAS(ctx context.Context) error {
	l.Unlock(ctx)
	return fmt.Errorf("cachewriter: lock on %s: memcached sends no CAS; start it without -C", l.store.addr)
}

// Keep renews the lock, so that it does not expire before it is released or its
// holder dies. A lock that is kept must be released.
func (l *Lock) Keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renewal == nil && !l.over {
		l.renewal = time.AfterFunc(l.ttl/4, l.renew)
	}
}

func (l *Lock) renew() {
	if !l.store.beginRenewal() {
		return
	}
	defer l.store.w.running.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.renewal == nil {
		return
	}
	err := l.store.attempt(context.Background(), func(ctx context.Context) error {
		cas, err := l.store.meta.set(ctx, l.key, metaSet{
			value:   []byte("held by " + rand.Text()),
			expires: lockEnd(l.store.meta.clock(), l.ttl),
			cas:     l.cas,
			wantCAS: true,
		})
		if err == nil {
			l.cas = cas
		}
		return err
	})
	if l.over = isLost(err); !l.over {
		l.renewal.Reset(l.ttl / 4)
	}
}

// beginRenewal registers a renewal, for which Close waits. It returns false after
// close.
func (s *store) beginRenewal() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.w.running.Add(1)
	return true
}

// isLost reports whether err means that somebody else, or nobody, holds the lock.
func isLost(err error) bool { return errors.Is(err, errNotFound) || errors.Is(err, errChanged) }

// Unlock releases the lock. If the caller does not hold it any more the error is
// ErrLockLost, and the lock of the next holder stays.
func (l *Lock) Unlock(ctx context.Context) error {
	return l.change(ctx, func(ctx context.Context) error {
		return l.store.meta.delete(ctx, l.key, metaDelete{cas: l.cas})
	})
}

// Refuse releases the lock and says for ttl, as in Lock, that the response cannot be
// stored: nobody should wait for it, and nobody gets the lock. Errors are those of
// Unlock. An Unlock after it changes nothing.
func (l *Lock) Refuse(ctx context.Context, ttl time.Duration) error {
	return l.change(ctx, func(ctx context.Context) error {
		_, err := l.store.meta.set(ctx, l.key, metaSet{
			value:   []byte(refusedMark),
			expires: lockEnd(l.store.meta.clock(), ttl),
			cas:     l.cas,
		})
		return err
	})
}

func (l *Lock) change(ctx context.Context, op func(context.Context) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return ErrLockLost
	}
	if l.renewal != nil {
		l.renewal.Stop()
		l.renewal = nil // whatever op does: a lock that was released is not kept
	}
	err := l.store.attempt(ctx, op)
	l.over = err == nil || isLost(err)
	if isLost(err) {
		return ErrLockLost
	}
	return err
}

// Locked returns the state of a page's lock and does not change it. After an error,
// which is one of Lock's, the state is Free.
func (w *Writer) Locked(ctx context.Context, e Entry) (LockState, error) {
	key, s, err := w.findLock(e)
	if err != nil {
		return Free, err
	}
	var item *metaItem
	err = s.visit(ctx, func(ctx context.Context) (err error) {
		item, err = s.meta.get(ctx, key, metaGet{value: true, unseen: true})
		return err
	})
	switch {
	case err != nil || item == nil:
		return Free, err
	case string(item.value) == refusedMark:
		return Refused, nil
	}
	return Held, nil
}

// findLock returns the key of a page's lock, and the store where it lies.
func (w *Writer) findLock(e Entry) (key string, s *store, err error) {
	key, stores, err := w.find(e.Sibling(kindLock))
	if err != nil {
		return "", nil, err
	}
	for _, s := range stores {
		if !s.isDown() {
			return key, s, nil
		}
	}
	return "", nil, ErrServerDown
}

// lockEnd is when a lock for ttl expires. The meta client cuts off the fraction of a
// second, and memcached's first second may be over at once, since it ends with a tick
// of its clock.
func lockEnd(now time.Time, ttl time.Duration) time.Time {
	return now.Add(max(ttl, time.Second) + 2*time.Second - time.Nanosecond)
}
