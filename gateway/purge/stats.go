package purge

import (
	"maps"
	"sync"
)

// Why purges are refused.
const (
	RefusedForbidden = "forbidden" // the client may not purge
	RefusedRate      = "rate"      // there are too many
	RefusedMalformed = "malformed" // it is not understood
)

// A Kind is a mode of purges and what became of them.
type Kind struct{ Mode, Outcome string }

// Stats is what a Purger has counted. The caller owns the maps.
type Stats struct {
	Purges  map[Kind]uint64
	Refused map[string]uint64 // by one of the words above; each has an entry
	Deleted uint64            // pages
	Fetched uint64            // pages that were fetched again
	Failed  uint64            // pages that were not, and deleted
	Waiting int               // pages that wait to be fetched again
}

// Stats returns a snapshot.
func (p *Purger) Stats() Stats {
	s := &p.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	all := Stats{Purges: map[Kind]uint64{}, Refused: map[string]uint64{RefusedForbidden: 0, RefusedRate: 0, RefusedMalformed: 0}, Deleted: s.all.Deleted, Fetched: s.all.Fetched, Failed: s.all.Failed, Waiting: p.queue.len()}
	maps.Copy(all.Purges, s.all.Purges)
	maps.Copy(all.Refused, s.all.Refused)
	return all
}

// stats are the counters of a Purger. The zero value is ready.
type stats struct {
	mu      sync.Mutex // guards what follows
	all     Stats
	running []*Purged
	recent  []Purged // the latest first
}

func (s *stats) add(o Order, r *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all.Purges == nil {
		s.all.Purges = map[Kind]uint64{}
	}
	s.all.Purges[Kind{o.Mode(), r.Status}]++
	s.all.Deleted += uint64(r.Deleted)
}

func (s *stats) refused(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all.Refused == nil {
		s.all.Refused = map[string]uint64{}
	}
	s.all.Refused[why]++
}

func (s *stats) refetched(fetched bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fetched {
		s.all.Fetched++
	} else {
		s.all.Failed++
	}
}
