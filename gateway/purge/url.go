package purge

import (
	"fmt"
	"net"
	"strings"
)

// ParseURL reads an absolute URL as a browser would send it: without fragment, and with
// bytes percent-encoded that cannot be in a request line.
func ParseURL(text string) (URL, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || !strings.EqualFold(scheme, "http") && !strings.EqualFold(scheme, "https") {
		return URL{}, fmt.Errorf("%q is no URL: write it with its scheme and host, as in https://www.example.com/news/", text)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, err := parseSite(rest[:end])
	if err != nil {
		return URL{}, fmt.Errorf("%q: %w", text, err)
	}
	uri, _, _ := strings.Cut(rest[end:], "#")
	if !strings.HasPrefix(uri, "/") {
		uri = "/" + uri
	}
	return URL{host, encode(uri)}, nil
}

// parseSite reads a host with or without port, as nginx has it in $host: in lower case,
// without port and without a dot at its end.
func parseSite(text string) (string, error) {
	host := text
	if h, port, err := net.SplitHostPort(text); err == nil && strings.Trim(port, "0123456789") == "" {
		host = h
		if strings.Contains(h, ":") {
			host = "[" + h + "]"
		}
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || strings.ContainsFunc(host, isForeign) {
		return "", fmt.Errorf("%q is no host: write a name as in www.example.com", text)
	}
	return host, nil
}

// isForeign reports whether a rune cannot be in a host.
func isForeign(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\?#@<>"`, r) }

const hexDigits = "0123456789ABCDEF"

// encode percent-encodes the bytes that no request line has.
func encode(uri string) string {
	var b strings.Builder
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f {
			b.WriteString(string([]byte{'%', hexDigits[c>>4], hexDigits[c&15]}))
			continue
		}
		b.WriteByte(uri[i])
	}
	return b.String()
}
