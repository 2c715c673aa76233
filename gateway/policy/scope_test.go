package policy

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestParseScope(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Scope
		err  string
	}{
		{"tag:news", Scope{Kind: ScopeTag, Tag: "news"}, ""},
		{"tag:a b", Scope{Kind: ScopeTag, Tag: "a b"}, ""},
		{"tag:a:b", Scope{Kind: ScopeTag, Tag: "a:b"}, ""},
		{"url:/news/?page=2", Scope{Kind: ScopeURL, URI: "/news/?page=2"}, ""},
		{"url://WWW.example.com/news/", Scope{Kind: ScopeURL, Host: "www.example.com", URI: "/news/"}, ""},
		{"url:https://www.example.com/", Scope{Kind: ScopeURL, Host: "www.example.com", URI: "/"}, ""},
		{"path:/news/", Scope{Kind: ScopePath, URI: "/news/"}, ""},
		{"prefix:/", Scope{Kind: ScopePrefix, URI: "/"}, ""},
		{"prefix://[::1]/a", Scope{Kind: ScopePrefix, Host: "[::1]", URI: "/a"}, ""},
		{"site", Scope{Kind: ScopeSite}, ""},
		{"site:www.example.com", Scope{Kind: ScopeSite, Host: "www.example.com"}, ""},

		{"news", Scope{}, "write tag:NAME, url:/path"},
		{"all", Scope{}, "write tag:NAME, url:/path"},
		{"/news/", Scope{}, "write tag:NAME, url:/path"},
		{"tag:", Scope{}, "a tag is missing"},
		{"tag: a", Scope{}, "a tag is missing"},
		{"tag:" + strings.Repeat("x", maxTag+1), Scope{}, "at most 1024"},
		{"url:", Scope{}, "begins with a slash"},
		{"url:news", Scope{}, "url:/news/"},
		{"prefix://www.example.com", Scope{}, "prefix:/news/"},
		{"url:/a b", Scope{}, "%20"},
		{"url:/a#b", Scope{}, "fragment"},
		{"path:/a?b", Scope{}, "all queries"},
		{"site:", Scope{}, "site:HOST"},
		{"site:*.example.com", Scope{}, "is no host"},
		{"site:www.example.com:80", Scope{}, "without port"},
		{"url://www.example.com:80/", Scope{}, "without port"},
	} {
		got, err := ParseScope(tt.text)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: got %+v, %v; want an error with %q", tt.text, got, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: got %+v, %v; want %+v", tt.text, got, err, tt.want)
		}
		if again, err := ParseScope(got.String()); err != nil || again != got {
			t.Errorf("%q is written as %q, which is read as %+v, %v", tt.text, got, again, err)
		}
	}
}

