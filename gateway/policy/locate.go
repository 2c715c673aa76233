package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// The vars with which nginx hands over the key and the proof of a miss.
const (
	varKey    = "CACHE_KEY"    // $memcached_key
	varStatus = "CACHE_STATUS" // $upstream_status, or $srcache_fetch_status
	varServer = "CACHE_SERVER" // $upstream_addr
)

// VarRequestID is the var with which nginx hands over its $request_id, for the log. Workers
// do not get it.
const VarRequestID = "CACHE_REQUEST_ID"

// maxWireKey is memcached's limit in bytes, after nginx's escaping.
const maxWireKey = 250

// locate finds the key, and whether nginx has looked it up and found nothing.
func (q *request) locate() Plan {
	miss := q.p.Keys.lookup(&q.packet)
	plan := Plan{Addr: miss.addr, LookedUp: miss.thrownAway, firstRule: q.firstRule, sureRule: q.sureRule}
	key, note := q.askedKey()
	q.rendered = note == "" && q.p.Keys.Template != nil && (q.derived || q.p.Keys.templateOf(q.v, key) != nil)
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

// reduce returns the vars without the bypass argument and without the arguments
// that a rule cuts. It notes in the plan what it has removed, and reports whether
// it has removed anything.
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

// cutsArgs reports whether the rule of that number names the arguments from which
// a key is derived.
func (p *Policy) cutsArgs(sureRule int) bool {
	return sureRule > 0 && p.rule(sureRule).KeepArgs != nil && p.Keys.Template != nil
}

// askedKey returns the key that nginx looked up, or a note why there is none.
func (q *request) askedKey() (key, note string) {
	handed := &q.handover.key
	switch {
	case handed.mixed:
		return "", "nginx sends CACHE_KEY more than once, with different values"
	case handed.sent && handed.value == "":
		return "", "nginx hands over an empty CACHE_KEY"
	case handed.sent:
		return handed.value, ""
	case q.p.Keys.Template == nil:
		return "", "nginx hands over no CACHE_KEY, and there is no template"
	}
	return q.p.Keys.expand(q.v)
}

func (k *Keys) expand(v uwsgi.Vars) (key, note string) { return expandBy(k.Template, v) }

func expandBy(t *Template, v uwsgi.Vars) (key, note string) {
	key, err := t.Expand(v)
	switch {
	case err != nil:
		return "", err.Error()
	case key == "":
		return "", "the template renders to nothing" // nginx answers 500 to an empty key
	}
	return key, ""
}

// A lookup is what nginx says about its lookup in memcached.
type lookup struct {
	proven     bool   // nginx looked up the key, and found nothing
	thrownAway bool   // see Plan.LookedUp
	addr       string // the server that nginx asked
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
		// A response with X-Accel-Redirect made nginx look up the key of the
		// first URL again. What comes now is another page, which the application
		// permits to this visitor.
	case h.status.sent:
		// srcache's word must be alone: the status of an upstream that was used
		// since may follow it, as in MISS200.
		l.proven = status == "404" || h.status.value == "MISS"
	default:
		// A missing var proves nothing. If nginx clears the key to bypass its
		// cache (`if ($cookie_x) { set $memcached_key ""; uwsgi_pass … }`), it
		// sends neither var, like an nginx that is not configured to send them.
		// A default template that happens to equal nginx's key would publish
		// that private page. So the operator must assert that every GET that
		// arrives was looked up.
		l.proven = k.TemplateIsProof && !h.key.sent
	}
	if !l.proven {
		l.addr = ""
	}
	return l
}

// Separators in $upstream_status and $upstream_addr: between the attempts of one
// use of an upstream, and between uses.
const (
	betweenAttempts = ", "
	betweenUses     = " : "
)

// lastEntry returns the entry of $upstream_status or $upstream_addr that counts.
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

// isStatusCode reports whether s is a status, as memcached_pass sends it. srcache
// sends a word, and keeps the body.
func isStatusCode(s string) bool {
	return len(s) == 3 && isDigit(s[0]) && isDigit(s[1]) && isDigit(s[2])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isSafe reports whether memcached_pass accepts the method.
func isSafe(method string) bool { return method == "GET" || method == "HEAD" }

// Knows reports whether the last entry of a CACHE_SERVER is one of Servers.
func (k *Keys) Knows(addr string) bool {
	return k.Servers != nil && k.Servers(lastEntry(addr))
}

// wireLen returns the length in bytes of the key after nginx's escaping
// (ngx_http_memcached_create_request): three bytes for '%' and for each byte up to
// 0x20.
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

// keyOf returns the key of another URL of the same site. other are the vars for
// that URL; key is the key of the request.
func (q *request) keyOf(other uwsgi.Vars, key string) (otherKey, note string) {
	if t := q.p.Keys.templateOf(q.v, key); t != nil {
		return expandBy(t, other)
	}
	return replaceURI(key, q.uri, other.Get("REQUEST_URI"))
}

// isRendered reports whether Template renders the key that nginx used for this
// request, in its own generation or another one. If nginx hands over keys, Template may be
// only a default.
func (k *Keys) isRendered(v uwsgi.Vars, key string) bool { return k.templateOf(v, key) != nil }

// templateOf returns Template if it renders the key that nginx used for this request. It
// returns one like it if the key is of another generation: nginx may have been told of a
// generation before us, or after us.
func (k *Keys) templateOf(v uwsgi.Vars, key string) *Template {
	switch {
	case k.Template == nil:
		return nil
	case v.Count(varKey) == 0:
		return k.Template
	}
	return k.Template.inGeneration(v, key)
}

// replaceURI derives the key of another URL of the same site from the key of a
// page.
func replaceURI(key, old, uri string) (other, note string) {
	i := strings.Index(key, old)
	if old == "" || i < 0 || i != strings.LastIndex(key, old) {
		return "", "REQUEST_URI does not stand exactly once in CACHE_KEY; give the key's template"
	}
	return key[:i] + uri + key[i+len(old):], ""
}
