package integration

import (
	"cmp"
	"mime"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A replay is a page that may be served to all: it is stored on the first visit and a
// hit on the second.
type replay struct {
	name   string
	target string // of testdata/leaks/app.py
	first  string // header lines of the first visitor; the second has none
	shows  string // his page
	reason string // why it is stored; "": default-ttl
	ttl    int64  // in seconds; 0: is not looked at
	status int    // of the first visitor's answer; 0: 200
	at     string // target of the second visitor; "": the same
	second string // header lines of the second visitor
	why    string
}

// The head sets a lifetime, or contains nothing that matters for a hit.
var headReplays = []replay{
	{target: "/fresh/accel", reason: "x-accel-expires", ttl: 600, why: "nginx's own word"},
	{target: "/fresh/accel-at", reason: "x-accel-expires", ttl: 600, why: "a time, as seconds since the epoch"},
	{target: "/fresh/accel-first", reason: "x-accel-expires", ttl: 600, why: "it comes before all others"},
	{target: "/fresh/accel-nonsense", reason: "max-age", ttl: 600, why: "nginx ignores it when it is malformed"},
	{target: "/fresh/cdn", reason: "cdn-cache-control", ttl: 600, why: "RFC 9213"},
	{target: "/fresh/cdn-first", reason: "cdn-cache-control", ttl: 600, why: "RFC 9213 §2.1: a targeted field comes first"},
	{target: "/fresh/cdn-broken", reason: "max-age", ttl: 600, why: "RFC 9213 §2.1: what is malformed is ignored"},
	{target: "/fresh/surrogate", reason: "surrogate-control", ttl: 600, why: "what CDNs had before"},
	{target: "/fresh/s-maxage", reason: "s-maxage", ttl: 600, why: "RFC 9111 §5.2.2.10"},
	{target: "/fresh/s-maxage-first", reason: "s-maxage", ttl: 600, why: "max-age=0 is for browsers then"},
	{target: "/fresh/max-age", reason: "max-age", ttl: 600, why: "RFC 9111 §5.2.2.1"},
	{target: "/fresh/max-age-first", reason: "max-age", ttl: 600, why: "RFC 9111 §5.3: it overrides Expires"},
	{target: "/fresh/expires", reason: "expires", ttl: 600, why: "RFC 9111 §5.3"},
	{target: "/fresh/expires-date", reason: "expires", ttl: 600, why: "counted from Date"},
	{target: "/fresh/default", ttl: 600, why: "the answer says nothing"},
	{target: "/fresh/public", ttl: 600, why: "nor does this one, about time"},
	{target: "/fresh/upper", reason: "max-age", ttl: 600, why: "directives have no case"},
	{target: "/fresh/spaces", reason: "max-age", ttl: 600, why: "RFC 9110 §5.6.1: empty members of a list are ignored"},
	{target: "/fresh/quoted", reason: "max-age", ttl: 600, why: "what is quoted is no directive"},
	{target: "/fresh/escaped", reason: "max-age", ttl: 600, why: "nor what follows an escaped quote"},
	{target: "/fresh/lines", reason: "max-age", ttl: 600, why: "three lines are one list"},
	{target: "/fresh/unknown", reason: "max-age", ttl: 600, why: "unknown directives are ignored, however they begin"},
	{target: "/fresh/revalidate", reason: "max-age", ttl: 600, why: "nothing stale is served"},
	{target: "/fresh/age", reason: "max-age", ttl: 600, why: "another cache has used a minute up"},
	{target: "/fresh/age-words", reason: "max-age", ttl: 600, why: "RFC 9111 §5.1: an Age that is no number is ignored"},
	{target: "/fresh/age-negative", reason: "max-age", ttl: 600, why: "the same"},
	{target: "/fresh/age-fraction", reason: "max-age", ttl: 600, why: "the same"},
	{target: "/fresh/age-list", reason: "max-age", ttl: 600, why: "the first one counts, and says nothing has passed"},
	{target: "/fresh/date", reason: "max-age", ttl: 600, why: "a minute has passed since it was made"},
	{target: "/fresh/pragma", reason: "max-age", ttl: 600, why: "RFC 9111 §5.4: Pragma counts only alone"},
	{target: "/fresh/overflow", reason: "max-age", ttl: 86400, why: "--max-ttl bounds it"},
	{target: "/no-store/must-understand", reason: "max-age", ttl: 600, why: "RFC 9111 §5.2.2.3: we understand the status"},
	{target: "/head/vary", why: "a candidate asks for the identity form"},
	{target: "/head/vary-odd", why: "however it is spelled"},
	{target: "/head/validators", why: "a hit answers no conditional request, and needs none"},
	{target: "/head/preload", why: "the page can do without"},
	{target: "/head/canonical", why: "the page can do without"},
	{target: "/head/security", why: "Django sets these on every page; nginx can add them"},
	{target: "/head/policy", why: "nginx can add them"},
	{target: "/head/own", why: "nobody misses them"},
	{target: "/head/type", why: "the same type, spelled otherwise"},
	{target: "/head/identity", why: "no encoding"},
	{target: "/style.css", why: "nginx's type of the extension"},
	{target: "/lib.min.js", why: "nginx's type of the extension, with a charset"},
	{target: "/data.json", why: "nginx's type of the extension"},
	{target: "/robots.txt", why: "nginx's type of the extension, with a charset"},
	{target: "/sitemap.xml", why: "nginx's type of the extension, with a charset"},
	{target: "/news.rss", why: "nginx's type of the extension, with a charset"},
	{target: "/news.atom", why: "nginx's type of the extension, without a charset"},
	{target: "/logo.SVG", why: "extensions have no case"},
	{target: "/index.html", why: "nginx's type of the extension is the same"},
	{target: "/index.php", why: "nginx knows no type of the extension"},
	{target: "/.well-known/page", why: "a name that begins with a dot has no extension"},
	{target: "/body/chunked", shows: "A page</title>\n<p>This came in chunks.</p>\n<p>Copy ", why: "the last chunk proves the end; the framing is not stored"},
	{target: "/body/chunk-extensions", shows: "A page</title>\n<p>This came in chunks.</p>\n<p>Copy ", why: "RFC 9112 §7.1.1: extensions are ignored"},
	{target: "/body/bytewise", shows: "A page</title>\n<p>This came byte by byte.</p>\n<p>Copy ", why: "a hundred chunks"},
	{target: "/body/same-length-twice", why: "RFC 9110 §8.6: the same twice is one"},
	{target: "/body/pieces", why: "it came as fast as it could"},
	{target: "/body/largest", why: "the largest that memcached takes with the longest key"},
	{target: "/body/largest-chunked", why: "the same in chunks"},
	{target: "/body/smallest", why: "one byte is not nothing"},
	{target: "/body/binary", why: "every byte, and memcached's own words among them"},
	{target: "/body/csrf-prose", why: "a word is no token"},
}

// The URL is unusual. testdata/memcached_key.json has more of them.
var urlReplays = []replay{
	{target: "/any/stra%C3%9Fe", shows: "/any/stra", why: "percent-encoded UTF-8"},
	{target: "/any/stra%c3%9fe/lower", shows: "/any/stra", why: "the client's case of the digits"},
	{target: "/any/caf\u00e9", shows: "/any/caf", why: "raw UTF-8"},
	{target: "/any/caf\xe9", shows: "/any/caf", why: "raw Latin-1"},
	{target: "/any/a%20b+c", shows: "/any/a b+c", why: "a space"},
	{target: "/any/100%25", shows: "/any/100%", why: "a percent sign"},
	{target: "/any/a%2Fb", shows: "/any/a/b", why: "an encoded slash"},
	{target: "//any//a/./b/../c", shows: "/any/a/c", why: "dots and double slashes"},
	{target: "/any/a;b=c,d", shows: "/any/a;b=c,d", why: "parameters of a segment"},
	{target: "/any/(a)|[b]{c}^\"<d>\\", shows: "/any/(a)|[b]", why: "what should have been encoded"},
	{target: "/any/?", shows: "('/any/', '')", why: "a question mark without arguments"},
	{target: "/any/?a=1&&b;c=%26&=", shows: "a=1&&b;c=%26&=", why: "arguments that are hardly any"},
	{target: "/any/?next=http://other.example/", shows: "other.example", why: "an address among the arguments"},
	{target: "/any/http://other.example/", shows: "other.example", why: "an address in the path"},
	{target: "/any/" + strings.Repeat("x", 200), shows: "xxx", why: "nearly the longest key"},
}

// The request contains something that does not matter, or asks for less than the page.
var requestReplays = []replay{
	{name: "analytics cookies", target: "/theme?a", first: "Cookie: _ga=GA1.2.3; _gid=GA1.2.4; _fbp=fb.1; CookieConsent=yes", shows: "light",
		why: "no page depends on them"},
	{name: "analytics cookies in two headers", target: "/theme?b", first: "Cookie: _ga=GA1.2.3\nCookie: _ga=GA1.2.3", shows: "light",
		why: "the same twice is no contradiction"},
	{name: "empty cookies", target: "/theme?c", first: "Cookie: ;  ; ", shows: "light", why: "there are none"},
	{name: "other cookies, explicit freshness", target: "/fresh/s-maxage?cookie", first: "Cookie: theme=dark", reason: "s-maxage", ttl: 600,
		second: "Cookie: theme=dark", why: "the application has spoken for the page"},
	{name: "reload", target: "/fresh/max-age?reload", first: "Cache-Control: no-cache\nPragma: no-cache", reason: "max-age",
		why: "it asks for a fresh page, which may be kept"},
	{name: "the browser's max-age", target: "/fresh/max-age?max-age", first: "Cache-Control: max-age=0", reason: "max-age", why: "the same"},
	{name: "Accept-Encoding", target: "/body/compressible", first: "Accept-Encoding: gzip, br", shows: "This may be compressed.",
		why: "a candidate is asked for plain"},
	{name: "Accept, User-Agent, Referer", target: "/agent/none", first: "Accept: text/html\nAccept-Language: de\nUser-Agent: x\nReferer: http://a.example/",
		why: "the page says nothing of varying by them"},
	{name: "X-Forwarded-For", target: "/link?for", first: "X-Forwarded-For: 192.0.2.1\nX-Real-IP: 192.0.2.1\nForwarded: for=192.0.2.1", shows: "http://127.0.0.1",
		why: "proxies say whom they asked for"},
	{name: "X-Forwarded-Host of the same host", target: "/link?host", first: "Host: shop.example\nX-Forwarded-Host: Shop.Example", shows: "/login",
		second: "Host: shop.example", why: "it repeats what the key says"},
	{name: "X-Forwarded-Proto", target: "/link?proto", first: "X-Forwarded-Proto: https", shows: "http://127.0.0.1",
		why: "the application is told what nginx saw"},
	{name: "X-HTTP-Method-Override: GET", target: "/method?get", first: "X-HTTP-Method-Override: GET", shows: "You did GET.",
		why: "it overrides nothing"},
	{name: "absolute form", target: "http://127.0.0.1/link?absolute", first: "Host: evil.example", shows: "/login", at: "/link?absolute",
		why: "nginx, the key and the application go by the same host"},
	{name: "empty body", target: "/upload?empty", first: "Content-Length: 0", shows: "You sent 0 bytes.", why: "no body is announced"},

	{name: "If-None-Match that matches", target: "/asked?a", first: `If-None-Match: "v1"`, status: 304, why: "the page is fetched whole all the same"},
	{name: "If-None-Match, weak and among others", target: "/asked?b", first: `If-None-Match: "v0", W/"v1"`, status: 304, why: "RFC 9110 §13.1.2: weak comparison"},
	{name: "If-None-Match: *", target: "/asked?c", first: "If-None-Match: *", status: 304, why: "RFC 9110 §13.1.2: there is a page"},
	{name: "If-None-Match that does not match", target: "/asked?d", first: `If-None-Match: "v0"`, shows: "Asked with [].", why: "the worker is asked for all"},
	{name: "If-Modified-Since of the date", target: "/asked?e", first: "If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT", status: 304, why: "RFC 9110 §13.1.3"},
	{name: "If-Modified-Since before", target: "/asked?f", first: "If-Modified-Since: Fri, 31 Dec 2021 23:59:59 GMT", shows: "Asked with [].", why: "it has changed since"},
	{name: "If-None-Match beside If-Modified-Since", target: "/asked?g", first: "If-None-Match: \"v0\"\nIf-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT", shows: "Asked with [].",
		why: "RFC 9110 §13.2.2: the tag decides alone"},
}

// allReplays are those of every configuration.
func allReplays() []replay {
	var all []replay
	for _, r := range append(headReplays, urlReplays...) {
		r.name = words(r.target)
		all = append(all, r)
	}
	return append(all, requestReplays...)
}

// All pages are stored, and the second visitor gets a hit.
func TestReplays(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"recommended", "recipe"} {
		t.Run(conf, func(t *testing.T) {
			t.Parallel()
			a := startApp(t, stack.Config{Conf: conf})
			for _, r := range allReplays() {
				if conf == "recipe" && (strings.HasPrefix(r.target, "http:") || strings.HasPrefix(r.first, "Host: ")) {
					continue // the recipe is for one host, and hands the Host line over: see TestAllowedHosts
				}
				t.Run(r.name, func(t *testing.T) { a.in(t).replays(r) })
			}
		})
	}
}

