package settings

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/gateway/policy"
)

// The flags' categories, in the order of the help.
const (
	catWires  = "1. Wires"
	CatPools  = "2. Backends"
	CatKey    = "3. Key and place"
	CatPolicy = "4. What is stored"
	catLimits = "5. Limits and timeouts"
	catLogs   = "6. Logs and control"
)

// env is the environment's name of a flag.
func env(name string) []string {
	return []string{"UWGATE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))}
}

func text(category, name, usage, value string) cli.Flag {
	return &cli.StringFlag{Category: category, Name: name, Usage: usage, Value: value, EnvVars: env(name)}
}

func List(category, name, usage string, values ...string) cli.Flag {
	return &cli.StringSliceFlag{Category: category, Name: name, Usage: usage, Value: cli.NewStringSlice(values...), EnvVars: env(name)}
}

func period(category, name, usage string, value time.Duration) cli.Flag {
	return &cli.DurationFlag{Category: category, Name: name, Usage: usage + "; `TIME` as in 90s or 10m", Value: value, EnvVars: env(name)}
}

func toggle(category, name, usage string, value bool) cli.Flag {
	return &cli.BoolFlag{Category: category, Name: name, Usage: usage, Value: value, EnvVars: env(name)}
}

func amount(category, name, usage string, value Size) cli.Flag {
	return &cli.GenericFlag{Category: category, Name: name, Usage: usage, Value: &value, EnvVars: env(name)}
}

// A size is a number of bytes, written 1048576, 1024k, 1M or 1MiB.
type Size int64

// Set implements flag.Value.
func (s *Size) Set(text string) error {
	digits := strings.TrimRight(text, "BbIiKkMmGg ")
	unit, ok := map[string]int64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b"), "i")]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 || n > 1<<62/unit {
		return fmt.Errorf("%q is no size; write bytes, or a number with k, M or G after it", text)
	}
	*s = Size(n * unit)
	return nil
}

