package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"uwgate/uwsgi"
)

// anonymousPolicy renders the key of get, unless a test says otherwise.
func anonymousPolicy(t testing.TB, template string) *Policy {
	p := testPolicy()
	p.Keys.Template = mustTemplate(t, template, "1.22.1")
	return p
}

// texts are vars as a test writes them.
func texts(v uwsgi.Vars) []string {
	var lines []string
	for _, x := range v {
		lines = append(lines, x.Name+"="+x.Value)
	}
	return lines
}

func TestAnonymous(t *testing.T) {
	p := anonymousPolicy(t, ":1:$request_uri")
	p.TrustForwardedProto = true
	v := get("REQUEST_SCHEME=https", "REMOTE_ADDR=203.0.113.9", "CONTENT_TYPE=text/plain", "+HTTPS=on", "+SERVER_ADDR=10.0.0.9", "+SSL_CLIENT_S_DN=",
		"+HTTP_COOKIE=lang=de; _ga=1", "+HTTP_ACCEPT=text/html", "+HTTP_ACCEPT_LANGUAGE=de", "+HTTP_ACCEPT_ENCODING=gzip",
		"+HTTP_REFERER=http://x/", "+HTTP_IF_NONE_MATCH=\"a\"", "+HTTP_X_FORWARDED_FOR=203.0.113.9",
		"+HTTP_X_FORWARDED_PROTO=https", "+HTTP_X_FORWARDED_HOST=www.example.com", "+HTTP_CACHE_CONTROL=max-age=0", "+HTTP_VIA=1.1 x", "+HTTP_X_MADE_UP=1")
	want := []string{
		"QUERY_STRING=q=1", "REQUEST_METHOD=GET", "CONTENT_TYPE=", "CONTENT_LENGTH=", "REQUEST_URI=/p?q=1", "PATH_INFO=/p",
		"DOCUMENT_ROOT=/srv/www", "SERVER_PROTOCOL=HTTP/1.1", "REQUEST_SCHEME=https", "REMOTE_ADDR=192.0.2.1", "REMOTE_PORT=0",
		"SERVER_PORT=80", "SERVER_NAME=www.example.com", "CACHE_KEY=:1:/p?q=1", "CACHE_STATUS=404", "CACHE_SERVER=10.0.0.1:11211",
		"HTTP_HOST=www.example.com", "HTTPS=on", "SERVER_ADDR=10.0.0.9",
		"HTTP_X_FORWARDED_PROTO=https", "HTTP_X_FORWARDED_HOST=www.example.com", "HTTP_USER_AGENT=uwgate-refresh",
	}
	before := texts(v)
	if got := texts(p.Anonymous(v, p.Request(v))); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := texts(v); !slices.Equal(got, before) {
		t.Errorf("the request's own vars have become %q", got)
	}
}

// What one row adds is kept, left out, or the end of the matter.
func TestAnonymousVars(t *testing.T) {
	const kept, gone, never = "kept", "gone", "never"
	languages := func(p *Policy) { p.Keys.Template, _ = ParseTemplate(":1:$request_uri|$http_accept_language") }
	harmless := func(name string) func(*Policy) {
		return func(p *Policy) { p.Visitors = NewVisitors(VisitorNames{HarmlessVars: []string{name}}) }
	}
	trust := func(header string) func(*Policy) { return func(p *Policy) { p.TrustedHeaders = []string{header} } }
	tests := []struct {
		name   string
		policy func(*Policy)
		vars   []string
		added  string
		want   string
	}{
		{"an unknown var", nil, nil, "APP_MODE=live", never},
		{"a parameter of the operator's", harmless("APP_MODE"), nil, "APP_MODE=live", kept},
		{"a user", nil, nil, "REDIRECT_REMOTE_USER=", gone},
		{"no client's certificate", nil, nil, "SSL_CLIENT_VERIFY=NONE", gone},
		{"an unknown header", nil, nil, "HTTP_X_TENANT=shop", gone},
		{"an address under another name", nil, nil, "X_REAL_IP=203.0.113.9", gone},
		{"the cipher", nil, nil, "SSL_CIPHER=AES", kept},
		{"in the key", languages, []string{"CACHE_KEY=:1:/p?q=1|de"}, "HTTP_ACCEPT_LANGUAGE=de", kept},
		{"in no key", nil, nil, "HTTP_ACCEPT_LANGUAGE=de", gone},
		{"trusted", trust("x-tenant"), nil, "HTTP_X_TENANT=shop", kept},
		{"personal though trusted", trust("X-Forwarded-For"), nil, "HTTP_X_FORWARDED_FOR=203.0.113.9", gone},
		{"a prefix that is trusted", trust("X-Script-Name"), nil, "HTTP_X_SCRIPT_NAME=/app", kept},
		{"a scheme that repeats", nil, nil, "HTTP_X_SCHEME=http", kept},
		{"TLS at a proxy", nil, nil, "HTTP_X_FORWARDED_SSL=on", kept},
		{"TLS that repeats", nil, nil, "HTTP_FRONT_END_HTTPS=off", kept},
		{"TLS at a trusted proxy", trust("Front-End-Https"), nil, "HTTP_FRONT_END_HTTPS=on", kept},
		{"CloudFront that repeats", nil, nil, "HTTP_CLOUDFRONT_FORWARDED_PROTO=http", kept},
		{"Forwarded that repeats", nil, nil, "HTTP_FORWARDED=for=203.0.113.9;proto=http", gone},
		{"Forwarded of another scheme", trust("Forwarded"), nil, "HTTP_FORWARDED=for=203.0.113.9;proto=https", never},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := anonymousPolicy(t, ":1:$request_uri")
			if tt.policy != nil {
				tt.policy(p)
			}
			v := get(append(tt.vars, "+"+tt.added)...)
			plan := p.Request(v)
			if plan.Reason != "" {
				t.Fatalf("no candidate: %s", plan.Reason)
			}
			out := p.Anonymous(v, plan)
			got := gone
			if out == nil {
				got = never
			} else if slices.Contains(texts(out), tt.added) {
				got = kept
			}
			name, _, _ := strings.Cut(tt.added, "=")
			if got == gone && out.Count(name) > 0 {
				t.Errorf("%s has become %q", tt.added, out.Get(name))
			}
			if got != tt.want {
				t.Errorf("%s is %s, want %s", tt.added, got, tt.want)
			}
		})
	}
}

