package subscription

import (
	"cmp"
	"slices"
	"time"

	"uwgate/gateway/backend"
)

// Stats are counts since the start, except Keys and Nodes, which are the keys and the
// servers now.
type Stats struct {
	Keys, Nodes              int
	Announced, Left, Expired uint64
	Refused                  map[Refusal]uint64
}

// Stats returns the numbers of the registry.
func (s *Registry) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.counts
	stats.Keys, stats.Nodes = len(s.services), len(s.deadlines)
	stats.Refused = s.refusals.all()
	return stats
}

// A Service is a key and its pool.
type Service struct {
	Key  string
	Pool *backend.Pool
	Seen map[string]time.Time // the last announcement of each server, by its address
}

// Services returns the keys that servers have announced, sorted.
func (s *Registry) Services() []Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Service, 0, len(s.services))
	for _, sv := range s.services {
		seen := make(map[string]time.Time, len(sv.members))
		for _, m := range sv.members {
			seen[m.Addr] = m.seen
		}
		all = append(all, Service{sv.key, sv.pool, seen})
	}
	slices.SortFunc(all, func(a, b Service) int { return cmp.Compare(a.Key, b.Key) })
	return all
}
