package policy

import "strings"

// lacksScheme reports whether the application sees another scheme than the key
// contains. If the key contains none, the scheme that nginx saw counts.
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

// A keyedScheme is what a key says about the scheme.
type keyedScheme struct {
	scheme     string // http or https; what nginx saw if it does not say, perhaps ""
	proto, ssl bool   // it has the whole values of X-Forwarded-Proto, X-Forwarded-Ssl
}

func (q *request) schemeInKey(s *seenURL) (in keyedScheme) {
	in.scheme = s.scheme
	if q.rendered {
		says := &q.p.Keys.Template.says
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
