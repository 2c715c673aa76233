package policy

import (
	"slices"
	"strings"

	"uwgate/uwsgi"
)

// A repeater is an unkeyed header that may repeat what nginx says.
type repeater struct {
	header  string
	repeats func(p *Policy, v uwsgi.Vars, value string) bool
}

// An unkeyed header is one that applications and their frameworks build pages
// from, that any client can send, and that keys seldom contain. One request
// with it could poison the page for everybody.
//
// A proxy mostly sends what nginx says itself. Then the header changes nothing,
// and does not refuse. Those that never repeat are in fragmentHeaders.
//
// X-Forwarded-Proto is not among them, because Firewall decides about it. Unknown
// headers whose names show what they are for are in tellings.
var repeaters = [...]repeater{
	{"X-Forwarded-Host", repeatsHost}, // Django USE_X_FORWARDED_HOST, werkzeug ProxyFix
	{"X-Host", repeatsHost},
	{"X-Original-Host", repeatsHost},
	{"X-Forwarded-Server", repeatsHost},
	{"Fastly-Orig-Host", repeatsHost},
	{"Disguised-Host", repeatsHost}, // Azure, as the next
	{"Was-Default-Hostname", repeatsHost},
	{"X-Appengine-Default-Version-Hostname", repeatsHost}, // App Engine's get_default_version_hostname
	{"X-Forwarded-Port", repeatsPort},                     // Django USE_X_FORWARDED_PORT
	{"X-Forwarded-Scheme", repeatsScheme},
	{"X-Forwarded-Protocol", repeatsScheme},
	{"X-Url-Scheme", repeatsScheme},
	{"X-Scheme", repeatsScheme},
	{"CloudFront-Forwarded-Proto", repeatsScheme}, // Django SECURE_PROXY_SSL_HEADER, as the next ones
	{"Cf-Visitor", repeatsVisitor},                // Cloudflare
	{"Front-End-Https", repeatsHTTPS},
	{"X-Forwarded-Https", repeatsHTTPS},
	{"X-Appengine-Https", repeatsHTTPS},
	{"X-Arr-Ssl", isSentOverTLS}, // Azure: the certificate, as the next one only on https
	{"Fastly-Ssl", isSentOverTLS},
	{"X-Original-URL", isVar("REQUEST_URI")}, // Symfony, and others after IIS
	{"X-Original-URI", isVar("REQUEST_URI")},
	{"X-Forwarded-Uri", isVar("REQUEST_URI")},
	{"X-Rewrite-URL", isVar("REQUEST_URI")},
	{"X-HTTP-Method-Override", isVar("REQUEST_METHOD")},
	{"X-HTTP-Method", isVar("REQUEST_METHOD")},
	{"X-Method-Override", isVar("REQUEST_METHOD")},
	{"Forwarded", repeatsForwarded}, // RFC 7239
}

// A telling is a pattern of names that show what a header is for. No application
// is known to use the header, but one that does makes another page of it, whatever
// lifetime it gives that page. Names in the tables are not looked up here.
type telling struct {
	glob    string
	trait   trait // seemsUnkeyed or seemsIdentity
	repeats func(p *Policy, v uwsgi.Vars, value string) bool
}

