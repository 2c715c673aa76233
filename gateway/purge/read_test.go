package purge

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

func TestRead(t *testing.T) {
	const page = "http://example.com/news/?page=2"
	for _, tt := range []struct {
		name, lines string
		usual       Reach
		want        Request
		problem     string // what the error says; "": there is none
	}{
		{name: "a page", want: Request{URLs: []string{page}}},
		{name: "soft", lines: "X-Purge-Method: soft", want: Request{URLs: []string{page}, Soft: true}},
		{name: "soft as at Fastly", lines: "Fastly-Soft-Purge: 1", want: Request{URLs: []string{page}, Soft: true}},
		{name: "not soft", lines: "Fastly-Soft-Purge: 0", want: Request{URLs: []string{page}}},
		{name: "hard", lines: "X-Purge-Method: hard", want: Request{URLs: []string{page}}},
		{name: "exact", usual: Prefix, lines: "X-Purge-Scope: exact", want: Request{URLs: []string{page}}},
		{name: "query", lines: "X-Purge-Scope: Query", want: Request{Paths: []string{"http://example.com/news/"}}},
		{name: "prefix", lines: "X-Purge-Scope: prefix", want: Request{Prefixes: []string{"http://example.com/news/"}}},
		{name: "prefix by default", usual: Prefix, want: Request{Prefixes: []string{"http://example.com/news/"}}},
		{name: "Surrogate-Key", lines: "Surrogate-Key: a  b,c", want: Request{Tags: []string{"a", "b,c"}}},
		{name: "xkey", lines: "Xkey: a b", want: Request{Tags: []string{"a", "b"}}},
		{name: "Cache-Tag", lines: "Cache-Tag: a b , c,", want: Request{Tags: []string{"a b", "c"}}},
		{name: "two fields", lines: "Cache-Tag: a\nSurrogate-Key: b\nX-Purge-Scope: prefix", want: Request{Tags: []string{"b", "a"}}},
		{name: "no tags", lines: "Surrogate-Key: ", want: Request{URLs: []string{page}}},
		{name: "a scope that is none", lines: "X-Purge-Scope: all", problem: `X-Purge-Scope "all": write exact, query or prefix`},
		{name: "a method that is none", lines: "X-Purge-Method: gently", problem: `X-Purge-Method "gently": write soft or hard`},
		{name: "a method for expressions", lines: "X-Purge-Method: regex", problem: `X-Purge-Method "regex": memcached has no expressions to match; write X-Purge-Scope: prefix`},
		{name: "Fastly's field with a word", lines: "Fastly-Soft-Purge: true", problem: `Fastly-Soft-Purge "true": write 1`},
		{name: "a tag in a field that is none", lines: "X-Purge-Tag: news", problem: "X-Purge-Tag is not known, and nothing was purged: write the tags in Surrogate-Key"},
		{name: "beside one that is", lines: "Surrogate-Key: a\nX-Purge-Keys: b", problem: "X-Purge-Keys is not known, and nothing was purged: write the tags in Surrogate-Key"},
		{name: "tags as in many files for Varnish", lines: "xkey-purge: a", problem: "Xkey-Purge is not known, and nothing was purged: write the tags"},
		{name: "the same, soft", lines: "xkey-softpurge: a", problem: "Xkey-Softpurge is not known, and nothing was purged: write the tags"},
		{name: "Magento's", lines: "X-Magento-Tags-Pattern: .*", problem: "X-Magento-Tags-Pattern is not known, and nothing was purged: write the tags"},
		{name: "the mode in a field that is none", lines: "X-Purge-Mode: soft", problem: "X-Purge-Mode is not known, and nothing was purged: write X-Purge-Method: soft"},
		{name: "the site in a field that is none", lines: "X-Purge-Host: a.example.com", problem: "X-Purge-Host is not known, and nothing was purged: write the site in Host"},
		{name: "a prefix in a field that is none", lines: "X-Purge-Regex: .*", problem: "X-Purge-Regex is not known, and nothing was purged: write X-Purge-Scope: prefix"},
		{name: "a URL in a field that is none", lines: "X-Purge-URL: /a", problem: "X-Purge-Url is not known, and nothing was purged: send PURGE for the URL itself"},
		{name: "a field that says nothing", lines: "X-Purge: 1", problem: "X-Purge is not known, and nothing was purged: write X-Purge-Scope: exact, query or prefix; X-Purge-Method"},
		{name: "too many tags", lines: "Surrogate-Key: " + manyTags(1001), problem: "1001 items are too many"},
	} {
		v := uwsgi.Vars{{Name: "REQUEST_URI", Value: "/news/?page=2"}}
		for line := range strings.Lines(tt.lines) {
			name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ": ")
			v = append(v, uwsgi.Var{Name: "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")), Value: value})
		}
		usual := tt.usual
		if usual == "" {
			usual = Exact
		}
		r, err := Read(v, "example.com", usual)
		switch {
		case tt.problem != "":
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%s: got %v, want %s", tt.name, err, tt.problem)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case !reflect.DeepEqual(*r, tt.want):
			t.Errorf("%s: got %+v, want %+v", tt.name, *r, tt.want)
		}
	}
	if _, err := Read(uwsgi.Vars{{Name: "REQUEST_URI", Value: "*"}}, "example.com", Exact); err == nil {
		t.Error("PURGE *: no error")
	}
}

