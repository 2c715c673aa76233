package policy

import (
	"strings"

	"uwgate/uwsgi"
)

// A repeater is an unkeyed header that may repeat what nginx says.
type repeater struct {
	header  string
	repeats func(v uwsgi.Vars, value string) bool
}

// An unkeyed header is one that applications and their frameworks build pages
// from, that any client can send, and that no key contains unless someone
// thought of it: who sends it once poisons the page for everybody.
//
// Sent by a proxy, it mostly repeats what nginx says itself. Then it changes
// nothing, and does not refuse. Those that never repeat are fragmentHeaders.
//
// X-Forwarded-Proto is not among them: Firewall settles it.
var repeaters = [...]repeater{
	{"X-Forwarded-Host", repeatsHost}, // Django USE_X_FORWARDED_HOST, werkzeug ProxyFix
	{"X-Host", repeatsHost},
	{"X-Original-Host", repeatsHost},
	{"X-Forwarded-Server", repeatsHost},
	{"X-Forwarded-Port", isVar("SERVER_PORT")}, // Django USE_X_FORWARDED_PORT
	{"X-Forwarded-Scheme", isVar("REQUEST_SCHEME")},
	{"X-Forwarded-Protocol", isVar("REQUEST_SCHEME")},
	{"X-Url-Scheme", isVar("REQUEST_SCHEME")},
	{"X-Scheme", isVar("REQUEST_SCHEME")},
	{"CloudFront-Forwarded-Proto", isVar("REQUEST_SCHEME")}, // Django SECURE_PROXY_SSL_HEADER, as the next
	{"Front-End-Https", repeatsHTTPS},
	{"X-Original-URL", isVar("REQUEST_URI")}, // Symfony, and others after IIS
	{"X-Original-URI", isVar("REQUEST_URI")},
	{"X-Forwarded-Uri", isVar("REQUEST_URI")},
	{"X-Rewrite-URL", isVar("REQUEST_URI")},
	{"X-HTTP-Method-Override", isVar("REQUEST_METHOD")},
	{"X-HTTP-Method", isVar("REQUEST_METHOD")},
	{"X-Method-Override", isVar("REQUEST_METHOD")},
	{"Forwarded", repeatsForwarded}, // RFC 7239
}

// isInKey reports whether the key certainly contains the header. Of a key that was
// handed over only the template can tell, if it renders that very key.
func (p *Policy) isInKey(v uwsgi.Vars, header string) bool {
	return p.isTemplateRight(v, v.Get(varKey)) && p.Template.Covers(header)
}

// isVar returns whether all members of a header's list are what nginx says in
// that var.
func isVar(name string) func(uwsgi.Vars, string) bool {
	return func(v uwsgi.Vars, value string) bool {
		own := v.Get(name)
		return eachMember(value, func(member string) bool { return member == own })
	}
}

// repeatsHTTPS compares on and off with nginx's scheme.
func repeatsHTTPS(v uwsgi.Vars, value string) bool {
	switch {
	case equalFold(value, "on"):
		return v.Get("REQUEST_SCHEME") == "https"
	case equalFold(value, "off"):
		return v.Get("REQUEST_SCHEME") == "http"
	}
	return false
}

func repeatsHost(v uwsgi.Vars, value string) bool {
	return eachMember(value, func(member string) bool { return isOwnHost(v, member) })
}

// isOwnHost compares with the Host header, and with what is the same to a
// browser: the host with the port that nginx listens on, or, if the Host header
// has none, without.
func isOwnHost(v uwsgi.Vars, s string) bool {
	sent, host := v.Get("HTTP_HOST"), requestHost(v)
	if sent == "" {
		sent = host
	}
	return equalFold(s, sent) || equalFold(s, host+":"+v.Get("SERVER_PORT")) ||
		equalFold(s, host) && equalFold(strings.TrimSuffix(sent, "."), host)
}

// repeatsForwarded asks of each element that its host and proto are nginx's
// own (RFC 7239 §4). What names the client and the proxies changes no page.
func repeatsForwarded(v uwsgi.Vars, value string) bool {
	for rest := value; rest != ""; {
		element, tail, closed := cutItem(rest, ',')
		if !closed || !repeatsElement(v, element) {
			return false
		}
		rest = tail
	}
	return true
}

func repeatsElement(v uwsgi.Vars, element string) bool {
	for rest := element; rest != ""; {
		var pair string
		pair, rest, _ = cutItem(rest, ';')
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		value = strings.Trim(value, `"`)
		switch {
		case equalFold(name, "for"), equalFold(name, "by"), name == "":
		case equalFold(name, "host") && isOwnHost(v, value):
		case equalFold(name, "proto") && equalFold(value, v.Get("REQUEST_SCHEME")):
		default:
			return false
		}
	}
	return true
}

// eachMember asks all members of a comma-separated list.
func eachMember(list string, ok func(member string) bool) bool {
	for member := range strings.SplitSeq(list, ",") {
		if !ok(strings.Trim(member, " \t")) {
			return false
		}
	}
	return true
}
