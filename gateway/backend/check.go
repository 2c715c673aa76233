package backend

import (
	"context"
	"fmt"
	"sync"
)

// Check connects once to each server of all pools, so that the log names those that do not
// accept connections before a visitor comes, and Reachable knows. It returns when all have
// accepted or failed, or ctx is done.
func (ps *Pools) Check(ctx context.Context) {
	var all sync.WaitGroup
	for _, p := range ps.All() {
		all.Go(func() { p.check(ctx) })
	}
	all.Wait()
}

func (p *Pool) check(ctx context.Context) {
	p.init()
	if err := p.begin(ctx); err != nil {
		return
	}
	p.mu.Lock()
	nodes := append([]*Node(nil), p.nodes...)
	p.mu.Unlock()
	var all sync.WaitGroup
	places := make(chan struct{}, maxProbes)
	for _, n := range nodes {
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			p.knock(ctx, n)
		})
	}
	all.Wait()
}

// knock connects to n, and ejects or restores it.
func (p *pool) knock(ctx context.Context, n *Node) error {
	nc, err := p.dial(ctx, n, p.options().dialTimeout())
	if err == nil {
		nc.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case n.gone || p.closed || n.spec.Down:
		return fmt.Errorf("%s is down by its settings", n)
	case err == nil && n.backoff > 0 && !n.hung:
		p.restore(n)
	case err != nil && ctx.Err() == nil && !isOurs(err) && !(&dialing{p: p}).isFull(n, err):
		err = fmt.Errorf("connect to %s: %w", n, cause(err))
		p.eject(n, err)
		p.dispatch()
	}
	return err
}

// Reachable returns nil if a server of any pool is known to accept connections, or does when
// it is tried now. Else it says why one of them does not.
func (ps *Pools) Reachable(ctx context.Context) error {
	pools := ps.All()
	for _, p := range pools {
		if p.isUp() {
			return nil
		}
	}
	err := fmt.Errorf("%w: there are no servers", ErrUnavailable)
	for _, p := range pools {
		p.mu.Lock()
		nodes := p.nodes[:min(len(p.nodes), maxAttempts)]
		p.mu.Unlock()
		for _, n := range nodes {
			failed := p.knock(ctx, n)
			if failed == nil {
				return nil
			}
			err = fmt.Errorf("%w: %w", ErrUnavailable, failed)
		}
	}
	return err
}

func (p *Pool) isUp() bool {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.isAway()
}