func TestReadZopePaths(t *testing.T) {
	for uri, want := range map[string]string{
		"/VirtualHostBase/http/www.example.com:80/Plone/VirtualHostRoot/news/":       "http://www.example.com/news/",
		"/VirtualHostBase/https/WWW.example.com/a/b/VirtualHostRoot/_vh_c/_vh_d/e?f": "http://www.example.com/c/d/e?f",
		"/VirtualHostBase/http/www.example.com:80/Plone/VirtualHostRoot/":            "http://www.example.com/",
		"/VirtualHostBase/http/www.example.com:80/VirtualHostRoot/a/_vh_b":           "http://www.example.com/a/_vh_b",
		"/VirtualHostBase/http/www.example.com:80/Plone/news":                        "http://example.com/VirtualHostBase/http/www.example.com:80/Plone/news",
		"/VirtualHostBase/":                  "http://example.com/VirtualHostBase/",
		"/VirtualHostBase/http//":            "http://example.com/VirtualHostBase/http//",
		"/a/VirtualHostBase/http/b/c":        "http://example.com/a/VirtualHostBase/http/b/c",
		"/VirtualHostBase/x/VirtualHostRoot": "http://example.com/VirtualHostBase/x/VirtualHostRoot",
	} {
		r, err := Read(uwsgi.Vars{{Name: "REQUEST_URI", Value: uri}}, "example.com", Exact)
		if err != nil || r.URLs[0] != want {
			t.Errorf("%s: got %v, %v; want %s", uri, r, err, want)
		}
	}
}

func manyTags(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "t%d ", i)
	}
	return b.String()
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"http://example.com/a":           "example.com/a",
		"HTTPS://WWW.Example.COM:8443":   "www.example.com/",
		"https://example.com./a?b=1#c":   "example.com/a?b=1",
		"http://example.com?b=1":         "example.com/?b=1",
		"http://example.com/caf\u00e9 1": "example.com/caf%C3%A9%201",
		"http://example.com/%7Ea/%2f":    "example.com/%7Ea/%2f",
		"http://[2001:DB8::1]:80/":       "[2001:db8::1]/",
		"http://127.0.0.1:8080/":         "127.0.0.1/",
		"http://example.com/a://b?c://d": "example.com/a://b?c://d",
		"www.example.com/":               "",
		"/a":                             "",
		"ftp://example.com/":             "",
		"http:///a":                      "",
		"http://a b/":                    "",
		"http://user@example.com/":       "",
	} {
		u, err := ParseURL(text)
		if got := u.String(); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		r       Request
		problem string
	}{
		{Request{}, "nothing to purge is named"},
		{Request{All: true, Tags: []string{"a"}}, "name nothing else beside it"},
		{Request{Sites: []string{"www.example.com/a"}}, `"www.example.com/a" is no host`},
		{Request{Prefixes: []string{"/news/"}}, `"/news/" is no URL`},
		{Request{Tags: []string{" "}}, "a tag is empty"},
		{Request{All: true}, ""},
		{Request{Sites: []string{"www.example.com"}, Tags: []string{"a b"}}, ""},
	} {
		err := tt.r.Check()
		if got := errorText(err); (tt.problem == "") != (err == nil) || !strings.Contains(got, tt.problem) {
			t.Errorf("%+v: got %q, want %q", tt.r, got, tt.problem)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
