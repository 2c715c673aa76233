package integration

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// subscribedFaults are those of nodes that announce themselves.
var subscribedFaults = []fault{{
	name: "subscribed, workers hung, master alive",
	run: func(f *trial) string {
		a, _ := f.pair()
		f.hang(a)
		return f.spared()
	},
	want: "ejected; then 20 × 200",
}, {
	name: "subscribed node killed -9, TCP",
	run: func(f *trial) string {
		a, _ := f.pair()
		f.must(a.Kill())
		return f.gets(20, "/who").String()
	},
	want: "20 × 200",
}, {
	name: "subscribed node killed -9, UNIX",
	run: func(f *trial) string {
		s := f.subscribe(setup{announce: f.path(f.name + ".announce")})
		a, b := f.member(s, "a"), f.member(s, "b")
		f.knows(a, b)
		f.must(a.Kill())
		return f.gets(20, "/who").String()
	},
	want: "20 × 200",
}, {
	name: "unknown key",
	run: func(f *trial) string {
		// With static nodes FastRouter would take no announcements.
		s := f.subscribe(setup{announce: f.port(f.t), uwgate: []string{"--backend", f.a.tcp}})
		f.knows(f.member(s, "a"))
		f.host = "unknown.example"
		return f.gets(5, "/who").String()
	},
	want: "5 × 200",
}, {
	name: "upper-case or port in Host",
	run: func(f *trial) string {
		s := f.subscribe(setup{announce: f.port(f.t)})
		f.knows(f.member(s, "a"))
		f.host = "SITE.example:8080"
		return f.gets(5, "/who").String()
	},
	want: "5 × 200",
}, {
	name: "router crash",
	run: func(f *trial) string {
		a, b := f.pair()
		f.noted(a, b)
		f.must(f.front.Kill())
		f.must(f.front.Start(f.t.Context()))
		return f.gets(20, "/who").String()
	},
	want: "20 × 200",
}, {
	name: "malformed announcements", hostile: true,
	run: func(f *trial) string {
		s := f.subscribe(setup{announce: f.port(f.t)})
		f.knows(f.member(s, "a"))
		f.malform(s.announce)
		return f.gets(20, "/who").String()
	},
	want: "20 × 200",
}, {
	name: "subscribed with weights 3:2, in any 5 consecutive requests",
	run: func(f *trial) string {
		// Over UNIX sockets, since a uWSGI announces the connections in the backlog of
		// its TCP sockets as its load, which counts before its turn. On a busy machine
		// that is one connection now and then, and for ten seconds.
		s := f.subscribe(setup{announce: f.path(f.name + ".announce")})
		a, b := f.member(s, "a", "--weight", "3"), f.member(s, "b", "--weight", "2")
		f.knows(a, b)
		return f.shares(a, 50, 5)
	},
	want: "3 to 3 of 5",
}, {
	name: "rolling reload of four subscribed nodes under load",
	run: func(f *trial) string {
		four := f.four()
		seen := f.load("GET", func() {
			for _, n := range four {
				f.reload(n)
			}
		})
		return fmt.Sprintf("%d failed", seen.others("200"))
	},
	want: "0 failed",
}, {
	name: "one of four subscribed nodes killed -9 under load of GETs",
	run: func(f *trial) string {
		four := f.four()
		seen := f.load("GET", func() { f.must(four[0].Kill()) })
		return fmt.Sprintf("%d failed", seen.others("200"))
	},
	want: "0 failed",
}, {
	name: "one of four subscribed nodes killed -9 under load of POSTs",
	run: func(f *trial) string {
		four := f.four()
		seen := f.load("POST", func() { f.must(four[0].Kill()) })
		if n := seen.others("200"); n > held {
			return fmt.Sprintf("%d failed", n)
		}
		return fmt.Sprintf("at most its %d requests in flight failed", held)
	},
	want: fmt.Sprintf("at most its %d requests in flight failed", held),
}}

const (
	cores = 2         // requests that a member has in work
	held  = 2 * cores // and with those that it accepts while one process after the other dies
)

// subscribe starts a front to which nodes announce themselves, and has visitors ask
// for their site.
func (f *trial) subscribe(s setup) setup {
	f.t.Helper()
	f.host = "site.example"
	f.serve(s)
	return s
}

// member is a node of the trial's own that announces itself. Where announcements go
// over UDP it listens on TCP.
func (f *trial) member(s setup, name string, args ...string) *node {
	f.t.Helper()
	n := f.node(f.t, f.name+name, args...)
	addr := n.tcp
	if strings.HasPrefix(s.announce, "/") {
		addr = n.unix
	}
	n.Command = append(n.Command, "--processes", fmt.Sprint(cores),
		"--subscribe2", fmt.Sprintf("server=%s,key=site.example,addr=%s", s.announce, addr))
	f.launch(n.Process)
	return n
}

