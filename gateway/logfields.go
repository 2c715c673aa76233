package gateway

// A logField describes a field of the log for docs/log.md, which is made from the tables
// below. A test compares them with what the code logs.
type logField struct {
	name    string
	kind    string // string, number, true or false, list of strings
	unit    string // of a number
	meaning string
	example string // in JSON
}

// accessFields are the fields of a line of the access log, in their order.
var accessFields = []logField{
	{"host", "string", "", "nginx's `$host`: the host that the client asked for, in lower case and without its port. Empty: there is none.", `"www.example.com"`},
	{"client", "string", "", "The address of the client, as nginx reports it (`REMOTE_ADDR`). Empty: nginx does not say, or uwgate made the request itself.", `"192.0.2.7"`},
	{"request_id", "string", "", "nginx's `$request_id`, by which you find the request in nginx's own log. nginx hands it over as the param `CACHE_REQUEST_ID`, which `uwgate nginx` prints and workers do not get, or as `REQUEST_ID`. Absent: neither is there.", `"4f1f6d8b1d0a4c5e9d3c2b1a00112233"`},
	{"trace_id", "string", "", "The trace of the request, from its header `traceparent` (W3C Trace Context). Absent: it has none.", `"4bf92f3577b34da6a3ce929d0e0e4736"`},
	{"method", "string", "", "The request's method.", `"GET"`},
	{"uri", "string", "", "The request's target as the client sent it. Without its query if `--log-query off` is set; without the bypass argument if it was there.", `"/news/?page=2"`},
	{"status", "number", "", "The response's status. 499: the client left before it got one. 0: the connection ended before there was one.", `200`},
	{"bytes", "number", "bytes", "Length of the response body that was sent.", `5120`},
	{"pool", "string", "", "The [pool](pools.md) of servers for the request; `default` is that of `--backend`. Empty: none was chosen.", `"default"`},
	{"backend", "string", "", "The server that the request was sent to. Empty: none.", `"unix:/run/app.sock"`},
	{"verdict", "string", "", "`store`: the page is stored. `observe`: it would be without `--observe`. `pass`: it is not stored.", `"store"`},
	{"reason", "string", "", "Why; [decisions.md](decisions.md) explains each word.", `"s-maxage"`},
	{"ttl", "number", "seconds", "How long the page is stored. 0: not at all.", `300`},
	{"key", "string", "", "The key of the page, as nginx computes it and before it escapes it. Without its query if `--log-query off` is set. Empty: there is none.", `"https://example.com/news/?page=2"`},
	{"queued", "number", "seconds", "How long the request waited for a free server. 0: not at all.", `0.00025`},
	{"first_byte", "number", "seconds", "Time from the accepted connection to the head of the worker's response. 0: no worker responded.", `0.0098`},
	{"took", "number", "seconds", "Time from the accepted connection to the last byte of the response.", `0.0123`},
	{"flight", "string", "", "`leader`: other requests for the page could wait for this response. `follower`: this request got the response to another one. `refresh`: nobody requested the page; uwgate refreshed it. Absent: none of these. See [flights.md](flights.md).", `"leader"`},
	{"tags", "list of strings", "", "The [tags](rules.md#tags) of a page that is stored, up to 1 KiB of them. Absent: none.", `["news"]`},
	{"side", "string", "", "Who failed: `client`, `backend` or `gateway`. Absent: nobody.", `"backend"`},
	{"error", "string", "", "What failed. Absent: nothing.", `"gateway: dial backend unix:/run/app.sock: connection refused"`},
	{"code", "string", "", "A stable word for some errors, such as `queue_full`. Absent: there is none.", `"queue_full"`},
}

