package policy

import (
	"strings"
	"testing"
)

// determineRows are requests and the keys that were looked up for them. Without key it
// is derived by the template; with both the template may render the key, or not.
var determineRows = []struct {
	name     string
	template string // "": none
	key      string // handed over; "": none
	changes  []string
	want     Reason
	tune     func(*Policy) // nil: nothing
}{
	// The ordinary page, under all usual keys.
	{name: "URL, handed over", key: "http://www.example.com/p?q=1"},
	{name: "URL, derived", template: "$scheme://$host$request_uri"},
	{name: "URL, handed over and rendered", template: "$scheme://$host$request_uri", key: "http://www.example.com/p?q=1"},
	{name: "path and arguments, derived", template: "$host$uri$is_args$args"},
	{name: "path and arguments, handed over", key: "www.example.com/p?q=1"},
	{name: "decoded path, handed over", key: "www.example.com/a b?q=1", changes: []string{"REQUEST_URI=/a%20b?q=1"}},
	{name: "raw path, handed over", key: "www.example.com/a%20b?q=1", changes: []string{"REQUEST_URI=/a%20b?q=1"}},
	{name: "dots resolved", key: "www.example.com/a/../p", changes: []string{"REQUEST_URI=/a/../p", "PATH_INFO=/p"}},
	{name: "encoded dots resolved", key: "www.example.com/a/%2e%2E/p/.", changes: []string{"REQUEST_URI=/a/%2e%2E/p/.", "PATH_INFO=/p/"}},
	{name: "slashes merged", key: "www.example.com//a%2F/b/", changes: []string{"REQUEST_URI=//a%2F/b/", "PATH_INFO=/a/b/"}},
	{name: "slashes not merged", key: "www.example.com//a//b", changes: []string{"REQUEST_URI=//a//b", "PATH_INFO=//a//b"}},
	{name: "slashes not merged, and decoded", key: "www.example.com//a%41", changes: []string{"REQUEST_URI=//a%41", "PATH_INFO=//aA"}},
	{name: "decoded once", key: "www.example.com/a%2520b", changes: []string{"REQUEST_URI=/a%2520b", "PATH_INFO=/a%20b"}},
	{name: "decoded twice", key: "www.example.com/a%2520b", changes: []string{"REQUEST_URI=/a%2520b", "PATH_INFO=/a b"}, want: Rewritten},
	{name: "fragment", key: "www.example.com/p?q=1#f", changes: []string{"REQUEST_URI=/p?q=1#f", "QUERY_STRING=q=1"}},
	{name: "target without a path", key: "www.example.com?q", changes: []string{"REQUEST_URI=?q", "PATH_INFO=/", "QUERY_STRING=q"}},
	{name: "blank question mark", key: "www.example.com/p?", changes: []string{"REQUEST_URI=/p?", "QUERY_STRING="}},
	{name: "blank question mark, derived of the path", template: "$host$uri", changes: []string{"REQUEST_URI=/p?", "QUERY_STRING="}},
	{name: "no PATH_INFO", key: "www.example.com/p?q=1", changes: []string{"-PATH_INFO"}},
	{name: "no QUERY_STRING", key: "www.example.com/p?q=1", changes: []string{"-QUERY_STRING"}},
	{name: "a path below SCRIPT_NAME", key: "www.example.com/app/p", changes: []string{"REQUEST_URI=/app/p", "PATH_INFO=/p", "SCRIPT_NAME=/app"}},
	{name: "something behind the URL", key: "www.example.com/p?q=1|de"},
	{name: "something behind the path", key: "www.example.com/p|de", changes: []string{"REQUEST_URI=/p"}},
	{name: "something before the URL", key: "v2|de:http://www.example.com/p?q=1"},

	// The packets of subrequests and internal redirects.
	{name: "SSI include", key: "http://www.example.com/p?q=1", changes: fragment, want: Rewritten},
	{name: "SSI include, derived", template: "$scheme://$host$request_uri", changes: fragment, want: Rewritten},
	{name: "SSI include, a hash", key: "d41d8cd98f00b204", changes: fragment, want: Rewritten},
	{name: "SSI include under its own key", key: "http://www.example.com/frag", changes: fragment},
	{name: "SSI include under its own key, rendered", template: "$scheme://$host$uri$is_args$args", key: "http://www.example.com/frag", changes: fragment},
	{name: "SSI include under its own key, derived", template: "$scheme://$host$uri$is_args$args", changes: fragment, want: Rewritten},
	{name: "of two SSI includes the other one's key", key: "http://www.example.com/frag2", changes: fragment, want: Rewritten},
	{name: "the other one's key, that ends so", key: "http://www.example.com/a/frag", changes: fragment, want: Rewritten},
	{name: "the other one's key, with arguments", key: "http://www.example.com/frag?x=1", changes: fragment, want: Arguments},
	{name: "the other one's key, below", key: "http://www.example.com/frag/x", changes: fragment, want: Rewritten},
	{name: "the other one's key, behind a separator", key: "http://www.example.com/frag|x", changes: fragment, want: Rewritten},
	{name: "the page includes itself with arguments", key: "http://www.example.com/p?q=1", changes: []string{"REQUEST_URI=/p?q=1", "QUERY_STRING=fragment=1"}, want: Arguments},
	{name: "the page includes itself without", key: "http://www.example.com/p?q=1", changes: []string{"REQUEST_URI=/p?q=1", "QUERY_STRING="}, want: Arguments},
	{name: "the page includes itself, derived", template: "$host$request_uri", changes: []string{"REQUEST_URI=/p", "QUERY_STRING=fragment=1"}, want: Arguments},
	{name: "auth_request has left its key", key: "http://www.example.com/auth", want: Rewritten},
	{name: "auth_request has left a key that begins so", key: "http://www.example.com/p2?q=1", want: Rewritten},
	{name: "auth_request has left a key that ends so", key: "http://www.example.com/auth/p?q=1", want: Rewritten},
	{name: "mirror has left its key at the front page", key: "http://www.example.com/mirror", changes: []string{"REQUEST_URI=/"}, want: Rewritten},
	{name: "auth_request's own packet", key: "http://www.example.com/p?q=1", changes: []string{"REQUEST_URI=/p?q=1", "PATH_INFO=/auth", "QUERY_STRING="}, want: Rewritten},
	{name: "mirror's own packet, with the arguments", key: "http://www.example.com/p?q=1", changes: []string{"REQUEST_URI=/p?q=1", "PATH_INFO=/mirror", "QUERY_STRING=q=1"}, want: Rewritten},
	{name: "add_before_body", key: "http://www.example.com/p", changes: []string{"REQUEST_URI=/p", "PATH_INFO=/header", "QUERY_STRING="}, want: Rewritten},
	{name: "error_page with a URI", key: "http://www.example.com/gone", changes: []string{"REQUEST_URI=/gone", "PATH_INFO=/notfound/", "QUERY_STRING="}, want: Rewritten},
	{name: "index", key: "http://www.example.com/", changes: []string{"REQUEST_URI=/", "PATH_INFO=/index.html"}, want: Rewritten},
	{name: "try_files", template: "$host$uri", changes: []string{"REQUEST_URI=/a?b", "PATH_INFO=/index.php", "QUERY_STRING=b"}, want: Rewritten},
	{name: "maintenance", key: ":1:/home", changes: []string{"REQUEST_URI=/home", "PATH_INFO=/sorry"}, want: Rewritten},
	{name: "a path given twice, alike", key: "http://www.example.com/p", changes: []string{"REQUEST_URI=/p", "+PATH_INFO=/p"}},
	{name: "a path given twice", key: "http://www.example.com/p", changes: []string{"REQUEST_URI=/p", "+PATH_INFO=/env"}, want: DuplicateHeader},
	{name: "no REQUEST_URI", template: "$host$uri", changes: []string{"-REQUEST_URI", "QUERY_STRING="}, want: Rewritten},

	// Rewrites that are the site's own.
	{name: "a rewrite", key: ":1:/article/7", changes: article, want: Rewritten},
	{name: "allowed", key: ":1:/article/7", changes: article, tune: allowRewrites},
	{name: "allowed, derived", template: ":1:$request_uri", changes: article, tune: allowRewrites},
	{name: "allowed, rendered", template: ":1:$request_uri", key: ":1:/article/7", changes: article, tune: allowRewrites},
	{name: "allowed, derived of $uri", template: ":1:$uri$is_args$args", changes: article, tune: allowRewrites, want: Rewritten},
	{name: "allowed, derived of both", template: ":1:$uri|$request_uri", changes: article, tune: allowRewrites, want: Rewritten},
	{name: "allowed, derived of arguments", template: ":1:$request_uri|$arg_id", changes: article, tune: allowRewrites, want: Rewritten},
	{name: "handed over after the rewrite", key: ":1:/index?id=7", changes: article},
	{name: "handed over after the rewrite, without the arguments", key: ":1:/index", changes: article, want: Arguments},
	{name: "allowed, another key", key: ":1:/other", changes: article, tune: allowRewrites, want: Rewritten},
	{name: "allowed, X-Accel-Redirect", key: ":1:/article/7", changes: append([]string{"CACHE_STATUS=404 : 200 : 404"}, article...), tune: allowRewrites, want: NotLookedUp},
	{name: "allowed, X-Accel-Redirect at srcache", key: ":1:/article/7", changes: append([]string{"CACHE_STATUS=MISS200"}, article...), tune: allowRewrites, want: NotLookedUp},
	{name: "allowed, intercepted error at srcache", key: ":1:/article/7", changes: append([]string{"CACHE_STATUS=MISS404"}, article...), tune: allowRewrites, want: NotLookedUp},
	{name: "srcache", key: ":1:/p?q=1", changes: []string{"CACHE_STATUS=MISS"}},
	{name: "srcache, among others", key: ":1:/p?q=1", changes: []string{"CACHE_STATUS=200, MISS"}, want: NotLookedUp},

	// Arguments.
	{name: "the path alone", key: "http://www.example.com/list/", changes: args("page=9"), want: Arguments},
	{name: "the path alone, derived", template: "$scheme://$host$uri", changes: args("page=9"), want: Arguments},
	{name: "the path alone, without arguments", template: "$scheme://$host$uri", changes: args("")},
	{name: "a map leaves arguments out", key: "http://www.example.com/list/", changes: args("utm_source=x"), want: Arguments},
	{name: "a map leaves some out", key: "http://www.example.com/list/?page=2", changes: args("page=2&utm_source=x"), want: Arguments},
	{name: "a map sorts them", key: "http://www.example.com/list/?a=1&b=2", changes: args("b=2&a=1"), want: Arguments},
	{name: "one that is named", template: paged, changes: args("page=9")},
	{name: "one that is named, rendered", template: paged, key: "www.example.com/list/?page=9", changes: args("page=9")},
	{name: "one that is named, by text", key: "www.example.com/list/?page=9", changes: args("page=9")},
	{name: "none, rendered", template: paged, key: "www.example.com/list/?page=", changes: args("")},
	{name: "none, by text", key: "www.example.com/list/?page=", changes: args(""), want: Arguments},
	{name: "twice", template: paged, changes: args("page=1&page=2"), want: Arguments},
	{name: "twice, rendered", template: paged, key: "www.example.com/list/?page=1", changes: args("page=1&page=2"), want: Arguments},
	{name: "twice, in another case", template: paged, changes: args("page=1&PAGE=2"), want: Arguments},
	{name: "encoded name", template: paged, changes: args("%70age=7"), want: Arguments},
	{name: "another case", template: paged, changes: args("PAGE=7"), want: Arguments},
	{name: "another argument", template: paged, changes: args("page=7&x=1"), want: Arguments},
	{name: "another argument first", template: paged, changes: args("x=1&page=7"), want: Arguments},
	{name: "without a value", template: paged, changes: args("page="), want: Arguments},
	{name: "without an equals sign", template: paged, changes: args("page"), want: Arguments},
	{name: "an empty argument", template: paged, changes: args("page=7&"), want: Arguments},
	{name: "only ampersands", template: paged, changes: args("&"), want: Arguments},
	{name: "a semicolon is part of the value", template: paged, changes: args("page=1;page=2")},
	{name: "two that are named", template: "$host$uri?page=$arg_page&sort=$arg_sort", changes: args("sort=up&page=2")},
	{name: "two, that can be read in two ways", template: "$host$uri?$arg_page-$arg_sort", changes: args("page=1-2&sort=3"), want: Arguments},
	{name: "two, the second with the separator", template: "$host$uri?$arg_page-$arg_sort", changes: args("page=1&sort=2-3")},
	{name: "as the template writes it", template: "$host$uri?$arg_Sort", changes: args("Sort=up")},
	{name: "not as the template writes it", template: "$host$uri?$arg_Sort", changes: args("sort=up"), want: Arguments},
	{name: "set $args", template: "$host$uri$is_args$args", changes: []string{"REQUEST_URI=/p?a", "QUERY_STRING=b"}, want: Rewritten},
	{name: "set $args, handed over", key: ":1:/p?b", changes: []string{"REQUEST_URI=/p?a", "QUERY_STRING=b"}},
	{name: "no path at all", template: "$host|$arg_q", want: Rewritten},
	{name: "a query in the path", template: "$host$uri$is_args$args", changes: []string{"REQUEST_URI=/a%3Fb=1", "PATH_INFO=/a?b=1"}, want: Rewritten},
	{name: "a query in the path, by text", key: ":1:/a?b=1", changes: []string{"REQUEST_URI=/a%3Fb=1", "PATH_INFO=/a?b=1"}, want: Rewritten},
	{name: "a query in the path, before an argument", template: paged, changes: []string{"REQUEST_URI=/a%3Fpage=2", "PATH_INFO=/a?page=2"}, want: Rewritten},
	{name: "a question mark in the path, raw", key: ":1:/a%3Fb=1", changes: []string{"REQUEST_URI=/a%3Fb=1", "PATH_INFO=/a?b=1"}},
	{name: "a header runs into the path", template: "$http_x_site$request_uri", changes: []string{"HTTP_X_SITE=a/b"}, want: Arguments},
	{name: "a header before the path", template: "$http_x_site$request_uri", changes: []string{"HTTP_X_SITE=a"}},
	{name: "a header runs into nothing", template: "$request_uri|$http_accept_language", changes: []string{"HTTP_ACCEPT_LANGUAGE=de|x"}},
	{name: "the URL runs into a header", template: "$request_uri$http_accept_language", changes: []string{"HTTP_ACCEPT_LANGUAGE=de"}, want: Rewritten},
	{name: "the URL runs into no header", template: "$request_uri$http_accept_language"},
	{name: "a header runs into another", template: "$request_uri|$http_x_theme$http_x_lang", changes: []string{"HTTP_X_THEME=a", "HTTP_X_LANG=b"}, want: Arguments},
	{name: "a header runs into one that is not there", template: "$request_uri|$http_x_theme$http_x_lang", changes: []string{"HTTP_X_THEME=ab"}, want: Arguments},
	{name: "a header where another one may be", template: "$request_uri|$http_x_theme$http_x_lang", changes: []string{"HTTP_X_LANG=ab"}},
	{name: "neither header", template: "$request_uri|$http_x_theme$http_x_lang"},
	{name: "a cookie runs into one that is not there", template: "$request_uri|$cookie_theme$cookie_lang", changes: []string{"HTTP_COOKIE=theme=ab"}, want: Arguments},
	{name: "a cookie and another behind a separator", template: "$request_uri|$cookie_theme|$cookie_lang", changes: []string{"HTTP_COOKIE=theme=ab"}},
	{name: "an argument runs into one that is not there", template: "$uri?$arg_a$arg_b", changes: []string{"QUERY_STRING=a=12", "REQUEST_URI=/p?a=12"}, want: Arguments},
	{name: "the URL holds the separator", template: "$request_uri|$http_accept_language", changes: []string{"REQUEST_URI=/p|de"}, want: Rewritten},
	{name: "the URL holds the separator, by text", key: ":1:/p|de|en", changes: []string{"REQUEST_URI=/p|de"}, want: Arguments},
	{name: "the host behind the URL", template: "$request_uri|$host", changes: []string{"REQUEST_URI=/p|x"}},
	{name: "the host grown onto the URL", template: "$uri$host", changes: []string{"REQUEST_URI=/p"}, want: Rewritten},

	// Keys in which no path can be read.
	{name: "a hash", key: "d41d8cd98f00b204", changes: args("")},
	{name: "a hash, arguments", key: "d41d8cd98f00b204", changes: args("a=1"), want: Arguments},
	{name: "a hash, arguments, the operator's word", key: "d41d8cd98f00b204", changes: args("a=1"), tune: opaqueKey},
	{name: "a map's word, with host", key: "http://www.example.com:home", changes: args("")},
	{name: "the operator's word is not for paths", key: "http://www.example.com/other", changes: args(""), tune: opaqueKey, want: Rewritten},
	{name: "nor for subrequests", key: "d41d8cd98f00b204", changes: fragment, tune: opaqueKey, want: Rewritten},
	{name: "a prefix with a slash", key: "app/v1-/p?q=1", want: Rewritten},
	{name: "a prefix with a slash, rendered", template: "app/v1-$request_uri", key: "app/v1-/p?q=1"},
	{name: "a prefix with a slash and a separator", key: "app/v1:/p?q=1"},

	// The host that the application sees.
	{name: "trailing dot", key: "http://www.example.com/p?q=1", changes: []string{"HTTP_HOST=www.example.com."}, want: Host},
	{name: "upper case", key: "http://www.example.com/p?q=1", changes: []string{"HTTP_HOST=WWW.example.com"}, want: Host},
	{name: "no port but words", key: "http://www.example.com/p?q=1", changes: []string{"HTTP_HOST=www.example.com:@evil.example"}, want: Host},
	{name: "a made-up port", key: "http://www.example.com/p?q=1", changes: []string{"HTTP_HOST=www.example.com:81"}, want: Host},
	{name: "an empty port", key: "http://www.example.com/p?q=1", changes: []string{"HTTP_HOST=www.example.com:"}, want: Host},
	{name: "a port with a zero before", key: "http://www.example.com/p?q=1", changes: []string{"HTTP_HOST=www.example.com:080"}, want: Host},
	{name: "nginx's port", key: "http://www.example.com/p?q=1", changes: []string{"HTTP_HOST=www.example.com:80"}},
	{name: "a made-up port in the key", key: "http://www.example.com:81/p?q=1", changes: []string{"HTTP_HOST=www.example.com:81"}},
	{name: "a made-up port in the key, rendered", template: "$scheme://$http_host$request_uri", changes: []string{"HTTP_HOST=www.example.com:81"}},
	{name: "words in the key", template: "$scheme://$http_host$request_uri", changes: []string{"HTTP_HOST=www.example.com:@evil.example"}, want: Host},
	{name: "another user's host", template: "$scheme://$host$request_uri", changes: []string{"HTTP_HOST=evil@www.example.com"}, tune: anyHost, want: Host},
	{name: "a question mark in the host", template: "$scheme://$host$request_uri", changes: []string{"HTTP_HOST=www.example.com?x"}, tune: anyHost, want: Host},
	{name: "no Host header", key: "http://www.example.com/p?q=1", changes: []string{"-HTTP_HOST"}},
	{name: "no Host header, a name that is none", key: "http://_/p?q=1", changes: []string{"-HTTP_HOST", "SERVER_NAME=_"}, tune: anyHost},
	{name: "no Host header, a name in capitals", key: "http://www.example.com/p?q=1", changes: []string{"-HTTP_HOST", "SERVER_NAME=WWW.example.com"}, want: Host},
	{name: "no Host header, a regexp", template: "$host$request_uri", changes: []string{"-HTTP_HOST", "SERVER_NAME=~^www"}, tune: anyHost, want: Host},
	{name: "no name at all", template: "$scheme:$request_uri", changes: []string{"-HTTP_HOST", "-SERVER_NAME"}, tune: anyHost, want: Host},

	// The host that the key says.
	{name: "$server_name", template: "$server_name$request_uri", tune: anyHost, want: Host},
	{name: "$server_name, one host allowed", template: "$server_name$request_uri"},
	{name: "no host", template: "$request_uri", tune: anyHost, want: Host},
	{name: "no host, handed over", key: ":1:/p?q=1", tune: anyHost, want: Host},
	{name: "no host, several allowed", template: "$request_uri", tune: allow("www.example.com", "example.com"), want: Host},
	{name: "no host, a glob allowed", template: "$request_uri", tune: allow("*.example.com"), want: Host},
	{name: "no host, handed over, several allowed", key: ":1:/p?q=1", tune: allow("www.example.com", "example.com")},
	{name: "no host, rendered, several allowed", template: ":1:$request_uri", key: ":1:/p?q=1", tune: allow("www.example.com", "example.com"), want: Host},
	{name: "a host, several allowed", template: "$host$request_uri", tune: allow("www.example.com", "example.com")},
	{name: "a host that the template names", template: "http://www.example.com$request_uri", tune: anyHost},
	{name: "another host that the template names", template: "http://example.com$request_uri", tune: anyHost, want: Host},
	{name: "a header with the host", template: "$http_x_site$request_uri", changes: []string{"HTTP_X_SITE=www.example.com"}, tune: anyHost, want: Host},
	{name: "a host without dots", key: "intranet/p?q=1", changes: []string{"HTTP_HOST=intranet"}, tune: anyHost},
	{name: "a host in the path", key: ":1:/www.example.com", changes: []string{"REQUEST_URI=/www.example.com"}, tune: anyHost, want: Host},

	// The scheme.
	{name: "TLS", template: "$scheme://$host$request_uri", changes: []string{"REQUEST_SCHEME=https", "HTTPS=on"}},
	{name: "another scheme in the key", key: "https://www.example.com/p?q=1", want: Scheme},
	{name: "TLS, another scheme in the key", key: "http://www.example.com/p?q=1", changes: []string{"REQUEST_SCHEME=https"}, want: Scheme},
	{name: "a client's word that is dropped", key: "http://www.example.com/p?q=1", changes: []string{"HTTP_X_FORWARDED_PROTO=https"}},
	{name: "a client's word that is dropped, in the key", template: "$http_x_forwarded_proto://$host$request_uri", changes: []string{"HTTP_X_FORWARDED_PROTO=https"}, want: Scheme},
	{name: "a proxy's word", template: "$http_x_forwarded_proto://$host$request_uri", changes: []string{"HTTP_X_FORWARDED_PROTO=https"}, tune: trustProto},
	{name: "a proxy's word, by a map", key: "https://www.example.com/p?q=1", changes: []string{"HTTP_X_FORWARDED_PROTO=https"}, tune: trustProto},
	{name: "a proxy's word, against the key", key: "https://www.example.com/p?q=1", changes: []string{"REQUEST_SCHEME=https", "HTTP_X_FORWARDED_PROTO=http"}, tune: trustProto, want: Scheme},
	{name: "a proxy's word, against nginx", key: ":1:/p?q=1", changes: []string{"HTTP_X_FORWARDED_PROTO=https"}, tune: trustProto, want: Scheme},
	{name: "a proxy's word, with nginx", key: ":1:/p?q=1", changes: []string{"HTTP_X_FORWARDED_PROTO=http"}, tune: trustProto},
	{name: "a proxy's word in capitals", key: "https://www.example.com/p?q=1", changes: []string{"HTTP_X_FORWARDED_PROTO=HTTPS"}, tune: trustProto, want: Scheme},
	{name: "the words of two proxies", key: "https://www.example.com/p?q=1", changes: []string{"HTTP_X_FORWARDED_PROTO=https,http"}, tune: trustProto, want: Scheme},
	{name: "an empty word", template: "$scheme://$host$request_uri", changes: []string{"HTTP_X_FORWARDED_PROTO="}, tune: trustProto, want: Scheme},
	{name: "X-Forwarded-Ssl against the key", template: "$scheme://$host$request_uri", changes: []string{"HTTP_X_FORWARDED_SSL=on"}, tune: trustProto, want: Scheme},
	{name: "X-Forwarded-Ssl with the key", key: "https://www.example.com/p?q=1", changes: []string{"HTTP_X_FORWARDED_SSL=on", "HTTP_X_FORWARDED_PROTO=https"}, tune: trustProto},
	{name: "X-Forwarded-Ssl that is dropped", template: "$scheme://$host$request_uri", changes: []string{"HTTP_X_FORWARDED_SSL=on"}},
	{name: "HTTPS against nginx", template: "$host$request_uri", changes: []string{"HTTPS=on"}, want: Scheme},
	{name: "HTTPS against the key", template: "$scheme://$host$request_uri", changes: []string{"HTTPS=1"}, want: Scheme},
	{name: "HTTPS is off", template: "$scheme://$host$request_uri", changes: []string{"HTTPS=off"}},
	{name: "HTTPS behind a proxy", key: "https://www.example.com/p?q=1", changes: []string{"HTTPS=on", "HTTP_X_FORWARDED_PROTO=https"}, tune: trustProto},
	{name: "no scheme at all", template: "$host$request_uri", changes: []string{"-REQUEST_SCHEME"}},
}

