package warm

import (
	"strings"
	"testing"
)

func TestNormalize(t *testing.T) {
	const site = "https://www.example.com:8443"
	for _, tt := range []struct{ raw, want, err string }{
		{"https://www.example.com/a/b?x=1", "https://www.example.com/a/b?x=1", ""},
		{" https://www.example.com \n", "https://www.example.com/", ""},
		{"HTTPS://WWW.Example.COM/A", "https://www.example.com/A", ""},
		{"http://h?x", "http://h/?x", ""},
		{"http://h/a#part?no", "http://h/a", ""},
		{"http://h/a%2Fb/%e9", "http://h/a%2Fb/%e9", ""}, // nginx's key has these bytes
		{"http://h/a b/é\"<>`{}^", "http://h/a%20b/%C3%A9%22%3C%3E%60%7B%7D%5E", ""},
		{"http://h/a'|[]\\?b'|{}`^[] ", "http://h/a'|[]\\?b%27|{}`^[]", ""},
		{"http://h/%zz", "http://h/%zz", ""}, // nginx responds 400
		{"http://[2001:db8::1]:8080/a", "http://[2001:db8::1]:8080/a", ""},
		{"/a?b", site + "/a?b", ""},
		{"//cdn.example.com/a", "", "write a URL"},
		{"a/b", "", "or a path of --site, which begins with a slash"},
		{"ftp://h/a", "", "write a URL"},
		{"http://", "", "no valid host"},
		{"http://:80/", "", "no valid host"},
		{"http://h h/", "", "no valid host"},
		{"http://u:p@h/", "", "a user before its host"},
	} {
		got, err := Normalize(site, tt.raw)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: got %q, %v, want %q, %q", tt.raw, got, err, tt.want, tt.err)
		}
		if again, err := Normalize("", got); got != "" && (again != got || err != nil) {
			t.Errorf("%q again: got %q, %v", got, again, err)
		}
	}
	if _, err := Normalize("", "/a"); err == nil || !strings.Contains(err.Error(), "--site") {
		t.Errorf("a path without a site: got %v", err)
	}
}

func FuzzNormalize(f *testing.F) {
	f.Add("http://h/a?b#c")
	f.Add("/a b")
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := Normalize("http://site", raw)
		if err != nil {
			return
		}
		if strings.ContainsAny(got, "\r\n \x00\x7f#") {
			t.Errorf("%q: got %q", raw, got)
		}
		if again, err := Normalize("", got); err != nil || again != got {
			t.Errorf("%q: got %q, and then %q, %v", raw, got, again, err)
		}
	})
}

func TestHosts(t *testing.T) {
	for _, tt := range []struct {
		globs []string
		host  string
		want  bool
	}{
		{[]string{"www.example.com"}, "www.example.com", true},
		{[]string{"www.example.com"}, "www.example.com:8443", true},
		{[]string{"www.example.com:8443"}, "www.example.com", false},
		{[]string{"www.example.com:8443"}, "www.example.com:8443", true},
		{[]string{"*.Example.com"}, "a.b.example.com", true},
		{[]string{"*.example.com"}, "example.com", false},
		{[]string{"*.example.com"}, "example.com.evil.org", false},
		{[]string{"127.0.0.1"}, "127.0.0.1:80", true},
	} {
		if got := (&Hosts{Globs: tt.globs}).Allows(tt.host); got != tt.want {
			t.Errorf("%q allow %s: got %v", tt.globs, tt.host, got)
		}
	}
	var h Hosts
	if !h.Allows("first.example") || h.Allows("other.example") || !h.Allows("first.example") {
		t.Errorf("the first host alone: got %q", h.Globs)
	}
	if all := (*Hosts)(nil); !all.Allows("any") {
		t.Error("nil allows all")
	}
}
