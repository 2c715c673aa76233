package policy

import (
	"math/rand/v2"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestSubject(t *testing.T) {
	for _, tt := range []struct{ name, template, key, host, uri string }{
		{"default", "$visitor$scheme://$host$request_uri", "https://a.example/p?q=1", "a.example", "/p?q=1"},
		{"a bearer's", "$visitor$scheme://$host$request_uri", "+http://a.example/", "a.example", "/"},
		{"a URL in the URI", "$visitor$scheme://$host$request_uri", "http://a.example/http://b.example/", "a.example", "/http://b.example/"},
		{"proxied", "$visitor$visitors_scheme://$host$request_uri", "https://a.example/p", "a.example", "/p"},
		{"other scheme", "$visitor$scheme://$host$request_uri", "ftp://a.example/p", "", ""},
		{"no URI", "$visitor$scheme://$host$request_uri", "http://a.example", "", ""},
		{"a hash", "$visitor$scheme://$host$request_uri", "d41d8cd98f00b204e9800998ecf8427e", "", ""},
		{"upper case", "$visitor$scheme://$host$request_uri", "http://A.example/", "", ""},
		{"with a port", "$visitor$scheme://$host$request_uri", "http://a.example:80/", "", ""},
		{"trailing dot", "$visitor$scheme://$host$request_uri", "http://a.example./", "", ""},
		{"IPv6", "$visitor$scheme://$host$request_uri", "http://[::1]/p", "[::1]", "/p"},
		{"empty path", "$scheme://$host$request_uri", "http://a.example?q=/", "a.example", "?q=/"},
		{"high bytes", "$scheme://$host$request_uri", "http://\xc3\xbc.example/\xff", "\xc3\xbc.example", "/\xff"},

		{"client's host", "$scheme://$http_host$request_uri", "http://A.Example.:8080/p", "a.example", "/p"},
		{"no client's host", "$scheme://$http_host$request_uri", "http:///p", "", ""},
		{"bar", "$host|$request_uri", "a.example|/p|q", "a.example", "/p|q"},
		{"port", "$host:$server_port$request_uri", "a.example:80/p", "a.example", "/p"},
		{"port runs on", "$host$server_port$request_uri", "a.example80/p", "", ""},
		{"port after high host", "$host$server_port$request_uri", "[::1]80/p", "[::1]", "/p"},
		{"method", "$request_method$host$request_uri", "GETa.example/p", "a.example", "/p"},
		{"suffix", "$host$request_uri|$http_accept_language", "a.example/p|de", "a.example", "/p"},
		{"suffix twice", "$host$request_uri|$http_accept_language", "a.example/p|x|de", "", ""},
		{"prefix", "$http_accept_language|$host$request_uri", "de|a.example/p|x", "a.example", "/p|x"},
		{"prefix twice", "$http_accept_language|$host$request_uri", "de|a.example/p|b.example/", "", ""},
		{"suffix without end", "$host$request_uri$http_x", "a.example/p", "", ""},
		{"nothing but a slash", "$host$request_uri$http_x", "a.example/", "a.example", "/"},
		{"host twice", "$host$request_uri|$host", "a.example/p|x|a.example", "a.example", "/p|x"},

		{"path", "$host$uri$is_args$args", "a.example/p?q=1", "", ""},
		{"path and URI", "$host$uri$is_args$args|$request_uri", "a.example/p|/p", "", ""},
		{"no host", ":1:$request_uri", ":1:/p", "", ""},
		{"literal host", "http://A.example$request_uri", "http://A.example/p", "a.example", "/p"},
		{"two literal hosts", "a.example:b.example:$request_uri", "a.example:b.example:/p", "", ""},
		{"other literal", "k1:$host$request_uri", "k2:a.example/p", "", ""},
		{"too long", "$host$request_uri", "a.example/" + strings.Repeat("p", 241), "", ""},
		{"as long as may be", "$host$request_uri", "a.example/" + strings.Repeat("p", 240), "a.example", "/" + strings.Repeat("p", 240)},
		{"too many variables", strings.Repeat("$visitor", maxPieces) + "$host$request_uri", "a.example/", "", ""},
		{"empty", "$host$request_uri", "", "", ""},
	} {
		p := &Policy{Keys: Keys{Template: mustTemplate(t, tt.template, "")}}
		host, uri, ok := p.Subject(tt.key)
		if host != tt.host || uri != tt.uri || ok != (tt.uri != "") {
			t.Errorf("%s: %q by %q: got %q, %q, %v; want %q, %q", tt.name, tt.key, tt.template, host, uri, ok, tt.host, tt.uri)
		}
	}
}

func TestSubjectOfOneHost(t *testing.T) {
	p := &Policy{Keys: Keys{Template: mustTemplate(t, ":1:CUSTOMKEY:$request_uri", ""), AllowedHosts: []string{"WWW.example.com"}}}
	if host, uri, ok := p.Subject(":1:CUSTOMKEY:/p"); host != "www.example.com" || uri != "/p" || !ok {
		t.Errorf("got %q, %q, %v", host, uri, ok)
	}
	p.Keys.AllowedHosts = []string{"*.example.com"}
	if host, uri, ok := p.Subject(":1:CUSTOMKEY:/p"); ok {
		t.Errorf("with several hosts: got %q, %q", host, uri)
	}
	if _, _, ok := (&Policy{}).Subject("http://a/"); ok {
		t.Error("a key is read without a template")
	}
}

// randomTemplates are made of the variables of the recorded configurations and of
// what people write between them.
var randomPieces = []string{
	"$host", "$host", "$http_host", "$request_uri", "$request_uri", "$request_uri", "$uri", "$args", "$is_args", "$scheme", "$https", "$visitor", "$visitors_scheme",
	"$server_name", "$server_port", "$server_protocol", "$remote_addr", "$request_method", "$arg_page", "$cookie_lang", "$http_accept_language", "$remote_user", "$content_type",
	"://", "://", ":", "|", "/", "?", "-", "+", "k", ":1:", "a.example", "#",
}

var randomTexts = []string{
	"/", "/", "/", "?", "&", "=", "|", ":", "://", "http", "https", "on", "+", "-", "#", "a.example", "b.example", "GET", "80", "k", ":1:", "p", "page=", "[::1]", "%20", "\xff", " ", "HTTP/1.1",
}

var randomHosts = []string{"a.example", "b.example", "A.example:80", "on.example", "http", "k", "80", "1.2.3.4", "[::1]", "[::1]:8080", "a-b.example.", "\xff.example", "p.a.example"}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func someOf(r *rand.Rand, from []string, most int) string {
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteString(pick(r, from))
	}
	return b.String()
}

