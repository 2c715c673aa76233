package policy

import (
	"time"

	"uwgate/uwsgi"
)

// Our stance where RFC 9111 leaves room.
//
// A stored page is replayed by nginx: one key, one body, no headers of ours,
// no revalidation, and we are not asked again until it expires. So we are
// stricter than a cache that stands in the way of every request:
//
//   - Whatever forbids storing wins over whatever grants a lifetime. nginx
//     itself lets X-Accel-Expires overrule Cache-Control; for lifetimes so do
//     we, but no-store, private, no-cache and Set-Cookie stay refusals.
//   - no-store beside must-understand is ignored on a status that we store (RFC
//     9111 §5.2.2.3). no-cache and private refuse with field names as well
//     (§5.2.2.4, §5.2.2.7): we can neither revalidate nor leave a field out.
//   - A lifetime that is malformed, or given twice with different values, is
//     none (§4.2.1 lets a cache take the first); a lesser source is not
//     consulted instead. X-Accel-Expires is nginx's own word, and is ignored
//     when malformed, as nginx ignores it.
//   - There is no heuristic freshness (§4.2.2) but DefaultTTL, and that speaks
//     only for responses to strangers: see Visitors.
//   - CDN-Cache-Control and Surrogate-Control speak to us alone, so their
//     lifetimes beat Cache-Control's. Yet no-store, private and no-cache refuse
//     in any of the three, though RFC 9213 §2.2 would have us ignore
//     Cache-Control beside them: that word is the browser's, and a hit cannot
//     carry it there. A CDN-Cache-Control without a lifetime grants none.
//   - Nothing stale is served but where the answer or the operator allows it (RFC
//     5861), and never beside must-revalidate and its kin (§5.2.2.2). That
//     s-maxage implies proxy-revalidate (§5.2.2.10) is not held against what
//     allows it.

