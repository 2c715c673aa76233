package cachewriter

import (
	"maps"
	"time"

	"uwgate/histogram"
)

// A Drop is the cause for which an entry that Put was given for a server is not
// there. The words are fit for a metric's label.
type Drop string

const (
	DropQueueFull  Drop = "queue-full"  // no room in the budget
	DropServerDown Drop = "server-down" // the server's breaker is, or went, open
	DropExpired    Drop = "expired"     // its time passed in the queue
	DropSuperseded Drop = "superseded"  // a later Put or a Delete of the same key came first
	DropClosed     Drop = "closed"      // Close gave up on it
	DropPurged     Drop = "purged"      // its page was purged after it was asked for; what had gone out is deleted
)

var drops = [...]Drop{DropQueueFull, DropServerDown, DropExpired, DropSuperseded, DropClosed, DropPurged}

// Stats is a snapshot of a Writer's counters, which only ever grow, and gauges.
type Stats struct {
	Total   ServerStats   // the sum of Servers; no Addr, no Breaker, no LastError
	Servers []ServerStats // in the order of Ring.Addrs
}

// ServerStats counts entries at one address. An entry for several servers counts
// at each of them.
type ServerStats struct {
	Addr string

	QueuedEntries int   // waiting or being written
	QueuedBytes   int64 // of keys and bodies, likewise

	Stored  uint64 // memcached said STORED
	Refused uint64 // memcached answered with an error, "object too large" say
	Failed  uint64 // connect error, timeout, garbage
	Dropped map[Drop]uint64

	Deletes      uint64 // done: the key is gone, or was not there
	DeleteErrors uint64 // Delete returned an error

	Owed     int    // keys to be deleted as soon as the server can be reached
	OwedDone uint64 // deleted then
	OwedLost uint64 // not remembered, for there were too many

	Breaker   BreakerState
	LastError string // of the last operation that was refused or failed

	Latency histogram.Snapshot // of the writes that memcached answered
}

// minLatency and maxLatency are the bounds of Latency's first and last bucket. They fit a
// cache on the same machine as well as one across a network at its Timeout.
const (
	minLatency = 100 * time.Microsecond
	maxLatency = 250 * time.Millisecond
)

// newServerStats has every cause of Dropped at 0, so that each is a metric from
// the start.
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
	s.Stored += o.Stored
	s.Refused += o.Refused
	s.Failed += o.Failed
	s.Deletes += o.Deletes
	s.DeleteErrors += o.DeleteErrors
	s.Owed += o.Owed
	s.OwedDone += o.OwedDone
	s.OwedLost += o.OwedLost
	for cause, n := range o.Dropped {
		s.Dropped[cause] += n
	}
	s.Latency = s.Latency.Plus(o.Latency)
}
