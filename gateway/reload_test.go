package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A page that was judged by the old settings is answered, and not stored; the next
// one is judged by the new ones and lands on the new servers.
func TestReload(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		if req.Vars.Get("HTTP_X_MOZ") != "" {
			close(began)
			<-goOn
		}
		io.WriteString(nc, okPage("<p>hello</p>"))
	})
	b.get("/before")
	b.line(0)
	done := make(chan response)
	go func() { done <- b.get("/slow", uwsgi.Var{Name: "HTTP_X_MOZ", Value: "1"}) }()
	<-began
	other := startMemcached(t)
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: other.addr})
	if err != nil {
		t.Fatal(err)
	}
	p := *b.Policy
	p.Hits.Format, p.Keys.Servers = policy.FormatHTTP, ring.Has
	eventually(t, "the first page is stored", func() bool { _, ok := b.store.get("k:/before"); return ok })
	b.Reload(&p, ring)
	close(goOn)
	if got := <-done; got.body != "<p>hello</p>" {
		t.Errorf("got %q, want the response all the same", got.body)
	}
	eventually(t, "reason reloaded in the log", func() bool {
		return b.lines(policy.Reloaded) == 1
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

// Pools come, go and change under load: every request is answered, by a server of the
// pool that it had when it came.
func TestReplacePoolsUnderLoad(t *testing.T) {
	var servers []string
	for range 3 {
		servers = append(servers, startWorker(t, says(okPage("hello"))))
	}
	next := func(i int) *backend.Pools {
		ps := &backend.Pools{TrustKey: i%2 == 0}
		var err error
		if ps.Default, err = backend.NewPool(servers[i%3]+" max-conns=1", servers[(i+1)%3]); err != nil {
			t.Fatal(err)
		}
		ps.Default.Choice, ps.Default.SetVars = backend.Choice(i%4), uwsgi.Vars{{Name: "X", Value: fmt.Sprint(i)}}
		if i%3 > 0 {
			shop, err := backend.NewPool(servers[2] + " max-conns=2")
			if err != nil {
				t.Fatal(err)
			}
			shop.Name = "shop"
			ps.Add(shop, "shop.example.com")
		}
		return ps
	}
	b := newBench(t, func(g *Gateway) { g.Backends, g.Store = next(0), nil })
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 4 {
		host := []string{"www.example.com", "shop.example.com"}[i%2]
		clients.Go(func() {
			for answered := 0; ; answered++ {
				select {
				case <-stop:
					if answered == 0 {
						t.Error("a client has not asked")
					}
					return
				default:
				}
				if got := b.get("/", uwsgi.Var{Name: "HTTP_HOST", Value: host}); got.status != 200 || got.body != "hello" {
					t.Errorf("%s: %+v", host, got)
					return
				}
			}
		})
	}
	for i := range 200 {
		ps := next(i + 1)
		b.Backends.Replace(ps)
		b.get("/")
	}
	close(stop)
	clients.Wait()
	b.close()
	for _, n := range b.Backends.All()[0].Stats() {
		if n.InFlight != 0 || !n.Up {
			t.Errorf("%+v, want no request left and the server up", n)
		}
	}
}
