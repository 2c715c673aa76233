package nginxconf

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A rewriting is what the directives of the rewrite module make of variables, in nginx's
// order (ngx_http_rewrite_handler).
type rewriting struct {
	defs  *definitions
	vars  map[string]*assigned // by their names in lower case
	taken *directive           // the `if` whose condition is met; of others it is not known

	fetch *directive // of whose subrequest it is; nil: of none
	args  Expression // of the subrequest

	regex    *directive // the last one that can have made captures
	end      *directive // what ends the directives of this block for all requests
	someEnds *directive // what ends them for some that stay in the location
}

// An assigned is what `set` made of a variable.
type assigned struct {
	sure  setting // the last set that all requests pass; its zero value if there is none
	doubt setting // a later one that not all requests pass
	why   string  // why they do not pass it
	never bool    // no request passes it

	several bool // other sets before doubt are not passed by all requests either
}

type setting struct {
	by     *directive
	value  Expression
	opaque []Variable // of value
}

// maxExpansion is how many bytes of values are put into another one: `set` can double a
// value any number of times. A key has at most 250 bytes.
const maxExpansion = 16 << 10

func newRewriting(defs *definitions) *rewriting {
	return &rewriting{defs: defs, vars: map[string]*assigned{}}
}

// run runs the directives of a server, and later those of a location. What ended the
// former does not end the latter.
func (r *rewriting) run(block *directive) {
	r.end, r.someEnds = nil, nil
	if block.name == "location" && block.matcher().isRegex() {
		r.regex = block
	}
	r.steps(block, nil)
}

// steps runs the directives of a block. Branch is an `if` around it that only some
// requests enter.
func (r *rewriting) steps(block, branch *directive) {
	for _, d := range block.rewrites() {
		switch d.name {
		case "set":
			r.set(d, branch)
		case "if":
			r.enter(d)
		case "break", "return":
			r.ends(d, branch)
		case "rewrite":
			r.rewrite(d, branch)
		}
	}
}

// enter runs an `if`. Requests that leave the location in it are ignored.
func (r *rewriting) enter(d *directive) {
	if d != r.taken && d.leaves() {
		if name, ok := d.meetsEmpty(); ok && r.end == nil && r.someEnds == nil {
			r.keep(variableName(name))
		}
		return
	}
	if slices.ContainsFunc(d.args, func(arg string) bool { return strings.HasPrefix(strings.TrimPrefix(arg, "!"), "~") }) {
		r.regex = d
	}
	if d == r.taken {
		r.steps(d, nil)
		return
	}
	r.steps(d, d)
}

// emptyCondition matches the words of `if ($name = "")`.
var emptyCondition = regexp.MustCompile(`^\(\s*\$(\w+)\s*=\s*\)$`)

// meetsEmpty returns the variable whose value is empty in requests that enter the `if`.
func (d *directive) meetsEmpty() (name string, ok bool) {
	m := emptyCondition.FindStringSubmatch(strings.Join(d.args, " "))
	if m == nil {
		return "", false
	}
	return m[1], true
}

// keep goes on with the requests for which the variable is not empty.
func (r *rewriting) keep(name string) {
	v := r.vars[name]
	if v == nil || len(v.sure.value) > 0 || v.doubt.by == nil || v.never {
		return
	}
	v.sure = v.doubt
	if !v.several {
		v.doubt = setting{}
	}
}

// leaves reports whether requests that enter the `if` get their response there, or leave
// the location.
func (d *directive) leaves() bool {
	return d.own("return") != nil || d.handler() != nil || slices.ContainsFunc(d.own("rewrite"), (*directive).redirects)
}

// redirects reports whether a rewrite sends all requests to another location.
func (d *directive) redirects() bool {
	elsewhere := d.arg(2)
	if strings.HasPrefix(d.arg(1), "http://") || strings.HasPrefix(d.arg(1), "https://") || strings.HasPrefix(d.arg(1), "$scheme") {
		elsewhere = "redirect"
	}
	return d.matchesAll() && elsewhere != "" && elsewhere != "break"
}

func (d *directive) matchesAll() bool {
	return slices.Contains([]string{"^", ".*", "^.*", "^.*$", "^(.*)$", "(.*)", "^/"}, d.arg(0))
}

// ends records that no directive after d runs. If d stands in a branch, that holds for
// some requests.
func (r *rewriting) ends(d, branch *directive) {
	switch {
	case branch != nil:
		r.someEnds = d
	case r.end == nil:
		r.end = d
	}
}

// rewrite runs a rewrite. With the flag break no further directive runs. With other flags,
// a request that matches leaves the location.
func (r *rewriting) rewrite(d, branch *directive) {
	r.regex = d
	isBreak := d.arg(2) == "break"
	switch {
	case isBreak && d.matchesAll(), d.redirects():
		r.ends(d, branch)
	case isBreak:
		r.someEnds = d
	}
}

