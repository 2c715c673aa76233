package policy

import (
	"fmt"
	"strconv"
	"strings"

	"uwgate/uwsgi"
)

// A Template renders $memcached_key from the vars that nginx sends with a
// request. It comes from ParseTemplate; the zero Template has no key. It is
// safe for concurrent use.
type Template struct {
	// Nginx is the version that sends the requests. Versions read repeated
	// headers and cookies differently, and a packet does not tell which one
	// sent it. Zero means unknown: then a request on which they disagree has
	// no key. Set it before the first use.
	Nginx Version

	// Visitors classify the cookies for $visitor; they are to be those of the Policy.
	// Set it before the first use.
	Visitors *Visitors

	pieces []piece
}

// A piece is literal text, or a variable if render is set.
type piece struct {
	text   string // the literal, or the variable's name in lower case
	arg    string // what render needs: a var's name, or that of an argument, a cookie
	render func(t *Template, v uwsgi.Vars, arg string) (string, error)
}

// A Version is that of an nginx. Zero means unknown.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads "1.22.1"; "" is unknown.
func ParseVersion(s string) (Version, error) {
	if s == "" {
		return Version{}, nil
	}
	var n [3]int
	parts := strings.Split(s, ".")
	if len(parts) != len(n) {
		return Version{}, fmt.Errorf("policy: nginx version %q is not of the form 1.22.1", s)
	}
	for i, part := range parts {
		number, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return Version{}, fmt.Errorf("policy: nginx version %q is not of the form 1.22.1", s)
		}
		n[i] = int(number)
	}
	return Version{n[0], n[1], n[2]}, nil
}

func (v Version) isKnown() bool { return v != Version{} }

// since reports whether v is known to be w or later.
func (v Version) since(w Version) bool {
	if v.Major != w.Major {
		return v.Major > w.Major
	}
	if v.Minor != w.Minor {
		return v.Minor > w.Minor
	}
	return v.Patch >= w.Patch && v.isKnown()
}

// ParseTemplate reads the value of nginx's `set $memcached_key`, as it stands
// between its quotes: $name and ${name}, names without case
// (ngx_http_script_compile). A variable that nginx's packet does not determine
// is an error, and so is a template without variables: it would give all pages
// one key.
func ParseTemplate(s string) (*Template, error) {
	t := &Template{}
	variables := 0
	for rest := s; rest != ""; {
		text, after, found := strings.Cut(rest, "$")
		if text != "" {
			t.pieces = append(t.pieces, piece{text: text})
		}
		if !found {
			break
		}
		name, tail, err := cutVariable(after)
		if err != nil {
			return nil, fmt.Errorf("policy: template %q: %w", s, err)
		}
		p, err := newVariable(name)
		if err != nil {
			return nil, fmt.Errorf("policy: template %q: %w", s, err)
		}
		t.pieces = append(t.pieces, p)
		variables++
		rest = tail
	}
	if variables == 0 {
		return nil, fmt.Errorf("policy: template %q has no variable, so all pages would have one key; write it as in nginx's `set $memcached_key`", s)
	}
	return t, nil
}

// cutVariable takes the name off what follows a dollar sign.
func cutVariable(s string) (name, tail string, err error) {
	inner, braced := strings.CutPrefix(s, "{")
	n := 0
	for n < len(inner) && isNameByte(inner[n]) {
		n++
	}
	switch {
	case n == 0:
		return "", "", fmt.Errorf("$ is not followed by a variable's name, at %.20q", s)
	case !braced && '1' <= s[0] && s[0] <= '9':
		return s[:1], s[1:], nil // a capture has one digit
	case !braced:
		return inner[:n], inner[n:], nil
	case n == len(inner) || inner[n] != '}':
		return "", "", fmt.Errorf("the closing brace of ${%s is missing", inner[:n])
	}
	return inner[:n], inner[n+1:], nil
}

func isNameByte(c byte) bool {
	return 'a' <= lower(c) && lower(c) <= 'z' || isDigit(c) || c == '_'
}

// Expand renders the key of a request from its vars as received, repeats
// included. The errors name what is missing or ambiguous, never its value.
func (t *Template) Expand(v uwsgi.Vars) (string, error) {
	key := make([]byte, 0, 128)
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.render == nil {
			key = append(key, p.text...)
			continue
		}
		value, err := p.render(t, v, p.arg)
		if err != nil {
			return "", fmt.Errorf("policy: template: $%s: %w", p.text, err)
		}
		key = append(key, value...)
	}
	return string(key), nil
}

// Covers reports whether the key contains the whole value of that request
// header, so that pages that vary by it have keys of their own.
func (t *Template) Covers(header string) bool {
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.render == nil {
			continue
		}
		if name, ok := strings.CutPrefix(p.text, "http_"); ok && isHeaderVariable(header, name) {
			return true
		}
		if p.text == "host" && equalFold(header, "Host") {
			return true
		}
	}
	return false
}

// coversVar is Covers for the header of that var.
func (t *Template) coversVar(name string) bool {
	for i := range t.pieces {
		if p := &t.pieces[i]; p.arg == name && strings.HasPrefix(p.text, "http_") {
			return true
		}
	}
	return false
}

// coversCookie reports whether the key contains the value of that cookie. nginx compares
// without case and applications do not, so the template must spell it alike.
func (t *Template) coversCookie(name string) bool {
	for i := range t.pieces {
		if p := &t.pieces[i]; p.arg == name && strings.HasPrefix(p.text, "cookie_") {
			return true
		}
	}
	return false
}

// isHeaderVariable compares a header's name with the rest of $http_rest.
func isHeaderVariable(header, rest string) bool {
	if len(header) != len(rest) || strings.Contains(header, "_") {
		return false
	}
	return equalFold(strings.ReplaceAll(header, "-", "_"), rest)
}
