package admin

import (
	"slices"
	"strconv"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/refresh"
	"uwgate/gateway/subscription"
)

// metrics is the table of all metrics, in the order of docs/metrics.md, which is made from
// it.
var metrics = slices.Concat(gatewayMetrics, programMetrics, memcachedMetrics, nginxMetrics)

// gatewayMetrics are those of requests, and of what the gateway does with them.
var gatewayMetrics = []metric{
	// Requests.
	{name: "requests_total", kind: counter, unit: "requests", labels: []string{"status"},
		help:  "Requests that ended, by the status in the access log. 499 means that the client left, 0 is not counted.",
		alert: "the rate of 5xx rises",
		read: func(s *snapshot, emit emits) {
			for status, n := range s.Requests.Statuses {
				emit(number(n), strconv.Itoa(status))
			}
		}},
	{name: "requests_in_flight", kind: gauge, unit: "requests",
		help: "Requests that are being served.",
		read: single(func(s *snapshot) value { return number(s.Requests.InFlight) })},
	{name: "request_duration_seconds", kind: timing, unit: "seconds",
		help:  "Time from the accepted connection to the last byte of the response.",
		alert: "a high quantile rises",
		read:  single(func(s *snapshot) value { return value{hist: s.Requests.Took} })},
	{name: "first_byte_duration_seconds", kind: timing, unit: "seconds",
		help:  "Time from the accepted connection to the head of a worker's response, of requests to which one responded.",
		alert: "a high quantile rises: workers are slow, or too few",
		read:  single(func(s *snapshot) value { return value{hist: s.Requests.FirstByte} })},
	{name: "queue_duration_seconds", kind: timing, unit: "seconds",
		help:  "Time that requests waited for a free server, of those that had to wait.",
		alert: "its count rises: workers are too few",
		read:  single(func(s *snapshot) value { return value{hist: s.Requests.Queued} })},
	{name: "response_bytes_total", kind: counter, unit: "bytes",
		help: "Bytes of response bodies that were sent to nginx.",
		read: single(func(s *snapshot) value { return number(s.Requests.Bytes) })},
	{name: "spliced_bytes_total", kind: counter, unit: "bytes",
		help: "Bytes of large request and response bodies that the kernel moved, without a copy in the program.",
		read: single(func(s *snapshot) value { return number(s.Requests.Spliced) })},
	{name: "failures_total", kind: counter, unit: "requests", labels: []string{"side"},
		help:  "Requests that failed, by the side that failed: client, backend or gateway.",
		alert: `the rate with side="backend" or side="gateway" rises`,
		read:  words(func(s *snapshot) map[string]uint64 { return s.Requests.Failures })},
	{name: "unheard_requests_total", kind: counter, unit: "requests",
		help: "POSTs and other unsafe requests whose client left before the worker responded. uwgate reads the response nevertheless.",
		read: single(func(s *snapshot) value { return number(s.Requests.Unheard) })},
	{name: "panics_total", kind: counter, unit: "requests",
		help:  "Requests that a bug in uwgate ended. The log has a stack trace of each.",
		alert: "it rises at all; please report the log line",
		read:  single(func(s *snapshot) value { return number(s.Requests.Panics) })},
	{name: "vars_dropped_total", kind: counter, unit: "vars", labels: []string{"var"},
		help: "Request vars that were not passed to workers, by name.",
		read: words(func(s *snapshot) map[string]uint64 { return s.Requests.VarsDropped })},

	// Decisions.
	{name: "decisions_total", kind: counter, unit: "requests", labels: []string{"reason"},
		help: "Decisions to store a page or not, by reason; docs/decisions.md explains the reasons.",
		read: func(s *snapshot, emit emits) {
			for reason, n := range s.Requests.Reasons {
				emit(number(n), string(reason))
			}
		}},
	{name: "verdicts_total", kind: counter, unit: "requests", labels: []string{"verdict"},
		help: "Requests by verdict: store, observe (it would be stored without --observe) or pass.",
		read: words(func(s *snapshot) map[string]uint64 { return s.Requests.Verdicts })},
	{name: "worker_busy_seconds_total", kind: counter, unit: "seconds", labels: []string{"reason"},
		help: "Time that workers were occupied with requests of clients, by the reason of the decision. `uwgate report` says what could be saved, by host.",
		read: func(s *snapshot, emit emits) {
			for reason, seconds := range s.busy {
				emit(value{number: seconds}, reason)
			}
		}},
	{name: "observing", kind: gauge, unit: "1 or 0",
		help:  "1 if --observe is in force: nothing is stored.",
		alert: "it is 1 for longer than the trial lasts",
		read:  single(func(s *snapshot) value { return yes(s.Requests.Observe) })},
	{name: "observed_total", kind: counter, unit: "pages",
		help: "Pages that would have been stored without --observe.",
		read: single(func(s *snapshot) value { return number(s.Requests.Observed) })},

	{name: "capture_memory_bytes", kind: gauge, unit: "bytes",
		help:  "Bytes of pages that are being copied for the store while they are relayed; --capture-memory bounds them.",
		alert: "it comes near --capture-memory: pages are not stored (`capture-full`)",
		read:  single(func(s *snapshot) value { return number(s.Requests.Captures) })},

	{name: "capture_memory_limit_bytes", kind: gauge, unit: "bytes",
		help: "The most of these bytes; --capture-memory sets it. 0: no bound.",
		read: single(func(s *snapshot) value { return number(s.Requests.CaptureMax) })},

	// Connections.
	{name: "connections", kind: gauge, unit: "connections",
		help: "Connections of clients that are open.",
		read: single(func(s *snapshot) value { return number(s.Connections.Open) })},
	{name: "connections_limit", kind: gauge, unit: "connections",
		help:  "Connections of clients at which uwgate accepts no more; --max-connections sets it.",
		alert: "`uwgate_connections` comes near it",
		read:  single(func(s *snapshot) value { return number(s.Connections.Limit) })},
	{name: "accept_pauses_total", kind: counter, unit: "pauses",
		help:  "How often a listener accepted nothing for a while, since too many connections were open. New ones wait in its listen queue.",
		alert: "it rises",
		read:  single(func(s *snapshot) value { return number(s.Connections.Pauses) })},
	{name: "probes_total", kind: counter, unit: "connections",
		help: "Connections that were closed before a request, as health checks do.",
		read: single(func(s *snapshot) value { return number(s.Listening.Probes) })},
	{name: "pings_total", kind: counter, unit: "pings",
		help: "uwsgi pings that uwgate responded to.",
		read: single(func(s *snapshot) value { return number(s.Listening.Pings) })},
	{name: "peers_refused_total", kind: counter, unit: "connections",
		help:  "Connections that were refused, since their address or user may not connect.",
		alert: "it rises: somebody else connects, or an nginx lacks its --allow-peer",
		read:  single(func(s *snapshot) value { return number(s.Listening.Refused) })},
	{name: "tls_handshakes_total", kind: counter, unit: "handshakes", labels: []string{"result"},
		help:  "TLS handshakes with clients, by result: full, resumed or failed.",
		alert: `the rate with result="failed" rises`,
		read:  words(func(s *snapshot) map[string]uint64 { return s.Listening.Handshakes })},

	// Uploads.
	{name: "spool_memory_bytes", kind: gauge, unit: "bytes",
		help: "Memory that request bodies take while they wait for a worker; --spool-memory bounds it.",
		read: single(func(s *snapshot) value { return number(s.Spool.Memory) })},
	{name: "spool_disk_bytes", kind: gauge, unit: "bytes",
		help:  "Bytes of request bodies that wait for a worker in files, including what has not arrived yet; --spool-disk bounds it.",
		alert: "it comes near --spool-disk: further uploads get a 503",
		read:  single(func(s *snapshot) value { return number(s.Spool.Disk) })},
	{name: "spool_memory_limit_bytes", kind: gauge, unit: "bytes",
		help: "The bound of `uwgate_spool_memory_bytes`; --spool-memory sets it. 0: no bound.",
		read: single(func(s *snapshot) value { return number(s.Spool.MemoryLimit) })},
	{name: "spool_disk_limit_bytes", kind: gauge, unit: "bytes",
		help: "The bound of `uwgate_spool_disk_bytes`; --spool-disk sets it. 0: no bound.",
		read: single(func(s *snapshot) value { return number(s.Spool.DiskLimit) })},
	{name: "spool_files", kind: gauge, unit: "files",
		help: "Request bodies that wait for a worker in files.",
		read: single(func(s *snapshot) value { return number(s.Spool.Files) })},

	// Flights.
	{name: "flights", kind: gauge, unit: "pages",
		help: "Pages that a request fetches and other requests may share; see docs/flights.md.",
		read: single(func(s *snapshot) value { return number(s.Flights.Flights) })},
	{name: "flight_followers", kind: gauge, unit: "requests",
		help: "Requests that wait for such a page, or are being sent it.",
		read: single(func(s *snapshot) value { return number(s.Flights.Followers) })},
	{name: "coalesced_total", kind: counter, unit: "requests", labels: []string{"end"},
		help: "Requests that waited for such a page, by how the wait ended: shared, failed, refused, late, again, alone, found or left.",
		read: words(func(s *snapshot) map[string]uint64 { return s.Flights.Ends })},
	{name: "copies_total", kind: counter, unit: "pages", labels: []string{"event"},
		help:  "Last good copies of pages, by event: kept, lost because the store had no room, or served in the place of an error.",
		alert: `the rate with event="served" rises: workers fail`,
		read:  words(func(s *snapshot) map[string]uint64 { return s.Flights.Copies })},

	// Refreshes.
	{name: "refresh_total", kind: counter, unit: "events", labels: []string{"event"},
		help: "What was done with pages that are refreshed before they expire, by event; docs/refresh.md explains the events.",
		read: refreshes(func(r *refresh.Stats, emit emits) {
			for event, n := range r.Events {
				emit(number(n), string(event))
			}
		})},
	{name: "refresh_pages", kind: gauge, unit: "pages",
		help: "Pages whose refresh is scheduled.",
		read: refreshes(func(r *refresh.Stats, emit emits) { emit(number(r.Keys)) })},
	{name: "refresh_memory_bytes", kind: gauge, unit: "bytes",
		help: "Memory that the schedule of refreshes takes.",
		read: refreshes(func(r *refresh.Stats, emit emits) { emit(number(r.Bytes)) })},
	{name: "refreshes_in_flight", kind: gauge, unit: "pages",
		help: "Pages that are being refreshed.",
		read: refreshes(func(r *refresh.Stats, emit emits) { emit(number(r.Fetching)) })},

	// Purges.
	{name: "purges_total", kind: counter, unit: "purges", labels: []string{"mode", "outcome"},
		help:  "Purges that were carried out, by mode (hard, soft or dry-run) and outcome (done, pending or incomplete); docs/purging.md explains them.",
		alert: `the rate with outcome="pending" or outcome="incomplete" rises`,
		read: func(s *snapshot, emit emits) {
			for k, n := range s.Purges.Purges {
				emit(number(n), k.Mode, k.Outcome)
			}
		}},
	{name: "purges_refused_total", kind: counter, unit: "purges", labels: []string{"why"},
		help:  "Purges that were refused: forbidden, rate or malformed.",
		alert: `the rate with why="forbidden" rises: somebody tries to purge, or a CMS is not in --purge-from`,
		read:  words(func(s *snapshot) map[string]uint64 { return s.Purges.Refused })},
	{name: "purged_pages_total", kind: counter, unit: "pages",
		help: "Pages that purges have deleted.",
		read: single(func(s *snapshot) value { return number(s.Purges.Deleted) })},
	{name: "purge_fetches_total", kind: counter, unit: "pages", labels: []string{"result"},
		help:  "Pages that were to be fetched again after a purge, by result: fetched, or deleted because that failed or took longer than --purge-soft-limit.",
		alert: `the rate with result="deleted" rises: workers are slow or fail`,
		read: func(s *snapshot, emit emits) {
			emit(number(s.Purges.Fetched), "fetched")
			emit(number(s.Purges.Failed), "deleted")
		}},
	{name: "purge_fetches_waiting", kind: gauge, unit: "pages",
		help: "Pages that wait to be fetched again after a purge.",
		read: single(func(s *snapshot) value { return number(s.Purges.Waiting) })},

	// Backends.
	{name: "backend_up", kind: gauge, unit: "1 or 0", labels: backendLabels,
		help:  "1 if the server gets requests, 0 if it is ejected until a probe succeeds.",
		alert: "it is 0 for minutes",
		read:  backends(func(n backend.NodeStats) value { return yes(n.Up) })},
	{name: "backend_connections_total", kind: counter, unit: "connections", labels: backendLabels,
		help: "Connections that were made to the server.",
		read: backends(func(n backend.NodeStats) value { return number(n.Requests) })},
	{name: "backend_connect_errors_total", kind: counter, unit: "connections", labels: backendLabels,
		help:  "Connection attempts that the server refused, or did not respond to in time.",
		alert: "its rate rises",
		read:  backends(func(n backend.NodeStats) value { return number(n.DialErrors) })},
	{name: "backend_busy_total", kind: counter, unit: "connections", labels: backendLabels,
		help:  "Connection attempts that found the server's listen queue full.",
		alert: "its rate rises: the server needs more workers",
		read:  backends(func(n backend.NodeStats) value { return number(n.Busy) })},
	{name: "backend_requests_in_flight", kind: gauge, unit: "requests", labels: backendLabels,
		help: "Requests that the server is serving, or is being connected for.",
		read: backends(func(n backend.NodeStats) value { return number(n.InFlight) })},
	{name: "pool_queue_requests", kind: gauge, unit: "requests", labels: poolLabels,
		help:  "Requests that wait for a server of the pool.",
		alert: "it stays above 0: the pool has too few workers, or none that is up",
		read:  pools(func(p poolStats, emit emits) { emit(number(p.Waiting), p.name) })},
	{name: "pool_requests_total", kind: counter, unit: "requests", labels: poolLabels,
		help: "Requests that asked for a server of the pool. Those that were sent again count once.",
		read: pools(func(p poolStats, emit emits) { emit(number(p.Requests), p.name) })},
	{name: "pool_queued_total", kind: counter, unit: "requests", labels: poolLabels,
		help: "Requests that had to wait for a server of the pool.",
		read: pools(func(p poolStats, emit emits) { emit(number(p.Queued), p.name) })},
	{name: "pool_unserved_total", kind: counter, unit: "requests", labels: []string{"pool", "cause"},
		help:  "Requests that no server of the pool took in time, by cause: queue_full or queue_timeout.",
		alert: "it rises: visitors get 503",
		read: pools(func(p poolStats, emit emits) {
			emit(number(p.QueueFull), p.name, "queue_full")
			emit(number(p.QueueTimeouts), p.name, "queue_timeout")
		})},
	{name: "pool_shortages_total", kind: counter, unit: "attempts", labels: poolLabels,
		help:  "Attempts to connect for which this machine had no descriptor, port or memory. The request waits and tries again.",
		alert: "it rises: raise LimitNOFILE=, or lower --max-connections",
		read:  pools(func(p poolStats, emit emits) { emit(number(p.Shortages), p.name) })},
	{name: "pool_retries_total", kind: counter, unit: "requests", labels: poolLabels,
		help: "Requests that were sent again to another server of the pool.",
		read: pools(func(p poolStats, emit emits) { emit(number(p.Retries), p.name) })},
	{name: "pool_retries_denied_total", kind: counter, unit: "requests", labels: poolLabels,
		help: "Requests that were not sent again, since too many had been.",
		read: pools(func(p poolStats, emit emits) { emit(number(p.RetriesDenied), p.name) })},

	// Subscriptions.
	{name: "subscription_keys", kind: gauge, unit: "keys",
		help: "Keys that uWSGI servers have subscribed to.",
		read: subscriptions(func(s *subscription.Stats, emit emits) { emit(number(s.Keys)) })},
	{name: "subscription_servers", kind: gauge, unit: "servers",
		help:  "Servers that have subscribed. One that has subscribed to several keys counts for each.",
		alert: "it falls below what you have started",
		read:  subscriptions(func(s *subscription.Stats, emit emits) { emit(number(s.Nodes)) })},
	{name: "subscription_announced_total", kind: counter, unit: "datagrams",
		help: "Announcements that were accepted.",
		read: subscriptions(func(s *subscription.Stats, emit emits) { emit(number(s.Announced)) })},
	{name: "subscription_left_total", kind: counter, unit: "datagrams",
		help: "Announcements that a server leaves.",
		read: subscriptions(func(s *subscription.Stats, emit emits) { emit(number(s.Left)) })},
	{name: "subscription_expired_total", kind: counter, unit: "servers",
		help:  "Servers that were removed, since they did not announce themselves again in time.",
		alert: "it rises: servers died, or datagrams are lost",
		read:  subscriptions(func(s *subscription.Stats, emit emits) { emit(number(s.Expired)) })},
	{name: "subscription_refused_total", kind: counter, unit: "datagrams", labels: []string{"reason"},
		help:  "Announcements that were refused, by reason; docs/subscriptions.md explains the reasons.",
		alert: "it rises",
		read: subscriptions(func(s *subscription.Stats, emit emits) {
			for reason, n := range s.Refused {
				emit(number(n), string(reason))
			}
		})},

	// Store.
	{name: "store_up", kind: gauge, unit: "1 or 0", labels: storeLabels,
		help:  "1 if uwgate uses the memcached server, 0 if it does not after repeated failures, until a probe succeeds.",
		alert: "it is 0 for minutes",
		read:  stores(func(s cachewriter.ServerStats) value { return yes(s.Breaker != cachewriter.BreakerOpen) })},
	{name: "store_queue_entries", kind: gauge, unit: "pages", labels: storeLabels,
		help: "Pages that wait to be written, or are being written.",
		read: stores(func(s cachewriter.ServerStats) value { return number(s.QueuedEntries) })},
	{name: "store_queue_bytes", kind: gauge, unit: "bytes", labels: storeLabels,
		help:  "Bytes of these pages; --queue-bytes bounds them.",
		alert: "it stays high: memcached is too slow",
		read:  stores(func(s cachewriter.ServerStats) value { return number(s.QueuedBytes) })},
	{name: "store_stored_total", kind: counter, unit: "pages", labels: storeLabels,
		help: "Pages that memcached stored.",
		read: stores(func(s cachewriter.ServerStats) value { return number(s.Stored) })},
	{name: "store_refused_total", kind: counter, unit: "pages", labels: storeLabels,
		help:  "Pages that memcached refused, for example as too large.",
		alert: "it rises",
		read:  stores(func(s cachewriter.ServerStats) value { return number(s.Refused) })},
	{name: "store_errors_total", kind: counter, unit: "operations", labels: storeLabels,
		help:  "Writes and deletes that failed: no connection, no response in time, or a malformed one.",
		alert: "its rate rises",
		read:  stores(func(s cachewriter.ServerStats) value { return number(s.Failed + s.DeleteErrors) })},
	{name: "store_dropped_total", kind: counter, unit: "pages", labels: []string{"server", "cause"},
		help:  "Pages that were not written, by cause: queue-full, server-down, expired, superseded, closed or purged.",
		alert: `the rate with cause="queue-full" rises`,
		read: func(s *snapshot, emit emits) {
			for _, server := range s.store {
				for cause, n := range server.Dropped {
					emit(number(n), server.Addr, string(cause))
				}
			}
		}},
	{name: "store_deletes_total", kind: counter, unit: "pages", labels: storeLabels,
		help: "Pages that were deleted from memcached.",
		read: stores(func(s cachewriter.ServerStats) value { return number(s.Deletes + s.Pending.Done) })},
	{name: "store_owed_deletes", kind: gauge, unit: "pages", labels: storeLabels,
		help:  "Pending deletes: pages that will be deleted as soon as the server can be reached.",
		alert: "it stays above 0: old pages may be served",
		read:  stores(func(s cachewriter.ServerStats) value { return number(s.Pending.Entries) })},
	{name: "store_owed_deletes_lost_total", kind: counter, unit: "pages", labels: storeLabels,
		help:  "Pages that will not be deleted, since too many deletes were pending. They stay until they expire.",
		alert: "it rises at all",
		read:  stores(func(s cachewriter.ServerStats) value { return number(s.Pending.Lost) })},
	{name: "store_purges_total", kind: counter, unit: "purges", labels: storeLabels,
		help: "Purges by site, prefix, tag and the like that are complete on a server.",
		read: stores(func(s cachewriter.ServerStats) value { return number(s.Purges) })},
	{name: "store_owed_purges", kind: gauge, unit: "purges", labels: storeLabels,
		help:  "Pending purges by site, prefix, tag and the like: they are done as soon as the server can be reached.",
		alert: "it stays above 0: old pages may be served",
		read:  stores(func(s cachewriter.ServerStats) value { return number(s.Pending.Purges) })},
	{name: "store_walks_total", kind: counter, unit: "walks", labels: []string{"server", "result"},
		help:  "Walks through all keys of the server, for purges by site, prefix, tag and the like, by result: done or failed.",
		alert: `the rate with result="failed" rises: purges are not complete`,
		read: func(s *snapshot, emit emits) {
			for _, server := range s.store {
				emit(number(server.Walks), server.Addr, "done")
				emit(number(server.WalkErrors), server.Addr, "failed")
			}
		}},
	{name: "store_walk_seconds_total", kind: counter, unit: "seconds", labels: storeLabels,
		help: "Time that these walks took.",
		read: stores(func(s cachewriter.ServerStats) value { return value{number: s.WalkTime.Seconds()} })},
	{name: "store_queue_limit_bytes", kind: gauge, unit: "bytes",
		help: "The bound of `uwgate_store_queue_bytes` over all servers; each has an equal share.",
		read: single(func(s *snapshot) value { return number(s.queue.Bytes) })},
	{name: "store_queue_limit_entries", kind: gauge, unit: "pages",
		help: "The bound of `uwgate_store_queue_entries` over all servers; --queue-entries sets it.",
		read: single(func(s *snapshot) value { return number(s.queue.Entries) })},
	{name: "store_write_duration_seconds", kind: timing, unit: "seconds", labels: storeLabels,
		help:  "Time that memcached took to respond to the write of a page.",
		alert: "a high quantile comes near --memcached-timeout",
		read:  stores(func(s cachewriter.ServerStats) value { return value{hist: s.Latency} })},
}

