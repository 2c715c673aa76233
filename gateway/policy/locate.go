package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// The vars in which nginx hands the key, and the proof of a miss, over.
const (
	varKey    = "CACHE_KEY"    // $memcached_key
	varStatus = "CACHE_STATUS" // $upstream_status, or $srcache_fetch_status
	varServer = "CACHE_SERVER" // $upstream_addr
)

// maxWireKey is memcached's limit in bytes, after nginx's escaping.
const maxWireKey = 250

// locate finds the key, and whether nginx has looked it up and missed.
func (q *request) locate() Plan {
	miss := q.p.Keys.lookup(&q.packet)
	plan := Plan{Addr: miss.addr, LookedUp: miss.thrownAway, firstRule: q.firstRule, sureRule: q.sureRule}
	key, note := q.askedKey()
	q.rendered = note == "" && q.p.Keys.Template != nil && (q.derived || q.p.Keys.Template.renders(q.v, key))
	asked, other := q.reduce(&plan)
	if other {
		plan.Addr, plan.URI = "", asked.Get("REQUEST_URI")
		if note == "" {
			key, note = q.keyOf(asked, key)
		}
		if note == "" && plan.Bypass && q.p.Bypass.isTold(key) {
			key, note = "", "the bypass argument's secret stands in the key or URL a second time"
		}
	}
	if note == "" {
		q.key, q.asked = key, asked
	}
	switch {
	case note != "":
		plan.Reason, plan.Note = NoKey, note
	case wireLen(key) > maxWireKey:
		plan.Reason = KeyTooLong
	case !miss.proven:
		plan.Key, plan.Reason = key, NotLookedUp
	default:
		plan.Key = key
	}
	return plan
}

// reduce returns the vars without the bypass argument and those that a rule
// cuts, notes in the plan what was there of them, and tells whether anything.
func (q *request) reduce(plan *Plan) (asked uwsgi.Vars, other bool) {
	asked = q.v
	if q.p.mayBypass(&q.packet) {
		plan.Bypass = true
		asked = q.p.Bypass.strip(asked)
	}
	if q.derived && q.p.cutsArgs(q.sureRule) {
		keep := q.p.rule(q.sureRule).KeepArgs
		q.cutsAmbiguously = repeatsKept(queryOf(asked), keep)
		asked, plan.cuts = cutArgs(asked, keep)
	}
	return asked, plan.Bypass || plan.cuts
}

// cutsArgs reports whether the rule of that number says from which arguments a key is
// derived.
func (p *Policy) cutsArgs(sureRule int) bool {
	return sureRule > 0 && p.rule(sureRule).KeepArgs != nil && p.Keys.Template != nil
}

// askedKey is the key that nginx asked for, or why there is none.
func (q *request) askedKey() (key, note string) {
	handed := &q.handover.key
	switch {
	case handed.mixed:
		return "", "nginx sends CACHE_KEY more than once, with different values"
	case handed.sent && handed.value == "":
		return "", "nginx hands an empty CACHE_KEY over"
	case handed.sent:
		return handed.value, ""
	case q.p.Keys.Template == nil:
		return "", "nginx hands no CACHE_KEY over, and there is no template"
	}
	return q.p.Keys.expand(q.v)
}

func (k *Keys) expand(v uwsgi.Vars) (key, note string) {
	key, err := k.Template.Expand(v)
	switch {
	case err != nil:
		return "", err.Error()
	case key == "":
		return "", "the template renders to nothing" // nginx answers 500 to an empty key
	}
	return key, ""
}

// A lookup is what nginx tells about its asking memcached.
type lookup struct {
	proven     bool   // the key was asked for, and missed
	thrownAway bool   // see Plan.LookedUp
	addr       string // the server that was asked
}

