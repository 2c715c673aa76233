package admin

import (
	"cmp"
	"slices"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/hits"
	"uwgate/histogram"
)

// Sources of hits and misses.
const (
	SourceNginx     = "nginx"     // its access log, by --hits-listen: pages
	SourceMemcached = "memcached" // its own counters: lookups of all its clients
)

// A HitStatus is how often nginx finds what it looks up. All of it comes from one source, so
// that no ratio is over 1.
type HitStatus struct {
	Source string   `json:"source"` // SourceNginx, or SourceMemcached where nginx tells nothing; empty: nobody tells
	Ratio  *float64 `json:"ratio"`  // hits by lookups, since the source began to count; nil: there was no lookup
	Hits   uint64   `json:"hits"`
	Misses uint64   `json:"misses"`

	Nginx *NginxStatus `json:"nginx,omitempty"` // nil: no --hits-listen
}

// A NginxStatus is what nginx's access log tells. Lines that could not be used are not in
// the numbers.
type NginxStatus struct {
	Last       *time.Time           `json:"last"`        // when a line came; nil: none yet
	Lines      map[string]uint64    `json:"lines"`       // counted, malformed, oversized, forbidden and lost
	CountsLoss bool                 `json:"counts_loss"` // lost is known; it is not for UNIX sockets
	Hosts      []HostStatus         `json:"hosts"`       // those with the most requests first
	Pages      []PageStatus         `json:"pages"`       // those with the most hits in the last minutes
	Latency    map[string]Quantiles `json:"latency"`     // by lookup: of whole requests, as nginx measures them
}

// A HostStatus is a host, or "other": all for which there was no room.
type HostStatus struct {
	Host     string                       `json:"host"`
	Ratio    *float64                     `json:"ratio"`
	Requests map[string]uint64            `json:"requests"` // by lookup: hit, miss, failed or skipped
	Statuses map[string]map[string]uint64 `json:"statuses"` // by lookup and class, as in 2xx
	Bytes    map[string]uint64            `json:"bytes"`    // by lookup
	Seconds  map[string]float64           `json:"seconds"`  // by lookup, all requests together
}

// A PageStatus is a page with its hits in the last 5 to 10 minutes.
type PageStatus struct {
	Host string `json:"host"`
	URI  string `json:"uri"`
	Hits uint64 `json:"hits"`
}

// Quantiles are estimates of durations in seconds, from above: the bound of the bucket in
// which they are.
type Quantiles struct {
	Count uint64  `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

func quantilesOf(s histogram.Snapshot) Quantiles {
	q := Quantiles{Count: s.Count, P50: quantile(s, 0.5), P95: quantile(s, 0.95), P99: quantile(s, 0.99)}
	if s.Count > 0 {
		q.Mean = s.Sum.Seconds() / float64(s.Count)
	}
	return q
}

// quantile is the bound of the first bucket with so many of all durations, or that of the last
// bucket if some were longer.
func quantile(s histogram.Snapshot, share float64) float64 {
	if s.Count == 0 || len(s.Buckets) == 0 {
		return 0
	}
	for _, b := range s.Buckets {
		if float64(b.Count) >= share*float64(s.Count) {
			return b.Le.Seconds()
		}
	}
	return s.Buckets[len(s.Buckets)-1].Le.Seconds()
}

// ratio returns the share of hits, nil if there was no lookup.
func ratio(hits, misses uint64) *float64 {
	if hits+misses == 0 {
		return nil
	}
	r := float64(hits) / float64(hits+misses)
	return &r
}

const (
	maxShownHosts = 30
	maxShownPages = 30
)

// hitStatus takes the numbers of nginx if it sends any, else those of memcached.
func (a *Admin) hitStatus(info []cachewriter.Info) HitStatus {
	var s HitStatus
	if a.Hits != nil {
		s.Nginx = nginxStatus(a.Hits)
	}
	if s.Nginx != nil && s.Nginx.Lines["counted"] > 0 {
		s.Source = SourceNginx
		for _, h := range a.Hits.Stats().Hosts {
			s.Hits += h.Hits()
			s.Misses += h.Misses()
		}
	} else {
		for _, in := range info {
			if in.Err == nil {
				s.Source = SourceMemcached
				s.Hits += in.Hits
				s.Misses += in.Misses
			}
		}
	}
	s.Ratio = ratio(s.Hits, s.Misses)
	return s
}

func nginxStatus(r *hits.Receiver) *NginxStatus {
	st := r.Stats()
	s := &NginxStatus{Lines: linesOf(&st), CountsLoss: st.CountsLoss, Hosts: []HostStatus{}, Pages: []PageStatus{}, Latency: map[string]Quantiles{}}
	if !st.Last.IsZero() {
		s.Last = &st.Last
	}
	for l, took := range st.Took {
		if took.Count > 0 {
			s.Latency[string(l)] = quantilesOf(took)
		}
	}
	for _, h := range st.Hosts {
		s.Hosts = append(s.Hosts, hostStatus(&h))
	}
	slices.SortFunc(s.Hosts, func(a, b HostStatus) int {
		return cmp.Or(cmp.Compare(b.total(), a.total()), cmp.Compare(a.Host, b.Host))
	})
	s.Hosts = s.Hosts[:min(len(s.Hosts), maxShownHosts)]
	for _, p := range r.Hottest(maxShownPages) {
		s.Pages = append(s.Pages, PageStatus(p))
	}
	return s
}

func linesOf(s *hits.Stats) map[string]uint64 {
	return map[string]uint64{"counted": s.Counted, "malformed": s.Malformed, "oversized": s.Oversized, "forbidden": s.Forbidden, "lost": s.Lost}
}

func hostStatus(h *hits.Host) HostStatus {
	s := HostStatus{Host: h.Host, Ratio: ratio(h.Hits(), h.Misses()), Requests: map[string]uint64{}, Statuses: map[string]map[string]uint64{}, Bytes: map[string]uint64{}, Seconds: map[string]float64{}}
	for l, c := range h.Lookups {
		w := string(l)
		s.Requests[w], s.Statuses[w], s.Bytes[w], s.Seconds[w] = c.Requests, c.Statuses, c.Bytes, c.Took.Seconds()
	}
	return s
}

func (h *HostStatus) total() (n uint64) {
	for _, of := range h.Requests {
		n += of
	}
	return n
}
