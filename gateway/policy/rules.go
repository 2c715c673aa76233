package policy

import (
	"errors"
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

// Validate returns what is wrong with the rule and how to correct it. It returns
// nil for a rule that can be used.
func (r *Rule) Validate() error {
	for _, check := range []func() error{r.checkHosts, r.checkPath, r.checkArgs, r.checkTypes, r.checkAction, r.checkTTLs, r.checkTags, r.checkStatuses} {
		if err := check(); err != nil {
			return fmt.Errorf("policy: rule: %w", err)
		}
	}
	return nil
}

func (r *Rule) checkHosts() error {
	for _, host := range r.Hosts {
		if host == "" || strings.ContainsAny(host, "/ :") && !strings.HasPrefix(host, "[") {
			return fmt.Errorf("host %q: give a name such as www.example.com or *.example.com, without scheme and port", host)
		}
	}
	return nil
}

func (r *Rule) checkPath() error {
	switch {
	case r.PathPrefix != "" && r.PathPrefix[0] != '/':
		return fmt.Errorf("path prefix %q does not begin with a slash; write it as /%s", r.PathPrefix, r.PathPrefix)
	case r.PathGlob != "" && r.PathGlob[0] != '/' && r.PathGlob[0] != '*':
		return fmt.Errorf("path glob %q begins with neither a slash nor a star, so no path can match; write it as /%s", r.PathGlob, r.PathGlob)
	case strings.Contains(r.PathPrefix, "?"), strings.Contains(r.PathGlob, "?"):
		return errors.New("a path holds no arguments, and ? is nothing special in a glob; name arguments of their own")
	}
	return nil
}

func (r *Rule) checkStatuses() error {
	for _, status := range r.Statuses {
		if !slices.Contains(storableStatuses, status) {
			return fmt.Errorf("status %d cannot be stored; besides 200, which always may, there are %v", status, storableStatuses)
		}
	}
	return nil
}

func (r *Rule) checkArgs() error {
	for _, arg := range r.Args {
		if name, _, _ := strings.Cut(arg, "="); name == "" || strings.ContainsAny(arg, "&?") {
			return fmt.Errorf("argument %q: write name, or name=value, decoded, one argument an entry", arg)
		}
	}
	for _, glob := range r.KeepArgs {
		if glob == "" || strings.ContainsAny(glob, "=&?") {
			return fmt.Errorf("argument to keep %q: write its name, or a glob such as page_*, without a value", glob)
		}
	}
	if r.KeepArgs != nil && len(r.ContentTypes) > 0 {
		return errors.New("arguments are cut before there is an answer, whose content type the rule waits for; use two rules")
	}
	return nil
}

func (r *Rule) checkTypes() error {
	for _, glob := range r.ContentTypes {
		if glob != "*" && strings.Count(glob, "/") != 1 || strings.ContainsAny(glob, "; ") {
			return fmt.Errorf("content type %q: write type/subtype, such as text/html or text/*, without parameters", glob)
		}
	}
	return nil
}

func (r *Rule) checkAction() error {
	switch r.Action {
	case "", ActionCache, ActionObserve:
		return nil
	case ActionBypass:
		if r.TTL != 0 || r.MinTTL != 0 || r.MaxTTL != 0 || r.Tags != nil || r.KeepArgs != nil {
			return errors.New("with action bypass nothing is stored, so lifetimes, tags and arguments to keep mean nothing; take them out, or the action")
		}
		return nil
	}
	return fmt.Errorf("action %q is not known; it is one of cache, bypass and observe", r.Action)
}

func (r *Rule) checkTTLs() error {
	for _, ttl := range []time.Duration{r.TTL, r.MinTTL, r.MaxTTL} {
		if ttl < 0 || 0 < ttl && ttl < time.Second {
			return fmt.Errorf("lifetime %v: memcached counts whole seconds, so give one of at least 1s; to store nothing, use action bypass", ttl)
		}
	}
	if r.MaxTTL > 0 && r.MinTTL > r.MaxTTL {
		return fmt.Errorf("the shortest lifetime %v is longer than the longest, %v; swap them", r.MinTTL, r.MaxTTL)
	}
	return nil
}

func (r *Rule) checkTags() error {
	for _, tag := range r.Tags {
		if tag == "" || strings.ContainsFunc(tag, isControlOrSpace) || strings.Contains(tag, ",") {
			return fmt.Errorf("tag %q: a tag is one word, without spaces and commas; give several as several", tag)
		}
		if len(tag) > maxTag {
			return fmt.Errorf("tag %.20q…: it has %d bytes; a tag has at most %d", tag, len(tag), maxTag)
		}
	}
	return nil
}

// String describes the rule in one line, conditions first.
func (r *Rule) String() string {
	var conditions []string
	add := func(what string, values ...string) {
		if values = slices.DeleteFunc(values, func(s string) bool { return s == "" }); len(values) > 0 {
			conditions = append(conditions, what+" "+strings.Join(values, " "))
		}
	}
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
	if len(p.Rules) == 0 {
		return 0, 0
	}
	l := s.place()
	for i := range p.Rules {
		if !p.Rules[i].allows(l) {
			continue
		}
		if first == 0 {
			first = i + 1
		}
		if len(p.Rules[i].ContentTypes) == 0 {
			return first, i + 1
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
	for n := plan.firstRule; n <= len(p.Rules) && n != plan.sureRule; n++ {
		if r := &p.Rules[n-1]; r.isForType(h) && r.allows(l) {
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
	return &p.Rules[n-1]
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
