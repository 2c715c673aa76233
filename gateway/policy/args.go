package policy

import (
	"net/url"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// queryOf returns the query from which the application reads its arguments.
func queryOf(v uwsgi.Vars) string {
	if query, ok := v.Lookup("QUERY_STRING"); ok {
		return query
	}
	_, query, _ := cutQuery(v.Get("REQUEST_URI"))
	return query
}

// hasArg reports whether a query has the argument "name", or "name=value".
func hasArg(query, want string) bool {
	wantName, wantValue, valued := strings.Cut(want, "=")
	for arg := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(arg, "=")
		if unescape(name) == wantName && (!valued || unescape(value) == wantValue) {
			return true
		}
	}
	return false
}

// unescape decodes s as the application does. It returns malformed text unchanged.
func unescape(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// cutArgs returns the vars without the arguments that no glob names, and reports
// whether there were any. It does not change v.
func cutArgs(v uwsgi.Vars, keep []string) (out uwsgi.Vars, changed bool) {
	out = slices.Clone(v)
	for i := range out {
		x := &out[i]
		before := x.Value
		switch x.Name {
		case "REQUEST_URI":
			x.Value = cutURI(x.Value, keep)
		case "QUERY_STRING":
			x.Value = keepArgs(x.Value, keep)
		}
		changed = changed || x.Value != before
	}
	return out, changed
}

// cutURI also removes the question mark if no argument is left.
func cutURI(uri string, keep []string) string {
	path, query, fragment := cutQuery(uri)
	switch rest := keepArgs(query, keep); rest {
	case query:
		return uri
	case "":
		return path + fragment
	default:
		return path + "?" + rest + fragment
	}
}

func keepArgs(query string, keep []string) string {
	var kept []string
	for arg := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(arg, "=")
		name = unescape(name)
		if slices.ContainsFunc(keep, func(glob string) bool { return matchesExactly(glob, name) }) {
			kept = append(kept, arg)
		}
	}
	return strings.Join(kept, "&")
}

// repeatsKept reports whether an argument that a rule keeps could be read in two
// ways: its name is encoded, in another case, or repeated. The application decodes
// names, and nginx compares them without case.
func repeatsKept(query string, keep []string) bool {
	if query == "" {
		return false
	}
	var seen []string
	for arg := range strings.SplitSeq(query, "&") {
		raw, _, _ := strings.Cut(arg, "=")
		name := unescape(raw)
		if !matchesAny(keep, name) {
			continue
		}
		for _, other := range seen {
			if equalFold(other, name) {
				return true
			}
		}
		if raw != name || !slices.ContainsFunc(keep, func(glob string) bool { return matchesExactly(glob, name) }) {
			return true
		}
		seen = append(seen, name)
	}
	return false
}
