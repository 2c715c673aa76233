package policy

import (
	"fmt"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A Template renders $memcached_key from the vars that nginx sends with a request.
// ParseTemplate makes one; the zero Template renders the empty key. It is safe for
// concurrent use.
type Template struct {
	// Nginx is the version that sends the requests. Versions read repeated
	// headers and cookies differently, and a packet does not tell which one
	// sent it. Zero means unknown: then a request on which they disagree has
	// no key. Set it before the first use.
	Nginx Version

	// Visitors classify the cookies for $visitor. They must be those of the Policy.
	// Set it before the first use.
	Visitors *Visitors

	// Generation is that of WithGeneration, with which the template begins. It says what
	// another generation of the same keys is. Set it before the first use.
	Generation string

	pieces []piece
	forms  []form // of the pieces
	says   says
	host   string // the only host in its literals, "" if there is none or another
}

// says is what the keys of a template contain of a request's target.
type says struct {
	uri      bool     // $request_uri
	path     bool     // $uri
	query    bool     // $args
	args     []string // the names of $arg_…, as they are written
	host     bool     // $host or $http_host
	httpHost bool     // $http_host
	scheme   bool     // $scheme or $https
	proto    bool     // $http_x_forwarded_proto
	ssl      bool     // $http_x_forwarded_ssl
	open     bool     // see Template.ambiguous: there is something to look at
}

// A piece is literal text, or a variable if render is set.
type piece struct {
	text   string // the literal, or the variable's name in lower case
	arg    string // what render needs: a var's name, or that of an argument, a cookie
	render func(t *Template, v uwsgi.Vars, arg string) (string, error)

	runsOn bool // its value is a client's free choice, and may not be seen to end
}

// ParseTemplate reads the value of nginx's `set $memcached_key`, without its
// quotes: $name and ${name}, in any case (ngx_http_script_compile). It returns an
// error for a variable that nginx's packet does not determine, and for a template
// without variables, which would give all pages one key.
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
	t.says = t.sum()
	for i := range t.pieces {
		t.forms = append(t.forms, newForm(&t.pieces[i]))
	}
	t.host = t.literalHost()
	return t, nil
}

// sum returns what the keys contain, and marks the values that run on.
func (t *Template) sum() (s says) {
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.render == nil {
			continue
		}
		switch p.text {
		case "request_uri":
			s.uri = true
		case "uri", "document_uri":
			s.path = true
		case "args", "query_string":
			s.query = true
		case "host":
			s.host = true
		case "http_host":
			s.host, s.httpHost = true, true
		case "scheme", "https":
			s.scheme = true
		case "http_x_forwarded_proto":
			s.proto = true
		case "http_x_forwarded_ssl":
			s.ssl = true
		}
		if strings.HasPrefix(p.text, "arg_") {
			s.args = append(s.args, p.arg)
		}
		p.runsOn = p.isOpen() && !t.endsClosed(i+1)
		s.open = s.open || p.runsOn
	}
	return s
}

// hasLiteralHost reports whether a literal of the template contains the host.
func (t *Template) hasLiteralHost(host string) bool {
	for i := range t.pieces {
		if p := &t.pieces[i]; p.render == nil && hasHost(p.text, host) {
			return true
		}
	}
	return false
}

// namesHost reports whether a literal of the template contains any host.
func (t *Template) namesHost() bool {
	for i := range t.pieces {
		if t.pieces[i].render != nil {
			continue
		}
		if namesHost(t.pieces[i].text) {
			return true
		}
	}
	return false
}

// literalHost returns the only host in the literals, "" if there are none or several.
func (t *Template) literalHost() (only string) {
	for i := range t.pieces {
		if t.pieces[i].render != nil {
			continue
		}
		for host := range hostsIn(t.pieces[i].text) {
			host = lowerASCII(host)
			if only != "" && host != only {
				return ""
			}
			only = host
		}
	}
	return only
}

// cutVariable cuts the name off the text that follows a dollar sign.
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

// Expand renders the key of a request from its vars as received, repeats included.
// Its errors name what is missing or ambiguous, but never a value.
func (t *Template) Expand(v uwsgi.Vars) (string, error) { return t.expand(v, nil) }

// expand is Expand with the given values of some variables.
func (t *Template) expand(v uwsgi.Vars, given map[string]string) (string, error) {
	key := make([]byte, 0, 128)
	for i := range t.pieces {
		p := &t.pieces[i]
		if p.render == nil {
			key = append(key, p.text...)
			continue
		}
		if value, ok := given[p.text]; ok {
			key = append(key, value...)
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

// renders reports whether Expand returns that key.
func (t *Template) renders(v uwsgi.Vars, key string) bool { return t.rendersBehind(v, key, 0) }

// rendersBehind reports whether Expand returns that key behind its first skip bytes, which
// are literal.
func (t *Template) rendersBehind(v uwsgi.Vars, key string, skip int) bool {
	for i := range t.pieces {
		p := &t.pieces[i]
		text := p.text
		if i == 0 {
			text = text[skip:]
		}
		if p.render != nil {
			var err error
			if text, err = p.render(t, v, p.arg); err != nil {
				return false
			}
		}
		if !strings.HasPrefix(key, text) {
			return false
		}
		key = key[len(text):]
	}
	return key == ""
}

// isByVisitor reports whether each class of visitors has a key of its own.
func (t *Template) isByVisitor() bool {
	return slices.ContainsFunc(t.pieces, func(p piece) bool { return p.render != nil && p.text == visitorVariable })
}

// covers reports whether the key contains the whole value of that request header,
// so that pages that vary by it have different keys.
func (t *Template) covers(header string) bool {
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

// coversVar is covers for the header of that var.
func (t *Template) coversVar(name string) bool {
	for i := range t.pieces {
		if p := &t.pieces[i]; p.arg == name && strings.HasPrefix(p.text, "http_") {
			return true
		}
	}
	return false
}

// coversCookie reports whether the key contains the value of that cookie. nginx
// ignores case and applications do not, so the template must spell the name in the
// same way.
func (t *Template) coversCookie(name string) bool {
	for i := range t.pieces {
		if p := &t.pieces[i]; p.arg == name && strings.HasPrefix(p.text, "cookie_") {
			return true
		}
	}
	return false
}

// isHeaderVariable compares the name of a header with the rest of $http_rest.
func isHeaderVariable(header, rest string) bool {
	if len(header) != len(rest) || strings.Contains(header, "_") {
		return false
	}
	return equalFold(strings.ReplaceAll(header, "-", "_"), rest)
}
