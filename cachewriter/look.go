package cachewriter

import (
	"context"
	"errors"
	"time"
)

const (
	// maxLooks bounds what visitors wait for at one server at a time. Others wait for a
	// place as long as one is given back within placeWait.
	maxLooks  = 8
	placeWait = 50 * time.Millisecond

	// maxDeleters bounds the connections that Deletes take at one server.
	maxDeleters = 32
)

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

// visit is attempt for a visitor's request. Only so many wait for a server at a time, and
// no more than one for a server whose last operation broke, so that few pay for one that
// hangs before its breaker opens.
func (s *store) visit(ctx context.Context, op func(context.Context) error) error {
	if err := s.takePlace(ctx); err != nil {
		return err
	}
	defer s.givePlace()
	return s.attempt(ctx, op)
}

func (s *store) takePlace(ctx context.Context) error {
	if s.down() {
		return ErrServerDown
	}
	select {
	case s.looks <- struct{}{}:
	default:
		if s.isAiling() || s.stalled.Load() {
			return ErrBusy
		}
		if err := s.awaitPlace(ctx); err != nil {
			return err
		}
	}
	if s.isAiling() && len(s.looks) > 1 {
		s.givePlace()
		return ErrBusy
	}
	return nil
}

// isAiling reports whether the last operation broke.
func (s *store) isAiling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.breaker.broken > 0
}

func (s *store) awaitPlace(ctx context.Context) error {
	timer := time.NewTimer(placeWait)
	defer timer.Stop()
	for given := s.given.Load(); ; {
		select {
		case s.looks <- struct{}{}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		now := s.given.Load()
		if now == given {
			s.stalled.Store(true) // until one is given back
			return ErrBusy
		}
		given = now
		timer.Reset(placeWait)
	}
}

func (s *store) givePlace() {
	s.given.Add(1)
	<-s.looks
	s.stalled.Store(false)
}
