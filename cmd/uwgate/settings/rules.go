package settings

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"uwgate/gateway/policy"
)

// A rule is a rule of the configuration file, and its place.
type rule struct {
	policy.Rule
	name  string
	place string // file:line of its beginning
	keeps string // file:line of its keep-args, "" without
	codes string // file:line of its status, "" without
}

// A ruleKey is a key of a rule. Its set reads one value. Only a list has several.
type ruleKey struct {
	name string
	list bool
	set  func(r *rule, value string) error
	word string // the kind of its values
	help string
}

// ruleKeys are all of them, in the order of docs/rules.md.
var ruleKeys = []ruleKey{
	{"name", false, setName, "text", "a word that `uwgate explain` shows"},
	{"host", true, setHost, "glob", "the request's host, without its port, as in *.example.com; one of a list"},
	{"path", false, setPath, "path", "the beginning of the request's path, as in /news/"},
	{"glob", false, setGlob, "path", "the whole path, in which * stands for any characters"},
	{"regex", false, setRegexp, "regular expression", "a regular expression that matches a part of the path"},
	{"arg", true, setArg, "text", "an argument of the URL that is there, as name or name=value; all of a list"},
	{"type", true, setType, "glob", "the response's Content-Type without parameters, as in text/*; one of a list"},
	{"methods", true, setMethod, "text", "the request's method, as in POST; one of a list"},
	{"action", false, setAction, "cache, bypass, observe", "cache; bypass stores nothing; observe decides and logs, and stores nothing"},
	{"ttl", false, lifetime(func(r *rule) *time.Duration { return &r.TTL }), "time", "the lifetime of pages whose response has none, in place of --ttl"},
	{"min-ttl", false, lifetime(func(r *rule) *time.Duration { return &r.MinTTL }), "time", "the shortest lifetime, in place of --min-ttl"},
	{"max-ttl", false, lifetime(func(r *rule) *time.Duration { return &r.MaxTTL }), "time", "the longest lifetime, in place of --max-ttl"},
	{"tags", true, setTag, "text", "names of groups of pages that are purged together"},
	{"keep-args", true, setKeepArg, "glob", "the arguments that pages depend on; uwgate removes all others; needs --key"},
	{"status", true, setStatus, "number", "statuses besides 200 that are stored, as in 301; needs the format http"},
	{"purge", true, setPurge, "text", "what a POST or the like purges: tag:NAME, url:/path, path:/path, prefix:/path, site"},
}

// parseRules reads the value of `rules:` and reports all that is wrong in it.
// path is for messages.
func parseRules(path string, n *yaml.Node) ([]rule, error) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, fmt.Errorf("%s:%d: rules is a list of rules, each of which begins with a dash, as in `- path: /news/`", path, n.Line)
	}
	var rules []rule
	var errs []error
	for i, item := range n.Content {
		p := ruleParser{path: path}
		r := p.parse(resolve(item))
		if i < len(n.Content)-1 && len(p.errs) == 0 && matchesAll(r) {
			p.fail(item.Line, "a rule without host, path, glob, regex, arg or type matches everything, so the rules below it never apply; move it to the end")
		}
		rules = append(rules, r)
		errs = append(errs, p.errs...)
	}
	return rules, errors.Join(errs...)
}

// resolve returns the node that an alias names.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// A ruleParser reads one rule.
type ruleParser struct {
	path string
	rule rule
	errs []error
}

func (p *ruleParser) fail(line int, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: %w", p.place(line), fmt.Errorf(format, args...)))
}

func (p *ruleParser) place(line int) string { return fmt.Sprintf("%s:%d", p.path, line) }

func (p *ruleParser) parse(n *yaml.Node) rule {
	p.rule.place = p.place(n.Line)
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		p.fail(n.Line, "a rule is lines of `key: value`, as in `- path: /news/`")
		return p.rule
	}
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], resolve(n.Content[i+1])
		key := findRuleKey(name.Value)
		switch {
		case key == nil:
			p.fail(name.Line, "%w", unknownRuleKey(name.Value))
		case seen[name.Value]:
			p.fail(name.Line, "rule: %s is set a second time", name.Value)
		default:
			seen[name.Value] = true
			p.set(*key, name.Line, value)
		}
	}
	p.check(n.Line, seen)
	return p.rule
}

