package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/gateway/subscription"
	"uwgate/histogram"
)

// stats are the counters of a Gateway. The zero value is ready.
type stats struct {
	inFlight     atomic.Int64
	listeners    atomic.Int64  // accepting
	places       places        // that they are at, or have been
	probes       atomic.Uint64 // connections closed before a request
	pings        atomic.Uint64
	panics       atomic.Uint64
	unheard      atomic.Uint64 // unsafe requests whose client left before the response
	peersRefused atomic.Uint64
	handshakes   countMap[string]
	observed     atomic.Uint64 // pages that would have been stored
	bytes        atomic.Uint64
	spliced      atomic.Uint64
	spoolFiles   atomic.Int64
	statuses     [1000]atomic.Uint64
	reasons      countMap[policy.Reason]
	failures     countMap[side]
	waits        countMap[wait]
	copies       countMap[copyEvent]
	vars         countMap[string] // dropped; the firewall bounds the names
	took         histogram.Histogram
}

// count adds one request.
func (s *stats) count(r *record, err error) {
	if r.status > 0 && r.status < len(s.statuses) {
		s.statuses[r.status].Add(1)
	}
	s.bytes.Add(uint64(r.bytes))
	s.took.Observe(r.took)
	if r.reason != "" {
		s.reasons.add(r.reason)
	}
	if f, ok := errors.AsType[*failure](err); ok {
		s.failures.add(f.side)
	}
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

// each calls f with every word counted so far.
func (c *countMap[K]) each(f func(word string, n uint64)) {
	c.m.Range(func(k, n any) bool {
		f(string(k.(K)), n.(*atomic.Uint64).Load())
		return true
	})
}

// minTook and maxTook are the bounds of the first and the last bucket of requests' times:
// from a page that was ready to a worker's harakiri.
const (
	minTook = time.Millisecond
	maxTook = time.Minute
)

// collector reads the counters of their owners for Prometheus.
type collector struct{ g *Gateway }

// metrics answers /metrics, from a registry of its own.
func (g *Gateway) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{g}, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("uwgate_"+name, help, labels, nil)
}