func TestAnonymousNever(t *testing.T) {
	tests := []struct {
		name, template string
		vars           []string
		nobody         bool // is the page nobody's, too
	}{
		{"the template's key", ":1:$request_uri", nil, true},
		{"a derived key", "$scheme://$host$request_uri", []string{"-CACHE_KEY"}, true},
		{"another key than the template's", "$host$request_uri", nil, false},
		{"no template", "", nil, false},
		{"a candidate for nothing", ":1:$request_uri", []string{"+HTTP_AUTHORIZATION=x"}, false},
		{"a cookie in the key", ":1:$request_uri|$cookie_lang", []string{"CACHE_KEY=:1:/p?q=1|de", "+HTTP_COOKIE=lang=de"}, false},
		{"all cookies in the key", ":1:$request_uri|$http_cookie", []string{"CACHE_KEY=:1:/p?q=1|lang=de", "+HTTP_COOKIE=lang=de"}, false},
		{"no cookie, though there may be one in the key", ":1:$request_uri|$cookie_lang", []string{"CACHE_KEY=:1:/p?q=1|"}, true},
		{"a derived key of a cookie", "$request_uri|$cookie_lang", []string{"-CACHE_KEY", "+HTTP_COOKIE=lang=de"}, false},
		{"the address in the key", "$request_uri$remote_addr", []string{"-CACHE_KEY"}, false},
		{"the browser in the key", "$request_uri|$http_user_agent", []string{"-CACHE_KEY"}, true},
		{"a referrer in the key", "$request_uri|$http_referer", []string{"-CACHE_KEY", "+HTTP_REFERER=x"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := testPolicy()
			if tt.template != "" {
				p = anonymousPolicy(t, tt.template)
			}
			v := get(tt.vars...)
			if got := p.Anonymous(v, p.Request(v)) != nil; got != tt.nobody {
				t.Errorf("got %v, want %v", got, tt.nobody)
			}
		})
	}
}

// The page that fills after a bypass belongs to the URL without the argument.
func TestAnonymousBypass(t *testing.T) {
	const secret = "hunter22"
	tests := []struct {
		name, template string
		vars           []string
	}{
		{"handed over", ":1:$request_uri", []string{"CACHE_KEY=:1:/p?nocache=" + secret}},
		{"handed over, of the path alone", ":1:$uri", []string{"CACHE_KEY=:1:/p"}},
		{"handed over, of what else the argument leaves", "$uri$is_args$arg_q", []string{"CACHE_KEY=/p?"}},
		{"derived", "$host$request_uri", []string{"-CACHE_KEY"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := anonymousPolicy(t, tt.template)
			p.Bypass = Bypass{Name: "nocache", Secret: secret}
			v := get(append(tt.vars, "REQUEST_URI=/p?nocache="+secret, "QUERY_STRING=nocache="+secret)...)
			plan := p.Request(v)
			out := p.Anonymous(v, plan)
			if out == nil || strings.Contains(strings.Join(texts(out), " "), secret) {
				t.Fatalf("got %q", texts(out))
			}
			if again := p.Request(out); again.Bypass || again.Key != plan.Key || again.Reason != "" || again.Addr != "" {
				t.Errorf("planned as %+v, want the key %q and no bypass", again, plan.Key)
			}
		})
	}
}