// set reads the values of a key.
func (p *ruleParser) set(key ruleKey, line int, n *yaml.Node) {
	values := []*yaml.Node{n}
	if key.name == "status" {
		p.rule.codes = p.place(line)
	}
	switch {
	case key.name == "keep-args":
		p.rule.keeps = p.place(line)
		p.rule.KeepArgs = []string{} // an empty list cuts all arguments
		fallthrough
	case key.list:
		if n.Kind == yaml.SequenceNode {
			values = n.Content
		}
		if len(values) == 0 && key.name != "keep-args" {
			p.fail(line, "rule: %s has an empty list, which matches nothing; remove the line or fill it", key.name)
		}
	case n.Kind == yaml.SequenceNode:
		p.fail(line, "rule: %s takes one value, not a list", key.name)
		return
	}
	for _, v := range values {
		v = resolve(v)
		if v.Kind == yaml.MappingNode && key.name == "purge" {
			p.fail(v.Line, "rule: purge: write no space after the colon, as in tag:news")
		} else if v.Kind != yaml.ScalarNode || v.Tag == "!!null" || v.Value == "" {
			p.fail(max(v.Line, line), "rule: %s has no value; remove the line or give one", key.name)
		} else if err := key.set(&p.rule, v.Value); err != nil {
			p.fail(v.Line, "rule: %s %q: %w", key.name, v.Value, err)
		}
	}
}

// check reports keys that contradict each other.
func (p *ruleParser) check(line int, has map[string]bool) {
	r := &p.rule
	if paths := has["path"] && has["glob"] || has["path"] && has["regex"] || has["glob"] && has["regex"]; paths {
		p.fail(line, "rule: path, glob and regex exclude each other; write two rules, or one regex")
	}
	if r.MaxTTL > 0 && r.MinTTL > r.MaxTTL {
		p.fail(line, "rule: min-ttl %v is over max-ttl %v: lower one or raise the other", r.MinTTL, r.MaxTTL)
	}
	if has["keep-args"] && has["type"] {
		p.fail(line, "rule: keep-args changes the request to the worker, but the type is only known from its response; use path, glob or regex in place of type")
	}
	if r.Action == policy.ActionBypass && (has["ttl"] || has["min-ttl"] || has["max-ttl"] || has["tags"] || has["keep-args"] || has["status"]) {
		p.fail(line, "rule: action: bypass stores nothing, so ttl, min-ttl, max-ttl, tags, keep-args and status have no effect; remove them")
	}
	if err := r.Validate(); err != nil && len(p.errs) == 0 {
		p.fail(line, "%s", strings.TrimPrefix(err.Error(), "policy: "))
	}
}

// matchesAll reports whether a rule hides all below it: it has no condition, and does more
// than purge.
func matchesAll(r rule) bool {
	return !r.OnlyPurges() && len(r.Hosts)+len(r.Args)+len(r.ContentTypes) == 0 && r.PathPrefix == "" && r.PathGlob == "" && r.PathRegexp == nil
}

func findRuleKey(name string) *ruleKey {
	for i := range ruleKeys {
		if ruleKeys[i].name == name {
			return &ruleKeys[i]
		}
	}
	return nil
}

func unknownRuleKey(name string) error {
	var names []string
	for _, k := range ruleKeys {
		names = append(names, k.name)
	}
	return suggest(fmt.Errorf("rule: unknown key %q", name), name, names)
}

// suggest adds to err the name that was meant, and all that there are.
func suggest(err error, name string, names []string) error {
	if meant := guess(name, names); meant != "" {
		err = fmt.Errorf("%w; did you mean %q?", err, meant)
	}
	return fmt.Errorf("%w; there are %s", err, strings.Join(names, ", "))
}

func setName(r *rule, s string) error {
	r.name = s
	return nil
}

func setHost(r *rule, s string) error {
	r.Hosts = append(r.Hosts, s)
	return checkHost(s)
}

// checkHost checks a glob of hosts as nginx's $host has them.
func checkHost(s string) error {
	_, afterColon, hasPort := strings.Cut(s[strings.LastIndex(s, "]")+1:], ":")
	switch {
	case strings.Contains(s, "://"), strings.ContainsAny(s, "/ \t,"):
		return errors.New("write a host alone, as in www.example.com or *.example.com")
	case hasPort && strings.Trim(afterColon, "0123456789*") == "":
		return errors.New("write the host without its port, as nginx's $host has it")
	case hasPort:
		return errors.New("write an IPv6 address in brackets, as in [::1]")
	case s == "":
		return errors.New("write a host, as in www.example.com or *.example.com")
	}
	return nil
}

