package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"uwgate/uwsgi"
)

// A Rule is an exception for some pages. It matches if all of its conditions hold.
// A condition that is not set always holds, so the zero Rule matches everything
// and changes nothing. Only the first rule that matches counts.
//
// A rule with ContentTypes has to wait for the response. If it does not match
// then, the next rules are tried. So a rule decides as soon as no rule above it
// can match any more: a rule with ActionBypass refuses the request if no rule
// above it waits for the response, and otherwise it refuses the response.
type Rule struct {
	// Hosts are globs of hosts, compared like Keys.AllowedHosts. One must match.
	Hosts []string

	// PathPrefix, PathGlob and PathRegexp are compared with the decoded path,
	// nginx's $uri, with case. A glob must match the whole path, and its *
	// matches any bytes, including slashes. A regexp may match anywhere, like
	// those of nginx's locations.
	PathPrefix string
	PathGlob   string
	PathRegexp *regexp.Regexp

	// Args are arguments that the URL must all have: "name" with any value or
	// none, "name=value" with that value. They are compared decoded.
	Args []string

	// Methods are request methods, in capitals. One must match. Pages are stored for GET
	// only, and Purge applies to unsafe methods only.
	Methods []string

	// ContentTypes are globs of media types, such as "text/*", without
	// parameters. One must match that of the response. Case does not matter.
	ContentTypes []string

	// Action is what happens to the page. Empty means ActionCache.
	Action Action

	// TTL is the lifetime of pages that say nothing about theirs. Like
	// Lifetimes.Default, which it replaces, it applies only to responses to
	// strangers. Zero means Lifetimes.Default.
	TTL time.Duration

	// MinTTL and MaxTTL replace those of Lifetimes. Zero means Lifetimes.Min and
	// Lifetimes.Max.
	MinTTL, MaxTTL time.Duration

	// Tags are names for groups of pages that are purged together, besides those that
	// a response names. They are also in the access log.
	Tags []string

	// Statuses are statuses that are stored besides 200, in FormatHTTP: any of
	// 301, 302, 307, 308, 404, 410 and 451. All other reasons not to store still
	// apply.
	Statuses []int

	// KeepArgs are globs of the arguments on which the pages depend, compared
	// decoded and with case. All other arguments are cut from the URL from which
	// the key is derived and which the worker gets, so that nothing outside the
	// key can change the page. A handed-over key belongs to the whole URL, so
	// nothing is cut. Nil keeps all arguments, an empty list none.
	//
	// The key must be known before the response, so KeepArgs of the first rule
	// that matches without waiting for the response apply.
	KeepArgs []string

	// Purge is what becomes invalid when an unsafe request that the conditions describe
	// succeeds. All rules with Purge are looked at, not only the first that matches. URI
	// and Tag may contain $1 to $9, what the groups of PathRegexp match, and $$, a dollar
	// sign.
	Purge []Scope
}

// An Action is what a Rule does with a page, in the words of the configuration
// file.
type Action string

// The actions.
const (
	ActionCache   Action = "cache"   // store it, if nothing else forbids
	ActionBypass  Action = "bypass"  // never store it: Excluded
	ActionObserve Action = "observe" // decide, and do not store it: Verdict.Observe
)

// OnlyPurges reports whether the rule says nothing about pages that are stored. Then it
// does not hide the rules below it.
func (r *Rule) OnlyPurges() bool { return r.Purge != nil && !r.hasEffect() }

func (r *Rule) hasEffect() bool {
	return r.Action != "" || r.TTL != 0 || r.MinTTL != 0 || r.MaxTTL != 0 || r.Tags != nil || r.KeepArgs != nil || r.Statuses != nil
}

// isForPages reports whether the rule is one for pages that are stored.
func (r *Rule) isForPages() bool { return r.isForMethod("GET") && !r.OnlyPurges() }

func (r *Rule) isForMethod(method string) bool {
	return len(r.Methods) == 0 || slices.Contains(r.Methods, method)
}

// String describes the rule in one line, conditions first.
func (r *Rule) String() string {
	var conditions []string
	add := func(what string, values ...string) {
		if values = slices.DeleteFunc(values, func(s string) bool { return s == "" }); len(values) > 0 {
			conditions = append(conditions, what+" "+strings.Join(values, " "))
		}
	}
	add("method", slices.Clone(r.Methods)...)
	add("host", slices.Clone(r.Hosts)...)
	add("path prefix", r.PathPrefix)
	add("path", r.PathGlob)
	if r.PathRegexp != nil {
		add("path regexp", r.PathRegexp.String())
	}
	add("argument", slices.Clone(r.Args)...)
	add("content type", slices.Clone(r.ContentTypes)...)
	if conditions == nil {
		conditions = []string{"everything"}
	}
	return strings.Join(conditions, ", ") + ": " + r.effect()
}