var (
	backendLabels = []string{"pool", "backend"}
	poolLabels    = []string{"pool"}
	storeLabels   = []string{"server"}
)

// single reads a metric without labels.
func single(read func(*snapshot) value) func(*snapshot, emits) {
	return func(s *snapshot, emit emits) { emit(read(s)) }
}

// words reads a metric with a label that says what was counted.
func words(read func(*snapshot) map[string]uint64) func(*snapshot, emits) {
	return func(s *snapshot, emit emits) {
		for word, n := range read(s) {
			emit(number(n), word)
		}
	}
}

// refreshes reads a metric that is there if pages are refreshed.
func refreshes(read func(*refresh.Stats, emits)) func(*snapshot, emits) {
	return func(s *snapshot, emit emits) {
		if s.Refresh != nil {
			read(s.Refresh, emit)
		}
	}
}

// backends reads a metric of each server of each pool.
func backends(read func(backend.NodeStats) value) func(*snapshot, emits) {
	return pools(func(p poolStats, emit emits) {
		for _, n := range p.nodes {
			emit(read(n), p.name, n.Name)
		}
	})
}

// pools reads a metric of each pool.
func pools(read func(poolStats, emits)) func(*snapshot, emits) {
	return func(s *snapshot, emit emits) {
		for _, p := range s.pools {
			read(p, emit)
		}
	}
}

// subscriptions reads a metric that is there if uwgate takes subscriptions.
func subscriptions(read func(*subscription.Stats, emits)) func(*snapshot, emits) {
	return func(s *snapshot, emit emits) {
		if s.subscriptions != nil {
			read(s.subscriptions, emit)
		}
	}
}

// stores reads a metric of each memcached server.
func stores(read func(cachewriter.ServerStats) value) func(*snapshot, emits) {
	return func(s *snapshot, emit emits) {
		for _, server := range s.store {
			emit(read(server), server.Addr)
		}
	}
}
