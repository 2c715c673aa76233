package policy

import (
	"slices"
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

// A Plan says what is to become of the answer to a request.
type Plan struct {
	// Key is where the page belongs: raw, as nginx evaluates $memcached_key.
	// It may be set although Reason forbids storing, for a bypass deletes
	// nonetheless. It is never longer than memcached accepts.
	Key string

	// Addr is the server that nginx asked, one of Policy.Servers. Empty if
	// nginx did not say, or Key is not the key that it asked for.
	Addr string

	// LookedUp is set if nginx certainly came by way of memcached_pass, and so
	// has thrown the request's body away, whatever its vars announce.
	LookedUp bool

	// Contested is set if nginx looked Key up for another target than the one that
	// a page under Key is for: for a subrequest, say. Then no page may be stored there,
	// whoever asks: the next lookup for this target would find it.
	Contested bool

	// Reason is why the answer is not to be stored, "" for a candidate.
	Reason Reason

	// Note explains a NoKey to the operator. It holds no value of the request.
	Note string

	// Alone is set for a candidate with credentials: only what the response says of
	// others allows to store the page (RFC 9111 §3.5), so nobody may wait for it, nor
	// this request for another's.
	Alone bool

	// Bypass is set if the request carried the bypass argument. Then Key is
	// that of the URL without it, whose entry is to be deleted, and URI is
	// REQUEST_URI without it: the only one that may be logged.
	//
	// URI is also set if a rule cuts arguments: then Key is that of the URL
	// without them, for which ForWorker asks if Reason does not forbid.
	Bypass bool
	URI    string

	// AsSent has ForWorker leave a candidate's Accept-Encoding and conditions in: the
	// page is not expected to be storable, and its client is not to lose compression
	// and 304 for that. Request leaves it false.
	AsSent bool

	// The rules by their numbers, see matchRules, and whether one of them cuts
	// arguments.
	firstRule, sureRule int
	cuts                bool

	unsure  Reason // see sight.unsure
	oddVars bool   // nginx sends an unknown var
}

// Request plans a request by its vars as received: those that Firewall drops
// tell of bodies and repeated headers.
func (p *Policy) Request(v uwsgi.Vars) Plan {
	var q request
	q.read(p, v)
	plan := q.locate()
	for _, r := range requestRefusals {
		if _, found := q.find(r); found {
			plan.Reason = r
			return plan
		}
	}
	if plan.Reason == "" {
		plan.Reason, _ = q.undetermined()
		plan.Contested = q.contested
	}
	seen := q.sight()
	plan.Alone = seen.credentials
	plan.unsure, plan.oddVars = seen.unsure(), seen.unknownVar != ""
	return plan
}

// A request is one under judgement, with the rules that it allows.
type request struct {
	p *Policy
	v uwsgi.Vars // as received
	packet

	firstRule, sureRule int // see matchRules

	seen   sight
	looked bool // seen is made

	// What locate has found: the key, and the vars that it is for.
	key             string // "": there is none
	asked           uwsgi.Vars
	derived         bool // it was not handed over
	rendered        bool // it is what Template renders
	cutsAmbiguously bool // see repeatsKept

	contested bool // see Plan.Contested
}

// read begins with the zero request.
func (q *request) read(p *Policy, v uwsgi.Vars) {
	q.p, q.v = p, v
	q.packet.read(v)
	q.firstRule, q.sureRule = p.matchRules(&q.seenURL)
	q.derived = !q.handover.key.sent
}

// requestRefusals are all that can speak against storing in the request itself,
// its key aside. The first that find finds decides; to explain, walk them all.
var requestRefusals = []Reason{
	NoMethod, Method, Upgrade, Excluded, Authorization, IdentityCookie, IdentityHeader, IdentityVar, TokenCookie, RequestBody, RequestNoStore,
	Range, Precondition, UnkeyedHeader, DuplicateHeader, Host,
}

// find tells whether one of requestRefusals is there, and the name of the header,
// cookie or var at fault if it has one. A switch, unlike a table of functions,
// leaves q on the stack.
func (q *request) find(r Reason) (at string, found bool) {
	switch r {
	case NoMethod:
		return "REQUEST_METHOD", q.method == ""
	case Method:
		return q.method, q.method != "" && q.method != "GET"
	case Upgrade:
		return "HTTP_UPGRADE", q.upgrades
	case Excluded:
		return q.findExclusion()
	case Authorization:
		return is(q.sight().authorization)
	case IdentityCookie:
		return is(q.sight().identityCookie)
	case IdentityHeader:
		return is(q.sight().identityHeader)
	case IdentityVar:
		return is(q.sight().identityVar)
	case TokenCookie:
		return is(q.sight().tokenCookie)
	case RequestBody:
		// On its way through memcached_pass nginx throws the body itself away, and
		// the application may have waited for it: what counts is the announcement.
		return is(q.body)
	case RequestNoStore:
		return "HTTP_CACHE_CONTROL", q.noStore
	case Range:
		return is(q.part)
	case Precondition:
		return is(q.condition)
	case UnkeyedHeader:
		return is(q.sight().unkeyedHeader)
	case DuplicateHeader:
		return q.findRepeat()
	case Host:
		return q.foreignHost()
	}
	panic("policy: no refusal of requests: " + string(r))
}

// findRepeat finds a var with two values: nginx may key on one of the two, and the
// application answer the other. Of what hands the key over, locate has the word.
func (q *request) findRepeat() (at string, found bool) {
	if !q.sight().mayRepeat {
		return "", false
	}
	at, found = q.v.Repeated()
	if !found || !isHandover(at) {
		return at, found
	}
	return slices.DeleteFunc(slices.Clone(q.v), func(x uwsgi.Var) bool { return isHandover(x.Name) }).Repeated()
}

// sight looks at who asks, once.
func (q *request) sight() *sight {
	if !q.looked {
		q.seen, q.looked = q.p.look(q.v), true
	}
	return &q.seen
}

// is tells a name that was found from none.
func is(name string) (at string, found bool) { return name, name != "" }

// isSet reports whether any var of that name has a value.
func isSet(v uwsgi.Vars, name string) bool {
	for i := range v {
		if v[i].Name == name && v[i].Value != "" {
			return true
		}
	}
	return false
}

// findExclusion leaves a rule that bypasses to the answer as long as a rule
// above it waits for one.
func (q *request) findExclusion() (at string, found bool) {
	for _, prefix := range q.p.Exclude {
		if strings.HasPrefix(q.uri, prefix) || strings.HasPrefix(q.path, prefix) {
			return prefix, true
		}
	}
	if q.firstRule > 0 && q.firstRule == q.sureRule && q.p.rule(q.sureRule).Action == ActionBypass {
		return ruleNumber(q.sureRule), true
	}
	return "", false
}

// locate finds the key, and whether nginx has looked it up and missed.
func (q *request) locate() Plan {
	miss := q.p.lookup(&q.packet)
	plan := Plan{Addr: miss.addr, LookedUp: miss.thrownAway, firstRule: q.firstRule, sureRule: q.sureRule}
	key, note := q.askedKey()
	q.rendered = note == "" && q.p.Template != nil && (q.derived || q.p.Template.renders(q.v, key))
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
	return sureRule > 0 && p.rule(sureRule).KeepArgs != nil && p.Template != nil
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
	case q.p.Template == nil:
		return "", "nginx hands no CACHE_KEY over, and there is no template"
	}
	return q.p.expand(q.v)
}

