package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A class says what happens to a page with a header that a hit would lack.
type class string

const (
	refuse class = "refuse" // the page is not stored
	warn   class = "warn"   // it is stored, and the operator learns what a hit loses
	ignore class = "ignore" // a hit does not need it, or it would be untrue there
)

// What happens to a header in FormatHTTP: a rule's inHTTP is refuse or one of
// these.
const (
	keep class = ""     // the hit has it
	drop class = "drop" // the hit lacks it: it would be untrue there, or is not for browsers
)

// A headerRule assigns a class to a header.
type headerRule struct {
	name  string // a * at its end stands for any bytes
	class class

	// only narrows the rule to some values, which having describes.
	only   func(value string) bool
	having string

	// constant headers may be declared in Hits.Adds; then hits do not lose them.
	// A header that belongs to one page or one visitor may not be declared: nginx
	// would add it to every page of the location.
	constant bool

	// isTags headers have tags for caches: see Hits.KeepTags, which reverses class and
	// inHTTP.
	isTags bool

	// inHTTP is what happens to the header, or to the page, in FormatHTTP.
	inHTTP class

	why string
}

// headerRules assign the classes. The first rule that fits counts, and a header
// that fits none is ignored. docs/headers.md shows the same table.
var headerRules = []headerRule{
	// Without these the page is another page, or dangerous, or useless.
	{name: "Access-Control-*", class: refuse, constant: true, why: "browsers would refuse it to scripts of other sites"},
	{name: "Authentication-Info", class: refuse, inHTTP: refuse, why: "the response belongs to a request with credentials"},
	{name: "Clear-Site-Data", class: refuse, inHTTP: refuse, why: "it acts on the browser that receives it"},
	{name: "Content-Disposition", class: refuse, constant: true, why: "a download would open as a page"},
	{name: "Content-Language", class: refuse, constant: true, why: "the page may be one of several"},
	{name: "Content-Location", class: refuse, why: "the page is one of several (RFC 9110 §8.7)"},
	{name: "Content-Security-Policy", class: refuse, inHTTP: refuse, only: hasNonce, having: "with a nonce", why: "the page contains the same nonce, which must be used only once"},
	{name: "Content-Security-Policy", class: refuse, constant: true, why: "the browser would allow what it forbids"},
	{name: "Content-Security-Policy-Report-Only", class: refuse, inHTTP: refuse, only: hasNonce, having: "with a nonce", why: "the page contains the same nonce, which must be used only once"},
	{name: "Delta-Base", class: refuse, inHTTP: refuse, why: "the body is not the page itself (RFC 3229)"},
	{name: "Link", class: refuse, only: isEssentialLink, having: "other than canonical and preload", constant: true, why: "the page itself may not state the relation"},
	{name: "Location", class: refuse, why: "means nothing on a 200; the status may be wrong"},
	{name: "Refresh", class: refuse, why: "it redirects to another page"},
	{name: "Service-Worker-Allowed", class: refuse, constant: true, why: "the script would be refused"},
	{name: "WWW-Authenticate", class: refuse, inHTTP: refuse, why: "it asks the visitor for credentials"},
	{name: "X-Accel-Charset", class: refuse, inHTTP: refuse, why: "changes the Content-Type that nginx sends"},
	{name: "X-Robots-Tag", class: refuse, constant: true, why: "the page would be indexed"},

	// These a browser merely obeys, and nginx can add them to hits and misses
	// alike.
	{name: "Accept-CH", class: warn, constant: true, why: "the browser would not send its hints"},
	{name: "Content-Security-Policy-Report-Only", class: warn, constant: true, why: "violations would not be reported"},
	{name: "Critical-CH", class: warn, constant: true, why: "the browser would not send its hints"},
	{name: "Cross-Origin-*", class: warn, constant: true, why: "the page would be less isolated"},
	{name: "Document-Policy", class: warn, constant: true, why: "the page might do more than it should"},
	{name: "Feature-Policy", class: warn, constant: true, why: "the page might do more than it should"},
	{name: "Integrity-Policy", class: warn, constant: true, why: "the page would be less protected"},
	{name: "NEL", class: warn, constant: true, why: "network errors would not be reported"},
	{name: "Origin-Agent-Cluster", class: warn, constant: true, why: "the page would be less isolated"},
	{name: "Permissions-Policy", class: warn, constant: true, why: "the page might do more than it should"},
	{name: "Permissions-Policy-Report-Only", class: warn, constant: true, why: "violations would not be reported"},
	{name: "Referrer-Policy", class: warn, constant: true, why: "links would send more of the page's URL"},
	{name: "Report-To", class: warn, constant: true, why: "reports would have no address"},
	{name: "Reporting-Endpoints", class: warn, constant: true, why: "reports would have no address"},
	{name: "Speculation-Rules", class: warn, constant: true, why: "links would load more slowly"},
	{name: "Strict-Transport-Security", class: warn, constant: true, why: "the browser would not learn to use only TLS"},
	{name: "Timing-Allow-Origin", class: warn, constant: true, why: "other sites would see no timings"},
	{name: "X-Content-Type-Options", class: warn, constant: true, why: "the browser might guess another type"},
	{name: "X-DNS-Prefetch-Control", class: warn, constant: true, why: "the browser would decide by itself"},
	{name: "X-Download-Options", class: warn, constant: true, why: "the page would be less protected"},
	{name: "X-Frame-Options", class: warn, constant: true, why: "other sites could frame the page"},
	{name: "X-Permitted-Cross-Domain-Policies", class: warn, constant: true, why: "the page would be less protected"},
	{name: "X-XSS-Protection", class: warn, constant: true, why: "the page would be less protected"},

	// These are the cache's, the connection's, nginx's or the operator's.
	{name: "Accept-Ranges", class: ignore, why: "nginx sends its own"},
	{name: "Age", class: ignore, why: "already used: uwgate subtracts it from the lifetime"},
	{name: "Cache-Control", class: ignore, why: "already used, or a reason of its own; `expires` in nginx's location sets it for browsers"},
	{name: "Cache-Groups", class: ignore, why: "already used: see docs/rules.md"},
	{name: "Cache-Tag", isTags: true, class: ignore, inHTTP: drop, why: tagsAre},
	{name: "CDN-Cache-Control", class: ignore, why: "already used"},
	{name: "Connection", class: ignore, inHTTP: drop, why: "for one connection only"},
	{name: "Content-Encoding", class: ignore, why: "a reason of its own"},
	{name: "Content-Length", class: ignore, inHTTP: drop, why: "nginx sends its own"},
	{name: "Content-Range", class: ignore, inHTTP: drop, why: "a reason of its own"},
	{name: "Content-Type", class: ignore, why: "the same as nginx sends; otherwise a reason of its own"},
	{name: "Date", class: ignore, why: "nginx sends its own"},
	{name: "Edge-Cache-Tag", isTags: true, class: ignore, inHTTP: drop, why: tagsAre},
	{name: "ETag", class: ignore, why: "nginx evaluates no conditional request on a hit"},
	{name: "Expires", class: ignore, why: "already used"},
	{name: "Keep-Alive", class: ignore, inHTTP: drop, why: "for one connection only"},
	{name: "Last-Modified", class: ignore, why: "nginx evaluates no conditional request on a hit"},
	{name: "Link", class: ignore, why: "only canonical and preload: the page does not need them"},
	{name: "Pragma", class: ignore, why: "already used, or a reason of its own"},
	{name: "Proxy-*", class: ignore, inHTTP: drop, why: "between two proxies (RFC 9111 §3.1)"},
	{name: "Server", class: ignore, why: "nginx sends its own"},
	{name: "Server-Timing", class: ignore, inHTTP: drop, why: "would be untrue on a hit"},
	{name: "Set-Cookie", class: ignore, inHTTP: drop, why: "a reason of its own"},
	{name: "Set-Cookie2", class: ignore, inHTTP: drop, why: "a reason of its own"},
	{name: "Surrogate-Control", class: ignore, inHTTP: drop, why: "already used"},
	{name: "Surrogate-Key", isTags: true, class: ignore, inHTTP: drop, why: tagsAre},
	{name: "Transfer-Encoding", class: ignore, inHTTP: drop, why: "for one connection only"},
	{name: "Vary", class: ignore, why: "in the key; otherwise a reason of its own"},
	{name: "Via", class: ignore, why: "would be untrue on a hit"},
	{name: "X-Accel-*", class: ignore, inHTTP: drop, why: "for nginx, which does not send it on"},
	{name: "X-Powered-By", class: ignore, why: "no browser uses it"},
	{name: "X-Request-Id", class: ignore, inHTTP: drop, why: "would be untrue on a hit"},
	{name: "X-Runtime", class: ignore, inHTTP: drop, why: "would be untrue on a hit"},
	{name: "xkey", isTags: true, class: ignore, inHTTP: drop, why: tagsAre},
}

