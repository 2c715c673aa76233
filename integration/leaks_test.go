package integration

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A leak is a page that one visitor causes and that another visitor must not get.
type leak struct {
	name   string
	target string // a path of testdata/leaks/app.py
	first  string // header lines of the first visitor, "\n" between them
	shows  string // his page, to tell that the trap is set
	reason string // why it is not stored; "" where uwgate itself is the one who refuses
	next   string // header lines of the next visitor
	wants  string // his page
	then   string // why that is stored, or not; "": for the same reason
	why    string

	method string // of the first visitor; "": GET
	status int    // of his answer; 0: 200
	at     string // target of the next visitor; "": the same
	only   string // the configuration that it is about; "": both
}

// The page depends on the visitor.
var visitorLeaks = []leak{
	{name: "another user's page", target: "/member",
		first: "Cookie: sessionid=ana", shows: "Hello, ana.", reason: "identity-cookie",
		wants: "Hello, stranger.", then: "default-ttl",
		why: "the page was made for whoever holds the session"},
	{name: "another user's page, beside other cookies", target: "/member?2",
		first: "Cookie: _ga=GA1.2.3; sessionid=ana; theme=dark", shows: "Hello, ana.", reason: "identity-cookie",
		next: "Cookie: _ga=GA1.4.5", wants: "Hello, stranger.", then: "default-ttl",
		why: "one identity among harmless cookies is enough"},
	{name: "another user's page, with a lifetime", target: "/fresh/s-maxage?member",
		first: "Cookie: sessionid=ana", shows: "This is", reason: "identity-cookie",
		wants: "This is", then: "s-maxage",
		why: "an application that names a lifetime for all pages means none of its members'"},
	{name: "another user's page under a style sheet's name", target: "/member/style.css",
		first: "Cookie: sessionid=ana", shows: "Hello, ana.", reason: "identity-cookie",
		wants: "Hello, stranger.", then: "content-type",
		why: "web cache deception: the application ignores what the link of a stranger appends"},
	{name: "a member's conditional request", target: "/asked?member",
		first: "Cookie: sessionid=ana\nIf-None-Match: \"v0\"\nRange: bytes=0-9", reason: "identity-cookie",
		shows: "['HTTP_RANGE', 'HTTP_IF_NONE_MATCH']", wants: "Asked with [].", then: "default-ttl",
		why: "the application is asked what the member asked"},
	{name: "Range", target: "/asked?range",
		first: "Range: bytes=0-9", reason: "range", shows: "['HTTP_RANGE']", wants: "Asked with [].", then: "default-ttl",
		why: "the application answers for the part that it was asked for"},
	{name: "If-Range", target: "/asked?if-range",
		first: "Range: bytes=0-9\nIf-Range: \"v1\"", reason: "range", shows: "'HTTP_RANGE', 'HTTP_IF_RANGE'", wants: "Asked with [].", then: "default-ttl",
		why: "the same"},
	{name: "If-Match", target: "/asked?if-match",
		first: "If-Match: \"v1\"", reason: "precondition", shows: "['HTTP_IF_MATCH']", wants: "Asked with [].", then: "default-ttl",
		why: "only the application can judge it"},
	{name: "If-Unmodified-Since", target: "/asked?if-unmodified-since",
		first: "If-Unmodified-Since: Sat, 01 Jan 2022 00:00:00 GMT", reason: "precondition", shows: "['HTTP_IF_UNMODIFIED_SINCE']", wants: "Asked with [].",
		then: "default-ttl", why: "the same"},
	{name: "two Cookie headers, the second with the session", target: "/member?3",
		first: "Cookie: _ga=GA1.2.3\nCookie: sessionid=ana", shows: "Hello, ana.", reason: "identity-cookie",
		wants: "Hello, stranger.", then: "default-ttl",
		why: "nginx before 1.23 hands a var a line over, and the first is harmless"},
	{name: "two Cookie headers, the first with the session", target: "/member?4",
		first: "Cookie: sessionid=ana\nCookie: _ga=GA1.2.3", shows: "Hello, ana.", reason: "identity-cookie",
		wants: "Hello, stranger.", then: "default-ttl",
		why: "the same, the other way round"},
	{name: "session without a space before it", target: "/member?5",
		first: "Cookie: _ga=GA1.2.3;sessionid=ana", shows: "Hello, ana.", reason: "identity-cookie",
		wants: "Hello, stranger.", then: "default-ttl",
		why: "servers split cookies at the semicolon alone"},
	{name: "a cookie that the page reads and says nothing about", target: "/theme",
		first: "Cookie: theme=dark", shows: "The theme is dark.", reason: "cookie",
		wants: "The theme is light.", then: "default-ttl",
		why: "only --ttl speaks for the page, and nobody knows what the cookie does"},
	{name: "the same cookie behind a harmless one", target: "/theme?2",
		first: "Cookie: _ga=GA1.2.3\nCookie: theme=dark", shows: "The theme is dark.", reason: "duplicate-header",
		next: "Cookie: _ga=GA1.4.5; _gid=1", wants: "The theme is light.", then: "default-ttl",
		why: "in the second of two headers"},
	{name: "Vary: Cookie, a session", target: "/theme/told",
		first: "Cookie: sessionid=ana", shows: "Hello, ana;", reason: "identity-cookie",
		wants: "Hello, stranger; the theme is light.", then: "vary",
		why: "the key holds no cookie"},
	{name: "Vary: Cookie, analytics cookies", target: "/theme/told",
		first: "Cookie: _ga=GA1.2.3; _gid=1", shows: "Hello, stranger; the theme is light.", reason: "vary",
		next: "Cookie: theme=dark", wants: "the theme is dark.",
		why: "a member whom nginx looks up would get the stranger's page"},
	{name: "Vary: Cookie, no cookies", target: "/theme/told",
		shows: "the theme is light.", reason: "vary",
		next: "Cookie: theme=dark", wants: "the theme is dark.",
		why: "the same, without any"},
	{name: "Authorization", target: "/basic", only: "recipe",
		first: "Authorization: Basic YW5hOng=", shows: "Hello, ana.", reason: "authorization",
		wants: "Hello, stranger.", then: "default-ttl",
		why: "RFC 9111 §3.5"},
	{name: "Authorization", target: "/basic", only: "recommended",
		first: "Authorization: Basic YW5hOng=", shows: "Hello, ana.", reason: "not-looked-up",
		wants: "Hello, stranger.", then: "default-ttl",
		why: "nginx looks no credentials up"},
	{name: "Vary: User-Agent", target: "/agent",
		first: "User-Agent: curl", shows: "This is for curl.", reason: "vary",
		next: "User-Agent: lynx", wants: "This is for lynx.",
		why: "a page for phones is no page for others"},
	{name: "Vary: Accept-Language among others", target: "/language",
		first: "Accept-Language: fr", shows: "This is in fr.", reason: "vary",
		wants: "This is in en.",
		why:   "a page in French is no page for others"},
	{name: "JSON for scripts under the URL of a page", target: "/negotiated",
		first: "Accept: application/json", shows: "<script>", reason: "content-type",
		wants: "This is for people.", then: "default-ttl",
		why: "the answer would be served as HTML, and its strings run as scripts"},
	{name: "the visitor's no-store", target: "/fresh/default?no-store",
		first: "Cache-Control: no-store", shows: "This is", reason: "request-no-store",
		wants: "This is", then: "default-ttl",
		why: "RFC 9111 §5.2.1.5"},
	{name: "an upgrade that was not taken", target: "/fresh/default?upgrade",
		first: "Connection: Upgrade\nUpgrade: websocket", shows: "This is", reason: "upgrade",
		wants: "This is", then: "default-ttl",
		why: "the page may say that it cannot be shown otherwise"},
	{name: "HEAD poisoning", target: "/fresh/s-maxage?head", method: "HEAD",
		reason: "method", wants: "This is", then: "s-maxage",
		why: "an answer to HEAD has no body, and a GET would be served the emptiness"},
	{name: "HEAD poisoning, without length", target: "/body/chunked?head", method: "HEAD",
		reason: "method", wants: "This came in chunks.", then: "default-ttl",
		why: "the same"},
	{name: "OPTIONS", target: "/any/options", method: "OPTIONS", only: "recommended",
		shows: "Done.", reason: "method", wants: "('/any/options', '')", then: "default-ttl",
		why: "what another method is answered is not the page"},
	{name: "a GET with a body", target: "/upload",
		first: "Content-Length: 5\nContent-Type: text/plain\n\nhello", reason: "request-body",
		wants: "You sent 0 bytes.", then: "default-ttl",
		why: "the body is not in the key"},
	{name: "a GET with a body in chunks", target: "/upload?2",
		first: "Transfer-Encoding: chunked\n\n5\nhello\n0", reason: "request-body",
		wants: "You sent 0 bytes.", then: "default-ttl",
		why: "the same"},
}

