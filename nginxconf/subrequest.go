package nginxconf

import "slices"

// collectSubrequests finds the directives whose subrequests reach a lookup or a uwsgi_pass
// of the server. A subrequest has the $request_uri of its page.
func (b *builder) collectSubrequests(server *scope, work *budget) {
	collect := func(s *scope) {
		for _, d := range s.starters() {
			if starts := b.subrequests(server, s, d); starts != nil {
				b.addSubrequest(newFlow(b, server, work), d, starts)
			}
		}
	}
	collect(server.outer)
	server.walk(collect)
}

// starters returns the directives that may make subrequests. In a short block there may be
// others among them.
func (s *scope) starters() (ds []*directive) {
	if s.index == nil {
		return s.block
	}
	for _, name := range []string{"auth_request", "mirror", "add_before_body", "add_after_body", "ssi", "slice"} {
		ds = append(ds, s.own(name)...)
	}
	return ds
}

// subrequests returns a function that starts the subrequests of the directive in a flow.
// It is nil if the directive makes none.
func (b *builder) subrequests(server, s *scope, d *directive) func(*flow) {
	switch d.name {
	case "auth_request", "mirror", "add_before_body", "add_after_body":
		if d.arg(0) == "off" || d.arg(0) == "" {
			return nil
		}
		return func(f *flow) { f.redirect(visit{}, d.arg(0), d) }
	case "ssi":
		if d.arg(0) != "on" {
			return nil
		}
		return func(f *flow) { // to any URI
			server.walk(func(l *scope) {
				if l.name == "location" && !l.match.isNamed() {
					f.enter(visit{at: l, inside: true})
				}
			})
		}
	case "slice":
		if d.arg(0) == "0" || s.name != "location" {
			return nil
		}
		return func(f *flow) { f.enter(visit{at: s, inside: true}) }
	}
	return nil
}

func (b *builder) addSubrequest(f *flow, d *directive, starts func(*flow)) {
	f.begin()
	f.isSubrequest = true
	starts(f)
	sub := Subrequest{Text: first(Text{}, d), Kind: d.name}
	for _, q := range f.lookups {
		if !slices.Contains(sub.Lookups, q.asked) {
			sub.Lookups = append(sub.Lookups, q.asked)
		}
	}
	for _, a := range f.arrivals {
		if !slices.Contains(sub.Passes, a.pass) {
			sub.Passes = append(sub.Passes, a.pass)
		}
	}
	if len(sub.Lookups)+len(sub.Passes) > 0 {
		b.config.Subrequests = append(b.config.Subrequests, sub)
	}
}
