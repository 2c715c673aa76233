package backend

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// The only server restarts. Requests wait, few of them try, and all are served as soon as
// it is back, in their order. The log says so once.
func TestServerRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		p := newPool(t, "@a")
		p.Log = zap.New(core)
		w := simulate(p)
		for range 4 {
			w.set("@a", refuses)
			before := w.times("@a")
			begin := time.Now()
			const gap = 3 * time.Second
			time.AfterFunc(gap, func() { w.set("@a", nil) })
			served := make(chan string, 100)
			for _, host := range strings.Fields("a a a b b c") {
				go func() {
					nc, err := p.Dial(context.Background(), Want{Host: host})
					if err != nil {
						t.Error(err)
						return
					}
					if d := time.Since(begin); d < gap || d > gap+250*time.Millisecond {
						t.Errorf("%s is served after %v", host, d)
					}
					served <- host
					nc.Close()
				}()
				synctest.Wait()
			}
			time.Sleep(2 * gap)
			if len(served) != 6 {
				t.Fatalf("%d of 6 requests were served", len(served))
			}
			if n := w.times("@a") - before; n > 6+2+30 {
				t.Errorf("%d connects in %v", n, gap)
			}
		}
		for _, line := range []string{"no backend accepts connections", "a backend accepts connections again"} {
			if n := logs.FilterMessageSnippet(line).Len(); n != 4 {
				t.Errorf("%q is logged %d times for 4 restarts", line, n)
			}
		}
		checkIdle(t, p)
	})
}

// A pool that stays away costs each request its time in the queue, or refuses it at once
// when that is full.
func TestServerStaysAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b")
		p.QueueLength, p.QueueTimeout = 2, 4*time.Second
		w := simulate(p)
		w.set("@a", refuses)
		w.set("@b", refuses)
		begin := time.Now()
		failed := make(chan error)
		for range 2 {
			go func() {
				_, err := p.Dial(context.Background(), Want{})
				if d := time.Since(begin); d != p.QueueTimeout {
					t.Errorf("failed after %v", d)
				}
				failed <- err
			}()
			synctest.Wait()
		}
		if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrQueueFull) || time.Since(begin) > 0 {
			t.Errorf("error %v after %v, want ErrQueueFull at once", err, time.Since(begin))
		}
		for range 2 {
			if err := <-failed; !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "connection refused") {
				t.Errorf("error %v, want ErrUnavailable and why", err)
			}
		}
		p.QueueLength = -1
		if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrQueueFull) {
			t.Errorf("error %v without a queue, want ErrQueueFull", err)
		}
		checkIdle(t, p)
	})
}

// A request that is served otherwise does not wait, whether it is the one that finds out
// or comes later.
func TestAwayIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a")
		w := simulate(p)
		w.set("@a", refuses)
		begin, asked := time.Now(), 0
		for range 3 {
			_, err := p.Dial(t.Context(), Want{Away: func() bool { asked++; return true }})
			if !errors.Is(err, ErrUnavailable) || time.Since(begin) > 0 {
				t.Errorf("error %v after %v, want ErrUnavailable at once", err, time.Since(begin))
			}
		}
		time.AfterFunc(time.Second, func() { w.set("@a", nil) })
		nc, err := p.Dial(t.Context(), Want{Away: func() bool { asked++; return false }})
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
		if asked != 4 {
			t.Errorf("asked %d times for 4 requests", asked)
		}
		nc = dial(t, p, Want{Away: func() bool { t.Error("asked though a server is up"); return true }})
		nc.Close()
	})
}

// Many servers that are away are tried by one request at a time each, and one that comes
// back is found soon.
func TestManyServersAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := manyNodes(50)
		defer p.Close()
		w := simulate(p)
		for _, n := range p.nodes {
			w.set(n.name, refuses)
		}
		back := p.nodes[37].name
		time.AfterFunc(2*time.Second, func() { w.set(back, nil) })
		begin := time.Now()
		served := make(chan *Conn)
		for range 100 {
			go func() {
				nc, err := p.Dial(context.Background(), Want{})
				if err != nil {
					t.Error(err)
				}
				served <- nc
			}()
		}
		for range 100 {
			nc := <-served
			if nc == nil || nc.Node.String() != back {
				t.Fatalf("connected to %+v", nc)
			}
			nc.Close()
		}
		if d := time.Since(begin); d > 2500*time.Millisecond {
			t.Errorf("served after %v, want soon after 2 s", d)
		}
		if n := len(w.dialed); n > 100+50*maxAttempts*25 {
			t.Errorf("%d connects", n)
		}
		checkIdle(t, p)
	})
}

// The servers of a pool that is away may be replaced: those that wait go to the new ones.
func TestAwayPoolIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a")
		w := simulate(p)
		w.set("@a", refuses)
		begin := time.Now()
		time.AfterFunc(time.Second, func() { p.Set([]NodeSpec{{Addr: "@b"}}) })
		nc := dial(t, p, Want{})
		nc.Close()
		if d := time.Since(begin); d != time.Second || nc.Node.String() != "@b" {
			t.Errorf("connected to %v after %v, want @b after 1 s", nc.Node, d)
		}
	})
}
