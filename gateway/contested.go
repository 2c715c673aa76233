package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"uwgate/gateway/policy"
)

// Contested are the keys that nginx looks up for more than one target: see
// policy.Plan. A page that is stored under one would be served in the place of
// another, say in the place of its own fragments. So nothing is stored there as long
// as requests for other targets come. The zero value is ready.
type contested struct {
	count atomic.Int32 // of keys, to spare the lock where there are none

	mu   sync.Mutex
	keys map[string]time.Time // when each was contested last
}

const (
	// contestedFor is how long nothing is stored under a key after it was contested.
	contestedFor = 10 * time.Second

	// contestedAgain is how long after a delete no other one is needed. Another
	// gateway, which has not seen the other targets, may have stored a page.
	contestedAgain = time.Second

	maxContested = 4096
)

// add takes a key in, and reports whether what is stored there is to be deleted. If
// there are too many keys it only reports.
func (c *contested) add(key string, now time.Time) (remove bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.keys[key]
	if known && now.Sub(last) < contestedAgain {
		return false
	}
	if !known && len(c.keys) >= maxContested {
		c.sweep(now)
	}
	if known || len(c.keys) < maxContested {
		if c.keys == nil {
			c.keys = make(map[string]time.Time)
		}
		c.keys[key] = now
	}
	c.count.Store(int32(len(c.keys)))
	return true
}

// sweep removes the keys whose time is up.
func (c *contested) sweep(now time.Time) {
	for key, last := range c.keys {
		if now.Sub(last) >= contestedFor {
			delete(c.keys, key)
		}
	}
}

func (c *contested) has(key string, now time.Time) bool {
	if c.count.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last, known := c.keys[key]
	return known && now.Sub(last) < contestedFor
}

// contest keeps pages from keys that are looked up for more than one target.
func (x *exchange) contest(ctx context.Context) {
	p := &x.page
	switch {
	case p.plan.Contested:
		if x.g.contested.add(p.plan.Key, time.Now()) {
			x.delete(ctx, []policy.Target{{Key: p.plan.Key, Addr: p.plan.Addr}})
		}
	case p.plan.Reason == "" && p.isContested():
		p.plan.Reason = policy.Rewritten
	case p.plan.Reason == "" && p.plan.Page != "":
		x.meetKey(ctx)
	}
}
