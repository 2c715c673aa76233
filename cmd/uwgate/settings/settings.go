package settings

import (
	"net/netip"
	"os"
	"time"

	"go.uber.org/zap/zapcore"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/gateway/subscription"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
	"uwgate/uwsgi"
)

// Settings are the values of all settings at one moment, each checked by itself. A
// command has the values that it takes, and the defaults of the others. They are not
// changed after Read; HUP reads others.
type Settings struct {
	Listen    Listen
	Backends  Backends
	Subscribe Subscribe
	Store     Store
	Key       Key
	Visitors  Visitors
	Lifetimes Lifetimes
	Pages     Pages
	Hits      Hits
	Traffic   Traffic
	Control   Control
	Purges    Purges
	Log       Log
	Command   Command

	Nginx *parity.Settings // nil: no --nginx

	source
}

// A source is what Settings are read from.
type source struct {
	set    *Set
	file   *configFile // of --config: rules and pools
	config string      // its path
	given  given
	conf   *nginxconf.Config // of --nginx; nil: none
	bad    map[string]bool   // the settings whose values have been reported
}

// Listen is where nginx connects to the gateway, and who may.
type Listen struct {
	Addresses      []Address
	SocketMode     os.FileMode // of UNIX sockets
	Peers          []netip.Prefix
	Users          []string // names or numbers
	HalfClose      bool
	MaxConnections int    // zero: as many as the limit of open files allows
	Replace        bool   // of a uwgate that listens there
	Cert           string // a PEM file, as the next two
	CertKey        string
	ClientCA       string
}

// Control is where people and programs look at the gateway.
type Control struct {
	Admin     Address // zero: none
	Token     string
	TokenFile string  // Token is what is in it
	Stats     Address // zero: none
	Hits      Address // where nginx sends its access log; zero: nowhere
}

// Purges are about PURGE requests: from whom, and what they mean.
type Purges struct {
	From      []netip.Prefix
	Token     string
	TokenFile string // Token is what is in it
	Default   string // the scope of a request that names none
	Rate      int    // purges a second; zero: no bound
	SoftLimit time.Duration
}

// An Address is one that can be listened on.
type Address struct {
	Text    string // as written
	Network string // tcp or unix
	Addr    string // for package net
	Secure  bool   // uwsgi over TLS
}

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a == Address{} }

func (a Address) String() string { return a.Text }

// Backends are the workers' servers, and what holds for all pools of them.
type Backends struct {
	Servers        []string // of the default pool
	AskToClose     bool
	TrustScheme    bool   // the application sees clients' X-Forwarded-Proto
	HostMap        string // a file
	TrustRouterKey bool

	options []poolOption
}

// Subscribe is about the announcements of servers.
type Subscribe struct {
	Addresses []Address
	subscription.Admission
	subscription.Limits
	Tolerance time.Duration
	State     string // a file
}

// Store is nginx's memcached, and what waits to be written to it.
type Store struct {
	Servers        []MemcachedServer
	Hash           cachewriter.Method
	ConnectTimeout time.Duration
	Timeout        time.Duration // of one operation
	QueueBytes     Size
	QueueEntries   int
}

// A MemcachedServer is a server line as nginx has it.
type MemcachedServer struct {
	Line string
	cachewriter.Server
}

// String returns the line.
func (s MemcachedServer) String() string { return s.Line }

// Key is what the keys of pages are made of.
type Key struct {
	Template     string // empty: nginx hands the key over, or --nginx knows it
	Generation   string // empty: keys have none
	Nginx        string // nginx's main configuration file; empty: not read
	NginxVersion policy.Version
}

// Visitors are the names by which visitors are classified, all globs. The word none as
// the first drops the built-in names; see docs/visitors.md.
type Visitors struct {
	IdentityCookies, TokenCookies, HarmlessCookies []string
	IdentityHeaders, HarmlessHeaders               []string
	HarmlessVars                                   []string
}

// Lifetimes are how long pages are stored and served.
type Lifetimes struct {
	Default, Min, Max  time.Duration
	Jitter             Share
	Grace              time.Duration
	StaleIfError       time.Duration
	RefreshAhead       bool
	RefreshConcurrency int
}

// Pages are which pages are stored.
type Pages struct {
	Exclude        []string // path prefixes
	Sentinels      []string // empty: the built-in ones; the word none alone: none
	AllowedHosts   []string // globs
	AllowRewrites  bool
	OpaqueKey      bool
	TrustedHeaders []string
	VaryCookie     string // refuse or anonymous
	AcceptUnframed string // html or empty
	MaxObject      Size
	Bypass         policy.Bypass
	BypassFile     string // Bypass is what is in it
	Observe        bool
}

// Hits are what nginx serves of what is stored.
type Hits struct {
	Format        policy.Format
	GzipFlag      uint
	Type          string
	MIMETypes     string // a file; empty: the stock map
	Adds          []uwsgi.Field
	StrictHeaders bool
	AlignHeaders  bool
	StripTags     bool
}

// Traffic is about requests on their way: how they share a response, how long each step
// may take, and where bodies wait.
type Traffic struct {
	Fleet             bool
	CoalesceWait      time.Duration // zero: requests do not wait for each other
	CoalesceFollowers int
	FirstByteTimeout  time.Duration
	IdleTimeout       time.Duration
	SendTimeout       time.Duration // zero: no bound
	TotalTimeout      time.Duration // zero: no bound
	DrainTimeout      time.Duration // negative: no bound
	MaxRequestBody    Size          // zero: no bound
	StreamUploads     bool
	SpoolDir          string // empty: the system's folder for temporary files
	SpoolMemory       Size
	SpoolDisk         Size // zero: no bound
	CaptureMemory     Size // zero: no bound
}

// Log is where log lines go, and which.
type Log struct {
	Sinks     []Sink
	Level     zapcore.Level
	HideQuery bool // query strings do not stand in the access log
}

// A Sink is a destination of log lines.
type Sink struct {
	Text    string // as written
	Name    string // stderr, stdout or file
	Path    string // of a file
	Console bool   // lines for people, not JSON
}

// String returns the text.
func (s Sink) String() string { return s.Text }

// Site is what nginx's configuration has besides the settings of serve.
type Site struct {
	Part        string // all, http or server
	Backup      bool   // the workers are backup servers
	Name        string
	ServerNames []string
	NginxListen []string
	IgnoreArgs  []string
	Fragments   []string // prefixes of paths
}

// Watch is what status, top and report show of a running gateway.
type Watch struct {
	Only     []string // globs of names; empty: all
	All      bool     // every row
	Interval time.Duration
	Count    int // top: how often; zero: until it is ended
}

// Command is what a command other than serve takes besides: the request that it is about,
// and how it prints.
type Command struct {
	JSON        bool
	Raw, Stdin  bool     // key
	Headers     []string // "Name: value"
	Method      string   // empty: GET
	RequestFile string
	Via         string // check: the URL of the site
	Insecure    bool   // check, warm: any certificate of the site will do
	Nginx       string // check: nginx's main configuration file
	Diff        bool   // check: print a patch
	Verbose     bool   // check: print the ways to the gateway; warm: print each page

	Changed, Example, Schema bool // config
	Ready                    bool // healthcheck
	Watch                    Watch
	Timeout                  time.Duration
	Site
	Warm  Warm
	Purge purge.Request
}
