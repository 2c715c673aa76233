package policy

import (
	"math/bits"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A trait is what the name of a cookie, of a request header or of a var says of the
// visitor. If several apply to a name, the greatest one counts.
type trait uint8

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

// Visitors classify by name what a request carries: cookies, headers and vars. The
// tables are in visitortables.go; NewVisitors adds the operator's names to them. A nil
// *Visitors has the tables alone. It is not changed by use, and safe for concurrent use.
type Visitors struct {
	cookies, headers, vars traits
}

// VisitorNames are the operator's additions to the tables: names and globs (* alone is
// special). An exact name decides alone, so it takes a name out of a class of the
// tables. A glob only adds: if two classes match a name, the stricter one counts. If
// the first entry of a list is "none", the table of that class is left out.
//
// Names of cookies and headers are compared without case, those of vars with it. A
// cookie's name also stands for itself behind a prefix such as __Host-.
type VisitorNames struct {
	IdentityCookies, TokenCookies, HarmlessCookies []string

	IdentityHeaders, HarmlessHeaders []string // as X-Api-Key

	HarmlessVars []string // as GEOIP_COUNTRY
}

// noDefaults is the word that leaves a table out.
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
	return w
}

// upperSnake is a header's name as nginx makes a var's of it, without HTTP_.
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

// isIdentityHeader reports whether a var is that of a header which names the visitor, so
// that its value is nobody else's business. w may be nil.
func (w *Visitors) isIdentityHeader(name string) bool {
	header, ok := strings.CutPrefix(name, "HTTP_")
	m := w.orDefault().headers.of(header)
	return ok && m != nil && (m.trait == identity || m.trait == credentials || m.trait == seemsIdentity)
}

// isIdentityVar is isIdentityHeader for what is no header: nginx knows the visitor.
func (w *Visitors) isIdentityVar(name string) bool {
	m := w.orDefault().vars.of(name)
	return m != nil && (m.trait == identity || m.trait == credentials || m.trait == seemsIdentity)
}

