package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// An unkeyed header is one that applications and their frameworks build pages
// from, that any client can send, and that no key contains unless someone
// thought of it: who sends it once poisons the page for everybody.
//
// Sent by a proxy, it mostly repeats what nginx says itself. Then it changes
// nothing, and does not refuse.
//
// X-Forwarded-Proto is not among them: Firewall settles it.
var unkeyed = [...]struct {
	header  string
	repeats func(v uwsgi.Vars, value string) bool
}{
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
	{"X-Forwarded-Prefix", repeatsNothing}, // werkzeug ProxyFix
	{"X-Script-Name", repeatsNothing},
	{"X-Requested-With", repeatsNothing}, // and those below: a fragment in place of the page
	{"HX-Request", repeatsNothing},
	{"X-PJAX", repeatsNothing},
	{"Turbo-Frame", repeatsNothing},
	{"X-Inertia", repeatsNothing},
	{"X-Original-URL", isVar("REQUEST_URI")}, // Symfony, and others after IIS
	{"X-Original-URI", isVar("REQUEST_URI")},
	{"X-Forwarded-Uri", isVar("REQUEST_URI")},
	{"X-Rewrite-URL", isVar("REQUEST_URI")},
	{"X-HTTP-Method-Override", isVar("REQUEST_METHOD")},
	{"X-HTTP-Method", isVar("REQUEST_METHOD")},
	{"X-Method-Override", isVar("REQUEST_METHOD")},
	{"Forwarded", repeatsForwarded}, // RFC 7239
}

// unkeyedVars are the names of their vars, at the same places.
var unkeyedVars = func() (names [len(unkeyed)]string) {
	for i, u := range unkeyed {
		names[i] = "HTTP_" + strings.ToUpper(strings.ReplaceAll(u.header, "-", "_"))
	}
	return names
}()

// unkeyedOfLen are their places by the length of the names: most vars are done
// with by that alone.
var unkeyedOfLen = func() (places [40][]int) {
	for i, name := range unkeyedVars {
		places[len(name)] = append(places[len(name)], i)
	}
	return places
}()

// unkeyedPlace finds a var among them.
func unkeyedPlace(name string) (place int, known bool) {
	if len(name) >= len(unkeyedOfLen) {
		return 0, false
	}
	for _, place := range unkeyedOfLen[len(name)] {
		if unkeyedVars[place] == name {
			return place, true
		}
	}
	return 0, false
}

// unkeyedHeader finds a header that pages may depend on, and that neither the
// key contains nor the operator answers for.
func (p *Policy) unkeyedHeader(v uwsgi.Vars) (at string, found bool) {
	for i := range v {
		place, known := unkeyedPlace(v[i].Name)
		if !known || v[i].Value == "" {
			continue
		}
		u := &unkeyed[place]
		if !u.repeats(v, v[i].Value) && !p.isTrusted(u.header) && !p.isInKey(v, u.header) {
			return u.header, true
		}
	}
	return "", false
}

func (p *Policy) isTrusted(header string) bool {
	return slices.ContainsFunc(p.TrustedHeaders, func(s string) bool { return equalFold(s, header) })
}

// isInKey reports whether the key certainly contains the header. Of a key that
// was handed over only the template can tell, if it renders that very key.
func (p *Policy) isInKey(v uwsgi.Vars, header string) bool {
	return p.isTemplateRight(v, v.Get(varKey)) && p.Template.Covers(header)
}

func repeatsNothing(uwsgi.Vars, string) bool { return false }

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
