package policy

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"uwgate/uwsgi"
)

// Where nginx changed what a variable holds.
var (
	joinsHeaders    = Version{1, 23, 0} // $http_x joins repeated lines, and so does the packet
	rewritesHost    = Version{1, 29, 5} // HTTP_HOST is no longer the client's Host header
	splitsSemicolon = Version{1, 29, 6} // $cookie_x: a comma separates no longer
)

// copied are the variables whose values the stock uwsgi_params sends unchanged.
var copied = map[string]string{
	"request_uri":     "REQUEST_URI",
	"uri":             "PATH_INFO", // the stock line says $document_uri
	"document_uri":    "PATH_INFO",
	"args":            "QUERY_STRING",
	"query_string":    "QUERY_STRING",
	"request_method":  "REQUEST_METHOD",
	"scheme":          "REQUEST_SCHEME",
	"server_name":     "SERVER_NAME",
	"server_port":     "SERVER_PORT",
	"server_protocol": "SERVER_PROTOCOL",
	"remote_addr":     "REMOTE_ADDR",
	"remote_port":     "REMOTE_PORT",
	"content_type":    "CONTENT_TYPE",
	"document_root":   "DOCUMENT_ROOT",
}

// newVariable returns the piece that renders a variable from the packet.
func newVariable(written string) (piece, error) {
	name := strings.ToLower(written)
	p := piece{text: name}
	switch {
	case copied[name] != "":
		p.render, p.arg = renderVar, copied[name]
	case name == visitorVariable:
		p.render = renderVisitor
	case name == schemeVariable:
		p.render = renderVisitorsScheme
	case name == "is_args":
		p.render = renderIsArgs
	case name == "https":
		p.render = renderHTTPS
	case name == "host":
		p.render = renderHost
	case name == "http_host":
		p.render = renderHTTPHost
	case name == "remote_user":
		p.render = renderRemoteUser
	case name == "content_length":
		p.render = renderContentLength
	case hasName(name, "arg_"):
		p.render, p.arg = renderArg, written[len("arg_"):]
	case hasName(name, "cookie_"):
		p.render, p.arg = renderCookie, written[len("cookie_"):] // for coversCookie
	case hasName(name, "http_"):
		p.render, p.arg = renderHeader, strings.ToUpper(name)
	default:
		return piece{}, fmt.Errorf("$%s cannot be derived from what nginx sends; hand the key over in nginx instead: "+
			"uwsgi_param CACHE_KEY $memcached_key if_not_empty; uwsgi_param CACHE_STATUS $upstream_status;", name)
	}
	return p, nil
}

// Two variables are ours and not nginx's: maps that `uwgate nginx` prints set them.
// visitorVariable separates the pages of visitors with unknown cookies from the pages
// of strangers, by the same tables. schemeVariable is the scheme that a proxy in front
// of nginx saw.
const (
	visitorVariable = "visitor"
	schemeVariable  = "visitors_scheme"
)

// bearer is the value of $visitor for requests with an unknown cookie. It is empty
// for strangers, and also for requests with an identity cookie: nginx does not
// look these up, and what they invalidate is the strangers' page.
const bearer = "+"

func renderVisitor(t *Template, v uwsgi.Vars, _ string) (string, error) {
	if t.Visitors.orDefault().ofCookies(v) == unlisted {
		return bearer, nil
	}
	return "", nil
}

// renderVisitorsScheme does as the map: https if the proxy says so, else what nginx saw.
// A map ignores case.
func renderVisitorsScheme(t *Template, v uwsgi.Vars, _ string) (string, error) {
	proto, err := renderHeader(t, v, "HTTP_X_FORWARDED_PROTO")
	switch {
	case err != nil:
		return "", err
	case equalFold(proto, "https"):
		return "https", nil
	}
	return renderVar(t, v, "REQUEST_SCHEME")
}

func hasName(name, prefix string) bool {
	return len(name) > len(prefix) && strings.HasPrefix(name, prefix)
}

// renderVar returns the last of several values, like the worker. If they differ,
// the page is not stored: see DuplicateHeader.
func renderVar(_ *Template, v uwsgi.Vars, name string) (string, error) {
	value, found := v.Lookup(name)
	if !found {
		return "", fmt.Errorf("nginx does not send %s; include uwsgi_params where the uwsgi_pass is", name)
	}
	return value, nil
}

func renderIsArgs(t *Template, v uwsgi.Vars, _ string) (string, error) {
	args, err := renderVar(t, v, "QUERY_STRING")
	if args != "" {
		return "?", err
	}
	return "", err
}

// renderHTTPS accepts that HTTPS is missing: the stock line says if_not_empty.
func renderHTTPS(_ *Template, v uwsgi.Vars, _ string) (string, error) {
	return v.Get("HTTPS"), nil
}

// renderContentLength refuses chunked bodies: nginx did not know their length when
// it made the key.
func renderContentLength(t *Template, v uwsgi.Vars, _ string) (string, error) {
	if v.Count("HTTP_TRANSFER_ENCODING") > 0 {
		return "", errors.New("the body is chunked, and had no length when nginx made its key")
	}
	return renderVar(t, v, "CONTENT_LENGTH")
}

