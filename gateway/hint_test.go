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
		io.WriteString(nc, page("hello"))
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
			t.Errorf("tells a value: %v", fields)
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
	if n := logs.FilterMessageSnippet("no more of them are named").Len(); n != 1 {
		t.Errorf("the end is logged %d times", n)
	}
}
