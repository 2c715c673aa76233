package nginxconf

import "slices"

// collectPasses makes the Passes of a server's scopes, in the order of their places.
func (b *builder) collectPasses(s *scope) {
	for d, inner := range s.parts() {
		if d.name == "uwsgi_pass" {
			b.passes[d] = b.newPass(s, d)
			b.config.Passes = append(b.config.Passes, b.passes[d])
		}
		if inner != nil {
			b.collectPasses(inner)
		}
	}
}

func (b *builder) newPass(s *scope, d *directive) *Pass {
	p := &Pass{
		Place:    d.Place,
		Server:   s.server().asBlock(),
		Location: s.location().asBlock(),
		If:       s.condition(),
		Upstream: b.upstreams.of(d),
		Ignored:  s.find("uwsgi_ignore_headers").ignored(),
		Programs: programTexts(s.programs()),
		Guards:   s.guards(),
	}
	params, lost := s.inForce("uwsgi_param")
	p.Params, p.ParamsLost = newParams(params), newParams(lost)
	b.findSets(s, p.Params)
	return p
}

func newParams(ds []*directive) []Param {
	var params []Param
	for _, d := range ds {
		params = append(params, Param{Place: d.Place, Name: d.arg(0), Value: d.arg(1), IfNotEmpty: d.arg(2) == "if_not_empty"})
	}
	return params
}

// findSets records where the variables of params are set for requests without a lookup.
func (b *builder) findSets(s *scope, params []Param) {
	if s.find("srcache_fetch") != nil {
		return
	}
	ways := slices.DeleteFunc(b.ways(s), func(w way) bool { return w.from != nil && w.from.last("memcached_pass") != nil })
	for i, p := range params {
		if name, ok := ParseExpression(p.Value).alone(); ok {
			params[i].Set = setOn(ways, name)
		}
	}
}

// setOn returns the first `set` that gives the variable a value on one of the ways.
func setOn(ways []way, name string) Place {
	for _, w := range ways {
		v := w.vars[name]
		switch {
		case v == nil:
		case v.doubt.by != nil && !v.never && len(v.doubt.value) > 0:
			return v.doubt.by.Place
		case len(v.sure.value) > 0:
			return v.sure.by.Place
		}
	}
	return Place{}
}

// arrive records a way on which GETs reach the pass. Sometimes is set if other requests
// for the same URL may be looked up.
func (p *Pass) arrive(v visit, sometimes bool) {
	p.Rewritten, p.Doubtful = first(first(p.Rewritten, v.path), v.args), first(p.Doubtful, v.doubt)
	if l := v.asked; l != nil {
		l.Moved, l.Recut = first(l.Moved, v.moved), first(l.Recut, v.recut)
		l.Remade = first(l.Remade, v.remade)
		return
	}
	u := Unasked{first(Text{}, v.by), sometimes || v.path != nil}
	if !slices.Contains(p.Unasked, u) {
		p.Unasked = append(p.Unasked, u)
	}
}

// ignored returns the headers of a uwsgi_ignore_headers.
func (d *directive) ignored() []string {
	if d == nil {
		return nil
	}
	return d.args
}
