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

// purgeURLs deletes the entries of single URLs that are known, so that the next visitor does
// not wait for a walk. It returns the scopes of the URLs: pages may have other keys, and a
// page may be stored under another spelling of its URL.
func (p *Purger) purgeURLs(ctx context.Context, o Order, t *tally) (scopes []cachewriter.Scope) {
	var keys []policy.Target
	for _, text := range o.URLs {
		u, _ := ParseURL(text) // Check has read it
		v := o.Policy.VariantsOf(o.Vars, u.Host, u.URI)
		scopes = append(scopes, cachewriter.Scope{Kind: cachewriter.ScopeURL, Host: u.Host, URI: v.URI})
		if !o.DryRun && !o.fetches() { // else the walk counts them, and says which are visited
			keys = append(keys, v.Targets...)
		}
	}
	var all errgroup.Group
	all.SetLimit(maxDeletes)
	for _, k := range keys {
		all.Go(func() error {
			p.purgeKey(ctx, k, t)
			return nil
		})
	}
	all.Wait()
	return scopes
}

// purgeKey deletes one entry. It looks before: a delete does not tell whether there was
// anything.
func (p *Purger) purgeKey(ctx context.Context, k policy.Target, t *tally) {
	e := cachewriter.Entry{Key: k.Key, Addr: k.Addr}
	u, _ := p.Store.Usage(ctx, e)
	if p.Forget != nil {
		p.Forget(k.Key)
	}
	err := p.Store.Delete(ctx, e)
	for _, server := range p.Store.Pick(k.Key) {
		t.add(server, func(s *Server) {
			if u != nil {
				s.Found++
			}
			if u != nil && err == nil {
				s.Deleted++
			}
			s.fail(err, true)
		})
	}
}
