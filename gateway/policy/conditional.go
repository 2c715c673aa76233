package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// NotModified reports whether a 304 may replace a 200 with that header, because
// the client has the page already (RFC 9110 §13.2.2). v are the vars as received.
// If there is an If-None-Match, it alone decides, otherwise If-Modified-Since.
//
// NotModified returns false for methods other than GET, and for a condition that
// is malformed or repeated with different values. It returns false if the request
// has If-Match or If-Unmodified-Since, which uwgate cannot judge, and if the
// response does more than show the page: if it sets a cookie, or tells nginx to
// send something else.
func NotModified(v uwsgi.Vars, h uwsgi.Header) bool {
	if !isConditional(v) || !v.Agreed("REQUEST_METHOD") || v.Get("REQUEST_METHOD") != "GET" {
		return false
	}
	if v.Count("HTTP_IF_MATCH") > 0 || v.Count("HTTP_IF_UNMODIFIED_SINCE") > 0 {
		return false
	}
	if _, found := conflict(h); found {
		return false
	}
	for _, name := range actingFields {
		if h.Has(name) {
			return false
		}
	}
	if tags, given := v.Lookup("HTTP_IF_NONE_MATCH"); given {
		return v.Agreed("HTTP_IF_NONE_MATCH") && hasTag(tags, h.Get("ETag"))
	}
	return v.Agreed("HTTP_IF_MODIFIED_SINCE") && isNoNewer(h.Get("Last-Modified"), v.Get("HTTP_IF_MODIFIED_SINCE"))
}

// isConditional reports whether the client asks if it has the page already. Most
// requests do not.
func isConditional(v uwsgi.Vars) bool {
	for i := range v {
		if asksForChange(v[i].Name) {
			return true
		}
	}
	return false
}

// actingFields have an effect that would be lost with a 304.
var actingFields = []string{"Set-Cookie", "Set-Cookie2", "X-Accel-Redirect", "X-Sendfile", "X-Lighttpd-Send-File", "Clear-Site-Data"}

// isNoNewer implements RFC 9110 §13.1.3.
func isNoNewer(modified, since string) bool {
	m, ok := parseDate(modified)
	if !ok {
		return false
	}
	s, ok := parseDate(since)
	return ok && !m.After(s)
}

// hasTag reports whether an If-None-Match contains the page's entity-tag. The list
// * contains all (RFC 9110 §13.1.2), and weak and strong tags are equal
// (§8.8.3.2).
func hasTag(list, etag string) bool {
	if list == "*" {
		return true
	}
	own, rest, ok := cutTag(etag)
	if !ok || rest != "" {
		return false
	}
	found := false
	for rest = trimList(list); rest != ""; {
		var tag string
		if tag, rest, ok = cutTag(rest); !ok {
			return false
		}
		found = found || tag == own
		next := trimList(rest)
		if next != "" && !strings.Contains(rest[:len(rest)-len(next)], ",") {
			return false
		}
		rest = next
	}
	return found
}

// trimList removes what may be before a member of a list, such as empty members
// (RFC 9110 §5.6.1.2).
func trimList(s string) string { return strings.TrimLeft(s, " \t,") }

// cutTag cuts an entity-tag (RFC 9110 §8.8.3) off s, and removes its quotes and
// W/. A backslash is a character like others.
func cutTag(s string) (opaque, rest string, ok bool) {
	s = strings.TrimPrefix(s, "W/")
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[1:i], s[i+1:], true
		case c <= ' ', c == 0x7f:
			return "", "", false
		}
	}
	return "", "", false
}

// notModifiedFields are the headers that a 304 must have if the 200 had them (RFC
// 9110 §15.4.5), and those that address caches on the way.
var notModifiedFields = []string{
	"Age", "Cache-Control", fieldCDN, "Content-Location", "Date", "ETag", "Expires", fieldSurrogate, "Vary",
}

// NotModifiedHeader returns the header of the 304 that replaces a 200 (RFC 9110
// §15.4.5). It contains Last-Modified only if there is no ETag. It does not change
// h. Call it before Align, which removes validators.
func NotModifiedHeader(h uwsgi.Header) uwsgi.Header {
	var kept uwsgi.Header
	tagged := h.Has("ETag")
	for _, f := range h {
		is := func(name string) bool { return equalFold(name, f.Name) }
		if slices.ContainsFunc(notModifiedFields, is) || !tagged && is("Last-Modified") {
			kept = append(kept, f)
		}
	}
	return kept
}
