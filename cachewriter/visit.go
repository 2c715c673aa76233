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

// attempt runs a meta command for somebody who cannot wait long: not at all while
// the breaker is open, else within ctx and Timeout. The breaker hears of the end.
func (s *store) attempt(ctx context.Context, op func(context.Context) error) error {
	if s.down() {
		return ErrServerDown
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.w.timeout(), errTimeout)
	defer cancel()
	start := s.w.clock()
	err := op(ctx)
	if errors.Is(err, ErrNoMeta) || errors.Is(err, ErrBusy) || errors.Is(err, ErrClosed) {
		return err // which says nothing of the server's health
	}
	health := err
	if isAnswer(err) {
		health = nil
	}
	s.mu.Lock()
	report := s.settle(ctx, false, start, health)
	s.mu.Unlock()
	report()
	return err
}

// isAnswer knows the errors by which a live server says no.
func isAnswer(err error) bool {
	return errors.Is(err, errNotStored) || errors.Is(err, errChanged) || errors.Is(err, errNotFound)
}

func (s *store) down() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.breaker.open
}