func (s *Size) String() string {
	for _, u := range []struct {
		unit Size
		name string
	}{{1 << 30, "G"}, {1 << 20, "M"}, {1 << 10, "k"}} {
		if *s >= u.unit && *s%u.unit == 0 {
			return strconv.FormatInt(int64(*s/u.unit), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*s), 10)
}

func ConfigFlag() cli.Flag {
	return &cli.StringFlag{Category: catLogs, Name: "config", EnvVars: env("config"), TakesFile: true,
		Usage: "read flags from this YAML `FILE`, a key each; lists for repeatable flags; rules (docs/rules.md) and pools (docs/pools.md)"}
}

func ListenFlag() cli.Flag {
	return List(catWires, "listen", "`ADDRESS` for nginx's uwsgi_pass; suwsgi:host:port for uwsgi_pass suwsgi://… (repeatable)", "127.0.0.1:3030")
}

// KeyFlags are what it takes to know key and server.
func KeyFlags() []cli.Flag {
	return []cli.Flag{
		List(CatKey, "memcached", "memcached `SERVER`, as in nginx's upstream block: \"10.0.0.1:11211 weight=2\" (repeatable)"),
		text(CatKey, "hash", "how nginx chooses among several: `METHOD` modulo (hash …;), consistent (hash … consistent;) or none (write to all)", "none"),
		text(CatKey, "key", "`TEMPLATE` of nginx's set $memcached_key; needed unless nginx hands the key over as CACHE_KEY", ""),
		&cli.StringFlag{Category: CatKey, Name: "nginx", EnvVars: env("nginx"), TakesFile: true,
			Usage: "take what is not given of memcached, hash, key, format, gzip-flag, hit-type, mime-types and nginx-adds from nginx's configuration, whose main `FILE` this is"},
		text(CatKey, "nginx-version", "nginx's `VERSION`, as in 1.22.1; without it a request that versions key differently is not stored", ""),
	}
}

// CookieFlags say whose pages are whose; with $visitor in the key they are about the
// key, too.
func CookieFlags() []cli.Flag {
	return []cli.Flag{
		List(CatPolicy, "identity-cookie", "store no page for requests with this `COOKIE`: it names the visitor; globs; added to the defaults (docs/visitors.md); none as the first value drops them (repeatable)"),
		List(CatPolicy, "token-cookie", "store no page for requests with this `COOKIE`, which protects forms, but serve them stored pages; globs; added to the defaults, such as csrftoken; none as the first value drops them (repeatable)"),
		List(CatPolicy, "harmless-cookie", "ignore this `COOKIE`: no page depends on it; globs; added to the defaults (analytics and consent tools); none as the first value drops them (repeatable)"),
	}
}

// ServeFlags are all flags; a configuration file may hold any of them.
func ServeFlags() []cli.Flag {
	flags := []cli.Flag{
		ListenFlag(),
		List(catWires, "backend", "uWSGI `SERVER` to forward to: \"unix:/run/app.sock weight=2 max-conns=8\"; parameters are in docs/pools.md (repeatable)"),
		text(catWires, "socket-mode", "`MODE` of the UNIX sockets listened on, octal", "0660"),
		List(catWires, "allow-peer", "`NETWORK` that may connect over TCP besides loopback, as 10.0.0.0/8 (repeatable)"),
		List(catWires, "allow-user", "`USER`, by name or number, whose processes alone may connect over UNIX sockets, as www-data (repeatable; Linux)"),
		toggle(catWires, "half-close", "answer TCP clients that close their direction after the request (nginx does not: there it means that the visitor has left)", false),
		toggle(catWires, "ask-to-close", "ask backends to close with the answer, by HTTP_CONNECTION; for gunicorn's uwsgi protocol", false),
	}
	flags = append(flags, tlsFlags()...)
	flags = append(flags, poolFlags()...)
	flags = append(flags, subscribeFlags()...)
	flags = append(flags, KeyFlags()...)
	flags = append(flags, CookieFlags()...)
	return append(flags,
		period(CatPolicy, "ttl", "lifetime of pages that name none themselves; 0 stores only those that do", 10*time.Minute),
		period(CatPolicy, "min-ttl", "no page is stored for less", 0),
		period(CatPolicy, "max-ttl", "no page is stored for more", 24*time.Hour),
		text(CatPolicy, "jitter", "`SHARE` by which lifetimes differ, so that pages do not expire together: 0% to 50%", "5%"),
		period(CatPolicy, "grace", "for which a page may be served over its lifetime while it is fetched anew, unless its stale-while-revalidate says", 0),
		period(CatPolicy, "stale-if-error", "for which a last good copy may be served while the backend fails, unless the page's stale-if-error says", 0),
		toggle(CatPolicy, "refresh-ahead", "fetch pages that are served anew before they expire", true),
		&cli.IntFlag{Category: CatPolicy, Name: "refresh-concurrency", Usage: "`NUMBER` of pages that are fetched anew at once", Value: 2, EnvVars: env("refresh-concurrency")},
		List(CatPolicy, "exclude", "never store what is below this path `PREFIX` (repeatable)"),
		List(CatPolicy, "identity-header", "store no page for requests with this `HEADER`: it names the visitor; globs; added to the defaults, such as X-Api-Key; none as the first value drops them (repeatable)"),
		List(CatPolicy, "harmless-header", "ignore this request `HEADER`: no page depends on it; globs; added to the defaults (browsers, proxies and CDNs); none as the first value drops them (repeatable)"),
		List(CatPolicy, "harmless-var", "ignore this `VAR`, a uwsgi_param of yours: no page depends on it; globs; added to the defaults (stock uwsgi_params); none as the first value drops them (repeatable)"),
		List(CatPolicy, "sentinel", "never store a page that contains this `TEXT`; replaces the defaults, the names of CSRF tokens and SSI's <!--#; none for none (repeatable)"),
		List(CatPolicy, "allowed-host", "store pages of this `HOST` only, as nginx's $host has it; globs; required if the key does not contain the host (repeatable)"),
		toggle(CatPolicy, "allow-rewrites", "store pages whose path nginx rewrites, under keys of $request_uri: only if each URL has one page and nothing makes subrequests (SSI, auth_request, mirror)", false),
		toggle(CatPolicy, "opaque-key", "store pages with arguments under handed-over keys that show no path, such as hashes: only if URLs that differ in host, path or arguments have different keys", false),
		List(CatPolicy, "trusted-header", "accept this request header `NAME`, such as X-Forwarded-Host: nginx or a proxy of yours sets it; without the flag, requests with it store nothing (repeatable)"),
		text(CatPolicy, "vary-cookie", "`WHETHER` to store pages with Vary: Cookie: refuse; or anonymous, for requests with harmless cookies only, if nginx looks up no other request under that key", "refuse"),
		text(CatPolicy, "format", "what is stored, as nginx reads it: `FORMAT` body (memcached_pass), gzip (with memcached_gzip_flag) or http (srcache_fetch)", "body"),
		&cli.UintFlag{Category: CatPolicy, Name: "gzip-flag", Usage: "`NUMBER` of nginx's memcached_gzip_flag, for the format gzip", Value: 2, EnvVars: env("gzip-flag")},
		text(CatPolicy, "hit-type", "Content-`TYPE` that nginx gives hits: its default_type and charset", "text/html; charset=utf-8"),
		&cli.StringFlag{Category: CatPolicy, Name: "mime-types", EnvVars: env("mime-types"), TakesFile: true,
			Usage: "nginx's types map: the `FILE` that it includes, such as /etc/nginx/mime.types (default: the stock map)"},
		List(CatPolicy, "nginx-adds", "\"`NAME: VALUE`\" of a header that nginx's add_header gives to hits (repeatable)"),
		toggle(CatPolicy, "strict-headers", "store no page with a security header that its hits would lack", false),
		text(CatPolicy, "accept-unframed", "`TYPE` of pages without a length that are stored if they end as they should: html, if in </html>", ""),
		amount(CatPolicy, "max-object", "`SIZE` of the largest body to store", Size((&policy.Policy{}).BodyLimit())),
		text(CatPolicy, "bypass-arg", "`NAME=SECRET`: a request with this argument deletes and refills the entry of its URL", ""),
		toggle(CatPolicy, "observe", "decide, log and count as always, but write nothing", false),
		toggle(CatPolicy, "align-headers", "drop from stored pages' first answer what their hits cannot have", true),

		toggle(catLimits, "fleet", "other gateways fill the same memcached: one of all fetches a page, and the others wait for it", false),
		period(catLimits, "coalesce-wait", "a request for a page that is being fetched for another waits for that one; 0 for not at all", 5*time.Second),
		&cli.IntFlag{Category: catLimits, Name: "coalesce-followers", Usage: "`NUMBER` of requests that wait for one page; those beyond ask a backend", Value: 10000, EnvVars: env("coalesce-followers")},
		period(catLimits, "first-byte-timeout", "from the end of the request to the first byte of the answer", time.Minute),
		period(catLimits, "idle-timeout", "for every pause in which nothing comes of a request's or an answer's body", time.Minute),
		period(catLimits, "send-timeout", "for every pause in which nginx reads nothing of a response; 0 for no bound: nginx's send_timeout ends slow clients", 0),
		period(catLimits, "total-timeout", "for a whole request; 0 for no bound", 0),
		period(catLimits, "drain-timeout", "for the requests in flight at the end; negative waits for ever", 30*time.Second),
		amount(catLimits, "max-request-body", "`SIZE` of the largest request body, over it 413; 0 leaves that to nginx's client_max_body_size", 0),
		toggle(catLimits, "stream-uploads", "give request bodies to a worker as they come; else they are taken in first", false),
		text(catLimits, "spool-dir", "`FOLDER` for the files in which large request bodies wait (default: the system's for temporary files)", ""),
		&cli.IntFlag{Category: catLimits, Name: "max-connections", EnvVars: env("max-connections"),
			Usage: "`NUMBER` of client connections that may be open at once; further ones wait in the listen queue; 0 for a third of the files that the process may open (LimitNOFILE=), less 128"},
		amount(catLimits, "spool-disk", "`SIZE` of all request bodies in files; an upload that would exceed it gets a 503, one that is larger a 413; 0 for no bound", 4<<30),
		amount(catLimits, "spool-memory", "`SIZE` of all request bodies in memory; what comes then waits in files", 64<<20),
		amount(catLimits, "queue-bytes", "`SIZE` of all pages waiting to be written; what comes then is not stored", 64<<20),
		&cli.IntFlag{Category: catLimits, Name: "queue-entries", Usage: "`NUMBER` of pages waiting to be written", Value: 4096, EnvVars: env("queue-entries")},
		period(catLimits, "memcached-connect-timeout", "for a connection to memcached", 100*time.Millisecond),
		period(catLimits, "memcached-timeout", "for one memcached operation", 250*time.Millisecond),
		toggle(catLimits, "trust-forwarded-proto", "let clients' X-Forwarded-Proto and X-Forwarded-Ssl through to the application", false),

		text(catLogs, "admin", "`ADDRESS` for /-/healthy, /-/ready, /metrics, /debug/pprof/, `uwgate explain` and `uwgate status`; none without it", ""),
		text(catLogs, "admin-token", "require this `TOKEN` for explain, status and profiles if --admin is a TCP address or an abstract socket such as @uwgate; an abstract socket needs one to start; a UNIX socket by path asks for none", ""),
		text(catLogs, "stats", "`ADDRESS` where each connection is told what FastRouter's stats server tells, for uwsgitop too; none without it", ""),
		List(catLogs, "log", "`SINK`, as \"stderr console\", \"stdout json\" or \"file:/path json\"; files are reopened on USR1 (repeatable)", "stderr"),
		text(catLogs, "log-level", "the least `LEVEL` to log: debug, info, warn or error; requests are info", "info"),
		text(catLogs, "log-query", "`WHETHER` query strings stand in the access log: on or off", "on"),
		ConfigFlag(),
	)
}