func scopes(t testing.TB, texts ...string) (list []Scope) {
	t.Helper()
	for _, text := range texts {
		s, err := ParseScope(text)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func TestPurges(t *testing.T) {
	p := testPolicy()
	p.Rules = NewRules([]Rule{
		{PathPrefix: "/comments/", TTL: 3600e9},
		{PathPrefix: "/comments/", Methods: []string{"POST"}, Purge: scopes(t, "tag:comments", "url:/", "prefix:/blog/")},
		{PathPrefix: "/comments/", Purge: scopes(t, "tag:comments", "site:static.example.com")},
		{PathRegexp: regexp.MustCompile("^/article/([^/]+)(/x)?/"), Purge: scopes(t, "tag:article-$1$$", "path:/article/$1$2")},
		{Hosts: []string{"*.example.com"}, Args: []string{"publish"}, Purge: scopes(t, "site")},
		{ContentTypes: []string{"text/html"}, Tags: []string{"html"}},
	})
	for i := range p.Rules.All() {
		if err := p.Rules.All()[i].Validate(); err != nil {
			t.Fatal(err)
		}
	}
	const host = "www.example.com"
	for _, tt := range []struct {
		name    string
		changes []string
		lines   []string // nil: the outcome is not known
		want    []Scope
	}{
		{"POST", []string{"REQUEST_METHOD=POST", "REQUEST_URI=/comments/1"}, []string{"=303"}, []Scope{
			{Kind: ScopeTag, Tag: "comments"}, {ScopeURL, host, "/", ""}, {ScopePrefix, host, "/blog/", ""}, {ScopeSite, "static.example.com", "", ""}}},
		{"DELETE", []string{"REQUEST_METHOD=DELETE", "REQUEST_URI=/comments/1"}, []string{}, []Scope{{Kind: ScopeTag, Tag: "comments"}, {ScopeSite, "static.example.com", "", ""}}},
		{"unknown outcome", []string{"REQUEST_METHOD=DELETE", "REQUEST_URI=/comments/1"}, nil, []Scope{{Kind: ScopeTag, Tag: "comments"}, {ScopeSite, "static.example.com", "", ""}}},
		{"GET", []string{"REQUEST_URI=/comments/1"}, []string{`Cache-Group-Invalidation: "a"`}, nil},
		{"no method", []string{"-REQUEST_METHOD", "REQUEST_URI=/comments/1"}, []string{}, nil},
		{"400", []string{"REQUEST_METHOD=POST", "REQUEST_URI=/comments/1"}, []string{"=400", `Cache-Group-Invalidation: "a"`}, nil},
		{"500", []string{"REQUEST_METHOD=POST", "REQUEST_URI=/comments/1"}, []string{"=500"}, nil},
		{"another path", []string{"REQUEST_METHOD=POST", "REQUEST_URI=/"}, []string{}, nil},
		{"another host", []string{"REQUEST_METHOD=POST", "REQUEST_URI=/?publish", "HTTP_HOST=example.org"}, []string{}, nil},
		{"the site", []string{"REQUEST_METHOD=POST", "REQUEST_URI=/?publish", "HTTP_HOST=A.example.com:80"}, []string{}, []Scope{{ScopeSite, "a.example.com", "", ""}}},
		{"groups of the regex", []string{"REQUEST_METHOD=PUT", "REQUEST_URI=/article/7/edit"}, []string{}, []Scope{{Kind: ScopeTag, Tag: "article-7$"}, {ScopePath, host, "/article/7", ""}}},
		{"both groups", []string{"REQUEST_METHOD=PUT", "REQUEST_URI=/article/7/x/"}, []string{}, []Scope{{Kind: ScopeTag, Tag: "article-7$"}, {ScopePath, host, "/article/7/x", ""}}},
		{"a group with other bytes", []string{"REQUEST_METHOD=PUT", "REQUEST_URI=/article/%C3%BC%3f%20$1/"}, []string{}, []Scope{{Kind: ScopeTag, Tag: "article-\u00fc? $1$"}, {ScopePath, host, "/article/%C3%BC%3F%20$1", ""}}},
		{"a group that is no tag", []string{"REQUEST_METHOD=PUT", "REQUEST_URI=/article/a%0Ab/"}, []string{}, []Scope{{ScopePath, host, "/article/a%0Ab", ""}}},

		{"groups of the response", []string{"REQUEST_METHOD=POST"}, []string{`Cache-Group-Invalidation: "a";x, "b c"`, `cache-group-invalidation: "a"`}, []Scope{{ScopeTag, host, "", "a"}, {ScopeTag, host, "", "b c"}}},
		{"malformed groups", []string{"REQUEST_METHOD=POST"}, []string{`Cache-Group-Invalidation: "a", b`}, nil},
		{"a group with blanks, and a long one", []string{"REQUEST_METHOD=POST"}, []string{`Cache-Group-Invalidation: " a", "` + strings.Repeat("x", 2*maxTag) + `"`}, []Scope{{ScopeTag, host, "", " a"}, {ScopeTag, host, "", strings.Repeat("x", maxTag)}}},
		{"empty groups", []string{"REQUEST_METHOD=POST"}, []string{`Cache-Group-Invalidation: "", "a"`}, []Scope{{ScopeTag, host, "", "a"}}},
	} {
		r := page(tt.lines...)
		if tt.lines == nil {
			r = nil
		}
		if got := p.Purges(get(tt.changes...), r); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// A rule that only purges does not hide the rules below it, and one for other methods is
// none for pages.
func TestPurgingRulesAndPages(t *testing.T) {
	p := testPolicy()
	p.Keys.Template, p.Keys.TemplateIsProof = mustTemplate(t, "$host$request_uri", ""), true
	p.Rules = NewRules([]Rule{
		{Purge: scopes(t, "tag:x")},
		{Methods: []string{"POST"}, Purge: scopes(t, "tag:x")},
		{Methods: []string{"GET"}, ContentTypes: []string{"text/html"}, Tags: []string{"html"}},
		{Purge: scopes(t, "tag:x"), Tags: []string{"first"}, TTL: 60e9},
		{Tags: []string{"second"}},
	})
	v := get("-CACHE_KEY")
	got := p.Response(v, p.Request(v), page("Content-Length: 5"), testNow)
	if !slices.Equal(got.Tags, []string{"html"}) {
		t.Errorf("got %+v, want the tag of the third rule", got)
	}
	p.Rules.All()[2].ContentTypes = []string{"text/css"}
	got = p.Response(v, p.Request(v), page("Content-Length: 5"), testNow)
	if !slices.Equal(got.Tags, []string{"first"}) || got.TTL != 60e9 {
		t.Errorf("got %+v, want the tag of the fourth rule", got)
	}
}

func TestRuleStringOfPurge(t *testing.T) {
	r := Rule{Methods: []string{"POST", "PUT"}, PathPrefix: "/c/", Purge: scopes(t, "tag:c", "url:/")}
	if got, want := r.String(), "method POST PUT, path prefix /c/: cache, purges tag:c url:/"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestValidatePurge(t *testing.T) {
	for _, tt := range []struct {
		rule Rule
		want string
	}{
		{Rule{Methods: []string{"POST"}, Purge: scopes(t, "site")}, ""},
		{Rule{Methods: []string{"GET", "POST"}, TTL: 60e9, Purge: scopes(t, "site")}, ""},
		{Rule{Methods: []string{"GET"}, TTL: 60e9}, ""},
		{Rule{PathRegexp: regexp.MustCompile("(a)"), Purge: scopes(t, "tag:$1$$")}, ""},
		{Rule{Methods: []string{"post"}, Purge: scopes(t, "site")}, `method "post": write it in capitals`},
		{Rule{Methods: []string{""}, Purge: scopes(t, "site")}, "in capitals"},
		{Rule{Methods: []string{"POST"}, TTL: 60e9}, "only pages for GET are stored, so all but purge"},
		{Rule{Methods: []string{"POST"}, Action: ActionBypass, Purge: scopes(t, "site")}, "only pages for GET"},
		{Rule{Methods: []string{"POST"}}, "the rule has no effect"},
		{Rule{Methods: []string{"GET", "HEAD"}, Purge: scopes(t, "site")}, "only unsafe methods"},
		{Rule{ContentTypes: []string{"text/html"}, Purge: scopes(t, "site")}, "use two rules"},
		{Rule{Purge: []Scope{{}}}, "is not known"},
		{Rule{Purge: scopes(t, "tag:$1")}, "has 0 groups"},
		{Rule{PathRegexp: regexp.MustCompile("(a)"), Purge: scopes(t, "url:/$2")}, "$2: the rule's regex has 1 groups"},
		{Rule{PathRegexp: regexp.MustCompile("(a)"), Purge: scopes(t, "url:/$0")}, "write $$ for a dollar sign"},
		{Rule{Purge: scopes(t, "url:/a$")}, "write $$ for a dollar sign"},
	} {
		err := tt.rule.Validate()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: got %v, want %q", &tt.rule, err, tt.want)
		}
	}
}

// Whatever a request has, what a rule purges stays what the rule says.
func FuzzPurges(f *testing.F) {
	f.Add("/article/a/", "/article/$1", `"a"`)
	f.Add("/article/%2e%2e/", "//x/$1?$1", `"a", b`)
	f.Fuzz(func(t *testing.T, uri, target, groups string) {
		s, err := ParseScope("prefix:" + target)
		if err != nil {
			return
		}
		p := testPolicy()
		p.Rules = NewRules([]Rule{{PathRegexp: regexp.MustCompile("^/article/([^/]*)/"), Purge: []Scope{s}}})
		if p.Rules.All()[0].Validate() != nil {
			return
		}
		before, _, _ := strings.Cut(s.URI, "$")
		for _, got := range p.Purges(get("REQUEST_METHOD=POST", "REQUEST_URI="+uri), page("Cache-Group-Invalidation: "+groups)) {
			if got.Kind == ScopePrefix && got.check() != nil {
				t.Errorf("%q: %+v: %v", uri, got, got.check())
			}
			if got.Kind == ScopePrefix && (!strings.HasPrefix(got.URI, before) || s.Host != "" && got.Host != s.Host) {
				t.Errorf("%q: %+v is beyond %+v", uri, got, s)
			}
			if got.Kind == ScopeTag && (got.Host != "www.example.com" || got.Tag == "" || len(got.Tag) > maxTag) {
				t.Errorf("a group %+v", got)
			}
		}
	})
}