// tellings are in the order in which they count, if several of one trait match a
// name.
var tellings = slices.Concat(
	tell(seemsIdentity, nil,
		"*-User", "*-User-*", "*-Username", "*-Userid", "*-Uid", "Uid", "*-Email", "*-Mail", "*-Login", "*-Account", "*-Account-Id", "*-Customer", "*-Customer-Id", "*-Member*", // who it is
		"*-Admin", "*-Role", "*-Roles", "*-Group", "*-Groups", "*-Permissions", "*-Scopes", "*-Claims", "*-Principal", "*-Subject", "*-Dn", // what the visitor may do
		"*Sso-*", "*Oidc*", "*Saml*", "*Ldap*", "*Kerberos*", "*-Auth", "Auth", "*Auth-*", "*Authorization*", "*Authenticated*", "*Authentication*", // how that is known
		"*Token", "*Tokens", "Token-*", "*-Token-*", "*Secret", "*Password", "*Passwd", "*Passphrase", "*Credential", "*Credentials", "*Jwt", "*Bearer*", "*Api-Key", "*Apikey", "*Access-Key*",
		"*Client-Cert*", "*Clientcert*", "*-Cert", "*-Certificate", "*Msisdn*", "*-Imsi",
		"*Session", "*Session-Id", "*Sessionid", "*Session-*", "*-Sid", "Sid", "*Cookie", "*Cookies", "*-Cart", "*-Cart-*", "*-Basket*"),
	tell(seemsUnkeyed, nil, // a URL with an unknown purpose
		"*Forwarded-*", "*-Forwarded", "*Rewrite*", "*Override*", "*-Prefix", "Prefix", "*-Path", "*-Path-Info", "*Path-Base", "*Pathbase", "*Basepath", "*-Base", "*-Base-*", "*-Mount", "*-Mount-*", "*-Root", "*-Root-*",
		"*Script-Name", "*-Script", "*-Query", "*-Query-String", "*-Route", "*-Route-*", "X-Invoke-*", "X-Matched-*"),
	tell(seemsUnkeyed, isVar("REQUEST_URI"), "*-Url", "*-Uri", "*-Request-Target", "Url", "Uri"),
	tell(seemsUnkeyed, isVar("REQUEST_METHOD"), "*-Method", "Method"),
	tell(seemsUnkeyed, repeatsHost, "*-Host", "*Hostname", "*Vhost", "*-Authority", "*-Domain", "Domain", "*Server-Name", "*-Server"),
	tell(seemsUnkeyed, repeatsScheme, "*-Proto", "Proto", "*-Protocol", "X-*Scheme", "*-Url-Scheme", "Uwsgi-Scheme", "Scheme"),
	tell(seemsUnkeyed, repeatsHTTPS, "*Https", "*-Https-*", "*-Ssl", "*-Ssl-*", "Ssl", "*Sslon", "*Usessl", "*-Tls", "*-Secure"),
	tell(seemsUnkeyed, repeatsPort, "*-Port"),
	tell(seemsUnkeyed, nil, // a part of the page, or another form of it
		"*Ajax*", "*Pjax*", "*Xhr*", "*Turbolinks*", "*Fragment*", "*Partial*", "*Composite*", "*-Frame", "*-Layout", "*-Template", "*-Component*", "*-Modal", "*-Async", "*-Async-*",
		"*-Render*", "*-Prerender*", "*-Preview", "*-Format", "X-Accept", "*-Http-Accept"),
)

func tell(class trait, repeats func(p *Policy, v uwsgi.Vars, value string) bool, globs ...string) (all []telling) {
	for _, glob := range globs {
		all = append(all, telling{glob, class, repeats})
	}
	return all
}

// isInKey reports whether the key certainly contains the header. For a handed-over
// key only the template shows that, if it renders exactly that key.
func (k *Keys) isInKey(v uwsgi.Vars, header string) bool {
	return k.isRendered(v, v.Get(varKey)) && k.Template.covers(header)
}

// isVar returns a function that reports whether all members of a header's list
// equal the var.
func isVar(name string) func(*Policy, uwsgi.Vars, string) bool {
	return func(_ *Policy, v uwsgi.Vars, value string) bool {
		own := v.Get(name)
		return eachMember(value, func(member string) bool { return member == own })
	}
}

// shownScheme returns the scheme that the application sees, "" if it sees none:
// what nginx saw, or what a header says that Firewall passes on. lacksScheme
// compares it with the key.
func (p *Policy) shownScheme(v uwsgi.Vars) string {
	if p.TrustForwardedProto {
		if proto := v.Get("HTTP_X_FORWARDED_PROTO"); proto != "" {
			return proto
		}
	}
	return v.Get("REQUEST_SCHEME")
}

