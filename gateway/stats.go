package gateway

import (
	"context"
	"errors"
	"math"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/gateway/refresh"
	"uwgate/histogram"
)

// Stats is a snapshot of what a Gateway has counted since it started, and of what it is
// doing. The caller owns its maps. They have no entry for what has not happened. What the
// pools, the subscriptions and the store count is in their own Stats.
type Stats struct {
	Listening   ListenStats
	Connections ConnectionStats
	Requests    RequestStats
	Flights     FlightStats
	Spool       SpoolStats
	Refresh     *refresh.Stats // nil: refreshing is turned off
	Purges      purge.Stats
}

// ListenStats are about listeners and connections.
type ListenStats struct {
	Listeners  int               // that accept connections
	Addresses  []string          // of the listeners so far
	Since      time.Time         // the first listener; zero: none yet
	Refused    uint64            // connections from addresses or users that may not connect
	Handshakes map[string]uint64 // over TLS, by result: full, resumed or failed; each has an entry
	Probes     uint64            // connections that were closed before a request
	Pings      uint64
}

// ConnectionStats are about the open connections of clients.
type ConnectionStats struct {
	Open   int64
	Limit  int64  // at which no more are accepted; see Peers.Connections
	Pauses uint64 // how often a listener accepted nothing because of it
}

// RequestStats are about requests and their responses.
type RequestStats struct {
	InFlight    int64
	Statuses    map[int]uint64           // requests by the status in the access log
	Reasons     map[policy.Reason]uint64 // decisions to store a page or not
	Captures    int64                    // bytes of pages that are being copied for the store
	CaptureMax  int64                    // the most of these; 0: no bound
	Observe     bool                     // policy.Observe is in force
	Observed    uint64                   // pages that would have been stored, but for policy.Observe
	Failures    map[string]uint64        // by the side that failed: client, backend or gateway
	VarsDropped map[string]uint64        // by name
	Unheard     uint64                   // unsafe requests whose client left before the response
	Panics      uint64
	Bytes       uint64            // of response bodies that were sent to clients
	Spliced     uint64            // bytes of bodies that the kernel moved
	Verdicts    map[string]uint64 // store, observe and pass; each has an entry
	Took        histogram.Snapshot
	FirstByte   histogram.Snapshot // of requests to which a worker responded
	Queued      histogram.Snapshot // of requests that had to wait for a server
}

// FlightStats are about pages that several requests share.
type FlightStats struct {
	Flights   int               // pages that are being fetched, and may be shared
	Followers int               // requests that wait for a flight, or get its page
	Ends      map[string]uint64 // ends of such waits: shared, failed, refused, late, again, alone, found or left
	Copies    map[string]uint64 // last good copies of pages: kept, lost or served
}

// SpoolStats are about request bodies that wait for a worker.
type SpoolStats struct {
	Memory int64 // bytes of bodies in memory
	Disk   int64 // bytes of bodies in files, including those that have not arrived yet
	Files  int64

	MemoryLimit, DiskLimit int64 // bytes; 0: no bound
}

// Stats returns a snapshot.
func (g *Gateway) Stats() Stats {
	s := &g.stats
	all := Stats{
		Listening: s.listening(),
		Requests:  s.requests(),
		Flights:   FlightStats{Ends: words(&s.waits), Copies: words(&s.copies)},
		Spool: SpoolStats{Memory: g.spoolMemory.used.Load(), Disk: g.spoolDisk.used.Load(), Files: s.spoolFiles.Load(),
			MemoryLimit: bound(g.Uploads.memory()), DiskLimit: bound(g.Uploads.disk())},
		Connections: ConnectionStats{
			Open: g.connections.open.Load(), Limit: g.maxConnections(), Pauses: g.connections.pauses.Load(),
		},
	}
	all.Purges = g.purger().Stats()
	all.Requests.Captures = g.captures.used.Load()
	if p := g.policy(); p != nil {
		all.Requests.CaptureMax, all.Requests.Observe = bound(g.captureMemory(p)), p.Observe
	}
	all.Flights.Flights, all.Flights.Followers = g.flights.count()
	if g.schedules() {
		r := g.schedule().Stats()
		all.Refresh = &r
	}
	return all
}

// bound is a limit, or 0 if there is none.
func bound(limit int64) int64 {
	if limit == math.MaxInt64 || limit < 0 {
		return 0
	}
	return limit
}

// IsStore reports whether nginx's name of a server, an entry of $upstream_addr, is that of a
// memcached server of the policy in force.
func (g *Gateway) IsStore(addr string) bool { return g.policy().Keys.Knows(addr) }

// PublicURI returns a URI as logs and people may see it: without the bypass argument's secret,
// and without its query if HideQuery is set.
func (g *Gateway) PublicURI(uri string) string {
	if g.HideQuery {
		uri, _, _ = strings.Cut(uri, "?")
	}
	return g.policy().Bypass.Public(uri)
}

// Ready returns nil if a listener accepts requests and a server of any pool connections,
// which is tried if none is known to. Else it says what is missing.
func (g *Gateway) Ready(ctx context.Context) error {
	if !g.IsListening() {
		return errors.New("uwgate accepts no requests")
	}
	return g.Backends.Reachable(ctx)
}

// IsListening reports whether a listener accepts connections.
func (g *Gateway) IsListening() bool { return g.stats.listeners.Load() > 0 }

