package nginxconf

import (
	"fmt"
	"slices"
)

// A flow follows the GET requests of one server from where visitors send them to each
// uwsgi_pass that they may reach: through the rewrite module, directives that may refuse
// them, try_files, handlers and error_page. It follows every way that it cannot exclude.
// It ignores other methods, since only GETs fill a cache.
type flow struct {
	b      *builder
	server *scope
	known  map[*scope]bool // the locations that requests reach
	budget *budget

	// Of one entry: where its request was, is now, and came around more than once.
	seen    map[entry]bool
	way     []entry
	onWay   map[entry]int // where in way
	circles map[entry]bool

	arrivals     []arrival // of one entry, in the order in which they were found
	lookups      []query   // likewise
	isSubrequest bool      // of the entry
	isPlain      bool      // other requests for the URL of the entry are looked up
	isBlind      bool      // nobody knows whether any request comes this way
}

// An entry is where a visit like others arrives: at a location, or at the server on its
// way to a target.
type entry struct {
	outline visit
	target  string
}

// A query is a visit whose lookup found nothing.
type query struct {
	visit
	isFirst bool // no other lookup came before
}

// A budget bounds the work of all flows of one server: it counts the directives that are
// run, and the locations that are compared with a path.
type budget struct{ locations, spent int }

// maxWork is a budget of about a second. A site needs some thousands for each location.
const maxWork = 2_000_000

func newBudget(server *scope) *budget {
	b := &budget{}
	server.walk(func(*scope) { b.locations++ })
	return b
}

// spend takes work off the budget, and reports whether any is left. Once there is none,
// some ways are not followed.
func (b *budget) spend(work int) bool {
	b.spent += work
	return !b.isSpent()
}

func (b *budget) isSpent() bool { return b.spent >= maxWork }

func newFlow(b *builder, server *scope, work *budget) *flow {
	return &flow{b: b, server: server, known: map[*scope]bool{}, budget: work}
}

// follow records the ways on which requests reach the passes of a server.
func (b *builder) follow(server *scope, work *budget) {
	f := newFlow(b, server, work)
	f.begin()
	f.beforeLocations()
	steps := f.rewritten(visit{at: server})
	elsewhere, here := f.leavers(steps), false
	for _, s := range steps {
		if s.to != nil && s.split != nil {
			continue
		}
		for _, location := range f.places(s) {
			f.begin()
			v := s.visit
			v.at = location
			f.enter(v)
			here = here || len(f.lookups) > 0
			f.end(s.split != nil && elsewhere)
		}
	}
	f.isPlain = here
	f.leavers(steps) // once more, with that known
	f.isPlain = false
	f.unknown()
}

// leavers follows requests that an `if` of the server rewrites, whose URLs may be those of
// any others. It reports whether they are looked up.
func (f *flow) leavers(steps []step) (areLookedUp bool) {
	for _, s := range steps {
		if s.to != nil && s.split != nil {
			f.begin()
			f.locate(s)
			areLookedUp = areLookedUp || len(f.lookups) > 0
			f.end(true)
		}
	}
	return areLookedUp
}

// giveUp records that not all ways of a server were followed, so nothing is proven.
func (b *builder) giveUp(server *scope) {
	b.config.Gaps = append(b.config.Gaps, Gap{Place: server.Place, Text: fmt.Sprintf("the locations of %s have too many ways from one to another", server)})
	for _, p := range b.config.Passes {
		if p.Server == server.asBlock() {
			p.Unasked = append(p.Unasked, Unasked{Sometimes: true})
		}
	}
	server.walk(func(s *scope) { b.visited[s] = true })
}

// unknown follows requests to locations that no directive leads to. An X-Accel-Redirect, a
// subrequest or a module may.
func (f *flow) unknown() {
	f.isBlind = true
	f.server.walk(func(l *scope) {
		if l.name != "location" || f.known[l] {
			return
		}
		f.begin()
		f.enter(visit{at: l, inside: true})
		f.end(l.match.isNamed())
	})
}

// places returns the locations that a request may reach after the server's own directives.
func (f *flow) places(s step) (locations []*scope) {
	if s.to != nil {
		return f.destinations(s.to.arg(1))
	}
	f.server.walk(func(l *scope) {
		if l.name == "location" && !l.match.isNamed() {
			locations = append(locations, l)
		}
	})
	return locations
}

// beforeLocations follows requests to which nginx or the server's own directives respond
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
	f.rewritten(visit{at: f.server}) // for the requests to which it responds
	f.end(true)
}

func (f *flow) begin() {
	f.seen, f.circles, f.way, f.onWay = map[entry]bool{}, map[entry]bool{}, nil, map[entry]int{}
	f.arrivals, f.lookups = nil, nil
}

// end records where the requests of an entry arrived. Sometimes is set if other requests
// for the same URL may have gone elsewhere.
func (f *flow) end(sometimes bool) {
	isPlain := f.isPlain || slices.ContainsFunc(f.lookups, func(q query) bool { return q.path == nil })
	for _, q := range f.lookups {
		l := q.asked
		l.compared(q.differs)
		l.isPlain = l.isPlain || q.path == nil
		if q.path != nil && q.path.name == "rewrite" && !slices.Contains(l.Rewrites, first(Text{}, q.path)) {
			l.Rewrites = append(l.Rewrites, first(Text{}, q.path))
		}
		if q.before != nil {
			l.Before = first(l.Before, q.before)
			l.IsConstant = l.IsConstant || isConstant(q.before)
		}
		if q.path != nil && isConstant(q.path) {
			l.OnePath = first(l.OnePath, q.path)
		}
		if isPlain && q.isFirst && q.path != nil && q.path.leadsElsewhere() {
			l.stray(q)
		}
	}
	for _, a := range f.arrivals {
		a.pass.arrive(a.visit, sometimes || len(f.lookups) > 0)
	}
	f.arrivals = nil
}

// leadsElsewhere reports whether a directive that changes the path redirects requests to
// another page. `rewrite … break` only gives the worker another path for the same page.
func (d *directive) leadsElsewhere() bool {
	return d.name != "index" && !isProgram(d.name) && !(d.name == "rewrite" && d.arg(2) == "break")
}
