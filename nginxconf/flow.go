package nginxconf

import (
	"slices"
	"strconv"
	"strings"
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
	seen   map[sight]bool // of one entry

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

// A visit is a request on its way, with what has happened to it so far.
type visit struct {
	at    *scope     // the location, or the `if` in it; the server, if it has no location yet
	asked *Lookup    // that did not find the page, with no other answer since; nil: none
	by    *directive // what sent the request on without a lookup; nil: nothing did

	path, args   *directive // what changed them last; nil: nothing has
	moved, recut *directive // what changed them since the key was made, or since the lookup
	before       *directive // what had changed the path when the key was made
	remade       *directive // the `set` that has made another key since the lookup
	isKeyed      bool       // a `set` has made the key

	doubt    *directive // what changed them for some requests for a URL, and not for others
	split    *directive // what only some requests for a URL pass; nil: all come this way
	refused  *Pass      // that could not be reached; nil: none
	inside   bool       // nginx has sent it on, so that internal locations take it
	isFailed bool       // no further error_page counts
}

// A sight is what visits must have in common to be followed once.
type sight struct {
	at                                                                                     *scope
	asked                                                                                  *Lookup
	refused                                                                                *Pass
	by, path, args, moved, recut, before, isKeyed, remade, doubt, split, inside, hasFailed bool
}

func (v visit) sight() sight {
	return sight{v.at, v.asked, v.refused, v.by != nil, v.path != nil, v.args != nil, v.moved != nil, v.recut != nil, v.before != nil, v.isKeyed, v.remade != nil,
		v.doubt != nil, v.split != nil, v.inside, v.isFailed}
}

func newFlow(b *builder, server *scope, work *budget) *flow {
	return &flow{b: b, server: server, known: map[*scope]bool{}, budget: work}
}

// An arrival is a visit that has come to a uwsgi_pass.
type arrival struct {
	visit
	pass *Pass
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

func (f *flow) begin() { f.seen, f.arrivals, f.lookups = map[sight]bool{}, nil, nil }

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

// enter is about a request that comes to a location.
func (f *flow) enter(v visit) {
	if v.at == nil || f.seen[v.sight()] || !f.budget.spend(1) {
		return
	}
	f.seen[v.sight()] = true
	if d := v.at.find("internal"); d != nil && !v.inside {
		f.fail(v, d, 404)
		return
	}
	f.known[v.at] = true
	for _, s := range f.rewritten(v) {
		if s.to != nil {
			f.locate(s)
		} else {
			f.serve(s.visit)
		}
	}
}

// locate is about a request whose path a rewrite has changed: it has another location.
func (f *flow) locate(s step) {
	for _, location := range f.destinations(s.to.arg(1)) {
		v := s.visit
		v.at, v.inside = location, true
		f.enter(v)
	}
}

// redirect is about an internal redirect to a named location, or to a URI, for which the
// server's own directives run once more.
func (f *flow) redirect(v visit, target string, by *directive) {
	v.inside = true
	if strings.HasPrefix(target, "@") {
		v.at = f.server.named(target)
		f.enter(v)
		return
	}
	if !strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "$") {
		return // to another site
	}
	v.at = f.server
	v = v.changed(by, target)
	if !keepsArgs(target) {
		v.args, v.recut = by, by
	}
	for _, s := range f.rewritten(v) {
		if s.to != nil {
			f.locate(s)
			continue
		}
		for _, location := range f.destinations(target) {
			v := s.visit
			v.at = location
			f.enter(v)
		}
	}
}

// destinations are the locations that may take a path with variables.
func (f *flow) destinations(target string) (locations []*scope) {
	if !f.budget.spend(f.budget.locations) {
		return nil
	}
	path, _, _ := strings.Cut(target, "?")
	prefix, _, isOpen := strings.Cut(path, "$")
	if !isOpen {
		if l := f.server.locate(path); l != nil {
			locations = append(locations, l)
		}
		return locations
	}
	first := f.server.locate(prefix)
	f.server.walk(func(l *scope) {
		m := l.matcher()
		if l.name != "location" || m.isNamed() {
			return
		}
		if l == first || m.isRegex() || strings.HasPrefix(m.path, prefix) {
			locations = append(locations, l)
		}
	})
	return locations
}

// changed is the visit with another path, made by d.
func (v visit) changed(d *directive, target string) visit {
	v.path, v.moved = d, d
	if strings.Contains(target, "?") && !keepsArgs(target) {
		v.args, v.recut = d, d
	}
	if v.split != nil || d.name == "error_page" || !isMadeOfURI(target) {
		v.doubt = d
	}
	return v
}

// keepsArgs reports whether the target of an internal redirect has the arguments that
// came in, and no others.
func keepsArgs(target string) bool {
	target = Canonical(target)
	return strings.HasSuffix(target, "?$args") || strings.HasSuffix(target, "$is_args$args")
}

// isMadeOfURI reports whether an expression is the same for all requests for a URL.
func isMadeOfURI(expression string) bool {
	return !slices.ContainsFunc(Variables(expression), func(name string) bool {
		return !isCapture(name) && !IsArgs(name) && name != "uri" && name != "request_uri"
	})
}

// serve is about a request behind the rewrite module.
func (f *flow) serve(v visit) {
	if v.at.name == "location" {
		for _, inner := range v.at.inner {
			if inner.name == "limit_except" && !slices.ContainsFunc(inner.args, func(m string) bool { return strings.EqualFold(m, "GET") }) {
				v.at = inner
			}
		}
	}
	for _, r := range refusals(v.at) {
		f.fail(v, r.by, r.codes...)
	}
	d := v.at.last("try_files")
	if d == nil {
		f.handle(v)
		return
	}
	f.try(v, d)
}

// try is about try_files.
func (f *flow) try(v visit, d *directive) {
	last := len(d.args) - 1
	for _, file := range d.args[:last] {
		w := v
		if Canonical(file) != "$uri" {
			w = v.changed(d, file)
			w.doubt = d // while there is such a file
		}
		f.handle(w)
	}
	if code, ok := strings.CutPrefix(d.args[last], "="); ok {
		n, _ := strconv.Atoi(code)
		f.fail(v, d, n)
		return
	}
	if v.asked == nil {
		v.by = d
	}
	f.redirect(v, d.args[last], d)
}

// handle is about the directive that answers a request, and what becomes of its errors.
func (f *flow) handle(v visit) {
	at := v.at
	h := at.handler()
	if h == nil {
		at = at.location()
		h = at.handler()
	}
	switch {
	case h == nil:
		f.static(v)
	case f.b.passes[h] != nil:
		f.arrive(v, at, h)
	case f.b.lookups[at] != nil && f.b.lookups[at].Place == h.Place:
		v = f.lookUp(v, f.b.lookups[at])
		// 405 is not for a GET.
		f.answer(v, nil, 404, 500, 502, 503, 504)
	case strings.HasSuffix(h.name, "_pass") && h.name != "memc_pass" && h.name != "memcached_pass":
		f.respond(v, h)
	default:
		f.fail(v, h, anyCode)
	}
}

// lookUp is about a lookup that finds nothing.
func (f *flow) lookUp(v visit, l *Lookup) visit {
	if !v.isKeyed {
		v.before, v.moved, v.recut = v.path, nil, nil // the key is made here
	}
	v.asked, v.by, v.refused = l, nil, nil
	f.lookups = append(f.lookups, v)
	return v
}

// arrive is about a request that comes to a uwsgi_pass, after srcache has asked.
func (f *flow) arrive(v visit, at *scope, h *directive) {
	l := f.b.lookups[v.at]
	if l == nil {
		l = f.b.lookups[at]
	}
	if l != nil && v.at.find("srcache_fetch") != nil {
		v = f.lookUp(v, l)
	}
	pass := f.b.passes[h]
	if v.refused != nil && v.refused.Upstream.Name == pass.Upstream.Name {
		return // it is tried once more, and can be reached no better
	}
	f.arrivals = append(f.arrivals, arrival{v, pass})
	f.respond(v, h)
}

// respond is about the errors of a worker or another upstream: nginx's own, and if they
// are intercepted, all.
func (f *flow) respond(v visit, h *directive) {
	v.asked, v.by, v.refused = nil, h, nil
	if d := v.at.find(strings.TrimSuffix(h.name, "_pass") + "_intercept_errors"); d != nil && d.arg(0) == "on" {
		f.fail(v, h, anyCode)
		return
	}
	v.refused = f.b.passes[h]
	f.fail(v, h, 500, 502, 504)
}

// static is about files. Those that are not there are 404.
func (f *flow) static(v visit) {
	f.fail(v, v.at.location().directive, 403, 404)
	m := v.at.location().matcher()
	if m.isRegex() || !strings.HasSuffix(m.path, "/") {
		return
	}
	names := []string{"index.html"}
	index := v.at.find("index")
	if index != nil {
		names = index.args
	} else {
		index = v.at.location().directive
	}
	for _, name := range names {
		target := name
		if !strings.HasPrefix(name, "/") {
			target = m.path + name
		}
		if f.server.locate(target) == v.at.location() || v.at.location().matcher().isNamed() {
			continue // a file
		}
		w := v
		w.split = index
		if w.asked == nil {
			w.by = index
		}
		f.redirect(w, target, index)
	}
}

// anyCode stands for every status.
const anyCode = 0

// fail is about requests that d answers with one of the statuses.
func (f *flow) fail(v visit, d *directive, codes ...int) {
	if v.asked == nil {
		v.by = d
	}
	v.split = d
	f.answer(v, d, codes...)
}

// answer is about error_page. Of several for a status the first one counts.
func (f *flow) answer(v visit, by *directive, codes ...int) {
	if v.isFailed {
		return
	}
	recursive := v.at.find("recursive_error_pages")
	v.isFailed = recursive == nil || recursive.arg(0) != "on"
	ds, _ := v.at.inForce("error_page")
	known := map[int]bool{}
	for _, d := range ds {
		pages, _ := d.errorPages()
		for _, page := range pages {
			if known[page.Code] || codes[0] != anyCode && !slices.Contains(codes, page.Code) {
				continue
			}
			known[page.Code] = true
			w := v
			if by != nil && w.asked == nil {
				w.by = by
			}
			f.redirect(w, page.Target, d)
		}
	}
}

// A refusal is a directive by which nginx answers requests before their handler does.
type refusal struct {
	by    *directive
	codes []int
}

// refusals are those in force in the scope.
func refusals(s *scope) (all []refusal) {
	for _, r := range []struct {
		name  string
		codes []int
	}{
		{"auth_basic", []int{401, 403}},
		{"auth_request", []int{401, 403, 500}},
		{"auth_jwt", []int{401, 403}},
		{"auth_digest", []int{401}},
		{"modsecurity", []int{anyCode}},
		{"access_by_lua", []int{anyCode}}, {"access_by_lua_file", []int{anyCode}}, {"access_by_lua_block", []int{anyCode}},
		{"rewrite_by_lua", []int{anyCode}}, {"rewrite_by_lua_file", []int{anyCode}}, {"rewrite_by_lua_block", []int{anyCode}},
		{"js_access", []int{anyCode}},
	} {
		if d := s.find(r.name); d != nil && d.arg(0) != "off" {
			all = append(all, refusal{d, r.codes})
		}
	}
	for _, limit := range []string{"limit_req", "limit_conn"} {
		if d := s.find(limit); d != nil {
			code, err := strconv.Atoi(s.find(limit + "_status").text("503").Value)
			if err != nil {
				code = anyCode
			}
			all = append(all, refusal{d, []int{code}})
		}
	}
	if d := s.denial(); d != nil {
		all = append(all, refusal{d, []int{403}})
	}
	return all
}

// denial is the deny in force: allow and deny are one list.
func (s *scope) denial() *directive {
	for ; s != nil; s = s.outer {
		if d := s.last("deny"); d != nil || s.last("allow") != nil {
			return d
		}
	}
	return nil
}

// first keeps what was found first.
func first(t Text, d *directive) Text {
	if t.IsZero() && d != nil {
		return Text{d.Place, d.String()}
	}
	return t
}