const paged = "$host$uri?page=$arg_page"

// fragment is what nginx sends for the include of /frag into /p?q=1.
var fragment = []string{"REQUEST_URI=/p?q=1", "PATH_INFO=/frag", "QUERY_STRING="}

// article is the request for /article/7 behind `rewrite ^/article/(.*)$ /index?id=$1`.
var article = []string{"REQUEST_URI=/article/7", "PATH_INFO=/index", "QUERY_STRING=id=7"}

// args is a request for /list/ with arguments.
func args(query string) []string {
	if query == "" {
		return []string{"REQUEST_URI=/list/"}
	}
	return []string{"REQUEST_URI=/list/?" + query}
}

func allowRewrites(p *Policy) { p.Keys.AllowRewrites = true }
func opaqueKey(p *Policy)     { p.Keys.OpaqueKey = true }
func trustProto(p *Policy)    { p.TrustForwardedProto = true }
func anyHost(p *Policy)       { p.Keys.AllowedHosts = nil }

func allow(hosts ...string) func(*Policy) { return func(p *Policy) { p.Keys.AllowedHosts = hosts } }

func TestKeyDeterminesPage(t *testing.T) {
	for _, tt := range determineRows {
		t.Run(tt.name, func(t *testing.T) {
			p := testPolicy()
			if tt.template != "" {
				p.Keys.Template = mustTemplate(t, tt.template, "1.22.1")
			}
			p.TrustedHeaders = []string{"X-Site"}
			if tt.tune != nil {
				tt.tune(p)
			}
			changes := append([]string{"-CACHE_KEY"}, tt.changes...)
			if tt.key != "" {
				changes = append([]string{"CACHE_KEY=" + tt.key}, tt.changes...)
			}
			v := get(changes...)
			plan := p.Request(v)
			if plan.Reason != tt.want {
				t.Errorf("got %q, want %q (key %q, note %q)", plan.Reason, tt.want, plan.Key, plan.Note)
			}
			told := p.Explain(v, nil, nil, false, false, testNow).Refusals
			if tt.want == "" && len(told) > 0 || tt.want != "" && (len(told) == 0 || told[0].Reason != tt.want) {
				t.Errorf("explained as %+v", told)
			}
		})
	}
}