// someRequest returns the vars of a request that nginx could send for a page that
// may be stored.
func someRequest(r *rand.Rand) uwsgi.Vars {
	uri := "/" + someOf(r, randomTexts, 6)
	if r.IntN(20) == 0 {
		uri = "?" + someOf(r, randomTexts, 4)
	}
	raw, _, _ := strings.Cut(uri, "?")
	changes := []string{"REQUEST_URI=" + uri, "PATH_INFO=" + normalPath(raw), "HTTP_HOST=" + pick(r, randomHosts), "REQUEST_SCHEME=" + pick(r, []string{"http", "https"})}
	if r.IntN(2) == 0 {
		changes = append(changes, "HTTPS=on", "SERVER_PORT=8080", "SERVER_NAME=~^(?<sub>.*)\\.example$")
	}
	if r.IntN(2) == 0 {
		changes = append(changes, "HTTP_ACCEPT_LANGUAGE="+someOf(r, randomTexts, 3), "HTTP_COOKIE=lang="+someOf(r, randomTexts, 3), "CONTENT_TYPE="+someOf(r, randomTexts, 3))
	}
	return get(changes...)
}

// What Subject returns is right for every request that has the key, and so for this
// one.
func checkSubject(t *testing.T, p *Policy, v uwsgi.Vars) (isKnown bool) {
	t.Helper()
	key, err := p.Keys.Template.Expand(v)
	if err != nil {
		return false
	}
	host, uri, ok := p.Subject(key)
	if ok && (host != requestHost(v) || uri != v.Get("REQUEST_URI")) {
		t.Errorf("%q: got %q, %q; the request has %q, %q", key, host, uri, requestHost(v), v.Get("REQUEST_URI"))
	}
	s := p.PageSubject(v, Plan{Key: key}, Verdict{})
	if s.Recorded == ok || s.Host != requestHost(v) || s.URI != v.Get("REQUEST_URI") {
		t.Errorf("%q: subject %+v, and its key tells it: %v", key, s, ok)
	}
	return ok
}

