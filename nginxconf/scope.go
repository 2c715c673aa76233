package nginxconf

import (
	"iter"
	"regexp"
	"slices"
	"strings"
)

// A scope is a block that inherits settings: http, a server, a location, or an `if` or
// limit_except in a location. An `if` of a server is none, since it only rewrites.
type scope struct {
	*directive
	outer *scope // what it inherits from, nil for http
	inner []*scope

	match matcher        // of a location
	regex *regexp.Regexp // likewise; nil if it is none, or if Go cannot read it

	locations locationTable
}

func newScope(d *directive, outer *scope) *scope {
	s := &scope{directive: d, outer: outer}
	if d.name == "location" {
		s.match = d.matcher()
		s.regex = s.match.compiled()
	}
	for _, d := range d.block {
		if s.opens(d) {
			s.inner = append(s.inner, newScope(d, s))
		}
	}
	s.locations = newLocations(s.inner)
	return s
}

// opens reports whether the directive opens a scope in this one.
func (s *scope) opens(d *directive) bool {
	switch {
	case d.block == nil:
		return false
	case s.name == "http":
		return d.name == "server"
	case s.name == "server":
		return d.name == "location"
	}
	return d.name == "location" || d.name == "if" || d.name == "limit_except"
}

// parts returns the scope's directives in order, with the scopes that they open.
func (s *scope) parts() iter.Seq2[*directive, *scope] {
	return func(yield func(*directive, *scope) bool) {
		opened := 0
		for _, d := range s.block {
			var inner *scope
			if opened < len(s.inner) && s.inner[opened].directive == d {
				inner = s.inner[opened]
				opened++
			}
			if !yield(d, inner) {
				return
			}
		}
	}
}

// last returns the last of them, or nil.
func (d *directive) last(name string) *directive {
	if ds := d.own(name); len(ds) > 0 {
		return ds[len(ds)-1]
	}
	return nil
}

// find returns the directive in force: that of the nearest scope that has one.
func (s *scope) find(name string) *directive {
	if ds, _ := s.inForce(name); len(ds) > 0 {
		return ds[len(ds)-1]
	}
	return nil
}

// inForce returns a list of directives that is inherited all together or not at all: those
// of the nearest scope that has any. Those of the scopes around it are lost.
func (s *scope) inForce(name string) (ds, lost []*directive) {
	for ; s != nil; s = s.outer {
		own := s.own(name)
		if ds == nil {
			ds = own
			continue
		}
		lost = append(slices.Clip(own), lost...)
	}
	return ds, lost
}

// location returns the location around an `if` or limit_except, or the scope itself.
func (s *scope) location() *scope {
	for s.name == "if" || s.name == "limit_except" {
		s = s.outer
	}
	return s
}

func (s *scope) server() *scope {
	for s.name != "server" && s.outer != nil {
		s = s.outer
	}
	return s
}

// condition returns that of an `if`, without brackets; zero for other scopes.
func (s *scope) condition() Text {
	if s.name != "if" {
		return Text{}
	}
	return s.bare()
}

// bare returns the condition of an `if` without brackets.
func (d *directive) bare() Text {
	args := strings.Join(d.args, " ")
	return Text{d.Place, strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(args, "("), ")"))}
}

// walk calls f for the scope and all scopes in it, outer ones first.
func (s *scope) walk(f func(*scope)) {
	f(s)
	for _, inner := range s.inner {
		inner.walk(f)
	}
}

// handler returns the directive that responds to requests of the scope itself, or nil. The
// last one counts.
func (d *directive) handler() *directive {
	for _, inner := range slices.Backward(d.block) {
		if isHandler(inner.name) {
			return inner
		}
	}
	return nil
}

func isHandler(name string) bool {
	switch name {
	case "empty_gif", "stub_status", "perl", "js_content", "echo":
		return true
	}
	return slices.Contains(handlers, name) || strings.HasSuffix(name, "_pass")
}