// eventFields are the fields of all other lines, in alphabetical order.
var eventFields = []logField{
	{"address", "string", "", "An address that uwgate listens on.", `"127.0.0.1:3030"`},
	{"admin", "string", "", "The address of `--admin`. Empty: none.", `"unix:/run/uwgate/admin.sock"`},
	{"allowed_host", "list of strings", "", "The hosts of `--allowed-host`.", `["*.example.com"]`},
	{"backend", "string", "", "A server of the workers.", `"unix:/run/app.sock"`},
	{"backends", "number", "servers", "Servers of the workers, over all pools.", `4`},
	{"backends_up", "number", "servers", "Those of them that accept connections.", `3`},
	{"changed", "list of strings", "", "Settings that HUP has changed.", `["ttl"]`},
	{"client", "string", "", "Who purges: the address of the client, as nginx reports it. Empty: a purge through a UNIX socket of `--admin`.", `"10.0.0.7"`},
	{"code", "string", "", "What `uwgate check` calls a finding about nginx's configuration: [check.md](check.md).", `"visitor-differs"`},
	{"deleted", "number", "pages", "Pages that a purge has deleted.", `12`},
	{"difference", "number", "seconds", "How far the clocks of two gateways are apart.", `3`},
	{"down", "number", "seconds", "How long memcached could not be reached, or no backend accepted connections.", `12.5`},
	{"drain_timeout", "number", "seconds", "How long the requests in flight may take when uwgate stops (`--drain-timeout`). Negative: as long as they need.", `30`},
	{"error", "string", "", "What failed.", `"dial tcp 127.0.0.1:11211: connect: connection refused"`},
	{"file", "string", "", "A file that was read.", `"/etc/uwgate.hosts"`},
	{"fix", "string", "", "What to do about it.", `"put $host into nginx's key and --key"`},
	{"found", "number", "pages", "Pages that a purge was for.", `12`},
	{"from", "string", "", "The address that an announcement came from.", `"10.0.0.7:54321"`},
	{"header", "string", "", "A header that hits lack.", `"X-Frame-Options"`},
	{"hosts", "number", "hosts", "Hosts in the map file.", `12`},
	{"kept", "number", "pages", "Pages that a soft purge serves until they have been fetched again.", `3`},
	{"key", "string", "", "The key that servers announce themselves for.", `"www.example.com"`},
	{"limit", "number", "connections", "The bound of client connections that are open at once.", `4096`},
	{"lines", "number", "lines", "Log lines that were dropped because their sink was too slow, or could not be written.", `120`},
	{"listen", "list of strings", "", "The addresses of `--listen`.", `["unix:/run/uwgate/uwgate.sock"]`},
	{"max_connections", "number", "connections", "The client connections that may be open at once (`--max-connections`).", `4096`},
	{"memcached", "list of strings", "", "The servers of `--memcached`.", `["127.0.0.1:11211"]`},
	{"memory_limit", "number", "bytes", "The memory that uwgate tries to keep below: `GOMEMLIMIT`, or nine tenths of the control group's. 0: no limit.", `483183820`},
	{"mode", "string", "", "How pages were purged: `hard`, `soft` or `dry-run`. At the start: `store`, or `observe` if nothing is stored.", `"hard"`},
	{"name", "string", "", "The name of a cookie, a header, a var or a backend.", `"theme"`},
	{"open_files", "number", "files", "The files that the process may open (`LimitNOFILE=`).", `65536`},
	{"outcome", "string", "", "What became of a purge: `done`; `pending`, since a memcached server cannot be reached; or `incomplete`.", `"done"`},
	{"owed_deletes", "number", "deletes", "Deletes that memcached did not get while it was down. uwgate sends them now.", `2`},
	{"panic", "string", "", "What went wrong in uwgate itself. Please report the line.", `"index out of range"`},
	{"peer", "string", "", "The address of a client that tried to connect.", `"10.0.0.9:41000"`},
	{"pid", "number", "", "The process of a client that tried to connect.", `4711`},
	{"place", "string", "", "File and line in nginx's configuration.", `"/etc/nginx/nginx.conf:12"`},
	{"pool", "string", "", "The name of a pool.", `"default"`},
	{"purged", "list of strings", "", "What was purged: `url`, `path` (with any query), `prefix`, `site` or `tag`, and its name; or `all`.", `["tag news"]`},
	{"queue_timeout", "number", "seconds", "How long a request waits for a backend (`--queue-timeout`).", `10`},
	{"reason", "string", "", "Why an announcement was refused, in a word.", `"signature"`},
	{"refused_before", "number", "announcements", "Announcements that were refused since the last such line.", `3`},
	{"requests_in_flight", "number", "requests", "Requests that have no whole response yet.", `12`},
	{"retry_in", "number", "seconds", "When uwgate tries again.", `0.25`},
	{"server", "string", "", "A memcached server, or an announced server.", `"127.0.0.1:11211"`},
	{"settings", "list of strings", "", "Settings that have changed and that only a restart puts in force.", `["listen"]`},
	{"stack", "string", "", "The stack of a panic.", `"goroutine 1 [running]: …"`},
	{"status", "number", "", "The status that the client got.", `502`},
	{"took", "number", "seconds", "How long a purge took.", `0.12`},
	{"uid", "number", "", "The user of a client that tried to connect.", `33`},
	{"version", "string", "", "The version of uwgate.", `"1.0.0"`},
	{"via", "string", "", "How a purge came: `PURGE`; `api` (`uwgate purge` and the admin API); or the method of a request that purges by a rule or a group.", `"POST"`},
	{"waiting", "number", "requests", "Requests that have waited for a backend.", `41`},
	{"what", "string", "", "What uwgate found there.", `"/etc/nginx/secret.conf: permission denied"`},
}
