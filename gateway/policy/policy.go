package policy

import (
	"time"

	"uwgate/uwsgi"
)

// Our stance where RFC 9111 leaves room.
//
// nginx serves a stored page by its key alone: without our headers and without
// revalidation, and it does not ask us until the page expires. So we are
// stricter than a cache that sees every request:
//
//   - Whatever forbids storing wins over whatever grants a lifetime. In nginx
//     X-Accel-Expires overrides Cache-Control. Here it does so for lifetimes
//     only: no-store, private, no-cache and Set-Cookie still refuse.
//   - no-store beside must-understand is ignored for a status that we store
//     (RFC 9111 §5.2.2.3). no-cache and private also refuse with field names
//     (§5.2.2.4, §5.2.2.7): we can neither revalidate nor omit a field.
//   - A lifetime that is malformed, or given twice with different values, grants
//     nothing (§4.2.1 permits a cache to take the first), and no lesser source
//     is tried. A malformed X-Accel-Expires is ignored, as nginx ignores it.
//   - There is no heuristic freshness (§4.2.2). Lifetimes.Default and Rule.TTL
//     apply only to responses to strangers: see Visitors.
//   - CDN-Cache-Control and Surrogate-Control address us alone, so their
//     lifetimes override those of Cache-Control. But no-store, private and
//     no-cache refuse in any of the three, though RFC 9213 §2.2 says to ignore
//     Cache-Control then: it is for the browser, and a hit cannot pass it on. A
//     CDN-Cache-Control without a lifetime grants none.
//   - Stale pages are served only if the response or the operator allows it (RFC
//     5861), and never with must-revalidate or proxy-revalidate (§5.2.2.2).
//     s-maxage implies proxy-revalidate (§5.2.2.10), but does not prevent what
//     is allowed explicitly.

// A Policy decides which pages are stored, for how long, and under which keys.
// Set its fields before the first use, and do not change them afterwards. Its
// methods are pure functions and safe for concurrent use. The zero Policy
// stores only pages whose key nginx hands over and whose lifetime is explicit;
// without Keys.Servers, nginx must not send CACHE_SERVER.
type Policy struct {
	Keys      Keys      // what the key of a page is
	Lifetimes Lifetimes // how long a page is stored
	Hits      Hits      // what nginx makes of a stored page

	// MaxBody is the size in bytes of the largest page that is stored. In
	// FormatHTTP the head counts, too. Zero means 1 MiB less 1 KiB: memcached's
	// default item size, less its overhead and the longest key.
	MaxBody int64

	// Sentinels are strings that no stored page may contain, compared byte for
	// byte. Nil means the names of CSRF tokens (csrfmiddlewaretoken, csrf_token,
	// authenticity_token) and the start of SSI commands: nginx looks up what a
	// hit includes, and finds the page itself if the key contains $request_uri.
	// Empty but not nil means none.
	Sentinels []string

	// AcceptUnframed accepts the closing tag </html>, in any case and followed
	// by white space only, as proof that a page without length and chunks is
	// complete. Its type must be text/html.
	AcceptUnframed bool

	// Exclude are prefixes of paths that are never stored. Like prefixes of
	// nginx's locations they need not end at a slash: /admin excludes
	// /administrator, too. Both the raw and the decoded path are compared.
	Exclude []string

	// Rules are exceptions by host, path, argument or content type. Only the
	// first rule that matches counts. Nil means none.
	Rules *Rules

	// Bypass is the argument that deletes a page and stores it again. The zero
	// Bypass is none.
	Bypass Bypass

	// Visitors decides for which cookies, headers and vars pages are stored.
	// Nil means the tables of visitortables.go.
	Visitors *Visitors

	// TrustedHeaders are request headers that pages may depend on, such as
	// X-Forwarded-Host or an unknown one, but that nginx or a proxy of the
	// operator sets. They do not keep pages out. Case does not matter.
	TrustedHeaders []string

	// TrustForwardedProto must have the value of Firewall.TrustForwardedProto.
	// If it is set, the application sees X-Forwarded-Proto and X-Forwarded-Ssl
	// as they came.
	TrustForwardedProto bool

	// VaryCookieAnonymous stores pages with Vary: Cookie for requests whose
	// cookies are all neutral. The operator asserts that nginx looks up no
	// request with an identity cookie, and that requests with unknown cookies
	// have another key, as with $visitor.
	VaryCookieAnonymous bool

	// Observe decides as usual, but nothing is stored: see Verdict.Observe.
	Observe bool
}

