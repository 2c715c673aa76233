package policy

// A Reason says in one word why a page is stored or not. It is the same word in
// the log, the metric label, the Cache-Status detail and the tests.
type Reason string

// The reasons. The last ones belong to the store: they are here so that all
// reasons are in one place, and nothing in this package returns them.
const (
	// Reasons to store: the source of the lifetime, in order of precedence.

	XAccelExpires    Reason = "x-accel-expires"   // the response's X-Accel-Expires
	CDNCacheControl  Reason = "cdn-cache-control" // CDN-Cache-Control: s-maxage or max-age
	SurrogateControl Reason = "surrogate-control" // Surrogate-Control: max-age
	SMaxAge          Reason = "s-maxage"          // Cache-Control: s-maxage
	MaxAge           Reason = "max-age"           // Cache-Control: max-age
	Expires          Reason = "expires"           // the response's Expires
	RuleTTL          Reason = "rule"              // the rule that matches, because the response says nothing
	DefaultTTL       Reason = "default-ttl"       // Lifetimes.Default, because the response says nothing

	// Reasons in the request not to store.

	NoMethod        Reason = "no-method"        // nginx sent no REQUEST_METHOD
	Method          Reason = "method"           // only GET fills the cache
	Upgrade         Reason = "upgrade"          // the client asks for another protocol
	Excluded        Reason = "excluded"         // by Policy.Exclude, or by a rule
	Authorization   Reason = "authorization"    // the request has credentials, or nginx knows the user
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
	Precondition    Reason = "precondition"     // the client sets a condition that only the worker can judge
	UnkeyedHeader   Reason = "unkeyed-header"   // a header that pages may depend on, and the key does not contain
	DuplicateHeader Reason = "duplicate-header" // a header or another var given twice with different values, in the request or in the response
	Host            Reason = "host"             // not one of Keys.AllowedHosts, or the key does not contain the host that the application sees
	Rewritten       Reason = "rewritten"        // the key does not contain the path that the application sees
	Arguments       Reason = "arguments"        // the key does not contain the arguments that the application sees
	KeyPartial      Reason = "key-partial"      // nginx has handed the key over for another page, too
	Scheme          Reason = "scheme"           // the application sees another scheme than the key contains
	NoKey           Reason = "no-key"           // nginx handed over no key, and none can be derived
	NotLookedUp     Reason = "not-looked-up"    // nginx is not known to have looked up this key and found nothing
	KeyTooLong      Reason = "key-too-long"     // over 250 bytes after escaping: memcached refuses it

	// Reasons in the head of the response not to store.

	Status          Reason = "status"           // only 200 can be replayed by memcached_pass
	AccelRedirect   Reason = "accel-redirect"   // the response tells nginx to send something else
	SetCookie       Reason = "set-cookie"       // the response sets a cookie
	NoStore         Reason = "no-store"         // Cache-Control: no-store
	Private         Reason = "private"          // Cache-Control: private
	NoCache         Reason = "no-cache"         // Cache-Control: no-cache, or Pragma: no-cache alone
	Vary            Reason = "vary"             // the page varies by what the key does not contain
	ContentEncoding Reason = "content-encoding" // the body is encoded, and a hit would not say so
	ContentRange    Reason = "content-range"    // the body is a part
	ContentType     Reason = "content-type"     // not what nginx sends for this path
	HeaderLoss      Reason = "header-loss"      // a hit cannot have a header that matters
	NoLength        Reason = "no-length"        // no framing, or two: nothing proves that the body is complete
	Empty           Reason = "empty"            // there is no body
	TooLarge        Reason = "too-large"        // over Policy.MaxBody
	Expired         Reason = "expired"          // no lifetime is left, or none was granted

	// Reasons not to store that only the whole body shows.

	Truncated Reason = "truncated" // the body has another length than its framing announced
	Trailers  Reason = "trailers"  // the chunked body had trailer fields, which a hit cannot have
	Sentinel  Reason = "sentinel"  // the body contains one of Policy.Sentinels

	// Observe is the reason for a page that would have been stored without
	// Policy.Observe or a rule: see Verdict.Observe. Its verdict keeps the reason to
	// store.
	Observe Reason = "observe"

	// Reasons of the store and of requests that are not forwarded.

	Purged      Reason = "purged"       // the key was purged while the page was fetched
	CaptureFull Reason = "capture-full" // the memory for copies in flight had no room
	StoreFull   Reason = "store-full"   // the queue had no room
	StoreDown   Reason = "store-down"   // there is no store, or it does not respond
	Reloaded    Reason = "reloaded"     // the settings changed while the page was fetched
	Shared      Reason = "shared"       // another request fetched the page, and stores it
	Stale       Reason = "stale"        // the backend failed, and the last good copy was sent
	Found       Reason = "found"        // the page was in memcached when it was about to be fetched
	Canary      Reason = "canary"       // uwgate answered a request of `uwgate check --via` itself
	Purge       Reason = "purge"        // uwgate answered a PURGE request itself
)