// renderHost normalizes like ngx_http_validate_host. The packet does not show the
// host of an absolute-form target. Then the page is stored under the host that the
// worker sees, which is right, too.
func renderHost(t *Template, v uwsgi.Vars, _ string) (string, error) {
	if host := normalizeHost(v.Get("HTTP_HOST")); host != "" {
		return host, nil
	}
	return renderVar(t, v, "SERVER_NAME")
}

func normalizeHost(s string) string {
	end := strings.IndexByte(s, ':')
	if strings.HasPrefix(s, "[") {
		end = strings.IndexByte(s, ']')
		if end >= 0 {
			end++
		}
	}
	if end >= 0 {
		s = s[:end]
	}
	return lowerASCII(strings.TrimSuffix(s, "."))
}

// lowerASCII leaves bytes from 0x80 on unchanged; strings.ToLower would read them
// as UTF-8.
func lowerASCII(s string) string {
	for i := range len(s) {
		if s[i] != lower(s[i]) {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = lower(b[j])
			}
			return string(b)
		}
	}
	return s
}

// renderHTTPHost assumes that HTTP_HOST is the client's header. If the
// configuration or an unknown version of nginx has normalized it, the page is
// stored under the host that the worker sees: right, but perhaps never looked up.
func renderHTTPHost(t *Template, v uwsgi.Vars, _ string) (string, error) {
	if t.Nginx.since(rewritesHost) {
		return "", errors.New("since nginx 1.29.5 HTTP_HOST is not the client's header; use $host, or hand CACHE_KEY over in nginx")
	}
	return v.Get("HTTP_HOST"), nil
}

// renderRemoteUser implements ngx_http_auth_basic_user.
func renderRemoteUser(_ *Template, v uwsgi.Vars, _ string) (string, error) {
	credentials := v.Get("HTTP_AUTHORIZATION")
	if len(credentials) < len("Basic ") || !equalFold(credentials[:len("Basic ")], "Basic ") {
		return "", nil
	}
	encoded, _, _ := strings.Cut(strings.TrimLeft(credentials[len("Basic "):], " "), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return "", nil // to nginx no user, not an error
	}
	user, _, found := strings.Cut(string(decoded), ":")
	if !found {
		return "", nil
	}
	return user, nil
}

// renderArg implements ngx_http_arg: names are compared without case, and not
// decoded.
func renderArg(t *Template, v uwsgi.Vars, name string) (string, error) {
	args, err := renderVar(t, v, "QUERY_STRING")
	if err != nil {
		return "", err
	}
	for arg := range strings.SplitSeq(args, "&") {
		if key, value, ok := strings.Cut(arg, "="); ok && equalFold(key, name) {
			return value, nil
		}
	}
	return "", nil
}

// renderHeader implements $http_x. If nginx joins repeated lines in the packet,
// two equal vars come from two lines of its configuration. Other versions join
// only the lines of two headers.
func renderHeader(t *Template, v uwsgi.Vars, name string) (string, error) {
	first, _ := v.First(name)
	joined := name == "HTTP_COOKIE" || name == "HTTP_X_FORWARDED_FOR"
	switch {
	case v.Count(name) < 2, v.Agreed(name) && (!joined || t.Nginx.since(joinsHeaders)):
		return first, nil
	case name == "HTTP_COOKIE":
		return join(v, name, "; "), nil
	case joined, t.Nginx.since(joinsHeaders):
		return join(v, name, ", "), nil
	case t.Nginx.isKnown():
		return first, nil
	}
	return "", fmt.Errorf("%s is repeated, and versions of nginx read that differently; say which one it is", name)
}

func join(v uwsgi.Vars, name, sep string) string {
	var b strings.Builder
	first := true
	for i := range v {
		if v[i].Name != name {
			continue
		}
		if !first {
			b.WriteString(sep)
		}
		first = false
		b.WriteString(v[i].Value)
	}
	return b.String()
}

// renderCookie implements $cookie_x, which takes the first match in all lines.
func renderCookie(t *Template, v uwsgi.Vars, name string) (string, error) {
	if t.Nginx.since(splitsSemicolon) {
		return findCookie(v, name, ";"), nil
	}
	value := findCookie(v, name, ";,")
	if !t.Nginx.isKnown() && value != findCookie(v, name, ";") {
		return "", errors.New("versions of nginx read this Cookie header differently; say which one it is")
	}
	return value, nil
}

func findCookie(v uwsgi.Vars, name, separators string) string {
	for i := range v {
		if v[i].Name != "HTTP_COOKIE" {
			continue
		}
		if value, ok := findCookieIn(v[i].Value, name, separators); ok {
			return value
		}
	}
	return ""
}

// findCookieIn is the loop of ngx_http_parse_multi_header_lines, with its quirk:
// it skips the byte after a matching name even if that byte is the separator.
func findCookieIn(line, name, separators string) (value string, ok bool) {
	for line != "" {
		rest := line
		if len(line) >= len(name) && equalFold(line[:len(name)], name) {
			rest = strings.TrimLeft(line[len(name):], " ")
			if rest != "" {
				isValue := rest[0] == '='
				rest = rest[1:]
				if isValue {
					value, _, _ = strings.Cut(strings.TrimLeft(rest, " "), ";")
					return value, true
				}
			}
		}
		i := strings.IndexAny(rest, separators)
		if i < 0 {
			return "", false
		}
		line = strings.TrimLeft(rest[i+1:], " ")
	}
	return "", false
}
