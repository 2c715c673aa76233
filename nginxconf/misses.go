package nginxconf

// A Miss is one of the ways on which requests come from a lookup to the uwsgi_pass of its
// misses.
type Miss struct {
	Key string // what nginx has asked memcached for, expanded

	// Assumed are the conditions that could not be evaluated. Other ways assume otherwise.
	Assumed []Assumption

	by        *runner
	asked, at running // at the lookup, and at the uwsgi_pass
}

// Misses returns the ways of the misses of a lookup. Known is as for Runs. It is not ok if
// there are too many ways.
func (c *Config) Misses(l *Lookup, known func(variable string) (value string, ok bool)) (all []Miss, ok bool) {
	r := &runner{defs: c.defs, known: known, lookup: l}
	for _, from := range l.ways {
		runs, ok := r.run(l.scope, from)
		if !ok {
			return nil, false
		}
		for _, run := range runs {
			if run.IsAsked {
				all = append(all, r.misses(run)...)
			}
		}
	}
	return all, !r.isOver
}

// misses follows a request that was looked up.
func (r *runner) misses(run Run) (all []Miss) {
	ends := []running{run.end}
	if to := r.lookup.missesTo(); to != nil {
		ends = r.location(ends, to)
	}
	for _, w := range ends {
		all = append(all, Miss{run.Key, w.assumed, r, run.end, w})
	}
	return all
}

// missesTo returns the location to which misses are sent. Nil: they stay.
func (l *Lookup) missesTo() *scope {
	own := l.scope.location()
	if l.Misses == nil || l.Misses.Location.Place == own.Place {
		return nil
	}
	return l.scope.server().within(l.Misses.Location.Place)
}

// within returns the scope whose block is there, or nil.
func (s *scope) within(at Place) *scope {
	if s.Place == at {
		return s
	}
	for _, inner := range s.inner {
		if found := inner.within(at); found != nil {
			return found
		}
	}
	return nil
}

// Value returns what an expression has at the uwsgi_pass. Variables whose values cannot be
// known are left in it.
func (m Miss) Value(expression string) string {
	return m.by.expand(m.at, ParseExpression(expression), maxMaps).String()
}

// IsSetLater reports whether an expression changes between the lookup and the uwsgi_pass.
func (m Miss) IsSetLater(expression string) bool {
	return m.by.expand(m.asked, ParseExpression(expression), maxMaps).String() != m.Value(expression)
}