// Nobody but a candidate asks for a page once more, and it is one itself.
func TestKeyDeterminesPageRefreshed(t *testing.T) {
	for _, tt := range determineRows {
		if tt.template == "" {
			continue
		}
		p := testPolicy()
		p.Keys.Template = mustTemplate(t, tt.template, "1.22.1")
		if tt.tune != nil {
			tt.tune(p)
		}
		v := get(append([]string{"-CACHE_KEY"}, tt.changes...)...)
		plan := p.Request(v)
		out := p.Anonymous(v, plan)
		if plan.Reason != "" && out != nil {
			t.Errorf("%s: asked for once more, though %s", tt.name, plan.Reason)
		}
		if out != nil && p.Request(out).Reason != "" {
			t.Errorf("%s: asked for once more as %s", tt.name, p.Request(out).Reason)
		}
	}
}

func TestKeepArgsOnce(t *testing.T) {
	tests := []struct {
		query string
		want  Reason
	}{
		{"", ""},
		{"page=2", ""},
		{"page=2&utm_source=x", ""},
		{"utm_source=x&page=2&utm_source=y", ""},
		{"page=1&page=2", Arguments},
		{"page=1&PAGE=2", Arguments},
		{"PAGE=2", Arguments},
		{"%70age=7", Arguments},
		{"p%61ge=7&page=7", Arguments},
		{"page", Arguments},
		{"page=", Arguments},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.Keys.Template = mustTemplate(t, paged, "")
		p.Rules = NewRules([]Rule{{KeepArgs: []string{"page"}}})
		v := get(append(args(tt.query), "-CACHE_KEY")...)
		if got := p.Request(v).Reason; got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.query, got, tt.want)
		}
	}
}

