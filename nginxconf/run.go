package nginxconf

import (
	"maps"
	"slices"
)

// A Run is one of the ways on which GETs pass the rewrite module to the location of a
// lookup.
type Run struct {
	IsAsked bool   // the request is looked up
	Key     string // what nginx then asks memcached for, expanded

	// Left is the directive that ends the way before the lookup, such as `return 301`. Zero:
	// nginx looks for a file. If is the condition of the `if` around it; zero: there is none.
	Left, If Text

	// Assumed are the conditions that could not be evaluated. Other runs assume otherwise.
	Assumed []Assumption

	left   *directive
	around *scope // the block of left
	key    Expression
	facts  facts
	end    running // of a request that is looked up
}

// An Assumption is a condition that a run meets, or does not.
type Assumption struct {
	Text        // the condition
	On   string // what it tests, expanded
	Met  bool
}

// maxRuns is how many runs are followed at a time. Each `if` can double them.
const maxRuns = 256

// Runs returns the ways to a lookup. Known returns the values of the variables that are
// known, by their names in lower case; nil: of none. Of the others each value is possible.
// It is not ok if there are too many ways.
func (c *Config) Runs(l *Lookup, known func(variable string) (value string, ok bool)) (runs []Run, ok bool) {
	for _, from := range l.ways {
		r := runner{defs: c.defs, known: known, lookup: l}
		some, ok := r.run(l.scope, from)
		if !ok {
			return nil, false
		}
		runs = append(runs, some...)
	}
	return runs, true
}

// A runner runs the directives of the rewrite module. Unlike a rewriting it follows each
// way on its own.
type runner struct {
	defs   *definitions
	known  func(variable string) (value string, ok bool)
	lookup *Lookup
	isOver bool // there were too many ways
}

// A running is a request within the rewrite module.
type running struct {
	vars    map[string]Expression // that `set` or a capture has made
	facts   facts
	assumed []Assumption
	at      *scope // the location, or the `if` in it
	isEnded bool
	sent    *directive // the rewrite that sends it to another location
	left    *directive // what ends its way
	around  *scope     // the location of left, or the `if` in it, or the server
	branch  *directive // the `if` that it is in; nil: in none
}

// run returns the ways to the scope of a lookup: those that come from another location, if
// there is one.
func (r *runner) run(s, from *scope) ([]Run, bool) {
	server := s.server()
	all := r.steps([]running{{at: server}}, server.directive, server)
	if from != nil {
		all = r.location(all, from)
		for i := range all {
			if w := &all[i]; w.left != nil && r.leadsTo(w, s.location()) {
				w.left, w.sent = nil, nil
			}
		}
	}
	all = r.location(all, s.location())
	var runs []Run
	for _, w := range all {
		runs = append(runs, r.arrive(w, s)...)
	}
	return runs, !r.isOver
}

// leadsTo reports whether an error_page leads from a `return` to the location.
func (r *runner) leadsTo(w *running, to *scope) bool {
	ds, _ := w.around.inForce("error_page")
	return w.left.name == "return" && slices.ContainsFunc(ds, func(d *directive) bool {
		return slices.Contains(d.args, w.left.arg(0)) && slices.ContainsFunc(r.defs.targets(d.arg(len(d.args)-1)), func(target string) bool { return w.around.target(target) == to })
	})
}

// location runs a location's own directives.
func (r *runner) location(in []running, s *scope) []running {
	for i := range in {
		if in[i].left == nil {
			in[i].at, in[i].isEnded, in[i].sent = s, false, nil
		}
	}
	out := r.steps(in, s.directive, s)
	for i := range out {
		if w := &out[i]; w.left == nil && w.sent != nil {
			w.left, w.around = w.sent, s
		}
	}
	return out
}

func (r *runner) steps(in []running, block *directive, at *scope) []running {
	for _, d := range block.rewrites() {
		switch d.name {
		case "set", "break", "return", "rewrite", "if":
		default:
			continue
		}
		var out []running
		for _, w := range in {
			if w.left != nil || w.isEnded {
				out = append(out, w)
				continue
			}
			out = append(out, r.step(w, d, at)...)
		}
		if in = out; len(in) > maxRuns {
			r.isOver = true
			return nil
		}
	}
	return in
}