func (r *rewriting) set(d, branch *directive) {
	value, opaque := r.expand(ParseExpression(d.arg(1)))
	s := setting{d, value, opaque}
	name := variableName(d.arg(0))
	v := r.vars[name]
	if v == nil {
		v = &assigned{}
		r.vars[name] = v
	}
	switch {
	case r.end != nil && v.doubt.by != nil:
	case r.end != nil:
		v.doubt, v.never = s, true
		v.why = fmt.Sprintf("stands after %s, and so never runs", r.end.seenFrom(d))
	case branch != nil:
		v.several = v.doubt.by != nil
		v.doubt, v.never = s, false
		v.why = fmt.Sprintf("stands in %s, and so runs for some requests only", branch.seenFrom(d))
	case r.someEnds != nil:
		v.several = v.doubt.by != nil
		v.doubt, v.never = s, false
		v.why = fmt.Sprintf("stands after %s, and so does not run for all requests", r.someEnds.seenFrom(d))
	default:
		*v = assigned{sure: s}
	}
}

// expand replaces variables by their values. Those left are nginx's own, or opaque.
func (r *rewriting) expand(e Expression) (expanded Expression, opaque []Variable) {
	size := 0
	for _, p := range e {
		if !p.IsVariable {
			expanded = append(expanded, p)
			continue
		}
		value, more := r.value(p.Text)
		if size += len(value.String()); size > maxExpansion {
			value, more = Expression{p}, []Variable{{Name: "$" + p.Text, Kind: "set"}}
		}
		expanded = append(expanded, value...)
		opaque = addOpaque(opaque, more)
	}
	return expanded, opaque
}

func addOpaque(all, more []Variable) []Variable {
	for _, v := range more {
		if !slices.ContainsFunc(all, func(o Variable) bool { return strings.EqualFold(o.Name, v.Name) }) {
			all = append(all, v)
		}
	}
	return all
}

// value returns what a variable holds now. That is the variable itself, if it is nginx's
// own or opaque.
func (r *rewriting) value(name string) (Expression, []Variable) {
	lower := Lower(name)
	itself := Expression{{name, true}}
	v := r.vars[lower]
	if args := r.vars["args"]; args != nil && IsArgs(lower) {
		// `set $args` has replaced the value that came in.
		by := cmp.Or(args.doubt.by, args.sure.by)
		return itself, []Variable{{by.Place, "$" + name, "set", by.arg(1)}}
	}
	switch {
	case v != nil && v.doubt.by != nil && !v.never:
		return itself, []Variable{{v.doubt.by.Place, "$" + name, "set", v.doubt.by.arg(1)}}
	case v != nil && v.sure.by != nil:
		return v.sure.value, v.sure.opaque
	}
	if value, ok := r.inSubrequest(lower); ok {
		return value, nil
	}
	if r.captures(lower) {
		return itself, []Variable{r.capture(name)}
	}
	if made, ok := r.defs.other[lower]; ok {
		return itself, []Variable{{made.Place, "$" + name, made.Kind, made.Value}}
	}
	switch {
	case isCapture(name):
		return itself, []Variable{r.capture(name)}
	case isOwn(lower):
		return itself, nil
	case r.defs.sets[lower] != nil:
		return nil, nil // not set on this way: empty
	}
	return itself, []Variable{{Name: "$" + name, Kind: "unknown"}}
}

// captures reports whether the last regex captures something by that name. Several regexes can
// have one name.
func (r *rewriting) captures(name string) bool {
	return r.regex != nil && r.defs.other[name].Kind == "capture" && slices.ContainsFunc(r.regex.args, func(arg string) bool {
		return slices.ContainsFunc(namedCapture.FindAllStringSubmatch(arg, -1), func(m []string) bool { return Lower(m[1]) == name })
	})
}

func (r *rewriting) capture(name string) Variable {
	v := Variable{Name: "$" + name, Kind: "capture"}
	if r.regex != nil {
		v.Place, v.Value = r.regex.Place, strings.Join(r.regex.args, " ")
	}
	return v
}

// key returns the key that a module takes from the variable. The name is in lower case and
// has no dollar sign.
func (r *rewriting) key(variable string) Key {
	k := Key{Variable: "$" + variable}
	v := r.vars[variable]
	if v == nil {
		return r.keyWithoutSet(k, variable)
	}
	s := v.sure
	if v.doubt.by != nil {
		why := fmt.Sprintf("%s of %s %s", v.doubt.by, v.doubt.by.Place, v.why)
		switch {
		case len(s.value) == 0:
			k.Late = why
			s = v.doubt // the key that was meant
		case !v.never:
			k.Varies = why
		}
	}
	k.Text = Text{s.by.Place, s.by.arg(1)}
	k.Expanded, k.Opaque = s.value.String(), s.opaque
	return k
}

// keyWithoutSet returns the key if no `set` defines the variable, but for example a map.
func (r *rewriting) keyWithoutSet(k Key, variable string) Key {
	made, ok := r.defs.other[variable]
	if !ok {
		k.Late = fmt.Sprintf("no `set %s` runs here", k.Variable)
		return k
	}
	value, opaque := r.value(variable)
	k.Text = Text{made.Place, k.Variable}
	k.Expanded, k.Opaque = value.String(), opaque
	return k
}