// replays sends the requests of both visitors.
func (a *app) replays(r replay) {
	a.t.Helper()
	first := a.visit("GET", r.target, r.first)
	if want := cmp.Or(r.status, 200); first.status != want || !strings.Contains(first.body, r.shows) {
		a.t.Fatalf("the first visitor got %d %.300q, %v; want %d with %q", first.status, first.body, first.err, want, r.shows)
	}
	if want := cmp.Or(r.reason, "default-ttl"); first.written != 1 || first.reason() != want {
		a.t.Fatalf("stored %d, %s; want 1, %s: %s", first.written, first.reason(), want, r.why)
	}
	if ttl := first.logged[0].TTL; r.ttl > 0 && !isAbout(ttl, r.ttl, first.reason() == "default-ttl") {
		a.t.Errorf("stored for %d s, want about %d: %s", ttl, r.ttl, r.why)
	}
	second := a.visit("GET", cmp.Or(r.at, r.target), r.second)
	if second.reason() != "hit" || second.status != 200 {
		a.t.Fatalf("the second visitor got %d %.300q (%s), want a hit: %s", second.status, second.body, second.reason(), r.why)
	}
	switch {
	case first.status == 304:
		if first.body != "" || first.header.Get("Etag") != `"v1"` || second.copy() == "" {
			a.t.Errorf("304 with %v and body %q, then %.300q; want the tag and no body, then the page", first.header, first.body, second.body)
		}
	case second.body != first.body:
		a.t.Errorf("the hit is %.300q, and was %.300q", second.body, first.body)
	case !isSameType(second.header.Get("Content-Type"), first.header.Get("Content-Type")):
		a.t.Errorf("the hit's type is %q, and was %q", second.header.Get("Content-Type"), first.header.Get("Content-Type"))
	}
}

// isAbout allows for --jitter, which does not extend a lifetime of the application, and
// for a minute since the start.
func isAbout(ttl, want int64, either bool) bool {
	most := want
	if either {
		most += want / 20
	}
	return want-want/20-60 <= ttl && ttl <= most
}

func isSameType(a, b string) bool {
	a, aParams, aErr := mime.ParseMediaType(a)
	b, bParams, bErr := mime.ParseMediaType(b)
	return aErr == nil && bErr == nil && a == b && strings.EqualFold(aParams["charset"], bParams["charset"])
}

// The tables have a row for each page of the application.
func TestEveryPageIsTried(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{})
	tried := map[string]bool{"": true, "/": true, "/held": true, "/broken/unframed.txt": true, "/broken/unframed-form": true}
	for _, l := range allLeaks() {
		path, _, _ := strings.Cut(l.target, "?")
		tried[path] = true
	}
	for _, r := range allReplays() {
		path, _, _ := strings.Cut(r.target, "?")
		tried[path] = true
	}
	for path := range strings.Lines(a.visit("GET", "/", "").body) {
		if path = strings.TrimSpace(path); strings.HasPrefix(path, "/") && !tried[path] {
			t.Errorf("%s is in no row", path)
		}
	}
}
