package nginxconf

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A step is a visit within the rewrite module.
type step struct {
	visit
	isEnded bool       // no further directive of the block runs
	to      *directive // the rewrite that sends it to another location
}

// rewritten runs the directives of the rewrite module in the visit's scope, and returns
// the visits that go on, each once. It follows the requests to which they respond itself.
func (f *flow) rewritten(v visit) []step {
	return f.steps([]step{{visit: v}}, v.at.directive, v.at)
}

func (f *flow) steps(in []step, block *directive, at *scope) []step {
	for _, d := range block.rewrites() {
		if !d.isRewrite() {
			continue
		}
		var out []step
		seen := map[step]bool{}
		for _, s := range in {
			if !f.budget.spend(1) {
				return nil
			}
			after := []step{s}
			if !s.isEnded {
				after = f.step(s, d, at)
			}
			for _, s := range after {
				same := step{s.outline(), s.isEnded, s.to}
				if !seen[same] {
					seen[same] = true
					out = append(out, s)
				}
			}
		}
		in = out
	}
	return in
}

// step runs one directive.
func (f *flow) step(s step, d *directive, at *scope) []step {
	switch d.name {
	case "set":
		s.visit = f.set(s.visit, d)
	case "break":
		s.isEnded = true
		if at.server() != at {
			s.to = nil // ngx_http_script_break_code
		}
	case "return":
		f.returns(s.visit, d)
		return nil
	case "rewrite":
		return f.rewrite(s, d)
	case "if":
		return f.branch(s, d, at)
	}
	return []step{s}
}

// set records what a key is made from, and when.
func (f *flow) set(v visit, d *directive) visit {
	name := variableName(d.arg(0))
	v = v.sees(f.b.memoryOf(d.arg(1)))
	if name == "args" {
		v.args, v.recut = d, d
		if v.split != nil || !isMadeOfURI(d.arg(1)) {
			v.doubt = d
		}
	}
	if name == "args" || !f.b.inKeys[name] {
		return v
	}
	used := Variables(d.arg(1))
	switch {
	case v.asked != nil && (f.b.makesAnother(v.asked, d) || v.moved != nil && slices.Contains(used, "uri") || v.recut != nil && slices.ContainsFunc(used, IsArgs)):
		v.remade = d
	case v.asked != nil:
	case slices.Contains(used, "uri"):
		v.before, v.moved, v.isKeyed = v.path, nil, true
	}
	if v.asked == nil && slices.ContainsFunc(used, IsArgs) {
		v.recut, v.isKeyed = nil, true
	}
	return v
}

// makesAnother reports whether a `set` after the lookup gives a variable of the key
// another expression than before it.
func (b *builder) makesAnother(l *Lookup, d *directive) bool {
	same := Canonical(d.arg(1))
	if strings.EqualFold(d.arg(0), l.Key.Variable) {
		return same != Canonical(l.Key.Value)
	}
	return slices.ContainsFunc(b.defs.sets[variableName(d.arg(0))], func(other *directive) bool { return Canonical(other.arg(1)) != same })
}

// returns follows a return. With a text it is a response that no error_page changes,
// except for a redirect.
func (f *flow) returns(v visit, d *directive) {
	code, err := strconv.Atoi(d.arg(0))
	switch {
	case err != nil:
		f.fail(v, d, 302) // the URL alone
	case len(d.args) == 1 || code < 400:
		f.fail(v, d, code)
	}
}

func (f *flow) rewrite(s step, d *directive) (out []step) {
	met, isKnown := f.b.matches(d, s.uri)
	switch {
	case isKnown && !met:
		return []step{s}
	case !isKnown && !d.matchesAll():
		out = append(out, s)
	}
	flag := d.arg(2)
	if flag == "redirect" || flag == "permanent" || isElsewhere(d.arg(1)) {
		f.fail(s.visit, d, 301, 302)
		return out
	}
	s.visit = s.changed(d, d.arg(1))
	s.inside = true // ngx_http_script_regex_end_code
	s.isEnded = flag == "last" || flag == "break"
	s.to = d
	if flag == "break" && s.at.name != "server" {
		s.to = nil
	}
	return append(out, s)
}

// matches reports whether a rewrite takes a path. It is not known without a path, or if Go
// cannot read the regex.
func (b *builder) matches(d *directive, path string) (met, isKnown bool) {
	if path == "" {
		return false, false
	}
	re, known := b.regexes[d]
	if !known {
		re, _ = regexp.Compile(d.arg(0))
		b.regexes[d] = re
	}
	return re != nil && re.MatchString(path), re != nil
}

// isElsewhere reports whether a rewrite leads to a URL, so that it is a redirect.
func isElsewhere(replacement string) bool {
	return slices.ContainsFunc([]string{"http://", "https://", "$scheme"}, func(s string) bool { return strings.HasPrefix(replacement, s) })
}

// branch follows an `if`. GETs meet its condition, or do not, or it is not known.
func (f *flow) branch(s step, d *directive, at *scope) (out []step) {
	met, isKnown := MethodMeets("GET", strings.Join(d.args, " "))
	s.visit = s.sees(f.b.memoryOf(d.args...))
	split := s.split
	if !isKnown && d.decides() {
		split = d
	}
	if !isKnown || !met {
		other := s
		other.split = split
		out = append(out, other)
	}
	if !isKnown || met {
		s.split = split
		scope := at
		for _, inner := range at.inner {
			if inner.directive == d {
				scope, s.at = inner, inner
			}
		}
		out = append(out, f.steps([]step{s}, d, scope)...)
	}
	return out
}

// decides reports whether an `if` may change path or arguments, or keep other directives
// from changing them.
func (d *directive) decides() bool {
	return d.own("break") != nil || d.own("rewrite") != nil ||
		slices.ContainsFunc(d.own("set"), func(set *directive) bool { return variableName(set.arg(0)) == "args" })
}

// isConstant reports whether a directive gives many URLs one path.
func isConstant(d *directive) bool {
	target := d.arg(max(len(d.args)-1, 0))
	switch d.name {
	case "rewrite":
		target = d.arg(1)
		if !d.matchesAll() && !strings.ContainsAny(d.arg(0), ".*+[") {
			return false // of one URL
		}
	case "try_files", "error_page":
	default:
		return false // index.html
	}
	return !slices.ContainsFunc(Variables(target), func(name string) bool { return !IsArgs(name) })
}
