package nginxconf

import (
	"regexp"
	"strings"
)

// modifiers are those of a location. Of two that begin alike the longer one comes first.
var modifiers = []string{"=", "^~", "~*", "~"}

// A matcher is how a location selects its requests.
type matcher struct{ modifier, path string }

func (d *directive) matcher() matcher {
	if len(d.args) == 2 {
		return matcher{d.args[0], d.args[1]}
	}
	// nginx takes a modifier off a single argument, too.
	for _, modifier := range modifiers {
		if path, ok := strings.CutPrefix(d.arg(0), modifier); ok {
			return matcher{modifier, path}
		}
	}
	return matcher{"", d.arg(0)}
}

func (m matcher) isNamed() bool { return m.modifier == "" && strings.HasPrefix(m.path, "@") }

func (m matcher) isRegex() bool { return m.modifier == "~" || m.modifier == "~*" }

// compiled returns the regex of a location. It is a best effort: nil if there is none, or if
// Go, which does not support all of PCRE, cannot read it.
func (m matcher) compiled() *regexp.Regexp {
	if !m.isRegex() {
		return nil
	}
	flags := ""
	if m.modifier == "~*" {
		flags = "(?i)"
	}
	re, _ := regexp.Compile(flags + m.path)
	return re
}

// named returns the server's location of that name, such as "@fallback", or nil.
func (s *scope) named(name string) *scope {
	return s.locations.named[name]
}

// locate returns the location of a server for that path (ngx_http_core_find_location), or
// nil.
func (s *scope) locate(path string) *scope {
	found, _ := s.locateIn(path)
	return found
}

// locateIn searches the locations directly in the scope. The result is final if no regex
// of an outer scope can replace it.
func (s *scope) locateIn(path string) (found *scope, final bool) {
	noRegex := false
	if prefix := s.longest(path); prefix != nil {
		m := prefix.match
		if m.modifier == "=" {
			return prefix, true
		}
		noRegex = m.modifier == "^~"
		found = prefix
		if inner, final := prefix.locateIn(path); final {
			return inner, true
		} else if inner != nil {
			found = inner
		}
	}
	if noRegex {
		return found, false
	}
	for _, l := range s.locations.regexes {
		if l.regex.MatchString(path) {
			if inner, _ := l.locateIn(path); inner != nil {
				return inner, true
			}
			return l, true
		}
	}
	return found, false
}

// longest returns the location with the longest prefix, or the exact one.
func (s *scope) longest(path string) *scope {
	if l := s.locations.exact[path]; l != nil {
		return l
	}
	for n := min(len(path), s.locations.longest); n >= 0; n-- {
		if l := s.locations.prefixes[path[:n]]; l != nil {
			return l
		}
	}
	return nil
}

// A locationTable has the locations directly in a scope, in the order in which nginx compares them. Of
// two with the same name the first one counts.
type locationTable struct {
	named           map[string]*scope
	exact, prefixes map[string]*scope // by their paths
	longest         int               // prefix, in bytes
	regexes         []*scope          // that Go can read
}

func newLocations(inner []*scope) locationTable {
	all := locationTable{named: map[string]*scope{}, exact: map[string]*scope{}, prefixes: map[string]*scope{}}
	for _, l := range inner {
		switch m := l.match; {
		case l.name != "location":
		case m.isNamed():
			addFirst(all.named, l.arg(0), l)
		case l.regex != nil:
			all.regexes = append(all.regexes, l)
		case m.isRegex():
		case m.modifier == "=":
			addFirst(all.exact, m.path, l)
		default:
			addFirst(all.prefixes, m.path, l)
			all.longest = max(all.longest, len(m.path))
		}
	}
	return all
}

func addFirst(all map[string]*scope, name string, l *scope) {
	if all[name] == nil {
		all[name] = l
	}
}
