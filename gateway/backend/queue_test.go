package backend

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Hosts take turns, and requests of one host keep their order.
func TestQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a max-conns=1")
		simulate(p)
		held := dial(t, p, Want{})
		var served []string
		for _, name := range []string{"a1", "a2", "a3", "a4", "b1", "b2", "c1"} {
			go func() {
				nc, err := p.Dial(context.Background(), Want{Host: name[:1]})
				if err != nil {
					t.Error(err)
					return
				}
				served = append(served, name)
				nc.Close()
			}()
			synctest.Wait()
		}
		held.Close()
		synctest.Wait()
		if got, want := strings.Join(served, " "), "a1 b1 c1 a2 b2 a3 a4"; got != want {
			t.Errorf("served %s, want %s", got, want)
		}
		checkIdle(t, p)
	})
}

func TestQueueTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a max-conns=1")
		p.QueueTimeout = 3 * time.Second
		simulate(p)
		held := dial(t, p, Want{})
		start := time.Now()
		if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrQueueTimeout) {
			t.Errorf("error %v, want ErrQueueTimeout", err)
		}
		if got := time.Since(start); got != p.QueueTimeout {
			t.Errorf("waited %v, want %v", got, p.QueueTimeout)
		}
		gone := errors.New("client gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(gone) })
		if _, err := p.Dial(ctx, Want{}); err != gone {
			t.Errorf("error %v, want the context's cause", err)
		}
		held.Close()
		if s := p.PoolStats(); s.QueueTimeouts != 1 || s.Queued != 2 {
			t.Errorf("%+v, want one of two that waited in vain", s)
		}
		checkIdle(t, p)
	})
}

// A full queue refuses requests of the host that fills it, not those of others.
func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a max-conns=1")
		p.QueueLength = 5
		simulate(p)
		held := dial(t, p, Want{})
		var refused, served []string
		ask := func(host string) {
			go func() {
				nc, err := p.Dial(context.Background(), Want{Host: host})
				switch {
				case errors.Is(err, ErrQueueFull):
					refused = append(refused, host)
				case err != nil:
					t.Error(err)
				default:
					served = append(served, host)
					nc.Close()
				}
			}()
			synctest.Wait()
		}
		for _, host := range []string{"a", "a", "a", "a", "a", "a", "b", "b", "b"} {
			ask(host)
		}
		if got, want := strings.Join(refused, " "), "a a a b"; got != want {
			t.Errorf("refused %s, want %s", got, want)
		}
		held.Close()
		synctest.Wait()
		slices.Sort(served)
		if got, want := strings.Join(served, " "), "a a a b b"; got != want {
			t.Errorf("served %s, want %s", got, want)
		}
		if s := p.PoolStats(); s.QueueFull != 4 {
			t.Errorf("%+v, want 4 refused", s)
		}
		checkIdle(t, p)
	})
}

func TestNoQueue(t *testing.T) {
	p := newPool(t, "@a max-conns=1")
	p.QueueLength = -1
	simulate(p)
	held := dial(t, p, Want{})
	if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrQueueFull) {
		t.Errorf("error %v, want ErrQueueFull", err)
	}
	held.Close()
}

// A waiting request profits from every change that frees a place.
func TestQueueWakes(t *testing.T) {
	for name, change := range map[string]func(p *Pool, w *network){
		"a new server":   func(p *Pool, w *network) { p.Set([]NodeSpec{{Addr: "@a", MaxConns: 1}, {Addr: "@b"}}) },
		"a higher limit": func(p *Pool, w *network) { p.Set([]NodeSpec{{Addr: "@a", MaxConns: 2}}) },
		"a recovered one": func(p *Pool, w *network) {
			p.mu.Lock()
			p.node("@a").spec.MaxConns = 2
			p.mu.Unlock()
			p.Set(p.config)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, "@a max-conns=1")
				w := simulate(p)
				held := dial(t, p, Want{})
				done := make(chan error, 1)
				go func() {
					nc, err := p.Dial(context.Background(), Want{})
					if err == nil {
						nc.Close()
					}
					done <- err
				}()
				synctest.Wait()
				start := time.Now()
				change(p, w)
				synctest.Wait()
				if name != "a recovered one" {
					if err := <-done; err != nil || time.Since(start) > 0 {
						t.Errorf("served after %v with error %v, want at once", time.Since(start), err)
					}
					held.Close()
					return
				}
				held.Close()
				<-done
			})
		})
	}
}

