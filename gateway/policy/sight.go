package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A sight is what a request shows of the visitor: the first name of each kind, ""
// if there is none. Headers have the names of their vars.
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

// names are the names that look has met. Most have a mark of their own, and need
// not be compared.
type names struct {
	marked [16]uint64 // by number, a bit each
	others bool
}

// add adds the name of that mark, and reports whether it may have been added
// before.
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

// lookAtHeader also counts a header without a value.
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
	if x.Value != "" && p.Keys.isVarInKey(v, x.Name) { // without a value the key is that of none
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

// lookAtVar ignores a var without a value: nginx sends it for a variable that is
// not set.
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

// isNoCertificate reports whether the var is $ssl_client_verify of a visitor
// without a certificate.
func isNoCertificate(x *uwsgi.Var) bool {
	return x.Value == "NONE" && strings.HasSuffix(x.Name, "_VERIFY")
}

// isMountPoint reports whether a SCRIPT_NAME is the beginning of the URL, which
// the key contains.
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

// unsure returns why only a response with a lifetime of its own may be stored, ""
// if there is no such reason.
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

// AtFault returns the name of the unknown cookie, header or var for which a
// verdict has its reason, as a flag accepts it. It returns "" for reasons other
// than Cookie, UnknownHeader, UnknownVar and Vary. For Vary it returns a cookie if
// the page would be stored without it.
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
func (k *Keys) isVarInKey(v uwsgi.Vars, name string) bool {
	return k.Template != nil && k.Template.coversVar(name) && k.isRendered(v, v.Get(varKey))
}
