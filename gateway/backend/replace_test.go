package backend

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// successor returns Pools whose default pool has these servers on w.
func successor(t *testing.T, w *network, tune func(*Pool), servers ...string) *Pools {
	t.Helper()
	p := newPool(t, servers...)
	p.dialer = w.dialer()
	if tune != nil {
		tune(p)
	}
	return &Pools{Default: p}
}

// A server keeps its state in the next pool.
func TestReplaceKeepsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newPool(t, "@a max-conns=1", "@b", "@c")
		w := simulate(first)
		w.set("@b", refuses)
		ps := &Pools{Default: first}
		held := dial(t, first, Want{})
		dial(t, first, Want{Avoid: held.Node}).Close() // @b refuses it
		ps.Replace(successor(t, w, nil, "@b", "@a max-conns=1", "@d"))
		stats := ps.For("", "").Stats()
		if len(stats) != 3 || stats[0].Name != "@b" || stats[0].Up || stats[1].InFlight != 1 || stats[2].Name != "@d" {
			t.Errorf("servers %+v, want @b ejected, @a with its request, and @d", stats)
		}
		held.Close()
		if n := ps.For("", "").Stats()[1].InFlight; n != 0 {
			t.Errorf("%d requests in flight after the last one's end", n)
		}
		w.set("@b", nil)
		time.Sleep(minBackoff + time.Second)
		if !ps.For("", "").Stats()[0].Up {
			t.Error("@b is not probed any more")
		}
	})
}

// A request that already has its pool gets one of its servers, even if the pools were replaced since.
func TestReplaceKeepsRequests(t *testing.T) {
	for name, next := range map[string][]string{"goes on": {"@a max-conns=1"}, "is gone": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				first := newPool(t, "@a max-conns=1")
				w := simulate(first)
				ps := &Pools{Default: first}
				held := dial(t, first, Want{})
				waits := make(chan error, 1)
				ask := func() {
					nc, err := first.Dial(context.Background(), Want{})
					if err == nil {
						nc.Close()
					}
					waits <- err
				}
				go ask()
				synctest.Wait()
				if next == nil {
					ps.Replace(&Pools{})
				} else {
					ps.Replace(successor(t, w, nil, next...))
				}
				held.Close()
				if err := <-waits; err != nil {
					t.Errorf("who waited: %v", err)
				}
				ask()
				if err := <-waits; err != nil {
					t.Errorf("who had the pool and comes later: %v", err)
				}
				if (ps.For("a.example", "") == nil) != (next == nil) {
					t.Errorf("the pool for new requests is %v", ps.For("a.example", ""))
				}
			})
		})
	}
}

func TestReplaceTakesOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newPool(t, "@a max-conns=1", "@b max-conns=1")
		first.QueueLength = -1
		w := simulate(first)
		ps := &Pools{Default: first}
		defer dial(t, first, Want{}).Close()
		defer dial(t, first, Want{}).Close()
		if _, err := first.Dial(t.Context(), Want{}); !errors.Is(err, ErrQueueFull) {
			t.Fatalf("error %v, want ErrQueueFull", err)
		}
		ps.Replace(successor(t, w, func(p *Pool) {
			p.QueueTimeout, p.Choice, p.Modifier1, p.Probe = time.Second, HashKey, 5, probeConnect
		}, "@a", "@b"))
		next := ps.For("a.example", "")
		for range 3 {
			nc := dial(t, next, Want{HashKey: "/page"})
			defer nc.Close()
			if m1, _ := nc.Node.Modifiers(); nc.Node.String() != "@b" || m1 != 5 {
				t.Errorf("%s with modifier1 %d, want the page's server and 5", nc.Node, m1)
			}
		}
		ps.Replace(successor(t, w, func(p *Pool) { p.QueueTimeout = time.Second }, "@a max-conns=1", "@b max-conns=1"))
		began := time.Now()
		if _, err := first.Dial(t.Context(), Want{}); !errors.Is(err, ErrQueueTimeout) || time.Since(began) != time.Second {
			t.Errorf("error %v after %v, want ErrQueueTimeout after the new second", err, time.Since(began))
		}
	})
}

// Replace can change how the certificate of a server is verified.
func TestReplaceTakesVerification(t *testing.T) {
	first := newPool(t, "suwsgi:localhost:3031 insecure")
	ps := &Pools{Default: first}
	ps.Replace(&Pools{Default: newPool(t, "suwsgi:localhost:3031")})
	if n := ps.For("", "").nodes[0]; n.tls.Load().InsecureSkipVerify {
		t.Error("the certificate is still not verified")
	}
}

func TestReplaceHosts(t *testing.T) {
	dir := t.TempDir()
	load := func(ps *Pools, name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ps.Load(path); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ps := &Pools{}
		defer ps.Close()
		ps.Add(&Pool{Name: "shop"}, "shop.example")
		load(ps, "first", "a.example @a\nb.example @b\n")
		a, shop := ps.For("a.example", "").init(), ps.For("shop.example", "").init()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go ps.Watch(ctx)
		next := &Pools{TrustKey: true}
		next.Add(&Pool{Name: "shop"}, "store.example")
		load(next, "second", "c.example @a\n")
		ps.Replace(next)
		for host, want := range map[string]*pool{"c.example": a, "store.example": shop, "a.example": nil, "b.example": nil, "shop.example": nil} {
			p := ps.For(host, "")
			if (p == nil) != (want == nil) || p != nil && p.pool != want {
				t.Errorf("%s: pool %v, want %v", host, p, want)
			}
		}
		if ps.For("a.example", "store.example") == nil {
			t.Error("the key is not looked at")
		}
		time.Sleep(mapInterval + time.Second)
		if err := os.WriteFile(filepath.Join(dir, "second"), []byte("c.example @a\nd.example shop\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(mapInterval + time.Second)
		if p := ps.For("d.example", ""); p == nil || p.pool != shop {
			t.Errorf("a change of the new file was not seen: %v", p)
		}
	})
}
