package nginxconf

import (
	"slices"
	"strconv"
	"strings"
)

// enter follows a request into a location.
func (f *flow) enter(v visit) {
	if v.at == nil || f.followed(v, "") {
		return
	}
	defer f.goOn(entry{v.outline(), ""})()
	if d := v.at.find("internal"); d != nil && !v.inside {
		f.fail(v, d, 404)
		return
	}
	f.known[v.at] = true
	f.b.visited[v.at] = f.b.visited[v.at] || !f.isBlind
	if except := v.at.exceptGET(); except != nil {
		v.at = except
		f.serve(v) // without the location's rewrites (ngx_http_update_location_config)
		return
	}
	for _, s := range f.rewritten(v) {
		if s.to != nil {
			f.locate(s)
		} else {
			f.serve(s.visit)
		}
	}
}

// exceptGET returns the limit_except that takes GETs out of the location, or nil.
func (s *scope) exceptGET() *scope {
	for _, inner := range s.inner {
		if inner.name == "limit_except" && !slices.ContainsFunc(inner.args, func(m string) bool { return strings.EqualFold(m, "GET") }) {
			return inner
		}
	}
	return nil
}

// followed reports whether a request like this one is followed already, on its way to
// the target of an internal redirect or, without one, in its location. If it comes here
// again and again, nginx responds 500.
func (f *flow) followed(v visit, target string) bool {
	entry := entry{v.outline(), target}
	if i, isBack := f.onWay[entry]; isBack && !f.circles[entry] {
		f.circles[entry] = true
		for _, passed := range f.way[i:] {
			w := v
			w.at = passed.outline.at
			f.fail(w, w.at.directive, 500)
		}
	}
	if f.seen[entry] || !f.budget.spend(1) {
		return true
	}
	f.seen[entry] = true
	return false
}

// goOn adds an entry to the way, and returns a function that takes it off.
func (f *flow) goOn(e entry) (back func()) {
	f.onWay[e] = len(f.way)
	f.way = append(f.way, e)
	return func() {
		f.way = f.way[:len(f.way)-1]
		delete(f.onWay, e)
	}
}

// locate follows a request to the location of its new path, after a rewrite.
func (f *flow) locate(s step) {
	for _, location := range f.destinations(s.to.arg(1)) {
		v := s.visit
		v.at, v.inside = location, true
		f.enter(v)
	}
}

// redirect follows an internal redirect to a named location, or to a URI. For a URI the
// server's own directives run again.
func (f *flow) redirect(v visit, target string, by *directive) {
	v.inside = true
	if all := f.b.defs.targets(target); len(all) > 0 && all[0] != target {
		for _, name := range all {
			f.redirect(v, name, by)
		}
		return
	}
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
	if f.followed(v, target) {
		return
	}
	defer f.goOn(entry{v.outline(), target})()
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

// destinations returns the locations that may take a path with variables.
func (f *flow) destinations(target string) (locations []*scope) {
	path, _, _ := strings.Cut(target, "?")
	prefix, _, isOpen := strings.Cut(path, "$")
	if !isOpen {
		if !f.budget.spend(1 + len(f.server.locations.regexes)) {
			return nil
		}
		if l := f.server.locate(path); l != nil {
			locations = append(locations, l)
		}
		return locations
	}
	if !f.budget.spend(f.budget.locations) {
		return nil
	}
	first := f.server.locate(prefix)
	f.server.walk(func(l *scope) {
		m := l.match
		if l.name != "location" || m.isNamed() {
			return
		}
		if l == first || m.isRegex() || strings.HasPrefix(m.path, prefix) {
			locations = append(locations, l)
		}
	})
	return locations
}

// serve follows a request after the rewrite module.
func (f *flow) serve(v visit) {
	for _, r := range refusals(v.at) {
		if !f.isSubrequest || !isAccess(r.by) {
			f.fail(v, r.by, r.codes...)
		}
	}
	for _, d := range v.at.programs() {
		f.wander(v, d)
	}
	d := v.at.last("try_files")
	if d == nil {
		f.handle(v)
		return
	}
	f.try(v, d)
}

// try follows a request through try_files.
func (f *flow) try(v visit, d *directive) {
	last := len(d.args) - 1
	for _, file := range d.args[:last] {
		w := v
		if Canonical(file) != "$uri" {
			w = v.changed(d, file)
			w.doubt = d // only while there is such a file
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