// NotLookedUp are the headers whose bearers nginx is not to look up: those that name the
// visitor or change the page. Globs stand for the members of them that are in wide use,
// since nginx has a variable for each header and none for all. w may be nil.
func (w *Visitors) NotLookedUp() (names []string) {
	t := &w.orDefault().headers
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

// A mark is one entry of a table.
type mark struct {
	name  string // or glob
	trait trait
	given bool // by the operator

	// number is that of an exact name, from 1: the headers' first, then the vars'.
	number int

	// repeats reports whether the value says only what nginx says, and so changes no
	// page: then the trait does not count. Nil: never.
	repeats func(p *Policy, v uwsgi.Vars, value string) bool
}

func (m *mark) isGlob() bool { return strings.IndexByte(m.name, '*') >= 0 }

// traits are the table of one kind of names. Nearly all names of a request are in it
// without a star, so that one comparison finds them.
type traits struct {
	fold  bool         // whether case does not matter
	all   []*mark      // in the order of the tables, the operator's among them
	exact []*mark      // one for a name without a star, with all that is said of it
	slots []*mark      // the same, each in its slot or the next free one; a power of two
	globs [256][]*mark // by the first byte, in lower case
	wild  []*mark      // globs that begin with a star
}

// add adds a class: what is built in, unless the operator's list begins with none, and
// what the operator gives.
func (t *traits) add(class trait, spell func(string) string, builtin, given []string) {
	if len(given) > 0 && given[0] == noDefaults {
		builtin, given = nil, given[1:]
	}
	for _, name := range builtin {
		t.all = append(t.all, &mark{name: spell(name), trait: class})
	}
	for _, name := range given {
		t.all = append(t.all, &mark{name: spell(name), trait: class, given: true})
	}
}

// settle makes the table from all marks, and numbers the exact names from the one after
// last on.
func (t *traits) settle(last int) {
	t.slots = make([]*mark, 1<<bits.Len(uint(4*len(t.all))))
	for _, m := range t.all {
		switch first := strings.IndexByte(m.name, '*'); {
		case first == 0:
			t.wild = append(t.wild, m)
		case first > 0:
			t.globs[lower(m.name[0])] = append(t.globs[lower(m.name[0])], m)
		}
	}
	for _, m := range t.all {
		if !m.isGlob() && t.exactly(m.name) == nil {
			m = t.settled(m.name)
			t.exact = append(t.exact, m)
			m.number = last + len(t.exact)
			*t.slotOf(m.name) = m
		}
	}
}

// settled is what all marks together say of an exact name: the operator's word for it
// alone, or else the strictest.
func (t *traits) settled(name string) *mark {
	var word, best *mark
	for _, m := range t.all {
		if t.same(m, name) {
			best = stricter(best, m)
			if m.given {
				word = stricter(word, m)
			}
		}
	}
	if word == nil {
		word = stricter(best, t.byGlob(name))
	}
	if word.name == name {
		return word
	}
	own := *word // a glob's
	own.name = name
	return &own
}

func stricter(a, b *mark) *mark {
	if a == nil || b != nil && b.trait > a.trait {
		return b
	}
	return a
}

// hash spreads names, whatever their case, by their length and a few of their bytes.
func hash(name string) uint32 {
	n := len(name)
	if n == 0 {
		return 0
	}
	const lowerCase, golden = 0x202020, 0x9e3779b9 // the second is 2^32 over the golden ratio
	few := uint32(name[n-1])<<16 | uint32(name[n/2])<<8 | uint32(name[n/4])
	return (uint32(n)<<24 | few | lowerCase) * golden >> 16
}

// of returns what is said of the name, nil if nothing is.
func (t *traits) of(name string) *mark {
	if m := t.exactly(name); m != nil {
		return m
	}
	return t.byGlob(name)
}

func (t *traits) exactly(name string) *mark { return *t.slotOf(name) }

// slotOf is where the name's mark is, or the free slot for it.
func (t *traits) slotOf(name string) **mark {
	last := len(t.slots) - 1
	for i := int(hash(name)) & last; ; i = (i + 1) & last {
		if m := t.slots[i]; m == nil || t.same(m, name) {
			return &t.slots[i]
		}
	}
}

func (t *traits) same(m *mark, name string) bool {
	return m.name == name || t.fold && equalFold(m.name, name)
}

func (t *traits) byGlob(name string) *mark {
	if name == "" {
		return nil
	}
	var best *mark
	for _, m := range t.globs[lower(name[0])] {
		if t.matches(m, name) {
			best = stricter(best, m)
		}
	}
	for _, m := range t.wild {
		if t.matches(m, name) {
			best = stricter(best, m)
		}
	}
	return best
}

func (t *traits) matches(m *mark, name string) bool {
	if t.fold {
		return matches(m.name, name)
	}
	return matchesExactly(m.name, name)
}

// A sight is what a request shows of who asks: of each kind the first name, "" if
// there is none. Names of headers are those of their vars.
type sight struct {
	authorization                            string // for which no page is stored
	credentials                              bool   // Authorization came along
	identityCookie, tokenCookie              string
	identityHeader, identityVar              string
	unkeyedHeader                            string
	unknownCookie, unknownHeader, unknownVar string

	mayRepeat bool // no var is repeated unless this is set
}

// look looks at every var once.
func (p *Policy) look(v uwsgi.Vars) (s sight) {
	w := p.Visitors.orDefault()
	var met names
	for i := range v {
		x := &v[i]
		header, isHeader := strings.CutPrefix(x.Name, "HTTP_")
		var m *mark
		if isHeader {
			m = w.headers.of(header)
		} else {
			m = w.vars.of(x.Name)
		}
		s.mayRepeat = met.add(m) || s.mayRepeat
		switch {
		case isHeader && header == "COOKIE":
			p.lookAtCookies(&s, w, v, x.Value)
		case m != nil && m.trait == neutral: // as nearly all
		case isHeader:
			p.lookAtHeader(&s, m, v, x)
		default:
			s.lookAtVar(p, m, v, x)
		}
	}
	return s
}

// names are those that look has met. Most have a mark of their own, and are told apart
// without comparing them.
type names struct {
	marked [16]uint64 // by number, a bit each
	others bool
}

// add reports whether the name of that mark may have been there before.
func (n *names) add(m *mark) (again bool) {
	if m == nil || m.number == 0 || m.number >= 64*len(n.marked) {
		again, n.others = n.others, true
		return again
	}
	word, bit := &n.marked[m.number/64], uint64(1)<<(m.number%64)
	again = *word&bit != 0
	*word |= bit
	return again
}

// lookAtHeader counts a header that is there without a value, too.
func (p *Policy) lookAtHeader(s *sight, m *mark, v uwsgi.Vars, x *uwsgi.Var) {
	class := unlisted
	if m != nil {
		class = m.trait
	}
	if m != nil && m.repeats != nil && m.repeats(p, v, x.Value) {
		return
	}
	switch class {
	case credentials:
		s.credentials = true
		return
	case identity, seemsIdentity:
	default:
		if p.isTrusted(x.Name) {
			return
		}
	}
	if x.Value != "" && p.isVarInKey(v, x.Name) { // without a value the key is that of none
		return
	}
	switch class {
	case identity, seemsIdentity:
		note(&s.identityHeader, x.Name)
	case unkeyed, seemsUnkeyed:
		note(&s.unkeyedHeader, x.Name)
	default:
		note(&s.unknownHeader, x.Name)
	}
}

// lookAtVar takes an empty value for none: that is what nginx makes of a variable that
// is not set.
func (s *sight) lookAtVar(p *Policy, m *mark, v uwsgi.Vars, x *uwsgi.Var) {
	switch {
	case x.Value == "", m != nil && m.repeats != nil && m.repeats(p, v, x.Value):
	case x.Name == "REMOTE_USER":
		note(&s.authorization, x.Name)
	case m != nil && m.trait == identity:
		if !isNoCertificate(x) {
			note(&s.identityVar, x.Name)
		}
	default:
		note(&s.unknownVar, x.Name)
	}
}

// isNoCertificate knows what nginx says in $ssl_client_verify of visitors without one.
func isNoCertificate(x *uwsgi.Var) bool {
	return x.Value == "NONE" && strings.HasSuffix(x.Name, "_VERIFY")
}

// isMountPoint reports whether a SCRIPT_NAME is the beginning of the URL, which the key
// has.
func isMountPoint(_ *Policy, v uwsgi.Vars, value string) bool {
	rest, ok := strings.CutPrefix(v.Get("REQUEST_URI"), value)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '?' || value[len(value)-1] == '/')
}

