package backend

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// Any run of as many requests as the sum of the weights is shared exactly by weight.
func TestRoundRobinKeepsTheRatioInEveryWindow(t *testing.T) {
	for _, weights := range [][]int{{3, 2}, {1, 1}, {5, 1, 1}, {7, 1, 3}, {1, 2, 3, 4}, {100, 1}, {65535, 1}} {
		t.Run(fmt.Sprint(weights), func(t *testing.T) {
			p := &Pool{Choice: RoundRobin}
			total := 0
			for i, w := range weights {
				total += w
				if err := p.Add(fmt.Sprintf("@n%d weight=%d", i, w)); err != nil {
					t.Fatal(err)
				}
			}
			simulate(p)
			var order []int
			for range min(3*total, total+2000) {
				n, _ := p.tryTake(Want{})
				order = append(order, n.place)
				p.give(n)
			}
			for start := 0; start+total <= len(order); start++ {
				got := make([]int, len(weights))
				for _, i := range order[start : start+total] {
					got[i]++
				}
				if !slices.Equal(got, weights) {
					t.Fatalf("requests %d to %d are shared as %v", start, start+total, got)
				}
			}
		})
	}
}

func TestRoundRobinIsSmooth(t *testing.T) {
	p := newPool(t, "@a weight=3", "@b weight=2")
	simulate(p)
	got := ""
	for range 10 {
		n, _ := p.tryTake(Want{})
		got += n.name[1:2]
		p.give(n)
	}
	if want := "ababaababa"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
}

func TestChoice(t *testing.T) {
	for _, tt := range []struct {
		name    string
		servers []string
		choice  Choice
		held    []string // servers that hold a request
		want    string   // the servers that get the next requests
	}{
		{"least busy", []string{"@a", "@b", "@c"}, LeastBusy, []string{"@a", "@c", "@a"}, "b"},
		{"by weight", []string{"@a weight=4", "@b"}, LeastBusy, []string{"@a", "@a", "@b"}, "a"},
		{"by cores", []string{"@a cores=4", "@b cores=1 max-conns=9"}, Auto, []string{"@a", "@a", "@b"}, "a"},
		{"auto without cores takes turns", []string{"@a", "@b"}, Auto, nil, "ab"},
		{"least busy takes turns when idle", []string{"@a", "@b"}, LeastBusy, nil, "ab"},
		{"down is not asked", []string{"@a down", "@b"}, RoundRobin, nil, "bb"},
		{"backup is not asked", []string{"@a backup", "@b"}, RoundRobin, nil, "bb"},
		{"backup alone is", []string{"@a down", "@b backup"}, RoundRobin, nil, "bb"},
		{"no free place", []string{"@a max-conns=1", "@b backup"}, RoundRobin, []string{"@a"}, "-"},
		{"cores are a limit", []string{"@a cores=2"}, Auto, []string{"@a", "@a"}, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, tt.servers...)
			p.Choice = tt.choice
			launch(p)
			for _, name := range tt.held {
				p.take(p.node(name))
			}
			got := ""
			for range tt.want {
				n, _ := p.tryTake(Want{})
				if n == nil {
					got += "-"
					break
				}
				got += n.name[1:2]
				p.give(n)
			}
			if got != tt.want {
				t.Errorf("next %q, want %q", got, tt.want)
			}
		})
	}
}

func (p *Pool) node(name string) *Node {
	return p.nodes[slices.IndexFunc(p.nodes, func(n *Node) bool { return n.name == name })]
}

func TestLoadBreaksTies(t *testing.T) {
	p := &Pool{Choice: LeastBusy}
	p.Set([]NodeSpec{{Addr: "@a", Load: 7}, {Addr: "@b", Load: 2}})
	simulate(p)
	if got := shares(t, p, 4, Want{}); got["@b"] != 4 {
		t.Errorf("shares %v, want all for the server with the shorter backlog", got)
	}
}

func TestAvoid(t *testing.T) {
	for _, tt := range []struct {
		name    string
		servers []string
		want    string
	}{
		{"another one", []string{"@a", "@b", "@c"}, "@b"},
		{"a backup", []string{"@a", "@b backup"}, "@b"},
		{"the only one", []string{"@a"}, "@a"},
	} {
		for _, choice := range []Choice{RoundRobin, HashKey} {
			p := newPool(t, tt.servers...)
			p.Choice = choice
			simulate(p)
			launch(p)
			avoid, key := p.nodes[0], "/"
			for i := 0; choice == HashKey && p.ring.pick(key, &p.tiers[primary], nil) != avoid; i++ {
				key = strconv.Itoa(i)
			}
			nc := dial(t, p, Want{Avoid: avoid, HashKey: key})
			if got := nc.Node.String(); got != tt.want && (choice == RoundRobin || nc.Node == avoid) {
				t.Errorf("%s: %v chose %s, want %s", tt.name, choice, got, tt.want)
			}
			nc.Close()
		}
	}
}

