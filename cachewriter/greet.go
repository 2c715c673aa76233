package cachewriter

import (
	"context"
	"sync"

	"go.uber.org/zap"
)

// Greet connects to all servers that nothing has been written to yet, and waits for their
// responses. It logs those that cannot be reached. Without it the first entry for each server
// finds that out, and Accepts reports false until then.
func (w *Writer) Greet(ctx context.Context) {
	var greeting sync.WaitGroup
	for _, s := range w.servers().stores {
		greeting.Go(func() { s.greet(ctx) })
	}
	greeting.Wait()
}

// greetKey is a key that nobody uses.
const greetKey = "uwg:greeting"

func (s *store) greet(ctx context.Context) {
	s.mu.Lock()
	isKnown := s.proven != nil || s.breaker.failures > 0 || s.breaker.open || s.closing
	s.mu.Unlock()
	if isKnown {
		return
	}
	c, start := s.checkOut(), s.w.clock()
	defer s.checkIn(c)
	err := c.plain.link.do(ctx, func() error {
		_, err := c.plain.readAll([]string{greetKey})
		return err
	})
	s.mu.Lock()
	report := s.record(ctx, false, start, err)
	if err == nil {
		s.proven = c.plain.link
	}
	s.mu.Unlock()
	report()
	if err != nil && ctx.Err() == nil {
		s.w.log().Warn("memcached does not respond; no page is stored there until it does", zap.String("server", s.addr), zap.Error(err))
	}
}
