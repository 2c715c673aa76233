package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway"
	"uwgate/gateway/backend"
	"uwgate/gateway/purge"
)

// A Status says what a gateway is doing, for people. Its JSON form is that of the API.
// Counters count since the start. Lists have a bounded length, except those of pools, servers
// and memcached servers, which are as long as the settings make them.
type Status struct {
	Version  string            `json:"version"`
	Seconds  int64             `json:"uptime"`
	Observe  bool              `json:"observe"` // nothing is stored
	Reload   ReloadStatus      `json:"reload"`
	InFlight int64             `json:"in_flight"`
	Waiting  int               `json:"waiting"`  // requests in the queues of all pools
	Requests map[string]uint64 `json:"requests"` // by the class of their status: "2xx"
	Verdicts map[string]uint64 `json:"verdicts"` // store, observe and pass
	Reasons  map[string]uint64 `json:"reasons"`

	// Latency is that of requests to uwgate: took, first_byte and queued.
	Latency map[string]Quantiles `json:"latency"`

	Flights   int               `json:"flights"`   // pages that are being fetched, and may be shared
	Followers int               `json:"followers"` // requests that wait for them
	Coalesced map[string]uint64 `json:"coalesced"` // how such waits ended
	Copies    map[string]uint64 `json:"copies"`    // last good copies: kept, lost, served

	Purges []purge.Purged `json:"purges"` // under way, and the last ten that have ended, the latest first

	Refresh *RefreshStatus  `json:"refresh,omitempty"` // nil: refreshing is turned off
	Pools   []PoolStatus    `json:"pools"`
	Store   []StorageStatus `json:"store"`
	Bounds  []BoundStatus   `json:"bounds"`
	Lost    uint64          `json:"log_lines_lost"`

	Hits    HitStatus             `json:"hits"`
	Stored  *StoredStatus         `json:"stored,omitempty"` // nil: not looked at yet
	Traffic []Sample              `json:"traffic"`          // of the last hour, the oldest first
	Slowest []gateway.SlowRequest `json:"slowest"`
}

// A BoundStatus is how much is used of what is bounded.
type BoundStatus struct {
	Setting string `json:"setting"` // of serve, that sets the bound
	Unit    string `json:"unit"`
	Used    int64  `json:"used"`
	Limit   int64  `json:"limit"` // 0: there is none
}

// A RefreshStatus is about pages that are refreshed before they expire.
type RefreshStatus struct {
	Pages    int               `json:"pages"`
	Fetching int               `json:"fetching"`
	Events   map[string]uint64 `json:"events"`
}

// A PoolStatus is a pool with its servers.
type PoolStatus struct {
	Name          string         `json:"name"` // empty for the default one
	Waiting       int            `json:"waiting"`
	Requests      uint64         `json:"requests"` // that asked for a server
	Queued        uint64         `json:"queued"`   // that had to wait for one
	QueueFull     uint64         `json:"queue_full"`
	QueueTimeouts uint64         `json:"queue_timeouts"`
	Servers       []ServerStatus `json:"servers"`
}

