package policy

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func keysOf(targets []Target) (keys []string) {
	for _, t := range targets {
		keys = append(keys, t.Key)
	}
	return keys
}

func TestVariantsOf(t *testing.T) {
	purge := func(changes ...string) uwsgi.Vars {
		return get(append([]string{"REQUEST_METHOD=PURGE", "REQUEST_URI=/p", "-CACHE_KEY", "-CACHE_STATUS", "-CACHE_SERVER"}, changes...)...)
	}
	for _, tt := range []struct {
		name, template string
		v              uwsgi.Vars
		uri            string
		want           []string
	}{
		{"default", "$visitor$scheme://$host$request_uri", nil, "/p?q", []string{"http://www.example.com/p?q", "https://www.example.com/p?q", "+http://www.example.com/p?q", "+https://www.example.com/p?q"}},
		{"proxied", "$visitors_scheme://$host$request_uri", nil, "/", []string{"http://www.example.com/", "https://www.example.com/"}},
		{"method", "$request_method$host$request_uri", nil, "/p", []string{"GETwww.example.com/p", "HEADwww.example.com/p"}},
		{"https", "$https|$host$request_uri", nil, "/p", []string{"|www.example.com/p", "on|www.example.com/p"}},
		{"a variable twice", "$scheme:$scheme:$host$request_uri", nil, "/p", []string{"http:http:www.example.com/p", "https:https:www.example.com/p"}},
		{"port", "$host:$server_port$request_uri", nil, "/p", []string{"www.example.com:80/p", "www.example.com:443/p"}},
		{"port of the request", "$host:$server_port$request_uri", purge("SERVER_PORT=8080"), "/p", []string{"www.example.com:80/p", "www.example.com:443/p", "www.example.com:8080/p"}},
		{"client's host", "$http_host$request_uri", nil, "/p", []string{"www.example.com/p"}},
		{"header", "$host$request_uri|$http_accept_language", nil, "/p", []string{"www.example.com/p|"}},
		{"path", "$host$uri$is_args$args", nil, "/a%20b?q", []string{"www.example.com/a b?q"}},
		{"encoded", "$host$request_uri", nil, "/caf%C3%A9", []string{"www.example.com/caf%C3%A9"}},
		{"cut by a rule", "$host$request_uri", nil, "/cut/?q=1&r", []string{"www.example.com/cut/?q=1"}},
		{"too long", "$host$request_uri", nil, "/" + strings.Repeat("x", 240), nil},
		{"no target", "$host$request_uri", nil, "*", nil},
		{"no template", "", nil, "/p", nil},

		{"a request", "$visitor$scheme://$host$request_uri", purge("HTTP_COOKIE=sessionid=x", "REQUEST_SCHEME=https"), "/p", []string{"http://www.example.com/p", "https://www.example.com/p", "+http://www.example.com/p", "+https://www.example.com/p"}},
		{"a request for another URL", "$scheme://$host$request_uri", purge(), "/q", []string{"http://www.example.com/q", "https://www.example.com/q"}},
		{"handed over", "$scheme://$host$request_uri", purge("CACHE_KEY=https://www.example.com/p"), "/p", []string{"https://www.example.com/p", "http://www.example.com/p"}},
		{"handed over, another key", "$host$request_uri", purge("CACHE_KEY=md5"), "/p", []string{"md5", "www.example.com/p"}},
		{"handed over for another URL", "$host$request_uri", purge("CACHE_KEY=md5"), "/q", []string{"www.example.com/q"}},
		{"handed over twice", "$host$request_uri", purge("+CACHE_KEY=a", "+CACHE_KEY=b"), "/p", []string{"www.example.com/p"}},
		{"handed over, no template", "", purge("CACHE_KEY=md5"), "/p", []string{"md5"}},
	} {
		p := testPolicy()
		p.Keys.TemplateIsProof = true
		p.Rules = NewRules([]Rule{{PathPrefix: "/cut/", KeepArgs: []string{"q"}}})
		if tt.template != "" {
			p.Keys.Template = mustTemplate(t, tt.template, "")
		}
		got := p.VariantsOf(tt.v, "www.example.com", tt.uri)
		if !slices.Equal(keysOf(got.Targets), tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, keysOf(got.Targets), tt.want)
		}
		if wantURI := strings.TrimSuffix(tt.uri, "&r"); got.URI != wantURI {
			t.Errorf("%s: got the URI %q, want %q", tt.name, got.URI, wantURI)
		}
	}
}

// What is stored for a URL is among its variants, unless the key has more of a request.
func TestVariantsOfContainsWhatIsStored(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 17))
	found := 0
	for range 4000 {
		template, err := ParseTemplate(someOf(r, []string{"$visitor", "$scheme", "$visitors_scheme", "$https", "$request_method", "$host", "$host", "$request_uri", "$request_uri", ":", "|"}, 6))
		if err != nil {
			continue
		}
		p := &Policy{Keys: Keys{Template: template, TemplateIsProof: true}, Lifetimes: testPolicy().Lifetimes}
		for range 5 {
			v := someRequest(r)
			if r.IntN(2) == 0 {
				v = changed(v, "HTTP_X_FORWARDED_PROTO=https")
			}
			if r.IntN(3) == 0 {
				v = changed(v, "HTTP_COOKIE=theme=dark")
			}
			for _, name := range []string{varKey, varStatus, varServer} {
				v = changed(v, "-"+name)
			}
			key, err := template.Expand(v)
			if err != nil || key == "" || wireLen(key) > maxWireKey {
				continue
			}
			uri := v.Get("REQUEST_URI")
			if !hasURI(uri) {
				continue
			}
			variants := p.VariantsOf(nil, requestHost(v), uri)
			found++
			if !slices.Contains(keysOf(variants.Targets), key) {
				t.Fatalf("%q is none of %q", key, keysOf(variants.Targets))
			}
		}
	}
	if found < 300 {
		t.Errorf("only %d keys are tested", found)
	}
}
