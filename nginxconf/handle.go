package nginxconf

import (
	"slices"
	"strings"
)

// handle follows a request to the directive that responds to it.
func (f *flow) handle(v visit) {
	at := v.at
	h := at.handler()
	if h == nil {
		at = at.location()
		h = at.handler()
	}
	switch {
	case h == nil, v.at.name == "limit_except" && !isKeptInExcept(h):
		f.static(v)
	case f.b.passes[h] != nil:
		f.arrive(v, at, h)
	case f.b.lookups[at] != nil && f.b.lookups[at].Place == h.Place:
		f.ask(v, f.b.lookups[at], h)
	case strings.HasSuffix(h.name, "_pass") && h.name != "memc_pass" && h.name != "memcached_pass":
		f.respond(v, h)
	default:
		if isProgram(h.name) {
			f.wander(v, h)
		}
		f.fail(v, h, anyCode)
	}
}

// ask follows a request through memcached_pass. A GET never gets 405.
func (f *flow) ask(v visit, l *Lookup, h *directive) {
	codes := []int{500, 502, 503, 504}
	if !l.Key.Skipping.IsZero() {
		codes = codes[1:]
		skipping := v
		skipping.asked = nil
		defer f.fail(skipping, h, 500) // after the lookups of the others
	}
	v = f.lookUp(v, l)
	f.miss(v)
	f.toErrorPage(v, nil, codes...)
}

// isKeptInExcept reports whether a handler of a location is that of its limit_except, too.
func isKeptInExcept(h *directive) bool {
	return h.name != "memcached_pass" && h.name != "memc_pass"
}

// lookUp marks a visit whose lookup finds nothing.
func (f *flow) lookUp(v visit, l *Lookup) visit {
	if !v.isKeyed {
		v.before, v.moved, v.recut = v.path, nil, nil // the key is made here
	}
	v = v.sees(f.b.memoryOf(l.Skip.Value))
	isFirst := v.asked == nil
	v.asked, v.refused = l, nil
	f.lookups = append(f.lookups, query{v, isFirst})
	v.by = nil
	l.heard = l.heard || v.failed == nil
	if v.failed != nil {
		l.Unheard = first(l.Unheard, v.failed.location().directive)
	}
	return v
}

// miss follows a request whose page is not in memcached.
func (f *flow) miss(v visit) {
	before := len(f.arrivals)
	f.toErrorPage(v, nil, 404)
	for _, a := range f.arrivals[before:] {
		if l := v.asked; a.asked == l && !slices.Contains(l.Reached, a.pass) {
			l.Reached = append(l.Reached, a.pass)
		}
	}
}

// arrive notes that a request reaches a uwsgi_pass, with srcache after a lookup.
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
		return // the same upstream again, which could not be reached
	}
	f.arrivals = append(f.arrivals, arrival{v, pass})
	f.respond(v, h)
}

// respond follows the errors of a worker or another upstream: those of nginx itself, and
// if they are intercepted, all.
func (f *flow) respond(v visit, h *directive) {
	v.asked, v.by, v.refused = nil, h, nil
	if d := v.at.find(strings.TrimSuffix(h.name, "_pass") + "_intercept_errors"); d != nil && d.arg(0) == "on" {
		f.fail(v, h, anyCode)
		return
	}
	v.refused = f.b.passes[h]
	f.fail(v, h, 500, 502, 504)
}

// static follows requests for files. nginx responds 404 to those that do not exist.
func (f *flow) static(v visit) {
	l := v.at.location()
	f.fail(v, l.directive, 403, 404)
	names := []string{"index.html"}
	index := v.at.find("index")
	if index != nil {
		names = index.args
	} else { // nginx's default
		index = &directive{Place: l.Place, name: "index", args: names}
	}
	for _, name := range names {
		target, isKnown := l.match.indexTarget(name)
		isStatic := l.match.isNamed() && v.at.find("index") == nil // index.html of any folder
		if !isKnown || isStatic || f.server.locate(target) == l && l.last("if") == nil && l.last("rewrite") == nil {
			continue // there is none, or it is a file
		}
		w := v
		w.split = index
		if w.asked == nil {
			w.by = index
		}
		f.redirect(w, target, index)
	}
}

// indexTarget returns the path to which index redirects requests for a folder.
func (m matcher) indexTarget(name string) (path string, isKnown bool) {
	switch {
	case strings.HasPrefix(name, "/"):
		return name, true
	case m.isNamed():
		return "$uri" + name, true
	}
	return m.path + name, !m.isRegex() && strings.HasSuffix(m.path, "/")
}

// anyCode stands for every status.
const anyCode = 0

// fail follows requests to which d responds with one of the statuses.
func (f *flow) fail(v visit, d *directive, codes ...int) {
	if v.asked == nil {
		v.by = d
	}
	v.split = d
	f.toErrorPage(v, d, codes...)
}

// toErrorPage follows a response to its error_page. Of several for a status the first one
// counts.
func (f *flow) toErrorPage(v visit, by *directive, codes ...int) {
	if v.failed != nil {
		return
	}
	if recursive := v.at.find("recursive_error_pages"); recursive == nil || recursive.arg(0) != "on" {
		v.failed = v.at
	}
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
