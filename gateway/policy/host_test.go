package policy

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestAllowedHosts(t *testing.T) {
	tests := []struct {
		name    string
		allowed []string
		changes []string
		want    Reason
	}{
		{"all that their keys say", nil, []string{"HTTP_HOST=evil.example", "CACHE_KEY=http://evil.example/p?q=1"}, ""},
		{"none in the key", nil, nil, Host},
		{"named", []string{"www.example.com"}, nil, ""},
		{"named, with nginx's port", []string{"www.example.com"}, []string{"HTTP_HOST=www.example.com:80"}, ""},
		{"named, as the application must not see it", []string{"www.example.com"}, []string{"HTTP_HOST=WWW.Example.com.:8080"}, Host},
		{"by glob", []string{"example.com", "*.example.com"}, nil, ""},
		{"another", []string{"*.example.com"}, []string{"HTTP_HOST=evil.example"}, Host},
		{"one that only ends so", []string{"example.com"}, []string{"HTTP_HOST=evilexample.com"}, Host},
		{"a glob's dot is needed", []string{"*.example.com"}, []string{"HTTP_HOST=example.com"}, Host},
		{"no Host header: the server's name", []string{"www.example.com"}, []string{"-HTTP_HOST"}, ""},
		{"IPv6", []string{"[2001:db8::1]"}, []string{"HTTP_HOST=[2001:db8::1]:80"}, ""},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.Keys.AllowedHosts = tt.allowed
		if got := p.Request(get(tt.changes...)).Reason; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The page's host is www.example.com, its URI /p?q=1, unless a row says
// otherwise.
func TestHostOfKey(t *testing.T) {
	tests := []struct {
		name, key string
		changes   []string
		want      Reason
	}{
		{"no host", ":1:CUSTOMKEY:/p?q=1", nil, ""},
		{"a version", "v1.2:/p?q=1", nil, ""},
		{"a version with a letter", "site.v2:/p?q=1", nil, ""},
		{"the page's", "http://www.example.com/p?q=1", nil, ""},
		{"the page's, of a bearer", "+http://www.example.com/p?q=1", nil, ""},
		{"another, of a bearer", "+http://victim.example/p?q=1", nil, Host},
		{"the page's in another case", "WWW.Example.com/p?q=1", nil, ""},
		{"the page's, with port", "http://www.example.com:8080/p?q=1", []string{"HTTP_HOST=www.example.com:8080"}, ""},
		{"the page's, whose header has a port", "http://www.example.com/p?q=1", []string{"HTTP_HOST=www.example.com:8080", "SERVER_PORT=8080"}, ""},
		{"the page's, and another word", "my.site:www.example.com/p?q=1", nil, ""},
		{"the page's, behind the URI", "/p?q=1|www.example.com", nil, ""},
		{"another, from an absolute target", "http://victim.example/p?q=1", nil, Host},
		{"another, behind the URI", "/p?q=1|victim.example", nil, Host},
		{"another, with the page's in the URI", "victim.example/www.example.com", []string{"REQUEST_URI=/www.example.com", "PATH_INFO=/www.example.com"}, Host},
		{"another, with itself in the arguments", "victim.example/p", []string{"REQUEST_URI=/p?victim.example", "QUERY_STRING=victim.example"}, Host},
		{"another, with itself as the path", "victim.example/victim.example", []string{"REQUEST_URI=/victim.example", "PATH_INFO=/victim.example"}, Host},
		{"a part of the page's", "example.com/p?q=1", nil, Host},
		{"one of which the page's is a part", "a.www.example.com/p?q=1", nil, Host},
		{"one that the page's begins", "www.example.com.evil/p?q=1", nil, Host},
		{"another, undotted", "http://intranet/p?q=1", nil, Host},
		{"the page's, undotted", "http://intranet/p?q=1", []string{"HTTP_HOST=intranet"}, ""},
		{"localhost", "localhost/p?q=1", nil, Host},
		{"IPv4", "10.0.0.1:/p?q=1", nil, Host},
		{"the page's IPv4", "10.0.0.1/p?q=1", []string{"HTTP_HOST=10.0.0.1:80"}, ""},
		{"IPv6", "http://[2001:db8::1]/p?q=1", nil, Host},
		{"the page's IPv6", "http://[2001:db8::1]/p?q=1", []string{"HTTP_HOST=[2001:db8::1]"}, ""},
		{"brackets around a name", "[victim.example]/p?q=1", nil, Host},
		{"IDN", "xn--bcher-kva.xn--p1ai/p?q=1", nil, Host},
		{"the server's name, without Host header", "www.example.com/p?q=1", []string{"-HTTP_HOST"}, ""},
		{"another, without Host header", "victim.example/p?q=1", []string{"-HTTP_HOST"}, Host},
		{"a file's name in the URI", ":1:/jquery.min.js", []string{"REQUEST_URI=/jquery.min.js", "PATH_INFO=/jquery.min.js"}, ""},
		{"a file's name in the decoded path", ":1:/a b.js", []string{"REQUEST_URI=/a%20b.js", "PATH_INFO=/a b.js"}, ""},
		{"a file's name in path and arguments", ":1:/a b.js?x=c.js", []string{"REQUEST_URI=/a%20b.js?x=c.js", "PATH_INFO=/a b.js", "QUERY_STRING=x=c.js"}, ""},
		{"target without a path", "www.example.com?q", []string{"REQUEST_URI=?q", "PATH_INFO=/", "QUERY_STRING=q"}, ""},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.Keys.AllowedHosts = []string{"*"} // what need not stand in the key
		if got := p.Request(get(append(tt.changes, "CACHE_KEY="+tt.key)...)).Reason; got != tt.want {
			t.Errorf("%s: %q: got %q, want %q", tt.name, tt.key, got, tt.want)
		}
	}
}

// What the template renders has its words from the same vars as the page.
func TestHostOfKeyByTemplate(t *testing.T) {
	p := testPolicy()
	p.Keys.Template = mustTemplate(t, "my.site:$request_uri", "")
	if got := p.Request(get("CACHE_KEY=my.site:/p?q=1")).Reason; got != "" {
		t.Errorf("the template's key: got %q", got)
	}
	if got := p.Request(get("CACHE_KEY=my.site2:/p?q=1")).Reason; got != "" {
		t.Errorf("a key without host: got %q", got)
	}
	if got := p.Request(get("CACHE_KEY=your.site:/p?q=1")).Reason; got != Host {
		t.Errorf("another key: got %q, want %q", got, Host)
	}
}

func TestUnkeyedHeaders(t *testing.T) {
	tests := []struct {
		name    string
		changes []string
		want    Reason
	}{
		{"host of our own, with the port that nginx listens on", []string{"HTTP_X_FORWARDED_HOST=www.example.com:80"}, ""},
		{"host of our own, in another case", []string{"HTTP_X_HOST=WWW.EXAMPLE.COM"}, ""},
		{"host with another port", []string{"HTTP_X_FORWARDED_HOST=www.example.com:8443"}, UnkeyedHeader},
		{"host without the port that the page has", []string{"HTTP_HOST=www.example.com:8080", "SERVER_PORT=8080", "HTTP_X_FORWARDED_HOST=www.example.com"}, UnkeyedHeader},
		{"host with the port that the page has", []string{"HTTP_HOST=www.example.com:8080", "SERVER_PORT=8080", "HTTP_X_FORWARDED_HOST=www.example.com:8080"}, ""},
		{"two hosts, one of them ours", []string{"HTTP_X_FORWARDED_HOST=www.example.com, evil.example"}, UnkeyedHeader},
		{"two hosts, both ours", []string{"HTTP_X_FORWARDED_HOST=www.example.com, www.example.com"}, ""},
		{"server", []string{"HTTP_X_FORWARDED_SERVER=evil.example"}, UnkeyedHeader},
		{"port", []string{"HTTP_X_FORWARDED_PORT=8443"}, UnkeyedHeader},
		{"port of our own", []string{"HTTP_X_FORWARDED_PORT=80"}, ""},
		{"port of the proxy in front of nginx", []string{"SERVER_PORT=8080", "HTTP_X_FORWARDED_PORT=80"}, ""},
		{"port of nginx behind it", []string{"SERVER_PORT=8080", "HTTP_X_FORWARDED_PORT=8080"}, ""},
		{"port of a proxy, and the host has another", []string{"SERVER_PORT=8080", "HTTP_HOST=www.example.com:8080", "HTTP_X_FORWARDED_PORT=80"}, UnkeyedHeader},
		{"port of the other scheme", []string{"HTTP_X_FORWARDED_PORT=443"}, UnkeyedHeader},
		{"port, empty", []string{"HTTP_X_FORWARDED_PORT="}, UnkeyedHeader},
		{"scheme", []string{"HTTP_X_FORWARDED_SCHEME=https"}, UnkeyedHeader},
		{"scheme of our own", []string{"HTTP_X_FORWARDED_SCHEME=http"}, ""},
		{"scheme, and nginx sends none", []string{"HTTP_X_SCHEME=http", "-REQUEST_SCHEME"}, UnkeyedHeader},
		{"TLS", []string{"HTTP_FRONT_END_HTTPS=on"}, UnkeyedHeader},
		{"TLS of our own", []string{"HTTP_FRONT_END_HTTPS=off"}, ""},
		{"TLS in nonsense", []string{"HTTP_FRONT_END_HTTPS=maybe"}, UnkeyedHeader},
		{"scheme at CloudFront", []string{"HTTP_CLOUDFRONT_FORWARDED_PROTO=https"}, UnkeyedHeader},
		{"scheme at Cloudflare", []string{`HTTP_CF_VISITOR={"scheme":"https"}`}, UnkeyedHeader},
		{"scheme at Cloudflare, our own", []string{`HTTP_CF_VISITOR={"scheme":"http"}`}, ""},
		{"scheme at Cloudflare, on https", []string{`HTTP_CF_VISITOR={"scheme":"https"}`, "REQUEST_SCHEME=https"}, ""},
		{"scheme at Cloudflare, on https", []string{`HTTP_CF_VISITOR={"scheme":"http"}`, "REQUEST_SCHEME=https"}, UnkeyedHeader},
		{"scheme at Cloudflare, another JSON", []string{`HTTP_CF_VISITOR={"scheme":"http","scheme":"https"}`}, UnkeyedHeader},
		{"scheme at Cloudflare, as a header says that is not trusted", []string{`HTTP_CF_VISITOR={"scheme":"https"}`, "HTTP_X_FORWARDED_PROTO=https"}, UnkeyedHeader},
		{"port, as a header says that is not trusted", []string{"HTTP_X_FORWARDED_PORT=443", "HTTP_X_FORWARDED_PROTO=https"}, UnkeyedHeader},
		{"TLS at Fastly", []string{"HTTP_FASTLY_SSL=1"}, UnkeyedHeader},
		{"TLS at Fastly, on https", []string{"HTTP_FASTLY_SSL=1", "REQUEST_SCHEME=https"}, ""},
		{"TLS at Azure", []string{"HTTP_X_ARR_SSL=2048|256|C=US"}, UnkeyedHeader},
		{"TLS at App Engine", []string{"HTTP_X_APPENGINE_HTTPS=on"}, UnkeyedHeader},
		{"TLS at App Engine, our own", []string{"HTTP_X_APPENGINE_HTTPS=off"}, ""},
		{"X-Forwarded-Https", []string{"HTTP_X_FORWARDED_HTTPS=on"}, UnkeyedHeader},
		{"host at Fastly", []string{"HTTP_FASTLY_ORIG_HOST=evil.example"}, UnkeyedHeader},
		{"host at Fastly, our own", []string{"HTTP_FASTLY_ORIG_HOST=www.example.com"}, ""},
		{"host at Azure", []string{"HTTP_DISGUISED_HOST=evil.example"}, UnkeyedHeader},
		{"host at App Engine", []string{"HTTP_X_APPENGINE_DEFAULT_VERSION_HOSTNAME=evil.example"}, UnkeyedHeader},
		{"prefix", []string{"HTTP_X_FORWARDED_PREFIX=/evil"}, UnkeyedHeader},
		{"original URL", []string{"HTTP_X_ORIGINAL_URL=/admin"}, UnkeyedHeader},
		{"original URL of our own", []string{"HTTP_X_ORIGINAL_URL=/p?q=1"}, ""},
		{"rewrite URL", []string{"HTTP_X_REWRITE_URL=/admin"}, UnkeyedHeader},
		{"method", []string{"HTTP_X_HTTP_METHOD=PUT"}, UnkeyedHeader},
		{"method of our own", []string{"HTTP_X_METHOD_OVERRIDE=GET"}, ""},
		{"Forwarded for", []string{"HTTP_FORWARDED=for=192.0.2.1;by=x"}, ""},
		{"Forwarded with our own host and scheme", []string{"HTTP_FORWARDED=for=x; Host=\"www.example.com\";proto=HTTP, for=y"}, ""},
		{"Forwarded with another host later on", []string{"HTTP_FORWARDED=for=x, for=y;host=evil.example"}, UnkeyedHeader},
		{"Forwarded with another scheme", []string{"HTTP_FORWARDED=proto=https"}, UnkeyedHeader},
		{"Forwarded, malformed", []string{"HTTP_FORWARDED=for=\"x, host=evil.example"}, UnkeyedHeader},
		{"Forwarded with what nobody knows", []string{"HTTP_FORWARDED=path=/x"}, UnkeyedHeader},
		{"second line of two", []string{"+HTTP_X_HOST=www.example.com", "+HTTP_X_HOST=evil.example"}, UnkeyedHeader},
		{"X-Forwarded-For changes no page", []string{"HTTP_X_FORWARDED_FOR=192.0.2.1"}, ""},
	}
	for _, tt := range tests {
		if got := testPolicy().Request(get(tt.changes...)).Reason; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Behind a proxy that ends TLS and is trusted, the other headers that say so repeat it.
func TestUnkeyedHeadersOfATrustedProxy(t *testing.T) {
	secure := []string{"HTTP_X_FORWARDED_PROTO=https", "CACHE_KEY=https://www.example.com/p?q=1"}
	tests := []struct {
		name    string
		changes []string
		want    Reason
	}{
		{"alone", nil, ""},
		{"the port of https", []string{"HTTP_X_FORWARDED_PORT=443"}, ""},
		{"nginx's port", []string{"HTTP_X_FORWARDED_PORT=80"}, UnkeyedHeader},
		{"another port", []string{"HTTP_X_FORWARDED_PORT=8443"}, UnkeyedHeader},
		{"Cloudflare", []string{`HTTP_CF_VISITOR={"scheme":"https"}`}, ""},
		{"Cloudflare, and nginx's scheme", []string{`HTTP_CF_VISITOR={"scheme":"http"}`}, UnkeyedHeader},
		{"CloudFront", []string{"HTTP_CLOUDFRONT_FORWARDED_PROTO=https"}, ""},
		{"Fastly", []string{"HTTP_FASTLY_SSL=1"}, ""},
		{"Microsoft", []string{"HTTP_FRONT_END_HTTPS=On"}, ""},
		{"RFC 7239", []string{"HTTP_FORWARDED=for=x;proto=https"}, ""},
		{"RFC 7239, and nginx's scheme", []string{"HTTP_FORWARDED=for=x;proto=http"}, UnkeyedHeader},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.TrustForwardedProto = true
		if got := p.Request(get(append(slices.Clone(secure), tt.changes...)...)).Reason; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestUnkeyedHeaderTrustedOrKeyed(t *testing.T) {
	v := get("HTTP_X_FORWARDED_HOST=shop.example")
	p := testPolicy()
	p.TrustedHeaders = []string{"x-forwarded-host"}
	if got := p.Request(v).Reason; got != "" {
		t.Errorf("trusted: got %q", got)
	}
	p = testPolicy()
	p.Keys.Template = mustTemplate(t, "$http_x_forwarded_host$request_uri", "")
	if got := p.Request(changed(slices.Clone(v), "-CACHE_KEY")).Reason; got != "" {
		t.Errorf("in the derived key: got %q", got)
	}
	if got := p.Request(changed(slices.Clone(v), "CACHE_KEY=shop.example/p?q=1")).Reason; got != "" {
		t.Errorf("in the key handed over: got %q", got)
	}
	if got := p.Request(v).Reason; got != UnkeyedHeader {
		t.Errorf("in the template, but not in the key: got %q, want %q", got, UnkeyedHeader)
	}
}

// The page for operators names every header of the table.
func TestUnkeyedHeadersAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/decisions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range repeaters {
		if !strings.Contains(string(page), u.header) {
			t.Errorf("docs/decisions.md does not name %s", u.header)
		}
	}
}

func TestVaryCookieAnonymous(t *testing.T) {
	tests := []struct {
		name, cookies, vary string
		anonymous           bool
		want                Reason
	}{
		{"by default", "", "Cookie", false, Vary},
		{"no cookies", "", "Cookie", true, MaxAge},
		{"harmless cookies", "_ga=1; _gid=2", "Accept-Encoding, cookie", true, MaxAge},
		{"another cookie", "_ga=1; lang=de", "Cookie", true, Vary},
		{"an identity cookie", "sessionid=x", "Cookie", true, IdentityCookie},
		{"something else too", "", "Cookie, User-Agent", true, Vary},
		{"everything", "", "*", true, Vary},
	}
	for _, tt := range tests {
		p, v := testPolicy(), get()
		p.VaryCookieAnonymous = tt.anonymous
		if tt.cookies != "" {
			v = get("HTTP_COOKIE=" + tt.cookies)
		}
		got := p.Response(v, p.Request(v), page("Vary: "+tt.vary, "Cache-Control: max-age=60"), testNow)
		if got.Reason != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got.Reason, tt.want)
		}
	}
}

// A host of the client's own choice never makes it into the key of another
// host, whatever the rest of its request.
func FuzzHostOfKey(f *testing.F) {
	f.Add("/victim.example", "victim.example", "evil.example")
	f.Add("/|http:/", "", "x")
	f.Fuzz(func(t *testing.T, path, query, host string) {
		if !strings.HasPrefix(path, "/") || equalFold(normalizeHost(host), "victim.example") || normalizeHost(host) == "" {
			return
		}
		uri := path
		if query != "" {
			uri += "?" + query
		}
		for _, key := range []string{"http://victim.example" + uri, "victim.example" + path, ":1:victim.example" + path + "?" + query} {
			v := get("HTTP_HOST="+host, "REQUEST_URI="+uri, "PATH_INFO="+path, "QUERY_STRING="+query, "CACHE_KEY="+key)
			var q request
			q.read(testPolicy(), v)
			if _, found := q.foreignHost(); !found {
				t.Errorf("key %q passes for host %q (URI %q)", key, host, uri)
			}
		}
	})
}