func TestSubjectIsTheRequests(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 17))
	known, templates := 0, 0
	for range 6000 {
		text := someOf(r, randomPieces, 7)
		template, err := ParseTemplate(text)
		if err != nil || !template.says.host {
			continue
		}
		templates++
		p := &Policy{Keys: Keys{Template: template}}
		for range 20 {
			if checkSubject(t, p, someRequest(r)) {
				known++
			}
			if t.Failed() {
				t.Fatalf("template %q", text)
			}
		}
	}
	if templates < 1000 || known < 1000 {
		t.Errorf("%d keys of %d templates are read: nearly nothing is tested", known, templates)
	}
}

// The keys that nearly all sites have need no record.
func TestSubjectOfUsualKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 17))
	for _, text := range []string{"$visitor$scheme://$host$request_uri", "$visitor$visitors_scheme://$host$request_uri", "$host|$request_uri", "$scheme|$https|$host|$server_port|$request_uri"} {
		p := &Policy{Keys: Keys{Template: mustTemplate(t, text, "")}}
		for range 2000 {
			if v := someRequest(r); !checkSubject(t, p, v) {
				if key, _ := p.Keys.Template.Expand(v); len(key) <= maxWireKey {
					t.Fatalf("%q: the key %q is not read", text, key)
				}
			}
		}
	}
}

// What a real nginx asked memcached for.
func TestVectorsSubject(t *testing.T) {
	known := 0
	for _, c := range loadVectors(t) {
		if !isTrue(c.Derivable) {
			continue
		}
		v := varsOf(c.Vars)
		p := &Policy{Keys: Keys{Template: mustTemplate(t, c.template, "1.22.1"), AllowedHosts: []string{requestHost(v)}}}
		host, uri, ok := p.Subject(latin1(*c.KeyRaw))
		if !ok {
			continue
		}
		known++
		// With an absolute-form target nginx has another host than the worker; such a
		// page is stored under the host that the worker sees.
		if absolute := c.KeyRaw != nil && host != requestHost(v) && p.Request(c.handOver()).Reason == Host; !absolute && host != requestHost(v) || uri != v.Get("REQUEST_URI") {
			t.Errorf("%s: %q by %q: got %q, %q; the request has %q, %q", c.ID, *c.KeyRaw, c.template, host, uri, requestHost(v), v.Get("REQUEST_URI"))
		}
	}
	if known < 50 {
		t.Errorf("only %d keys are read", known)
	}
}

func FuzzSubject(f *testing.F) {
	f.Add("$visitor$scheme://$host$request_uri", "/p?q", "a.example", "de", "http://a.example/p")
	f.Add("$http_x|$host$request_uri", "/p|b/q", "a", "x|b/", "de|a/p")
	f.Add("$host$request_uri$http_x", "/", "[::1]:80", "", "[::1]/")
	f.Fuzz(func(t *testing.T, text, uri, host, other, key string) {
		template, err := ParseTemplate(text)
		if err != nil {
			return
		}
		p := &Policy{Keys: Keys{Template: template}}
		if host, uri, ok := p.Subject(key); ok && (host == "" || !hasURI(uri)) {
			t.Errorf("%q by %q: got %q, %q", key, text, host, uri)
		}
		if shown := normalizeHost(host); !template.says.host || shown == "" || !isHostText(host) || normalizeHost(shown) != shown || !hasURI(uri) {
			return
		}
		v := get("HTTP_HOST="+host, "HTTP_X="+other, "HTTP_COOKIE="+other, "REQUEST_URI="+uri)
		checkSubject(t, p, v)
	})
}

func BenchmarkSubject(b *testing.B) {
	p := &Policy{Keys: Keys{Template: mustTemplate(b, "$visitor$scheme://$host$request_uri", "")}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := p.Subject("http://www.example.com/a/page/of/usual/length?page=2"); !ok {
			b.Fatal("not read")
		}
	}
}