// The worker is asked without the arguments that a rule cuts.
func TestAnonymousCutsArguments(t *testing.T) {
	p := anonymousPolicy(t, "$host$request_uri")
	p.Rules = NewRules([]Rule{{KeepArgs: []string{"q"}}})
	v := get("-CACHE_KEY", "REQUEST_URI=/p?q=1&utm=x", "QUERY_STRING=q=1&utm=x")
	out := p.Anonymous(v, p.Request(v))
	if got := p.ForWorker(out, p.Request(out)).Get("REQUEST_URI"); got != "/p?q=1" {
		t.Errorf("the worker is asked for %q, want /p?q=1", got)
	}
}

// A packet is one string, and what is kept must not keep its cookies.
func TestAnonymousSharesNoMemory(t *testing.T) {
	p := anonymousPolicy(t, ":1:$request_uri")
	v := get()
	for _, x := range p.Anonymous(v, p.Request(v)) {
		for _, y := range v {
			if x == y && x.Value != "" && unsafe.StringData(x.Value) == unsafe.StringData(y.Value) {
				t.Errorf("%s has the request's memory", x.Name)
			}
		}
	}
}

// What a real nginx sent is asked for under the key that it asked for.
func TestVectorsAnonymous(t *testing.T) {
	asked := 0
	for _, c := range loadVectors(t) {
		tmpl, err := ParseTemplate(c.template)
		if err != nil {
			continue
		}
		tmpl.Nginx = Version{1, 22, 1}
		p := &Policy{Keys: Keys{Template: tmpl, Servers: func(addr string) bool { return addr == c.Addr }, AllowedHosts: []string{requestHost(c.handOver())}}}
		v := c.handOver()
		plan := p.Request(v)
		out := p.Anonymous(v, plan)
		if out == nil {
			continue
		}
		asked++
		if again := p.Request(out); again.Reason != "" || again.Key != latin1(*c.KeyRaw) || again.Addr != c.Addr || again.LookedUp != plan.LookedUp {
			t.Errorf("%s: planned as %+v, want %+v", c.ID, again, plan)
		}
		if out.Get("HTTP_COOKIE") != "" || out.Get("HTTP_USER_AGENT") != anonymousAgent {
			t.Errorf("%s: %q", c.ID, texts(out))
		}
	}
	if asked < 80 {
		t.Errorf("only %d cases are asked for", asked)
	}
}

// anonymousTemplates and those vars make requests of all kinds.
var (
	anonymousTemplates = []string{":1:$request_uri", "$scheme://$host$request_uri", "$uri$is_args$args|$http_accept_language", "$request_uri|$cookie_lang",
		"$request_uri|$http_x_forwarded_host|$http_cookie", "$request_uri$remote_addr", "$request_uri|$content_type|$http_x_forwarded_for"}
	anonymousNames = []string{"HTTP_COOKIE", "HTTP_ACCEPT_LANGUAGE", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO",
		"HTTP_REFERER", "HTTP_USER_AGENT", "HTTP_FORWARDED", "HTTP_X_SCRIPT_NAME", "HTTP_FRONT_END_HTTPS", "HTTP_IF_MATCH", "HTTP_X_ANY",
		"HTTP_HOST", "REMOTE_ADDR", "REMOTE_PORT", "REMOTE_IDENT", "CONTENT_TYPE", "QUERY_STRING", "SERVER_NAME", "ANY", "HTTP_CACHE_CONTROL"}
)

func randomRequest(r *rand.Rand, p *Policy) uwsgi.Vars {
	v := get("REMOTE_ADDR=visitor")
	for range r.IntN(12) {
		name := anonymousNames[r.IntN(len(anonymousNames))]
		value := []string{"visitor", "lang=visitor; a=b", "www.example.com", "http", "", "proto=http;for=visitor"}[r.IntN(6)]
		v = changed(v, []string{"", "+"}[r.IntN(2)]+name+"="+value)
	}
	v = changed(v, "-CACHE_KEY")
	if key, err := p.Keys.Template.Expand(v); err == nil && r.IntN(2) == 0 {
		v = append(v, uwsgi.Var{Name: "CACHE_KEY", Value: key})
	}
	if r.IntN(2) == 0 {
		v = changed(v, "-CACHE_SERVER")
	}
	return v
}

