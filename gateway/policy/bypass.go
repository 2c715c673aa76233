package policy

import (
	"crypto/subtle"
	"errors"
	"net/url"
	"strings"

	"uwgate/uwsgi"
)

// A Bypass is the argument that has a page's entry deleted and filled anew:
// a GET of the page's URL with NAME=SECRET added. The zero value is none.
type Bypass struct {
	Name   string // compared byte for byte
	Secret string // compared in constant time, as sent and percent-decoded
}

// minSecret keeps a secret from being guessed at once, and from standing in a
// key by accident.
const minSecret = 6

// ParseBypass reads NAME=SECRET. Its errors do not repeat the secret.
func ParseBypass(s string) (Bypass, error) {
	name, secret, ok := strings.Cut(s, "=")
	switch {
	case !ok || name == "":
		return Bypass{}, errors.New("policy: bypass argument is not of the form NAME=SECRET")
	case strings.ContainsFunc(name, func(r rune) bool { return !isWordRune(r) }):
		return Bypass{}, errors.New("policy: name of the bypass argument may hold letters, digits, '-', '.' and '_' only")
	case len(secret) < minSecret:
		return Bypass{}, errors.New("policy: secret of the bypass argument is shorter than 6 bytes; take a long random one")
	}
	return Bypass{Name: name, Secret: secret}, nil
}

func isWordRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.' || r == '_'
}

// String leaves the secret out, so that a printed Policy does not tell it.
func (b Bypass) String() string {
	if b.Name == "" {
		return ""
	}
	return b.Name + "=***"
}

// GoString does for %#v what String does for %v.
func (b Bypass) GoString() string { return "policy.Bypass{" + b.String() + "}" }

// isAsked reports whether the request carries the argument with the secret.
// Any other value makes it an argument like all others.
func (b *Bypass) isAsked(s *seenURL) bool {
	if b.Name == "" || b.Secret == "" {
		return false
	}
	_, query, _ := cutQuery(s.uri)
	return b.isIn(query) || s.query != query && b.isIn(s.query)
}

func (b *Bypass) isIn(query string) bool {
	if !strings.Contains(query, b.Name) {
		return false
	}
	for arg := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(arg, "=")
		if name == b.Name && b.isSecret(value) {
			return true
		}
	}
	return false
}

func (b *Bypass) isSecret(value string) bool {
	same := subtle.ConstantTimeCompare([]byte(value), []byte(b.Secret))
	if decoded, err := url.QueryUnescape(value); err == nil {
		same |= subtle.ConstantTimeCompare([]byte(decoded), []byte(b.Secret))
	}
	return same == 1
}

// stripURI returns the URI without the argument, and without the question mark
// if nothing is left behind it.
func (b *Bypass) stripURI(uri string) string {
	path, query, fragment := cutQuery(uri)
	if rest := b.stripQuery(query); rest != "" {
		return path + "?" + rest + fragment
	}
	return path + fragment
}

// stripQuery removes every occurrence of the argument, whatever its value, and
// those too whose name is the same only once decoded: to the application they
// are one. Other arguments that repeat the secret go, too.
func (b *Bypass) stripQuery(query string) string {
	var kept []string
	for arg := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(arg, "=")
		if decoded, err := url.QueryUnescape(name); name == b.Name || err == nil && decoded == b.Name || b.isTold(arg) {
			continue
		}
		kept = append(kept, arg)
	}
	return strings.Join(kept, "&")
}

// cutQuery splits a request target. nginx keeps a fragment in $request_uri,
// but ends $args before it.
func cutQuery(uri string) (path, query, fragment string) {
	end := len(uri)
	if i := strings.IndexByte(uri, '#'); i >= 0 {
		end = i
	}
	path, query, _ = strings.Cut(uri[:end], "?")
	return path, query, uri[end:]
}

// strip returns the vars of the same request without the argument. Other vars
// that repeat the secret (the Referer of a reload, say) are left out: a page
// might show them.
func (b *Bypass) strip(v uwsgi.Vars) uwsgi.Vars {
	clean := make(uwsgi.Vars, 0, len(v))
	for _, x := range v {
		switch {
		case x.Name == "REQUEST_URI":
			x.Value = b.stripURI(x.Value)
		case x.Name == "QUERY_STRING":
			x.Value = b.stripQuery(x.Value)
		case x.Name != "PATH_INFO" && b.isTold(x.Value):
			continue
		}
		clean = append(clean, x)
	}
	return clean
}

// isTold reports whether s contains the secret, percent-encoded or not, and even within a
// URL that is an argument of another one's.
func (b *Bypass) isTold(s string) bool {
	if b.Secret == "" {
		return false
	}
	for range 1 + maxEncodings {
		if strings.Contains(s, b.Secret) {
			return true
		}
		decoded, err := url.QueryUnescape(s)
		if err != nil || decoded == s {
			return false
		}
		s = decoded
	}
	return false
}

// maxEncodings is how often the secret may be encoded: once for each URL within a URL.
const maxEncodings = 3
