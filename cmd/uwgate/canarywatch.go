package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"uwgate/cachewriter"
)

// watch makes the servers report their lookups from now on. That is work for a busy
// memcached, so it is only done after a canary was no hit.
func (s *cacheServers) watch(ctx context.Context) {
	if s.watchers != nil {
		return
	}
	s.watchers = make([]*cachewriter.Watcher, len(s.live))
	s.blind = make([]error, len(s.live))
	ctx, cancel := context.WithTimeout(ctx, 2*memcachedTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i, addr := range s.live {
		all.Go(func() { s.watchers[i], s.blind[i] = cachewriter.Watch(ctx, addr, isWanted()) })
	}
	all.Wait()
}

// maxStrangers is how many keys of other pages are kept of each server, in case nginx's key
// does not contain the URL.
const maxStrangers = 3

// isWanted returns the filter of one server.
func isWanted() func(key string) bool {
	strangers := 0
	return func(key string) bool {
		if strings.Contains(key, canaryName) {
			return true
		}
		strangers++
		return strangers <= maxStrangers
	}
}

// settle waits until the servers have reported their lookups so far. It does not wait for a
// server that failed to once.
func (s *cacheServers) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i, w := range s.watchers {
		if s.blind[i] != nil {
			continue
		}
		all.Go(func() {
			s.blind[i] = w.Settle(ctx)
			if lost := w.Lost(); s.blind[i] == nil && lost > 0 {
				s.blind[i] = fmt.Errorf("%s is too busy to report all lookups: %d or more were left out", s.live[i], lost)
			}
		})
	}
	all.Wait()
}

// unwatched returns why the lookups of some servers are not known.
func (s *cacheServers) unwatched() []error {
	return slices.DeleteFunc(slices.Clone(s.blind), func(err error) bool { return err == nil })
}

// lookups returns the lookups of a canary.
func (s *cacheServers) lookups(pr *probe) []liveLookup {
	return s.seen(func(l cachewriter.Lookup) bool { return !l.Write && pr.isIn(l.Key) })
}

// traces returns the lookups of a canary, and what was written for it.
func (s *cacheServers) traces(pr *probe) []liveLookup {
	return s.seen(func(l cachewriter.Lookup) bool { return pr.isIn(l.Key) })
}

// isIn reports whether a key is about the canary, and nothing else.
func (pr *probe) isIn(key string) bool { return key == pr.key || strings.Contains(key, pr.token) }

// strangers returns some of all lookups.
func (s *cacheServers) strangers() []liveLookup {
	return s.seen(func(l cachewriter.Lookup) bool { return !l.Write })
}

func (s *cacheServers) seen(matches func(cachewriter.Lookup) bool) (seen []liveLookup) {
	for i, w := range s.watchers {
		if w == nil {
			continue
		}
		for _, l := range w.Lookups() {
			if matches(l) {
				seen = append(seen, liveLookup{Server: s.live[i], Key: l.Key, Found: l.Found})
			}
		}
	}
	return seen
}