// A ServerStatus is about a server of a pool.
type ServerStatus struct {
	Name     string `json:"name"`
	Up       bool   `json:"up"`
	Backup   bool   `json:"backup,omitempty"`
	InFlight int    `json:"in_flight"`
	Limit    int    `json:"limit"` // the most requests at a time; 0: no bound
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"connect_errors"`
	Busy     uint64 `json:"busy"` // connects that found a full listen queue
}

// A StorageStatus is about a memcached server.
type StorageStatus struct {
	Server  string `json:"server"`
	Up      bool   `json:"up"`
	Queued  int    `json:"queued"`
	Stored  uint64 `json:"stored"`
	Refused uint64 `json:"refused"`
	Dropped uint64 `json:"dropped"`
	Failed  uint64 `json:"failed"`
	Deletes uint64 `json:"deletes"`
	Owed    int    `json:"owed_deletes"`
	Purges  int    `json:"owed_purges"`
	Error   string `json:"last_error,omitempty"`

	Memcached *MemcachedStatus `json:"memcached,omitempty"` // nil: it was not asked yet
}

// A MemcachedStatus is what a memcached server says of itself. Its counters count the requests
// of all its clients since its start.
type MemcachedStatus struct {
	Error       string   `json:"error,omitempty"` // why it says nothing
	Version     string   `json:"version,omitempty"`
	Seconds     int64    `json:"uptime"`
	Ratio       *float64 `json:"ratio"` // hits by lookups
	Hits        uint64   `json:"hits"`
	Misses      uint64   `json:"misses"`
	Sets        uint64   `json:"sets"`
	Evictions   uint64   `json:"evictions"`
	Items       uint64   `json:"items"`
	Bytes       uint64   `json:"bytes"`
	Limit       uint64   `json:"limit"` // bytes
	Connections uint64   `json:"connections"`
	MaxConns    uint64   `json:"max_connections"`
}

var processStart = time.Now()

func uptime() int64 { return int64(time.Since(processStart) / time.Second) }

// Status returns what the gateway is doing.
func (a *Admin) Status() *Status {
	g := a.Gateway
	all := g.Stats()
	samples, info, stored := a.watch.seen()
	s := &Status{
		Version: a.Version, Seconds: uptime(), Observe: all.Requests.Observe, Reload: a.reloads.get(),
		InFlight: all.Requests.InFlight, Waiting: a.waiting(), Requests: map[string]uint64{}, Verdicts: all.Requests.Verdicts, Reasons: map[string]uint64{},
		Latency: map[string]Quantiles{"took": quantilesOf(all.Requests.Took), "first_byte": quantilesOf(all.Requests.FirstByte), "queued": quantilesOf(all.Requests.Queued)},
		Flights: all.Flights.Flights, Followers: all.Flights.Followers, Coalesced: all.Flights.Ends, Copies: all.Flights.Copies,
		Pools: poolStatus(g.Backends.All()), Store: []StorageStatus{}, Lost: a.lostLines(),
		Hits: a.hitStatus(info), Stored: stored, Traffic: samples, Slowest: g.Slowest(),
	}
	if s.Slowest == nil {
		s.Slowest = []gateway.SlowRequest{}
	}
	s.Purges = a.Gateway.Purges.Recent()
	for code, n := range all.Requests.Statuses {
		s.Requests[string(rune('0'+code/100))+"xx"] += n
	}
	for reason, n := range all.Requests.Reasons {
		s.Reasons[string(reason)] = n
	}
	if r := all.Refresh; r != nil {
		s.Refresh = &RefreshStatus{Pages: r.Keys, Fetching: r.Fetching, Events: map[string]uint64{}}
		for event, n := range r.Events {
			s.Refresh.Events[string(event)] = n
		}
	}
	s.Bounds = []BoundStatus{
		{"max-connections", "connections", all.Connections.Open, all.Connections.Limit},
		{"capture-memory", "bytes", all.Requests.Captures, all.Requests.CaptureMax},
		{"spool-memory", "bytes", all.Spool.Memory, all.Spool.MemoryLimit},
		{"spool-disk", "bytes", all.Spool.Disk, all.Spool.DiskLimit},
	}
	if g.Store != nil {
		st := g.Store.Stats()
		s.Store = storageStatus(st, info)
		s.Bounds = append(s.Bounds, BoundStatus{"queue-bytes", "bytes", st.Total.QueuedBytes, st.Queue.Bytes},
			BoundStatus{"queue-entries", "pages", int64(st.Total.QueuedEntries), int64(st.Queue.Entries)})
	}
	return s
}

func (a *Admin) lostLines() uint64 {
	if a.LostLines == nil {
		return 0
	}
	return a.LostLines()
}

func poolStatus(pools []*backend.Pool) []PoolStatus {
	all := []PoolStatus{}
	for _, p := range pools {
		c := p.PoolStats()
		pool := PoolStatus{Name: p.Name, Waiting: c.Waiting, Requests: c.Requests, Queued: c.Queued, QueueFull: c.QueueFull, QueueTimeouts: c.QueueTimeouts, Servers: []ServerStatus{}}
		for _, n := range p.Stats() {
			pool.Servers = append(pool.Servers, ServerStatus{n.Name, n.Up, n.Backup, n.InFlight, n.Limit, n.Requests, n.DialErrors, n.Busy})
		}
		all = append(all, pool)
	}
	return all
}

func storageStatus(stats cachewriter.Stats, info []cachewriter.Info) []StorageStatus {
	all := []StorageStatus{}
	for _, s := range stats.Servers {
		dropped := uint64(0)
		for _, n := range s.Dropped {
			dropped += n
		}
		all = append(all, StorageStatus{
			Server: s.Addr, Up: s.Breaker != cachewriter.BreakerOpen, Queued: s.QueuedEntries, Stored: s.Stored,
			Refused: s.Refused, Dropped: dropped, Failed: s.Failed + s.DeleteErrors, Deletes: s.Deletes + s.Pending.Done,
			Owed: s.Pending.Entries, Purges: s.Pending.Purges, Error: s.LastError, Memcached: memcachedStatus(s.Addr, info),
		})
	}
	return all
}

// memcachedStatus returns what the server with that address said; nil: nothing yet.
func memcachedStatus(addr string, info []cachewriter.Info) *MemcachedStatus {
	i := slices.IndexFunc(info, func(in cachewriter.Info) bool { return in.Addr == addr })
	if i < 0 {
		return nil
	}
	in := info[i]
	if in.Err != nil {
		return &MemcachedStatus{Error: in.Err.Error()}
	}
	return &MemcachedStatus{
		Version: in.Version, Seconds: int64(in.Uptime / time.Second), Ratio: ratio(in.Hits, in.Misses), Hits: in.Hits, Misses: in.Misses, Sets: in.Sets,
		Evictions: in.Evictions, Items: in.Items, Bytes: in.Bytes, Limit: in.Limit, Connections: in.Connections, MaxConns: in.MaxConnections,
	}
}

// status serves GET /api/v1/status.
func (a *Admin) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(a.Status())
}
