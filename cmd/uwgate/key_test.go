package main

import (
	"slices"
	"strings"
	"testing"
)

func TestNormalizePath(t *testing.T) {
	for path, want := range map[string]string{
		"/":                 "/",
		"/a%20b":            "/a b",
		"/a//b":             "/a/b",
		"/a/./b/../c":       "/a/c",
		"/a/%2e%2E/b":       "/b",
		"/a/b/..":           "/a/",
		"/a/b/.":            "/a/b/",
		"/a%2Fb":            "/a/b",
		"/a%2f%2fb":         "/a/b",
		"/%3Fx":             "/?x",
		"/...":              "/...",
		"/.a/..b/c..":       "/.a/..b/c..",
		"/caf%c3%a9":        "/café",
		"/%2e%2e%2fa/../b/": "",
		"/..":               "",
		"/a/../..":          "",
		"/%zz":              "",
		"/a%00":             "",
		"/%":                "",
	} {
		got, err := normalizePath(path)
		if got != want || (err == nil) == (want == "") {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
}

func TestSplitURL(t *testing.T) {
	for url, want := range map[string][3]string{
		"http://h":             {"http", "h", "/"},
		"HTTPS://H:8443/a?b#c": {"https", "H:8443", "/a?b"},
		"http://h?q":           {"http", "h", "/?q"},
		"http://[::1]:80/":     {"http", "[::1]:80", "/"},
		"/a#b":                 {"http", "localhost", "/a#b"},
		"h/a":                  {},
		"ftp://h/":             {},
		"http:///a":            {},
		"http://u:p@h/":        {},
		"http://h/a b":         {},
		"":                     {},
	} {
		scheme, host, target, err := splitURL(url)
		if got := [3]string{scheme, host, target}; got != want || (err == nil) == (want == [3]string{}) {
			t.Errorf("%s: %q, %v; want %q", url, got, err, want)
		}
	}
}

// A path is absolute and has neither empty nor dot segments, and nothing is
// left to resolve in it.
func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b//c/.", "/%2e%2e/", "/a%2f..%2Fb", "/.", "a", "", "/%", "/%25%32%65"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := normalizePath(path)
		if err != nil {
			return
		}
		if !strings.HasPrefix(got, "/") || strings.Contains(got, "//") {
			t.Fatalf("%q becomes %q", path, got)
		}
		if segments := strings.Split(got, "/"); slices.Contains(segments, ".") || slices.Contains(segments, "..") {
			t.Fatalf("%q becomes %q, which has a dot segment", path, got)
		}
		again, err := normalizePath(strings.ReplaceAll(got, "%", "%25"))
		if err != nil || again != got {
			t.Fatalf("%q becomes %q, and that %q, %v", path, got, again, err)
		}
	})
}

func FuzzSplitURL(f *testing.F) {
	for _, s := range []string{"http://h/a?b#c", "/a", "https://[::1]:8443", "http://h?x", "HTTP://u@h/", "://", "http://#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, url string) {
		scheme, host, target, err := splitURL(url)
		if err != nil {
			return
		}
		if scheme != "http" && scheme != "https" || host == "" || !strings.HasPrefix(target, "/") || strings.ContainsAny(host+target, " \r\n") {
			t.Fatalf("%q becomes %q %q %q", url, scheme, host, target)
		}
		vars, err := requestVars("GET", url, nil)
		if err == nil && (vars.Get("REQUEST_URI") != target || !strings.HasPrefix(vars.Get("PATH_INFO"), "/") || vars.Get("HTTP_HOST") != host) {
			t.Fatalf("%q becomes %q", url, vars)
		}
	})
}
