package nginxconf

import (
	"slices"
	"strings"
)

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

// An arrival is a visit that has come to a uwsgi_pass.
type arrival struct {
	visit
	pass *Pass
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

// first keeps what was found first.
func first(t Text, d *directive) Text {
	if t.IsZero() && d != nil {
		return Text{d.Place, d.String()}
	}
	return t
}
