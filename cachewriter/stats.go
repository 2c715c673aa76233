package cachewriter

import (
	"maps"
	"time"

	"uwgate/histogram"
)

// A Drop is the reason why an entry that Put accepted, or refused, is not on a
// server. The words are fit for a metric's label.
type Drop string

const (
	DropQueueFull  Drop = "queue-full"  // the queue had no room
	DropServerDown Drop = "server-down" // the server's breaker was open, or has opened
	DropExpired    Drop = "expired"     // it expired in the queue
	DropSuperseded Drop = "superseded"  // a later Put or a Delete of the same key came first
	DropClosed     Drop = "closed"      // Close gave up
	DropPurged     Drop = "purged"      // its page was purged after it was requested; what was stored is deleted
)

var drops = [...]Drop{DropQueueFull, DropServerDown, DropExpired, DropSuperseded, DropClosed, DropPurged}

// Stats are a Writer's counters, which only grow, and gauges.
type Stats struct {
	Total   ServerStats   // the sum of Servers; without Addr, Breaker and LastError
	Queue   QueueLimits   // over all servers
	Servers []ServerStats // in the order of the ring
}

// ServerStats count entries at one address. An entry for several servers counts at
// each of them.
type ServerStats struct {
	Addr string

	QueuedEntries int   // gauge: waiting or being written; see QueueLimits
	QueuedBytes   int64 // gauge: of their keys and bodies
	Deleting      int   // gauge: keys that Deletes under way remove; each Delete ends after Timeout
	Waiting       int   // gauge: meta commands without a response; 1024 at most

	Stored  uint64 // memcached has stored it
	Refused uint64 // memcached responded with an error, such as "object too large"
	Failed  uint64 // connect error, timeout, malformed response
	Dropped map[Drop]uint64

	Deletes      uint64 // the key is gone, or was not there
	DeleteErrors uint64 // Delete returned an error
	Purges       uint64 // wide purges that are complete
	Walks        uint64 // through all keys of the server, to their end
	WalkErrors   uint64 // walks that failed before
	WalkTime     time.Duration
	Pending      PendingStats

	Breaker   BreakerState
	LastError string // of the last operation that was refused or failed

	Latency histogram.Snapshot // of the writes that memcached responded to
}

// PendingStats count deletes that did not reach their server at once.
type PendingStats struct {
	Entries int    // gauge: have not reached it yet; see PendingLimits
	Done    uint64 // have reached it later
	Lost    uint64 // were dropped, since there were too many
	Purges  int    // gauge: wide purges that have not reached it
}

// minLatency and maxLatency are the bounds of Latency's first and last bucket. They suit
// a cache on the same machine and one across a network, up to the default Timeout.
const (
	minLatency = 100 * time.Microsecond
	maxLatency = 250 * time.Millisecond
)

// newServerStats sets every reason of Dropped to 0, so that each is a metric from the
// start.
func newServerStats(addr string) ServerStats {
	s := ServerStats{Addr: addr, Dropped: make(map[Drop]uint64, len(drops))}
	for _, d := range drops {
		s.Dropped[d] = 0
	}
	return s
}

func (s *ServerStats) clone() ServerStats {
	c := *s
	c.Dropped = maps.Clone(s.Dropped)
	return c
}

func (s *ServerStats) add(o ServerStats) {
	s.QueuedEntries += o.QueuedEntries
	s.QueuedBytes += o.QueuedBytes
	s.Deleting += o.Deleting
	s.Waiting += o.Waiting
	s.Stored += o.Stored
	s.Refused += o.Refused
	s.Failed += o.Failed
	s.Deletes += o.Deletes
	s.DeleteErrors += o.DeleteErrors
	s.Purges += o.Purges
	s.Walks += o.Walks
	s.WalkErrors += o.WalkErrors
	s.WalkTime += o.WalkTime
	s.Pending.Entries += o.Pending.Entries
	s.Pending.Done += o.Pending.Done
	s.Pending.Lost += o.Pending.Lost
	s.Pending.Purges += o.Pending.Purges
	for cause, n := range o.Dropped {
		s.Dropped[cause] += n
	}
	s.Latency = s.Latency.Plus(o.Latency)
}
