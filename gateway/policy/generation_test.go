package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckGeneration(t *testing.T) {
	for _, text := range []string{"", "r42", "v1.4.2", "1.4.2-rc1", "2026-11-30.1", "8f3e2a1", "a_B", strings.Repeat("x", maxGeneration)} {
		if err := CheckGeneration(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"a:b": "letters", "a b": "letters", "a+": "letters", "$host": "letters", "a/b": "letters", "\xc3\xbc": "letters", "a\"": "letters",
		strings.Repeat("x", maxGeneration+1): "at most 32",
		"release.prod":                       "name of a host", "localhost": "name of a host", "10.0.0.1": "name of a host",
	} {
		if err := CheckGeneration(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

// Keys of two generations are never the same, and each key tells its host and URI.
func TestGenerations(t *testing.T) {
	const template = "$visitor$scheme://$host$request_uri"
	generations := []string{"", "http", "https", "r", "r4", "r42", "1.2", "-"}
	made := map[string]string{}
	for _, generation := range generations {
		p := &Policy{Keys: Keys{Template: mustTemplate(t, WithGeneration(generation, template), "")}}
		for _, changes := range [][]string{nil, {"HTTP_COOKIE=theme=dark"}, {"REQUEST_URI=/r4:http://a/"}, {"HTTP_HOST=r4"}} {
			v := get(changes...)
			key, err := p.Keys.Template.Expand(v)
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := made[key]; ok {
				t.Errorf("%q is a key of the generations %q and %q", key, other, generation)
			}
			made[key] = generation
			if host, uri, ok := p.Subject(key); !ok || host != requestHost(v) || uri != v.Get("REQUEST_URI") {
				t.Errorf("%q: got %q, %q", key, host, uri)
			}
		}
		for _, other := range generations {
			if other == generation {
				continue
			}
			if host, uri, ok := p.Subject(WithGeneration(other, "http://www.example.com/p")); ok {
				t.Errorf("a key of the generation %q is read as %q, %q of %q", other, host, uri, generation)
			}
		}
	}
}

// While nginx and the gateway have different generations, a key that is handed over
// decides. The page is stored where nginx looked, and what makes it old deletes it in both
// generations: another nginx may look in the other one.
func TestHandedOverGeneration(t *testing.T) {
	const template = "$visitor$scheme://$host$request_uri"
	for _, tt := range []struct{ own, other string }{{"old", "new"}, {"", "new"}, {"new", ""}, {"http", ""}, {"", "http"}} {
		p := testPolicy()
		p.Keys.AllowedHosts = nil
		p.Keys.Template = mustTemplate(t, WithGeneration(tt.own, template), "")
		p.Keys.Template.Generation = tt.own
		p.Bypass = Bypass{Name: "nocache", Secret: "long-secret-of-this-test"}
		in := func(generation, key string) string { return WithGeneration(generation, key) }
		key := in(tt.other, "http://www.example.com/p?q=1")

		v := get("CACHE_KEY=" + key)
		plan := p.Request(v)
		if verdict := p.Response(v, plan, page("Content-Length: 5"), testNow); !verdict.Store() || plan.Key != key {
			t.Errorf("%+v: got %+v, %+v", tt, plan, verdict)
		}
		if s := p.PageSubject(v, plan, Verdict{}); !s.Recorded || s.Host != "www.example.com" || s.URI != "/p?q=1" {
			t.Errorf("%+v: got the subject %+v", tt, s)
		}
		want := []string{key, in(tt.other, "+http://www.example.com/p?q=1"), in(tt.own, "http://www.example.com/p?q=1"), in(tt.own, "+http://www.example.com/p?q=1")}
		post := get("REQUEST_METHOD=POST", "CACHE_KEY="+key)
		if got := keysOf(p.Invalidated(post, page("=303"))); !slices.Equal(got, want) {
			t.Errorf("%+v: a POST deletes %q, want %q", tt, got, want)
		}
		if got := keysOf(p.Entries(v, plan)); !slices.Equal(got, want) {
			t.Errorf("%+v: the entries are %q, want %q", tt, got, want)
		}
		got := keysOf(p.Invalidated(post, page("=303", "Location: /done")))
		if !slices.Contains(got, in(tt.other, "http://www.example.com/done")) || !slices.Contains(got, in(tt.own, "+http://www.example.com/done")) {
			t.Errorf("%+v: with a Location a POST deletes %q", tt, got)
		}
		bypass := get("REQUEST_URI=/p?nocache=long-secret-of-this-test", "CACHE_KEY="+in(tt.other, "http://www.example.com/p?nocache=long-secret-of-this-test"))
		if got := p.Request(bypass); got.Key != in(tt.other, "http://www.example.com/p") {
			t.Errorf("%+v: a bypass is planned for %+v", tt, got)
		}
		if p.Keys.templateOf(v, "a:b:http://www.example.com/p?q=1") != nil || p.Keys.templateOf(v, in(tt.other, "http://www.example.com/p")) != nil {
			t.Errorf("%+v: another key is taken for one of a generation", tt)
		}
	}
}

// Where nginx looks no POST up, it may hand over an empty key. Then the template names what
// a POST deletes.
func TestInvalidatedWithAnEmptyKey(t *testing.T) {
	p := testPolicy()
	p.Keys.Template = mustTemplate(t, "$visitor$host$request_uri", "")
	got := keysOf(p.Invalidated(get("REQUEST_METHOD=POST", "CACHE_KEY="), page("=303", "Location: /done")))
	want := []string{"www.example.com/p?q=1", "+www.example.com/p?q=1", "www.example.com/done", "+www.example.com/done", "www.example.com/done?", "+www.example.com/done?"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
