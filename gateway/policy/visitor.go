package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

const (
	unlisted      trait = iota // in no table: only a response that grants its own freshness is stored
	seemsUnkeyed               // in no table, and called as an unkeyed header would be: never fills
	seemsIdentity              // in no table, and called as one that names the visitor: never fills
	neutral                    // no page depends on it
	formToken                  // a cookie that protects forms: never fills, and is looked up
	unkeyed                    // a header that changes the page and is not in the key: never fills
	identity                   // names the visitor: never fills, and is not looked up
	credentials                // Authorization: RFC 9111 §3.5
)

// Visitors classifies by name what a request carries: cookies, headers and vars.
// NewVisitors adds the operator's names to the tables of visitortables.go. A nil
// *Visitors has only the tables. Using it does not change it, and it is safe for
// concurrent use.
type Visitors struct {
	cookies, headers, vars traits
	notLookedUp            []string
}

// VisitorNames are the operator's additions to the tables: names, and globs in
// which only * is special. An exact name overrides the tables. A glob only adds:
// if two classes match a name, the stricter one counts. If the first entry of a
// list is "none", the default names of that class are dropped.
//
// Names of cookies and headers are compared without case, names of vars with it. A
// cookie's name also applies behind a prefix such as __Host-.
type VisitorNames struct {
	IdentityCookies, TokenCookies, HarmlessCookies []string

	IdentityHeaders, HarmlessHeaders []string // as X-Api-Key

	HarmlessVars []string // as GEOIP_COUNTRY
}

// noDefaults is the word that drops the default names of a class.
const noDefaults = "none"

// NewVisitors returns the tables with these names added.
func NewVisitors(n VisitorNames) *Visitors {
	w := &Visitors{cookies: traits{fold: true}}
	c, h, v := &w.cookies, &w.headers, &w.vars
	c.add(identity, asItIs, identityCookies, n.IdentityCookies)
	c.add(formToken, asItIs, tokenCookies, n.TokenCookies)
	c.add(neutral, asItIs, neutralCookies, n.HarmlessCookies)
	h.add(credentials, upperSnake, []string{"Authorization"}, nil)
	h.add(identity, upperSnake, identityHeaders, n.IdentityHeaders)
	h.add(unkeyed, upperSnake, fragmentHeaders, nil)
	for i := range repeaters {
		u := &repeaters[i]
		h.all = append(h.all, &mark{name: upperSnake(u.header), trait: unkeyed, repeats: u.repeats})
	}
	for i := range tellings {
		t := &tellings[i]
		h.all = append(h.all, &mark{name: upperSnake(t.glob), trait: t.trait, repeats: t.repeats})
	}
	h.add(neutral, upperSnake, neutralHeaders, n.HarmlessHeaders)
	h.add(neutral, upperSnake, clientHeaders, nil)
	v.add(identity, asItIs, identityVars, nil)
	v.add(neutral, asItIs, neutralVars, n.HarmlessVars)
	v.all = append(v.all, &mark{name: "SCRIPT_NAME", trait: unlisted, repeats: isMountPoint})
	c.settle(0)
	h.settle(0)
	v.settle(len(h.exact))
	w.notLookedUp = w.findNotLookedUp()
	return w
}

// upperSnake spells the name of a header as nginx does in a var, without HTTP_.
func upperSnake(header string) string {
	return strings.ToUpper(strings.ReplaceAll(header, "-", "_"))
}

func asItIs(name string) string { return name }

var defaultVisitors = NewVisitors(VisitorNames{})

func (w *Visitors) orDefault() *Visitors {
	if w == nil {
		return defaultVisitors
	}
	return w
}

// isIdentityHeader reports whether a var belongs to a header that names the
// visitor, so that nobody else may see its value. w may be nil.
func (w *Visitors) isIdentityHeader(name string) bool {
	header, ok := strings.CutPrefix(name, "HTTP_")
	m := w.orDefault().headers.of(header)
	return ok && m != nil && (m.trait == identity || m.trait == credentials || m.trait == seemsIdentity)
}

// isIdentityVar reports whether a var that is no header names the visitor. w may
// be nil.
func (w *Visitors) isIdentityVar(name string) bool {
	m := w.orDefault().vars.of(name)
	return m != nil && (m.trait == identity || m.trait == credentials || m.trait == seemsIdentity)
}

// NameVisitor reports whether a Cookie header names the visitor, so that nginx must not
// look the request up. w may be nil.
func (w *Visitors) NameVisitor(cookies string) bool {
	return w.orDefault().ofCookies(uwsgi.Vars{{Name: "HTTP_COOKIE", Value: cookies}}) == identity
}

// Separate reports whether a Cookie header has a cookie on which a page may depend, and
// none that names the visitor: $visitor of the printed configuration then differs from that
// of strangers. w may be nil.
func (w *Visitors) Separate(cookies string) bool {
	return w.orDefault().ofCookies(uwsgi.Vars{{Name: "HTTP_COOKIE", Value: cookies}}) == unlisted
}

// NotLookedUp returns the headers with which nginx must not look up a request:
// those that name the visitor or change the page. Globs are replaced by their
// members in wide use, because nginx has no variable for a glob. w may be nil.
func (w *Visitors) NotLookedUp() (names []string) { return slices.Clone(w.orDefault().notLookedUp) }

func (w *Visitors) findNotLookedUp() (names []string) {
	t := &w.headers
	add := func(header string) {
		m := t.of(upperSnake(header))
		if m != nil && (m.trait == identity || m.trait == credentials || m.trait == unkeyed && m.repeats == nil) && !slices.Contains(names, header) {
			names = append(names, header)
		}
	}
	add("Authorization")
	for _, list := range [][]string{identityHeaders, fragmentHeaders, globMembers} {
		for _, header := range list {
			if !strings.Contains(header, "*") {
				add(header)
			}
		}
	}
	for _, m := range t.all {
		if m.given && !m.isGlob() && m.trait == identity {
			add(strings.ReplaceAll(m.name, "_", "-"))
		}
	}
	return names
}
