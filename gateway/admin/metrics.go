package admin

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"uwgate/cachewriter"
	"uwgate/gateway/subscription"
	"uwgate/histogram"
)

// collector reads the counters of their owners for Prometheus.
type collector struct{ a *Admin }

// metrics answers /metrics, from a registry of its own.
func (a *Admin) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{a}, collectors.NewGoCollector(),
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
	if c.a.Gateway.Subscriptions != nil {
		c.subscriptions(out, c.a.Gateway.Subscriptions.Stats())
	}
	if c.a.Gateway.Store != nil {
		c.store(out, c.a.Gateway.Store.Stats())
	}
}

// A sink makes metrics of numbers.
type sink struct{ ch chan<- prometheus.Metric }

func (s sink) counter(d *prometheus.Desc, n uint64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (s sink) counters(d *prometheus.Desc, counts map[string]uint64) {
	for word, n := range counts {
		s.counter(d, n, word)
	}
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
	all := c.a.Gateway.Stats()
	s := all.Requests
	for code, n := range s.Statuses {
		out.counter(requestsDesc, n, strconv.Itoa(code))
	}
	for reason, n := range s.Reasons {
		out.counter(decisionsDesc, n, string(reason))
	}
	out.counters(failuresDesc, s.Failures)
	out.counters(varsDesc, s.VarsDropped)
	out.counter(observedDesc, s.Observed)
	out.counter(bytesDesc, s.Bytes)
	out.counter(unheardDesc, s.Unheard)
	out.counter(panicsDesc, s.Panics)
	out.gauge(inFlightDesc, s.InFlight)
	out.counter(splicedDesc, s.Spliced)
	out.histogram(tookDesc, s.Took)
	out.counters(waitsDesc, all.Flights.Ends)
	out.counters(copiesDesc, all.Flights.Copies)
	out.gauge(flightsDesc, int64(all.Flights.Flights))
	out.gauge(followersDesc, int64(all.Flights.Followers))
	out.counters(handshakeDesc, all.Listening.Handshakes)
	out.counter(probesDesc, all.Listening.Probes)
	out.counter(pingsDesc, all.Listening.Pings)
	out.counter(refusedDesc, all.Listening.Refused)
	out.gauge(spoolBytesDesc, all.Spool.Bytes)
	out.gauge(spoolFilesDesc, all.Spool.Files)
	if r := all.Refresh; r != nil {
		out.counters(refreshDesc, r.Events)
		out.gauge(refreshPages, int64(r.Pages))
		out.gauge(refreshBytes, r.Bytes)
		out.gauge(refreshing, int64(r.Fetching))
	}
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
	for _, p := range c.a.Gateway.Backends.All() {
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
		out.counter(unservedDesc, s.QueueFull, pool, "queue_full")
		out.counter(unservedDesc, s.QueueTimeouts, pool, "queue_timeout")
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