// The page shows what the visitor sends, and its head does not say so.
var carriedLeaks = []leak{
	{first: "X-Api-Key: s3cret", reason: "identity-header"},
	{first: "Private-Token: s3cret", reason: "identity-header"},
	{first: "X-Forwarded-User: ana", reason: "identity-header"},
	{first: "Cf-Access-Jwt-Assertion: e.y.J", reason: "identity-header"},
	{first: "X-Amzn-Oidc-Data: e.y.J", reason: "identity-header"},
	{first: "Remote-User: ana", reason: "identity-header"},
	{first: "X-Tenant: shop", reason: "unknown-header"},
	{first: "X-Tenant:", reason: "unknown-header"},
	{first: "Cookie: csrftoken=x", reason: "token-cookie"},
	{first: "Cookie: XSRF-TOKEN=x; _ga=1", reason: "token-cookie"},
	{first: "Cookie: messages=saved", reason: "identity-cookie"},
	{first: "Cookie: django_language=de", reason: "identity-cookie"},
	{first: "Cookie: _ga=1 sessionid=ana", reason: "identity-cookie"},
	{first: "Cookie: \x1fsessionid=ana", reason: "identity-cookie"},
	{first: "Cookie: a=\"b; sessionid=ana\"", reason: "identity-cookie"},
	{first: "Cookie: csrftoken=x; sessionid=ana", reason: "identity-cookie"},
	{first: "Cookie: cookie_consent=analytics", reason: "cookie"},
	{first: "HX-Request: true", reason: "unkeyed-header"},
	{first: "HX-Request:", reason: "unkeyed-header"},
	{first: "Turbo-Frame: main", reason: "unkeyed-header"},
	{first: "X-Up-Target: main", reason: "unkeyed-header"},
	{first: "X-VHM-Root: /other", reason: "unkeyed-header"},
}

