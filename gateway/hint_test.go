package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uwgate/uwsgi"
)

// What keeps a page out is named once, without its value, and not for ever.
func TestUnknownNamesAreLoggedOnce(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	b := newBench(t, func(g *Gateway) { g.Log = zap.New(core) }, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
		io.WriteString(nc, okPage("hello"))
	})
	for range 2 {
		b.get("/c", uwsgi.Var{Name: "HTTP_COOKIE", Value: "theme=s3cret"})
		b.get("/h", uwsgi.Var{Name: "HTTP_X_TENANT", Value: "s3cret"})
		b.get("/v", uwsgi.Var{Name: "APP_MODE", Value: "s3cret"})
		b.get("/i", uwsgi.Var{Name: "HTTP_COOKIE", Value: "sessionid=s3cret"})
	}
	var got []string
	for _, e := range logs.FilterMessageSnippet("unknown").All() {
		fields := e.ContextMap()
		got = append(got, fmt.Sprint(fields["fix"]))
		if strings.Contains(fmt.Sprint(e.Message, fields), "s3cret") {
			t.Errorf("shows a value: %v", fields)
		}
	}
	want := "[if no page depends on it: --harmless-cookie theme if no page depends on it: --harmless-header X-Tenant if no page depends on it: --harmless-var APP_MODE]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for i := range 2 * maxUnknownNames {
		b.get("/", uwsgi.Var{Name: "HTTP_COOKIE", Value: fmt.Sprintf("c%d=1", i)})
	}
	if n := logs.FilterMessageSnippet("because of an unknown").Len(); n != maxUnknownNames {
		t.Errorf("%d names are logged, want %d", n, maxUnknownNames)
	}
	if n := logs.FilterMessageSnippet("logs no more of their names").Len(); n != 1 {
		t.Errorf("the end is logged %d times", n)
	}
}

// With --vary-cookie anonymous an unknown cookie is all that keeps most pages of a stock
// Django site out: the log names it. Without it, or if the page varies by more, it does not.
func TestVaryNamesTheUnknownCookie(t *testing.T) {
	theme := uwsgi.Var{Name: "HTTP_COOKIE", Value: "_ga=1; theme=s3cret"}
	for _, tt := range []struct {
		name, vary string
		anonymous  bool
		cookie     uwsgi.Var
		want       int // lines in the log
	}{
		{"by Cookie", "Cookie", true, theme, 1},
		{"by Cookie among others", "Accept-Encoding, Cookie", true, theme, 1},
		{"by more than that", "Cookie, Accept-Language", true, theme, 0},
		{"of a stranger", "Cookie, Accept-Language", true, uwsgi.Var{Name: "HTTP_COOKIE", Value: "_ga=1"}, 0},
		{"refused whatever comes", "Cookie", false, theme, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			core, logs := observer.New(zap.WarnLevel)
			b := newBench(t, func(g *Gateway) { g.Log = zap.New(core); g.Policy.VaryCookieAnonymous = tt.anonymous }, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
				io.WriteString(nc, okPage("hello", "Vary: "+tt.vary))
			})
			b.get("/", tt.cookie)
			found := logs.FilterMessage("a page was not stored because of an unknown cookie").FilterField(zap.String("name", "theme"))
			if found.Len() != tt.want {
				t.Errorf("%d lines, want %d: %v", found.Len(), tt.want, logs.All())
			}
		})
	}
}