var (
	requestsDesc   = desc("requests_total", "Requests answered or broken off, by the status in the access log.", "status")
	decisionsDesc  = desc("decisions_total", "Decisions to store or not to store, by reason.", "reason")
	observedDesc   = desc("observed_total", "Pages that were only observed, and would have been stored.")
	failuresDesc   = desc("failures_total", "Requests that failed, by the side whose fault it was.", "side")
	bytesDesc      = desc("response_bytes_total", "Bytes of answers' bodies sent to nginx.")
	tookDesc       = desc("request_duration_seconds", "Time from the accepted connection to the last byte of the answer.")
	waitsDesc      = desc("coalesced_total", "Ends of waits for a page that was being fetched for another request: shared, failed, refused, late, again, alone, found or left.", "end")
	flightsDesc    = desc("flights", "Pages that are being fetched, and may turn out to be for everyone.")
	followersDesc  = desc("flight_followers", "Requests that wait for one of them, or are being sent it.")
	copiesDesc     = desc("copies_total", "Last good copies of pages: kept, lost for want of room, or served in the place of a failure.", "event")
	refreshDesc    = desc("refresh_total", "What was done about pages before they expire; docs/refresh.md has the words.", "event")
	refreshPages   = desc("refresh_pages", "Pages that are looked at before they expire.")
	refreshBytes   = desc("refresh_memory_bytes", "Memory that they take.")
	refreshing     = desc("refreshes_in_flight", "Pages that are being fetched anew.")
	inFlightDesc   = desc("requests_in_flight", "Requests being answered.")
	spoolBytesDesc = desc("spool_memory_bytes", "Request bodies in memory.")
	spoolFilesDesc = desc("spool_files", "Request bodies in files.")
	splicedDesc    = desc("spliced_bytes_total", "Bytes of large bodies, either way, that did not pass through the program.")
	probesDesc     = desc("probes_total", "Connections closed before a request.")
	pingsDesc      = desc("pings_total", "uwsgi pings answered.")
	unheardDesc    = desc("unheard_requests_total", "POSTs and the like whose client left before the worker responded; the worker was heard out.")
	panicsDesc     = desc("panics_total", "Requests ended by a mistake in the program.")
	refusedDesc    = desc("peers_refused_total", "Connections from addresses, or of users, that are not allowed.")
	handshakeDesc  = desc("tls_handshakes_total", "TLS handshakes with clients, by result: full, resumed or failed.", "result")
	varsDesc       = desc("vars_dropped_total", "Request vars kept from the workers.", "var")
	upDesc         = desc("backend_up", "1 unless the backend is ejected.", "pool", "backend")
	connectsDesc   = desc("backend_connections_total", "Connections made to a backend.", "pool", "backend")
	dialErrorsDesc = desc("backend_connect_errors_total", "Connects that a backend refused or left unanswered.", "pool", "backend")
	busyDesc       = desc("backend_busy_total", "Connects that found a backend's backlog full.", "pool", "backend")
	nodeFlightDesc = desc("backend_requests_in_flight", "Requests that a backend has, or is being connected for.", "pool", "backend")
	waitingDesc    = desc("pool_queue_requests", "Requests that wait for a backend.", "pool")
	waitedDesc     = desc("pool_queued_total", "Requests that had to wait for a backend.", "pool")
	unservedDesc   = desc("pool_unserved_total", "Requests that no backend took in time, by cause: queue_full or queue_timeout.", "pool", "cause")
	retriesDesc    = desc("pool_retries_total", "Requests that were asked again of another backend.", "pool")
	deniedDesc     = desc("pool_retries_denied_total", "Retries that were not made, for there had been too many.", "pool")
	keysDesc       = desc("subscription_keys", "Keys that servers have announced themselves for.")
	serversDesc    = desc("subscription_servers", "Servers that have announced themselves, for each key.")
	announcedDesc  = desc("subscription_announced_total", "Announcements taken.")
	leftDesc       = desc("subscription_left_total", "Datagrams of servers that leave.")
	expiredDesc    = desc("subscription_expired_total", "Servers that have not announced themselves again.")
	subRefusedDesc = desc("subscription_refused_total", "Datagrams that had no effect, by reason.", "reason")
	queuedDesc     = desc("store_queue_entries", "Pages waiting to be written.", "server")
	queuedByteDesc = desc("store_queue_bytes", "Bytes of pages waiting to be written.", "server")
	storedDesc     = desc("store_stored_total", "Pages that memcached has taken.", "server")
	refusalsDesc   = desc("store_refused_total", "Pages that memcached refused.", "server")
	storeErrDesc   = desc("store_errors_total", "Operations that failed: no connection, no answer in time, or nonsense.", "server")
	droppedDesc    = desc("store_dropped_total", "Pages that were not written, by cause.", "server", "cause")
	deletesDesc    = desc("store_deletes_total", "Entries deleted.", "server")
	owedDesc       = desc("store_owed_deletes", "Entries to be deleted as soon as the server can be reached.", "server")
	owedLostDesc   = desc("store_owed_deletes_lost_total", "Entries not deleted, for too many were owed: they live until they expire.", "server")
	storeTookDesc  = desc("store_write_duration_seconds", "Time that memcached took to store a page.", "server")
	storeUpDesc    = desc("store_up", "1 unless the server is left alone after repeated failures.", "server")
)

// Describe leaves the collector unchecked: its labels come and go.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	out := sink{ch}
	c.requests(out)
	c.backends(out)
	if c.g.Subscriptions != nil {
		c.subscriptions(out, c.g.Subscriptions.Stats())
	}
	if c.g.Store != nil {
		c.store(out, c.g.Store.Stats())
	}
}

// A sink makes metrics of numbers.
type sink struct{ ch chan<- prometheus.Metric }

func (s sink) counter(d *prometheus.Desc, n uint64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (s sink) gauge(d *prometheus.Desc, n int64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), labels...)
}

func (s sink) histogram(d *prometheus.Desc, h histogram.Snapshot, labels ...string) {
	buckets := make(map[float64]uint64, len(h.Buckets))
	for _, b := range h.Buckets {
		buckets[b.Le.Seconds()] = b.Count
	}
	s.ch <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum.Seconds(), buckets, labels...)
}

func (s sink) flag(d *prometheus.Desc, up bool, labels ...string) {
	if up {
		s.gauge(d, 1, labels...)
	} else {
		s.gauge(d, 0, labels...)
	}
}