// The bypass argument is not in the key, and the application does not see it.
func TestKeyDeterminesPageOfBypass(t *testing.T) {
	p := bypassPolicy()
	for _, template := range []string{"$host$uri", "$host$request_uri", "$host$uri$is_args$args"} {
		p.Keys.Template = mustTemplate(t, template, "")
		if plan := p.Request(get("REQUEST_URI=/p?nocache="+secret, "-CACHE_KEY")); plan.Reason != "" || !plan.Bypass {
			t.Errorf("%s: got %+v", template, plan)
		}
		if plan := p.Request(get("REQUEST_URI=/p?nocache="+secret, "PATH_INFO=/frag", "-CACHE_KEY")); plan.Reason != Rewritten {
			t.Errorf("%s, rewritten: got %+v", template, plan)
		}
	}
}

func BenchmarkUndetermined(b *testing.B) {
	for _, bm := range []struct{ name, template, key string }{
		{"handed over", "", "http://www.example.com/p?q=1"},
		{"rendered", "$scheme://$host$request_uri", "http://www.example.com/p?q=1"},
		{"prefix", "$scheme://$host$request_uri", ":1:/p?q=1"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			p, v := testPolicy(), get("CACHE_KEY="+bm.key)
			if bm.template != "" {
				p.Keys.Template = mustTemplate(b, bm.template, "")
			}
			b.ReportAllocs()
			for b.Loop() {
				if plan := p.Request(v); plan.Reason != "" {
					b.Fatal(plan.Reason)
				}
			}
		})
	}
}

