package policy

import (
	"slices"
	"strings"
)

// maxSpellings bounds the spellings of one request target.
const maxSpellings = 12

// spellings returns the request targets by which programs usually ask for the page of a
// request target, itself first: percent-encoded as browsers do it, as RFC 3986 has it, as
// encodeURIComponent and Python's quote do it, and with small hex digits; without dot
// segments and repeated slashes; and with an empty query, as forms without fields send it.
//
// There is no end of others (`/%61bout`). Only a walk finds all of them (cachewriter.Scope).
func spellings(uri string) []string {
	all := []string{uri}
	if !hasURI(uri) {
		return all
	}
	raw, query, _ := cutQuery(uri)
	queries := querySpellings(query)
	for _, path := range pathSpellings(raw) {
		for _, q := range queries {
			if other := path + q; len(all) < maxSpellings && !slices.Contains(all, other) {
				all = append(all, other)
			}
		}
	}
	return all
}

// Bytes that an encoder leaves as they are, besides letters, digits and "-._~/".
const (
	byRFC       = "!$&'()*+,;=:@"
	byBrowsers  = byRFC + `[]|^\`
	byComponent = "!'()*" // encodeURIComponent
	byQuote     = ""      // Python's quote
)

func pathSpellings(raw string) []string {
	paths := []string{raw}
	if isPlain(raw) {
		return paths
	}
	clean := normalPath(raw)
	if clean == raw && strings.Contains(raw, "%") {
		return paths // it cannot be decoded
	}
	for _, kept := range []string{byRFC, byBrowsers, byComponent, byQuote} {
		paths = append(paths, encodeBut(clean, kept, upperHex))
	}
	return append(paths, encodeBut(clean, byRFC, lowerHex))
}

// isPlain reports whether a path is spelled in one way only.
func isPlain(path string) bool {
	for i := range len(path) {
		if c := path[i]; !isUnreserved(c) && c != '/' || c == '.' && i > 0 && path[i-1] == '/' || c == '/' && i > 0 && path[i-1] == '/' {
			return false
		}
	}
	return path != ""
}

// querySpellings returns the queries with their question mark.
func querySpellings(query string) []string {
	if query == "" {
		return []string{"", "?"}
	}
	return []string{"?" + query, "?" + encodeQuery(query, byRFC+"?", "%20"), "?" + encodeQuery(query, byQuote, "+")}
}

// encodeQuery encodes names and values, but for kept bytes. What divides them stays.
func encodeQuery(query, kept, space string) string {
	var b strings.Builder
	for i := 0; i < len(query); {
		c, n := decodeByte(query[i:])
		i += n
		switch {
		case c == ' ' || c == '+' && n == 1:
			b.WriteString(space)
		case n == 1 && strings.IndexByte("&=;", c) >= 0, isUnreserved(c):
			b.WriteByte(c)
		case strings.IndexByte("&=;+", c) < 0 && (c == '/' && kept != "" || strings.IndexByte(kept, c) >= 0):
			b.WriteByte(c)
		default:
			b.WriteString(escaped(c, upperHex))
		}
	}
	return b.String()
}

// encodeBut encodes all bytes of a path but slashes, unreserved ones and those that are kept.
func encodeBut(path, kept, digits string) string {
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; c == '/' || isUnreserved(c) || strings.IndexByte(kept, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString(escaped(c, digits))
		}
	}
	return b.String()
}

const (
	upperHex = "0123456789ABCDEF"
	lowerHex = "0123456789abcdef"
)

func escaped(c byte, digits string) string {
	return string([]byte{'%', digits[c>>4], digits[c&15]})
}

// decodeByte returns the first byte of a text that is not empty, and how many bytes it takes.
// What is no escape is a percent sign.
func decodeByte(s string) (c byte, n int) {
	if s[0] == '%' && len(s) > 2 {
		high, low := strings.IndexByte(lowerHex, s[1]|0x20), strings.IndexByte(lowerHex, s[2]|0x20)
		if high >= 0 && low >= 0 {
			return byte(high<<4 | low), 3
		}
	}
	return s[0], 1
}

// isUnreserved reports whether a byte need not be encoded anywhere (RFC 3986 §2.3).
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
