package nginxconf

import (
	"slices"
)

// A flow follows the GET requests of one server, from where visitors send them to each
// uwsgi_pass that they may reach: through the rewrite module, whatever may refuse them,
// try_files, the handler and error_page. It takes every way that it cannot exclude.
// Only GETs matter, since nothing else fills the cache.
type flow struct {
	b      *builder
	server *scope
	known  map[*scope]bool // the locations that requests come to
	budget *budget
	seen   map[visit]bool // outlines, of one entry

	arrivals []arrival // of one entry, in the order in which they were found
	lookups  []visit   // that have just been looked up, in vain
}

// A budget bounds the work of all flows of one server: the directives that are run, and
// the locations that are compared with a path.
type budget struct{ locations, spent int }

// maxWork is a budget. It takes about a second. A site needs some thousands a location.
const maxWork = 2_000_000

func newBudget(server *scope) *budget {
	b := &budget{}
	server.walk(func(*scope) { b.locations++ })
	return b
}

// spend reports whether there is still work to be had. Once there is none, not all
// ways are followed.
func (b *budget) spend(work int) bool {
	b.spent += work
	return !b.isSpent()
}

func (b *budget) isSpent() bool { return b.spent >= maxWork }

func newFlow(b *builder, server *scope, work *budget) *flow {
	return &flow{b: b, server: server, known: map[*scope]bool{}, budget: work}
}

// follow takes note of the ways on which requests come to the server's passes.
func (b *builder) follow(server *scope, work *budget) {
	f := newFlow(b, server, work)
	f.begin()
	f.beforeLocations()
	for _, s := range f.rewritten(visit{at: server}) {
		if s.to != nil && s.split != nil {
			f.begin()
			f.locate(s)
			f.end(true)
			continue
		}
		for _, location := range f.places(s) {
			f.begin()
			v := s.visit
			v.at = location
			f.enter(v)
			f.end(false)
		}
	}
	f.unknown()
}

// giveUp takes note that not all ways in a server were followed: nothing is proven then.
func (b *builder) giveUp(server *scope) {
	b.gap(server.directive, "the locations of %s have too many ways from one to another", server)
	for _, p := range b.config.Passes {
		if p.Server == server.asBlock() {
			p.Unasked = append(p.Unasked, Unasked{Sometimes: true})
		}
	}
}

// unknown is about locations to which nothing that was read leads. A response's
// X-Accel-Redirect, a subrequest or a module may.
func (f *flow) unknown() {
	f.server.walk(func(l *scope) {
		if l.name != "location" || f.known[l] {
			return
		}
		f.begin()
		f.enter(visit{at: l, inside: true})
		f.end(l.matcher().isNamed())
	})
}

// places are the locations that a request may come to after the server's own
// directives.
func (f *flow) places(s step) (locations []*scope) {
	if s.to != nil {
		return f.destinations(s.to.arg(1))
	}
	f.server.walk(func(l *scope) {
		if l.name == "location" && !l.matcher().isNamed() {
			locations = append(locations, l)
		}
	})
	return locations
}

// beforeLocations is about requests that nginx or the server's own directives answer
// before there is a location.
func (f *flow) beforeLocations() {
	if d := f.server.find("ssl_verify_client"); d != nil && d.arg(0) != "off" {
		f.fail(visit{at: f.server}, d, 495, 496)
	}
	for _, d := range f.server.own("listen") {
		if slices.Contains(d.args, "ssl") {
			f.fail(visit{at: f.server}, d, 497)
			break
		}
	}
	f.rewritten(visit{at: f.server}) // for those that it answers
	f.end(true)
}

func (f *flow) begin() { f.seen, f.arrivals, f.lookups = map[visit]bool{}, nil, nil }

// end takes note of where the requests of an entry have come. Sometimes is set if
// others of the same URL may have gone elsewhere.
func (f *flow) end(sometimes bool) {
	for _, v := range f.lookups {
		if l := v.asked; v.before != nil {
			l.Before = first(l.Before, v.before)
			l.IsConstant = l.IsConstant || isConstant(v.before)
		}
	}
	for _, a := range f.arrivals {
		a.pass.arrive(a.visit, sometimes || len(f.lookups) > 0)
	}
	f.arrivals = nil
}