// Whatever two requests a template renders one key for, both stored, the application
// sees the same of them.
func FuzzKeyDeterminesPage(f *testing.F) {
	f.Add(0, "/a", "page=1", "/a?page=1", "")
	f.Add(1, "/a", "page=1-2&sort=3", "/a", "page=1&sort=2-3")
	f.Add(9, "/a", "page=12", "/a", "sort=12")
	f.Fuzz(func(t *testing.T, n int, path, query, otherPath, otherQuery string) {
		templates := []string{paged, "$host$uri?$arg_page-$arg_sort", "$host$uri$is_args$args", "$host$uri", "$host$request_uri",
			"$host$uri|$arg_page", "$uri$host", "$host$uri$args", "$arg_page$uri", "$host$uri?$arg_page$arg_sort"}
		p := testPolicy()
		p.Keys.Template = mustTemplate(t, templates[uint(n)%uint(len(templates))], "")
		sees := func(path, query string) (key, target string, ok bool) {
			if !strings.HasPrefix(path, "/") || strings.ContainsAny(query, "#") {
				return "", "", false
			}
			v := get("PATH_INFO="+path, "QUERY_STRING="+query, "-CACHE_KEY")
			plan := p.Request(v)
			return plan.Key, path + " " + query, plan.Reason == ""
		}
		key, one, ok := sees(path, query)
		otherKey, other, otherOK := sees(otherPath, otherQuery)
		if ok && otherOK && key == otherKey && one != other && !isSortedAlike(query, otherQuery) {
			t.Errorf("key %q for %q and %q", key, one, other)
		}
	})
}

