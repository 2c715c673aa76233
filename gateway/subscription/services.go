package subscription

import (
	"cmp"
	"slices"
	"time"

	"uwgate/gateway/backend"
)

// A Service is a key and its pool.
type Service struct {
	Key  string
	Pool *backend.Pool
	Seen map[string]time.Time // the last announcement of each server, by its address
}

// Services returns all keys that servers have announced themselves for, in their
// order.
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