// Keys are the options about keys of pages.
type Keys struct {
	// Template renders the key of a request for which nginx hands over none. It
	// also says what a handed-over key contains, if it renders exactly that key.
	// Nil means that there are only handed-over keys, which are assumed to
	// contain no header.
	Template *Template

	// TemplateIsProof asserts that nginx has looked up every GET that reaches
	// us under Template, and found nothing. Without it, a request needs a
	// CACHE_STATUS that says so.
	TemplateIsProof bool

	// Servers reports whether a value of nginx's $upstream_addr is one of the
	// store's servers. With nil, none is: requests with CACHE_SERVER are never
	// stored.
	Servers func(addr string) bool

	// AllowedHosts are globs of the hosts whose pages are stored. They are
	// compared with the request's host as nginx normalizes it: without port and
	// trailing dot, in lower case. Empty means all hosts that the key contains.
	// With one host (and no *) a key need not contain it. With several it must,
	// unless nginx hands over the key and Template does not render it.
	AllowedHosts []string

	// AllowRewrites asserts that only the site's own rewrite rules change the
	// path and query that the application sees, and that nothing makes
	// subrequests. Then keys with $request_uri determine the page.
	AllowRewrites bool

	// OpaqueKey asserts that handed-over keys without a readable path, such as
	// hashes, differ by host, path and query.
	OpaqueKey bool
}

// Lifetimes are the options about how long pages are stored. All limits hold
// for a page unless its rule has its own.
type Lifetimes struct {
	// Default is the lifetime of pages that say nothing about theirs. Zero or
	// less: such pages are not stored.
	Default time.Duration

	// Min lengthens shorter lifetimes, whatever their source. It does not apply
	// to pages that have expired or must not be stored. Zero lengthens none.
	Min time.Duration

	// Max shortens longer lifetimes, also those that Min has lengthened. Zero
	// means 24 hours.
	Max time.Duration

	// Jitter is the part of a lifetime, from 0 to 1, by which Spread may
	// shorten it. Zero or less: Spread shortens none.
	Jitter float64

	// Grace is how long an expired page may be served while it is refreshed
	// (stale-while-revalidate), if the response says nothing about it. Zero: not
	// at all.
	Grace time.Duration

	// StaleIfError is how long an expired page may be served while the backend
	// fails, if the response says nothing about it. Zero: not at all.
	StaleIfError time.Duration
}

// Hits are the options about how nginx serves a stored page.
type Hits struct {
	// Format says what is stored, and so what a hit can have. Empty means
	// FormatBody. In FormatHTTP hits have the application's own head: Type,
	// Types, Adds and Strict do not matter then.
	Format Format

	// GzipFlag is nginx's memcached_gzip_flag, which marks compressed values in
	// FormatGzip. Zero means that no value is compressed.
	GzipFlag uint32

	// Type is the Content-Type of a hit in nginx's location: its default_type
	// and charset. Its charset is also that of the types to which nginx adds
	// one. Empty means "text/html; charset=utf-8".
	Type string

	// Types is nginx's types map: from extensions, in lower case and without
	// the dot, to types. Nil means nginx's stock mime.types.
	Types map[string]string

	// Adds are the headers that nginx adds to hits: its add_header lines. A hit
	// does not lose a header of the response if Adds has the same name and,
	// byte for byte, the same value. docs/headers.md says for which headers
	// this can hold.
	Adds []uwsgi.Field

	// Strict refuses pages also because of the headers that Lost returns.
	Strict bool

	// KeepTags makes StripTags keep the fields with tags that are for caches
	// (Surrogate-Key, xkey, Cache-Tag, Edge-Cache-Tag), for another cache in front of
	// nginx. That cache must get them with hits, too. So then a page with such a field is
	// stored in FormatHTTP only.
	KeepTags bool
}

const (
	defaultMaxTTL  = 24 * time.Hour
	defaultMaxBody = 1<<20 - 1<<10
	defaultHitType = "text/html; charset=utf-8"
)

// DefaultSentinels are the Sentinels of a Policy with none: the names of form tokens, and
// the beginning of nginx's SSI directives.
var DefaultSentinels = []string{"csrfmiddlewaretoken", "csrf_token", "authenticity_token", "<!--#"}

// A Verdict is the decision about a response. TTL is how long the page may be
// stored; it is positive exactly if the page may be stored. Reason is never empty.
type Verdict struct {
	TTL    time.Duration
	Reason Reason

	// Tags are those of the response and of the rule that matched, each once, in their
	// order; nil if the page may not be stored. They must not be changed.
	Tags []string

	// TagsLost is set if the page has tags that are not in Tags: there are more than 64
	// KiB of them, one is longer than 1 KiB, or a field cannot be read. Then it counts as
	// a page with any tag.
	TagsLost bool

	// Observe is set if the page may be stored, but Policy.Observe or a rule
	// says not to. TTL and Reason are then what would have applied, and the
	// reason not to store is Observe.
	Observe bool

	// Grace and StaleIfError are how long after TTL the page may be served while
	// it is refreshed, and while that fails.
	Grace, StaleIfError time.Duration
}

// Store reports whether the page is to be stored.
func (v Verdict) Store() bool { return v.TTL > 0 && !v.Observe }

// BodyLimit returns the size in bytes of the largest page that is stored.
func (p *Policy) BodyLimit() int64 {
	if p.MaxBody > 0 {
		return p.MaxBody
	}
	return defaultMaxBody
}

// orDefault returns otherwise for a list that is not set. An empty list stays
// empty.
func orDefault(list, otherwise []string) []string {
	if list == nil {
		return otherwise
	}
	return list
}