func TestQueueEndsWithThePool(t *testing.T) {
	for name, end := range map[string]func(p *Pool){
		"closed":  func(p *Pool) { p.Close() },
		"emptied": func(p *Pool) { p.Set(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, "@a max-conns=1")
				simulate(p)
				held := dial(t, p, Want{})
				done := make(chan error, 1)
				go func() {
					_, err := p.Dial(context.Background(), Want{})
					done <- err
				}()
				synctest.Wait()
				end(p)
				if err := <-done; !errors.Is(err, ErrUnavailable) {
					t.Errorf("error %v, want ErrUnavailable", err)
				}
				if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrUnavailable) {
					t.Errorf("error %v afterwards, want ErrUnavailable", err)
				}
				held.Close()
			})
		})
	}
}

// Of 20 requests at once, uWSGI with one worker and a backlog of 3 accepts 4, and refuses
// the others as a UNIX or a TCP socket does.
func TestFullBacklogAnswersAll(t *testing.T) {
	for name, refuse := range map[string]server{"unix": full, "tcp": drops} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, "@a")
				w := simulate(p)
				open := 0
				w.set("@a", func(nc net.Conn) error {
					w.mu.Lock()
					defer w.mu.Unlock()
					if open == 4 {
						return refuse(nc)
					}
					open++
					return hangs(nc)
				})
				answered := make(chan error)
				for range 20 {
					go func() {
						nc, err := p.Dial(context.Background(), Want{})
						if err == nil {
							time.Sleep(200 * time.Millisecond)
							w.mu.Lock()
							open--
							w.mu.Unlock()
							nc.Close()
						}
						answered <- err
					}()
				}
				for range 20 {
					if err := <-answered; err != nil {
						t.Error(err)
					}
				}
				if s := p.Stats()[0]; !s.Up || s.DialErrors > 0 || s.Busy == 0 {
					t.Errorf("%+v, want a busy server that is up", s)
				}
				checkIdle(t, p)
			})
		})
	}
}

// The backlog is full of other gateways' requests, so no request of this pool ends.
func TestFullBacklogOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a")
		w := simulate(p)
		w.set("@a", full)
		time.AfterFunc(time.Second, func() { w.set("@a", nil) })
		start := time.Now()
		for i := range 5 {
			go func() {
				nc, err := p.Dial(context.Background(), Want{Host: fmt.Sprint(i)})
				if err != nil {
					t.Error(err)
					return
				}
				nc.Close()
			}()
		}
		nc := dial(t, p, Want{})
		nc.Close()
		if d := time.Since(start); d < time.Second || d > 2*time.Second {
			t.Errorf("served after %v, want soon after a second", d)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if n := w.times("@a"); n > 800 {
			t.Errorf("%d connects", n)
		}
		checkIdle(t, p)
	})
}

// A request that had a place and found the backlog full is in front of the queue again.
func TestFullBacklogCostsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a")
		w := simulate(p)
		w.set("@a", full)
		var served []string
		for _, host := range []string{"a", "b"} {
			go func() {
				nc, err := p.Dial(context.Background(), Want{Host: host})
				if err != nil {
					t.Error(err)
					return
				}
				served = append(served, host)
				nc.Close()
			}()
			synctest.Wait()
		}
		for w.times("@a") < 4 {
			time.Sleep(busyPause)
		}
		w.set("@a", nil)
		time.Sleep(time.Second)
		synctest.Wait()
		if got, want := strings.Join(served, " "), "a b"; got != want {
			t.Errorf("served %s, want %s", got, want)
		}
	})
}

// A place that is given at the moment when the client leaves is not lost.
func TestPlaceOfAClientThatLeft(t *testing.T) {
	p := newPool(t, "@a max-conns=1")
	launch(p)
	p.mu.Lock()
	defer p.mu.Unlock()
	n, _ := p.tryTake(Want{})
	gone := errors.New("client gone")
	if got, err := p.outcome(&waiter{node: n}, gone); got != nil || err != gone || n.inFlight != 0 {
		t.Errorf("got %v, %v with %d in flight; want the error, and the place free", got, err, n.inFlight)
	}
}

// After Close the timer of a full backlog is stopped, even if requests are in flight.
func TestCloseWithFullBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a")
		w := simulate(p)
		held := dial(t, p, Want{})
		w.set("@a", full)
		failed := make(chan error)
		go func() {
			_, err := p.Dial(context.Background(), Want{})
			failed <- err
		}()
		synctest.Wait()
		p.Close()
		if err := <-failed; !errors.Is(err, ErrUnavailable) {
			t.Errorf("error %v of the waiting request, want ErrUnavailable", err)
		}
		if n := held.Node; n.relief == nil || n.relief.Stop() {
			t.Errorf("the timer %v is still set after Close", n.relief)
		}
		held.Close()
	})
}
