package policy

import (
	"strings"
	"testing"

	"uwgate/uwsgi"
)

type requestRow struct {
	name    string
	changes []string
	want    Reason
}

func row(name string, want Reason, changes ...string) requestRow {
	return requestRow{name, changes, want}
}

var requestRows = []requestRow{
	row("plain", ""),

	row("no method: the recipe's own POST", NoMethod, "-REQUEST_METHOD"),
	row("empty method", NoMethod, "REQUEST_METHOD="),
	row("POST", Method, "REQUEST_METHOD=POST"),
	row("HEAD", Method, "REQUEST_METHOD=HEAD"),
	row("PUT", Method, "REQUEST_METHOD=PUT"),
	row("method in lower case", Method, "REQUEST_METHOD=get"),
	row("two methods, the last counts", Method, "+REQUEST_METHOD=POST"),

	row("upgrade", Upgrade, "HTTP_UPGRADE=websocket", "HTTP_CONNECTION=Upgrade"),
	row("upgrade without connection", Upgrade, "HTTP_UPGRADE=h2c"),
	row("empty upgrade", "", "HTTP_UPGRADE="),

	row("excluded", Excluded, "REQUEST_URI=/admin/x", "PATH_INFO=/admin/x"),
	row("excluded, encoded", Excluded, "REQUEST_URI=/%61dmin/", "PATH_INFO=/admin/"),
	row("excluded, by prefix as in nginx", Excluded, "REQUEST_URI=/administrator", "PATH_INFO=/administrator"),
	row("excluded, raw", Excluded, "REQUEST_URI=/admin/../p", "PATH_INFO=/p"),
	row("excluded name further down", "", "PATH_INFO=/x/admin"),

	row("authorization: the response has the word", "", "HTTP_AUTHORIZATION=Basic eA=="), // RFC 9111 §3.5
	row("remote user", Authorization, "REMOTE_USER=ann"),
	row("empty remote user", "", "REMOTE_USER="),

	row("sessionid", IdentityCookie, "HTTP_COOKIE=sessionid=x"),
	row("sessionid after others", IdentityCookie, "HTTP_COOKIE=_ga=1; a=b;sessionid=x"),
	row("sessionid in another case", IdentityCookie, "HTTP_COOKIE=SessionID=x"),
	row("sessionid with spaces", IdentityCookie, "HTTP_COOKIE=a=1;  sessionid = x"),
	row("sessionid behind a comma", IdentityCookie, "HTTP_COOKIE=a=1,sessionid=x"),
	row("sessionid in the first of two lines", IdentityCookie, "+HTTP_COOKIE=sessionid=x", "+HTTP_COOKIE=a=b"),
	row("sessionid in the second of two lines", IdentityCookie, "+HTTP_COOKIE=a=b", "+HTTP_COOKIE=sessionid=x"),
	row("csrftoken", TokenCookie, "HTTP_COOKIE=csrftoken=x"),
	row("session", IdentityCookie, "HTTP_COOKIE=session=x"),
	row("remember_token", IdentityCookie, "HTTP_COOKIE=remember_token=x"),
	row("auth_tkt", IdentityCookie, "HTTP_COOKIE=auth_tkt=x"),
	row("_pyramid_session", IdentityCookie, "HTTP_COOKIE=_pyramid_session=x"),
	row("name without value", IdentityCookie, "HTTP_COOKIE=sessionid"),
	row("an API key", IdentityHeader, "HTTP_X_API_KEY=s3cret"),
	row("an API key, empty", IdentityHeader, "HTTP_X_API_KEY="),
	row("a client's certificate", IdentityVar, "SSL_CLIENT_S_DN=CN=alice"),
	row("no client's certificate", "", "SSL_CLIENT_S_DN=", "SSL_CLIENT_VERIFY=NONE"),
	row("a name that only begins so", "", "HTTP_COOKIE=sessionidea=x"),
	row("a value that looks so", "", "HTTP_COOKIE=a=sessionid"),
	row("harmless cookie", "", "HTTP_COOKIE=_ga=1"),

	row("length", RequestBody, "CONTENT_LENGTH=5"),
	row("length zero", "", "CONTENT_LENGTH=0"),
	row("length of zeros", "", "CONTENT_LENGTH=000"),
	row("length that is no number", RequestBody, "CONTENT_LENGTH=x"),
	row("two lengths", RequestBody, "+CONTENT_LENGTH=5", "+CONTENT_LENGTH=0"),
	row("copy of a length", RequestBody, "HTTP_CONTENT_LENGTH=5"),
	row("copy of length zero", "", "HTTP_CONTENT_LENGTH=0"),
	row("chunked", RequestBody, "HTTP_TRANSFER_ENCODING=chunked"),
	row("empty transfer-encoding", RequestBody, "HTTP_TRANSFER_ENCODING="),

	row("client's no-store", RequestNoStore, "HTTP_CACHE_CONTROL=no-store"), // RFC 9111 §5.2.1.5
	row("client's no-store among others", RequestNoStore, "HTTP_CACHE_CONTROL=max-age=0, No-Store"),
	row("client's no-store and a length", RequestBody, "HTTP_CACHE_CONTROL=no-store", "CONTENT_LENGTH=5"),
	row("client's no-store and another host", Host, "HTTP_CACHE_CONTROL=no-store", "HTTP_HOST=evil.example"),
	row("client's no-cache: a reload", "", "HTTP_CACHE_CONTROL=no-cache"),
	row("client's max-age=0", "", "HTTP_CACHE_CONTROL=max-age=0"),

	row("Range", Range, "HTTP_RANGE=bytes=0-1"),
	row("Range of all", Range, "HTTP_RANGE=bytes=0-"),
	row("Range that is malformed", Range, "HTTP_RANGE=lines=1"),
	row("empty Range", Range, "HTTP_RANGE="),
	row("If-Range", Range, "HTTP_IF_RANGE=\"v1\""),
	row("Range and If-Range", Range, "HTTP_RANGE=bytes=0-1", "HTTP_IF_RANGE=\"v1\""),
	row("Range beside If-None-Match", Range, "HTTP_RANGE=bytes=0-1", "HTTP_IF_NONE_MATCH=\"v1\""),
	row("Request-Range", Range, "HTTP_REQUEST_RANGE=bytes=0-1"),
	row("If-Match", Precondition, "HTTP_IF_MATCH=\"v1\""),
	row("If-Match: *", Precondition, "HTTP_IF_MATCH=*"),
	row("empty If-Match", Precondition, "HTTP_IF_MATCH="),
	row("If-Unmodified-Since", Precondition, "HTTP_IF_UNMODIFIED_SINCE=Sat, 01 Jan 2022 00:00:00 GMT"),
	row("If of WebDAV", Precondition, "HTTP_IF=(<urn:x>)"),
	row("If-Schedule-Tag-Match of CalDAV", Precondition, "HTTP_IF_SCHEDULE_TAG_MATCH=\"v1\""),
	row("Unless-Modified-Since", Precondition, "HTTP_UNLESS_MODIFIED_SINCE=Sat, 01 Jan 2022 00:00:00 GMT"),
	row("If-None-Match", "", "HTTP_IF_NONE_MATCH=\"v1\""),
	row("If-Modified-Since", "", "HTTP_IF_MODIFIED_SINCE=Sat, 01 Jan 2022 00:00:00 GMT"),
	row("a name that only begins so", "", "HTTP_RANGER=1", "HTTP_IFFY=1"),

	row("X-Forwarded-Host of another", UnkeyedHeader, "HTTP_X_FORWARDED_HOST=evil.example"),
	row("X-Forwarded-Host of our own", "", "HTTP_X_FORWARDED_HOST=www.example.com"),
	row("an empty X-Forwarded-Host", UnkeyedHeader, "HTTP_X_FORWARDED_HOST="),
	row("X-HTTP-Method-Override", UnkeyedHeader, "HTTP_X_HTTP_METHOD_OVERRIDE=DELETE"),
	row("Forwarded with a host", UnkeyedHeader, "HTTP_FORWARDED=host=evil.example"),

	row("a key of another host", Host, "CACHE_KEY=http://other.example/p?q=1"),
	row("a key of the page's host", "", "CACHE_KEY=http://www.example.com/p?q=1"),

	row("header twice, different", DuplicateHeader, "+HTTP_X_TENANT=a", "+HTTP_X_TENANT=b"),
	row("header twice, the same", "", "+HTTP_X_TENANT=a", "+HTTP_X_TENANT=a"),
	row("path twice, different", DuplicateHeader, "+PATH_INFO=/env"),
	row("path twice, the same", "", "+PATH_INFO=/p"),
	row("method twice, different, the last one GET", DuplicateHeader, "REQUEST_METHOD=POST", "+REQUEST_METHOD=GET"),
	row("method twice, the same", "", "+REQUEST_METHOD=GET"),
	row("host twice, different", DuplicateHeader, "+HTTP_HOST=other.example"),
	row("host twice, the same", "", "+HTTP_HOST=www.example.com"),
	row("scheme twice, different", DuplicateHeader, "+REQUEST_SCHEME=https"),
	row("HTTPS twice, the last one empty", DuplicateHeader, "+HTTPS=on", "+HTTPS="),
	row("query twice, different", DuplicateHeader, "+QUERY_STRING=q=2"),
	row("URI twice, different", DuplicateHeader, "+REQUEST_URI=/q"),
	row("script name twice, different", DuplicateHeader, "+SCRIPT_NAME=/a", "+SCRIPT_NAME=/b"),
	row("server name twice, different", DuplicateHeader, "+SERVER_NAME=other.example"),
	row("document root twice, different", DuplicateHeader, "+DOCUMENT_ROOT=/other"),
	row("var of their own twice, different", DuplicateHeader, "+TENANT=a", "+TENANT=b"),
	row("all of uwsgi_params twice", "", "+REQUEST_URI=/p?q=1", "+PATH_INFO=/p", "+QUERY_STRING=q=1", "+SERVER_NAME=www.example.com", "+CONTENT_LENGTH="),
	row("path and key twice, different", DuplicateHeader, "+CACHE_KEY=x", "+PATH_INFO=/env"),
	row("cookie twice, different", DuplicateHeader, "+HTTP_COOKIE=lang=de", "+HTTP_COOKIE=lang=fr"),
	row("header three times, the middle one different", DuplicateHeader, "+HTTP_X=a", "+HTTP_X=b", "+HTTP_X=a"),

	row("no key, no template", NoKey, "-CACHE_KEY"),
	row("empty key", NoKey, "CACHE_KEY="),
	row("key twice, the same", "", "+CACHE_KEY=:1:/p?q=1"),
	row("key twice, different", NoKey, "+CACHE_KEY=x"),

	row("no status", NotLookedUp, "-CACHE_STATUS"),
	row("empty status", NotLookedUp, "CACHE_STATUS="),
	row("status twice, the same", "", "+CACHE_STATUS=404", "+CACHE_SERVER=10.0.0.1:11211"),
	row("status twice, different", NotLookedUp, "+CACHE_STATUS=502", "+CACHE_STATUS=404"),
	row("server twice, different", NotLookedUp, "+CACHE_SERVER=10.0.0.2:11211", "+CACHE_SERVER=10.0.0.1:11211"),
	row("502", NotLookedUp, "CACHE_STATUS=502"),
	row("504", NotLookedUp, "CACHE_STATUS=504"),
	row("200", NotLookedUp, "CACHE_STATUS=200"),
	row("second server missed", "", "CACHE_STATUS=502, 404", "CACHE_SERVER=10.0.0.2:11211, 10.0.0.1:11211"),
	row("second server failed", NotLookedUp, "CACHE_STATUS=404, 502"),
	row("missed again after X-Accel-Redirect", NotLookedUp, "CACHE_STATUS=404 : 200 : 404"),
	row("missed again after an answer of 404", NotLookedUp, "CACHE_STATUS=404 : 404 : 404"),
	row("second upstream did not", NotLookedUp, "CACHE_STATUS=404 : 200"),
	row("a dash", NotLookedUp, "CACHE_STATUS=-"),
	row("404 of more", NotLookedUp, "CACHE_STATUS=4040"),
	row("srcache miss", "", "CACHE_STATUS=MISS", "-CACHE_SERVER"),
	row("srcache hit", NotLookedUp, "CACHE_STATUS=HIT", "-CACHE_SERVER"),
	row("srcache bypass", NotLookedUp, "CACHE_STATUS=BYPASS", "-CACHE_SERVER"),
	row("srcache in lower case", NotLookedUp, "CACHE_STATUS=miss", "-CACHE_SERVER"),
	row("no server named", "", "-CACHE_SERVER"),
	row("empty server", "", "CACHE_SERVER="),
	row("unix server", "", "CACHE_SERVER=unix:/m.sock"),
	row("unlisted server", NotLookedUp, "CACHE_SERVER=169.254.169.254:80"),
	row("upstream's name instead of a server", NotLookedUp, "CACHE_SERVER=mem"),

	row("key of 250 bytes", "", "REQUEST_URI=/p", "CACHE_KEY="+strings.Repeat("k", 250)),
	row("key of 251 bytes", KeyTooLong, "CACHE_KEY="+strings.Repeat("k", 251)),
	row("key of 252 bytes once escaped", KeyTooLong, "CACHE_KEY="+strings.Repeat("%", 84)),
	row("key of 249 bytes once escaped", "", "REQUEST_URI=/p", "CACHE_KEY="+strings.Repeat(" ", 83)),
	row("key of 252 bytes once its spaces are escaped", KeyTooLong, "CACHE_KEY="+strings.Repeat(" ", 84)),
	row("bytes that are not escaped", "", "REQUEST_URI=/p", "CACHE_KEY="+strings.Repeat("\x7f\xff", 125)),

	row("a subrequest's packet", Rewritten, "PATH_INFO=/frag", "REQUEST_URI=/p?q=1"),
	row("arguments that are in no key", Arguments, "CACHE_KEY=:1:/p"),
	row("HTTPS where nginx has none", Scheme, "HTTPS=on"),

	row("the method before the key", Method, "REQUEST_METHOD=POST", "-CACHE_KEY"),
	row("the cookie before the lookup", IdentityCookie, "HTTP_COOKIE=sessionid=x", "-CACHE_STATUS"),
}

