package policy

import (
	"strconv"
	"time"

	"uwgate/uwsgi"
)

// An Explanation is a decision with everything that led to it, for people and, as
// JSON, for programs. It contains names of cookies, but no values of cookies and
// no credentials.
type Explanation struct {
	Key       string `json:"key"`              // raw, as Plan.Key
	KeySource string `json:"key_source"`       // "nginx", "template" or "none"
	Server    string `json:"server,omitempty"` // the server that nginx asked, as Plan.Addr
	LookedUp  bool   `json:"looked_up"`        // nginx is known to have looked up a key and found nothing
	Rule      string `json:"rule,omitempty"`   // the rule that matched, after its number from 1
	URI       string `json:"uri,omitempty"`    // the URI of the key, as Plan.URI; empty: the client's

	// Refusals are all reasons not to store, in the order in which they are
	// checked: the first one is the verdict's reason. Observe is the last, and
	// the only one if nothing else forbids storing.
	Refusals []Finding `json:"refusals"`

	// Freshness is the calculation of the lifetime: each source that says
	// anything, by precedence, then what shortened or lengthened it. It is empty
	// without a response.
	Freshness []Step `json:"freshness"`

	// Lost are the header lines that hits lose: see Policy.Lost.
	Lost []string `json:"lost,omitempty"`

	// Deletes are the keys of an unsafe request's own URI, and Purges what the rules say, as
	// ParseScope reads it. Both are deleted if the request succeeds.
	Deletes []string `json:"deletes,omitempty"`
	Purges  []string `json:"purges,omitempty"`

	Verdict Decision `json:"verdict"`
}

// A Finding is one reason not to store, with a sentence of detail. Fix says what to do about
// this case; "": what docs/decisions.md says about the reason.
type Finding struct {
	Reason Reason `json:"reason"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// A Step is a source of freshness with its value in the response or the
// configuration, or one step of the calculation with its operand.
type Step struct {
	Source string `json:"source"` // a Reason to store, or "age", "min-ttl", "max-ttl"
	Value  string `json:"value"`
	Detail string `json:"detail"`
}

// A Decision is a Verdict in JSON. Its reason is empty for a request that may fill
// the cache and has no response yet.
type Decision struct {
	Store   bool     `json:"store"`
	Observe bool     `json:"observe,omitempty"` // it would have been stored
	Reason  Reason   `json:"reason"`
	TTL     int64    `json:"ttl"` // in seconds, before Spread; zero if nothing may be stored
	Tags    []string `json:"tags,omitempty"`

	TagsLost bool `json:"tags_lost,omitempty"` // it counts as a page with any tag
}

// Explain returns what Request, Response and Body decide, and why. It also lists
// the reasons that they did not reach because an earlier reason decided. v are the
// vars as received, and r is the head of the response as it came, or nil to
// explain only the request; body, whole and trailers are the parameters of Body.
func (p *Policy) Explain(v uwsgi.Vars, r *uwsgi.Response, body []byte, whole, trailers bool, now time.Time) Explanation {
	var q request
	q.read(p, v)
	plan := p.Request(v)
	e := Explanation{
		Key: plan.Key, KeySource: p.keySource(v), Server: plan.Addr, URI: plan.URI,
		LookedUp: p.Keys.lookup(&q.packet).proven,
		Refusals: q.findings(), Freshness: []Step{},
	}
	e.addPurges(p, v)
	verdict := Verdict{Reason: plan.Reason}
	if r == nil {
		e.Rule = q.ruleInSight()
	} else {
		n := p.ruleOf(v, plan, r.Header)
		h := p.newHead(v, r, now)
		h.rule, e.Rule = p.rule(n), p.ruleName(n)
		e.addHead(&h)
		if v.Get("REQUEST_METHOD") != "HEAD" { // whose response has no body
			e.addBody(&content{p, r, body, whole, trailers})
		}
		e.Freshness = h.steps()
		for _, f := range p.Lost(r.Header) {
			e.Lost = append(e.Lost, line(f))
		}
		verdict = p.Response(v, plan, r, now)
		if reason := p.Body(r, body, whole, trailers); verdict.TTL > 0 && reason != "" {
			verdict = Verdict{Reason: reason}
		}
	}
	if p.Observe || verdict.Observe {
		e.add(Observe, "")
	}
	e.Verdict = Decision{verdict.Store(), verdict.Observe, verdict.Reason, int64(verdict.TTL / time.Second), verdict.Tags, verdict.TagsLost}
	return e
}

// addPurges adds what the request makes invalid, as far as that is known without a response.
func (e *Explanation) addPurges(p *Policy, v uwsgi.Vars) {
	for _, t := range p.Doubtful(v) {
		e.Deletes = append(e.Deletes, t.Key)
	}
	for _, s := range p.Purges(v, nil) {
		e.Purges = append(e.Purges, s.String())
	}
}

func (p *Policy) keySource(v uwsgi.Vars) string {
	switch {
	case v.Count(varKey) > 0:
		return "nginx"
	case p.Keys.Template != nil:
		return "template"
	}
	return "none"
}

func (p *Policy) ruleName(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n) + ": " + p.rule(n).String()
}

// ruleInSight names the rule that matches before there is a response.
func (q *request) ruleInSight() string {
	if q.firstRule == q.sureRule {
		return q.p.ruleName(q.sureRule)
	}
	name := q.p.ruleName(q.firstRule) + " (if the response is of that type)"
	if q.sureRule > 0 {
		name += ", or " + q.p.ruleName(q.sureRule)
	}
	return name
}