func (p *Policy) expand(v uwsgi.Vars) (key, note string) {
	key, err := p.Template.Expand(v)
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

func (p *Policy) lookup(k *packet) lookup {
	h := &k.handover
	status := lastEntry(h.status.value)
	l := lookup{addr: lastEntry(h.server.value)}
	l.thrownAway = h.status.sent && !h.status.mixed && isStatusCode(status) && isSafe(k.method)
	switch {
	case h.status.mixed || h.server.mixed:
	case l.addr != "" && !p.Knows(l.addr): // never connect to an address that only a packet names
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
		l.proven = p.TemplateIsProof && !h.key.sent
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
func (p *Policy) Knows(addr string) bool {
	return p.Servers != nil && p.Servers(lastEntry(addr))
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
		return q.p.expand(other)
	}
	return replaceURI(key, q.uri, other.Get("REQUEST_URI"))
}

// isTemplateRight reports whether the template renders the key that nginx used
// for this request. A template beside handed-over keys may be just a default.
func (p *Policy) isTemplateRight(v uwsgi.Vars, key string) bool {
	if p.Template == nil {
		return false
	}
	if v.Count(varKey) == 0 {
		return true
	}
	return p.Template.renders(v, key)
}

// replaceURI makes of a page's key the key of another URL of the same site.
func replaceURI(key, old, uri string) (other, note string) {
	i := strings.Index(key, old)
	if old == "" || i < 0 || i != strings.LastIndex(key, old) {
		return "", "REQUEST_URI does not stand exactly once in CACHE_KEY; give the key's template"
	}
	return key[:i] + uri + key[i+len(old):], ""
}

// ForWorker returns the vars that the worker gets, of those that Firewall let
// through. It does not change v. The vars that hand the key over are gone. A
// candidate is asked for its full identity body and without the arguments that
// a rule cuts, a bypass for the URL without the argument, and a body that nginx
// has thrown away is not announced.
func (p *Policy) ForWorker(v uwsgi.Vars, plan Plan) uwsgi.Vars {
	if plan.Bypass {
		v = p.Bypass.strip(v)
	}
	if plan.cuts && plan.Reason == "" {
		v, _ = cutArgs(v, p.rule(plan.sureRule).KeepArgs)
	}
	inFull := plan.Reason == "" && !plan.Alone && !plan.AsSent
	out := make(uwsgi.Vars, 0, len(v))
	for _, x := range v {
		switch {
		case isHandover(x.Name):
			continue
		case inFull && isPartial(x.Name):
			continue
		case plan.LookedUp && (x.Name == "HTTP_CONTENT_LENGTH" || x.Name == "HTTP_TRANSFER_ENCODING"):
			continue
		case plan.LookedUp && x.Name == "CONTENT_LENGTH":
			x.Value = ""
		}
		out = append(out, x)
	}
	return out
}

func isHandover(name string) bool {
	switch name { // by length first
	case varKey, varStatus, varServer:
		return true
	}
	return false
}

// isPartial tells the headers of a candidate's request on which an answer would
// have no body, or an encoded one.
func isPartial(name string) bool { return asksForChange(name) || name == "HTTP_ACCEPT_ENCODING" }