// step runs one directive.
func (r *runner) step(w running, d *directive, at *scope) []running {
	switch d.name {
	case "set":
		r.set(&w, d)
	case "break":
		w.isEnded = true
		if at.server() != at {
			w.sent = nil
		}
	case "return":
		w.left, w.around = d, at
	case "rewrite":
		return r.rewrite(w, d, at)
	case "if":
		return r.branch(w, d, at)
	}
	return []running{w}
}

// set runs a `set`. Of arguments that are replaced nothing is known.
func (r *runner) set(w *running, d *directive) {
	name := variableName(d.arg(0))
	if name != "args" {
		w.set(name, r.expand(*w, ParseExpression(d.arg(1)), maxMaps))
		return
	}
	w.facts = slices.DeleteFunc(slices.Clone(w.facts), func(f fact) bool {
		return slices.ContainsFunc(Variables(f.subject), IsArgs)
	})
}

// set gives a variable a value. Other runs keep theirs.
func (w *running) set(name string, value Expression) {
	w.vars = maps.Clone(w.vars)
	if w.vars == nil {
		w.vars = map[string]Expression{}
	}
	w.vars[name] = value
}

func (r *runner) rewrite(w running, d *directive, at *scope) (out []running) {
	if !d.matchesAll() {
		other := w
		other.assumed = append(slices.Clip(w.assumed), Assumption{Text: Text{d.Place, d.arg(0)}, On: "$uri"})
		out = append(out, other)
		w.assumed = append(slices.Clip(w.assumed), Assumption{Text: Text{d.Place, d.arg(0)}, On: "$uri", Met: true})
	}
	flag := d.arg(2)
	switch {
	case flag == "redirect", flag == "permanent", isElsewhere(d.arg(1)):
		w.left, w.around = d, at
	case at.server() == at:
		w.isEnded = flag != ""
	case flag == "break":
		w.isEnded, w.sent = true, nil
	default:
		w.isEnded, w.sent = flag == "last", d
	}
	return append(out, w)
}

// branch runs an `if`. If its condition cannot be evaluated, there is a way for each result.
func (r *runner) branch(w running, d *directive, at *scope) (out []running) {
	c := r.condition(w, d.args)
	met, isKnown := c.evaluate(w.facts)
	if !isKnown {
		other := w.assuming(c, d, false)
		out = append(out, other)
		w, met = w.assuming(c, d, true), true
	}
	if !met {
		return append(out, w)
	}
	for name, value := range c.captured() {
		w.set(name, Expression{{Text: value}})
	}
	scope := at
	for _, inner := range at.inner {
		if inner.directive == d {
			scope, w.at = inner, inner
		}
	}
	w.branch = d
	for _, w := range r.steps([]running{w}, d, scope) {
		if w.left == nil {
			w.branch = nil
		}
		out = append(out, w)
	}
	return out
}

// assuming adds an assumption about the condition of an `if`.
func (w running) assuming(c condition, d *directive, met bool) running {
	w.facts = append(slices.Clip(w.facts), fact{c, met})
	w.assumed = append(slices.Clip(w.assumed), Assumption{Text: d.bare(), On: c.subject, Met: met})
	return w
}

// arrive returns the ends of a way: at the lookup, or before it.
func (r *runner) arrive(w running, s *scope) []Run {
	run := Run{left: w.left, Assumed: w.assumed, facts: w.facts}
	if w.left == nil && r.isAsked(w, s) {
		run.IsAsked, run.key = true, r.keyOf(w)
		run.Key, run.end = run.key.String(), w
		return r.skips(w, run)
	}
	if w.left == nil {
		run.left, w.around = handlerOf(w.at), w.at
	}
	run.Left, run.around = first(Text{}, run.left), w.around
	switch {
	case w.branch != nil:
		run.If = w.branch.bare()
	case w.around != nil:
		run.If = w.around.condition()
	}
	return []Run{run}
}