// The page depends on a header that is in no key.
var unkeyedLeaks = []leak{
	{name: "X-Forwarded-Host", target: "/link?1", first: "X-Forwarded-Host: evil.example", shows: "//evil.example/login", wants: `<a href="http://127.0.0.1`},
	{name: "X-Forwarded-Host, a list", target: "/link?list", first: "Host: 127.0.0.1\nX-Forwarded-Host: 127.0.0.1, evil.example",
		shows: "evil.example/login", next: "Host: 127.0.0.1", wants: `<a href="http://127.0.0.1/`},
	{name: "X-Forwarded-Host, twice", target: "/link?twice", first: "Host: 127.0.0.1\nX-Forwarded-Host: 127.0.0.1\nX-Forwarded-Host: evil.example",
		shows: "evil.example/login", next: "Host: 127.0.0.1", wants: `<a href="http://127.0.0.1/`},
	{name: "X-Host", target: "/link?2", first: "X-Host: evil.example", shows: "//evil.example/login", wants: `<a href="http://127.0.0.1`},
	{name: "X-Forwarded-Server", target: "/link?3", first: "X-Forwarded-Server: evil.example", shows: "//evil.example/login", wants: `<a href="http://127.0.0.1`},
	{name: "Forwarded", target: "/link?4", first: "Forwarded: for=192.0.2.1;host=evil.example", shows: "//evil.example/login", wants: `<a href="http://127.0.0.1`},
	{name: "Forwarded, in upper case", target: "/link?5", first: "FORWARDED: Proto=https; HOST=evil.example", shows: "evil.example/login", wants: `<a href="http://127.0.0.1`},
	{name: "X-Forwarded-Scheme", target: "/link?6", first: "X-Forwarded-Scheme: nothttps", shows: "nothttps://", wants: `<a href="http://127.0.0.1`},
	{name: "X-Forwarded-Port", target: "/link?7", first: "X-Forwarded-Port: 1", shows: ":1/login", wants: `<a href="http://127.0.0.1`},
	{name: "X-Forwarded-Prefix", target: "/link?8", first: "X-Forwarded-Prefix: /evil", shows: "/evil/login", wants: `<a href="http://127.0.0.1`},
	{name: "X-Original-URL", target: "/rewritten?1", first: "X-Original-URL: /admin", shows: "This is /admin.", wants: "This is /rewritten."},
	{name: "X-Original-URL, empty", target: "/rewritten?empty", first: "X-Original-URL:", shows: "This is /rewritten.", wants: "This is /rewritten."},
	{name: "X-Rewrite-URL", target: "/rewritten?2", first: "X-Rewrite-URL: /admin", shows: "This is /admin.", wants: "This is /rewritten."},
	{name: "X-HTTP-Method-Override", target: "/method?1", first: "X-HTTP-Method-Override: DELETE", shows: "You did DELETE.", wants: "You did GET."},
	{name: "X-HTTP-Method", target: "/method?2", first: "X-HTTP-Method: DELETE", shows: "You did DELETE.", wants: "You did GET."},
	{name: "X-Method-Override", target: "/method?3", first: "X-Method-Override: HEAD", shows: "You did HEAD.", wants: "You did GET."},
}

