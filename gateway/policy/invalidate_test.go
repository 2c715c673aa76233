package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestInvalidated(t *testing.T) {
	const post = "REQUEST_METHOD=POST"
	tests := []struct {
		name    string
		changes []string
		lines   []string
		want    []string // keys
	}{
		{"POST", []string{post}, nil, []string{":1:/p?q=1"}},
		{"PUT", []string{"REQUEST_METHOD=PUT"}, []string{"=204"}, []string{":1:/p?q=1"}},
		{"PATCH", []string{"REQUEST_METHOD=PATCH"}, nil, []string{":1:/p?q=1"}},
		{"DELETE", []string{"REQUEST_METHOD=DELETE"}, nil, []string{":1:/p?q=1"}},
		{"a method that nobody knows", []string{"REQUEST_METHOD=FROB"}, nil, []string{":1:/p?q=1"}},
		{"GET", nil, nil, nil},
		{"HEAD", []string{"REQUEST_METHOD=HEAD"}, nil, nil},
		{"OPTIONS", []string{"REQUEST_METHOD=OPTIONS"}, nil, nil},
		{"PROPFIND is safe", []string{"REQUEST_METHOD=PROPFIND"}, nil, nil},
		{"no method", []string{"-REQUEST_METHOD"}, nil, nil},
		{"400", []string{post}, []string{"=400"}, nil},
		{"500", []string{post}, []string{"=500"}, nil},
		{"302 to another page", []string{post}, []string{"=302", "Location: /done"}, []string{":1:/p?q=1", ":1:/done"}},
		{"302 to the page itself", []string{post}, []string{"=302", "Location: /p?q=1"}, []string{":1:/p?q=1"}},
		{"Location in full", []string{post}, []string{"=303", "Location: https://www.example.com:8443/done?x#y"}, []string{":1:/p?q=1", ":1:/done?x"}},
		{"Location in another case", []string{post}, []string{"=303", "Location: http://WWW.example.com/"}, []string{":1:/p?q=1", ":1:/"}},
		{"Location without a path", []string{post}, []string{"=303", "Location: http://www.example.com"}, []string{":1:/p?q=1", ":1:/"}},
		{"Location by authority", []string{post}, []string{"=303", "Location: //www.example.com/x"}, []string{":1:/p?q=1", ":1:/x"}},
		{"Location relative", []string{post, "REQUEST_URI=/a/b/c", "CACHE_KEY=:1:/a/b/c"}, []string{"=303", "Location: ../d"}, []string{":1:/a/b/c", ":1:/a/d"}},
		{"Location of arguments alone", []string{post}, []string{"=303", "Location: ?r"}, []string{":1:/p?q=1", ":1:/p?r"}},
		{"Location not encoded", []string{post}, []string{"=303", "Location: /caf\u00e9 x"}, []string{":1:/p?q=1", ":1:/caf%C3%A9%20x"}},
		{"Location encoded in lower case", []string{post}, []string{"=303", "Location: /caf%c3%a9"}, []string{":1:/p?q=1", ":1:/caf%c3%a9"}},
		{"Location elsewhere", []string{post}, []string{"=303", "Location: http://example.org/p"}, []string{":1:/p?q=1"}},
		{"Location of another kind", []string{post}, []string{"=303", "Location: mailto:a@www.example.com"}, []string{":1:/p?q=1"}},
		{"Location malformed", []string{post}, []string{"=303", "Location: http://[/"}, []string{":1:/p?q=1"}},
		{"Content-Location", []string{post}, []string{"=201", "Content-Location: /new", "Location: /new"}, []string{":1:/p?q=1", ":1:/new"}},
		{"both", []string{post}, []string{"=201", "content-location: /a", "Location: /b"}, []string{":1:/p?q=1", ":1:/a", ":1:/b"}},
		{"a key without the URI: its own page only", []string{post, "CACHE_KEY=x"}, []string{"=302", "Location: /done"}, []string{"x"}},
		{"no key", []string{post, "-CACHE_KEY"}, nil, nil},
		{"two keys", []string{post, "+CACHE_KEY=y"}, nil, nil},
		{"the key of another page is too long", []string{post}, []string{"=302", "Location: /" + string(make255())}, []string{":1:/p?q=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := named(testPolicy().Invalidated(get(tt.changes...), page(tt.lines...))); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// named are the keys of targets, without those of other spellings: TestSpellings has these.
func named(targets []Target) (keys []string) {
	for i, t := range targets {
		isOther := slices.ContainsFunc(targets[:i], func(o Target) bool { return slices.Contains(spellings(o.Key[3:])[1:], t.Key[3:]) })
		if !strings.HasPrefix(t.Key, ":1:") || !isOther {
			keys = append(keys, t.Key)
		}
	}
	return keys
}

// Of a request without a response nothing is known but its own URI.
func TestDoubtful(t *testing.T) {
	for _, tt := range []struct {
		changes []string
		want    []Target
	}{
		{[]string{"REQUEST_METHOD=POST"}, []Target{{":1:/p?q=1", "10.0.0.1:11211"}}},
		{[]string{"REQUEST_METHOD=PUT"}, []Target{{":1:/p?q=1", "10.0.0.1:11211"}}},
		{[]string{"REQUEST_METHOD=PATCH"}, []Target{{":1:/p?q=1", "10.0.0.1:11211"}}},
		{[]string{"REQUEST_METHOD=DELETE"}, []Target{{":1:/p?q=1", "10.0.0.1:11211"}}},
		{[]string{"REQUEST_METHOD=FROB"}, []Target{{":1:/p?q=1", "10.0.0.1:11211"}}},
		{nil, nil},
		{[]string{"REQUEST_METHOD=HEAD"}, nil},
		{[]string{"-REQUEST_METHOD"}, nil},
		{[]string{"REQUEST_METHOD=POST", "-CACHE_KEY"}, nil},
	} {
		if got := testPolicy().Doubtful(get(tt.changes...)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %+v, want %+v", tt.changes, got, tt.want)
		}
	}
}

func make255() []byte { return slices.Repeat([]byte("x"), 255) }

func TestInvalidatedServer(t *testing.T) {
	got := testPolicy().Invalidated(get("REQUEST_METHOD=POST"), page("=302", "Location: /done"))
	want := []Target{{":1:/p?q=1", "10.0.0.1:11211"}, {Key: ":1:/done"}, {Key: ":1:/done?"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	got = testPolicy().Invalidated(get("REQUEST_METHOD=POST", "CACHE_SERVER=evil:1"), page())
	if want := []Target{{Key: ":1:/p?q=1"}}; !slices.Equal(got, want) {
		t.Errorf("a server that is not ours: got %+v, want %+v", got, want)
	}
}

func TestInvalidatedByTemplate(t *testing.T) {
	tests := []struct {
		name, template string
		rules          []Rule
		location       string
		want           []string
	}{
		{"raw", "$scheme://$host$request_uri", nil, "/d/../e?x", []string{"http://www.example.com/p?q=1", "http://www.example.com/e?x"}},
		{"parts", "$host|$uri|$args|$arg_a", nil, "/caf%C3%A9//x/?a=1", []string{"www.example.com|/p|q=1|", "www.example.com|/caf\u00e9/x/|a=1|1"}},
		{"the entries of GETs", "$request_method$request_uri", nil, "/e", []string{"GET/p?q=1", "GET/e", "GET/e?"}},
		{"two URLs with one key", "$host$request_uri", []Rule{{KeepArgs: []string{}}}, "/p?r", []string{"www.example.com/p"}},
		{"with arguments cut", "$host$request_uri", []Rule{{PathPrefix: "/p", KeepArgs: []string{}}}, "/e?q=1", []string{"www.example.com/p", "www.example.com/e?q=1"}},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.Keys.Template, p.Rules = mustTemplate(t, tt.template, ""), NewRules(tt.rules)
		var got []string
		for _, target := range p.Invalidated(get("REQUEST_METHOD=POST", "-CACHE_KEY"), page("=302", "Location: "+tt.location)) {
			got = append(got, target.Key)
			if target.Addr != "" {
				t.Errorf("%s: %+v names a server that was asked for nothing", tt.name, target)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// What is deleted after a POST is what a GET of the same URL had stored.
func TestInvalidatedIsWhatIsStored(t *testing.T) {
	for _, template := range []string{"$scheme://$host$request_uri", "$host$uri$is_args$args", "$request_method|$request_uri"} {
		p := testPolicy()
		p.Keys.Template, p.Keys.TemplateIsProof = mustTemplate(t, template, ""), true
		p.Rules = NewRules([]Rule{{KeepArgs: []string{"q"}}})
		bare := []string{"-CACHE_KEY", "-CACHE_STATUS", "-CACHE_SERVER", "REQUEST_URI=/p?q=1&r", "QUERY_STRING=q=1&r"}
		plan := p.Request(get(bare...))
		got := p.Invalidated(get(append(bare, "REQUEST_METHOD=POST")...), page())
		if want := []Target{{Key: plan.Key}}; plan.Reason != "" || !slices.Equal(got, want) {
			t.Errorf("%s: got %+v, want %+v (%s)", template, got, want, plan.Reason)
		}
	}
}

func FuzzSameHostURI(f *testing.F) {
	for _, s := range []string{"/done", "../x?y#z", "//www.example.com/", "http://www.example.com:1", "?", "", "mailto:x", "http://[::1]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		uri, ok := sameHostURI(get(), reference)
		if ok && (uri == "" || uri[0] != '/') {
			t.Errorf("%q: resolved to %q", reference, uri)
		}
		if again, ok2 := sameHostURI(get(), uri); ok && (!ok2 || again != uri) && uri[:min(2, len(uri))] != "//" {
			t.Errorf("%q: resolved to %q, and that to %q", reference, uri, again)
		}
	})
}

// With $visitor in the key a URL has an entry for each class of visitors.
func TestEntriesOfAllVisitors(t *testing.T) {
	keys := func(targets []Target) (keys []string) {
		for _, target := range targets {
			keys = append(keys, target.Key)
		}
		return keys
	}
	const derived = "-CACHE_KEY"
	tests := []struct {
		name, template string
		changes        []string
		want           []string
	}{
		{"a stranger", "$visitor$scheme://$host$request_uri", []string{derived}, []string{"http://www.example.com/p?q=1", "+http://www.example.com/p?q=1"}},
		{"a bearer", "$visitor$scheme://$host$request_uri", []string{derived, "HTTP_COOKIE=theme=dark"}, []string{"+http://www.example.com/p?q=1", "http://www.example.com/p?q=1"}},
		{"somebody", "$visitor$scheme://$host$request_uri", []string{derived, "HTTP_COOKIE=sessionid=x"}, []string{"http://www.example.com/p?q=1", "+http://www.example.com/p?q=1"}},
		{"handed over", "$visitor$host$request_uri", []string{"CACHE_KEY=+www.example.com/p?q=1", "HTTP_COOKIE=theme=dark"}, []string{"+www.example.com/p?q=1", "www.example.com/p?q=1"}},
		{"handed over, another key", "$visitor$host$request_uri", nil, []string{":1:/p?q=1"}},
		{"in the middle", ":1:$visitor:$request_uri", []string{derived}, []string{":1::/p?q=1", ":1:+:/p?q=1"}},
		{"not in the key", "$host$request_uri", []string{derived, "HTTP_COOKIE=theme=dark"}, []string{"www.example.com/p?q=1"}},
	}
	for _, tt := range tests {
		p := testPolicy()
		p.Keys.Template = mustTemplate(t, tt.template, "")
		v := get(tt.changes...)
		if got := keys(p.Entries(v, p.Request(v))); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		post := changed(slices.Clone(v), "REQUEST_METHOD=POST")
		if got := keys(p.Invalidated(post, page("=303"))); !slices.Equal(got, tt.want) {
			t.Errorf("%s: a POST: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
