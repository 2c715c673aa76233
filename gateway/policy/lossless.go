package policy

import (
	"mime"
	"net/url"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// isHitType reports whether a hit would carry the Content-Type of the answer,
// charset included.
func (p *Policy) isHitType(v uwsgi.Vars, h uwsgi.Header) bool {
	got := h.Get("Content-Type")
	want, ok := p.hitType(v)
	if !ok || got == "" {
		return false
	}
	return equalFold(got, want) || sameType(got, want)
}

// sameType compares media types however they are spelled (RFC 9110 §8.3.1).
func sameType(got, want string) bool {
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

// hitType is the Content-Type that nginx emits for the path of a hit
// (ngx_http_set_content_type and the charset filter).
func (p *Policy) hitType(v uwsgi.Vars) (mediaType string, ok bool) {
	path, ok := decodedPath(v)
	if !ok {
		return "", false
	}
	byDefault := p.HitType
	if byDefault == "" {
		byDefault = defaultHitType
	}
	types := p.Types
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

// decodedPath is nginx's $uri. Without a PATH_INFO it comes from REQUEST_URI,
// undotted only, which is enough for an extension.
func decodedPath(v uwsgi.Vars) (path string, ok bool) {
	if path, ok = v.Lookup("PATH_INFO"); ok {
		return path, true
	}
	raw, _, _ := cutQuery(v.Get("REQUEST_URI"))
	path, err := url.PathUnescape(raw)
	return path, err == nil && path != ""
}

// extension is ngx_http_set_exten: what follows the last dot of the last
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

// lost are the headers without which the page is another page, or dangerous,
// or useless. A hit carries none of them. What a browser merely obeys, and
// nginx can add to hits and misses alike (X-Frame-Options, Referrer-Policy,
// a Content-Security-Policy without nonce and the like), is not among them.
var lost = []string{
	"Authentication-Info",       // credentials were checked
	"Clear-Site-Data",           // an action on the client that receives it
	"Content-Disposition",       // a download would open as a page
	"Content-Language",          // one of several
	"Content-Location",          // one of several (RFC 9110 §8.7)
	"Delta-Base",                // not the page itself (RFC 3229)
	"Location",                  // means nothing on a 200; the status may be wrong
	"Proxy-Authenticate",        // a challenge
	"Proxy-Authentication-Info", // credentials were checked
	"Refresh",                   // a redirection
	"Service-Worker-Allowed",    // the script would be refused
	"WWW-Authenticate",          // a challenge
	"X-Accel-Charset",           // changes the Content-Type that nginx emits
	"X-Robots-Tag",              // the page would be indexed
}

// losesHeader reports whether a hit would lack a header that matters.
func losesHeader(h uwsgi.Header) bool { return slices.ContainsFunc(h, isLost) }

func isLost(f uwsgi.Field) bool {
	switch {
	case len(f.Name) > len("Access-Control-") && equalFold(f.Name[:len("Access-Control-")], "Access-Control-"):
		return true
	case equalFold(f.Name, "Link"):
		return !isDispensableLink(f.Value)
	case equalFold(f.Name, "Content-Security-Policy"), equalFold(f.Name, "Content-Security-Policy-Report-Only"):
		// The page bears the same nonce, which must not serve twice.
		return strings.Contains(lowerASCII(f.Value), "'nonce-")
	}
	return slices.ContainsFunc(lost, func(name string) bool { return equalFold(name, f.Name) })
}

// isDispensableLink reports whether all links of the field are of kinds that
// the page can do without (RFC 8288 §3).
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

// hasDispensableRel takes the parameters of one link. Only the first rel
// counts (RFC 8288 §3.3).
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