// The page contains a token of one visitor.
var tokenLeaks = []leak{
	{target: "/form/csrfmiddlewaretoken", reason: "sentinel", why: "Django's form token"},
	{target: "/form/csrf_token", reason: "sentinel", why: "Flask's form token"},
	{target: "/form/authenticity_token", reason: "sentinel", why: "Rails's form token"},
	{target: "/form/chunked/csrfmiddlewaretoken", reason: "sentinel", why: "the word runs across three chunks"},
	{target: "/form/chunked/csrf_token", reason: "sentinel", why: "the word runs across three chunks"},
	{target: "/form/chunked/authenticity_token", reason: "sentinel", why: "the word runs across three chunks"},
	{target: "/form/slow", reason: "sentinel", why: "the word comes in three reads, of a page with a length"},
}

// The head does not allow it.
var headLeaks = []leak{
	{target: "/set-cookie", reason: "set-cookie", why: "everybody would share the basket"},
	{target: "/set-cookie/fresh", reason: "set-cookie", why: "no lifetime overrules it"},
	{target: "/set-cookie/accel", reason: "set-cookie", why: "nor does nginx's own"},
	{target: "/private", reason: "private", why: "RFC 9111 §5.2.2.7"},
	{target: "/private/fresh", reason: "private", why: "max-age is for the browser then"},
	{target: "/private/field", reason: "private", why: "a hit cannot leave the field out"},
	{target: "/private/accel", reason: "private", why: "X-Accel-Expires gives lifetimes, not permission"},
	{target: "/private/cdn", reason: "private", why: "a hit could not tell the browser"},
	{target: "/private/cdn-only", reason: "private", why: "RFC 9213: it is meant for us"},
	{target: "/private/semicolon", reason: "private", why: "a slip must not publish the page"},
	{target: "/no-store", reason: "no-store", why: "RFC 9111 §5.2.2.5"},
	{target: "/no-store/upper", reason: "no-store", why: "directives have no case"},
	{target: "/no-store/second", reason: "no-store", why: "it may stand in the second line"},
	{target: "/no-store/open-quote", reason: "no-store", why: "it can be recognised in what is broken"},
	{target: "/no-store/cdn", reason: "no-store", why: "RFC 9213: it is meant for us"},
	{target: "/no-store/surrogate", reason: "no-store", why: "so is Surrogate-Control"},
	{target: "/no-cache", reason: "no-cache", why: "a hit is not revalidated"},
	{target: "/no-cache/field", reason: "no-cache", why: "nor can a field be"},
	{target: "/no-cache/pragma", reason: "no-cache", why: "RFC 9111 §5.4"},
	{target: "/expired/s-maxage", reason: "expired", why: "s-maxage=0 is the word for shared caches, whatever max-age says"},
	{target: "/expired/max-age", reason: "expired", why: "no lifetime is granted"},
	{target: "/expired/nonsense", reason: "expired", why: "what is malformed grants nothing"},
	{target: "/expired/negative", reason: "expired", why: "the same"},
	{target: "/expired/quoted", reason: "expired", why: "the same"},
	{target: "/expired/two", reason: "expired", why: "two lifetimes are none"},
	{target: "/expired/expires", reason: "expired", why: "it lies in the past"},
	{target: "/expired/expires-0", reason: "expired", why: "RFC 9111 §5.3: 0 is the past"},
	{target: "/expired/expires-words", reason: "expired", why: "what is malformed is the past"},
	{target: "/expired/spaces", reason: "expired", why: "it is none of RFC 9110's three forms of a date, and so lies in the past"},
	{target: "/expired/hour", reason: "expired", why: "the same: the hour has one digit"},
	{target: "/expired/accel", reason: "expired", why: "X-Accel-Expires: 0 comes before max-age"},
	{target: "/expired/accel-at", reason: "expired", why: "it lies in the past"},
	{target: "/expired/cdn", reason: "expired", why: "CDN-Cache-Control comes before Cache-Control"},
	{target: "/expired/age", reason: "expired", why: "another cache has used the time up"},
	{target: "/expired/date", reason: "expired", why: "it was made two minutes ago, for one"},
	{target: "/two/expires", reason: "duplicate-header", why: "nobody knows which one counts"},
	{target: "/two/accel", reason: "duplicate-header", why: "the same"},
	{target: "/two/types", reason: "duplicate-header", why: "the same"},
	{target: "/vary/cookie", reason: "vary", why: "the key holds no cookie"},
	{target: "/vary/cookie/fresh", reason: "vary", why: "no lifetime overrules it"},
	{target: "/vary/star", reason: "vary", why: "RFC 9111 §4.1: no request matches"},
	{target: "/vary/star-last", reason: "vary", why: "it may stand in the second line"},
	{target: "/vary/agent", reason: "vary", why: "the key holds no User-Agent"},
	{target: "/vary/ajax", reason: "vary", why: "a fragment would be served as the page"},
	{target: "/content-language", reason: "header-loss", why: "it is one of several"},
	{target: "/content-location", reason: "header-loss", why: "it is one of several"},
	{target: "/api/users", reason: "content-type", why: "JSON would be served as HTML, and its strings run as scripts"},
	{target: "/page.json", reason: "content-type", why: "HTML would be served as JSON"},
	{target: "/feed", reason: "content-type", why: "a feed would be served as HTML"},
	{target: "/feed/atom", reason: "content-type", why: "a feed would be served as HTML"},
	{target: "/feed.xml", reason: "content-type", why: "nginx says text/xml"},
	{target: "/feed.rss", reason: "content-type", why: "nginx says utf-8"},
	{target: "/text", reason: "content-type", why: "text would be served as HTML"},
	{target: "/latin1", reason: "content-type", why: "nginx says utf-8"},
	{target: "/report", reason: "content-type", why: "it would be served as HTML"},
	{target: "/script", reason: "content-type", why: "it would be served as HTML"},
	{target: "/style.js", reason: "content-type", why: "a style sheet would be served as a script"},
	{target: "/xhtml", reason: "content-type", why: "it would be served as HTML"},
	{target: "/odd-type", reason: "content-type", why: "browsers guess at what is malformed"},
	{target: "/download", reason: "header-loss", why: "the download would open as a page"},
	{target: "/nonce", reason: "header-loss", why: "the nonce would serve twice, and the policy be gone"},
	{target: "/csp", reason: "header-loss", why: "a hit without it would run what the application forbids"},
	{target: "/nonce/report", reason: "header-loss", why: "the same"},
	{target: "/refresh", reason: "header-loss", why: "the visitor would wait for ever"},
	{target: "/cors", reason: "header-loss", why: "other sites' scripts could not read it"},
	{target: "/cors/credentials", reason: "header-loss", why: "it was made for one other site"},
	{target: "/clear", reason: "header-loss", why: "a logout would not happen"},
	{target: "/link/next", reason: "header-loss", why: "an API's next page would be gone"},
	{target: "/link/two", reason: "header-loss", why: "the second link is the page's style"},
	{target: "/located", reason: "header-loss", why: "the status may be wrong"},
	{target: "/robots", reason: "header-loss", why: "the page would be indexed"},
	{target: "/accel-charset", reason: "header-loss", why: "nginx says utf-8 on a hit"},
}