func (k *Keys) lookup(sent *packet) lookup {
	h := &sent.handover
	status := lastEntry(h.status.value)
	l := lookup{addr: lastEntry(h.server.value)}
	l.thrownAway = h.status.sent && !h.status.mixed && isStatusCode(status) && isSafe(sent.method)
	switch {
	case h.status.mixed || h.server.mixed:
	case l.addr != "" && !k.Knows(l.addr): // never connect to an address that only a packet names
	case strings.Contains(h.status.value, betweenUses):
		// An answer with X-Accel-Redirect has made nginx look the first URL's
		// key up once more: what comes now is another page in its place, which
		// the application granted to this visitor.
	case h.status.sent:
		// srcache's word stands alone: behind it may be the status of an upstream
		// that was used since, as in MISS200.
		l.proven = status == "404" || h.status.value == "MISS"
	default:
		// Silence proves nothing. A nginx that clears the key to bypass its
		// cache (`if ($cookie_x) { set $memcached_key ""; uwsgi_pass … }`)
		// sends neither var, just like one that was never told to send them.
		// A default template that happens to equal nginx's key would publish
		// that private page. So the operator must have said that every GET
		// that arrives was looked up.
		l.proven = k.TemplateIsProof && !h.key.sent
	}
	if !l.proven {
		l.addr = ""
	}
	return l
}

// What stands in $upstream_status and $upstream_addr between the attempts of one
// use of an upstream, and between uses.
const (
	betweenAttempts = ", "
	betweenUses     = " : "
)

// lastEntry is the decisive one of $upstream_status and $upstream_addr.
func lastEntry(s string) string {
	if strings.IndexByte(s, ' ') < 0 { // as nearly always
		return s
	}
	if i := strings.LastIndex(s, betweenAttempts); i >= 0 {
		s = s[i+len(betweenAttempts):]
	}
	if i := strings.LastIndex(s, betweenUses); i >= 0 {
		s = s[i+len(betweenUses):]
	}
	return s
}

// isStatusCode tells memcached_pass, which has a status, from srcache, which
// has a word and keeps the body.
func isStatusCode(s string) bool {
	return len(s) == 3 && isDigit(s[0]) && isDigit(s[1]) && isDigit(s[2])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isSafe tells the methods that memcached_pass lets through.
func isSafe(method string) bool { return method == "GET" || method == "HEAD" }

// Knows reports whether the last entry of a CACHE_SERVER is one of Servers.
func (k *Keys) Knows(addr string) bool {
	return k.Servers != nil && k.Servers(lastEntry(addr))
}

// wireLen is the length in bytes of the key once escaped as nginx escapes it
// (ngx_http_memcached_create_request): three bytes for each up to 0x20 and '%'.
func wireLen(key string) int {
	n := len(key)
	for i := range len(key) {
		if key[i] <= 0x20 || key[i] == '%' {
			n += 2
		}
	}
	return n
}

func (p *Policy) mayBypass(k *packet) bool {
	return isSafe(k.method) && p.Bypass.isAsked(&k.seenURL)
}

// keyOf is the key of another URL of the same site, as which other are the vars; key is
// that of the request.
func (q *request) keyOf(other uwsgi.Vars, key string) (otherKey, note string) {
	if q.rendered {
		return q.p.Keys.expand(other)
	}
	return replaceURI(key, q.uri, other.Get("REQUEST_URI"))
}

// isRendered reports whether the template renders the key that nginx used
// for this request. A template beside handed-over keys may be just a default.
func (k *Keys) isRendered(v uwsgi.Vars, key string) bool {
	if k.Template == nil {
		return false
	}
	if v.Count(varKey) == 0 {
		return true
	}
	return k.Template.renders(v, key)
}

// replaceURI makes of a page's key the key of another URL of the same site.
func replaceURI(key, old, uri string) (other, note string) {
	i := strings.Index(key, old)
	if old == "" || i < 0 || i != strings.LastIndex(key, old) {
		return "", "REQUEST_URI does not stand exactly once in CACHE_KEY; give the key's template"
	}
	return key[:i] + uri + key[i+len(old):], ""
}
