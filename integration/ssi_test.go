package integration

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// withoutSSI are the built-in sentinels except that of SSI.
var withoutSSI = []string{"--sentinel", "csrfmiddlewaretoken", "--sentinel", "csrf_token", "--sentinel", "authenticity_token"}

// copyOf returns the number of the copy of a fragment in a page, and what it says.
func (p page) copyOf(t *testing.T, uri string) (number, says string) {
	t.Helper()
	m := regexp.MustCompile(`<i>(\S+) (.*?) \[([^]]*REQUEST_URI=` + regexp.QuoteMeta(uri) + `[,\]][^]]*)\] 0 sent</i>`).FindStringSubmatch(strings.ReplaceAll(p.body, "]", ",]"))
	if m == nil {
		t.Fatalf("no fragment of %s in\n%s", uri, p.body)
	}
	if !strings.HasPrefix(m[3], "REQUEST_METHOD=GET, ") || strings.Contains(m[3], "HTTP_") {
		t.Errorf("%s: asked as %s", uri, m[3])
	}
	return m[1], m[2]
}

// With --ssi the page is cached with its directives, public fragments are cached under
// keys of their own, and private ones are those of each visitor.
func TestFragments(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "http"} {
		for _, servers := range []int{1, 2} {
			t.Run(format, func(t *testing.T) {
				t.Parallel()
				w := start(t, stack.Config{
					App: filepath.Join("testdata", "ssi"), Workers: 2, Format: format, Memcached: servers,
					Args: withoutSSI, NginxArgs: []string{"--ssi", "/fragments/"},
				})
				gzip := "Accept-Encoding: gzip"
				const hello, menu, other, missing = "/fragments/hello", "/fragments/menu?x=%26b", "/fragments/menu?x=c", "/fragments/missing"
				early := w.want(w.get("/page", gzip, "Cookie: sessionid=ben"), 200)
				if _, says := early.copyOf(t, hello); says != "Hello ben" {
					t.Errorf("a member is greeted with %q before the page is stored", says)
				}
				first := w.want(w.get("/page", gzip), 200)
				w.wantKey("http://127.0.0.1/page")
				if format == "body" {
					w.wantKey("http://127.0.0.1/fragments/menu?x=%2526b")
					w.wantKey("http://127.0.0.1/fragments/menu?x=c")
				}
				w.settle()
				passed := len(w.lines())
				second := w.want(w.get("/page", gzip, `If-None-Match: "x"`), 200)
				if strings.Contains(second.body, "<!--#") || !strings.Contains(second.body, "<p>End</p>") {
					t.Errorf("the directives are not processed:\n%s", second.body)
				}
				for _, uri := range []string{menu, other} {
					before, _ := first.copyOf(t, uri)
					if again, _ := second.copyOf(t, uri); (again == before) != (format == "body") {
						t.Errorf("%s: copies %s and %s", uri, before, again)
					}
				}
				a, _ := second.copyOf(t, menu)
				if b, _ := second.copyOf(t, other); a == b {
					t.Error("two fragments are one copy")
				}
				before, says := first.copyOf(t, hello)
				if again, _ := second.copyOf(t, hello); again == before || says != "Hello stranger" {
					t.Errorf("the private fragment is cached, or not the stranger's: %q", says)
				}
				first.copyOf(t, missing)
				second.copyOf(t, missing)
				w.settle()
				for _, l := range w.lines()[passed:] {
					if l.URI == "/page" && l.Verdict == "store" {
						t.Error("the second page is no hit")
					}
				}

				passed = len(w.lines())
				if head := w.do("HEAD", "/page", nil); head.status != 200 || head.body != "" {
					t.Errorf("HEAD of the stored page: got %d %q", head.status, head.body)
				}
				w.settle()
				if lines := w.lines()[passed:]; len(lines) > 0 {
					t.Errorf("HEAD of the stored page is no hit: %+v", lines)
				}

				member := w.want(w.get("/page", gzip, "Cookie: sessionid=ana"), 200)
				if _, says := member.copyOf(t, hello); says != "Hello ana" {
					t.Errorf("the member is greeted with %q", says)
				}
				if own, _ := member.copyOf(t, menu); own == a {
					t.Error("the member's fragment is that of strangers")
				}
				if w.has("http://127.0.0.1"+hello) || w.has("http://127.0.0.1"+missing) {
					t.Error("a fragment is stored that is private or missing")
				}
				for range 2 { // what a member was shown is not what a stranger gets
					if _, says := w.want(w.get("/page"), 200).copyOf(t, hello); says != "Hello stranger" {
						t.Errorf("the stranger is greeted with %q", says)
					}
				}
				if p := w.want(w.do("POST", "/page", strings.NewReader("a=b")), 200); strings.Contains(p.body, "<!--#") {
					t.Errorf("the page of a POST:\n%s", p.body)
				} else {
					p.copyOf(t, hello) // a GET without a body
					p.copyOf(t, menu)
				}
				if head := w.do("HEAD", "/page", nil); head.status != 200 || head.body != "" {
					t.Errorf("HEAD: got %d %q", head.status, head.body)
				}
				// A script of the page requests a fragment itself: it gets no cached one.
				own := w.want(w.get(menu), 200)
				if n, _ := own.copyOf(t, menu); n == a {
					t.Error("a fragment that a visitor requests is looked up")
				}
				if p := w.want(w.do("POST", menu, strings.NewReader("a=b")), 200); !strings.Contains(p.body, "REQUEST_METHOD=POST, REQUEST_URI="+menu) || !strings.Contains(p.body, "3 sent") {
					t.Errorf("a visitor's POST to a fragment:\n%s", p.body)
				}
			})
		}
	}
}
