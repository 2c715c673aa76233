package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// isOpen reports whether a client chooses the value freely, so that it may contain
// anything.
func (p *piece) isOpen() bool {
	switch p.text {
	case "request_uri", "uri", "document_uri", "args", "query_string", "remote_user", "content_type":
		return p.render != nil
	case "http_host", "http_x_forwarded_proto", "http_x_forwarded_ssl": // the page must be theirs
		return false
	}
	return p.render != nil && (hasName(p.text, "arg_") || hasName(p.text, "cookie_") || hasName(p.text, "http_"))
}

// isOfURL reports whether the variable is the URL, or its path or query.
func (p *piece) isOfURL() bool {
	switch p.text {
	case "request_uri", "uri", "document_uri", "args", "query_string":
		return true
	}
	return false
}

// endsClosed reports whether a key can be parsed from its end back to the i-th
// piece. It can if only literals follow, or if a literal follows that no later
// value can contain, and clients choose none of these values freely.
func (t *Template) endsClosed(i int) bool {
	rest := t.pieces[i:]
	for j := range rest {
		if rest[j].isOpen() {
			return false
		}
	}
	for j := range rest {
		if rest[j].render != nil {
			return j > 0 && strings.ContainsFunc(rest[0].text, func(r rune) bool {
				return r >= 0x80 || !isNameByte(byte(r)) && !strings.ContainsRune("-.:[]/", r)
			})
		}
	}
	return true
}

// ambiguous returns the first variable whose value contains what follows it in the
// template, nil if there is none. Such a key can be parsed in two ways, and could
// belong to two pages. The template must render.
func (t *Template) ambiguous(v uwsgi.Vars) *piece {
	for i := range t.pieces {
		p := &t.pieces[i]
		if !p.runsOn {
			continue
		}
		value, err := p.render(t, v, p.arg)
		if err == nil && value != "" && !t.isApart(v, value, i+1, p.isOfURL()) {
			return p
		}
	}
	return nil
}

// isApart reports whether the end of a value can be recognized; the i-th piece
// follows it. A URL extends as far as possible, so for a URL only what follows it
// matters.
func (t *Template) isApart(v uwsgi.Vars, value string, i int, isOfURL bool) bool {
	for ; i < len(t.pieces); i++ {
		p := &t.pieces[i]
		switch {
		case p.render == nil:
			return !runsInto(value, p.text)
		case p.text == "request_uri", p.text == "uri", p.text == "document_uri":
			return !strings.ContainsAny(value, "/?")
		case p.text == "is_args":
			return strings.IndexByte(value, '?') < 0
		case p.isOpen() && !isOfURL: // without a value here, another request has this one there
			return false
		}
		if next, err := p.render(t, v, p.arg); err != nil || next != "" {
			return false
		}
	}
	return true
}

// runsInto reports whether the literal that follows a value could begin before the
// value's end.
func runsInto(value, literal string) bool {
	if strings.Contains(value, literal) {
		return true
	}
	for n := 1; n < len(literal); n++ {
		if strings.HasSuffix(value, literal[:n]) && strings.HasPrefix(literal, literal[n:]) {
			return true
		}
	}
	return false
}
