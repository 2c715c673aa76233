package snippet_test

import (
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/snippet"
	"uwgate/uwsgi"
)

func text(t *testing.T, s *snippet.Site) string {
	t.Helper()
	var b strings.Builder
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// serve runs an nginx with the site's maps. The function that it returns makes a request
// and returns the values of the variables, with "|" between them.
func serve(t *testing.T, s *snippet.Site, variables string) func(target, cookies string, headers ...string) string {
	t.Helper()
	program := nginxtest.Program(t)
	s.Gateways, s.Servers, s.Listen = []string{"unix:/none"}, []string{"unix:/none"}, []string{"unix:/tmp/never"}
	s.Part = snippet.PartHTTP
	maps := text(t, s)
	dir := nginxtest.Frame(t, "", maps+"\nserver { listen unix:show.sock; location / { return 200 '"+variables+"'; } }")
	socket := filepath.Join(dir, "show.sock")
	nginxtest.Replace(t, filepath.Join(dir, "site.conf"), "unix:show.sock", "unix:"+socket)
	nginxtest.Start(t, program, dir, socket)
	client := nginxtest.Client(socket)
	return func(target, cookies string, headers ...string) string {
		t.Helper()
		return nginxtest.Show(t, client, target, cookies, headers...)
	}
}

// If a proxy says which visitors came over https, their key has that scheme.
func TestForwardedProto(t *testing.T) {
	s := &snippet.Site{ForwardedProto: true, Visitors: onlySession}
	if got, want := snippet.Key(s), "$visitor$visitors_scheme://$host$request_uri"; got != want {
		t.Errorf("key %s, want %s", got, want)
	}
	if s := (&snippet.Site{ForwardedProto: true, Key: "$scheme://$host$uri"}); snippet.Key(s) != s.Key {
		t.Errorf("key %s, want %s", snippet.Key(s), s.Key)
	}
	ask := serve(t, s, "$visitors_scheme")
	for proto, want := range map[string]string{"": "http", "http": "http", "https": "https", "ftp": "http", "https, http": "http"} {
		if got := ask("/", "", "X-Forwarded-Proto", proto); got != want {
			t.Errorf("X-Forwarded-Proto: %s: got %s, want %s", proto, got, want)
		}
	}
}

// Ignored arguments are removed from the key and from the worker's request, wherever they
// stand, and nothing else is removed.
func TestIgnoredArguments(t *testing.T) {
	ask := serve(t, &snippet.Site{IgnoreArgs: []string{"utm_*", "gclid", "a.b"}, Visitors: onlySession},
		"$page_uri|$worker_uri|$worker_args")
	tests := []struct{ name, target, want string }{
		{"none", "/p", "/p"},
		{"others", "/p?a=1&b=2", "/p?a=1&b=2"},
		{"alone", "/p?gclid=1", "/p"},
		{"first", "/p?gclid=1&a=1", "/p?a=1"},
		{"last", "/p?a=1&gclid=1", "/p?a=1"},
		{"in the middle", "/p?a=1&gclid=1&b=2", "/p?a=1&b=2"},
		{"a row", "/p?a=1&utm_source=x&utm_medium=y&gclid=1&b=2", "/p?a=1&b=2"},
		{"three rows", "/p?gclid=1&b=2&utm_source=x&utm_medium=y&a=1&gclid=2", "/p?b=2&a=1"},
		{"a fourth row stays", "/p?gclid=1&a&gclid=2&b&gclid=3&c&gclid=4", "/p?a&b&c&gclid=4"},
		{"all", "/p?utm_source=x&utm_medium=y", "/p"},
		{"without value", "/p?gclid&a=1", "/p?a=1"},
		{"empty value", "/p?a=1&gclid=", "/p?a=1"},
		{"behind the sign of a fragment", "/p?a=1#&gclid=1", "/p?a=1#"},
		{"in a fragment", "/p#x?gclid=1&a=1", "/p#x?a=1"},
		{"value with a sign of its own", "/p?utm_source=a=b?c&a=1", "/p?a=1"},
		{"longer name", "/p?gclidx=1&xgclid=2&my_utm_a=3", "/p?gclidx=1&xgclid=2&my_utm_a=3"},
		{"the glob's own dot", "/p?aXb=1&a.b=2", "/p?aXb=1"},
		{"other case", "/p?GCLID=1", "/p?GCLID=1"},
		{"percent-encoded name", "/p?gcli%64=1", "/p?gcli%64=1"},
		{"as a value", "/p?a=gclid&b=utm_source", "/p?a=gclid&b=utm_source"},
		{"in the path", "/gclid=1&utm_a=2&", "/gclid=1&utm_a=2&"},
		{"path ends in &", "/p&?gclid=1", "/p&"},
		{"empty query", "/p?", "/p"},
		{"second question mark", "/p?a=b?gclid=1&c", "/p?a=b?gclid=1&c"},
		{"bytes as sent", "/caf%C3%A9%20?gclid=1&q=%26+%3d", "/caf%C3%A9%20?q=%26+%3d"},
		{"very long", "/p?" + strings.Repeat("a=1&", 800) + "gclid=1", "/p?" + strings.Repeat("a=1&", 799) + "a=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			args := arguments(tt.want)
			if got, want := ask(tt.target, ""), tt.want+"|"+tt.want+"|"+args; got != want {
				t.Errorf("%s: got %q, want %q", tt.target, got, want)
			}
			args = arguments(tt.target)
			if got, want := ask(tt.target, "sessionid=1"), tt.want+"|"+tt.target+"|"+args; got != want {
				t.Errorf("%s of a member: got %q, want %q", tt.target, got, want)
			}
		})
	}
}

