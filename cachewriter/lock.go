package cachewriter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Why a lock is not, or not any more, the caller's.
var (
	ErrLocked   = errors.New("cachewriter: somebody else holds the lock")
	ErrLockLost = errors.New("cachewriter: the lock has expired, or was given back before")
)

// A LockState is what a page's lock says to those who do not hold it.
type LockState string

const (
	Free    LockState = "free"    // nobody fetches the page
	Held    LockState = "held"    // somebody does: it will soon be there
	Refused LockState = "refused" // somebody did, and what came cannot be stored: do not wait
)

// refusedMark is the value of a lock that says Refused. Others name their owner,
// for a person who looks.
const refusedMark = "refused"

// A Lock is the right to fetch a page, which one of all gateways has. Its methods are
// safe for concurrent use.
type Lock struct {
	store *store
	key   string
	ttl   time.Duration

	mu    sync.Mutex // guards everything below, and is held during a change
	cas   uint64
	renew *time.Timer // nil: it is not kept
	over  bool        // it has been given back, or lost
}

// Lock takes the lock of a page, for at least ttl and a second at least: memcached
// counts in whole seconds, so that it may last up to two seconds longer. Only Key,
// HashKey and Addr of the page's entry are looked at. The lock lies beside the page
// (KindLock); of several servers that get the page it is at the first that is not
// down.
//
// ErrLocked says that somebody else has it. Any other error says that no lock is to
// be had: ErrNoMeta, ErrServerDown at once while the server's breaker is open, that it
// did not answer within ctx and Timeout, and more. The caller goes without one then.
//
// A lock whose holder dies, or the answer to which gets lost, costs the others
// its expiry, and no more. One that is to be held for long should be short, and kept.
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

// withoutCAS gives a lock back that nobody could tell from another's later.
func (l *Lock) withoutCAS(ctx context.Context) error {
	l.Unlock(ctx)
	return fmt.Errorf("cachewriter: lock on %s: it gives no CAS; start memcached without -C", l.store.addr)
}

// Keep renews the lock, so that it does not expire before it is given back or its
// holder dies. It must be given back then.
func (l *Lock) Keep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renew == nil && !l.over {
		l.renew = time.AfterFunc(l.ttl/4, l.renewOnce)
	}
}

func (l *Lock) renewOnce() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || l.renew == nil {
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
		l.renew.Reset(l.ttl / 4)
	}
}

// isLost knows the errors by which a lock turns out to be another's, or nobody's.
func isLost(err error) bool { return errors.Is(err, errNotFound) || errors.Is(err, errChanged) }

// Unlock gives the lock back. If it is not ours any more, ErrLockLost says so, and
// the next one's stays.
func (l *Lock) Unlock(ctx context.Context) error {
	return l.change(ctx, func(ctx context.Context) error {
		return l.store.meta.delete(ctx, l.key, metaDelete{cas: l.cas})
	})
}

// Refuse gives the lock back and leaves word, for ttl as Lock has it, that what
// came cannot be stored: nobody is to wait for it, and nobody gets the lock. Errors
// are Unlock's. Unlock after it changes nothing.
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
	if l.renew != nil {
		l.renew.Stop()
		l.renew = nil // whatever comes of it: what was given back is not kept
	}
	err := l.store.attempt(ctx, op)
	l.over = err == nil || isLost(err)
	if isLost(err) {
		return ErrLockLost
	}
	return err
}

// Locked tells how it stands with the lock of a page, which it leaves as it is.
// After an error, which is one of Lock's, it is Free.
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

// findLock returns the key of a page's lock, and where it lies.
func (w *Writer) findLock(e Entry) (key string, s *store, err error) {
	key, stores, err := w.find(e.Sibling(kindLock))
	if err != nil {
		return "", nil, err
	}
	for _, s := range stores {
		if !s.down() {
			return key, s, nil
		}
	}
	return "", nil, ErrServerDown
}

// lockEnd is when a lock for ttl is to expire. Of that Meta cuts off the fraction of a
// second; and the first second may be over at once, for it ends with a tick of
// memcached's clock.
func lockEnd(now time.Time, ttl time.Duration) time.Time {
	return now.Add(max(ttl, time.Second) + 2*time.Second - time.Nanosecond)
}
