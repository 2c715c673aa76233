package backend

import "time"

// NodeStats are the state and the counts of one server.
type NodeStats struct {
	Pool       string
	Name       string
	Up         bool      // not ejected
	EjectedAt  time.Time // zero if it is up
	Requests   uint64    // connections made
	DialErrors uint64    // connects refused, failed or timed out
	Busy       uint64    // connects that found a full backlog
	InFlight   int       // requests that have a place
	Limit      int       // the most requests at a time; 0: no limit

	Received, Sent uint64 // bytes: see [Node.Count]

	Weight, Cores, Load  int
	Backup, Unproven     bool
	Modifier1, Modifier2 uint8
}

// PoolStats are the counts of a pool's queue and retries.
type PoolStats struct {
	Name          string
	Waiting       int    // requests in the queue
	Requests      uint64 // requests that asked for a server
	Queued        uint64 // requests that had to wait
	QueueFull     uint64 // requests for which the queue had no room
	QueueTimeouts uint64 // requests that waited for QueueTimeout
	Retries       uint64 // requests that were sent to another server
	RetriesDenied uint64 // retries that the budget did not allow
	Shortages     uint64 // connects for which this machine had no descriptor, port or memory
}

// Stats returns the state of all servers, in the order of the configuration.
func (p *Pool) Stats() []NodeStats {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	stats := make([]NodeStats, len(p.nodes))
	for i, n := range p.nodes {
		stats[i] = NodeStats{
			Pool: p.Name, Name: n.name, Up: !n.isEjected(), EjectedAt: n.since,
			Requests: n.requests.Load(), DialErrors: n.dialErrors.Load(), Busy: n.busy.Load(),
			Received: n.received.Load(), Sent: n.sent.Load(),
			InFlight: n.inFlight, Limit: max(n.limit(), 0),
			Weight: int(n.weight()), Cores: n.spec.Cores, Load: n.spec.Load,
			Backup: n.spec.Backup, Unproven: n.unproven,
		}
		stats[i].Modifier1, stats[i].Modifier2 = n.modifiers()
	}
	return stats
}

// PoolStats returns the counts of the pool itself.
func (p *Pool) PoolStats() PoolStats {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	return PoolStats{
		Name: p.Name, Waiting: p.queue.length, Requests: c.requests, Queued: c.queued, QueueFull: c.queueFull,
		QueueTimeouts: c.queueTimeouts, Retries: c.retries, RetriesDenied: c.retriesDenied, Shortages: c.shortages,
	}
}