// arguments returns what nginx takes for the arguments of a target.
func arguments(target string) string {
	target, _, _ = strings.Cut(target, "#")
	_, args, _ := strings.Cut(target, "?")
	return args
}

// nginx recognizes a logged-in user exactly if the gateway does.
func TestIdentityCookies(t *testing.T) {
	globs := []string{"sessionid", "_pyramid_*", "a.b", "*-token"}
	ask := serve(t, &snippet.Site{Visitors: onlyCookies(globs...)}, "$identified")
	p := &policy.Policy{Visitors: onlyCookies(globs...)}
	tests := []struct {
		name, cookies string
		want          bool
	}{
		{"none", "", false},
		{"another", "_ga=1", false},
		{"alone", "sessionid=1", true},
		{"behind another", "_ga=1; sessionid=1", true},
		{"without a space", "_ga=1;sessionid=1", true},
		{"after a comma", "_ga=1,sessionid=1", true},
		{"before another", "sessionid=1; _ga=1", true},
		{"other case", "SessionID=1", true},
		{"spaces around", "_ga=1;  sessionid =1", true},
		{"no value", "sessionid", true},
		{"empty value", "sessionid=", true},
		{"ends alike", "mysessionid=1", false},
		{"begins alike", "sessionid2=1", false},
		{"as a value", "a=sessionid", false},
		{"glob", "_pyramid_x=1", true},
		{"glob of nothing", "_pyramid_=1", true},
		{"glob does not pass the sign", "_pyramid=_pyramid_", false},
		{"glob in front", "_ga=1; csrf-token=1", true},
		{"glob does not pass the end", "x; y-token2=1; z=-token", false},
		{"the glob's own dot", "aXb=1", false},
		{"dot", "a.b=1", true},
		{"long name", strings.Repeat("a", 7000) + "-token=1", true},
		{"long names", strings.Repeat("_pyramid_ ", 10) + strings.Repeat("a-token2=", 700), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ask("/", tt.cookies) != ""; got != tt.want {
				t.Errorf("%q: nginx says %v, want %v", tt.cookies, got, tt.want)
			}
			vars := uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/"}, {Name: "HTTP_COOKIE", Value: tt.cookies}}
			if got := p.Request(vars).Reason == policy.IdentityCookie; got != tt.want {
				t.Errorf("%q: the gateway says %v, want %v", tt.cookies, got, tt.want)
			}
		})
	}
}

