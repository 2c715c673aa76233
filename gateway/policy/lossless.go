package policy

import (
	"mime"
	"net/url"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// isTypeOf reports whether a hit would have the Content-Type of the response,
// charset included. A hit may add UTF-8 if the response names no charset, as
// Django's welcome page does: content.mislabels checks the body.
func (h *Hits) isTypeOf(v uwsgi.Vars, fields uwsgi.Header) bool {
	got := fields.Get("Content-Type")
	want, ok := h.typeOf(v)
	if !ok || got == "" {
		return false
	}
	return equalFold(got, want) || SameType(got, want) || SameType(got+utf8Parameter, want)
}

const utf8Parameter = "; charset=utf-8"

// SameType reports whether two media types are equal, however they are spelled
// (RFC 9110 §8.3.1). It returns false if one is malformed.
func SameType(got, want string) bool {
	a, aParams, err := mime.ParseMediaType(got)
	if err != nil {
		return false
	}
	b, bParams, err := mime.ParseMediaType(want)
	if err != nil || a != b || len(aParams) != len(bParams) {
		return false
	}
	for name, value := range aParams {
		if other, ok := bParams[name]; !ok || !equalFold(value, other) {
			return false
		}
	}
	return true
}

// typeOf returns the Content-Type that nginx sends for the path of a hit
// (ngx_http_set_content_type and the charset filter).
func (h *Hits) typeOf(v uwsgi.Vars) (mediaType string, ok bool) {
	path, ok := decodedPath(v)
	if !ok {
		return "", false
	}
	byDefault := h.defaultType()
	types := h.Types
	if types == nil {
		types = stockTypes
	}
	mapped, found := types[lowerASCII(extension(path))]
	if !found {
		return byDefault, true
	}
	if slices.Contains(charsetTypes, mapped) {
		mapped += charsetOf(byDefault)
	}
	return mapped, true
}

func (h *Hits) defaultType() string {
	if h.Type == "" {
		return defaultHitType
	}
	return h.Type
}

// charsetTypes are nginx's default charset_types.
var charsetTypes = []string{
	"text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml",
}

func charsetOf(mediaType string) string {
	_, params, err := mime.ParseMediaType(mediaType)
	if err != nil || params["charset"] == "" {
		return ""
	}
	return "; charset=" + params["charset"]
}

// decodedPath returns nginx's $uri. Without PATH_INFO it is derived from
// REQUEST_URI without resolving dot segments, which suffices for the extension.
func decodedPath(v uwsgi.Vars) (path string, ok bool) {
	if path, ok = v.Lookup("PATH_INFO"); ok {
		return path, true
	}
	return decoded(v.Get("REQUEST_URI"))
}

// decoded returns the decoded path of a URI.
func decoded(uri string) (path string, ok bool) {
	raw, _, _ := cutQuery(uri)
	path, err := url.PathUnescape(raw)
	return path, err == nil && path != ""
}

// extension implements ngx_http_set_exten: the text after the last dot of the last
// segment, unless that dot begins the segment.
func extension(path string) string {
	for i := len(path) - 1; i > 1; i-- {
		switch {
		case path[i] == '/':
			return ""
		case path[i] == '.' && path[i-1] != '/':
			return path[i+1:]
		}
	}
	return ""
}

// isDispensableLink reports whether the page can do without all links of the field
// (RFC 8288 §3).
func isDispensableLink(value string) bool {
	for rest := strings.TrimLeft(value, " \t,"); rest != ""; rest = strings.TrimLeft(rest, " \t,") {
		end := strings.IndexByte(rest, '>') // commas and semicolons before it are the URI's
		if rest[0] != '<' || end < 0 {
			return false
		}
		params, tail, closed := cutItem(rest[end+1:], ',')
		if !closed || !hasDispensableRel(params) {
			return false
		}
		rest = tail
	}
	return true
}

// hasDispensableRel checks the parameters of one link. Only the first rel counts
// (RFC 8288 §3.3).
func hasDispensableRel(params string) bool {
	for rest := params; rest != ""; {
		var param string
		param, rest, _ = cutItem(rest, ';')
		name, value, _ := strings.Cut(param, "=")
		if !equalFold(strings.TrimSpace(name), "rel") {
			continue
		}
		kinds := strings.Fields(strings.Trim(strings.TrimSpace(value), `"`))
		return len(kinds) > 0 && !slices.ContainsFunc(kinds, isEssentialRel)
	}
	return false
}

func isEssentialRel(kind string) bool {
	return !equalFold(kind, "canonical") && !equalFold(kind, "preload")
}