// isSortedAlike reports whether queries have the same arguments in another order: these
// may share a key of $arg_….
func isSortedAlike(a, b string) bool {
	x, y := strings.Split(a, "&"), strings.Split(b, "&")
	return len(x) == len(y) && len(x) == 2 && x[0] == y[1] && x[1] == y[0]
}

func TestSameTarget(t *testing.T) {
	tests := []struct {
		change string
		want   bool
	}{
		{"HTTP_USER_AGENT=other", true},
		{"REMOTE_ADDR=192.0.2.1", true},
		{"CACHE_KEY=other", true},
		{"SERVER_NAME=other", true},
		{"PATH_INFO=/q", false},
		{"-PATH_INFO", false},
		{"QUERY_STRING=q=2", false},
		{"-QUERY_STRING", false},
		{"HTTP_HOST=www.example.com:80", false},
		{"-HTTP_HOST", false},
		{"SERVER_PORT=81", false},
		{"REQUEST_SCHEME=https", false},
		{"HTTPS=on", false},
		{"HTTP_X_FORWARDED_PROTO=https", false},
		{"HTTP_X_FORWARDED_PROTO=", false},
		{"HTTP_X_FORWARDED_SSL=on", false},
		{"SCRIPT_NAME=/p", false},
	}
	for _, tt := range tests {
		if got := SameTarget(get(), changed(get(), tt.change)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.change, got, tt.want)
		}
	}
	without := func() []string { return []string{"-PATH_INFO"} }
	if SameTarget(get(without()...), changed(get(without()...), "REQUEST_URI=/q?q=1")) {
		t.Error("without PATH_INFO, another URI is the same target")
	}
	if SameTarget(get("-QUERY_STRING"), changed(get("-QUERY_STRING"), "REQUEST_URI=/p?q=2")) {
		t.Error("without QUERY_STRING, another query of the URI is the same target")
	}
}

