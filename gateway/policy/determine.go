package policy

import (
	"net/url"
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A hit is served by the key alone. So the key must say everything that the
// application sees of a request's target: host, path, query and scheme. Usually it
// does, and the checks of this file are a few comparisons of strings.
//
// It does not for what nginx sends besides the requests of visitors. A subrequest
// (SSI, auth_request, mirror, addition), an internal redirect (error_page, index,
// try_files, X-Accel-Redirect) and a rewrite keep REQUEST_URI, and change PATH_INFO
// and QUERY_STRING. And $memcached_key is one variable for a request and all its
// subrequests: the packet of one may bring the key of another.

// A seenURL is what the application sees of a request's target, and what nginx says of
// it: see packet.read.
type seenURL struct {
	targetVars

	// The host as the application sees it, and as nginx has it in $host.
	shownHost, nginxHost string

	around surroundings // of the URI in the last key that was asked for
}

// targetVars are the vars that are about the target.
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

// settle derives what is asked for more than once.
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

// askedURL is what the application sees of what it is asked for.
func (q *request) askedURL() seenURL {
	if len(q.asked) == len(q.v) && (len(q.v) == 0 || &q.asked[0] == &q.v[0]) {
		return q.seenURL
	}
	return seenURLOf(q.asked)
}

// SameTarget reports whether the application sees the same target in both requests: the
// same path, query, host and scheme. a and b are vars as it gets them, after ForWorker.
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

// undetermined returns why the key does not determine the page, and what of the
// request it lacks; "" if it does. locate has found the key.
func (q *request) undetermined() (reason Reason, at string) {
	s := q.askedURL()
	if at, found := q.lacksHost(&s); found {
		return Host, at
	}
	if reason, at := q.lacksURI(&s); reason != "" {
		return reason, at
	}
	if at, found := q.lacksScheme(&s); found {
		return Scheme, at
	}
	return "", ""
}

// A lack is something that the key does not say.
type lack struct {
	reason Reason
	at     string
}

// lacks returns all that the key does not say.
func (q *request) lacks() (all []lack) {
	if q.key == "" {
		return nil
	}
	s := q.askedURL()
	if at, found := q.lacksHost(&s); found {
		all = append(all, lack{Host, at})
	}
	if reason, at := q.lacksURI(&s); reason != "" {
		all = append(all, lack{reason, at})
	}
	if at, found := q.lacksScheme(&s); found {
		all = append(all, lack{Scheme, at})
	}
	return all
}

// lacksURI returns Rewritten if the key does not say the path that the application
// sees, Arguments if it does not say its query, else "".
func (q *request) lacksURI(s *seenURL) (reason Reason, at string) {
	path, query, _ := cutQuery(s.uri)
	u := target{seenURL: s, rawPath: path, fits: s.fits(path), same: s.query == query}
	if q.cutsAmbiguously {
		return Arguments, s.query
	}
	if q.rendered {
		reason = q.saidByTemplate(&u)
	} else {
		reason = q.saidByText(&u)
	}
	q.contested = reason != "" && q.contests(&u)
	switch reason {
	case Rewritten:
		return Rewritten, s.path
	case Arguments:
		return Arguments, s.query
	}
	return "", ""
}

// contests reports whether nginx has looked up, for this target, the key of another one.
// Which key it was is not known if it is derived of what nginx has rewritten since. A
// client cannot bring it about with the URL that it asks for.
func (q *request) contests(u *target) bool {
	switch {
	case q.derived:
		says := &q.p.Template.says
		return !(u.fits && u.same) && !says.path && !says.query && says.args == nil
	case !u.fits || !u.same:
		return true
	case q.rendered || strings.IndexByte(u.path, '?') >= 0:
		return false
	}
	// It is an ordinary request. Has a subrequest left its key, or does nginx leave
	// something out of this one, such as arguments?
	start := uriStart(q.key)
	if start < 0 {
		return false
	}
	path, _, _ := strings.Cut(q.key[start:], "?")
	path = strings.Trim(path, "/")
	return !equalFold(path, strings.Trim(u.path, "/")) && !equalFold(path, strings.Trim(u.rawPath, "/"))
}

// A target is a seenURL beside the path of REQUEST_URI.
type target struct {
	*seenURL
	rawPath string // of REQUEST_URI
	fits    bool   // the path is what nginx makes of that one
	same    bool   // the query is that of REQUEST_URI
}

// saidByTemplate decides for a key that Template renders, by the variables in it.
func (q *request) saidByTemplate(u *target) Reason {
	says := &q.p.Template.says
	if q.derived && !(u.fits && u.same) {
		// $uri and $args were others when nginx looked the key up.
		switch {
		case says.path || says.query || says.args != nil:
			return Rewritten
		case says.uri && q.p.AllowRewrites:
			return q.readTwoWays()
		case !u.fits:
			return Rewritten
		}
		return Arguments
	}
	switch {
	case says.path, says.uri && (u.fits || q.p.AllowRewrites):
	default:
		return Rewritten
	}
	switch {
	case says.query, says.path && u.query == "", says.uri && (u.same || q.p.AllowRewrites):
	case says.path && says.args != nil && isNamed(u.query, says.args):
	default:
		return Arguments
	}
	return q.readTwoWays()
}

// readTwoWays returns a reason if the key could be that of another target, too,
// because a value contains what follows it in the template.
func (q *request) readTwoWays() Reason {
	if !q.p.Template.says.open {
		return ""
	}
	switch p := q.p.Template.ambiguous(q.asked); {
	case p == nil:
		return ""
	case p.arg == "PATH_INFO", p.arg == "REQUEST_URI":
		return Rewritten
	}
	return Arguments
}

// isNamed reports whether a query consists of nothing but the named arguments, each
// once and with a value: the page cannot depend on any other.
func isNamed(query string, names []string) bool {
	for i, rest := 0, query; ; i++ {
		arg, tail, more := strings.Cut(rest, "&")
		name, value, _ := strings.Cut(arg, "=")
		if value == "" || !slices.Contains(names, name) || hasEarlier(query, i, name) {
			return false
		}
		if !more {
			return true
		}
		rest = tail
	}
}

// hasEarlier reports whether one of the first n arguments has that name, as nginx
// compares it.
func hasEarlier(query string, n int, name string) bool {
	for ; n > 0; n-- {
		arg, tail, _ := strings.Cut(query, "&")
		if other, _, _ := strings.Cut(arg, "="); equalFold(other, name) {
			return true
		}
		query = tail
	}
	return false
}

// saidByText decides for a key that was handed over and that no template renders,
// by what stands in it.
func (q *request) saidByText(u *target) Reason {
	key := q.key
	if hasURI(u.uri) && strings.HasSuffix(key, u.uri) && endsPrefix(key[:len(key)-len(u.uri)]) {
		switch {
		case q.p.AllowRewrites, u.fits && u.same:
			return ""
		case !u.fits:
			return Rewritten
		}
		return Arguments
	}
	start := uriStart(key)
	switch {
	case start >= 0 && u.fits && u.same && isBounded(key[start:], u.uri):
		return ""
	case start < 0: // a hash, or the value of a map: nginx's word is all there is
		switch {
		case !u.fits:
			return Rewritten
		case q.p.OpaqueKey, u.same && u.query == "":
			return ""
		}
		return Arguments
	}
	return u.saidByURI(key[start:])
}

// saidByURI compares with the URI part of a key.
func (u *target) saidByURI(part string) Reason {
	path, query, _ := strings.Cut(part, "?")
	isPath := u.hasPath && strings.HasPrefix(part, u.path) && strings.IndexByte(u.path, '?') < 0
	switch {
	case isPath && u.query == query && path == u.path:
		return ""
	case u.fits && u.query == "" && part == u.rawPath:
		return ""
	case isPath && u.fits && u.same && isBounded(part, withQuery(u.path, u.query)):
		return ""
	case path == u.path && isPath, path == u.rawPath && u.fits:
		return Arguments
	case u.fits && beginsWithPath(part, u.path), u.fits && beginsWithPath(part, u.rawPath):
		return Arguments
	}
	return Rewritten
}

// beginsWithPath reports whether a key's URI part begins with a path and goes on
// with something else than more of the path.
func beginsWithPath(part, path string) bool {
	return path != "" && len(part) > len(path) && strings.HasPrefix(part, path) && isTail(part[len(path)])
}

func withQuery(path, query string) string {
	if query == "" {
		return path
	}
	return path + "?" + query
}

// hasURI tells what can be a request target.
func hasURI(uri string) bool { return uri != "" && (uri[0] == '/' || uri[0] == '?') }

// uriStart is where the URI part of a key begins, behind scheme and host or whatever
// the key begins with; -1 if it has none.
func uriStart(key string) int {
	i := pathStart(key, 0)
	if i > 0 && key[i-1] == ':' && strings.HasPrefix(key[i:], "//") {
		return pathStart(key, i+2)
	}
	return i
}

// pathStart is the place of the first slash or question mark from the i-th byte on, -1
// if there is none.
func pathStart(key string, i int) int {
	for ; i < len(key); i++ {
		if key[i] == '/' || key[i] == '?' {
			return i
		}
	}
	return -1
}

// endsPrefix reports whether a URI can begin behind prefix: what is before it must
// not be more of a path.
func endsPrefix(prefix string) bool {
	if prefix == "" {
		return true
	}
	if uriStart(prefix) < 0 {
		return true
	}
	last := prefix[len(prefix)-1]
	return (last == ':' || last == '|') && strings.IndexByte(prefix, '?') < 0
}

// isBounded reports whether part is the URI, or begins with it and goes on behind a
// separator that the URI does not contain: then nothing else begins so.
func isBounded(part, uri string) bool {
	if !hasURI(uri) || !strings.HasPrefix(part, uri) {
		return false
	}
	return len(part) == len(uri) || isTail(part[len(uri)]) && strings.IndexByte(uri, part[len(uri)]) < 0
}

// isTail tells the bytes that separate what may follow a URI in a key. They are
// rare in URIs.
func isTail(c byte) bool { return strings.IndexByte("|#@;, ", c) >= 0 }

// lacksHost finds out whether the application sees another host than the key says. It
// must see the host as nginx normalises it, alone or with the port that nginx listens
// on, or else what it sees must be in the key. foreignHost has looked at what the
// key says.
func (q *request) lacksHost(s *seenURL) (at string, found bool) {
	shown, host := s.shownHost, s.nginxHost
	if !isHostText(shown) || shown != host && !isHostPort(shown, host, s.port) && !q.isShownInKey(s, shown) {
		return shown, true
	}
	said := len(q.p.AllowedHosts) > 0 && (!q.rendered || q.p.hasOneHost()) || q.saysHost(s, host)
	return "", !said
}

// hasOneHost reports whether all pages are those of one host, so that the key need
// not say it.
func (p *Policy) hasOneHost() bool {
	return len(p.AllowedHosts) == 1 && strings.IndexByte(p.AllowedHosts[0], '*') < 0
}

// isHostPort compares with host:port.
func isHostPort(shown, host, port string) bool {
	return port != "" && len(shown) == len(host)+1+len(port) && strings.HasPrefix(shown, host) &&
		shown[len(host)] == ':' && shown[len(host)+1:] == port
}

// isHostText leaves out what could end a host in a key, or in the links of a page.
func isHostText(s string) bool {
	for i := range len(s) {
		if !hostBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var hostBytes = func() (is [256]bool) {
	for c := range is {
		is[c] = isNameByte(byte(c)) || c >= 0x80 || strings.IndexByte("-.:[]", byte(c)) >= 0
	}
	return is
}()

// isShownInKey reports whether the key contains the Host header as it was sent.
func (q *request) isShownInKey(s *seenURL, shown string) bool {
	if q.rendered {
		return q.p.Template.says.httpHost
	}
	return endsInHost(s.aroundURI(q.key).before, shown)
}

// saysHost reports whether the key contains the host.
func (q *request) saysHost(s *seenURL, host string) bool {
	if q.rendered {
		return q.p.Template.says.host || q.p.Template.hasLiteralHost(host)
	}
	k := s.aroundURI(q.key)
	return endsInHost(k.before, host) || hasHost(k.before, host) || hasHost(k.after, host)
}

// endsInHost reports whether what stands before the URI in a key ends in a host, and
// not in one that is longer.
func endsInHost(before, host string) bool {
	prefix, found := strings.CutSuffix(before, host)
	if !found || prefix == "" {
		return found
	}
	last := prefix[len(prefix)-1]
	return !isNameByte(last) && last < 0x80 && strings.IndexByte("-.[]", last) < 0
}

// hasHost looks for a host among the words of a part of a key.
func hasHost(part, host string) bool {
	for named := range hostsIn(part) {
		if equalFold(named, host) {
			return true
		}
	}
	return false
}

// lacksScheme finds out whether the application sees another scheme than the key
// says, or if that says none, than nginx saw.
func (q *request) lacksScheme(s *seenURL) (at string, found bool) {
	in := q.schemeInKey(s)
	if s.https != "" && in.scheme != "" && (in.scheme == "https") != isOn(s.https) {
		return "HTTPS", true
	}
	switch {
	case !q.p.TrustForwardedProto:
		// Firewall has HTTP_X_FORWARDED_PROTO say what nginx saw.
		return "REQUEST_SCHEME", s.scheme != "" && in.scheme != "" && in.scheme != s.scheme
	case s.hasProto && !in.proto && s.proto != in.scheme:
		return "X-Forwarded-Proto", true
	case s.hasSSL && !in.ssl && !(in.scheme == "https" && s.ssl == "on" || in.scheme == "http" && s.ssl == "off"):
		return "X-Forwarded-Ssl", true
	case !s.hasProto && s.scheme != "" && in.scheme != "" && in.scheme != s.scheme && !(s.hasSSL || s.https != ""):
		return "REQUEST_SCHEME", true
	}
	return "", false
}

// A keyedScheme is what a key says of the scheme.
type keyedScheme struct {
	scheme     string // http or https; what nginx saw if it does not say, perhaps ""
	proto, ssl bool   // it has the whole values of X-Forwarded-Proto, X-Forwarded-Ssl
}

func (q *request) schemeInKey(s *seenURL) (in keyedScheme) {
	in.scheme = s.scheme
	if q.rendered {
		says := &q.p.Template.says
		in.proto, in.ssl = says.proto, says.ssl
		if says.proto {
			in.scheme = s.proto
		}
		if says.scheme || says.proto {
			return in
		}
	}
	before := s.aroundURI(q.key).before
	if i := strings.Index(before, "://"); i >= 0 {
		switch {
		case strings.HasSuffix(before[:i], "https"):
			in.scheme = "https"
		case strings.HasSuffix(before[:i], "http"):
			in.scheme = "http"
		}
	}
	return in
}

// isOn reads HTTPS as WSGI servers do.
func isOn(https string) bool {
	return equalFold(https, "on") || https == "1" || equalFold(https, "true")
}

// fits reports whether the path that the application sees is what nginx makes of the
// raw one, or the raw one itself. Without PATH_INFO there is only that.
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

// isNormal reports whether path is nginx's $uri of a raw path, with merge_slashes on
// or off: decoded once, without dot segments and, if on, repeated slashes
// (ngx_http_parse_complex_uri).
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

// resolveDots resolves the dot segments of a decoded path, and merges slashes.
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

// repeatsKept reports whether an argument that a rule keeps could be read in two
// ways: its name is encoded, in another case, or there twice. The application
// decodes names, and nginx compares them without case.
func repeatsKept(query string, keep []string) bool {
	if query == "" {
		return false
	}
	var seen []string
	for arg := range strings.SplitSeq(query, "&") {
		raw, _, _ := strings.Cut(arg, "=")
		name := unescape(raw)
		if !matchesAny(keep, name) {
			continue
		}
		for _, other := range seen {
			if equalFold(other, name) {
				return true
			}
		}
		if raw != name || !slices.ContainsFunc(keep, func(glob string) bool { return matchesExactly(glob, name) }) {
			return true
		}
		seen = append(seen, name)
	}
	return false
}
