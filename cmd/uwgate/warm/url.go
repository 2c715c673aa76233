package warm

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Normalize returns a URL as a browser requests it: without white space around it and
// without a fragment, with a slash in place of an empty path, and with the bytes encoded
// that may not stand in a request. It leaves all else as it is, since nginx's key consists
// of these bytes. A path, which begins with one slash, is one of site, which may be empty,
// as in "https://www.example.com".
func Normalize(site, raw string) (string, error) {
	raw = strings.TrimSpace(raw)
	if strings.HasPrefix(raw, "/") && !strings.HasPrefix(raw, "//") {
		if site == "" {
			return "", fmt.Errorf("%q is a path: write the whole URL, or name the site with --site", raw)
		}
		scheme, host, _ := cut(site)
		return scheme + "://" + host + target(raw), nil
	}
	scheme, host, rest := cut(raw)
	switch {
	case scheme != "http" && scheme != "https":
		return "", fmt.Errorf("%q: write a URL, as in https://www.example.com/page, or a path of --site, which begins with a slash, as in /page", raw)
	case strings.Contains(host, "@"):
		return "", errors.New("the URL has a user before its host; write -H 'Authorization: …'")
	}
	if u, err := url.Parse(scheme + "://" + host); err != nil || u.Hostname() == "" {
		return "", fmt.Errorf("%q has no valid host", raw)
	}
	return scheme + "://" + host + target(rest), nil
}

// cut divides a URL. Scheme and host are in lower case; rest is what follows the host.
func cut(s string) (scheme, host, rest string) {
	scheme, after, _ := strings.Cut(s, "://")
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	return strings.ToLower(scheme), strings.ToLower(after[:end]), after[end:]
}

// HostOf returns the host of a URL, with its port if it has one, in lower case.
func HostOf(page string) string {
	_, host, _ := cut(page)
	return host
}

// target returns the target of the request for what follows the host of a URL.
func target(rest string) string {
	rest, _, _ = strings.Cut(rest, "#")
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	path, query, has := strings.Cut(rest, "?")
	path = encode(path, "\"<>`{}^")
	if has {
		return path + "?" + encode(query, "\"<>'")
	}
	return path
}

// encode encodes control bytes, spaces, bytes beyond ASCII, and those of also: the path
// and query percent-encode sets of the URL standard (url.spec.whatwg.org).
func encode(s, also string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(also, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
