package nginxconf

import (
	"fmt"
	"slices"
	"time"
)

// A Place is where a directive begins in nginx's configuration. Whatever has the zero
// Place is nginx's default.
type Place struct {
	File   string // as nginx would open it
	Line   int    // from 1
	Column int    // from 1, in bytes
}

func (p Place) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// IsZero reports whether the place is no line.
func (p Place) IsZero() bool { return p == Place{} }

// A Text is an argument of a directive, unquoted, with its variables as written. It is
// nginx's default if its Place is zero.
type Text struct {
	Place
	Value string
}

// A Duration is a timeout. It is nginx's default if its Place is zero.
type Duration struct {
	Place
	Value time.Duration
}

// A Config says where nginx looks pages up, and where it sends the requests whose page it
// does not find.
type Config struct {
	Files   []string  // that were read, the main file first
	Lookups []*Lookup // in the order of their places
	Passes  []*Pass   // every uwsgi_pass, in the order of their places
	Gaps    []Gap     // what could not be read, or makes no sense

	defs      *definitions
	tree      map[Place]*node
	servers   []*Server
	user      Text
	listening *listeners

	// Modules are the files of load_module.
	Modules []Text

	// Subrequests are those that reach a lookup or a uwsgi_pass. Programs are the
	// directives that may send requests anywhere, such as `access_by_lua_block`.
	Subrequests []Subrequest
	Programs    []Text
}

// A Gap is a part of the configuration that could not be read or makes no sense, such as
// an include of a missing file.
type Gap struct {
	Place
	Text string // such as `include sites/*.conf: permission denied`

	// IsRead is set if everything there is known: it only makes no sense.
	IsRead bool
}

// A Lookup is a location that asks memcached: one with memcached_pass, or with
// srcache_fetch.
type Lookup struct {
	Place             // of memcached_pass or srcache_fetch
	Server   Block    // the server block
	Location Block    // the location block
	If       Text     // the condition of the `if` that memcached_pass stands in; zero: in none
	Names    []string // of server_name, as written; empty: none
	Listens  []Listen // of the server block, in order

	// Srcache is set for srcache_fetch. Its hits are whole responses; those of
	// memcached_pass are bodies.
	Srcache bool

	Key Key

	// Programs are those in force that run before the lookup, such as
	// `access_by_lua_block`. They may change the key, and send requests elsewhere.
	Programs []Text

	// Guards are the directives in force that deny access to some visitors, such as
	// `deny all`: one of each kind.
	Guards []Text

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

	// Reached are all uwsgi_pass that such a request may reach without another lookup,
	// Misses among them.
	Reached []*Pass

	// Unheard is the location from which an error_page leads to this lookup without
	// recursive_error_pages, if all requests come that way: nginx then ignores the lookup's
	// own error_page, and no miss reaches Misses. Zero: there is none.
	Unheard Text
	heard   bool // requests come on other ways, too
	isPlain bool // some come with the path that they began with

	// Diverted are the uwsgi_pass in `if` blocks of the location: their requests leave
	// without a lookup, although the key may be set for them.
	Diverted []*Pass

	// Strays are the ways on which nginx redirects some requests to this lookup, although it
	// looks up others for the same URL without that. If the key has $request_uri, both have
	// the same key.
	Strays []Stray

	// Skip is the condition of srcache_fetch_skip; "" if there is none.
	Skip Text

	// Store are the arguments of an srcache_store, with which nginx stores pages by
	// itself. Zero: there is none.
	Store Text

	// Leaves are the responses, such as `return 301`, that some requests get before the
	// lookup. Never is one that all requests get, or the location block that none comes to.
	// Zero: requests are looked up.
	Leaves []Leave
	Never  Text

	scope *scope     // the location, or the `if`, that asks
	ways  []*scope   // the locations from which requests come; nil: they begin here
	fetch *directive // of srcache_fetch
}

