package cachewriter

import (
	"container/list"
	"sync"
	"time"
)

// patience is how long an entry waits for a worker that is writing others. What comes
// meanwhile is written together.
const patience = time.Millisecond

// workers are the goroutines of one store that write to its server. The store's mu
// guards it.
type workers struct {
	started bool
	work    sync.Cond   // there may be work
	asleep  int         // wait for work, and were not woken
	timer   *time.Timer // of patience; nil: none is set
}

// wait waits until the worker is woken.
func (w *workers) wait() {
	w.asleep++
	w.work.Wait()
}

// wake wakes one.
func (w *workers) wake() {
	if w.asleep > 0 {
		w.asleep--
		w.work.Signal()
	}
}

func (w *workers) wakeAll() {
	w.asleep = 0
	w.work.Broadcast()
}

func (w *workers) stopTimer() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// start starts the workers.
func (s *store) start() {
	if s.workers.started {
		return
	}
	s.workers.started = true
	for range s.w.workers() {
		s.w.running.Go(s.run)
	}
}

// wakeWorker wakes a worker for something new, unless one is awake that will find it
// soon: the more is written together, the cheaper it is.
func (s *store) wakeWorker() {
	w := &s.workers
	awake := s.w.workers() - w.asleep
	switch {
	case w.asleep == 0:
	case awake == 0, s.queue.list.Len()+s.pending.len() >= maxBatch, s.queue.bytes > int64(awake)*maxBatchBytes:
		w.wake()
	case w.timer == nil:
		s.waitForWorker()
	}
}

// waitForWorker wakes another worker if the oldest of what waits still does after
// patience, until none is left asleep.
func (s *store) waitForWorker() {
	oldest := s.oldest()
	s.workers.timer = time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.workers.timer = nil
		now := s.oldest()
		if s.closing || now == nil || s.workers.asleep == s.w.workers() {
			return // all have looked, and found nothing that they may do
		}
		if now == oldest {
			s.workers.wake()
		}
		if s.workers.asleep > 0 {
			s.waitForWorker()
		}
	})
}

// oldest is what has waited longest, or nil.
func (s *store) oldest() *list.Element {
	if el := s.pending.list.Front(); el != nil {
		return el
	}
	return s.queue.list.Front()
}

// wakeWorkers wakes workers after the end of an operation that some of them may wait
// for.
func (s *store) wakeWorkers() {
	switch {
	case s.closing:
		s.workers.wakeAll()
	case s.oldest() != nil:
		s.wakeWorker()
	}
}
