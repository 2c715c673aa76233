package admin

import (
	"runtime"

	"uwgate/cachewriter"
	"uwgate/gateway/hits"
)

// programMetrics are those of the program and its settings.
var programMetrics = []metric{
	{name: "build_info", kind: gauge, unit: "1", labels: []string{"version", "goversion"},
		help: "1, with the version of uwgate and of Go.",
		read: func(s *snapshot, emit emits) { emit(number(1), s.program.version, runtime.Version()) }},
	{name: "config_last_reload_successful", kind: gauge, unit: "1 or 0",
		help:  "1 if the settings that were read last, at the start or by HUP, are in force.",
		alert: "it is 0: the log says what is wrong, and the old settings are in force",
		read:  single(func(s *snapshot) value { return yes(s.program.reload.Error == "") })},
	{name: "config_last_reload_success_timestamp_seconds", kind: gauge, unit: "seconds",
		help: "When the settings in force were read, in seconds since 1970.",
		read: single(func(s *snapshot) value { return value{number: float64(s.program.reload.InForce.UnixMilli()) / 1000} })},
	{name: "log_lines_lost_total", kind: counter, unit: "lines",
		help:  "Log lines that were dropped, since their sink was too slow.",
		alert: "it rises: a disk or a reader of the log is too slow",
		read:  single(func(s *snapshot) value { return number(s.program.lost) })},
}

// memcachedMetrics are what memcached says of itself.
var memcachedMetrics = []metric{
	{name: "memcached_up", kind: gauge, unit: "1 or 0", labels: storeLabels,
		help:  "1 if the memcached server responded when uwgate asked it last for its statistics, which it does every 10 seconds.",
		alert: "it is 0",
		read: func(s *snapshot, emit emits) {
			for _, in := range s.info {
				emit(yes(in.Err == nil), in.Addr)
			}
		}},
	{name: "memcached_hits_total", kind: counter, unit: "lookups", labels: storeLabels,
		help: "Lookups that found something, of all clients of the memcached server: nginx, uwgate and others.",
		read: infos(func(in cachewriter.Info) value { return number(in.Hits) })},
	{name: "memcached_misses_total", kind: counter, unit: "lookups", labels: storeLabels,
		help: "Lookups that found nothing, of the same clients.",
		read: infos(func(in cachewriter.Info) value { return number(in.Misses) })},
	{name: "memcached_sets_total", kind: counter, unit: "entries", labels: storeLabels,
		help: "Entries that were set, by all clients.",
		read: infos(func(in cachewriter.Info) value { return number(in.Sets) })},
	{name: "memcached_evictions_total", kind: counter, unit: "entries", labels: storeLabels,
		help:  "Entries that were removed before they expired, for want of memory.",
		alert: "its rate stays high: give memcached more memory (-m)",
		read:  infos(func(in cachewriter.Info) value { return number(in.Evictions) })},
	{name: "memcached_items", kind: gauge, unit: "entries", labels: storeLabels,
		help: "Entries that the server holds, of all clients.",
		read: infos(func(in cachewriter.Info) value { return number(in.Items) })},
	{name: "memcached_used_bytes", kind: gauge, unit: "bytes", labels: storeLabels,
		help: "Bytes that these entries take.",
		read: infos(func(in cachewriter.Info) value { return number(in.Bytes) })},
	{name: "memcached_limit_bytes", kind: gauge, unit: "bytes", labels: storeLabels,
		help: "The most bytes that the server may hold (-m).",
		read: infos(func(in cachewriter.Info) value { return number(in.Limit) })},
	{name: "memcached_connections", kind: gauge, unit: "connections", labels: storeLabels,
		help: "Open connections, of all clients.",
		read: infos(func(in cachewriter.Info) value { return number(in.Connections) })},
	{name: "memcached_connections_limit", kind: gauge, unit: "connections", labels: storeLabels,
		help:  "The most connections (-c).",
		alert: "`uwgate_memcached_connections` comes near it",
		read:  infos(func(in cachewriter.Info) value { return number(in.MaxConnections) })},
}

// nginxMetrics are what nginx's access log tells.
var nginxMetrics = []metric{
	{name: "nginx_requests_total", kind: counter, unit: "requests", labels: []string{"host", "lookup", "status"},
		help:  "Requests to nginx, as its access log tells (--hits-listen), by what became of the lookup: hit, miss, failed (memcached did not respond) or skipped (nginx did not ask). Of more than 100 hosts some are `other`.",
		alert: `the share of lookup="hit" falls, or the rate of lookup="failed" rises`,
		read: nginxHosts(func(h *hits.Host, emit emits) {
			for lookup, c := range h.Lookups {
				for status, n := range c.Statuses {
					emit(number(n), h.Host, string(lookup), status)
				}
			}
		})},
	{name: "nginx_sent_bytes_total", kind: counter, unit: "bytes", labels: []string{"host", "lookup"},
		help: "Bytes that nginx sent to clients, heads included.",
		read: nginxHosts(func(h *hits.Host, emit emits) {
			for lookup, c := range h.Lookups {
				emit(number(c.Bytes), h.Host, string(lookup))
			}
		})},
	{name: "nginx_request_duration_seconds", kind: timing, unit: "seconds", labels: []string{"lookup"},
		help: "Time from the first byte of a request to the last byte of its response, as nginx measures it.",
		read: func(s *snapshot, emit emits) {
			if s.hits != nil {
				for lookup, took := range s.hits.Took {
					emit(value{hist: took}, string(lookup))
				}
			}
		}},
	{name: "nginx_lines_total", kind: counter, unit: "lines", labels: []string{"result"},
		help:  "Lines of nginx's access log, by result: counted, malformed, oversized, forbidden (the sender may not send) or lost (the socket had no room; known for UDP only).",
		alert: "the share of another result than counted rises",
		read: func(s *snapshot, emit emits) {
			if s.hits != nil {
				for result, n := range linesOf(s.hits) {
					emit(number(n), result)
				}
			}
		}},
	{name: "nginx_last_line_timestamp_seconds", kind: gauge, unit: "seconds",
		help:  "When the last such line came, in seconds since 1970; 0: none came.",
		alert: "it is some minutes ago on a site with visitors: nginx does not send, or not here",
		read: func(s *snapshot, emit emits) {
			switch {
			case s.hits == nil:
			case s.hits.Last.IsZero():
				emit(number(0))
			default:
				emit(value{number: float64(s.hits.Last.UnixMilli()) / 1000})
			}
		}},
}

// infos reads a metric of each memcached server that has responded.
func infos(read func(cachewriter.Info) value) func(*snapshot, emits) {
	return func(s *snapshot, emit emits) {
		for _, in := range s.info {
			if in.Err == nil {
				emit(read(in), in.Addr)
			}
		}
	}
}

// nginxHosts reads a metric of each host of which nginx tells.
func nginxHosts(read func(*hits.Host, emits)) func(*snapshot, emits) {
	return func(s *snapshot, emit emits) {
		if s.hits != nil {
			for i := range s.hits.Hosts {
				read(&s.hits.Hosts[i], emit)
			}
		}
	}
}
