package cachewriter

import (
	"strings"
	"testing"
)

func TestScopeMatches(t *testing.T) {
	const host = "a.example"
	long := strings.Repeat("x", 64<<10)
	page := func(uri string, tags ...string) Subject { return Subject{Host: host, URI: uri, Tags: tags} }
	tag := func(name string) Scope { return Scope{Kind: ScopeTag, Tag: name} }
	tests := []struct {
		name  string
		scope Scope
		page  Subject
		want  bool
	}{
		{"zero", Scope{}, page("/"), false},
		{"all", Scope{Kind: ScopeAll}, page("/"), true},
		{"all, unknown", Scope{Kind: ScopeAll}, Subject{}, true},

		{"site", Scope{Kind: ScopeSite, Host: host}, page("/"), true},
		{"other site", Scope{Kind: ScopeSite, Host: "b.example"}, page("/"), false},
		{"site within a site", Scope{Kind: ScopeSite, Host: "example"}, page("/"), false},
		{"site, unknown host", Scope{Kind: ScopeSite, Host: host}, Subject{}, true},
		{"site without a host", Scope{Kind: ScopeSite}, page("/"), false},

		{"prefix", Scope{Kind: ScopePrefix, Host: host, URI: "/a"}, page("/ab?c"), true},
		{"other prefix", Scope{Kind: ScopePrefix, Host: host, URI: "/a"}, page("/b/a"), false},
		{"prefix of another site", Scope{Kind: ScopePrefix, Host: "b.example", URI: "/a"}, page("/a"), false},
		{"prefix of every site", Scope{Kind: ScopePrefix, URI: "/a"}, page("/a"), true},
		{"prefix, unknown URI", Scope{Kind: ScopePrefix, Host: host, URI: "/a"}, Subject{Host: host}, true},
		{"prefix, unknown URI of another site", Scope{Kind: ScopePrefix, Host: host, URI: "/a"}, Subject{Host: "b.example"}, false},
		{"prefix, other escapes", Scope{Kind: ScopePrefix, Host: host, URI: "/caf\u00e9/"}, page("/caf%c3%a9/x"), true},

		{"path", Scope{Kind: ScopePath, Host: host, URI: "/a?x"}, page("/a?y=1"), true},
		{"path, no query", Scope{Kind: ScopePath, Host: host, URI: "/a"}, page("/a"), true},
		{"longer path", Scope{Kind: ScopePath, Host: host, URI: "/a"}, page("/ab"), false},

		{"URL", Scope{Kind: ScopeURL, Host: host, URI: "/a?x"}, page("/a?x"), true},
		{"URL, other query", Scope{Kind: ScopeURL, Host: host, URI: "/a"}, page("/a?x"), false},
		{"URL, other escapes", Scope{Kind: ScopeURL, Host: host, URI: "/~a%c3"}, page("/%7ea%C3"), true},
		{"URL, an empty argument", Scope{Kind: ScopeURL, Host: host, URI: "/a?b=1&c"}, page("/a?&b=1&&c=&"), true},
		{"prefix, an argument", Scope{Kind: ScopePrefix, Host: host, URI: "/a?b"}, page("/a?b&c"), true},
		{"prefix, an argument with its sign", Scope{Kind: ScopePrefix, Host: host, URI: "/a?b="}, page("/a?b"), true},
		{"prefix, an argument that ends", Scope{Kind: ScopePrefix, Host: host, URI: "/a?b=1&"}, page("/a?b=1&"), true},
		{"prefix, another argument", Scope{Kind: ScopePrefix, Host: host, URI: "/a?b=1&"}, page("/a?b=12"), false},
		{"URL, escaped slash", Scope{Kind: ScopeURL, Host: host, URI: "/a/b"}, page("/a%2fb"), true},
		{"URL, escaped letter", Scope{Kind: ScopeURL, Host: host, URI: "/about"}, page("/%61bout"), true},
		{"escaped URL", Scope{Kind: ScopeURL, Host: host, URI: "/%61bout"}, page("/about"), true},
		{"URL, escaped question mark", Scope{Kind: ScopeURL, Host: host, URI: "/a?b"}, page("/a%3fb"), false},
		{"path, dots", Scope{Kind: ScopePath, Host: host, URI: "/a/"}, page("//b/..//%61/.?x"), true},
		{"prefix, dots", Scope{Kind: ScopePrefix, Host: host, URI: "/a/"}, page("/b/../a/c"), true},
		{"prefix of dots", Scope{Kind: ScopePrefix, Host: host, URI: "/a/."}, page("/a/.well-known"), true},
		{"prefix, all queries", Scope{Kind: ScopePrefix, Host: host, URI: "/a?"}, page("/a?b"), true},
		{"prefix, an empty query", Scope{Kind: ScopePrefix, Host: host, URI: "/a?"}, page("/a?"), true},
		{"prefix, all queries of another path", Scope{Kind: ScopePrefix, Host: host, URI: "/a?"}, page("/ab"), false},

		{"tag", tag("a"), page("/", "b", "a"), true},
		{"no tags", tag("a"), page("/"), false},
		{"tag that has it inside", tag("a"), page("/", "ab", "a b", "ba"), false},
		{"tag that is inside", tag("a b"), page("/", "a", "b", "a b c"), false},
		{"tag of regex bytes", tag(".*"), page("/", "a", ".+"), false},
		{"long tag", tag(long), page("/", long), true},
		{"longer tag", tag(long), page("/", long+"x"), false},
		{"tag, lost", tag("a"), Subject{Host: host, TagsLost: true}, true},
		{"tag, all unknown", tag("a"), Subject{}, false},
		{"tag of the site", Scope{Kind: ScopeTag, Tag: "a", Host: host}, page("/", "a"), true},
		{"tag of another site", Scope{Kind: ScopeTag, Tag: "a", Host: "b.example"}, page("/", "a"), false},
		{"tag of an unknown site", Scope{Kind: ScopeTag, Tag: "a", Host: host}, Subject{Tags: []string{"a"}}, true},
	}
	for _, tt := range tests {
		if got := tt.scope.Matches(tt.page); got != tt.want {
			t.Errorf("%s: %v matches %q %q: %v, want %v", tt.name, tt.scope.Kind, tt.page.Host, tt.page.URI, got, tt.want)
		}
	}
}

func TestScopeCheck(t *testing.T) {
	for _, s := range []Scope{{}, {Kind: "regex"}, {Kind: ScopeSite}, {Kind: ScopePrefix, Host: "a"}, {Kind: ScopePath}, {Kind: ScopeURL}, {Kind: ScopeTag, Host: "a"}} {
		if err := s.Check(); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
	for _, s := range []Scope{{Kind: ScopeAll}, {Kind: ScopeSite, Host: "a"}, {Kind: ScopePrefix, URI: "/"}, {Kind: ScopeTag, Tag: " "}} {
		if err := s.Check(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