const tagsAre = "already used, and not for browsers; with `--strip-tags=false` refuse, and keep in format http"

// unknown is the rule for all other headers.
var unknown = headerRule{name: "*", class: ignore, why: "uwgate does not know what it means to a browser; `X-…` is mostly for people"}

// headerRulesOf are the rules by the first letter of their names, in order.
var headerRulesOf = func() (rules [256][]*headerRule) {
	for i := range headerRules {
		r := &headerRules[i]
		rules[lower(r.name[0])] = append(rules[lower(r.name[0])], r)
	}
	return rules
}()

func headerRuleOf(f uwsgi.Field) *headerRule {
	if f.Name == "" {
		return &unknown
	}
	for _, r := range headerRulesOf[lower(f.Name[0])] {
		if r.fits(f) {
			return r
		}
	}
	return &unknown
}

func (r *headerRule) fits(f uwsgi.Field) bool {
	return r.isFor(f.Name) && (r.only == nil || r.only(f.Value))
}

func (r *headerRule) isFor(name string) bool {
	last := len(r.name) - 1
	if r.name[last] != '*' {
		return equalFold(name, r.name)
	}
	return len(name) > last && equalFold(name[:last], r.name[:last])
}

// Lost returns the headers of class warn that hits lose: nginx does not add them,
// or adds them with another value (Hits.Adds). The page can be stored without
// them, but the operator should know. It returns nil if there are none.
func (p *Policy) Lost(h uwsgi.Header) []uwsgi.Field {
	if p.Hits.Format.hasHead() {
		return nil
	}
	var lost []uwsgi.Field
	for _, f := range h {
		if headerRuleOf(f).class == warn && !p.Hits.isAdded(f) {
			lost = append(lost, f)
		}
	}
	return lost
}

// refusedHeader finds a header without which the page must not be stored.
func (h *Hits) refusedHeader(fields uwsgi.Header) (name string, found bool) {
	for _, f := range fields {
		rule := headerRuleOf(f)
		if h.Format.hasHead() {
			if rule.inHTTP == refuse {
				return f.Name, true
			}
			continue
		}
		refused := rule.class == refuse || rule.class == warn && h.Strict || rule.isTags && h.KeepTags
		if refused && !(rule.constant && h.isAdded(f)) {
			return f.Name, true
		}
	}
	return "", false
}

// isAdded reports whether nginx adds exactly this header to hits.
func (h *Hits) isAdded(f uwsgi.Field) bool {
	return slices.ContainsFunc(h.Adds, func(added uwsgi.Field) bool {
		return equalFold(added.Name, f.Name) && added.Value == f.Value
	})
}

func hasNonce(policy string) bool { return strings.Contains(lowerASCII(policy), "'nonce-") }

func isEssentialLink(value string) bool { return !isDispensableLink(value) }
