package nginxconf

import (
	"slices"
	"strings"
)

// A visit is a GET request on its way through a server.
type visit struct {
	at      *scope     // the location, or the `if` in it; the server if it has no location yet
	asked   *Lookup    // the lookup that did not find the page; nil: none, or another response came since
	by      *directive // what sent the request on without a lookup; nil: nothing did
	refused *Pass      // the uwsgi_pass that could not be reached; nil: none
	inside  bool       // nginx redirected the request, so internal locations accept it
	uri     string     // the path, if it is one for all requests on this way; "": it is not known
	failed  *scope     // where nginx began to serve an error page, so no further error_page counts; nil: nowhere
	changes
}

// changes are what happened to path, arguments and key of a visit. Each directive is the
// last one of its kind; nil: nothing happened.
type changes struct {
	path, args   *directive // changed path or arguments
	moved, recut *directive // changed path or arguments after the key was made, or after the lookup
	before       *directive // had changed the path when the key was made
	remade       *directive // a `set` that made another key after the lookup
	isKeyed      bool       // a `set` has made the key

	since        *directive // changed the path after nginx remembered it; nil: nothing did
	isRemembered bool       // see pathMemory
	differs      *directive // since, when a condition last compared the two paths

	doubt *directive // changed path or arguments of only some requests for a URL
	split *directive // only some requests for a URL pass this; nil: all come this way
}

// anyDirective stands for every directive in an outline.
var anyDirective = new(directive)

// anyScope stands for every scope there.
var anyScope = new(scope)

// outline returns the visit without the details that do not decide its way: it keeps that
// a directive did something, but not which one. Visits with the same outline are followed
// once.
func (v visit) outline() visit {
	for _, d := range []**directive{&v.by, &v.path, &v.args, &v.moved, &v.recut, &v.before, &v.remade, &v.doubt, &v.split, &v.since, &v.differs} {
		if *d != nil {
			*d = anyDirective
		}
	}
	if v.failed != nil {
		v.failed = anyScope
	}
	return v
}

// An arrival is a visit that reached a uwsgi_pass.
type arrival struct {
	visit
	pass *Pass
}

// changed returns the visit with another path, made by d.
func (v visit) changed(d *directive, target string) visit {
	v.path, v.moved, v.uri = d, d, constantPath(target)
	v.since = d
	if strings.Contains(target, "?") && !keepsArgs(target) {
		v.args, v.recut = d, d
	}
	if v.split != nil || d.name == "error_page" || !isMadeOfURI(target) {
		v.doubt = d
	}
	return v
}

// constantPath returns the path of a target that is the same for all requests, or "".
func constantPath(target string) string {
	path, _, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "$") {
		return ""
	}
	return path
}

// keepsArgs reports whether the target of an internal redirect has exactly the arguments
// of the request.
func keepsArgs(target string) bool {
	target = Canonical(target)
	return strings.HasSuffix(target, "?$args") || strings.HasSuffix(target, "$is_args$args")
}

// isMadeOfURI reports whether an expression has the same value for all requests for a URL.
func isMadeOfURI(expression string) bool {
	return !slices.ContainsFunc(Variables(expression), func(name string) bool {
		return !isCapture(name) && !IsArgs(name) && name != "uri" && name != "request_uri"
	})
}

// first returns t, or the directive if t is zero.
func first(t Text, d *directive) Text {
	if t.IsZero() && d != nil {
		return Text{d.Place, d.String()}
	}
	return t
}
