package cachewriter

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// maxVisits bounds the requests of visitors that use one server at a time. Others
	// wait for a place, as long as one becomes free within placeWait.
	maxVisits = 8
	placeWait = 50 * time.Millisecond
)

// visits are the requests of visitors that use one server.
type visits struct {
	places  chan struct{}
	left    atomic.Uint64 // how many have left
	stalled atomic.Bool   // somebody has waited in vain since one left
}

// visit is attempt for a visitor's request. It bounds the requests that use a server
// at a time, to one after a failed operation. So few requests are slow when a server
// hangs and its breaker has not opened yet.
func (s *store) visit(ctx context.Context, op func(context.Context) error) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.visits.leave()
	return s.attempt(ctx, op)
}

// enter takes a place. The error is ErrServerDown, ErrBusy or the cause of ctx's end.
func (s *store) enter(ctx context.Context) error {
	if s.isDown() {
		return ErrServerDown
	}
	select {
	case s.visits.places <- struct{}{}:
	default:
		if s.lastFailed() || s.visits.stalled.Load() {
			return ErrBusy
		}
		if err := s.visits.awaitPlace(ctx); err != nil {
			return err
		}
	}
	if s.lastFailed() && len(s.visits.places) > 1 {
		s.visits.leave()
		return ErrBusy
	}
	return nil
}

func (v *visits) awaitPlace(ctx context.Context) error {
	timer := time.NewTimer(placeWait)
	defer timer.Stop()
	for left := v.left.Load(); ; {
		select {
		case v.places <- struct{}{}:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
		}
		now := v.left.Load()
		if now == left {
			v.stalled.Store(true) // until one leaves
			return ErrBusy
		}
		left = now
		timer.Reset(placeWait)
	}
}

func (v *visits) leave() {
	v.left.Add(1)
	<-v.places
	v.stalled.Store(false)
}

// attempt runs an operation for a caller that cannot wait long: not at all while the
// breaker is open, else within ctx and Timeout. The outcome counts for the breaker.
func (s *store) attempt(ctx context.Context, op func(context.Context) error) error {
	if s.isDown() {
		return ErrServerDown
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.w.OperationTimeout(), errTimeout)
	defer cancel()
	start := s.w.clock()
	err := op(ctx)
	if errors.Is(err, ErrNoMeta) || errors.Is(err, ErrBusy) || errors.Is(err, ErrClosed) {
		return err // says nothing about the server's health
	}
	health := err
	if isNegative(err) {
		health = nil
	}
	s.mu.Lock()
	report := s.record(ctx, false, start, health)
	s.mu.Unlock()
	report()
	return err
}

// isNegative reports whether err is a negative response of a live server.
func isNegative(err error) bool {
	return errors.Is(err, errNotStored) || errors.Is(err, errChanged) || errors.Is(err, errNotFound)
}

func (s *store) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.breaker.open
}

// lastFailed reports whether the last operation failed.
func (s *store) lastFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.breaker.failures > 0
}