// A request does not go back to the server that failed it because the others are busy.
func TestAvoidWaits(t *testing.T) {
	for _, choice := range []Choice{RoundRobin, LeastBusy} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, "@a max-conns=2", "@b max-conns=1")
			p.Choice = choice
			simulate(p)
			launch(p)
			avoid := p.nodes[0]
			busy := dial(t, p, Want{Avoid: avoid})
			time.AfterFunc(time.Second, func() { busy.Close() })
			nc := dial(t, p, Want{Avoid: avoid})
			if busy.Node == avoid || nc.Node == avoid {
				t.Errorf("%v: the requests went to %v and %v, want none at %v", choice, busy.Node, nc.Node, avoid)
			}
			nc.Close()
		})
	}
}

func TestHash(t *testing.T) {
	p := newPool(t, "@a", "@b", "@c weight=2", "@d")
	p.Choice = HashKey
	simulate(p)
	where := func() map[string]string {
		got := make(map[string]string)
		for i := range 1000 {
			key := "/page/" + strconv.Itoa(i)
			nc := dial(t, p, Want{HashKey: key})
			got[key] = nc.Node.String()
			nc.Close()
		}
		return got
	}
	first := where()
	if again := where(); !maps.Equal(first, again) {
		t.Error("the same keys went to other servers")
	}
	counts := make(map[string]int)
	for _, n := range first {
		counts[n]++
	}
	if c := counts["@c"]; c < 300 || c > 500 || len(counts) != 4 {
		t.Errorf("shares %v, want about 200, and 400 for c", counts)
	}
	p.mu.Lock()
	p.eject(p.node("@b"), nil)
	p.mu.Unlock()
	for key, n := range where() {
		if n == "@b" || first[key] != "@b" && n != first[key] {
			t.Fatalf("%s was at %s and is at %s now that b:1 is ejected", key, first[key], n)
		}
	}
	if got := shares(t, p, 8, Want{}); len(got) != 3 {
		t.Errorf("shares without a key %v, want all that are up", got)
	}
}

// All gateways make the same choice, whatever the order of their configurations.
func TestHashDependsOnNamesAlone(t *testing.T) {
	a, b := newPool(t, "@a", "@b", "@c"), newPool(t, "@c", "@a", "@b")
	a.Choice, b.Choice = HashKey, HashKey
	simulate(a)
	simulate(b)
	for i := range 100 {
		w := Want{HashKey: strconv.Itoa(i)}
		x, y := dial(t, a, w), dial(t, b, w)
		if x.Node.name != y.Node.name {
			t.Errorf("key %d: %s and %s", i, x.Node, y.Node)
		}
		x.Close()
		y.Close()
	}
}

func TestSlowStart(t *testing.T) {
	for _, choice := range []Choice{RoundRobin, LeastBusy} {
		t.Run(choice.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, "@a")
				p.Choice, p.SlowStart = choice, 10*time.Second
				simulate(p)
				shares(t, p, 1000, Want{})
				p.Set([]NodeSpec{{Addr: "@a"}, {Addr: "@b"}})
				for _, step := range []struct {
					after       time.Duration
					least, most int
				}{{0, 1, 60}, {2500 * time.Millisecond, 150, 250}, {2500 * time.Millisecond, 300, 400}, {6 * time.Second, 490, 510}} {
					time.Sleep(step.after)
					got := shares(t, p, 1000, Want{})["@b"]
					if got < step.least || got > step.most {
						t.Errorf("%v later: %d of 1000 requests for the new server, want %d to %d", step.after, got, step.least, step.most)
					}
				}
			})
		})
	}
}

func TestSetKeepsWhatStays(t *testing.T) {
	p := newPool(t, "@a max-conns=2", "@b")
	simulate(p)
	a := dial(t, p, Want{})
	b := dial(t, p, Want{})
	if a.Node.name != "@a" || b.Node.name != "@b" {
		t.Fatalf("got %v and %v", a.Node, b.Node)
	}
	p.Set([]NodeSpec{{Addr: "@a", Weight: 2, MaxConns: 1}, {Addr: "@c"}, {Addr: "nonsense"}, {Addr: "@c"}})
	if got := shares(t, p, 4, Want{}); got["@c"] != 4 {
		t.Errorf("shares %v, want all for c while a:1 has its one request", got)
	}
	if s := p.Stats(); len(s) != 2 || s[0].InFlight != 1 || s[0].Requests != 1 {
		t.Errorf("stats %+v, want a:1 with what it had, and c:1", s)
	}
	if _, err := b.Write([]byte("x")); err != nil {
		t.Errorf("the request of a server that is no longer a member: %v", err)
	}
	b.Close()
	a.Close()
	if err := a.Close(); err == nil {
		t.Error("the second Close returns no error")
	}
	checkIdle(t, p)
}