// A Policy decides what is stored, for how long, and under which key. Its
// fields are set before the first use and not changed afterwards; its methods
// are pure, and safe for concurrent use. The zero Policy stores only pages
// whose key nginx hands over and whose lifetime is explicit.
type Policy struct {
	// Template renders the key of requests for which nginx hands none over,
	// and says which headers the key contains; of a handed-over key only if it
	// renders that very key. Nil: only handed-over keys, which are taken to
	// contain no header.
	Template *Template

	// TemplateIsProof is the operator's word that every GET that reaches us
	// was looked up under Template, and missed. Without it a request needs a
	// CACHE_STATUS that says so.
	TemplateIsProof bool

	// Servers reports whether nginx's $upstream_addr names one of the store's
	// servers. Nil knows none: then a request with a CACHE_SERVER is never
	// stored.
	Servers func(addr string) bool

	// DefaultTTL is the lifetime of pages that say nothing about theirs. Zero
	// or less: such pages are not stored. There is no built-in value.
	DefaultTTL time.Duration

	// MinTTL lengthens shorter lifetimes, whatever granted them. What has
	// expired, or is not to be stored, stays so. Zero lengthens none.
	MinTTL time.Duration

	// MaxTTL shortens longer lifetimes, MinTTL included. Zero means 24 hours.
	MaxTTL time.Duration

	// Grace is how long a page that says nothing about it may be served over its
	// lifetime while it is fetched anew (stale-while-revalidate). Zero: not at all.
	Grace time.Duration

	// StaleIfError is how long a page that says nothing about it may be served
	// over its lifetime while the backend fails. Zero: not at all.
	StaleIfError time.Duration

	// MaxBody is the size in bytes of the largest page that is stored, in
	// FormatHTTP with its head. Zero
	// means 1 MiB less 1 KiB: memcached's default item size, less its
	// overhead and the longest key.
	MaxBody int64

	// Exclude are prefixes of paths that are never stored. Like those of
	// nginx's locations they do not end at a slash: /admin excludes
	// /administrator too. Both the raw and the decoded path are compared.
	Exclude []string

	// Visitors say of cookies, headers and vars whose pages are stored. Nil means the
	// tables of visitortables.go.
	Visitors *Visitors

	// Sentinels are strings that no stored page may contain, compared byte
	// for byte. Nil means the CSRF tokens' names csrfmiddlewaretoken,
	// csrf_token and authenticity_token, and the start of SSI commands: nginx
	// looks up what a hit includes, and finds the page itself if the key is of
	// $request_uri. Empty but not nil means none.
	Sentinels []string

	// Format says what is stored, and so what a hit can carry. Empty means
	// FormatBody. In FormatHTTP hits have the application's own head: HitType,
	// Types, NginxAdds and StrictHeaders do not matter then.
	Format Format

	// GzipFlag is nginx's memcached_gzip_flag, which marks the compressed values
	// of FormatGzip. If it is zero none is compressed.
	GzipFlag uint32

	// HitType is the Content-Type of a hit in nginx's location: its
	// default_type and charset. Empty means "text/html; charset=utf-8". Its
	// charset is also that of the types to which nginx adds one.
	HitType string

	// Types is nginx's types map: from extensions, in lower case and without
	// the dot, to types. Nil means nginx's stock mime.types.
	Types map[string]string

	// Bypass is the argument that has a page fetched anew. The zero value:
	// there is none.
	Bypass Bypass

	// Jitter is the share of a lifetime, 0 to 1, by which Spread may change it.
	// Zero or less: not at all.
	Jitter float64

	// NginxAdds are the headers that nginx adds to hits: its add_header lines.
	// A header of the answer with the same name and, byte for byte, value is
	// no loss then; docs/headers.md says of which headers that can be true.
	NginxAdds []uwsgi.Field

	// StrictHeaders refuses pages for the headers, too, that Lost returns.
	StrictHeaders bool

	// AcceptUnframed takes the closing tag </html>, in any case and before
	// white space only, as proof that a page without length and chunks is
	// whole, if its type is text/html.
	AcceptUnframed bool

	// AllowedHosts are globs of the hosts whose pages are stored, compared
	// with the request's host as nginx normalises it: without port, trailing
	// dot and ASCII case. Empty means all that their keys contain. With one
	// host a key need not contain it, and with several only if it was handed
	// over and Template does not render it.
	AllowedHosts []string

	// AllowRewrites is the operator's word that the site's own rules alone
	// change the path and query that the application sees, and that nothing
	// makes subrequests. Then keys of $request_uri determine the page.
	AllowRewrites bool

	// OpaqueKey is the operator's word that handed-over keys in which no path
	// can be read, such as hashes, differ by host, path and query.
	OpaqueKey bool

	// TrustForwardedProto is Firewall's: the application sees the
	// X-Forwarded-Proto and X-Forwarded-Ssl that came.
	TrustForwardedProto bool

	// TrustedHeaders are request headers that a page may depend on without saying so
	// (X-Forwarded-Host and its kin, or an unknown one), but which nginx or a proxy of
	// the operator's sets: then they do not refuse. Case is ignored.
	TrustedHeaders []string

	// VaryCookieAnonymous is the operator's word that nginx looks nobody up who has an
	// identity cookie. Then Vary: Cookie does not refuse a page whose request had no
	// cookies but harmless ones. Bearers of unknown cookies must have another key, as
	// with $visitor: else they are served that page.
	VaryCookieAnonymous bool

	// Rules are what differs by host, path, argument or type. The first one
	// that matches speaks, and no other. Each of them passed Validate.
	Rules []Rule

	// Observe decides as always, and has nothing stored: see Verdict.Observe.
	Observe bool
}

const (
	defaultMaxTTL  = 24 * time.Hour
	defaultMaxBody = 1<<20 - 1<<10
	defaultHitType = "text/html; charset=utf-8"
)

var (
	defaultSentinels = []string{"csrfmiddlewaretoken", "csrf_token", "authenticity_token", "<!--#"}
)

// A Verdict is the decision about a response. TTL is how long it may be
// stored, and positive exactly if it may; Reason is never empty.
type Verdict struct {
	TTL    time.Duration
	Reason Reason

	// Tags are those of the rule that matched; not to be changed. Nil if the
	// page may not be stored.
	Tags []string

	// Observe is set if the page may be stored and yet is not to be, because
	// Policy.Observe or a rule says so: TTL and Reason are then what would
	// have been, and the word for it is the constant Observe.
	Observe bool

	// Grace and StaleIfError are for how long after TTL the page may be served
	// while it is fetched anew, and while that fails.
	Grace, StaleIfError time.Duration

	maxTTL time.Duration // of the rule that matched; zero: the policy's
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

// orDefault tells a list that was not set from one that was set to nothing.
func orDefault(list, otherwise []string) []string {
	if list == nil {
		return otherwise
	}
	return list
}