func repeatsScheme(p *Policy, v uwsgi.Vars, value string) bool {
	own := p.shownScheme(v)
	return own != "" && eachMember(value, func(member string) bool { return member == own })
}

// repeatsHTTPS compares on and off with the scheme.
func repeatsHTTPS(p *Policy, v uwsgi.Vars, value string) bool {
	switch {
	case equalFold(value, "on"):
		return p.shownScheme(v) == "https"
	case equalFold(value, "off"):
		return p.shownScheme(v) == "http"
	}
	return false
}

// isSentOverTLS is for headers that proxies send only with https: their presence
// is what they say.
func isSentOverTLS(p *Policy, v uwsgi.Vars, value string) bool {
	return value != "" && p.shownScheme(v) == "https"
}

// repeatsVisitor compares with the scheme in Cloudflare's JSON.
func repeatsVisitor(p *Policy, v uwsgi.Vars, value string) bool {
	scheme, opened := strings.CutPrefix(value, `{"scheme":"`)
	scheme, closed := strings.CutSuffix(scheme, `"}`)
	return opened && closed && repeatsScheme(p, v, scheme)
}

// repeatsPort compares with nginx's port. If the host that the application sees
// has no port, it also compares with the default port of the scheme: a proxy in
// front of nginx listens there. If a trusted proxy names another scheme than
// nginx's, nginx's port does not count.
func repeatsPort(p *Policy, v uwsgi.Vars, value string) bool {
	scheme, own, usual := p.shownScheme(v), v.Get("SERVER_PORT"), ""
	if scheme != v.Get("REQUEST_SCHEME") {
		own = ""
	}
	if shown := v.Get("HTTP_HOST"); equalFold(shown, requestHost(v)) {
		usual = defaultPorts[scheme]
	}
	return eachMember(value, func(member string) bool { return member != "" && (member == own || member == usual) })
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

func repeatsHost(_ *Policy, v uwsgi.Vars, value string) bool {
	return eachMember(value, func(member string) bool { return isOwnHost(v, member) })
}

// isOwnHost compares with the Host header, and with what is equal for a browser:
// the host with nginx's port or, if the Host header has no port, without.
func isOwnHost(v uwsgi.Vars, s string) bool {
	sent, host := v.Get("HTTP_HOST"), requestHost(v)
	if sent == "" {
		sent = host
	}
	return equalFold(s, sent) || equalFold(s, host+":"+v.Get("SERVER_PORT")) ||
		equalFold(s, host) && equalFold(strings.TrimSuffix(sent, "."), host)
}

// repeatsForwarded reports whether host and proto of each element are nginx's own
// (RFC 7239 §4). What names the client and the proxies changes no page.
func repeatsForwarded(p *Policy, v uwsgi.Vars, value string) bool {
	for rest := value; rest != ""; {
		element, tail, closed := cutItem(rest, ',')
		if !closed || !repeatsElement(p, v, element) {
			return false
		}
		rest = tail
	}
	return true
}

func repeatsElement(p *Policy, v uwsgi.Vars, element string) bool {
	for rest := element; rest != ""; {
		var pair string
		pair, rest, _ = cutItem(rest, ';')
		name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
		value = strings.Trim(value, `"`)
		switch {
		case equalFold(name, "for"), equalFold(name, "by"), name == "":
		case equalFold(name, "host") && isOwnHost(v, value):
		case equalFold(name, "proto") && equalFold(value, p.shownScheme(v)):
		default:
			return false
		}
	}
	return true
}

// eachMember reports whether all members of a comma-separated list are ok.
func eachMember(list string, ok func(member string) bool) bool {
	for member := range strings.SplitSeq(list, ",") {
		if !ok(strings.Trim(member, " \t")) {
			return false
		}
	}
	return true
}
