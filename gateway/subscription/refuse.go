package subscription

import (
	"fmt"
	"hash/maphash"
	"maps"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"
)

// A Refusal says why a datagram had no effect. It is the same in log and metric.
type Refusal string

// The refusals.
const (
	RefusedSource    Refusal = "source"    // not from Networks
	RefusedRate      Refusal = "rate"      // over Rate
	RefusedFormat    Refusal = "format"    // no subscription
	RefusedKey       Refusal = "key"       // not one of Keys
	RefusedModifier  Refusal = "modifier"  // not in AllowModifiers
	RefusedAddress   Refusal = "address"   // incomplete, or not in Networks
	RefusedSignature Refusal = "signature" // missing or wrong
	RefusedReplay    Refusal = "replay"    // not newer than one before
	RefusedFull      Refusal = "full"      // over MaxKeys or MaxNodes
)

type refusal struct {
	reason Refusal
	err    error
}

func refuse(r Refusal, format string, args ...any) error {
	return &refusal{r, fmt.Errorf(format, args...)}
}

func (r *refusal) Error() string { return r.err.Error() }

// Stats are numbers since the start, but for Keys and Nodes.
type Stats struct {
	Keys, Nodes              int
	Announced, Left, Expired uint64
	Refused                  map[Refusal]uint64
}

// Stats returns the numbers of the server.
func (s *Registry) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.counts
	stats.Keys, stats.Nodes = len(s.services), len(s.deadlines)
	stats.Refused = s.refusals.all()
	return stats
}

// refusals counts, and keeps a flood out of the log.
type refusals struct {
	mu     sync.Mutex // guards what follows
	counts map[Refusal]uint64
	logged time.Time
	since  int // refusals that were not logged
}

func (r *refusals) all() map[Refusal]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// add counts one, and tells whether to log it and how many before it were not.
func (r *refusals) add(reason Refusal, now time.Time) (silent int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = make(map[Refusal]uint64)
	}
	r.counts[reason]++
	if now.Sub(r.logged) < time.Second {
		r.since++
		return 0, false
	}
	silent, r.since, r.logged = r.since, 0, now
	return silent, true
}

func (s *Registry) refused(r *refusal, from source, now time.Time) {
	if silent, ok := s.refusals.add(r.reason, now); ok {
		s.log().Warn("subscription refused", zap.String("reason", string(r.reason)), zap.Stringer("from", from),
			zap.Int("refused_before", silent), zap.Error(r))
	}
}

// rates bounds what one source can cause. Sources that share a slot share its
// rate, so that the table needs no room for new ones. The zero value is ready.
type rates struct {
	mu    sync.Mutex // guards what follows
	seed  maphash.Seed
	ready bool
	slots [1024]time.Time // when all that came would have come at the rate
}

// allow lets twice the rate pass at once.
func (r *rates) allow(from source, perSecond int, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ready {
		r.seed, r.ready = maphash.MakeSeed(), true
	}
	due := &r.slots[maphash.Comparable(r.seed, sender(from.ip))%uint64(len(r.slots))]
	if due.Before(now) {
		*due = now
	}
	if due.Sub(now) > 2*time.Second {
		return false
	}
	*due = due.Add(time.Second / time.Duration(perSecond))
	return true
}

// sender is what one sender has for itself: an address, or a /64 of IPv6.
func sender(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	prefix, _ := ip.WithZone("").Prefix(64)
	return prefix.Addr()
}