func TestUnprovenGetsOneAtATime(t *testing.T) {
	p := newPool(t, "@a")
	simulate(p)
	p.Set([]NodeSpec{{Addr: "@a"}, {Addr: "@b", Unproven: true}})
	var held []*Conn
	for range 8 {
		held = append(held, dial(t, p, Want{}))
	}
	if s := p.Stats()[1]; s.InFlight != 1 || !s.Unproven {
		t.Errorf("%+v, want one request for the unproven server", s)
	}
	for _, nc := range held {
		nc.Report(Responded)
	}
	if got := shares(t, p, 10, Want{}); p.Stats()[1].Unproven || got["@b"] < 5 {
		t.Errorf("shares %v after it has responded", got)
	}
	for _, nc := range held {
		nc.Close()
	}
	checkIdle(t, p)
}

func TestChoiceAllocatesNothing(t *testing.T) {
	for _, choice := range []Choice{RoundRobin, LeastBusy, HashKey} {
		p := newPool(t, "@a", "@b", "@c")
		p.Choice = choice
		launch(p)
		if n := testing.AllocsPerRun(100, func() {
			n, _ := p.tryTake(Want{HashKey: "/"})
			p.give(n)
		}); n > 0 {
			t.Errorf("%v: %v allocations a choice", choice, n)
		}
	}
}

func BenchmarkChoice(b *testing.B) {
	for _, choice := range []Choice{RoundRobin, LeastBusy, HashKey} {
		for _, nodes := range []int{2, 50, 2000} {
			b.Run(fmt.Sprintf("%v/%d", choice, nodes), func(b *testing.B) {
				p := manyNodes(nodes)
				p.Choice = choice
				launch(p)
				inFlight := make([]*Node, 2*nodes)
				w := Want{HashKey: "/"}
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					at := &inFlight[i%len(inFlight)]
					if *at != nil {
						p.give(*at)
					}
					*at, _ = p.tryTake(w)
				}
			})
		}
	}
}

func manyNodes(n int) *Pool {
	var specs []NodeSpec
	for i := range n {
		specs = append(specs, NodeSpec{Addr: fmt.Sprintf("@n%d", i), Weight: 1 + i%3})
	}
	p := &Pool{}
	p.Set(specs)
	return p
}

// BenchmarkSlowNode reports how long requests take when one node of five takes five
// times as long as the others. The time is simulated.
func BenchmarkSlowNode(b *testing.B) {
	for _, choice := range []Choice{RoundRobin, LeastBusy} {
		b.Run(choice.String(), func(b *testing.B) {
			for b.Loop() {
				took := simulateSlowNode(choice, 20000)
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			}
		})
	}
}

func TestLeastBusyBeatsRoundRobinOnOneSlowNode(t *testing.T) {
	p99 := func(c Choice) time.Duration {
		took := simulateSlowNode(c, 5000)
		return took[len(took)*99/100]
	}
	if robin, busy := p99(RoundRobin), p99(LeastBusy); busy > robin/2 {
		t.Errorf("p99 %v with least-busy, %v with round-robin; want less than half", busy, robin)
	}
}

// simulateSlowNode returns how long the requests took, sorted. A node works on one request
// at a time, for 10 ms on average; the first node for 50 ms.
func simulateSlowNode(choice Choice, requests int) []time.Duration {
	p := &Pool{Choice: choice}
	for i := range 5 {
		p.Add(fmt.Sprintf("@n%d", i))
	}
	launch(p)
	random := rand.New(rand.NewPCG(1, 2))
	type job struct {
		node *Node
		ends time.Duration
	}
	free := make([]time.Duration, 5) // when each node has finished its requests
	var running []job
	var took []time.Duration
	for now := time.Duration(0); len(took) < requests; now += time.Duration(random.ExpFloat64() * float64(12*time.Millisecond)) {
		running = slices.DeleteFunc(running, func(j job) bool {
			if j.ends > now {
				return false
			}
			p.give(j.node)
			return true
		})
		n, _ := p.tryTake(Want{})
		work := time.Duration((0.5 + random.Float64()) * float64(10*time.Millisecond))
		if n.place == 0 {
			work *= 5
		}
		free[n.place] = max(free[n.place], now) + work
		running = append(running, job{n, free[n.place]})
		took = append(took, free[n.place]-now)
	}
	slices.Sort(took)
	return took
}
