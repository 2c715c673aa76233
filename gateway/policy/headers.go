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

	// inHTTP is what happens to the header, or to the page, in FormatHTTP.
	inHTTP class

	why string
}

// headerRules assign the classes. The first rule that fits counts, and a header
// that fits none is ignored. docs/headers.md shows the same table.
var headerRules = []headerRule{
	// Without these the page is another page, or dangerous, or useless.
	{name: "Access-Control-*", class: refuse, constant: true, why: "scripts of other sites would be turned away"},
	{name: "Authentication-Info", class: refuse, inHTTP: refuse, why: "credentials were checked"},
	{name: "Clear-Site-Data", class: refuse, inHTTP: refuse, why: "an action on the browser that receives it"},
	{name: "Content-Disposition", class: refuse, constant: true, why: "a download would open as a page"},
	{name: "Content-Language", class: refuse, constant: true, why: "the page may be one of several"},
	{name: "Content-Location", class: refuse, why: "the page is one of several (RFC 9110 §8.7)"},
	{name: "Content-Security-Policy", class: refuse, inHTTP: refuse, only: hasNonce, having: "with a nonce", why: "the page bears the same nonce, which must not serve twice"},
	{name: "Content-Security-Policy", class: refuse, constant: true, why: "the page would be open to what it forbids"},
	{name: "Content-Security-Policy-Report-Only", class: refuse, inHTTP: refuse, only: hasNonce, having: "with a nonce", why: "the page bears the same nonce, which must not serve twice"},
	{name: "Delta-Base", class: refuse, inHTTP: refuse, why: "the body is not the page itself (RFC 3229)"},
	{name: "Link", class: refuse, only: isEssentialLink, having: "other than canonical and preload", constant: true, why: "a relation that the page may not tell itself"},
	{name: "Location", class: refuse, why: "means nothing on a 200; the status may be wrong"},
	{name: "Refresh", class: refuse, why: "a redirection from this page"},
	{name: "Service-Worker-Allowed", class: refuse, constant: true, why: "the script would be refused"},
	{name: "WWW-Authenticate", class: refuse, inHTTP: refuse, why: "a challenge"},
	{name: "X-Accel-Charset", class: refuse, inHTTP: refuse, why: "changes the Content-Type that nginx emits"},
	{name: "X-Robots-Tag", class: refuse, constant: true, why: "the page would be indexed"},

	// These a browser merely obeys, and nginx can add them to hits and misses
	// alike.
	{name: "Accept-CH", class: warn, constant: true, why: "the browser would not send its hints"},
	{name: "Content-Security-Policy-Report-Only", class: warn, constant: true, why: "violations would go unreported"},
	{name: "Critical-CH", class: warn, constant: true, why: "the browser would not send its hints"},
	{name: "Cross-Origin-*", class: warn, constant: true, why: "the page would be less isolated"},
	{name: "Document-Policy", class: warn, constant: true, why: "the page might do more than it should"},
	{name: "Feature-Policy", class: warn, constant: true, why: "the page might do more than it should"},
	{name: "Integrity-Policy", class: warn, constant: true, why: "the page would be less protected"},
	{name: "NEL", class: warn, constant: true, why: "network errors would go unreported"},
	{name: "Origin-Agent-Cluster", class: warn, constant: true, why: "the page would be less isolated"},
	{name: "Permissions-Policy", class: warn, constant: true, why: "the page might do more than it should"},
	{name: "Permissions-Policy-Report-Only", class: warn, constant: true, why: "violations would go unreported"},
	{name: "Referrer-Policy", class: warn, constant: true, why: "links would tell more about their page"},
	{name: "Report-To", class: warn, constant: true, why: "reports would have no address"},
	{name: "Reporting-Endpoints", class: warn, constant: true, why: "reports would have no address"},
	{name: "Speculation-Rules", class: warn, constant: true, why: "links would load more slowly"},
	{name: "Strict-Transport-Security", class: warn, constant: true, why: "the browser would not learn to insist on TLS"},
	{name: "Timing-Allow-Origin", class: warn, constant: true, why: "other sites would see no timings"},
	{name: "X-Content-Type-Options", class: warn, constant: true, why: "the browser might guess another type"},
	{name: "X-DNS-Prefetch-Control", class: warn, constant: true, why: "the browser would decide by itself"},
	{name: "X-Download-Options", class: warn, constant: true, why: "the page would be less protected"},
	{name: "X-Frame-Options", class: warn, constant: true, why: "other sites could frame the page"},
	{name: "X-Permitted-Cross-Domain-Policies", class: warn, constant: true, why: "the page would be less protected"},
	{name: "X-XSS-Protection", class: warn, constant: true, why: "the page would be less protected"},

	// These are the cache's, the connection's, nginx's or the operator's.
	{name: "Accept-Ranges", class: ignore, why: "nginx sends its own"},
	{name: "Age", class: ignore, why: "its work is done: the lifetime is shorter for it"},
	{name: "Cache-Control", class: ignore, why: "its work is done, or it refuses by itself; `expires` in nginx's location tells browsers"},
	{name: "CDN-Cache-Control", class: ignore, why: "its work is done"},
	{name: "Connection", class: ignore, inHTTP: drop, why: "ends here"},
	{name: "Content-Encoding", class: ignore, why: "refuses by itself"},
	{name: "Content-Length", class: ignore, inHTTP: drop, why: "nginx sends its own"},
	{name: "Content-Range", class: ignore, inHTTP: drop, why: "refuses by itself"},
	{name: "Content-Type", class: ignore, why: "must be what nginx sends, or refuses by itself"},
	{name: "Date", class: ignore, why: "nginx sends its own"},
	{name: "ETag", class: ignore, why: "nginx answers no conditional request on a hit"},
	{name: "Expires", class: ignore, why: "its work is done"},
	{name: "Keep-Alive", class: ignore, inHTTP: drop, why: "ends here"},
	{name: "Last-Modified", class: ignore, why: "nginx answers no conditional request on a hit"},
	{name: "Link", class: ignore, why: "the page can do without it, canonical and preload alone"},
	{name: "Pragma", class: ignore, why: "its work is done, or it refuses by itself"},
	{name: "Proxy-*", class: ignore, inHTTP: drop, why: "between two proxies (RFC 9111 §3.1)"},
	{name: "Server", class: ignore, why: "nginx sends its own"},
	{name: "Server-Timing", class: ignore, inHTTP: drop, why: "would be untrue on a hit"},
	{name: "Set-Cookie", class: ignore, inHTTP: drop, why: "refuses by itself"},
	{name: "Set-Cookie2", class: ignore, inHTTP: drop, why: "refuses by itself"},
	{name: "Surrogate-Control", class: ignore, inHTTP: drop, why: "its work is done"},
	{name: "Transfer-Encoding", class: ignore, inHTTP: drop, why: "ends here"},
	{name: "Vary", class: ignore, why: "covered by the key, or refuses by itself"},
	{name: "Via", class: ignore, why: "would be untrue on a hit"},
	{name: "X-Accel-*", class: ignore, inHTTP: drop, why: "nginx's own, not sent on"},
	{name: "X-Powered-By", class: ignore, why: "nobody misses it"},
	{name: "X-Request-Id", class: ignore, inHTTP: drop, why: "would be untrue on a hit"},
	{name: "X-Runtime", class: ignore, inHTTP: drop, why: "would be untrue on a hit"},
}

// unknown is the rule for all other headers.
var unknown = headerRule{name: "*", class: ignore, why: "what it means to a browser is not known here; `X-…` is mostly for people"}

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
		refused := rule.class == refuse || rule.class == warn && h.Strict
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
