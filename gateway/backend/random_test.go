package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Servers die and come back, the membership changes, requests queue, clients leave. At the
// end every place is free and no request waits.
func TestRandomLife(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomLife(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func randomLife(t *testing.T, random *rand.Rand) {
	p := &Pool{Choice: Choice(random.IntN(5)), QueueLength: 20, QueueTimeout: 2 * time.Second, SlowStart: time.Second}
	defer p.Close()
	w := simulate(p)
	p.Set(randomSpecs(random))
	var clients sync.WaitGroup
	for range 1000 {
		switch random.IntN(20) {
		case 0:
			p.Set(randomSpecs(random))
		case 1, 2:
			w.set(randomAddr(random), []server{nil, refuses, full, drops, hangs}[random.IntN(5)])
		default:
			c := randomClient(random)
			clients.Go(func() { c.ask(t, p) })
		}
		time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
		checkTiers(t, p)
	}
	clients.Wait()
	checkIdle(t, p)
	for i := range 8 {
		w.set(fmt.Sprintf("@n%d", i), nil)
	}
	p.Set([]NodeSpec{{Addr: "@n0"}, {Addr: "@n1"}})
	time.Sleep(time.Minute)
	if got := shares(t, p, 400, Want{}); got["@n0"] < 150 || got["@n1"] < 150 {
		t.Errorf("shares at the end %v", got)
	}
}

func randomAddr(random *rand.Rand) string { return fmt.Sprintf("@n%d", random.IntN(8)) }

func randomSpecs(random *rand.Rand) []NodeSpec {
	var specs []NodeSpec
	for i := range 8 {
		if random.IntN(2) == 0 {
			specs = append(specs, NodeSpec{
				Addr: fmt.Sprintf("@n%d", i), Weight: random.IntN(4), MaxConns: random.IntN(4), Cores: random.IntN(3),
				Backup: random.IntN(4) == 0, Down: random.IntN(10) == 0, Unproven: random.IntN(4) == 0,
			})
		}
	}
	return specs
}

// A client sends one request and waits for at most this time.
type client struct {
	want           Want
	patience, work time.Duration
	outcome        Outcome
}

func randomClient(random *rand.Rand) client {
	return client{
		Want{Host: string(rune('a' + random.IntN(5))), HashKey: fmt.Sprint(random.IntN(50))},
		time.Duration(1+random.IntN(3000)) * time.Millisecond,
		time.Duration(random.IntN(100)) * time.Millisecond,
		Outcome(max(0, random.IntN(8)-4)),
	}
}

func (c client) ask(t *testing.T, p *Pool) {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	nc, err := p.Dial(ctx, c.want)
	switch {
	case err == nil:
		time.Sleep(c.work)
		nc.Report(c.outcome)
		nc.Close()
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrQueueFull), errors.Is(err, ErrQueueTimeout), errors.Is(err, context.DeadlineExceeded):
	default:
		t.Errorf("error %v", err)
	}
}

// checkTiers checks that the heaps match the state of the nodes.
func checkTiers(t *testing.T, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	members, free := 0, 0
	for i := range p.tiers {
		tier := &p.tiers[i]
		members += tier.members
		free += len(tier.free)
		for j, n := range tier.free {
			if n.at != j || n.tier != i || n.gone || !n.hasRoom() {
				t.Fatalf("%v is at %d of tier %d, but says %d of %d", n, j, i, n.at, n.tier)
			}
			if parent := (j - 1) / 2; j > 0 && tier.before(n, tier.free[parent]) {
				t.Fatalf("tier %d is no heap at %d", i, j)
			}
		}
	}
	for _, n := range p.nodes {
		if n.tier != n.wants() || n.inFlight < 0 || n.open < 0 || n.open > n.inFlight {
			t.Fatalf("%v: tier %d, want %d; %d open of %d", n, n.tier, n.wants(), n.open, n.inFlight)
		}
		if n.tier != none {
			members--
		}
		if n.tier != none && n.hasRoom() {
			free--
		}
	}
	if members != 0 || free != 0 {
		t.Fatalf("tiers have %d members and %d free nodes too many", members, free)
	}
	if p.queue.length > 0 && !p.resting && p.choose(Want{}) != nil {
		t.Fatalf("%d wait while a place is free", p.queue.length)
	}
}
