package admin

import (
	"encoding/json"
	"net/http"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
)

// A Status says what a gateway is doing, for people. Its JSON form is that of the API.
// Counters count since the start.
type Status struct {
	Version  string            `json:"version"`
	Seconds  int64             `json:"uptime"`
	InFlight int64             `json:"in_flight"`
	Requests map[string]uint64 `json:"requests"` // by the class of their status: "2xx"
	Reasons  map[string]uint64 `json:"reasons"`

	Flights   int               `json:"flights"`   // pages that are being fetched, and may be shared
	Followers int               `json:"followers"` // requests that wait for them
	Coalesced map[string]uint64 `json:"coalesced"` // how such waits ended
	Copies    map[string]uint64 `json:"copies"`    // last good copies: kept, lost, served

	Refresh *RefreshStatus  `json:"refresh,omitempty"` // nil: refreshing is turned off
	Pools   []PoolStatus    `json:"pools"`
	Store   []StorageStatus `json:"store"`
}

// A RefreshStatus is about pages that are refreshed before they expire.
type RefreshStatus struct {
	Pages    int               `json:"pages"`
	Fetching int               `json:"fetching"`
	Events   map[string]uint64 `json:"events"`
}

// A PoolStatus is a pool with its servers.
type PoolStatus struct {
	Name    string         `json:"name"` // empty for the default one
	Waiting int            `json:"waiting"`
	Servers []ServerStatus `json:"servers"`
}

// A ServerStatus is about a server of a pool.
type ServerStatus struct {
	Name     string `json:"name"`
	Up       bool   `json:"up"`
	InFlight int    `json:"in_flight"`
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"connect_errors"`
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
	Error   string `json:"last_error,omitempty"`
}

var processStart = time.Now()

// Status returns what the gateway is doing.
func (a *Admin) Status() *Status {
	all := a.Gateway.Stats()
	s := &Status{
		Version: a.Version, Seconds: int64(time.Since(processStart) / time.Second),
		InFlight: all.Requests.InFlight, Requests: map[string]uint64{}, Reasons: map[string]uint64{},
		Flights: all.Flights.Flights, Followers: all.Flights.Followers, Coalesced: all.Flights.Ends, Copies: all.Flights.Copies,
		Pools: poolStatus(a.Gateway.Backends.All()),
	}
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
	if store := a.Gateway.Store; store != nil {
		s.Store = storageStatus(store.Stats())
	}
	return s
}

func poolStatus(pools []*backend.Pool) []PoolStatus {
	all := []PoolStatus{}
	for _, p := range pools {
		pool := PoolStatus{Name: p.Name, Waiting: p.PoolStats().Waiting, Servers: []ServerStatus{}}
		for _, n := range p.Stats() {
			pool.Servers = append(pool.Servers, ServerStatus{n.Name, n.Up, n.InFlight, n.Requests, n.DialErrors})
		}
		all = append(all, pool)
	}
	return all
}

func storageStatus(stats cachewriter.Stats) []StorageStatus {
	all := []StorageStatus{}
	for _, s := range stats.Servers {
		dropped := uint64(0)
		for _, n := range s.Dropped {
			dropped += n
		}
		all = append(all, StorageStatus{
			Server: s.Addr, Up: s.Breaker != cachewriter.BreakerOpen, Queued: s.QueuedEntries, Stored: s.Stored,
			Refused: s.Refused, Dropped: dropped, Failed: s.Failed + s.DeleteErrors, Deletes: s.Deletes + s.Pending.Done,
			Owed: s.Pending.Entries, Error: s.LastError,
		})
	}
	return all
}

// status serves GET /api/v1/status.
func (a *Admin) status(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(a.Status())
}