// The response is not the page.
var brokenLeaks = []leak{
	{target: "short", reason: "truncated", why: "half a page: Content-Length promises more"},
	{target: "short-tagged", first: "If-None-Match: \"v1\"", status: 304, reason: "truncated", why: "half a page behind a 304"},
	{target: "long", reason: "truncated", why: "Content-Length promises less"},
	{target: "dies", reason: "truncated", why: "half a page: the worker is gone"},
	{target: "dies-in-a-chunk", reason: "truncated", why: "half a page: the worker is gone"},
	{target: "dies-unframed", reason: "no-length", why: "half a page, and its end looks like an end"},
	{target: "no-last-chunk", reason: "truncated", why: "half a page"},
	{target: "no-last-line", reason: "truncated", why: "half a page: trailers may have been to come"},
	{target: "bad-chunk", reason: "truncated", why: "the chunks' framing is broken"},
	{target: "trailers", reason: "trailers", why: "a hit carries none"},
	{target: "length-and-chunks", reason: "no-length", why: "RFC 9112 §6.3: smuggling looks like that"},
	{target: "chunked-twice", status: 502, why: "the framing cannot be known"},
	{target: "compressed-chunks", status: 502, why: "the chunks hold what only their sender can name"},
	{target: "two-lengths", status: 502, why: "the framing cannot be known"},
	{target: "unframed", reason: "no-length", why: "a crash looks the same"},
	{target: "empty", reason: "empty", why: "nginx would serve the emptiness"},
	{target: "empty-chunked", reason: "empty", why: "nginx would serve the emptiness"},
	{target: "too-large", reason: "too-large", why: "memcached would refuse it, and drop what it had"},
	{target: "too-large-chunked", reason: "too-large", why: "the same, known only in the end"},
	{target: "compressed", reason: "content-encoding", why: "gzip without flag: nobody asked for it, and a hit does not say so"},
	{target: "compressed-chunked", reason: "content-encoding", why: "the same in chunks"},
	{target: "brotli", reason: "content-encoding", why: "the same"},
	{target: "part", status: 206, reason: "status", why: "a part is not the page"},
	{target: "part-as-a-whole", reason: "content-range", why: "a part is not the page, whatever the status"},
	{target: "untyped", reason: "content-type", why: "nobody knows what it is"},
	{target: "accel-redirect", only: "recipe", status: 404, reason: "accel-redirect", why: "nginx puts another page in its place, or none"},
	{target: "accel-redirect", only: "recommended", reason: "not-looked-up", why: "nginx puts another page in its place, which has no key"},
	{target: "sendfile", reason: "accel-redirect", why: "another server would have put a file in its place"},
	{target: "challenge", reason: "header-loss", why: "the status may be wrong"},
	{target: "201", status: 201, reason: "status", why: "nginx would say 200"},
	{target: "203", status: 203, reason: "status", why: "nginx would say 200"},
	{target: "301", status: 301, reason: "status", why: "nginx would say 200"},
	{target: "302", status: 302, reason: "status", why: "nginx would say 200"},
	{target: "303", status: 303, reason: "status", why: "nginx would say 200"},
	{target: "307", status: 307, reason: "status", why: "nginx would say 200"},
	{target: "400", status: 400, reason: "status", why: "nginx would say 200"},
	{target: "403", status: 403, reason: "status", why: "nginx would say 200"},
	{target: "404", status: 404, reason: "status", why: "nginx would say 200"},
	{target: "410", status: 410, reason: "status", why: "nginx would say 200"},
	{target: "429", status: 429, reason: "status", why: "nginx would say 200"},
	{target: "500", status: 500, reason: "status", why: "nginx would say 200"},
	{target: "503", status: 503, reason: "status", why: "nginx would say 200"},
}

