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

// A Refusal is the reason why a datagram had no effect. It is the same word in the log
// and in the metrics.
type Refusal string

// The refusals.
const (
	RefusedSource    Refusal = "source"    // it did not come from one of Networks
	RefusedRate      Refusal = "rate"      // its source is over Rate
	RefusedFormat    Refusal = "format"    // it is not a valid subscription
	RefusedKey       Refusal = "key"       // its key is not one of Keys
	RefusedModifier  Refusal = "modifier"  // its modifiers are not in AllowModifiers
	RefusedAddress   Refusal = "address"   // its address is not usable, or not in Networks
	RefusedSignature Refusal = "signature" // its signature is missing or wrong
	RefusedReplay    Refusal = "replay"    // it was signed no later than another one, or too long ago
	RefusedFull      Refusal = "full"      // it is over MaxKeys or MaxNodes
)

// A refusal is the error of a datagram that is refused.
type refusal struct {
	reason Refusal
	err    error
}

func refuse(r Refusal, format string, args ...any) error {
	return &refusal{r, fmt.Errorf(format, args...)}
}

func (r *refusal) Error() string { return r.err.Error() }

// refusals counts refusals, and limits their lines in the log to one a second.
type refusals struct {
	mu     sync.Mutex // guards what follows
	counts map[Refusal]uint64
	logged time.Time
	since  int // refusals after that line
}

func (r *refusals) all() map[Refusal]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// add counts a refusal. It reports whether to log it, and how many refusals before it
// were not logged.
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

// refused counts a refusal and logs it if it is due.
func (s *Registry) refused(r *refusal, from source, now time.Time) {
	if silent, ok := s.refusals.add(r.reason, now); ok {
		s.log().Warn("subscription refused", zap.String("reason", string(r.reason)), zap.Stringer("from", from),
			zap.Int("refused_before", silent), zap.Error(r))
	}
}

// rates bounds the datagrams of each source. Sources are hashed to a fixed number of
// slots and share the rate of their slot, so the table does not grow. The zero value is
// ready.
type rates struct {
	mu    sync.Mutex // guards what follows
	seed  maphash.Seed
	ready bool
	slots [1024]time.Time // when everything that came would have come at exactly the rate
}

// take counts a datagram if it is within the rate, and reports whether it is. Twice the rate
// may come at once.
func (r *rates) take(from source, perSecond int, now time.Time) bool {
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

// sender returns what one sender owns: an address of IPv4, or a /64 network of IPv6.
func sender(ip netip.Addr) netip.Addr {
	if !ip.Is6() {
		return ip
	}
	prefix, _ := ip.WithZone("").Prefix(64)
	return prefix.Addr()
}