// nginx reads back the text that was quoted.
func TestQuotedValues(t *testing.T) {
	for _, value := range []string{
		"DENY", "a b", `a"b`, `a'b`, `a\b`, `a\\b`, `a\"b`, `a\n\t\r\x`, `ends in \`, "a;b", "{a}", "#a", "a#b", `"whole"`, `\`, "~a", "caf\xe9", "a\tb", "default",
	} {
		t.Run(value, func(t *testing.T) {
			ask := serve(t, &snippet.Site{Hits: snippet.Hits{Adds: []uwsgi.Field{{Name: "X-A", Value: value}}}}, "$hit_x_a")
			if got := ask("/", ""); got != value {
				t.Errorf("got %q, want %q", got, value)
			}
		})
	}
}

// What cannot be written in nginx's syntax is an error that says so.
func TestSiteErrors(t *testing.T) {
	tests := []struct {
		name string
		s    snippet.Site
		want string
	}{
		{"dollar in a header", snippet.Site{Hits: snippet.Hits{Adds: []uwsgi.Field{{Name: "X-A", Value: "5$"}}}}, `the value of X-A, "5$", has a dollar sign`},
		{"control character", snippet.Site{Key: "a\nb"}, `the key, "a\nb", has a control character`},
		{"header name", snippet.Site{Hits: snippet.Hits{Adds: []uwsgi.Field{{Name: "X.A", Value: "a"}}}}, `header "X.A": nginx has variables for headers of letters`},
		{"type", snippet.Site{Hits: snippet.Hits{HitType: "text/html; level=1"}}, `type of hits "text/html; level=1": write it as in`},
		{"key and ignored arguments", snippet.Site{Key: "$uri", IgnoreArgs: []string{"a"}}, "leave the key's own template out"},
		{"fragments in gzip", snippet.Site{Format: policy.FormatGzip, Fragments: []string{"/a/"}}, "nginx processes no SSI directives in compressed pages"},
		{"a path of fragments", snippet.Site{Fragments: []string{"/"}}, `fragments "/": write the beginning of the fragments' paths`},
		{"no gateway", snippet.Site{Servers: []string{"a:1"}}, "the gateway has no address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.s.Servers == nil {
				tt.s.Gateways, tt.s.Servers = []string{"unix:/a"}, []string{"a:1"}
			}
			err := tt.s.Write(io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// Goldens, so that a change of the text is seen. To accept one: UPDATE=1 go test.
func TestSiteGolden(t *testing.T) {
	three := []string{"10.0.0.1:11211 weight=2", "10.0.0.2:11211", "unix:/run/memcached.sock down"}
	for name, s := range map[string]snippet.Site{
		"body": {Servers: []string{"127.0.0.1:11211"}, Visitors: nil},
		"gzip": {Format: policy.FormatGzip, GzipFlag: 2, Servers: three, Hash: cachewriter.Consistent, Names: []string{"example.com"},
			Visitors: onlySession, Hits: snippet.Hits{Adds: []uwsgi.Field{{Name: "X-Frame-Options", Value: "DENY"}}}, IgnoreArgs: []string{"utm_*", "gclid"}},
		"http": {Format: policy.FormatHTTP, Servers: three, Hash: cachewriter.Modulo, Visitors: onlySession, Listen: []string{"80", "[::]:80 default_server"}},
		"none": {Servers: three, Hash: cachewriter.All},
		"backup": {Gateways: []string{"10.0.0.5:3030", "10.0.0.6:3030"}, Workers: snippet.Workers{Backups: []string{"10.0.0.7:3031 weight=2"}},
			ReadTimeout: 81 * time.Second, Servers: []string{"127.0.0.1:11211"}, Visitors: onlySession},
		"fragments": {Servers: []string{"127.0.0.1:11211"}, Visitors: onlySession, Fragments: []string{"/fragments/"}},
		"proxy":     {Servers: []string{"127.0.0.1:11211"}, Visitors: onlySession, ForwardedProto: true},
		"tls": {Gateways: []string{"10.0.0.5:3031"}, TLS: snippet.TLS{Secure: true, CertName: "uwgate.example.com", ClientCert: true},
			Servers: []string{"127.0.0.1:11211"}, Visitors: onlySession},
		"parts/http":   {Part: snippet.PartHTTP, Name: "shop", Servers: []string{"127.0.0.1:11211"}, Visitors: onlySession},
		"parts/server": {Part: snippet.PartServer, Name: "shop", Servers: []string{"127.0.0.1:11211"}, Visitors: onlySession},
	} {
		t.Run(name, func(t *testing.T) {
			if s.Gateways == nil {
				s.Gateways = []string{"unix:/run/uwgate.sock"}
			}
			got := text(t, &s)
			nginxtest.Golden(t, filepath.Join("testdata", name+".conf"), got)
			for line := range strings.Lines(got) {
				if strings.HasSuffix(line, " \n") || strings.HasPrefix(strings.TrimSpace(line), "#") && len(line) > 91 {
					t.Errorf("badly set: %q", line)
				}
			}
		})
	}
}

// onlyCookies are tables with these identity cookies and no others.
func onlyCookies(globs ...string) *policy.Visitors {
	return policy.NewVisitors(policy.VisitorNames{IdentityCookies: append([]string{"none"}, globs...)})
}

var onlySession = onlyCookies("sessionid")

func ExampleSite() {
	s := snippet.Site{Gateways: []string{"unix:/run/uwgate.sock"}, Servers: []string{"127.0.0.1:11211"}}
	var b strings.Builder
	if err := s.Write(&b); err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, "$memcached_key") {
			fmt.Print(strings.TrimSpace(line), "\n")
		}
	}
	// Output:
	// uwsgi_param CACHE_KEY    $memcached_key   if_not_empty;  # where nginx looked,
	// set $memcached_key "$visitor$scheme://$host$request_uri";
}

// nginx distinguishes visitors by their cookies exactly as the gateway does.
func TestVisitorsInNginx(t *testing.T) {
	for name, visitors := range map[string]*policy.Visitors{
		"tables": nil,
		"flags": policy.NewVisitors(policy.VisitorNames{
			IdentityCookies: []string{"shop_*", "a.b"}, HarmlessCookies: []string{"shop_theme", "sessionid", "x*y", "a#b"}, TokenCookies: []string{"form"},
		}),
		"all harmless": policy.NewVisitors(policy.VisitorNames{HarmlessCookies: []string{"*"}}),
		"prefixes": policy.NewVisitors(policy.VisitorNames{
			IdentityCookies: []string{"none", "__Host-_*", "x*y", "*.sid"}, HarmlessCookies: []string{"none", "_ga*", "xx*", "theme.sid", "x*sid"},
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &snippet.Site{Visitors: visitors}
			ask := serve(t, s, "$session_cookie|$visitor|")
			tmpl, err := policy.ParseTemplate("$visitor$request_uri")
			if err != nil {
				t.Fatal(err)
			}
			tmpl.Visitors = visitors
			p := &policy.Policy{Visitors: visitors, Keys: policy.Keys{Template: tmpl}}
			for _, cookies := range cookieHeaders() {
				vars := uwsgi.Vars{{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_URI", Value: "/"}, {Name: "HTTP_COOKIE", Value: cookies}}
				key, err := tmpl.Expand(vars)
				if err != nil {
					t.Fatal(err)
				}
				want := "|"
				if p.Request(vars).Reason == policy.IdentityCookie {
					want = "1|"
				}
				want += strings.TrimSuffix(key, "/") + "|"
				if got := ask("/", cookies); got != want {
					t.Errorf("%q: nginx says %q, the gateway %q", cookies, got, want)
				}
			}
		})
	}
}

// A stranger cannot keep nginx busy with a long Cookie header or a long query.
func TestLongHeadersAreCheap(t *testing.T) {
	const most = 2 * time.Second
	ask := serve(t, &snippet.Site{IgnoreArgs: append([]string{"*_ref", "a*b"}, snippet.TrackingArgs...)}, "$identified|$visitor|$worker_args")
	for _, part := range []string{",", " ", "a ", "a,", "=", ";", "a=;", "a=a ", "_ga=a ", "_ga=1; ", "remember_ ", "remember_", "_session", "__Host-", "_ga", "wp-,", "\x80", "1=\"", "&", "a&", "a=a&", "utm_a&", "aa", "a_"} {
		long := strings.Repeat(part, 8000/len(part))
		begin := time.Now()
		ask("/?"+strings.ReplaceAll(long, " ", "+"), "")
		query := time.Since(begin)
		begin = time.Now()
		ask("/", "x="+strings.Trim(long, " "), "Cookie2", long)
		if cookie := time.Since(begin); query > most || cookie > most {
			t.Errorf("%d times %q: nginx needs %v for the query and %v for the cookies", 8000/len(part), part, query, cookie)
		}
	}
}

// cookieHeaders combine names of all classes with what separates cookies.
func cookieHeaders() []string {
	r := mathrand.New(mathrand.NewPCG(1, 2))
	words := []string{"_ga", "_ga_X1", "sessionid", "csrftoken", "theme", "__Host-sessionid", "__Secure-_ga", "mp_1_mixpanel", "mp__mixpanel", "shop_theme",
		"shop_x", "xxy", "form", "_pyramid_", "wp-x", "1", "", "SESSIONID", "a#b", "a.b", "CookieConsent", "messages",
		"_ga_session", "_ga_Session_id", "_pk_ses.1.sid", "theme.sid", "xx.sid", "__Host-_ga", "__Http-_ga_jwt"}
	joints := []string{"; ", "; ", ";", "=", "=", "=", " ", ",", "\t", `"`, `\`, "[", "\xc2\xa0", " = ", "=;", ";;"}
	headers := []string{"", "_ga=1", "_ga=1; theme", "sessionid", "_ga=1,2 3", `_ga="1"`, "_ga = 1", " ;_ga=1; "}
	for len(headers) < 600 {
		var b strings.Builder
		for range 1 + r.IntN(6) {
			b.WriteString(words[r.IntN(len(words))] + joints[r.IntN(len(joints))])
		}
		headers = append(headers, strings.Trim(b.String(), " \t"))
	}
	return headers
}

func field(name, value string) uwsgi.Field { return uwsgi.Field{Name: name, Value: value} }
