package policy

import (
	"slices"
	"strings"
)

// saidByTemplate decides about a key that Template renders, by its variables.
func (q *request) saidByTemplate(u *target) Reason {
	says := &q.p.Keys.Template.says
	if q.derived && !(u.fits && u.same) {
		// $uri and $args were others when nginx looked the key up.
		switch {
		case says.path || says.query || says.args != nil:
			return Rewritten
		case says.uri && q.p.Keys.AllowRewrites:
			return q.readTwoWays()
		case !u.fits:
			return Rewritten
		}
		return Arguments
	}
	switch {
	case says.path, says.uri && (u.fits || q.p.Keys.AllowRewrites):
	default:
		return Rewritten
	}
	switch {
	case says.query, says.path && u.query == "", says.uri && (u.same || q.p.Keys.AllowRewrites):
	case says.path && says.args != nil && isNamed(u.query, says.args):
	default:
		return Arguments
	}
	return q.readTwoWays()
}

// readTwoWays returns a reason if the key could also belong to another target,
// because a value contains what follows it in the template.
func (q *request) readTwoWays() Reason {
	if !q.p.Keys.Template.says.open {
		return ""
	}
	switch p := q.p.Keys.Template.ambiguous(q.asked); {
	case p == nil:
		return ""
	case p.arg == "PATH_INFO", p.arg == "REQUEST_URI":
		return Rewritten
	}
	return Arguments
}

// isNamed reports whether a query consists only of the named arguments, each once
// and with a value, so that the page cannot depend on any other.
func isNamed(query string, names []string) bool {
	for i, rest := 0, query; ; i++ {
		arg, tail, more := strings.Cut(rest, "&")
		name, value, _ := strings.Cut(arg, "=")
		if value == "" || !slices.Contains(names, name) || hasEarlier(query, i, name) {
			return false
		}
		if !more {
			return true
		}
		rest = tail
	}
}

// hasEarlier reports whether one of the first n arguments has that name, in
// nginx's comparison.
func hasEarlier(query string, n int, name string) bool {
	for ; n > 0; n-- {
		arg, tail, _ := strings.Cut(query, "&")
		if other, _, _ := strings.Cut(arg, "="); equalFold(other, name) {
			return true
		}
		query = tail
	}
	return false
}
