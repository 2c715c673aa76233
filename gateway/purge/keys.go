package purge

import (
	"context"
	"sync"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// purgeKeys deletes the pages whose keys are known, all within the time that one may take.
func (p *Purger) purgeKeys(ctx context.Context, o Order, t *tally) {
	if len(o.URLs) == 0 {
		return
	}
	var all sync.WaitGroup
	for _, k := range o.Keys {
		all.Go(func() { p.purgeKey(ctx, o, k, t) })
	}
	all.Wait()
}

func (p *Purger) purgeKey(ctx context.Context, o Order, k policy.Target, t *tally) {
	e := cachewriter.Entry{Key: k.Key, Addr: k.Addr}
	u, _ := p.Store.Usage(ctx, e) // only for the count
	servers := p.Store.Pick(k.Key)
	for _, server := range servers {
		t.add(server, func(s *Server) {
			if u != nil {
				s.Found++
			}
		})
	}
	if o.DryRun {
		return
	}
	if p.Forget != nil {
		p.Forget(k.Key)
	}
	err := p.Store.Delete(ctx, e)
	for _, server := range servers {
		t.add(server, func(s *Server) {
			switch {
			case err != nil:
				s.Pending, s.Error = true, err.Error()
			case u != nil:
				s.Deleted++
			}
		})
	}
}