// Whatever a candidate says, nobody asks for the same page, and says nothing of
// the visitor outside of what the key contains and nginx's parameters.
func TestAnonymousRandomly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	candidates, asked := 0, 0
	for range 20000 {
		p := anonymousPolicy(t, anonymousTemplates[r.IntN(len(anonymousTemplates))])
		v := randomRequest(r, p)
		plan := p.Request(v)
		out := p.Anonymous(v, plan)
		if plan.Reason != "" && out != nil {
			t.Fatalf("%q: asked for, though %s", texts(v), plan.Reason)
		}
		if plan.Reason == "" {
			candidates++
		}
		if out != nil {
			asked++
			checkAnonymous(t, p, v, out)
		}
	}
	if candidates < 2000 || asked < 1000 {
		t.Errorf("only %d candidates of which %d are asked for", candidates, asked)
	}
}

func checkAnonymous(t *testing.T, p *Policy, v, out uwsgi.Vars) {
	t.Helper()
	plan, again := p.Request(v), p.Request(out)
	if again.Reason != "" || again.Key != plan.Key || again.Addr != plan.Addr || again.Bypass {
		t.Fatalf("%q: planned as %+v, want %+v", texts(v), again, plan)
	}
	if twice := p.Anonymous(out, again); !slices.Equal(twice, out) {
		t.Fatalf("%q: once more it becomes %q, want %q", texts(v), texts(twice), texts(out))
	}
	for _, x := range out {
		if !mayStand(p, x) {
			t.Fatalf("%q: %s tells %q", texts(v), x.Name, x.Value)
		}
	}
}

func mayStand(p *Policy, x uwsgi.Var) bool {
	header, isHeader := strings.CutPrefix(x.Name, "HTTP_")
	switch {
	case x.Name == "REMOTE_ADDR":
		return x.Value == anonymousAddr
	case x.Name == "REMOTE_PORT":
		return x.Value == anonymousPort
	case !isHeader:
		return !p.isOfVisitor(x.Name)
	case isOfClient(x.Name), x.Name == "HTTP_COOKIE":
		return false
	case x.Name == "HTTP_HOST", x.Name == "HTTP_X_FORWARDED_HOST", x.Name == "HTTP_X_FORWARDED_PROTO":
		return true // Request allows but repetitions, and Firewall has its own word
	}
	return !strings.Contains(x.Value, "visitor") || p.Keys.Template.covers(strings.ReplaceAll(header, "_", "-"))
}

func FuzzAnonymous(f *testing.F) {
	f.Add(0, "/p?q=1", "www.example.com", "HTTP_COOKIE", "lang=de", "HTTP_X_FORWARDED_HOST", "www.example.com")
	f.Add(3, "/p", "a", "HTTP_COOKIE", "lang=", "REMOTE_IDENT", "x")
	f.Add(1, "/p?nocache=hunter22&q", "a:80", "X_REAL_IP", "1.2.3.4", "HTTP_FORWARDED", "proto=http")
	f.Fuzz(func(t *testing.T, template int, uri, host, name1, value1, name2, value2 string) {
		p := anonymousPolicy(t, anonymousTemplates[uint(template)%uint(len(anonymousTemplates))])
		p.Bypass = Bypass{Name: "nocache", Secret: "hunter22"}
		p.Rules = NewRules([]Rule{{PathPrefix: "/cut", KeepArgs: []string{"q"}}})
		path, query, _ := cutQuery(uri)
		v := get("-CACHE_KEY", "REQUEST_URI="+uri, "PATH_INFO="+path, "QUERY_STRING="+query, "HTTP_HOST="+host)
		v = append(v, uwsgi.Var{Name: name1, Value: value1}, uwsgi.Var{Name: name2, Value: value2})
		if key, err := p.Keys.Template.Expand(v); err == nil && template&8 == 0 {
			v = append(v, uwsgi.Var{Name: "CACHE_KEY", Value: key})
		}
		if out := p.Anonymous(v, p.Request(v)); out != nil {
			checkAnonymous(t, p, v, out)
		}
	})
}

func BenchmarkAnonymous(b *testing.B) {
	p := anonymousPolicy(b, ":1:$request_uri")
	v := get("HTTP_COOKIE=_ga=1; _gid=2; lang=de", "HTTP_ACCEPT_ENCODING=gzip", "HTTP_ACCEPT=*/*", "HTTP_CACHE_CONTROL=max-age=0")
	plan := p.Request(v)
	b.ReportAllocs()
	for b.Loop() {
		if p.Anonymous(v, plan) == nil {
			b.Fatal("not asked for")
		}
	}
}
