package purge

import (
	"context"

	"golang.org/x/sync/errgroup"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// maxDeletes bounds the deletes of one purge that are under way. Each has only so much time,
// and must not spend it waiting for the others.
const maxDeletes = 16

// purgeURLs deletes the pages of single URLs whose keys are known. It returns the scopes of
// those URLs that may have other keys, too.
func (p *Purger) purgeURLs(ctx context.Context, o Order, t *tally) (rest []cachewriter.Scope) {
	var keys []policy.Target
	for _, text := range o.URLs {
		u, _ := ParseURL(text) // Check has read it
		v := o.Policy.VariantsOf(o.Vars, u.Host, u.URI)
		if !v.Complete || o.fetches() {
			rest = append(rest, cachewriter.Scope{Kind: cachewriter.ScopeURL, Host: u.Host, URI: v.URI})
			if o.DryRun || o.fetches() {
				continue // the walk counts them, and says which are visited
			}
		}
		keys = append(keys, v.Targets...)
	}
	var all errgroup.Group
	all.SetLimit(maxDeletes)
	for _, k := range keys {
		all.Go(func() error {
			p.purgeKey(ctx, k, o.DryRun, t)
			return nil
		})
	}
	all.Wait()
	return rest
}

// purgeKey deletes one entry. It looks before: a delete does not tell whether there was
// anything.
func (p *Purger) purgeKey(ctx context.Context, k policy.Target, dry bool, t *tally) {
	e := cachewriter.Entry{Key: k.Key, Addr: k.Addr}
	u, _ := p.Store.Usage(ctx, e)
	var err error
	if !dry {
		if p.Forget != nil {
			p.Forget(k.Key)
		}
		err = p.Store.Delete(ctx, e)
	}
	for _, server := range p.Store.Pick(k.Key) {
		t.add(server, func(s *Server) {
			if u != nil {
				s.Found++
			}
			switch {
			case err != nil:
				s.Pending, s.Error = true, forPeople(err.Error())
			case u != nil && !dry:
				s.Deleted++
			}
		})
	}
}
