package gateway

import (
	"bufio"
	"io"
	"net"
	"testing"

	"uwgate/cachewriter"
	"uwgate/uwsgi"
)

// A page that one gateway fetches slowly is not stored if another one was sent a POST or a
// purge by then. What began after that, or lies beside it, is.
func TestTwoGateways(t *testing.T) {
	for _, how := range []string{"nothing", "POST", "bypass", "POST whose client leaves"} {
		t.Run(how, func(t *testing.T) {
			asked, release := make(chan struct{}, 1), make(chan struct{})
			worker := startWorker(t, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
				switch {
				case req.Vars.Get("REQUEST_METHOD") == "POST":
					io.WriteString(nc, "HTTP/1.1 303 See Other\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
				case req.Vars.Get("HTTP_X_REQUEST_ID") == "slow":
					asked <- struct{}{}
					<-release
					io.WriteString(nc, okPage("old", "Cache-Control: max-age=600"))
				default:
					io.WriteString(nc, okPage("new", "Cache-Control: max-age=600"))
				}
			})
			a := startBench(t, "unix", func(g *Gateway) { g.Policy.Bypass.Name, g.Policy.Bypass.Secret = "fresh", "secret" }, worker)
			b := startBench(t, "unix", func(g *Gateway) {
				ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: a.store.addr})
				if err != nil {
					t.Fatal(err)
				}
				g.Store, g.Policy.Keys.Servers = &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}, ring.Has
			}, worker)
			slow := make(chan response, 1)
			go func() { slow <- b.get("/", uwsgi.Var{Name: "HTTP_X_REQUEST_ID", Value: "slow"}) }()
			<-asked
			post := setVar(missed("/"), uwsgi.Var{Name: "REQUEST_METHOD", Value: "POST"})
			switch how {
			case "POST":
				a.ask(post, nil)
			case "bypass":
				a.get("/?fresh=secret")
			case "POST whose client leaves":
				nc := a.dial()
				nc.Write(encode(t, post))
				nc.Close()
				eventually(t, "it is deleted", func() bool { a.settled(); return a.store.tombstones() > 0 })
			}
			a.get("/twin")
			close(release)
			if got := <-slow; got.body != "old" {
				t.Errorf("got %q", got.raw)
			}
			b.close()
			want := map[string]string{"nothing": "old", "bypass": "new"}[how]
			if it, _ := a.store.get("k:/"); it.body != want && (how != "bypass" || it.body == "old") {
				t.Errorf("memcached holds %q, want %q", it.body, want)
			}
			eventually(t, "the twin is stored", func() bool { return a.holds("k:/twin") })
			c := startBench(t, "unix", func(g *Gateway) {
				ring, _ := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: a.store.addr})
				g.Store, g.Policy.Keys.Servers = &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}, ring.Has
			}, worker)
			eventually(t, "the page is stored again, if not at once", func() bool { // clocks may differ by 100 ms
				c.get("/")
				it, _ := a.store.get("k:/")
				return it.body == "new"
			})
		})
	}
}

func (m *memcached) tombstones() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.tombs)
}
