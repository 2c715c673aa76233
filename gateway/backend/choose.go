package backend

import "time"

// order appends every node to nodes, in the order in which to try them: first
// the choice of smooth weighted round robin among those that are up, then the
// other ones that are up, then the ejected ones, the longest ejected first,
// and avoid at the very end.
func (p *Pool) order(nodes []*Node, avoid *Node) []*Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	choice := p.choose(now, avoid)
	if choice != nil {
		nodes = append(nodes, choice)
	}
	rest := len(nodes)
	for _, n := range p.nodes {
		if n != choice && n != avoid {
			nodes = append(nodes, n)
		}
	}
	sortByRetry(nodes[rest:])
	if avoid != nil && avoid != choice {
		nodes = append(nodes, avoid)
	}
	return nodes
}

// choose is ngx_http_upstream_get_peer: every node gains its weight, the one
// with the most is chosen and pays the total. So weights 3:2 come out as
// a b a b a, not a a a b b.
func (p *Pool) choose(now time.Time, avoid *Node) *Node {
	var best *Node
	total := 0
	for _, n := range p.nodes {
		if n == avoid || n.ejected(now) {
			continue
		}
		n.current += n.weight
		total += n.weight
		if best == nil || n.current > best.current {
			best = n
		}
	}
	if best == nil {
		return nil
	}
	best.current -= total
	if best.backoff > 0 {
		// The pause is over: this request tries the node, the others wait
		// for the outcome.
		best.retryAt = now.Add(best.backoff)
	}
	return best
}

func (n *Node) ejected(now time.Time) bool {
	return n.backoff > 0 && now.Before(n.retryAt)
}

// sortByRetry sorts by insertion: pools are small and nearly always sorted,
// since a node that is up has no retryAt.
func sortByRetry(nodes []*Node) {
	for i := 1; i < len(nodes); i++ {
		for j := i; j > 0 && nodes[j].retryAt.Before(nodes[j-1].retryAt); j-- {
			nodes[j], nodes[j-1] = nodes[j-1], nodes[j]
		}
	}
}

// eject keeps n from being anyone's first choice for a while. It returns that
// while, and whether n was up until now.
func (p *Pool) eject(n *Node) (pause time.Duration, news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch {
	case n.backoff == 0:
		n.backoff, n.current, news = minBackoff, 0, true
	case now.Sub(n.ejectedAt) >= n.backoff:
		n.backoff = min(2*n.backoff, maxBackoff)
	default:
		return n.backoff, false // one of many attempts that were under way
	}
	n.ejectedAt, n.retryAt = now, now.Add(n.backoff)
	return n.backoff, news
}

// restore reports whether n had been ejected.
func (p *Pool) restore(n *Node) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.backoff == 0 {
		return false
	}
	n.backoff, n.ejectedAt, n.retryAt = 0, time.Time{}, time.Time{}
	return true
}

// NodeStats is what a pool tells about one of its servers.
type NodeStats struct {
	Name       string
	Up         bool   // not ejected
	Requests   uint64 // connections made
	DialErrors uint64 // connects refused, failed or timed out
	Busy       uint64 // connects that found a full backlog
}

// Stats returns the servers in configuration order.
func (p *Pool) Stats() []NodeStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := make([]NodeStats, len(p.nodes))
	for i, n := range p.nodes {
		stats[i] = NodeStats{n.name, n.backoff == 0, n.requests.Load(), n.dialErrors.Load(), n.busy.Load()}
	}
	return stats
}
