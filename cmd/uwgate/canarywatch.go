package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"uwgate/cachewriter"
)

// watch has the servers tell what they are asked for from now on. That is work for
// a busy memcached, so nothing is watched unless something is off.
func (p *liveProof) watch(ctx context.Context) {
	p.watchers = make([]*cachewriter.Watcher, len(p.live))
	p.blind = make([]error, len(p.live))
	ctx, cancel := context.WithTimeout(ctx, 2*memcachedTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i, addr := range p.live {
		all.Go(func() { p.watchers[i], p.blind[i] = cachewriter.Watch(ctx, addr, isWanted()) })
	}
	all.Wait()
}

// maxStrangers is how many keys of others are kept of each server, in case that
// nginx's key does not contain the URL.
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

// settle waits until what was asked before has been told. A server that once did not
// tell is not waited for again.
func (p *liveProof) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i, w := range p.watchers {
		if p.blind[i] != nil {
			continue
		}
		all.Go(func() {
			p.blind[i] = w.Settle(ctx)
			if lost := w.Lost(); p.blind[i] == nil && lost > 0 {
				p.blind[i] = fmt.Errorf("%s is too busy to tell all that it is asked: %d lookups or more were left out", p.live[i], lost)
			}
		})
	}
	all.Wait()
}

// unwatched tells of the servers of which it is not known what they were asked.
func (p *liveProof) unwatched() []error {
	return slices.DeleteFunc(slices.Clone(p.blind), func(err error) bool { return err == nil })
}

// lookups are what the servers were asked for on behalf of a canary.
func (p *liveProof) lookups(pr *probe) []liveLookup {
	return p.told(func(l cachewriter.Lookup) bool { return !l.Write && pr.isIn(l.Key) })
}

// traces are lookups, and what was written on behalf of a canary.
func (p *liveProof) traces(pr *probe) []liveLookup {
	return p.told(func(l cachewriter.Lookup) bool { return pr.isIn(l.Key) })
}

// isIn reports whether a key is about the canary, and nothing else.
func (pr *probe) isIn(key string) bool { return key == pr.key || strings.Contains(key, pr.token) }

// strangers are some of all that they were asked for.
func (p *liveProof) strangers() []liveLookup {
	return p.told(func(l cachewriter.Lookup) bool { return !l.Write })
}

func (p *liveProof) told(matches func(cachewriter.Lookup) bool) (told []liveLookup) {
	for i, w := range p.watchers {
		if w == nil {
			continue
		}
		for _, l := range w.Lookups() {
			if matches(l) {
				told = append(told, liveLookup{Server: p.live[i], Key: l.Key, Found: l.Found})
			}
		}
	}
	return told
}
