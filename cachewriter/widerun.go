package cachewriter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A purgeJob is what a call of PurgeMatching wants of one server.
type purgeJob struct {
	scopes []Scope
	dry    bool
	at     time.Time

	keepCopies bool

	done chan struct{} // closed when result is final

	mu     sync.Mutex // guards everything below, and is held while keep is called
	keep   func(Found) bool
	left   bool // the caller has left: keep must not be called
	result PurgeResult
}

// visit counts a page that matches, and reports whether it is to be deleted.
func (j *purgeJob) visit(p *walked) (remove bool) {
	if !slices.ContainsFunc(j.scopes, func(s Scope) bool { return s.Matches(p.Subject) }) {
		return false
	}
	if p.isCopy {
		return !j.dry && !j.keepCopies
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.result.Found++
	if j.keep != nil && !j.left && j.keep(p.Found) {
		j.result.Kept++
		return false
	}
	if j.dry {
		return false
	}
	j.result.Deleted++
	return true
}

// finish sets the result.
func (j *purgeJob) finish(set func(*PurgeResult)) {
	j.mu.Lock()
	set(&j.result)
	j.mu.Unlock()
	close(j.done)
}

// wait returns the result when it is final or ctx is done.
func (j *purgeJob) wait(ctx context.Context, now func() time.Time) PurgeResult {
	select {
	case <-j.done:
	case <-ctx.Done():
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-j.done:
	default:
		j.left = true
		j.result.Pending, j.result.Err = !j.dry, context.Cause(ctx)
	}
	result := j.result
	result.Took = now().Sub(j.at)
	return result
}

// widePending are the wide purges of one server that wait or are under way. It has no lock
// of its own.
type widePending struct {
	jobs    []*purgeJob // wait for the next walk
	owed    []*owedPurge
	running bool          // runPurges is
	wake    chan struct{} // holds one; nil before the first purge

	retryAt    time.Time // the owed ones are not tried before
	retryPause time.Duration
}

// An owedPurge is a wide purge that has not reached its server.
type owedPurge struct {
	scope Scope
	at    time.Time
	until time.Time // it is forgotten then
}

// maxOwed bounds the purges that one server is owed. If there are more, they become one
// that matches all pages.
const maxOwed = 64

func (p *widePending) wakeUp() {
	if p.wake == nil {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// resetPause allows the next attempt at once.
func (p *widePending) resetPause() {
	p.retryAt, p.retryPause = time.Time{}, 0
	p.wakeUp()
}

// owe adds purges.
func (p *widePending) owe(scopes []Scope, at, until time.Time) {
	for _, scope := range scopes {
		p.owed = slices.DeleteFunc(p.owed, func(o *owedPurge) bool { return o.scope == scope && !o.at.After(at) })
		p.owed = append(p.owed, &owedPurge{scope, at, until})
	}
	if len(p.owed) <= maxOwed {
		return
	}
	all := &owedPurge{scope: Scope{Kind: ScopeAll}}
	for _, o := range p.owed {
		all.at, all.until = later(all.at, o.at), later(all.until, o.until)
	}
	p.owed = []*owedPurge{all}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// purgeMatching begins a job. Its result comes later.
func (s *store) purgeMatching(j *purgeJob) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		j.finish(func(r *PurgeResult) { r.Err = ErrClosed })
		return
	case s.breaker.open && j.dry:
		j.finish(func(r *PurgeResult) { r.Err = ErrServerDown })
		return
	case s.breaker.open:
		s.owe(j)
		j.finish(func(r *PurgeResult) { r.Pending, r.Err = true, ErrServerDown })
	default:
		s.wide.jobs = append(s.wide.jobs, j)
	}
	if s.wide.wake == nil {
		s.wide.wake = make(chan struct{}, 1)
	}
	s.wide.wakeUp()
	if !s.wide.running {
		s.wide.running = true
		s.w.running.Go(s.runPurges)
	}
}

func (s *store) owe(j *purgeJob) {
	if !j.dry {
		s.wide.owe(j.scopes, j.at, j.at.Add(s.w.Pending.maxAge()))
	}
}

// runPurges is the goroutine that purges the server, as long as there is something to
// purge. Purges that come during a walk share the next one.
func (s *store) runPurges() {
	for {
		r, wait := s.nextPurges()
		switch {
		case r != nil:
			r.run()
		case wait <= 0:
			return
		default:
			timer := time.NewTimer(wait)
			select {
			case <-s.wide.wake:
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// A purgeRound are the purges of one walk.
type purgeRound struct {
	s     *store
	jobs  []*purgeJob
	owed  []*owedPurge
	keeps bool // one of the jobs may keep pages
}

// nextPurges returns the purges that may run now, or else how long to wait. If there is
// nothing to wait for, runPurges must end.
func (s *store) nextPurges() (r *purgeRound, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.w.clock()
	s.wide.owed = slices.DeleteFunc(s.wide.owed, func(o *owedPurge) bool { return !o.until.After(now) })
	if s.closing {
		for _, j := range s.wide.jobs {
			j.finish(func(r *PurgeResult) { r.Err = ErrClosed })
		}
		s.wide.jobs = nil
	}
	if s.closing || len(s.wide.jobs)+len(s.wide.owed) == 0 {
		s.wide.running = false
		return nil, 0
	}
	if wait := s.wideRetryAfter().Sub(now); len(s.wide.jobs) == 0 && wait > 0 {
		return nil, wait
	}
	r = &purgeRound{s: s, jobs: s.wide.jobs, owed: slices.Clone(s.wide.owed)}
	s.wide.jobs = nil
	r.keeps = slices.ContainsFunc(r.jobs, func(j *purgeJob) bool { return j.keep != nil })
	return r, 0
}

// wideRetryAfter is when owed purges may be tried next.
func (s *store) wideRetryAfter() time.Time {
	if s.breaker.open {
		return later(s.breaker.until, s.wide.retryAt)
	}
	return s.wide.retryAt
}

// run writes the log, waits for the writes under way, which may not have seen it, and
// walks.
func (r *purgeRound) run() {
	s := r.s
	logErr := r.log()
	if logErr != nil && !errors.Is(logErr, ErrRefused) {
		r.end(logErr, "")
		return
	}
	s.awaitWrites()
	err := s.walk(s.w.life, &walker{visit: r.visit, keepRecords: r.keeps})
	incomplete := ""
	if errors.Is(err, ErrNoMeta) || errors.Is(err, errNoDump) {
		err, incomplete = nil, err.Error()
	}
	if err == nil {
		err = logErr
	}
	r.end(err, incomplete)
}

// log writes the purges to the server's log.
func (r *purgeRound) log() error {
	s, now := r.s, r.s.w.clock()
	var purges []loggedPurge
	add := func(at time.Time, scopes ...Scope) {
		for _, scope := range scopes {
			if now.Sub(at) < maxFillAge {
				purges = append(purges, loggedPurge{tombstone: s.w.process.tombstone(at), scope: scope})
			}
		}
	}
	for _, j := range r.jobs {
		if !j.dry {
			add(j.at, j.scopes...)
		}
	}
	for _, o := range r.owed {
		add(o.at, o.scope)
	}
	if purges == nil {
		return nil
	}
	s.mu.Lock()
	probe, ok := s.breaker.begin()
	s.mu.Unlock()
	if !ok {
		return ErrServerDown
	}
	c := s.checkOut()
	err := c.plain.link.do(s.w.life, func() error { return c.plain.writePurgeLog(s, purges) })
	s.checkIn(c)
	s.mu.Lock()
	report := s.record(s.w.life, probe, now, err)
	s.wakeWorkers()
	s.mu.Unlock()
	report()
	return err
}

// awaitWrites waits until the writes that are under way have ended.
func (s *store) awaitWrites() {
	s.mu.Lock()
	var writes []<-chan struct{}
	for _, done := range s.keys.writing {
		writes = append(writes, done)
	}
	s.mu.Unlock()
	for _, done := range writes {
		<-done
	}
}

func (r *purgeRound) visit(p *walked) (remove bool) {
	for _, j := range r.jobs {
		remove = j.visit(p) || remove
	}
	for _, o := range r.owed {
		remove = remove || o.scope.Matches(p.Subject)
	}
	return remove
}

// end records the outcome. After an error the purges are owed.
func (r *purgeRound) end(err error, incomplete string) {
	s := r.s
	s.mu.Lock()
	if err == nil {
		s.wide.owed = slices.DeleteFunc(s.wide.owed, func(o *owedPurge) bool { return slices.Contains(r.owed, o) })
		s.wide.retryAt, s.wide.retryPause = time.Time{}, 0
	} else {
		s.stats.LastError = err.Error()
		s.wide.retryPause = min(max(2*s.wide.retryPause, s.w.Backoff.min()), s.w.Backoff.max())
		s.wide.retryAt = s.w.clock().Add(s.wide.retryPause)
	}
	for _, j := range r.jobs {
		switch {
		case err != nil:
			s.owe(j) // also for Close, which counts it
		case incomplete == "" && !j.dry:
			s.stats.Purges++
		}
	}
	if err != nil && s.closing {
		err = ErrClosed // nobody will purge what is owed
	}
	s.mu.Unlock()
	for _, j := range r.jobs {
		j.finish(func(result *PurgeResult) {
			result.Pending, result.Incomplete, result.Err = err != nil && err != ErrClosed && !j.dry, incomplete, err
		})
	}
	if incomplete != "" && len(r.owed) > 0 {
		s.w.log().Warn("a purge that memcached was owed is incomplete; pages stay until they expire",
			zap.String("server", s.addr), zap.String("reason", incomplete))
	}
}
