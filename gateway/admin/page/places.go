package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"uwgate/gateway/admin"
)

const (
	maxPools   = 50
	maxServers = 50
)

// placeTables are those of pools, servers and memcached.
func placeTables(s *admin.Status) []*table {
	return []*table{poolTable(s.Pools), serverTable(s.Pools), memcachedTable(s.Store)}
}

// poolTable has the pools that need attention most first.
func poolTable(pools []admin.PoolStatus) *table {
	pools = slices.Clone(pools)
	slices.SortStableFunc(pools, func(a, b admin.PoolStatus) int {
		return cmp.Or(
			cmp.Compare(upShare(&a), upShare(&b)), b.Waiting-a.Waiting,
			cmp.Compare(b.QueueFull+b.QueueTimeouts, a.QueueFull+a.QueueTimeouts), cmp.Compare(b.Requests, a.Requests))
	})
	t := &table{ID: "pools", Title: "Pools", Source: fromGateway, Head: columns("Pool", "State", "#Requests", "#Waiting now", "#Had to wait", "#Queue full", "#Waited too long"), Empty: "There is no pool."}
	for _, p := range pools[:min(len(pools), maxPools+1)] {
		t.Rows = append(t.Rows, row{
			long(poolName(p.Name)), poolState(&p), number(p.Requests), trouble(p.Waiting, warn), number(p.Queued), trouble(p.QueueFull, warn), trouble(p.QueueTimeouts, warn),
		})
	}
	t.cut(maxPools, "")
	if n := len(pools) - maxPools; n > 0 {
		t.More = fmt.Sprintf("and %s with less trouble", plural(n, "other pool", "other pools"))
	}
	return t
}

func upShare(p *admin.PoolStatus) float64 {
	if len(p.Servers) == 0 {
		return 0
	}
	return float64(upOf(p)) / float64(len(p.Servers))
}

func poolState(p *admin.PoolStatus) cell {
	up, n := upOf(p), len(p.Servers)
	c := flag(fmt.Sprintf("%d of %d up", up, n), good)
	switch {
	case up == 0:
		c.State = bad
	case up < n:
		c.State = warn
	}
	return c
}

// A placed is a server with its pool.
type placed struct {
	pool string
	admin.ServerStatus
}