// isAsked reports whether the requests reach the lookup after the rewrite module.
func (r *runner) isAsked(w running, s *scope) bool {
	if r.lookup.Srcache {
		return w.at.find("srcache_fetch") != nil && (w.at == s || w.at.location() == s.location() && s.name == "location")
	}
	h := handlerOf(w.at)
	return h != nil && h.Place == r.lookup.Place
}

// handlerOf returns the handler of a location, or of an `if` in it.
func handlerOf(s *scope) *directive {
	if h := s.handler(); h != nil {
		return h
	}
	return s.location().handler()
}

// keyOf returns what the lookup asks for.
func (r *runner) keyOf(w running) Expression {
	key := r.lookup.Key
	switch {
	case !key.Asked.IsZero():
		return r.expand(w, ParseExpression(key.Asked.Value), maxMaps)
	case r.lookup.Srcache && r.lookup.fetch != nil:
		return r.expand(w, ParseExpression(r.lookup.fetch.arg(2)), maxMaps)
	}
	return r.value(w, "memcached_key", maxMaps)
}

// skips evaluates srcache_fetch_skip.
func (r *runner) skips(w running, run Run) []Run {
	skip := r.lookup.Skip
	if skip.Value == "" {
		return []Run{run}
	}
	c := r.test(w, skip.Value)
	away := run
	away.IsAsked, away.Left, away.key, away.Key = false, skip, nil, ""
	switch met, isKnown := c.evaluate(w.facts); {
	case isKnown && met:
		return []Run{away}
	case isKnown:
		return []Run{run}
	}
	assume := func(met bool) []Assumption {
		return append(slices.Clip(run.Assumed), Assumption{Text: skip, On: c.subject, Met: met})
	}
	run.Assumed, away.Assumed = assume(false), assume(true)
	run.facts = append(slices.Clip(run.facts), fact{c, false})
	return []Run{run, away}
}

// expand replaces variables by their values, as far as these are known.
func (r *runner) expand(w running, e Expression, depth int) (all Expression) {
	size := 0
	for _, p := range e {
		value := Expression{p}
		if p.IsVariable {
			value = r.value(w, p.Text, depth)
		}
		if size += len(value.String()); size > maxExpansion {
			value = Expression{p}
		}
		all = append(all, value...)
	}
	return all
}

// value returns what a variable holds, or the variable itself.
func (r *runner) value(w running, name string, depth int) Expression {
	lower := Lower(name)
	if value, ok := w.vars[lower]; ok {
		return value
	}
	if r.known != nil {
		if value, ok := r.known(lower); ok {
			return literal(value)
		}
	}
	if value, ok := map[string]string{"request_method": "GET", "scheme": r.lookup.OnlyScheme()}[lower]; ok && value != "" {
		return literal(value)
	}
	made, ok := r.defs.other[lower]
	switch {
	case ok && made.Kind == "map" && depth > 0:
		source, isKnown := r.expand(w, ParseExpression(made.Value), depth-1).constant()
		if result, found := r.defs.mapOf(made.by, source); isKnown && found {
			return r.expand(w, ParseExpression(result), depth-1)
		}
	case ok, isCapture(name), isOwn(lower) && !isSetOnly(lower):
	case r.defs.sets[lower] != nil, isSetOnly(lower):
		return nil // not set on this way: empty
	}
	return Expression{{name, true}}
}

// isSetOnly reports whether a variable of nginx's own has no value before `set` gives it one.
func isSetOnly(name string) bool { return name == "memcached_key" || name == "memc_key" }

func literal(value string) Expression {
	if value == "" {
		return nil
	}
	return Expression{{Text: value}}
}

// constant returns the text of an expression without variables.
func (e Expression) constant() (text string, ok bool) {
	for _, p := range e {
		if p.IsVariable {
			return "", false
		}
		text += p.Text
	}
	return text, true
}

// OnlyScheme returns the scheme of all requests to the server block, http or https; "" if
// there are both.
func (l *Lookup) OnlyScheme() (scheme string) {
	for _, listen := range l.Listens {
		own := "http"
		if listen.TLS {
			own = "https"
		}
		if scheme != "" && scheme != own {
			return ""
		}
		scheme = own
	}
	return scheme
}
