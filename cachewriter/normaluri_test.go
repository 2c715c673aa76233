package cachewriter

import (
	"net/url"
	"path"
	"strconv"
	"strings"
	"testing"
)

func TestNormalURI(t *testing.T) {
	for uri, want := range map[string]string{
		"":                        "",
		"*":                       "*",
		"/a?b=c&d":                "/a?b=c&d=",
		"/a?&b=&&c=1&":            "/a?b=&c=1",
		"/a?&":                    "/a",
		"/%7e%41%2d%2F%c3":        "/~A-/%C3",
		"/\u00e9 \x00\x7f<":       "/%C3%A9%20%00%7F<",
		"/100%":                   "/100%",
		"/%4":                     "/%4",
		"/%zz%41":                 "/%zzA",
		"/%2541":                  "/%2541",
		"/%3Fa%23?b":              "/%3Fa%23?b=",
		"//a///b":                 "/a/b",
		"/a/./b/../c/.":           "/a/c/",
		"/a/%2e%2E/b":             "/b",
		"/a%2f../b":               "/b",
		"/a/..":                   "/",
		"/../..":                  "/",
		"/.well-known/...":        "/.well-known/...",
		"/a?":                     "/a",
		"?a":                      "/?a=",
		"/a#b?c":                  "/a",
		"/a?b=1+2%2b%20%26%3D%3b": "/a?b=1%202%2B%20%26%3D%3B",
		"/a?b=/../%2f?%3f":        "/a?b=/..//??",
	} {
		if got := normalURI(uri, false); got != want {
			t.Errorf("%q: got %q, want %q", uri, got, want)
		}
	}
	for prefix, want := range map[string]string{"/a/..": "/a/..", "/b/../a/.": "/a/.", "/a?": "/a?", "/a/": "/a/", "/%61": "/a", "//": "/", "/a?b": "/a?b", "/a?b&c": "/a?b=&c", "/a?&b=1&": "/a?b=1&"} {
		if got := normalURI(prefix, true); got != want {
			t.Errorf("prefix %q: got %q, want %q", prefix, got, want)
		}
	}
}

// The form does not change again, and is one for all that the standard library reads as the
// same path and the same arguments.
func FuzzNormalURI(f *testing.F) {
	f.Add("/a%2fb/../%61?x=+%20&y#z", "//a/b?x")
	f.Add("/about", "/%61bout?")
	f.Add("/caf%C3%A9?q=%26", "/caf\xc3\xa9?q=&")
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, isPrefix := range []bool{false, true} {
			if once := normalURI(a, isPrefix); normalURI(once, isPrefix) != once {
				t.Errorf("%q, prefix %v: %q changes again: %q", a, isPrefix, once, normalURI(once, isPrefix))
			}
		}
		one, ok := seenOf(a)
		other, also := seenOf(b)
		if same := one == other; ok && also && same != (normalURI(a, false) == normalURI(b, false)) {
			t.Errorf("%q and %q: the same %v, forms %q and %q", a, b, same, normalURI(a, false), normalURI(b, false))
		}
	})
}

// seenOf returns what an application gets of a request target, as the standard library reads
// it. ok is false for what nginx refuses, and for what the library reads in another way.
func seenOf(uri string) (seen string, ok bool) {
	uri, _, _ = strings.Cut(uri, "#")
	raw, query, _ := strings.Cut(uri, "?")
	decoded, err := url.PathUnescape(raw)
	if err != nil || !strings.HasPrefix(raw, "/") || strings.ContainsRune(decoded, 0) {
		return "", false
	}
	clean := path.Clean(decoded)
	if last := decoded[strings.LastIndexByte(decoded, '/')+1:]; clean != "/" && (last == "" || last == "." || last == "..") {
		clean += "/"
	}
	var args []string
	for arg := range strings.SplitSeq(query, "&") {
		if arg == "" {
			continue
		}
		if !strings.Contains(arg, "=") {
			arg += "="
		}
		for part := range strings.SplitSeq(arg, "=") {
			part, err = url.QueryUnescape(part)
			if err != nil || strings.Contains(part, ";") {
				return "", false
			}
			args = append(args, strconv.Quote(part))
		}
		args = append(args, "&")
	}
	return strconv.Quote(clean) + strings.Join(args, " "), true
}
