package policy

// A Reason says in one word why a page is stored or not: the same word in the
// log, the metric label, the Cache-Status detail and the tests.
type Reason string

// Reasons to store: what granted the lifetime, by precedence.
const (
	XAccelExpires    Reason = "x-accel-expires"   // the response's X-Accel-Expires
	CDNCacheControl  Reason = "cdn-cache-control" // CDN-Cache-Control: s-maxage or max-age
	SurrogateControl Reason = "surrogate-control" // Surrogate-Control: max-age
	SMaxAge          Reason = "s-maxage"          // Cache-Control: s-maxage
	MaxAge           Reason = "max-age"           // Cache-Control: max-age
	Expires          Reason = "expires"           // the response's Expires
	RuleTTL          Reason = "rule"              // the response says nothing: the rule that matches
	DefaultTTL       Reason = "default-ttl"       // the response says nothing: Policy.DefaultTTL
)

// Reasons not to store that lie in the request.
const (
	NoMethod        Reason = "no-method"        // nginx sent no REQUEST_METHOD
	Method          Reason = "method"           // only GET fills
	Upgrade         Reason = "upgrade"          // the client asks for another protocol
	Excluded        Reason = "excluded"         // by Policy.Exclude, or by a rule
	Authorization   Reason = "authorization"    // credentials came along, or nginx knows the user
	IdentityCookie  Reason = "identity-cookie"  // a cookie that names the visitor
	IdentityHeader  Reason = "identity-header"  // a header that names the visitor
	IdentityVar     Reason = "identity-var"     // a var of nginx's that names the visitor
	TokenCookie     Reason = "token-cookie"     // a cookie that protects forms
	Cookie          Reason = "cookie"           // an unknown cookie, and only --ttl or a rule grants a lifetime
	UnknownHeader   Reason = "unknown-header"   // an unknown header, and only --ttl or a rule grants a lifetime
	UnknownVar      Reason = "unknown-var"      // an unknown var, and only --ttl or a rule grants a lifetime
	RequestBody     Reason = "request-body"     // a GET that announces a body
	RequestNoStore  Reason = "request-no-store" // the client's Cache-Control: no-store
	Range           Reason = "range"            // the client asks for a part of the page
	Precondition    Reason = "precondition"     // the client asks for the page on a condition that only the worker can judge
	UnkeyedHeader   Reason = "unkeyed-header"   // a header that pages may depend on, and the key does not contain
	DuplicateHeader Reason = "duplicate-header" // a header or another var given twice with different values, in the request or in the response
	Host            Reason = "host"             // not one of Policy.AllowedHosts, or the key does not say what the application sees
	Rewritten       Reason = "rewritten"        // the application sees a path that the key does not say
	Arguments       Reason = "arguments"        // it sees arguments that the key does not say
	Scheme          Reason = "scheme"           // it sees another scheme than the key says
	NoKey           Reason = "no-key"           // nginx handed no key over and none can be derived
	NotLookedUp     Reason = "not-looked-up"    // nginx is not known to have asked for this key and missed
	KeyTooLong      Reason = "key-too-long"     // over 250 bytes once escaped: memcached refuses it
)

// Reasons not to store that lie in the response.
const (
	Status          Reason = "status"           // only 200 can be replayed by memcached_pass
	AccelRedirect   Reason = "accel-redirect"   // the body is not the page: nginx is told to send something else
	SetCookie       Reason = "set-cookie"       // the response sets a cookie
	NoStore         Reason = "no-store"         // Cache-Control: no-store
	Private         Reason = "private"          // Cache-Control: private
	NoCache         Reason = "no-cache"         // Cache-Control: no-cache, or Pragma: no-cache alone
	Vary            Reason = "vary"             // varies by what the key does not contain
	ContentEncoding Reason = "content-encoding" // the body is encoded, and a hit would not say so
	ContentRange    Reason = "content-range"    // the body is a part
	ContentType     Reason = "content-type"     // not what nginx will emit for this path
	HeaderLoss      Reason = "header-loss"      // a header matters that a hit cannot carry
	NoLength        Reason = "no-length"        // no framing, or two: the end of the body proves nothing
	Empty           Reason = "empty"            // no body: nginx would serve the emptiness
	TooLarge        Reason = "too-large"        // over Policy.MaxBody
	Expired         Reason = "expired"          // no lifetime is left, or none was granted
)

// Reasons not to store that show only at the end of the body.
const (
	Truncated Reason = "truncated" // the body ended short of its framing
	Trailers  Reason = "trailers"  // the chunked body had trailer fields, which a hit cannot carry
	Sentinel  Reason = "sentinel"  // the body holds a word of Policy.Sentinels
)

// Observe is the word for a page that would have been stored, if it were not for
// Policy.Observe or a rule: see Verdict.Observe. Its verdict keeps the reason
// to store.
const Observe Reason = "observe"

// Reasons that the store has. They are named here so that all the words stand
// in one place; nothing in this package returns them.
const (
	Purged      Reason = "purged"       // the key was purged while the page was on its way
	CaptureFull Reason = "capture-full" // the memory for copies in flight had no room
	StoreFull   Reason = "store-full"   // the queue had no room
	StoreDown   Reason = "store-down"   // there is no store, or it does not answer
	Reloaded    Reason = "reloaded"     // the settings changed while the page was on its way
	Shared      Reason = "shared"       // the page was fetched for another request, which stores it
	Stale       Reason = "stale"        // the backend failed, and a last good copy was sent
	Found       Reason = "found"        // the page lay in memcached by the time that it was to be fetched
)