func (r *Rule) effect() string {
	effect := string(r.Action)
	if effect == "" {
		effect = string(ActionCache)
	}
	for _, ttl := range []struct {
		name  string
		value time.Duration
	}{{"ttl", r.TTL}, {"min", r.MinTTL}, {"max", r.MaxTTL}} {
		if ttl.value > 0 {
			effect += fmt.Sprintf(", %s %v", ttl.name, ttl.value)
		}
	}
	if r.Tags != nil {
		effect += ", tags " + strings.Join(r.Tags, " ")
	}
	if r.KeepArgs != nil {
		effect += ", keeps arguments " + strings.Join(r.KeepArgs, " ")
	}
	for i, s := range r.Purge {
		if i == 0 {
			effect += ", purges"
		}
		effect += " " + s.String()
	}
	return effect
}

// A place is the part of a request that rules compare.
type place struct {
	host, path, query string
	hasPath           bool // false if REQUEST_URI cannot be decoded: then no path matches
}

func (s *seenURL) place() place {
	l := place{host: s.nginxHost, path: s.path, query: s.query, hasPath: s.hasPath}
	if !l.hasPath {
		l.path, l.hasPath = decoded(s.uri)
	}
	return l
}

// matchRules returns the first rule that may match the request, and the first of
// these that does not wait for the response. Rules are numbered from 1; zero means
// none.
func (p *Policy) matchRules(s *seenURL) (first, sure int) {
	if p.Rules == nil {
		return 0, 0
	}
	var room [16]int
	l := s.place()
	for _, n := range p.Rules.candidates(l, room[:0]) {
		r := p.rule(n)
		if !r.isForPages() || !r.allows(l) {
			continue
		}
		if first == 0 {
			first = n
		}
		if len(r.ContentTypes) == 0 {
			return first, n
		}
	}
	return first, 0
}

// ruleOf returns the number of the rule that also matches the response, zero if
// none does.
func (p *Policy) ruleOf(v uwsgi.Vars, plan Plan, h uwsgi.Header) int {
	if plan.firstRule == 0 || plan.firstRule == plan.sureRule {
		return plan.firstRule
	}
	s := seenURLOf(v)
	l := s.place()
	for _, n := range p.Rules.candidates(l, nil) {
		if n == plan.sureRule {
			break
		}
		if r := p.rule(n); r.isForPages() && r.isForType(h) && r.allows(l) {
			return n
		}
	}
	return plan.sureRule
}

// rule returns the rule of that number, nil for zero.
func (p *Policy) rule(n int) *Rule {
	if n == 0 {
		return nil
	}
	return &p.Rules.list[n-1]
}

// Observes reports whether it is known before the response arrives that the page
// is only observed (see Verdict.Observe).
func (p *Policy) Observes(plan Plan) bool {
	if p.Observe {
		return true
	}
	return plan.sureRule > 0 && plan.firstRule == plan.sureRule && p.rule(plan.sureRule).Action == ActionObserve
}

// allows reports whether the conditions on the request hold.
func (r *Rule) allows(l place) bool {
	return (len(r.Hosts) == 0 || matchesAny(r.Hosts, l.host)) && r.isForPath(l) &&
		!slices.ContainsFunc(r.Args, func(arg string) bool { return !hasArg(l.query, arg) })
}

func (r *Rule) isForPath(l place) bool {
	if r.PathPrefix == "" && r.PathGlob == "" && r.PathRegexp == nil {
		return true
	}
	return l.hasPath && strings.HasPrefix(l.path, r.PathPrefix) &&
		(r.PathGlob == "" || matchesExactly(r.PathGlob, l.path)) &&
		(r.PathRegexp == nil || r.PathRegexp.MatchString(l.path))
}

// isForType reports whether the response has a type for which the rule waits.
func (r *Rule) isForType(h uwsgi.Header) bool {
	mediaType, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return matchesAny(r.ContentTypes, strings.Trim(mediaType, " \t"))
}

// ruleNumber is the name of a rule in explanations.
func ruleNumber(n int) string { return "rule " + strconv.Itoa(n) }
