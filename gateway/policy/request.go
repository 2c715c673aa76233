package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A Plan says what to do with the response to a request.
type Plan struct {
	// Key is the key of the page: raw, as nginx evaluates $memcached_key. It may
	// be set although Reason forbids storing, because a bypass deletes the entry
	// nevertheless. It is never longer than memcached accepts.
	Key string

	// Addr is the server that nginx asked, one of Keys.Servers. It is empty if
	// nginx did not say, or looked up another key.
	Addr string

	// LookedUp is set if nginx certainly came by way of memcached_pass, and so
	// has discarded the request's body, whatever its vars announce.
	LookedUp bool

	// Contested is set if nginx looked up Key for another target than that of
	// the page, for a subrequest, for example. Then no request may store a page
	// under Key: the next lookup for the other target would find it.
	Contested bool

	// Reason is why the response must not be stored, "" for a candidate.
	Reason Reason

	// Note explains NoKey to the operator. It contains no value of the request.
	Note string

	// Alone is set for a candidate with credentials: its page is stored only if
	// the response permits that (RFC 9111 §3.5). So no request may wait for it,
	// and it may not wait for another's page.
	Alone bool

	// Bypass is set if the request has the bypass argument. Then Key and URI
	// are those without the argument, and the entry of Key is to be deleted. Only
	// that URI may be logged.
	//
	// URI is also set if a rule cuts arguments: then Key is that of the URL
	// without them. If Reason is "", ForWorker requests that URL.
	Bypass bool
	URI    string

	// Page is set if the key contains no URI, so that nothing shows whether it determines
	// the page: what the application sees of the request's target. It may be logged.
	Page string

	// AsSent makes ForWorker keep Accept-Encoding and conditions. The caller
	// sets it if the page will probably not be storable, so that its client does
	// not lose compression and 304. Request leaves it false.
	AsSent bool

	// The numbers of the rules, see matchRules, and whether one cuts arguments.
	firstRule, sureRule int
	cuts                bool

	unsure  Reason // see sight.unsure
	oddVars bool   // nginx sends an unknown var
}

// Request plans a request. v are the vars as received, before Firewall.Screen:
// they also show bodies and repeated headers.
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
		if plan.Reason == "" && q.noStore {
			plan.Reason = RequestNoStore
		}
		if q.opaque && plan.Reason == "" {
			plan.Page = q.page()
		}
	}
	seen := q.sight()
	plan.Alone = seen.credentials
	plan.unsure, plan.oddVars = seen.unsure(), seen.unknownVar != ""
	return plan
}

// A request is one request that is being judged.
type request struct {
	p *Policy
	v uwsgi.Vars // as received
	packet

	firstRule, sureRule int // see matchRules

	seen   sight
	looked bool // seen is set

	// Set by locate: the key, and the vars that belong to it.
	key             string // "": there is none
	asked           uwsgi.Vars
	derived         bool // it was not handed over
	rendered        bool // it is what Template renders
	cutsAmbiguously bool // see repeatsKept

	contested bool // see Plan.Contested
	opaque    bool // the key contains no URI
}

// read fills the zero request.
func (q *request) read(p *Policy, v uwsgi.Vars) {
	q.p, q.v = p, v
	q.packet.read(v)
	q.firstRule, q.sureRule = p.matchRules(&q.seenURL)
	q.derived = !q.handover.key.sent
}

// requestRefusals are all reasons in the request not to store, except those about
// its key, and RequestNoStore. The first that find reports decides; explain lists them
// all. RequestNoStore comes after all others: the requests of `uwgate check --via` have
// it, and must show whether anything else keeps pages from being stored.
var requestRefusals = []Reason{
	NoMethod, Method, Upgrade, Excluded, Authorization, IdentityCookie, IdentityHeader, IdentityVar, TokenCookie, RequestBody,
	Range, Precondition, UnkeyedHeader, DuplicateHeader, Host,
}

// find reports whether one of requestRefusals holds, and names the header, cookie
// or var at fault, if there is one. It is a switch, because a table of functions
// would move q to the heap.
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
		// memcached_pass makes nginx discard the body, and the application may
		// have waited for it. So the announcement counts.
		return is(q.body)
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
	panic("policy: not a reason in a request: " + string(r))
}

// findRepeat finds a var with two values: nginx may use one of them in the key,
// and the application the other. locate checks the vars that hand over the key.
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

// sight returns what the vars show of the visitor. It looks at them once.
func (q *request) sight() *sight {
	if !q.looked {
		q.seen, q.looked = q.p.look(q.v), true
	}
	return &q.seen
}

// is reports whether a name was found.
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

// findExclusion finds a prefix of Exclude, or a rule with ActionBypass. If a rule
// above that one waits for the response, head.findBypass decides.
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
