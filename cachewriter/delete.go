package cachewriter

import (
	"context"
	"errors"
	"fmt"
)

// delete drops what is queued of the keys, waits for what is being written of them,
// and then deletes them together, all within ctx. While the breaker is open it does
// not wait at all: the keys are owed at once, and a worker that pays a debt is the probe.
func (s *store) delete(ctx context.Context, p purge) error {
	written, owed, err := s.beginDelete(p.keys)
	if err != nil {
		return err
	}
	err = s.deleteAfter(ctx, written, p)
	s.endDelete(p, owed, err)
	if err != nil {
		return fmt.Errorf("cachewriter: delete on %s: %w", s.addr, err)
	}
	return nil
}

// beginDelete bars the keys' way to the server until endDelete. All of written are
// closed once none of them is being written; owed is what the delete pays.
func (s *store) beginDelete(keys []string) (written []<-chan struct{}, owed []*debt, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, nil, ErrClosed
	}
	s.w.running.Add(1)
	for _, key := range keys {
		s.deleting[key]++
		if el, ok := s.queued[key]; ok {
			s.drop(el, DropSuperseded)
		}
		if busy := s.writing[key]; busy != nil {
			written = append(written, busy)
		}
		owed = append(owed, s.debts.of(key))
	}
	return written, owed, nil
}

func (s *store) deleteAfter(ctx context.Context, written []<-chan struct{}, p purge) error {
	if s.down() {
		return ErrServerDown
	}
	for _, done := range written {
		select {
		case <-done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case s.deletes <- struct{}{}:
		defer func() { <-s.deletes }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s.down() { // what was waited for has opened it
		return ErrServerDown
	}
	start := s.w.clock()
	c := s.checkOut()
	err := c.purge(ctx, s.w, p)
	s.checkIn(c)

	s.mu.Lock()
	report := s.settle(ctx, false, start, err)
	s.wakeWorkers()
	s.mu.Unlock()
	report()
	return err
}

// endDelete lets the keys' entries pass again. A delete that failed is owed before
// they do.
func (s *store) endDelete(p purge, owed []*debt, err error) {
	defer s.w.running.Done()
	s.mu.Lock()
	report := func() {}
	if err == nil {
		s.stats.Deletes++
	} else {
		s.stats.DeleteErrors++
		if !errors.Is(err, ErrServerDown) {
			s.pausePaying()
		}
		report = s.owe(p)
	}
	for i, key := range p.keys {
		if err == nil {
			s.debts.forgive(owed[i])
		}
		if s.deleting[key]--; s.deleting[key] == 0 {
			delete(s.deleting, key)
		}
	}
	s.mu.Unlock()
	report()
}