// serverTable has the servers that need attention most first.
func serverTable(pools []admin.PoolStatus) *table {
	var all []placed
	for _, p := range pools {
		for _, s := range p.Servers {
			all = append(all, placed{poolName(p.Name), s})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int {
		return cmp.Or(rankOf(&a)-rankOf(&b), cmp.Compare(b.Errors+b.Busy, a.Errors+a.Busy), b.InFlight-a.InFlight, cmp.Compare(b.Requests, a.Requests))
	})
	t := &table{ID: "servers", Title: "Servers", Source: fromGateway, Head: columns("Server", "Pool", "State", "#In flight", "#Requests", "#Connect errors", "#Listen queue full"), Empty: "There is no server."}
	for _, s := range all[:min(len(all), maxServers)] {
		t.Rows = append(t.Rows, row{long(s.Name), long(s.pool), serverState(&s), figure(ofLimit(s.InFlight, s.Limit)), number(s.Requests), trouble(s.Errors, warn), trouble(s.Busy, warn)})
	}
	if n := len(all) - maxServers; n > 0 {
		t.More = fmt.Sprintf("and %s with less trouble", plural(n, "other server", "other servers"))
	}
	return t
}

func rankOf(s *placed) int {
	if s.Up {
		return 1
	}
	return 0
}

func serverState(s *placed) cell {
	c := flag("up", good)
	if !s.Up {
		c = flag("down", bad)
	}
	if s.Backup {
		c.Text += ", backup"
	}
	return c
}

func ofLimit(n, limit int) string {
	if limit == 0 {
		return count(n)
	}
	return count(n) + " of " + count(limit)
}

// maxMemcached is how many servers are shown.
const maxMemcached = 50

func memcachedTable(servers []admin.StorageStatus) *table {
	servers = slices.Clone(servers)
	slices.SortStableFunc(servers, func(a, b admin.StorageStatus) int {
		return cmp.Or(rank(stateOf(&a).State)-rank(stateOf(&b).State), b.Owed+b.Purges-a.Owed-a.Purges)
	})
	t := &table{ID: "memcached", Title: "memcached", Source: fromMemcached + ", and from “Queued” on " + fromGateway,
		Note: "Hits and misses count the lookups of all clients of a server: nginx, uwgate and others. Pending are deletes and purges.",
		Head: columns("Server", "State", "#Hit ratio", "#Entries", "#Memory", "#Evictions", "#Connections", "#Queued", "#Stored", "#Refused", "#Dropped", "#Failed", "#Pending"), Empty: "There is no memcached server."}
	failed := slices.ContainsFunc(servers, func(m admin.StorageStatus) bool { return m.Error != "" })
	if failed {
		t.Head = append(t.Head, column{Name: "Last error"})
	}
	for _, m := range servers {
		r := row{long(m.Server), stateOf(&m)}
		if i := m.Memcached; i != nil && i.Error == "" {
			r = append(r, figure(ratioOf(i.Ratio)), number(i.Items), figure(bytesOf(i.Bytes)+" of "+bytesOf(i.Limit)), number(i.Evictions), figure(count(i.Connections)+" of "+count(i.MaxConns)))
		} else {
			r = append(r, figure("–"), figure("–"), figure("–"), figure("–"), figure("–"))
		}
		r = append(r, number(m.Queued), number(m.Stored), number(m.Refused), trouble(m.Dropped, warn), trouble(m.Failed, warn), trouble(m.Owed+m.Purges, warn))
		if failed {
			r = append(r, long(m.Error))
		}
		t.Rows = append(t.Rows, r)
	}
	return t.cut(maxMemcached, "other servers")
}

func stateOf(m *admin.StorageStatus) cell {
	switch {
	case !m.Up:
		return flag("down", bad)
	case m.Memcached == nil:
		return flag("not asked yet", "")
	case m.Memcached.Error != "":
		return flag("says nothing", bad)
	}
	return flag("up", good)
}

// boundTable is about queues and what else is bounded, and about flights.
func boundTable(s *admin.Status) *table {
	t := &table{ID: "bounds", Title: "Queues and bounds", Source: fromGateway, Head: columns("What", "#Used", "#Bound", "#Share"), Empty: "Nothing is bounded."}
	for _, b := range s.Bounds {
		used, limit := count(b.Used), count(b.Limit)
		if b.Unit == "bytes" {
			used, limit = bytesOf(b.Used), bytesOf(b.Limit)
		}
		part := cell{Text: "–", Number: true}
		if b.Limit > 0 {
			part = shareOf(uint64(max(b.Used, 0)), uint64(b.Limit))
			if float64(b.Used) > nearBound*float64(b.Limit) {
				part.State = warn
			}
		} else {
			limit = "none"
		}
		t.Rows = append(t.Rows, row{text("--" + b.Setting + " (" + b.Unit + ")"), figure(used), figure(limit), part})
	}
	t.Note = "Flights ended: " + words(s.Coalesced) + ". Last good copies: " + words(s.Copies) + "."
	if r := s.Refresh; r != nil {
		t.Note += fmt.Sprintf(" Refreshing: %s known, %d being fetched; %s.", plural(r.Pages, "page", "pages"), r.Fetching, words(r.Events))
	}
	return t
}

// words lists counters, the largest first.
func words(m map[string]uint64) string {
	var all []string
	for _, w := range byCount(m) {
		all = append(all, w+" "+count(m[w]))
	}
	return cmp.Or(strings.Join(all, ", "), "none")
}
