package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// NotModified reports whether a client that has the page already, as the vars
// of its request as received tell, may be answered 304 in place of a 200 with
// that header (RFC 9110 §13.2.2). If-None-Match decides alone where there is
// one; else If-Modified-Since does. It is false for other methods than GET,
// for whatever is malformed or given twice with different values, and beside If-Match and
// If-Unmodified-Since, which ask for more than we can say. It is false, too, of an
// answer that does more than show the page: one that sets a cookie, or has nginx
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

// isConditional lets most requests off: those that do not ask.
func isConditional(v uwsgi.Vars) bool {
	for i := range v {
		if asksForChange(v[i].Name) {
			return true
		}
	}
	return false
}

// actingFields are lost with a 304, and what they do with them.
var actingFields = []string{"Set-Cookie", "Set-Cookie2", "X-Accel-Redirect", "X-Sendfile", "X-Lighttpd-Send-File", "Clear-Site-Data"}

// isNoNewer is RFC 9110 §13.1.3.
func isNoNewer(modified, since string) bool {
	m, ok := parseDate(modified)
	if !ok {
		return false
	}
	s, ok := parseDate(since)
	return ok && !m.After(s)
}

// hasTag reports whether an If-None-Match names the page's entity-tag: * names
// any (RFC 9110 §13.1.2), and weak and strong tags are the same (§8.8.3.2).
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

// trimList removes what may stand before a member of a list, empty members
// included (RFC 9110 §5.6.1.2).
func trimList(s string) string { return strings.TrimLeft(s, " \t,") }

// cutTag takes an entity-tag (RFC 9110 §8.8.3) off s, and leaves its quotes
// and whether it is weak behind. A backslash is a character like others.
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

// notModifiedFields are those that a 304 must have if the 200 had them (RFC
// 9110 §15.4.5), and those that speak to caches on the way.
var notModifiedFields = []string{
	"Age", "Cache-Control", fieldCDN, "Content-Location", "Date", "ETag", "Expires", fieldSurrogate, "Vary",
}

// NotModifiedHeader returns what a 304 carries of the header of the 200 in
// whose place it stands (RFC 9110 §15.4.5). Last-Modified comes along only if
// there is no ETag. It does not change h; call it before Align, which drops
// validators.
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