// knows waits until each of the nodes has been given a request.
func (f *trial) knows(nodes ...*node) {
	f.t.Helper()
	came := make(map[string]bool)
	f.eventually("requests to all nodes", func() bool {
		came[f.request("GET", "/who", nil).body] = true
		for _, n := range nodes {
			if !came[n.Name] {
				return false
			}
		}
		return true
	})
}

func (f *trial) pair() (a, b *node) {
	f.t.Helper()
	s := f.subscribe(setup{announce: f.port(f.t), uwgate: []string{"--subscribe-state", f.state()}, stalls: true})
	a, b = f.member(s, "a"), f.member(s, "b")
	f.knows(a, b)
	return a, b
}

func (f *trial) state() string { return f.path(f.name + ".state") }

// noted waits until uwgate has written down who has announced himself.
func (f *trial) noted(nodes ...*node) {
	f.t.Helper()
	if !f.gateway {
		return
	}
	f.eventually("the nodes in the state file", func() bool {
		state, _ := os.ReadFile(f.state()) // which is not there at first
		return !slices.ContainsFunc(nodes, func(n *node) bool { return !bytes.Contains(state, []byte(n.tcp)) })
	})
}

func (f *trial) four() []*node {
	f.t.Helper()
	// A request waits in the backlog of a node that loads its application, which takes
	// seconds on a busy machine: that is no stall.
	s := f.subscribe(setup{
		announce: f.port(f.t),
		uwgate:   []string{"--first-byte-timeout", "25s"},
		router:   []string{"--fastrouter-timeout", "25"},
	})
	var four []*node
	for _, name := range []string{"a", "b", "c", "d"} {
		four = append(four, f.member(s, name))
	}
	f.knows(four...)
	return four
}

// hang stops the workers of a node, and not its master.
func (f *trial) hang(n *node) {
	f.t.Helper()
	stopped := make(map[string]bool)
	// A worker that is stopped takes no request, so the next one is another's.
	for len(stopped) < cores {
		pid := f.want(f.ask(n.unix, vars("GET", "/pid"), ""), 200).body
		var number int
		if _, err := fmt.Sscan(pid, &number); err != nil || stopped[pid] {
			f.t.Fatalf("%s is no worker to stop: %v", pid, err)
		}
		f.must(syscall.Kill(number, syscall.SIGSTOP))
		stopped[pid] = true
	}
}

// reload has a node load its application again and waits until it has.
func (f *trial) reload(n *node) {
	f.t.Helper()
	const line = "spawned uWSGI worker"
	before := strings.Count(n.Log(), line)
	f.must(n.Reload())
	f.eventually("workers of "+n.Name, func() bool { return strings.Count(n.Log(), line) == before+cores })
}

// load has eight visitors come again and again while something happens, and some
// time before and after.
func (f *trial) load(method string, happens func()) *tally {
	f.t.Helper()
	seen, over := newTally(), make(chan struct{})
	var visitors sync.WaitGroup
	for i := range 8 {
		visitors.Go(func() {
			for n := i; ; n += 8 {
				select {
				case <-over:
					return
				default:
					seen.visit(func() page { return f.request(method, numbered("/slow?s=0.02", n), nil) })
				}
			}
		})
	}
	f.more(seen, 100)
	happens()
	f.more(seen, 200)
	close(over)
	visitors.Wait()
	return seen
}

// more waits for n further visits.
func (f *trial) more(seen *tally, n int) {
	f.t.Helper()
	goal := seen.total() + n
	f.eventually("further visits", func() bool { return seen.total() >= goal })
}

// malform sends what is no announcement, or one that must not be obeyed.
func (f *trial) malform(announce string) {
	f.t.Helper()
	nc, err := net.Dial("udp", announce)
	f.must(err)
	defer nc.Close()
	leave := datagram(1, "key", "site.example", "address", "127.0.0.1:1")
	long := datagram(0, "key", strings.Repeat("k", 300), "address", "127.0.0.1:1")
	for _, b := range [][]byte{
		{},
		{0xe0},
		{0xe0, 0xff, 0xff, 0},
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		leave[:len(leave)-1],
		append(leave, 0),
		long,
		datagram(0, "key", "site.example", "address", "nowhere"),
		datagram(0, "key", "site.example", "address", "127.0.0.1:1", "weight", "-5"),
		datagram(0, "key", "site.example", "address", "127.0.0.1:1", "modifier1", "300"),
		datagram(0, "key", "", "address", "127.0.0.1:1"),
		datagram(7, "key", "site.example", "address", "127.0.0.1:1"),
	} {
		_, err := nc.Write(b)
		f.must(err)
	}
}

// datagram is an announcement.
func datagram(command byte, texts ...string) []byte {
	var block []byte
	for _, text := range texts {
		block = append(block, byte(len(text)), byte(len(text)>>8))
		block = append(block, text...)
	}
	return append([]byte{0xe0, byte(len(block)), byte(len(block) >> 8), command}, block...)
}
