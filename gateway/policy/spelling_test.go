package policy

import (
	"net/url"
	"slices"
	"testing"
)

func TestSpellings(t *testing.T) {
	for _, tt := range []struct {
		uri  string
		want []string // besides the URI itself
	}{
		{"/news/", []string{"/news/?"}},
		{"/news/?", []string{"/news/"}},
		{"/news/?page=2", nil},
		{"/~ada/a-b_c.html?x=1&y=a-b", nil},
		{"/%6eews/", []string{"/%6eews/?", "/news/", "/news/?"}},
		{"/news//./1/../2?a", []string{"/news/2?a"}},
		{"//news?a", []string{"/news?a"}},
		{"/news/..?a", []string{"/?a"}},
		{"/a%2Fb?a", []string{"/a/b?a"}},
		{"?a", []string{"/?a"}},
		{"/caf%C3%A9?a", []string{"/caf%c3%a9?a"}},
		{"/caf%c3%a9?a", []string{"/caf%C3%A9?a"}},
		{"/a,b?c", []string{"/a%2Cb?c"}},
		{"/a%2Cb?c", []string{"/a,b?c"}},
		{"/a[1]?c", []string{"/a%5B1%5D?c", "/a%5b1%5d?c"}},
		{"/it's?c", []string{"/it%27s?c"}},
		{"/?q=a+b", []string{"/?q=a%20b"}},
		{"/?q=a%20b", []string{"/?q=a+b"}},
		{"/?next=/a/", []string{"/?next=%2Fa%2F"}},
		{"/?next=%2fa%2f", []string{"/?next=/a/", "/?next=%2Fa%2F"}},
		{"/?a%26b=1%3D2&c", nil},
		{"/100%?a", nil}, // nginx refuses it
		{"*", nil},
		{"", nil},
	} {
		if got := spellings(tt.uri); !slices.Equal(got, append([]string{tt.uri}, tt.want...)) {
			t.Errorf("%q: got %q, want %q", tt.uri, got[1:], tt.want)
		}
	}
	if n := len(spellings("/a//%c3%a9[,]'?q=%2f+[,]'")); n != maxSpellings {
		t.Errorf("a URL with many spellings has %d, want %d", n, maxSpellings)
	}
}

// Each spelling brings the application the same path and the same arguments.
func FuzzSpellings(f *testing.F) {
	for _, uri := range []string{"/", "/a//b/../c", "/caf%c3%a9", "/a,b;c?d=+%2b%20&e=/;f", "/%2e%2e/a%2fb", "/a%3Fb%23c?d%3De=1"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		rawPath, rawQuery, _ := cutQuery(uri)
		want, err := url.ParseQuery(rawQuery)
		if err != nil || !hasURI(uri) {
			t.Skip()
		}
		for _, other := range spellings(uri) {
			path, query, _ := cutQuery(other)
			got, err := url.ParseQuery(query)
			if err != nil || got.Encode() != want.Encode() {
				t.Errorf("%q: %q has the arguments %q, %v", uri, other, got.Encode(), err)
			}
			if normalPath(path) != normalPath(rawPath) {
				t.Errorf("%q: %q has the path %q", uri, other, normalPath(path))
			}
		}
	})
}

// A POST and a bypass delete the other spellings, too, and those of all classes of visitors.
func TestOtherSpellingsAreInvalidated(t *testing.T) {
	p := testPolicy()
	p.Keys.Template = mustTemplate(t, "$visitor$scheme://$host$request_uri", "")
	p.Bypass = Bypass{Name: "fresh", Secret: "secret"}
	const site = "http://www.example.com"
	for _, key := range []string{"-CACHE_KEY", "CACHE_KEY=" + site + "/%7eada//"} {
		post := get("REQUEST_METHOD=POST", key, "REQUEST_URI=/%7eada//", "QUERY_STRING=", "PATH_INFO=/~ada/")
		bypass := get("-CACHE_KEY", "REQUEST_URI=/%7eada//?fresh=secret", "QUERY_STRING=fresh=secret", "PATH_INFO=/~ada/")
		if key != "-CACHE_KEY" {
			bypass = get(key+"?fresh=secret", "REQUEST_URI=/%7eada//?fresh=secret", "QUERY_STRING=fresh=secret", "PATH_INFO=/~ada/")
		}
		for what, got := range map[string][]Target{
			"POST": p.Invalidated(post, page()), "in doubt": p.Doubtful(post),
			"Location": p.Invalidated(get("REQUEST_METHOD=POST", "-CACHE_KEY"), page("=303", "Location: /%7eada//")), "bypass": p.Bypassed(bypass, p.Request(bypass)),
		} {
			for _, want := range []string{"/%7eada//", "/~ada/", "/~ada/?"} {
				for _, class := range []string{"", bearer} {
					if !slices.ContainsFunc(got, Target{Key: class + site + want}.isSame) {
						t.Errorf("%s, %s: %s is not in %+v", key, what, class+site+want, got)
					}
				}
			}
		}
	}
}