// stats are the counters of a Gateway. The zero value is ready.
type stats struct {
	inFlight                atomic.Int64
	listeners               atomic.Int64  // accepting
	places                  places        // that they are at, or have been
	probes                  atomic.Uint64 // connections closed before a request
	pings                   atomic.Uint64
	panics                  atomic.Uint64
	unheard                 atomic.Uint64 // unsafe requests whose client left before the response
	peersRefused            atomic.Uint64
	handshakes              countMap[string]
	observed                atomic.Uint64 // pages that would have been stored
	bytes                   atomic.Uint64
	spliced                 atomic.Uint64
	spoolFiles              atomic.Int64
	statuses                [1000]atomic.Uint64
	reasons                 countMap[policy.Reason]
	failures                countMap[side]
	waits                   countMap[wait]
	copies                  countMap[copyEvent]
	vars                    countMap[string] // dropped; the firewall bounds the names
	stored, watched, passed atomic.Uint64    // verdicts: store, observe and pass
	took                    histogram.Histogram
	firstByte               histogram.Histogram
	queued                  histogram.Histogram
}

// count adds one request.
func (s *stats) count(r *record, err error) {
	if r.status > 0 && r.status < len(s.statuses) {
		s.statuses[r.status].Add(1)
	}
	s.bytes.Add(uint64(r.bytes))
	s.took.Observe(r.course.took)
	if r.course.firstByte > 0 {
		s.firstByte.Observe(r.course.firstByte)
	}
	if r.course.queued > 0 {
		s.queued.Observe(r.course.queued)
	}
	s.verdictOf(r).Add(1)
	if r.reason != "" {
		s.reasons.add(r.reason)
	}
	if f, ok := errors.AsType[*failure](err); ok {
		s.failures.add(f.side)
	}
}

// verdictOf is the counter of what the record's decision says.
func (s *stats) verdictOf(r *record) *atomic.Uint64 {
	switch {
	case r.ttl > 0 && r.observe:
		return &s.watched
	case r.ttl > 0:
		return &s.stored
	}
	return &s.passed
}

func (s *stats) verdicts() map[string]uint64 {
	return map[string]uint64{"store": s.stored.Load(), "observe": s.watched.Load(), "pass": s.passed.Load()}
}

func (s *stats) listening() ListenStats {
	addresses, since := s.places.all()
	l := ListenStats{
		Listeners: int(s.listeners.Load()), Addresses: addresses, Since: since,
		Refused: s.peersRefused.Load(), Handshakes: words(&s.handshakes),
		Probes: s.probes.Load(), Pings: s.pings.Load(),
	}
	for _, result := range []string{handshakeFull, handshakeResumed, handshakeFailed} {
		l.Handshakes[result] += 0
	}
	return l
}

func (s *stats) requests() RequestStats {
	r := RequestStats{
		InFlight: s.inFlight.Load(), Statuses: map[int]uint64{}, Reasons: s.reasons.all(), Observed: s.observed.Load(),
		Failures: words(&s.failures), VarsDropped: words(&s.vars), Unheard: s.unheard.Load(), Panics: s.panics.Load(),
		Bytes: s.bytes.Load(), Spliced: s.spliced.Load(), Took: s.took.Snapshot(minTook, maxTook),
		Verdicts: s.verdicts(), FirstByte: s.firstByte.Snapshot(minTook, maxTook), Queued: s.queued.Snapshot(minTook, maxTook),
	}
	for code := range s.statuses {
		if n := s.statuses[code].Load(); n > 0 {
			r.Statuses[code] = n
		}
	}
	return r
}

// splice adds bytes of bodies, either way, that the kernel has moved.
func (s *stats) splice(n int) { s.spliced.Add(uint64(n)) }

func (s *stats) dropVars(names []string) {
	for _, name := range names {
		s.vars.add(name)
	}
}

// A countMap counts by a word out of a small set. The zero value is ready.
type countMap[K ~string] struct{ m sync.Map }

func (c *countMap[K]) add(k K) {
	n, ok := c.m.Load(k)
	if !ok {
		n, _ = c.m.LoadOrStore(k, new(atomic.Uint64))
	}
	n.(*atomic.Uint64).Add(1)
}

// count returns how often k has been counted.
func (c *countMap[K]) count(k K) uint64 {
	n, ok := c.m.Load(k)
	if !ok {
		return 0
	}
	return n.(*atomic.Uint64).Load()
}

// all returns what has been counted.
func (c *countMap[K]) all() map[K]uint64 {
	counts := make(map[K]uint64)
	c.m.Range(func(k, n any) bool {
		counts[k.(K)] = n.(*atomic.Uint64).Load()
		return true
	})
	return counts
}

// words is all, for those who do not know K.
func words[K ~string](c *countMap[K]) map[string]uint64 {
	counts := make(map[string]uint64)
	for word, n := range c.all() {
		counts[string(word)] = n
	}
	return counts
}

// minTook and maxTook are the bounds of the first and the last bucket of requests' times:
// from a page that was ready to a worker's harakiri.
const (
	minTook = time.Millisecond
	maxTook = time.Minute
)

// places are the addresses that Serve listens on. The zero value is ready.
type places struct {
	mu        sync.Mutex // guards what follows
	addresses []string
	since     time.Time // the first
}

func (p *places) add(addr net.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() {
		p.since = time.Now()
	}
	p.addresses = append(p.addresses, addr.String())
}

func (p *places) all() (addresses []string, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.addresses...), p.since
}