func setPath(r *rule, s string) error {
	r.PathPrefix = s
	return checkSlash(s)
}

func setGlob(r *rule, s string) error {
	r.PathGlob = s
	if strings.HasPrefix(s, "*") {
		return nil
	}
	return checkSlash(s)
}

// checkSlash refuses paths that never match.
func checkSlash(s string) error {
	switch {
	case !strings.HasPrefix(s, "/"):
		return errors.New("a path starts with a slash, as in /news/")
	case strings.Contains(s, "?"):
		return errors.New("the path ends before the question mark; arguments belong under arg")
	}
	return nil
}

func setRegexp(r *rule, s string) (err error) {
	r.PathRegexp, err = regexp.Compile(s)
	return err
}

func setArg(r *rule, s string) error {
	r.Args = append(r.Args, s)
	return checkArg(s)
}

func checkArg(s string) error {
	if s[0] == '=' || strings.ContainsAny(s, "?&") {
		return errors.New("write name or name=value, one argument an entry")
	}
	return nil
}

func setType(r *rule, s string) error {
	r.ContentTypes = append(r.ContentTypes, s)
	if major, minor, ok := strings.Cut(s, "/"); !ok || major == "" || minor == "" || strings.ContainsAny(s, "; \t,") {
		return errors.New("write a type without parameters, as in text/html or text/*")
	}
	return nil
}

func setMethod(r *rule, s string) error {
	r.Methods = append(r.Methods, s)
	if upper := strings.ToUpper(s); upper != s {
		return fmt.Errorf("write the method in capitals, as in %s", upper)
	}
	return nil
}

func setPurge(r *rule, s string) error {
	scope, err := policy.ParseScope(s)
	r.Purge = append(r.Purge, scope)
	return err
}

func setAction(r *rule, s string) error {
	switch r.Action = policy.Action(s); r.Action {
	case policy.ActionCache, policy.ActionBypass, policy.ActionObserve:
		return nil
	}
	return errors.New("write cache, bypass or observe")
}

// lifetime returns the setter of a lifetime.
func lifetime(of func(*rule) *time.Duration) func(*rule, string) error {
	return func(r *rule, s string) error {
		d, err := time.ParseDuration(s)
		switch {
		case err != nil:
			return errors.New("write a time as in 90s, 10m or 1h30m")
		case d < time.Second || d > maxTTL:
			return errors.New("write a time from 1s to 720h; memcached reads a longer one as a date; to store nothing write action: bypass")
		}
		*of(r) = d
		return nil
	}
}

func setTag(r *rule, s string) error {
	r.Tags = append(r.Tags, s)
	if strings.ContainsAny(s, " \t,") {
		return errors.New("a tag is one word, without comma; write several as a list")
	}
	return nil
}

func setKeepArg(r *rule, s string) error {
	r.KeepArgs = append(r.KeepArgs, s)
	if strings.ContainsAny(s, "=?&") {
		return errors.New("write the argument's name alone; * stands for any letters, as in utm_*")
	}
	return nil
}

func setStatus(r *rule, s string) error {
	n, err := strconv.Atoi(s)
	if err != nil {
		return errors.New("write a status as in 301, or several as a list")
	}
	r.Statuses = append(r.Statuses, n)
	return nil
}

// policyRules checks the rules against the other settings, and returns them for the policy.
func policyRules(rules []rule, template string, format policy.Format) (*policy.Rules, error) {
	var list []policy.Rule
	var errs []error
	for _, r := range rules {
		if r.keeps != "" && template == "" {
			errs = append(errs, fmt.Errorf("%s: keep-args needs --key: a CACHE_KEY that nginx hands over is that of the whole URL, arguments and all, and cannot be shortened", r.keeps))
		}
		if r.codes != "" && format != policy.FormatHTTP {
			errs = append(errs, fmt.Errorf("%s: status needs --format http: with memcached_pass nginx serves whatever is stored as a 200", r.codes))
		}
		list = append(list, r.Rule)
	}
	return policy.NewRules(list), errors.Join(errs...)
}

// WhichRule returns name and place, in parentheses, of the rule that a gateway names in an
// explanation; "" if this file does not have that rule.
func (s *Settings) WhichRule(named string) string {
	for i, r := range s.file.rules {
		if fmt.Sprintf("%d: %v", i+1, &r.Rule) == named {
			return " (" + strings.TrimPrefix(r.name+", "+r.place, ", ") + ")"
		}
	}
	return ""
}