// A key is contested if nginx has looked it up for something else than the page that
// it stands for, and not by what a client asks for.
func TestContested(t *testing.T) {
	tests := []struct {
		name, template, key string
		changes             []string
		want                bool
	}{
		{"page", "", "http://www.example.com/p?q=1", nil, false},
		{"SSI include", "", "http://www.example.com/p?q=1", fragment, true},
		{"SSI include, derived", "$host$request_uri", "", fragment, true},
		{"SSI include, derived of its own path", "$host$uri$is_args$args", "", fragment, false},
		{"SSI include under its own key", "", "http://www.example.com/frag", fragment, false},
		{"SSI include of the page itself", "", "http://www.example.com/p?q=1", []string{"REQUEST_URI=/p?q=1", "QUERY_STRING=part=1"}, true},
		{"SSI include, a hash", "", "d41d8cd98f00b204", fragment, true},
		{"auth_request has left its key", "", "http://www.example.com/auth", nil, true},
		{"not looked up", "", "http://www.example.com/p?q=1", append([]string{"CACHE_STATUS="}, fragment...), false},
		{"arguments that are in no key", "", "http://www.example.com/list/", args("page=9"), false},
		{"arguments that are in no key, derived", "$host$uri", "", args("page=9"), false},
		{"an argument twice", paged, "", args("page=1&page=2"), false},
		{"a query in the path", "", "www.example.com/a?b=1", []string{"REQUEST_URI=/a%3Fb=1", "PATH_INFO=/a?b=1"}, false},
		{"a map without case", "", "www.example.com/p", []string{"REQUEST_URI=/P"}, false},
		{"another host", "", "http://evil.example/p?q=1", nil, false},
	}
	for _, tt := range tests {
		p := testPolicy()
		if tt.template != "" {
			p.Keys.Template = mustTemplate(t, tt.template, "")
		}
		changes := append([]string{"-CACHE_KEY"}, tt.changes...)
		if tt.key != "" {
			changes = append([]string{"CACHE_KEY=" + tt.key}, tt.changes...)
		}
		if got := p.Request(get(changes...)); got.Contested != tt.want || got.Contested && got.Reason == "" {
			t.Errorf("%s: got %v (%s), want %v", tt.name, got.Contested, got.Reason, tt.want)
		}
	}
}
