package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// observing has the gateway only observe what is below /observed/, and the HTML below
// /html/.
func observing(g *Gateway) {
	g.Policy.Rules = policy.NewRules([]policy.Rule{
		{PathPrefix: "/observed/", Action: policy.ActionObserve},
		{PathPrefix: "/html/", ContentTypes: []string{"text/html"}, Action: policy.ActionObserve},
	})
}

// Who asks for a page that is only observed is not kept waiting for others, or only until
// the response shows it.
func TestCrowdOfAnObservedRule(t *testing.T) {
	for _, tt := range []struct {
		name, uri string
		waits     bool // for the head of the first response
		asked     int32
		stored    string
	}{
		{"by the path", "/observed/a", false, 10, ""},
		{"by the content type", "/html/a", true, 10, ""},
		{"another page", "/a", true, 1, "hello"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newGate(alike(okPage("hello")))
			b := newBench(t, func(g *Gateway) { observing(g); g.Coalescing.Wait = time.Hour }, w.play)
			responses := make([]response, 10)
			var all sync.WaitGroup
			for i := range responses {
				all.Go(func() { responses[i] = b.get(tt.uri) })
			}
			if tt.waits {
				b.followed(len(responses) - 1)
			} else {
				eventually(t, "all ask", func() bool { return w.asked.Load() == tt.asked })
			}
			close(w.open)
			all.Wait()
			for i, got := range responses {
				if got.status != 200 || got.body != "hello" {
					t.Errorf("client %d got %q, %v", i, got.raw, got.err)
				}
			}
			if n := w.asked.Load(); n != tt.asked {
				t.Errorf("the backend was asked %d times, want %d", n, tt.asked)
			}
			observed := uint64(10)
			if tt.stored != "" {
				observed = 0
			}
			eventually(t, "all are counted", func() bool { return b.Gateway.stats.observed.Load() >= observed })
			if got := b.contents()["k:"+tt.uri].body; got != tt.stored {
				t.Errorf("stored %q, want %q", got, tt.stored)
			}
			if n := b.Gateway.stats.observed.Load(); n != observed {
				t.Errorf("observed %d pages, want %d", n, observed)
			}
		})
	}
}

// If another gateway has found that the page cannot be stored, the leader goes on alone, also
// if its own response can be stored.
func TestLeaderOfARefusedPage(t *testing.T) {
	lines := make(chan string, 100)
	w := newGate(nil)
	w.reply = func(_ int, nc net.Conn, _ *uwsgi.Request) { io.WriteString(nc, okPage("hello", <-lines)) }
	close(w.open)
	fleet := newFleet(t, 2, nil, w.play)
	lines <- "Cache-Control: private"
	fleet[0].get("/")
	eventually(t, "all gateways know", func() bool {
		state, err := fleet[1].Store.Locked(t.Context(), cachewriter.Entry{Key: "k:/"})
		return err == nil && state == cachewriter.Refused
	})
	var all sync.WaitGroup
	for range 10 {
		lines <- "X-Public: yes"
		all.Go(func() {
			if got := fleet[1].get("/"); got.status != 200 || got.body != "hello" {
				t.Errorf("got %q, %v", got.raw, got.err)
			}
		})
	}
	all.Wait()
	eventually(t, "it is stored", func() bool {
		item, err := fleet[0].Store.Get(t.Context(), cachewriter.Entry{Key: "k:/"})
		return err == nil && item != nil && string(item.Value) == "hello"
	})
}

// newFleet starts gateways that fill one real memcached, each in front of a worker.
func newFleet(t *testing.T, gateways int, tune func(*Gateway), worker script) []*bench {
	t.Helper()
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: "unix:" + startRealMemcached(t)})
	if err != nil {
		t.Fatal(err)
	}
	fleet := make([]*bench, gateways)
	for i := range fleet {
		fleet[i] = newBench(t, func(g *Gateway) {
			g.Coalescing.Fleet = true
			g.Store = &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}
			g.Policy.Keys.Servers = ring.Has
			if tune != nil {
				tune(g)
			}
		}, worker)
	}
	return fleet
}

// Whatever the pages and the visitors are, no exchange trips over a flight that has
// ended.
func TestFlightEndsAtRandom(t *testing.T) {
	const clients, rounds = 30, 15
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 0))
	intN := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return r.IntN(n)
	}
	worker := func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		body := strings.Repeat(string(rune('a'+intN(26))), 1+intN(300<<10))
		head := "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nX-Sum: " + sum(body) + "\r\n"
		switch intN(12) {
		case 0:
			head += "Cache-Control: private\r\nX-For: " + req.Vars.Get("HTTP_X_REQUEST_ID") + "\r\n"
		case 1:
			head += "Cache-Control: max-age=60\r\n"
		case 2:
			return
		case 3:
			io.WriteString(nc, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
			return
		case 4:
			io.WriteString(nc, okPage(body)[:100])
			return
		case 5: // it does not show before the end that it is too large
			body = strings.Repeat("z", 2<<20)
			head = strings.Replace(head, "X-Sum: ", "X-Sum: "+sum(body)+"\r\nX-Was: ", 1)
		}
		if intN(2) == 0 {
			fmt.Fprintf(nc, "%sContent-Length: %d\r\n\r\n", head, len(body))
			io.WriteString(nc, body)
			return
		}
		io.WriteString(nc, head+"Transfer-Encoding: chunked\r\n\r\n")
		for len(body) > 0 {
			n := min(len(body), 1+intN(100<<10))
			fmt.Fprintf(nc, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		io.WriteString(nc, "0\r\n\r\n")
	}
	paths := []string{"/observed/a", "/html/a", "/a", "/b"}
	for _, sentinels := range [][]string{nil, {}} {
		fleet := newFleet(t, 2, func(g *Gateway) {
			observing(g)
			g.Policy.Sentinels = sentinels
			g.Policy.Hits.Format = policy.FormatHTTP // so that a page that lay in memcached has its X-Sum
			g.Timeouts.FirstByte, g.Coalescing.Wait = time.Second, time.Duration(1+intN(200))*time.Millisecond
		}, worker)
		var all sync.WaitGroup
		for i := range clients {
			all.Go(func() {
				for range rounds {
					var more []uwsgi.Var
					if intN(3) == 0 {
						more = append(more, uwsgi.Var{Name: "HTTP_COOKIE", Value: "theme=dark"})
					}
					if intN(4) == 0 {
						more = append(more, uwsgi.Var{Name: "HTTP_ACCEPT_ENCODING", Value: "gzip"})
					}
					fleet[i%2].askAtRandom(paths[intN(len(paths))], fmt.Sprint("user", i), more...)
				}
			})
		}
		all.Wait()
		for _, b := range fleet {
			b.Store.Delete(context.Background(), cachewriter.Entry{Key: "k:/a"})
			b.close()
			if flights, followers := b.flights.count(); flights+followers != 0 {
				t.Errorf("%d flights and %d followers are left", flights, followers)
			}
		}
	}
}
