package gateway

import (
	"bufio"
	"io"
	"net"
	"testing"

	"go.uber.org/zap"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A page that was judged by the old settings is answered, and not stored; the next
// one is judged by the new ones and lands on the new servers.
func TestReload(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		if req.Vars.Get("HTTP_X_SLOW") != "" {
			close(began)
			<-goOn
		}
		io.WriteString(nc, page("<p>hello</p>"))
	})
	b.get("/before")
	b.line(0)
	done := make(chan answer)
	go func() { done <- b.get("/slow", uwsgi.Var{Name: "HTTP_X_SLOW", Value: "1"}) }()
	<-began
	other := startMemcached(t)
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: other.addr})
	if err != nil {
		t.Fatal(err)
	}
	p := *b.Policy
	p.Format, p.Servers = policy.FormatHTTP, ring.Has
	eventually(t, "the first page is stored", func() bool { _, ok := b.store.get("k:/before"); return ok })
	b.Reload(&p, ring)
	close(goOn)
	if got := <-done; got.body != "<p>hello</p>" {
		t.Errorf("got %q, want the answer all the same", got.body)
	}
	eventually(t, "reason reloaded in the log", func() bool {
		return b.access.FilterField(zap.String("reason", "reloaded")).Len() == 1
	})
	b.get("/after")
	b.line(2)
	if items := b.contents(); len(items) != 1 {
		t.Errorf("the old memcached holds %v, want what was stored before", items)
	}
	if len(other.items) != 1 || other.items["k:/after"].body[:8] != "HTTP/1.1" {
		t.Errorf("the new memcached holds %v, want the page after in the new format", other.items)
	}
	if e := b.Explain(t.Context(), missed("/after")); len(e.Servers) != 1 || e.Servers[0] != other.addr {
		t.Errorf("explained with the servers %q, want the new one", e.Servers)
	}
}
