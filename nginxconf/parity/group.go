package parity

import (
	"slices"

	"uwgate/nginxconf"
)

// A group is the lookups that are checked together, because their misses reach one gateway,
// with what all checks ask of them.
type group struct {
	lookups []Lookup
	passes  []pass // the uwsgi_pass that lead to the gateway

	members   map[*nginxconf.Lookup]bool
	upstreams map[string]bool                     // to which misses go
	addresses map[string]bool                     // of these
	misses    map[*nginxconf.Pass]bool            // to which they go
	pages     map[nginxconf.Block]map[string]bool // of each server: where its error pages for failed lookups lead
	isDerived bool                                // the gateway computes a key itself
	isProven  bool                                // unproven is known
	unproven  error                               // why rewrites may depend on more than the URL
	hasHead   bool                                // there is an srcache_fetch
}

func newGroup(lookups []Lookup) *group {
	g := &group{
		lookups: lookups, members: map[*nginxconf.Lookup]bool{}, upstreams: map[string]bool{}, addresses: map[string]bool{},
		misses: map[*nginxconf.Pass]bool{}, pages: map[nginxconf.Block]map[string]bool{},
	}
	for _, l := range lookups {
		g.members[l.Lookup] = true
		g.isDerived = g.isDerived || l.isDerived()
		g.hasHead = g.hasHead || l.hasHead()
		g.addPages(l)
		if l.Misses != nil {
			g.upstreams[l.Misses.Upstream.Name] = true
			g.addresses[addresses(l.Misses.Upstream)] = true
			g.misses[l.Misses] = true
		}
	}
	return g
}

func (g *group) addPages(l Lookup) {
	for _, page := range l.ErrorPages {
		if !slices.Contains([]int{404, 405, 500, 502, 504}, page.Code) {
			continue
		}
		if g.pages[l.Server] == nil {
			g.pages[l.Server] = map[string]bool{}
		}
		g.pages[l.Server][page.Target] = true
	}
}

// takesMisses reports whether requests that memcached did not serve reach the pass.
func (g *group) takesMisses(p pass) bool {
	return g.misses[p.Pass] || g.pages[p.Server][p.Location.Name]
}

// has reports whether the lookup is one of the group.
func (g *group) has(l *nginxconf.Lookup) bool { return g.members[l] }

// of returns those lookups that are of the group.
func (g *group) of(lookups []*nginxconf.Lookup) (some []Lookup) {
	for _, l := range lookups {
		if g.has(l) {
			some = append(some, Lookup{l})
		}
	}
	return some
}

// status returns the variable with the result of the lookups.
func (g *group) status() string {
	if g.hasHead {
		return fetchStatus
	}
	return "$upstream_status"
}

// leads returns a function that reports whether an upstream leads to the gateway: it has an
// address of the gateway, or the address to which the lookups' misses go.
func (g *group) leads(k *checker) func(nginxconf.Upstream) bool {
	return func(u nginxconf.Upstream) bool { return k.reaches(u) || g.addresses[addresses(u)] }
}