func TestRequest(t *testing.T) {
	for _, r := range requestRows {
		t.Run(r.name, func(t *testing.T) {
			plan := testPolicy().Request(get(r.changes...))
			if plan.Reason != r.want {
				t.Errorf("got reason %q, want %q (plan %+v)", plan.Reason, r.want, plan)
			}
			if plan.Reason == "" && plan.Key == "" {
				t.Error("a candidate without a key")
			}
			if wireLen(plan.Key) > maxWireKey {
				t.Errorf("a key of %d bytes", wireLen(plan.Key))
			}
		})
	}
}

func TestRequestPlan(t *testing.T) {
	tests := []struct {
		name    string
		changes []string
		want    Plan
	}{
		{"handed over", nil, Plan{Key: ":1:/p?q=1", Addr: "10.0.0.1:11211", LookedUp: true}},
		{"failover", []string{"CACHE_STATUS=502, 404", "CACHE_SERVER=10.0.0.1:11211, unix:/m.sock"},
			Plan{Key: ":1:/p?q=1", Addr: "unix:/m.sock", LookedUp: true}},
		{"srcache keeps the body", []string{"CACHE_STATUS=MISS", "-CACHE_SERVER"}, Plan{Key: ":1:/p?q=1"}},
		{"memcached is down", []string{"CACHE_STATUS=502"}, Plan{Key: ":1:/p?q=1", LookedUp: true, Reason: NotLookedUp}},
		{"HEAD", []string{"REQUEST_METHOD=HEAD"}, Plan{Key: ":1:/p?q=1", Addr: "10.0.0.1:11211", LookedUp: true, Reason: Method}},
		// uwsgi_intercept_errors: the 404 was another upstream's, and the body comes.
		{"POST with a status", []string{"REQUEST_METHOD=POST"}, Plan{Key: ":1:/p?q=1", Addr: "10.0.0.1:11211", Reason: Method}},
		{"bypassed by an if in nginx", []string{"-CACHE_STATUS", "-CACHE_SERVER"}, Plan{Key: ":1:/p?q=1", Reason: NotLookedUp}},
	}
	for _, tt := range tests {
		if got := testPolicy().Request(get(tt.changes...)); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestRequestDerived(t *testing.T) {
	const bare = "-CACHE_KEY"
	tests := []struct {
		name    string
		proof   bool
		changes []string
		want    Plan
	}{
		{"the operator's word", true, []string{bare, "-CACHE_STATUS", "-CACHE_SERVER"}, Plan{Key: "http://www.example.com/p?q=1"}},
		{"no word: a private page could go out", false, []string{bare, "-CACHE_STATUS", "-CACHE_SERVER"},
			Plan{Key: "http://www.example.com/p?q=1", Reason: NotLookedUp}},
		{"no word, but a miss", false, []string{bare}, Plan{Key: "http://www.example.com/p?q=1", Addr: "10.0.0.1:11211", LookedUp: true}},
		{"a status beats the word", true, []string{bare, "CACHE_STATUS="}, Plan{Key: "http://www.example.com/p?q=1", Reason: NotLookedUp}},
		{"a failed lookup beats the word", true, []string{bare, "CACHE_STATUS=502"},
			Plan{Key: "http://www.example.com/p?q=1", LookedUp: true, Reason: NotLookedUp}},
		{"the word is not for handed-over keys", true, []string{"-CACHE_STATUS", "-CACHE_SERVER"},
			Plan{Key: ":1:/p?q=1", Reason: NotLookedUp}},
		{"unlisted server", true, []string{bare, "-CACHE_STATUS", "CACHE_SERVER=evil:1"},
			Plan{Key: "http://www.example.com/p?q=1", Reason: NotLookedUp}},
		{"a key handed over wins", true, nil, Plan{Key: ":1:/p?q=1", Addr: "10.0.0.1:11211", LookedUp: true}},
		{"an emptied key is no key", true, []string{"CACHE_KEY=", "-CACHE_STATUS"},
			Plan{Reason: NoKey, Note: "nginx hands over an empty CACHE_KEY"}},
		{"a var repeated", true, []string{bare, "-CACHE_STATUS", "-CACHE_SERVER", "+REQUEST_URI=/x"},
			Plan{Key: "http://www.example.com/x", Reason: DuplicateHeader}},
		{"vars repeated with equal values", true, []string{bare, "-CACHE_STATUS", "-CACHE_SERVER", "+REQUEST_URI=/p?q=1", "+HTTP_HOST=www.example.com"},
			Plan{Key: "http://www.example.com/p?q=1"}},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.Keys.Template, p.Keys.TemplateIsProof = mustTemplate(t, "$scheme://$host$request_uri", ""), tt.proof
		if got := p.Request(get(tt.changes...)); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestServersNilKnowsNone(t *testing.T) {
	p := &Policy{}
	if got := p.Request(get()).Reason; got != NotLookedUp {
		t.Errorf("got %q, want %q", got, NotLookedUp)
	}
	if p.Keys.Knows("10.0.0.1:11211") {
		t.Error("knows a server")
	}
	if !testPolicy().Keys.Knows("mem, 10.0.0.1:11211") {
		t.Error("does not know the last entry")
	}
}

func TestForWorker(t *testing.T) {
	conditional := []string{
		"HTTP_IF_NONE_MATCH=x", "HTTP_IF_MODIFIED_SINCE=x", "HTTP_ACCEPT_ENCODING=gzip", "HTTP_ACCEPT=text/html",
	}
	with := func(more ...string) []string { return append(more, conditional...) }
	asItCame := []string{"HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT"}
	tests := []struct {
		name       string
		changes    []string
		gone, kept []string
	}{
		{"candidate", conditional,
			[]string{"CACHE_KEY", "CACHE_STATUS", "CACHE_SERVER", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_ACCEPT_ENCODING"},
			[]string{"HTTP_ACCEPT", "HTTP_HOST", "REQUEST_URI"}},
		{"not to be stored", with("HTTP_AUTHORIZATION=x"),
			[]string{"CACHE_KEY", "CACHE_STATUS", "CACHE_SERVER"}, append(asItCame, "HTTP_AUTHORIZATION")},
		{"Range", with("HTTP_RANGE=bytes=0-1", "HTTP_IF_RANGE=x"), nil, append(asItCame, "HTTP_RANGE", "HTTP_IF_RANGE")},
		{"If-Match", with("HTTP_IF_MATCH=x"), nil, append(asItCame, "HTTP_IF_MATCH")},
		{"If-Unmodified-Since", with("HTTP_IF_UNMODIFIED_SINCE=x"), nil, append(asItCame, "HTTP_IF_UNMODIFIED_SINCE")},
		{"body thrown away", []string{"HTTP_CONTENT_LENGTH=5", "CONTENT_LENGTH=5", "HTTP_TRANSFER_ENCODING=chunked"},
			[]string{"HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}, []string{"CONTENT_LENGTH"}},
	}
	for _, tt := range tests {
		v := get(tt.changes...)
		p := testPolicy()
		out := p.ForWorker(v, p.Request(v))
		for _, name := range tt.gone {
			if _, ok := out.Lookup(name); ok {
				t.Errorf("%s: %s is still there", tt.name, name)
			}
		}
		for _, name := range tt.kept {
			if _, ok := out.Lookup(name); !ok {
				t.Errorf("%s: %s is gone", tt.name, name)
			}
		}
	}
}

func TestForWorkerBodyOfCertainLookupOnly(t *testing.T) {
	p := testPolicy()
	for _, tt := range []struct {
		name, change, want string
	}{
		{"memcached_pass", "CACHE_STATUS=404", ""},
		{"memcached_pass failed", "CACHE_STATUS=502", ""},
		{"srcache", "CACHE_STATUS=MISS", "5"},
		{"not looked up", "-CACHE_STATUS", "5"},
	} {
		v := get("CONTENT_LENGTH=5", tt.change)
		if got := p.ForWorker(v, p.Request(v)).Get("CONTENT_LENGTH"); got != tt.want {
			t.Errorf("%s: got CONTENT_LENGTH %q, want %q", tt.name, got, tt.want)
		}
		if got := v.Get("CONTENT_LENGTH"); got != "5" {
			t.Errorf("%s: the vars given were changed to %q", tt.name, got)
		}
	}
}

func TestGlobs(t *testing.T) {
	tests := []struct {
		glob, name string
		want       bool
	}{
		{"session", "session", true},
		{"session", "SESSION", true},
		{"session", "sessions", false},
		{"session", "", false},
		{"", "", true},
		{"*", "", true},
		{"*", "any", true},
		{"_ga*", "_ga", true},
		{"_ga*", "_gat", true},
		{"_ga*", "_g", false},
		{"*id", "PHPSESSID", true},
		{"*id", "idx", false},
		{"a*b*c", "axxbyyc", true},
		{"a*b*c", "axxcyyb", false},
		{"k", "\u212a", false}, // the Kelvin sign
	}
	for _, tt := range tests {
		if got := matches(tt.glob, tt.name); got != tt.want {
			t.Errorf("matches(%q, %q) = %v, want %v", tt.glob, tt.name, got, tt.want)
		}
	}
}

func equalVars(a, b uwsgi.Vars) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