// allLeaks are those of every configuration.
func allLeaks() []leak {
	all := visitorLeaks
	for _, l := range unkeyedLeaks {
		l.reason, l.then = "unkeyed-header", "default-ttl"
		l.why = "the first visitor's header would make everybody's page"
		all = append(all, l)
	}
	for i, l := range carriedLeaks {
		l.name, l.target = "carried: "+l.first, fmt.Sprint("/carried?", i)
		name, _, _ := strings.Cut(l.first, ":")
		l.shows, l.wants, l.then = name+"=", "Carried: nothing.", "default-ttl"
		l.why = "the page is that of who carries it"
		all = append(all, l)
	}
	for _, l := range append(tokenLeaks, headLeaks...) {
		l.name = words(l.target)
		all = append(all, l)
	}
	for _, l := range brokenLeaks {
		l.name = "broken: " + l.target
		l.target, l.first = "/broken/"+l.target, "X-Break: yes\n"+l.first
		l.wants, l.then = "This is whole.", "default-ttl"
		all = append(all, l)
	}
	return all
}

// words makes a test name of a path. In a test name a slash begins a subtest.
func words(path string) string { return strings.ReplaceAll(strings.Trim(path, "/"), "/", " ") }

// None of the pages is stored, and the next visitor gets the right one.
func TestLeaks(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"recommended", "recipe"} {
		t.Run(conf, func(t *testing.T) {
			t.Parallel()
			a := startApp(t, stack.Config{Conf: conf})
			for _, l := range allLeaks() {
				if l.only == "" || l.only == conf {
					t.Run(l.name, func(t *testing.T) { a.in(t).holds(l) })
				}
			}
		})
	}
}