// note keeps the first name.
func note(at *string, name string) {
	if *at == "" {
		*at = name
	}
}

// unsure is why only a response that grants its own freshness may be stored, "" if
// nothing is in the way.
func (s *sight) unsure() Reason {
	switch {
	case s.unknownCookie != "":
		return Cookie
	case s.unknownHeader != "":
		return UnknownHeader
	case s.unknownVar != "":
		return UnknownVar
	}
	return ""
}

// AtFault names what a verdict's reason such as Cookie is about, as a flag takes it: a
// cookie, a header or a var that no table has. Vary is about a cookie if the page would
// be stored without it. It is "" for other reasons.
func (p *Policy) AtFault(v uwsgi.Vars, h uwsgi.Header, reason Reason) string {
	s := p.look(v)
	switch reason {
	case Vary:
		if p.VaryCookieAnonymous && p.coversVaryBut(v, h, func() bool { return true }) {
			return s.unknownCookie
		}
	case Cookie:
		return s.unknownCookie
	case UnknownHeader:
		return headerOf(s.unknownHeader)
	case UnknownVar:
		return s.unknownVar
	}
	return ""
}

func (p *Policy) isTrusted(name string) bool {
	header := strings.TrimPrefix(name, "HTTP_")
	return slices.ContainsFunc(p.TrustedHeaders, func(s string) bool { return isHeaderVariable(s, header) })
}

// isVarInKey is isInKey for the header of that var.
func (p *Policy) isVarInKey(v uwsgi.Vars, name string) bool {
	return p.Template != nil && p.Template.coversVar(name) && p.isTemplateRight(v, v.Get(varKey))
}
