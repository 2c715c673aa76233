package policy

import (
	"crypto/subtle"
	"errors"
	"net/url"
	"strings"

	"uwgate/uwsgi"
)

// A Bypass is the argument with which a GET deletes a page's entry and stores the
// page again: NAME=SECRET is added to the URL. The zero value is none.
type Bypass struct {
	Name   string // compared byte for byte
	Secret string // compared in constant time, as sent and percent-decoded
}

// minSecret prevents secrets that are easy to guess, or that are in a key by
// accident.
const minSecret = 6

// ParseBypass reads NAME=SECRET. Its errors do not contain the secret.
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

// String hides the secret, so that a printed Policy does not contain it.
func (b Bypass) String() string {
	if b.Name == "" {
		return ""
	}
	return b.Name + "=***"
}

// GoString hides the secret from %#v.
func (b Bypass) GoString() string { return "policy.Bypass{" + b.String() + "}" }

// isAsked reports whether the request has the argument with the secret. With any
// other value it is an ordinary argument.
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

// stripURI returns the URI without the argument, and without the question mark if
// no argument is left.
func (b *Bypass) stripURI(uri string) string {
	path, query, fragment := cutQuery(uri)
	if rest := b.stripQuery(query); rest != "" {
		return path + "?" + rest + fragment
	}
	return path + fragment
}

// stripQuery removes every occurrence of the argument, whatever its value, and
// also those whose name is the same only after decoding: to the application they
// are the same. It also removes other arguments that contain the secret.
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

// cutQuery splits a request target. nginx keeps a fragment in $request_uri, but
// ends $args before it.
func cutQuery(uri string) (path, query, fragment string) {
	end := len(uri)
	if i := strings.IndexByte(uri, '#'); i >= 0 {
		end = i
	}
	path, query, _ = strings.Cut(uri[:end], "?")
	return path, query, uri[end:]
}

// strip returns the vars without the argument. It also removes other vars that
// contain the secret, such as the Referer of a reload: a page might show them.
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

// isTold reports whether s contains the secret, also if it is percent-encoded or
// in a URL within a URL.
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

// maxEncodings is how many times the secret may be encoded: once for each URL
// within a URL.
const maxEncodings = 3
