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
	for _, l := range s.inner {
		if l.matcher().isNamed() && l.arg(0) == name {
			return l
		}
	}
	return nil
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
		m := prefix.matcher()
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
	for _, l := range s.inner {
		if l.regex != nil && l.regex.MatchString(path) {
			if inner, _ := l.locateIn(path); inner != nil {
				return inner, true
			}
			return l, true
		}
	}
	return found, false
}

// longest returns the location with the longest prefix, or the exact one.
func (s *scope) longest(path string) (found *scope) {
	length := -1
	for _, l := range s.inner {
		m := l.matcher()
		switch {
		case l.name != "location", m.isRegex(), m.isNamed():
		case m.modifier == "=" && m.path == path:
			return l
		case m.modifier != "=" && strings.HasPrefix(path, m.path) && len(m.path) > length:
			found, length = l, len(m.path)
		}
	}
	return found
}
