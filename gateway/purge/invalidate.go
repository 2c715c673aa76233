package purge

import (
	"context"
	"slices"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
)

// Invalidate purges what an unsafe request has changed. The Request of o is made of scopes.
// The end of ctx ends the wait: what is not done by then is done later.
func (p *Purger) Invalidate(ctx context.Context, o Order, scopes []policy.Scope) *Result {
	o.Request = &Request{}
	for _, s := range scopes {
		o.add(s)
	}
	is, t := p.begin(o), newTally()
	if p.Store != nil && !o.Policy.Observe {
		p.purgeScopes(ctx, o, slices.Concat(p.purgeURLs(ctx, o, t), o.scopes(), o.Groups), t)
	}
	r := t.result(time.Since(is.At))
	p.end(o, is, r)
	return r
}

func (o *Order) add(s policy.Scope) {
	url := "http://" + s.Host + s.URI
	switch s.Kind {
	case policy.ScopeURL:
		o.URLs = append(o.URLs, url)
	case policy.ScopePath:
		o.Paths = append(o.Paths, url)
	case policy.ScopePrefix:
		o.Prefixes = append(o.Prefixes, url)
	case policy.ScopeSite:
		o.Sites = append(o.Sites, s.Host)
	case policy.ScopeTag:
		if s.Host == "" {
			o.Tags = append(o.Tags, s.Tag)
			return
		}
		o.Groups = append(o.Groups, cachewriter.Scope{Kind: cachewriter.ScopeTag, Host: s.Host, Tag: s.Tag})
	}
}
