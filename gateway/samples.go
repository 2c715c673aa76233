package gateway

import (
	"sync"
	"time"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// samples hold a request of nobody for each site, of which those for other pages of the site
// are made. The zero value is ready; it is safe for concurrent use.
type samples struct {
	mu  sync.Mutex // guards all
	all map[string][]sample
}

// A sample is a request that a stored page was the response to, without its visitor.
type sample struct {
	vars uwsgi.Vars
	way  string // how visitors come: the scheme and the port
	at   time.Time
}

const (
	maxSampledSites = 256
	maxSampledWays  = 4                // of a site
	sampleLife      = 30 * time.Second // until it is taken again: nginx's configuration may change
)

// add keeps a request that was a stranger's, unless there is a new one already.
func (s *samples) add(p *policy.Policy, v uwsgi.Vars, plan policy.Plan, now time.Time) {
	host, way := policy.HostOf(v), v.Get("REQUEST_SCHEME")+" "+v.Get("SERVER_PORT")
	if s.isNew(host, way, now) {
		return
	}
	if vars := p.Anonymous(v, plan); vars != nil {
		s.put(host, sample{vars, way, now})
	}
}

func (s *samples) isNew(host, way string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.all[host] {
		if have.way == way {
			return now.Sub(have.at) < sampleLife
		}
	}
	return false
}

func (s *samples) put(host string, n sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string][]sample{}
	}
	ways := []sample{n}
	for _, have := range s.all[host] {
		if have.way != n.way && len(ways) < maxSampledWays {
			ways = append(ways, have)
		}
	}
	s.all[host] = ways
	for other := range s.all {
		if len(s.all) <= maxSampledSites {
			return
		}
		if other != host {
			delete(s.all, other)
		}
	}
}

// of returns the requests of a site, the last one first.
func (s *samples) of(host string) (all []uwsgi.Vars) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.all[host] {
		all = append(all, have.vars)
	}
	return all
}