func (c collector) requests(out sink) {
	s := &c.g.stats
	for code := range s.statuses {
		if n := s.statuses[code].Load(); n > 0 {
			out.counter(requestsDesc, n, strconv.Itoa(code))
		}
	}
	s.reasons.each(func(reason string, n uint64) { out.counter(decisionsDesc, n, reason) })
	s.failures.each(func(side string, n uint64) { out.counter(failuresDesc, n, side) })
	s.vars.each(func(name string, n uint64) { out.counter(varsDesc, n, name) })
	s.waits.each(func(end string, n uint64) { out.counter(waitsDesc, n, end) })
	s.copies.each(func(event string, n uint64) { out.counter(copiesDesc, n, event) })
	c.refreshes(out)
	flights, followers := c.g.flights.count()
	out.gauge(flightsDesc, int64(flights))
	out.gauge(followersDesc, int64(followers))
	for _, result := range []string{handshakeFull, handshakeResumed, handshakeFailed} {
		out.counter(handshakeDesc, s.handshakes.count(result), result)
	}
	out.counter(observedDesc, s.observed.Load())
	out.counter(bytesDesc, s.bytes.Load())
	out.counter(probesDesc, s.probes.Load())
	out.counter(pingsDesc, s.pings.Load())
	out.counter(unheardDesc, s.unheard.Load())
	out.counter(panicsDesc, s.panics.Load())
	out.counter(refusedDesc, s.peersRefused.Load())
	out.gauge(inFlightDesc, s.inFlight.Load())
	out.gauge(spoolBytesDesc, c.g.spooled.Load())
	out.gauge(spoolFilesDesc, s.spoolFiles.Load())
	out.counter(splicedDesc, s.spliced.Load())
	out.histogram(tookDesc, s.took.Snapshot(minTook, maxTook))
}

func (c collector) refreshes(out sink) {
	if !c.g.keepsPages() {
		return
	}
	s := c.g.schedule().Stats()
	for event, n := range s.Events {
		out.counter(refreshDesc, n, string(event))
	}
	out.gauge(refreshPages, int64(s.Keys))
	out.gauge(refreshBytes, s.Bytes)
	out.gauge(refreshing, int64(s.Fetching))
}

func (c collector) subscriptions(out sink, s subscription.Stats) {
	out.gauge(keysDesc, int64(s.Keys))
	out.gauge(serversDesc, int64(s.Nodes))
	out.counter(announcedDesc, s.Announced)
	out.counter(leftDesc, s.Left)
	out.counter(expiredDesc, s.Expired)
	for reason, n := range s.Refused {
		out.counter(subRefusedDesc, n, string(reason))
	}
}

func (c collector) backends(out sink) {
	for _, p := range c.g.Backends.All() {
		pool := p.Name
		if pool == "" {
			pool = "default"
		}
		for _, n := range p.Stats() {
			out.flag(upDesc, n.Up, pool, n.Name)
			out.counter(connectsDesc, n.Requests, pool, n.Name)
			out.counter(dialErrorsDesc, n.DialErrors, pool, n.Name)
			out.counter(busyDesc, n.Busy, pool, n.Name)
			out.gauge(nodeFlightDesc, int64(n.InFlight), pool, n.Name)
		}
		s := p.PoolStats()
		out.gauge(waitingDesc, int64(s.Waiting), pool)
		out.counter(waitedDesc, s.Queued, pool)
		out.counter(unservedDesc, s.QueueFull, pool, string(codeQueueFull))
		out.counter(unservedDesc, s.QueueTimeouts, pool, string(codeQueueTimeout))
		out.counter(retriesDesc, s.Retries, pool)
		out.counter(deniedDesc, s.RetriesDenied, pool)
	}
}

func (c collector) store(out sink, stats cachewriter.Stats) {
	for _, s := range stats.Servers {
		out.gauge(queuedDesc, int64(s.QueuedEntries), s.Addr)
		out.gauge(queuedByteDesc, s.QueuedBytes, s.Addr)
		out.counter(storedDesc, s.Stored, s.Addr)
		out.counter(refusalsDesc, s.Refused, s.Addr)
		out.counter(storeErrDesc, s.Failed+s.DeleteErrors, s.Addr)
		out.counter(deletesDesc, s.Deletes+s.OwedDone, s.Addr)
		out.gauge(owedDesc, int64(s.Owed), s.Addr)
		out.counter(owedLostDesc, s.OwedLost, s.Addr)
		out.flag(storeUpDesc, s.Breaker != cachewriter.BreakerOpen, s.Addr)
		for cause, n := range s.Dropped {
			out.counter(droppedDesc, n, s.Addr, string(cause))
		}
		out.histogram(storeTookDesc, s.Latency, s.Addr)
	}
}