// A Leave is a response that nginx itself gives to some requests before a lookup.
type Leave struct {
	Text
	If       Text // the condition around it; zero: there is none
	IsServer bool // it is the server block's own
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

// Hits describe what nginx makes of values in memcached. With srcache_fetch a hit has its
// own head, and they do not matter.
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

// Changes are directives that change path, arguments or key of requests around a lookup.
// Zero: there is none.
type Changes struct {
	Before     Text // changes the path before the key is made
	IsConstant bool // Before gives many URLs one path
	OnePath    Text // gives many URLs one path before the lookup, whatever the key is made from
	Moved      Text // changes the path after the key is made, before a miss reaches a uwsgi_pass
	Recut      Text // changes the arguments then
	Remade     Text // the `set` that makes another key of the changed path

	// Differs is a try_files or rewrite that changes the path between two looks of nginx at it:
	// a map remembers it, and another one compares it with what was remembered, as $is_part of
	// the printed configuration does. DiffersForMany is set if it gives many URLs one path, and these are
	// the pages of the lookup; DiffersElsewhere if the pages of its location come there as
	// they are, and only others do not.
	Differs          Text
	DiffersForMany   bool
	DiffersElsewhere bool

	// Rewrites are those of the server block that change the path of requests which come to
	// the lookup.
	Rewrites []Text
}

// A Block is a server or location block.
type Block struct {
	Place
	Name string // of a location: its arguments, joined by spaces
}

// A Key is the key under which nginx looks pages up.
type Key struct {
	Text            // the expression: what $memcached_key is set to, or srcache_fetch's argument
	Variable string // the variable that is set, such as "$memcached_key"; "" if the expression stands in srcache_fetch itself

	// Expanded is the expression with the values of all variables that `set` gives a
	// value, in nginx's order of evaluation. The variables left are nginx's own, or listed
	// in Opaque.
	Expanded string

	// Opaque are the variables of Expanded or Asked that only nginx can compute: of map,
	// geo, captures of a regex, set in a branch that not all requests take, unknown.
	Opaque []Variable

	// Asked is what memc_pass asks for, expanded, if that is not the argument of
	// srcache_fetch. Its place is that of `set $memc_key`. Zero: it is the argument.
	Asked Text

	// Late is set if some requests have no key, because the key is set after a `break`, in
	// a branch, or nowhere (then the Place is zero). It says so in a clause, such as "`set
	// $memcached_key $uri` of nginx.conf:7 stands after `break` of line 6, and so never
	// runs".
	Late string

	// IsEmpty is set if Late says that the key is set, but to nothing.
	IsEmpty bool

	// Varies is set in the same way if all requests have a key, but some have another one
	// than Expanded.
	Varies string

	// Skipping is the error_page that sends requests without a key to a uwsgi_pass: a way to
	// skip the lookup. Late is then not set for them. Zero: there is none.
	Skipping Text
}

// A Variable is one that the configuration defines.
type Variable struct {
	Place        // of its definition; zero if there is none
	Name  string // with its dollar sign
	Kind  string // "map", "geo", "set", "capture", "unknown", or the directive that makes it
	Value string // of map and the like: the source expression
}

// Unread returns the first Gap about a part that is not known; ok is false if all is known.
func (c *Config) Unread() (g Gap, ok bool) {
	i := slices.IndexFunc(c.Gaps, func(g Gap) bool { return !g.IsRead })
	if i < 0 {
		return Gap{}, false
	}
	return c.Gaps[i], true
}

// A Map is a map block.
type Map struct {
	Place
	Source string     // the expression whose value is looked up in it
	Lines  [][]string // their words
}

// An Upstream is where a pass directive leads.
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

// An ErrorPage is what an error_page directive says about one code.
type ErrorPage struct {
	Place
	Code    int
	Target  string // a URI or @name
	Keeps   bool   // "=" alone: the response has the status of the target
	Changed int    // "=200": the status that the client gets; 0: none
}

// An AddHeader is an add_header directive.
type AddHeader struct {
	Place
	Name, Value string
	Always      bool

	// Values are those that the header can have on a hit. Without variables that is Value
	// itself. A map over an $upstream_http_… variable has its value for "", since a hit
	// has no such header. Other maps have all their values. nginx does not send the header
	// if the value is "". Empty: the values cannot be known.
	Values []string
}

// A Subrequest is a directive by which nginx requests one thing while it serves another,
// such as `auth_request /auth` or `ssi on`.
type Subrequest struct {
	Text
	Kind    string    // the directive's name
	Lookups []*Lookup // that it may reach
	Passes  []*Pass   // likewise
}

// A Pass is a uwsgi_pass, where requests leave nginx.
type Pass struct {
	Place          // of uwsgi_pass
	Server   Block // the server block
	Location Block // the location block around it
	If       Text  // the condition of the `if` that it stands in; zero: in none
	Upstream Upstream

	// Params are the uwsgi_param lines in force, in order, with included ones. ParamsLost
	// are those of outer levels. They do not count, since an inner level has its own
	// (ngx_http_uwsgi_merge_loc_conf).
	Params     []Param
	ParamsLost []Param

	Ignored []string // of uwsgi_ignore_headers

	Programs []Text // as those of a Lookup
	Guards   []Text // likewise

	// Unasked are the ways on which GETs reach the pass without a lookup.
	Unasked []Unasked

	// Rewritten is the directive that changes path or arguments of requests on their way
	// here. Doubtful does so for only some of the requests for a URL. Zero: there is none.
	Rewritten, Doubtful Text
}

// An Unasked is a way on which GETs reach a uwsgi_pass without a lookup.
type Unasked struct {
	// Text is the directive that sends them on, such as `return 405`, with its place.
	// Zero: their location has the uwsgi_pass itself.
	Text

	// Sometimes is set if other requests for the same URL may be looked up.
	Sometimes bool
}

// A Stray is a redirect, such as `error_page 403 /sorry`, within nginx.
type Stray struct {
	Text
	By      Text // what sent the request there, such as `deny all`; zero: the redirect itself
	Refuses bool // By denies access
	Differs bool // a condition has compared the path with the first one: see Changes.Differs
}

// A Param is a uwsgi_param line.
type Param struct {
	Place
	Name, Value string
	IfNotEmpty  bool

	// Set is where a `set` gives Value, if that is one variable, a value for requests
	// without a lookup. Zero: none does.
	Set Place
}
