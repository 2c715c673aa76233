package policy

import "strings"

// A hit is served by the key alone. So the key must say everything that the
// application sees of a request's target: host, path, query and scheme. Usually it
// does, and the checks of this file are a few comparisons of strings.
//
// It does not for what nginx sends besides the requests of visitors. A subrequest
// (SSI, auth_request, mirror, addition), an internal redirect (error_page, index,
// try_files, X-Accel-Redirect) and a rewrite keep REQUEST_URI, and change PATH_INFO
// and QUERY_STRING. And $memcached_key is one variable for a request and all its
// subrequests: the packet of one may bring the key of another.

// undetermined returns why the key does not determine the page, and what it lacks;
// "" if it determines the page. Call locate first.
func (q *request) undetermined() (reason Reason, at string) {
	s := q.askedURL()
	if at, found := q.lacksHost(&s); found {
		return Host, at
	}
	if reason, at := q.lacksURI(&s); reason != "" {
		return reason, at
	}
	if at, found := q.lacksScheme(&s); found {
		return Scheme, at
	}
	return "", ""
}

// page returns what the application sees of the target.
func (q *request) page() string {
	s := q.askedURL()
	path := s.path
	if !s.hasPath {
		path, _, _ = cutQuery(s.uri)
	}
	return q.p.Bypass.mask(s.shownHost + withQuery(s.script+path, s.query))
}

// A lack is something that the key does not contain.
type lack struct {
	reason Reason
	at     string
}

// lacks returns everything that the key does not contain.
func (q *request) lacks() (all []lack) {
	if q.key == "" {
		return nil
	}
	s := q.askedURL()
	if at, found := q.lacksHost(&s); found {
		all = append(all, lack{Host, at})
	}
	if reason, at := q.lacksURI(&s); reason != "" {
		all = append(all, lack{reason, at})
	}
	if at, found := q.lacksScheme(&s); found {
		all = append(all, lack{Scheme, at})
	}
	return all
}

// lacksURI returns Rewritten if the key does not contain the path that the
// application sees, Arguments if it does not contain the query, and "" otherwise.
// It also sets q.contested.
func (q *request) lacksURI(s *seenURL) (reason Reason, at string) {
	path, query, _ := cutQuery(s.uri)
	u := target{seenURL: s, rawPath: path, fits: s.fits(path), same: s.query == query}
	if q.cutsAmbiguously {
		return Arguments, s.query
	}
	if q.rendered {
		reason = q.saidByTemplate(&u)
	} else {
		reason = q.saidByText(&u)
	}
	q.contested = reason != "" && q.contests(&u)
	switch reason {
	case Rewritten:
		return Rewritten, s.path
	case Arguments:
		return Arguments, s.query
	}
	return "", ""
}

// contests reports whether nginx has looked up, for this target, the key of
// another one. For a derived key this is not known if nginx has rewritten the
// variables in it since. A client cannot cause it with the URL that it requests.
func (q *request) contests(u *target) bool {
	switch {
	case q.derived:
		says := &q.p.Keys.Template.says
		return !(u.fits && u.same) && !says.path && !says.query && says.args == nil
	case !u.fits || !u.same:
		return true
	case q.rendered || strings.IndexByte(u.path, '?') >= 0:
		return false
	}
	// It is an ordinary request. Has a subrequest left its key, or does nginx leave
	// something out of this one, such as arguments?
	start := uriStart(q.key)
	if start < 0 {
		return false
	}
	path, _, _ := strings.Cut(q.key[start:], "?")
	path = strings.Trim(path, "/")
	return !equalFold(path, strings.Trim(u.path, "/")) && !equalFold(path, strings.Trim(u.rawPath, "/"))
}

// A target is a seenURL compared with the path and query of REQUEST_URI.
type target struct {
	*seenURL
	rawPath string // of REQUEST_URI
	fits    bool   // the path is what nginx makes of that one
	same    bool   // the query is that of REQUEST_URI
}
