package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

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
