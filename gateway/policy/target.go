package policy

import (
	"net/url"
	"strings"

	"uwgate/uwsgi"
)

// A seenURL is what the application sees of a request's target, and what nginx
// says about it: see packet.read.
type seenURL struct {
	targetVars

	// The host as the application sees it, and as nginx has it in $host.
	shownHost, nginxHost string

	around surroundings // of the URI in the last key given to aroundURI
}

// targetVars are the vars about the target.
type targetVars struct {
	uri         string // REQUEST_URI, which is the client's whatever nginx does
	path, query string // PATH_INFO, QUERY_STRING; without that, what the URI says
	script      string // SCRIPT_NAME: the path is what follows it
	host        string // HTTP_HOST
	server      string // SERVER_NAME
	port        string // SERVER_PORT
	scheme      string // REQUEST_SCHEME
	https       string // HTTPS
	proto, ssl  string // HTTP_X_FORWARDED_PROTO, HTTP_X_FORWARDED_SSL

	hasPath, hasQuery, hasProto, hasSSL bool
}

// settle derives what is needed more than once.
func (s *seenURL) settle() {
	if !s.hasQuery {
		_, s.query, _ = cutQuery(s.uri) // the application has nothing else to take it from
	}
	s.shownHost, s.nginxHost = s.host, normalizeHost(s.host)
	if s.nginxHost == "" {
		s.shownHost, s.nginxHost = s.server, normalizeHost(s.server)
	}
}

func seenURLOf(v uwsgi.Vars) seenURL {
	var k packet
	k.read(v)
	return k.seenURL
}

// askedURL returns what the application sees of the request that the worker gets.
func (q *request) askedURL() seenURL {
	if len(q.asked) == len(q.v) && (len(q.v) == 0 || &q.asked[0] == &q.v[0]) {
		return q.seenURL
	}
	return seenURLOf(q.asked)
}

// SameTarget reports whether the application sees the same target in both
// requests: the same path, query, host and scheme. a and b are vars as the worker
// gets them, after ForWorker.
func SameTarget(a, b uwsgi.Vars) bool {
	x, y := seenURLOf(a).targetVars, seenURLOf(b).targetVars
	if x.hasPath && y.hasPath {
		x.uri, y.uri = "", ""
	}
	if x.host != "" && y.host != "" {
		x.server, y.server = "", ""
	}
	return x == y
}

// fits reports whether the path that the application sees is nginx's decoded form
// of the raw path, or the raw path itself. Without PATH_INFO the application sees
// only the latter.
func (s *seenURL) fits(raw string) bool {
	switch {
	case !s.hasPath:
		return s.uri != ""
	case s.path == raw && raw != "":
		return true
	case s.uri == "":
		return false
	case s.path == "/" && raw == "":
		return true
	}
	path := s.path
	if s.script != "" && !isNormal(raw, path) {
		path = s.script + path
	}
	return isNormal(raw, path)
}

// isNormal reports whether path is nginx's $uri of a raw path, with merge_slashes
// on or off: decoded once, without dot segments and, with on, without repeated
// slashes (ngx_http_parse_complex_uri).
func isNormal(raw, path string) bool {
	if raw == "" {
		raw = "/"
	}
	if raw == path {
		return true
	}
	decoded, err := url.PathUnescape(raw)
	return err == nil && (resolveDots(decoded, true) == path || resolveDots(decoded, false) == path)
}

// resolveDots resolves the dot segments of a decoded path, and may merge slashes.
func resolveDots(decoded string, merge bool) string {
	var segments []string
	all := strings.Split(strings.TrimPrefix(decoded, "/"), "/")
	for i, segment := range all {
		last := i == len(all)-1
		switch {
		case segment == "." || segment == "..":
			if segment == ".." && len(segments) > 0 {
				segments = segments[:len(segments)-1]
			}
			if last {
				segments = append(segments, "")
			}
		case segment == "" && merge && !last:
		default:
			segments = append(segments, segment)
		}
	}
	return "/" + strings.Join(segments, "/")
}
