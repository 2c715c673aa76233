package cachewriter

import (
	"bytes"
	"strings"
)

// normalURI returns the same text for all request targets by which an application gets the
// same path and the same arguments. nginx decodes a path, and removes dot segments and
// repeated slashes (ngx_http_parse_complex_uri). The application decodes the arguments;
// there `+` is a space, `a` is `a=`, and `a=1&` is `a=1`. Without merge_slashes, or for an application that looks at the raw
// target, two pages may have one form. Then a purge of one takes the other, too.
//
// A prefix keeps a question mark at its end, and a last segment of dots: that may be the
// beginning of a longer one.
func normalURI(uri string, isPrefix bool) string {
	if isNormal(uri) {
		return uri
	}
	uri, _, _ = strings.Cut(uri, "#")
	path, query, asks := strings.Cut(uri, "?")
	if path == "" && asks { // GET http://www.example.com?a
		path = "/"
	}
	b := appendPath(make([]byte, 0, len(uri)+8), path)
	if !isPrefix {
		b = foldDots(b)
	}
	if asks {
		b = appendArguments(b, query, isPrefix)
	}
	return string(b)
}

// appendArguments appends a query with its question mark, without empty arguments, and with a
// `=` in each. There is no question mark if no argument is left. The last one of a prefix may
// go on.
func appendArguments(b []byte, query string, isPrefix bool) []byte {
	start := len(b)
	b = append(b, '?')
	for more := true; more; {
		var arg string
		arg, query, more = strings.Cut(query, "&")
		mayGoOn, begin := isPrefix && !more, len(b)
		if (arg != "" || mayGoOn) && begin > start+1 {
			b = append(b, '&')
		}
		b = appendQuery(b, arg)
		if arg != "" && !mayGoOn && bytes.IndexByte(b[begin:], '=') < 0 {
			b = append(b, '=')
		}
	}
	if len(b) == start+1 && !isPrefix {
		return b[:start]
	}
	return b
}

// isNormal reports whether it is certain that normalURI changes nothing, as for most.
func isNormal(uri string) bool {
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		for arg := range strings.SplitSeq(uri[i+1:], "&") {
			if !strings.Contains(arg, "=") {
				return false
			}
		}
	}
	asks := false
	for i := range len(uri) {
		next := byte(0)
		if i+1 < len(uri) {
			next = uri[i+1]
		}
		switch c := uri[i]; {
		case c == '%' || c == '#' || !isGraphic(c):
			return false
		case asks:
			if c == '+' {
				return false
			}
		case c == '?':
			if asks = true; i == 0 || next == 0 {
				return false
			}
		case c == '/' && (next == '/' || next == '.'):
			return false
		}
	}
	return true
}

// appendPath appends a path, decoded as far as its bytes may stand in one. A last segment
// of dots stays.
func appendPath(b []byte, path string) []byte {
	for i := 0; i < len(path); {
		c, n := decode(path[i:])
		i += n
		if c == '/' {
			b = foldDots(b)
		}
		switch {
		case c == '/' && len(b) > 0 && b[len(b)-1] == '/':
		case n == 1 && c == '%', isGraphic(c) && strings.IndexByte("%?#", c) < 0:
			b = append(b, c)
		default:
			b = appendEscape(b, c)
		}
	}
	return b
}

// foldDots removes the last segment if it is one dot, and the one before it, too, if it is
// two.
func foldDots(b []byte) []byte {
	start := bytes.LastIndexByte(b, '/') + 1
	switch string(b[start:]) {
	case ".":
		return b[:start]
	case "..":
		if start > 1 {
			start = bytes.LastIndexByte(b[:start-1], '/') + 1
		}
		return b[:start]
	}
	return b
}

// appendQuery appends a query, decoded as far as no argument becomes another.
func appendQuery(b []byte, query string) []byte {
	for i := 0; i < len(query); {
		c, n := decode(query[i:])
		i += n
		switch {
		case n == 1 && c == '+':
			b = append(b, "%20"...)
		case n == 1 && isGraphic(c), isGraphic(c) && strings.IndexByte("%&=+;#", c) < 0:
			b = append(b, c)
		default:
			b = appendEscape(b, c)
		}
	}
	return b
}

// decode returns the first byte of a text that is not empty, and how many bytes it takes. What
// is no escape is a percent sign.
func decode(s string) (c byte, n int) {
	if s[0] == '%' && len(s) > 2 && isHex(s[1]) && isHex(s[2]) {
		return unhex(s[1])<<4 | unhex(s[2]), 3
	}
	return s[0], 1
}

func appendEscape(b []byte, c byte) []byte { return append(b, '%', upperHex[c>>4], upperHex[c&0xf]) }

func isGraphic(c byte) bool { return c > ' ' && c < 0x7f }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
