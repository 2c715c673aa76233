package admin

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"uwgate/cachewriter"
	"uwgate/gateway"
	"uwgate/gateway/backend"
	"uwgate/gateway/hits"
	"uwgate/gateway/subscription"
	"uwgate/histogram"
)

// A kind is the type of a metric.
type kind string

const (
	counter kind = "counter"
	gauge   kind = "gauge"
	timing  kind = "histogram" // of seconds
)

// A metric is a row of the table of metrics.
type metric struct {
	name   string // without the prefix uwgate_
	kind   kind
	unit   string
	labels []string
	help   string                        // what it means
	alert  string                        // for docs/metrics.md: when to look at it; empty: nothing to say
	read   func(s *snapshot, emit emits) // calls emit once for each set of labels
}

// An emits takes a value of a metric, and its labels in the order of the table.
type emits func(v value, labels ...string)

// A value is a number or, for a timing, a histogram.
type value struct {
	number float64
	hist   histogram.Snapshot
}

func number[N int | int64 | uint64](n N) value { return value{number: float64(n)} }

func yes(ok bool) value {
	if ok {
		return number(1)
	}
	return number(0)
}

// A snapshot is all that the metrics are read from.
type snapshot struct {
	gateway.Stats
	pools         []poolStats
	subscriptions *subscription.Stats // nil: uwgate takes none
	store         []cachewriter.ServerStats
	queue         cachewriter.QueueLimits // of the store
	info          []cachewriter.Info      // nil: memcached was not asked yet
	hits          *hits.Stats             // nil: nginx tells nothing
	busy          map[string]float64      // seconds that workers were occupied, by reason
	program       program
}

// program is about the process and its settings.
type program struct {
	version string
	reload  ReloadStatus
	lost    uint64 // log lines
}

// poolStats are those of a pool and its servers.
type poolStats struct {
	name string
	backend.PoolStats
	nodes []backend.NodeStats
}

func (a *Admin) snapshot() *snapshot {
	g := a.Gateway
	s := &snapshot{Stats: g.Stats()}
	for _, p := range g.Backends.All() {
		name := p.Name
		if name == "" {
			name = "default"
		}
		s.pools = append(s.pools, poolStats{name, p.PoolStats(), p.Stats()})
	}
	if g.Subscriptions != nil {
		stats := g.Subscriptions.Stats()
		s.subscriptions = &stats
	}
	if g.Store != nil {
		stats := g.Store.Stats()
		s.store, s.queue = stats.Servers, stats.Queue
		_, s.info, _ = a.watch.seen()
	}
	if a.Hits != nil {
		stats := a.Hits.Stats()
		s.hits = &stats
	}
	s.busy = map[string]float64{}
	for _, saving := range g.Savings() {
		s.busy[string(saving.Reason)] += saving.Seconds
	}
	s.program = program{a.Version, a.reloads.get(), a.lostLines()}
	return s
}

// A collector reads the table's metrics for Prometheus.
type collector struct {
	read  func() *snapshot
	descs []*prometheus.Desc // of the metrics, in their order
}

func newCollector(read func() *snapshot) *collector {
	c := &collector{read: read}
	for _, m := range metrics {
		c.descs = append(c.descs, prometheus.NewDesc("uwgate_"+m.name, m.help, m.labels, nil))
	}
	return c
}

// Describe describes nothing: that leaves the collector unchecked, since labels come and go.
func (*collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	s := c.read()
	for i, m := range metrics {
		m.read(s, func(v value, labels ...string) { ch <- m.sample(c.descs[i], v, labels) })
	}
}

func (m *metric) sample(d *prometheus.Desc, v value, labels []string) prometheus.Metric {
	switch m.kind {
	case timing:
		buckets := make(map[float64]uint64, len(v.hist.Buckets))
		for _, b := range v.hist.Buckets {
			buckets[b.Le.Seconds()] = b.Count
		}
		return prometheus.MustNewConstHistogram(d, v.hist.Count, v.hist.Sum.Seconds(), buckets, labels...)
	case counter:
		return prometheus.MustNewConstMetric(d, prometheus.CounterValue, v.number, labels...)
	}
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v.number, labels...)
}

// metrics serves /metrics, from a registry of its own.
func (a *Admin) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(newCollector(a.snapshot), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