// stores is the number of entries that a page with that reason makes.
func stores(reason string) int {
	if slices.Contains(toStore, reason) {
		return 1
	}
	return 0
}

// toStore are the reasons for storing a page.
var toStore = []string{"x-accel-expires", "cdn-cache-control", "surrogate-control", "s-maxage", "max-age", "expires", "rule", "default-ttl"}

// holds sends the requests of both visitors, and of a third one if the page of the
// second may be stored.
func (a *app) holds(l leak) {
	a.t.Helper()
	first := a.visit(cmp.Or(l.method, "GET"), l.target, l.first)
	if want := cmp.Or(l.status, 200); first.status != want || !strings.Contains(first.body, l.shows) {
		a.t.Fatalf("the first visitor got %d %.300q, %v; want %d with %q", first.status, first.body, first.err, want, l.shows)
	}
	if first.written != 0 || !first.hasReason(l.reason) {
		a.t.Errorf("stored %d, %s; want nothing, %s: %s", first.written, first.reason(), l.reason, l.why)
	}
	target := cmp.Or(l.at, l.target)
	next := a.visit("GET", target, l.next)
	if next.status != 200 || next.copy() == "" || next.copy() == first.copy() || !strings.Contains(next.body, l.wants) {
		a.t.Errorf("the next visitor got %d %.300q, want an own copy with %q: %s", next.status, next.body, l.wants, l.why)
	}
	if got, want := next.reason(), cmp.Or(l.then, l.reason); got != want {
		a.t.Errorf("the next visitor's page: %s, want %s", got, want)
	}
	if next.written != stores(next.reason()) {
		a.t.Errorf("stored %d of the next visitor, %s", next.written, next.reason())
	}
	if next.written == 0 {
		return
	}
	if third := a.visit("GET", target, l.next); third.reason() != "hit" || third.body != next.body {
		a.t.Errorf("the third visitor got %d %.300q (%s), want a hit with the next one's page", third.status, third.body, third.reason())
	}
}
