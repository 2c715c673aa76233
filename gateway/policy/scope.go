package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A ScopeKind says what the pages of a Scope have in common, in the words of the
// configuration file.
type ScopeKind string

// The kinds.
const (
	ScopeURL    ScopeKind = "url"    // the pages of URI, in all variants
	ScopePath   ScopeKind = "path"   // the same with any query
	ScopePrefix ScopeKind = "prefix" // the pages whose request target begins with URI
	ScopeSite   ScopeKind = "site"   // the pages of Host
	ScopeTag    ScopeKind = "tag"    // the pages that have Tag
)

// A Scope is a group of pages that become invalid together.
type Scope struct {
	Kind ScopeKind

	// Host is normalized, as in Subject. In a Rule, "" is the host of the request.
	// Purges sets it for all kinds but ScopeTag, where "" stands for all sites.
	Host string

	URI string // a request target
	Tag string
}

// ParseScope reads what a rule purges: tag:news, url:/news/?page=2, path:/news/,
// prefix:/news/ or site. All but tags may name a host other than the request's, as in
// url://www.example.com/news/ or site:www.example.com. Rule.Validate checks the rest.
func ParseScope(text string) (Scope, error) {
	kind, rest, hasRest := strings.Cut(text, ":")
	s := Scope{Kind: ScopeKind(kind)}
	switch s.Kind {
	case ScopeTag:
		s.Tag = rest
	case ScopeSite:
		s.Host = rest
		if hasRest && rest == "" {
			return s, errors.New("write site for the site of the request, or site:HOST, as in site:www.example.com")
		}
	case ScopeURL, ScopePath, ScopePrefix:
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "http:"), "https:")
		s.URI = rest
		if there, ok := strings.CutPrefix(rest, "//"); ok {
			end := pathStart(there, 0)
			if end < 0 {
				end = len(there)
			}
			s.Host, s.URI = there[:end], there[end:]
		}
	default:
		return s, errors.New("write tag:NAME, url:/path, path:/path (with any query), prefix:/path or site")
	}
	s.Host = lowerASCII(s.Host)
	return s, s.check()
}

// String returns the text that ParseScope reads.
func (s Scope) String() string {
	host := s.Host
	switch s.Kind {
	case ScopeTag:
		return "tag:" + s.Tag
	case ScopeSite:
		if host != "" {
			host = ":" + host
		}
		return "site" + host
	}
	if host != "" {
		host = "//" + host
	}
	return string(s.Kind) + ":" + host + s.URI
}

func (s Scope) check() error {
	if s.Host != "" && (!isHostText(s.Host) || normalizeHost(s.Host) != s.Host) {
		return fmt.Errorf("%q is no host: write a name such as www.example.com, without port", s.Host)
	}
	switch s.Kind {
	case ScopeTag:
		switch {
		case strings.Trim(s.Tag, " \t") != s.Tag || s.Tag == "" || strings.ContainsFunc(s.Tag, func(r rune) bool { return r != ' ' && isControlOrSpace(r) }):
			return errors.New("a tag is missing: write it as in tag:news")
		case len(s.Tag) > maxTag:
			return fmt.Errorf("the tag has %d bytes; a tag has at most %d", len(s.Tag), maxTag)
		}
	case ScopeURL, ScopePath, ScopePrefix:
		switch {
		case !strings.HasPrefix(s.URI, "/"):
			return fmt.Errorf("write a path that begins with a slash, as in %s:/news/, or with its host, as in %s://www.example.com/news/", s.Kind, s.Kind)
		case strings.ContainsFunc(s.URI, isControlOrSpace) || strings.Contains(s.URI, "#"):
			return errors.New("write the URL as browsers send it: spaces as %20, and without a fragment (#)")
		case s.Kind == ScopePath && strings.Contains(s.URI, "?"):
			return errors.New("path stands for all queries; remove the query, or write url")
		}
	case ScopeSite:
	default:
		return fmt.Errorf("kind %q is not known", s.Kind)
	}
	return nil
}

// Purges returns what an unsafe request makes invalid besides the entries of Invalidated:
// what the rules say, and the groups of Cache-Group-Invalidation on the request's host
// (RFC 9875). r is nil if the outcome of the request is not known; then the rules count as
// after a success. v are the vars as received.
func (p *Policy) Purges(v uwsgi.Vars, r *uwsgi.Response) (scopes []Scope) {
	if !IsUnsafe(v) || r != nil && (r.StatusCode < 200 || r.StatusCode > 399) {
		return nil
	}
	add := func(s Scope) {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	p.purgesOfRules(v, add)
	if r == nil {
		return scopes
	}
	groups, _ := stringList(r.Header, fieldGroupInvalidation)
	for _, group := range groups {
		if group != "" {
			add(Scope{Kind: ScopeTag, Host: requestHost(v), Tag: PurgeTag(group)})
		}
	}
	return scopes
}

// purgesOfRules passes what all matching rules purge, whatever rules are above them.
func (p *Policy) purgesOfRules(v uwsgi.Vars, add func(Scope)) {
	if p.Rules == nil || !p.Rules.purges {
		return
	}
	seen := seenURLOf(v)
	l := seen.place()
	for _, n := range p.Rules.candidates(l, nil) {
		r := p.rule(n)
		if r.Purge == nil || !r.isForMethod(v.Get("REQUEST_METHOD")) || !r.allows(l) {
			continue
		}
		groups := r.groups(l.path)
		for _, s := range r.Purge {
			s.URI = fill(s.URI, groups, escapeSegment)
			s.Tag = PurgeTag(fill(s.Tag, groups, func(text string) string { return text }))
			if s.Host == "" && s.Kind != ScopeTag {
				s.Host = l.host
			}
			if s.check() == nil {
				add(s)
			}
		}
	}
}

// groups returns what the groups of PathRegexp match in the path, the whole match first.
func (r *Rule) groups(path string) []string {
	if r.PathRegexp == nil {
		return nil
	}
	return r.PathRegexp.FindStringSubmatch(path)
}

// fill replaces $1 to $9 by the groups, and $$ by a dollar sign.
func fill(text string, groups []string, escape func(string) string) string {
	var b strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "$")
		b.WriteString(before)
		if !found || after == "" {
			return b.String()
		}
		if n := int(after[0] - '0'); after[0] == '$' {
			b.WriteByte('$')
		} else if n < len(groups) {
			b.WriteString(escape(groups[n]))
		}
		rest = after[1:]
	}
}

// checkFill returns an error if the text refers to what is none of n groups.
func checkFill(text string, n int) error {
	for rest := text; ; {
		_, after, found := strings.Cut(rest, "$")
		switch {
		case !found:
			return nil
		case after == "" || after[0] != '$' && !(isDigit(after[0]) && after[0] != '0'):
			return errors.New("$ begins the number of a group of the rule's regex, as in $1; write $$ for a dollar sign")
		case after[0] != '$' && int(after[0]-'0') > n:
			return fmt.Errorf("$%c: the rule's regex has %d groups in parentheses", after[0], n)
		}
		rest = after[1:]
	}
}

// escapeSegment percent-encodes what a decoded path may have and a request target may
// not, and what would end the path.
func escapeSegment(text string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c <= 0x20 || c >= 0x7f || strings.IndexByte(`%?#"<>\^{|}`+"`", c) >= 0 {
			b.WriteString(string([]byte{'%', digits[c>>4], digits[c&15]}))
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
