package nginxconf

import (
	"fmt"
	"time"
)

// A Place is where something stands in nginx's configuration. The zero Place is
// nowhere: what has it is nginx's default.
type Place struct {
	File string // as nginx would open it
	Line int    // from 1
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// IsZero reports whether it is nowhere.
func (p Place) IsZero() bool { return p == Place{} }

// A Text is an argument of a directive, unquoted and with its variables as they
// are written, or nginx's default if its Place is zero.
type Text struct {
	Place
	Value string
}

// A Duration is a timeout, or nginx's default if its Place is zero.
type Duration struct {
	Place
	Value time.Duration
}

// A Config is what a configuration says about pages: where nginx looks them up and
// where it sends the requests for which there is none.
type Config struct {
	Files   []string  // that were read, the main file first
	Lookups []*Lookup // in the order of their places
	Passes  []*Pass   // every uwsgi_pass, in the order of their places
	Gaps    []Gap     // what could not be read

	defs *definitions

	// Subrequests are those that come to a lookup or to a uwsgi_pass, and Programs the
	// directives that may send requests anywhere, such as `access_by_lua_block`.
	Subrequests []Subrequest
	Programs    []Text
}

// A Gap is a part of the configuration that could not be read or does not make
// sense, such as an include that is not there. What stands there is not known.
type Gap struct {
	Place
	Text string // such as `include sites/*.conf: permission denied`
}

// A Lookup is a location that asks memcached: one with memcached_pass, or with
// srcache_fetch.
type Lookup struct {
	Place             // of memcached_pass or srcache_fetch
	Server   Block    // the server block
	Location Block    // the location block
	If       Text     // the condition of the `if` that memcached_pass stands in; zero: in none
	Names    []string // of server_name, as written; empty: none

	// Srcache is set for srcache_fetch, whose hits are whole responses. Those of
	// memcached_pass are bodies.
	Srcache bool

	Key Key
	Ask
	Hits
	Changes

	// ErrorPages are those in force, one for each code. Of several for a code the first one
	// counts.
	ErrorPages []ErrorPage

	// Misses is the uwsgi_pass to which a request goes if memcached has no page: that of the
	// location which error_page 404 names (or the last argument of its try_files), or with
	// srcache_fetch that of the location itself. Nil: there is none.
	Misses *Pass

	// Diverted are the uwsgi_pass in `if` blocks of the location: their requests leave
	// without a lookup, although the key may be set for them.
	Diverted []*Pass

	// Skip is the condition of srcache_fetch_skip; "" if there is none.
	Skip Text

	// Store are the arguments of an srcache_store, with which nginx stores pages by
	// itself. Zero: there is none.
	Store Text
}

// An Ask is how a lookup asks memcached.
type Ask struct {
	// Memcached is the upstream that is asked. With srcache_fetch it is that of the
	// memc_pass in the location that the fetch goes to. Fetch is that location; without
	// srcache_fetch it is zero.
	Memcached Upstream
	Fetch     Block

	ConnectTimeout Duration // memcached_connect_timeout or memc_connect_timeout; 60 s by default
	ReadTimeout    Duration // memcached_read_timeout or memc_read_timeout; 60 s by default

	// NextUpstream are the arguments of memcached_next_upstream or memc_next_upstream;
	// "error timeout" by default.
	NextUpstream Text
}

// Hits are what nginx makes of values in memcached. With srcache_fetch it matters to
// nobody, since hits have their own head.
type Hits struct {
	GzipFlag     Text              // of memcached_gzip_flag, a number; "0" by default
	Gunzip       Text              // "on" or "off"
	DefaultType  Text              // "text/plain" by default
	Charset      Text              // "off" by default
	CharsetTypes []string          // the types that get a charset, text/html included; "*" is all
	Types        map[string]string // from extensions, in lower case, to types
	TypesAt      Place             // of the types block in force; zero: nginx's built-in one
	Headers      []AddHeader       // in force, in order
	HeadersLost  []AddHeader       // of outer levels; they do not count, since an inner level has its own
}

// Changes are what changes path, arguments and key of requests around a lookup. Zero:
// nothing does.
type Changes struct {
	Before     Text // changes the path before the key is made
	IsConstant bool // Before gives many URLs one path
	Moved      Text // changes the path after the key is made, before a miss reaches a uwsgi_pass
	Recut      Text // changes the arguments then
	Remade     Text // the `set` that makes another key of the changed path
}

// A Block is a server or location block.
type Block struct {
	Place
	Name string // of a location: its arguments, joined by spaces
}

// A Key is what nginx looks pages up under.
type Key struct {
	Text            // the expression: what $memcached_key is set to, or srcache_fetch's argument
	Variable string // the variable that is set, such as "$memcached_key"; "" if the expression stands in srcache_fetch itself

	// Expanded is the expression with every variable that `set` gives a value of its
	// own in its place, in nginx's order of evaluation. Those that are left are
	// nginx's own, or listed in Opaque.
	Expanded string

	// Opaque are variables of Expanded or Asked that no template can compute: map, geo,
	// regex captures, set in a branch that is not always taken, unknown.
	Opaque []Variable

	// Asked is what memc_pass asks for, expanded, if it makes something else of
	// srcache_fetch's argument, and where it does: at `set $memc_key`. Zero: nothing else.
	Asked Text

	// Late is set if some requests have no key, since it is set where it does not count:
	// after a `break`, in a branch, or nowhere at all (then the Place is zero). It says
	// so in a clause, such as "`set $memcached_key $uri` of nginx.conf:7 stands after
	// `break` of line 6, and so never runs".
	Late string

	// Varies is set, likewise, if all requests have a key, and some another one than
	// Expanded.
	Varies string
}

// A Variable is one that a configuration defines.
type Variable struct {
	Place        // of its definition; zero if there is none
	Name  string // with its dollar sign
	Kind  string // "map", "geo", "set", "capture", "unknown", or the directive that makes it
	Value string // of map and the like: the source expression
}

// A Map is a map block.
type Map struct {
	Place
	Source string     // the expression whose value is looked up in it
	Lines  [][]string // the words of each
}

// An Upstream is where a pass directive leads to.
type Upstream struct {
	Place                     // of the upstream block; of the pass directive if it names an address itself
	Name     string           // as in the pass directive
	Implicit bool             // there is no upstream block of that name
	Servers  []UpstreamServer // in order; with Implicit the one that Name is, or none if it has variables
	Method   string           // "hash", "least_conn", "ip_hash", "random", … or "" for round robin
	MethodAt Place
	Hash     string // of hash: the expression
	Ketama   bool   // of hash: consistent
}

// An UpstreamServer is a server line.
type UpstreamServer struct {
	Place
	Text string // its arguments, joined by spaces, as cachewriter.ParseServer reads them
}

// An ErrorPage is an error_page directive's word on one code.
type ErrorPage struct {
	Place
	Code    int
	Target  string // a URI or @name
	Keeps   bool   // "=" alone: the answer's status is that of the target
	Changed int    // "=200": the status that the client gets; 0: none
}

// An AddHeader is an add_header directive.
type AddHeader struct {
	Place
	Name, Value string
	Always      bool

	// Values are those that the header can have on a hit: Value itself if it has no
	// variables; for a variable of a map over an $upstream_http_… variable the value for
	// "", since a hit has no such header; all that other maps can give. With "" nginx does
	// not send the header. Empty: it cannot be known.
	Values []string
}

// A Subrequest is a directive by which nginx asks for one thing while it serves
// another: `auth_request /auth`, `ssi on` and the like.
type Subrequest struct {
	Text
	Kind    string    // the directive's name
	Lookups []*Lookup // that it may come to
	Passes  []*Pass   // likewise
}

// A Pass is a uwsgi_pass: where requests leave for a gateway or a worker.
type Pass struct {
	Place          // of uwsgi_pass
	Server   Block // the server block
	Location Block // the location block around it
	If       Text  // the condition of the `if` that it stands in; zero: in none
	Upstream Upstream

	// Params are the uwsgi_param lines in force, in order, included ones as well,
	// and ParamsLost those of outer levels that do not count, since an inner level
	// has its own (ngx_http_uwsgi_merge_loc_conf).
	Params     []Param
	ParamsLost []Param

	Ignored []string // of uwsgi_ignore_headers

	// Unasked are the ways on which GETs come that memcached was not asked for.
	Unasked []Unasked

	// Rewritten is what changes path or arguments of requests that come here, and Doubtful
	// what changes those of some requests for a URL, and not of others. Zero: nothing.
	Rewritten, Doubtful Text
}

// An Unasked is a way on which GETs come to a uwsgi_pass without a lookup.
type Unasked struct {
	// Text is the directive that sends them on, such as `return 405`, with its place.
	// Zero: their location has the uwsgi_pass itself.
	Text

	// Sometimes is set if other requests for the same URL may be looked up.
	Sometimes bool
}

// A Param is a uwsgi_param line.
type Param struct {
	Place
	Name, Value string
	IfNotEmpty  bool

	// Set is the `set` that gives the variable that is the whole Value its value for
	// requests for which nothing was looked up. Zero: none does.
	Set Place
}
