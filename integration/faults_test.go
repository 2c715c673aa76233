package integration

import (
	"bytes"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

// A fault is a row of docs/faults.md: something fails behind the front while visitors
// send requests.
type fault struct {
	name    string
	run     func(f *trial) string // what the visitors saw
	want    string                // what they must see with uwgate
	hostile bool                  // nothing to send to other people's software
}

// TestFaults compares uwgate with the table. With -faults FILE it also runs FastRouter
// and writes both columns to the file.
func TestFaults(t *testing.T) {
	rows := slices.Concat(faults, subscribedFaults)
	var trials []*trial
	for i := range rows {
		trials = append(trials, &trial{name: fmt.Sprintf("u%d", i), gateway: true}, &trial{name: fmt.Sprintf("r%d", i)})
	}
	l := startLab(t, trials)
	seen := make([][2]string, len(rows)) // by uwgate's visitors, by FastRouter's
	t.Run("uwgate", func(t *testing.T) {
		for i, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				seen[i][0] = trials[2*i].try(t, row)
				if seen[i][0] != row.want {
					t.Errorf("visitors saw %q, want %q", seen[i][0], row.want)
				}
			})
		}
	})
	if *faultsFile == "" {
		return
	}
	t.Run("FastRouter", func(t *testing.T) {
		for i, row := range rows {
			if row.hostile {
				continue
			}
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				seen[i][1] = trials[2*i+1].try(t, row)
			})
		}
	})
	l.report(t, rows, seen)
}

func (f *trial) try(t *testing.T, row fault) string {
	f.t = t
	return row.run(f)
}

var faults = []fault{{
	name: "one of two TCP nodes refuses",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.port(f.t), f.a.tcp}})
		return f.gets(20, "/who").String()
	},
	want: "20 × 200",
}, {
	name: "one of two UNIX nodes gone",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.gone(), f.a.unix}})
		return f.gets(20, "/who").String()
	},
	want: "20 × 200",
}, {
	name: "one of two drops SYNs",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.dropping(), f.a.tcp}})
		return f.gets(6, "/who").within(time.Second)
	},
	want: "6 × 200 within 1s",
}, {
	name: "only node refuses, then comes back",
	run: func(f *trial) string {
		n := f.node(f.t, f.name+"late")
		f.serve(setup{nodes: []string{n.tcp}})
		first := make(chan *tally, 1)
		go func() { first <- f.gets(1, "/who") }()
		f.launch(n.Process) // takes a while
		return fmt.Sprintf("%v; %s", <-first, f.backWithin(5*time.Second))
	},
	want: "1 × 200; back within 5s",
}, {
	name: "static node dead + fallback",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.port(f.t)}, backup: f.a.tcp})
		return f.gets(20, "/who").String()
	},
	want: "20 × 200",
}, {
	name: "accepts, never answers",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.hung().tcp}, stalls: true})
		return f.gets(2, "/who").String()
	},
	want: "2 × 504",
}, {
	name: "one of two accepts, never answers",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.hung().tcp, f.a.tcp}, stalls: true})
		return f.spared()
	},
	want: "ejected; then 20 × 200",
}, {
	name: "closes before any byte",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.unix, f.b.unix}})
		f.gets(40, "/who") // without them second attempts would be over their budget
		return f.gets(6, "/silent?node=a").String()
	},
	want: "6 × 200",
}, {
	name: "closes before any byte, POST",
	run: func(f *trial) string {
		// A request that a worker may have executed must not be sent again.
		f.serve(setup{nodes: []string{f.a.unix, f.b.unix}})
		return f.posts(4, "/silent?node=a", 10).String()
	},
	want: "2 × 200, 2 × 502",
}, {
	name: "truncated body (FIN before Content-Length)",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.tcp}})
		return f.gets(1, "/page/short").String() + f.stored("/page/short?n=0")
	},
	want: "1 × 200, broken off, not stored",
}, {
	name: "RST inside an EOF-delimited body",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.tcp}})
		return f.gets(1, "/page/reset").String() + f.stored("/page/reset?n=0")
	},
	want: "1 × 200, broken off, not stored",
}, {
	name: "early response, 1 MB body unread",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.tcp}})
		return f.posts(20, "/refuse", 1<<20).String()
	},
	want: "20 × 403",
}, {
	name: "large response while a large body is still being sent",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.tcp}})
		return f.posts(1, "/live/large?mib=24", 24<<20).String()
	},
	want: "1 × 200",
}, {
	name: "upload pauses 5 s",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.tcp}, router: []string{"--fastrouter-timeout", "10"}})
		return f.paused("/live/length", 5*time.Second)
	},
	want: "200, all of the body",
}, {
	name: "client disconnects",
	run: func(f *trial) string {
		came, left := make(chan struct{}), make(chan struct{})
		node := f.path(f.name + ".script")
		scripted(f.t, node, func(nc net.Conn) {
			close(came)
			nc.Read(make([]byte, 1))
			close(left)
		})
		f.serve(setup{nodes: []string{node}, stalls: true})
		return f.leave(came, left)
	},
	want: "the node's connection is closed at once",
}, {
	name: "client half-closes, slow response",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.unix}})
		return f.halfClose("/slow?s=0.5")
	},
	want: "200",
}, {
	name: "block over worker buffer-size", hostile: true,
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.unix}, uwgate: []string{"--buffer-size", "4096"}})
		big := f.fetch("GET", "/who", "X-Large: "+strings.Repeat("x", 4096))
		return outcome(big) + f.untouched(f.a, "/who")
	},
	want: "431, the node untouched",
}, {
	name: "over 128 vars", hostile: true,
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.unix}, uwgate: []string{"--max-vars", "128"}})
		var lines strings.Builder
		for i := range 129 {
			fmt.Fprintf(&lines, "X-%d: x\n", i)
		}
		return outcome(f.fetch("GET", "/who", strings.TrimSpace(lines.String()))) + f.untouched(f.a, "/who")
	},
	want: "431, the node untouched",
}, {
	name: "backlog full, 20 parallel on 1 worker, UNIX",
	run:  func(f *trial) string { return f.crowd(func(n *node) string { return n.unix }) },
	want: "20 × 200",
}, {
	name: "backlog full, 20 parallel on 1 worker, TCP",
	run:  func(f *trial) string { return f.crowd(func(n *node) string { return n.tcp }) },
	want: "20 × 200",
}, {
	name: "app exception",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.unix}})
		failed := f.posts(10, "/silent?node=a", 10)
		return fmt.Sprintf("%v%s; then %v", failed, f.ejected(f.a), f.gets(20, "/who"))
	},
	want: "10 × 502; then 20 × 200",
}, {
	name: "static nodes with weights 3:2, in any 5 consecutive requests",
	run: func(f *trial) string {
		f.serve(setup{nodes: []string{f.a.unix + " weight=3", f.b.unix + " weight=2"}})
		return f.shares(f.a, 50, 5)
	},
	want: "3 to 3 of 5",
}}

// backWithin waits until a page comes back.
func (f *trial) backWithin(limit time.Duration) string {
	if soon(limit, func() bool { return f.gets(1, "/who").only("200") }) {
		return fmt.Sprintf("back within %v", limit)
	}
	return fmt.Sprintf("not back within %v", limit)
}

// spared waits until no visitor gets the failing node.
func (f *trial) spared() string {
	var seen *tally
	if soon(patience, func() bool { seen = f.atOnce(6, "/who"); return seen.only("200") }) {
		return fmt.Sprintf("ejected; then %v", f.gets(20, "/who"))
	}
	return fmt.Sprintf("not ejected within %v: %v", patience, seen)
}

// stored returns whether uwgate has stored the page, and checks that it stores another
// one.
func (f *trial) stored(uri string) string {
	if !f.gateway {
		return ""
	}
	f.want(f.get("/page/who"), 200)
	if l := f.line("/page/who"); l.Verdict != "store" {
		f.t.Errorf("a whole page is logged as %+v", l)
	}
	if l := f.line(uri); l.Verdict != "pass" {
		return ", stored"
	}
	return ", not stored"
}

// paused sends half of a body and the other half after the pause.
func (f *trial) paused(path string, pause time.Duration) string {
	half := bytes.Repeat([]byte("x"), 100_000)
	nc, err := net.Dial("tcp", f.Nginx.Addr)
	f.must(err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "POST %s HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", path, 2*len(half), half)
	<-time.After(pause) // it is the subject
	nc.Write(half)
	p := readPage(nc, "POST")
	if p.body == fmt.Sprint(2*len(half)) {
		return outcome(p) + ", all of the body"
	}
	return outcome(p)
}

// leave sends a request and disconnects when the request has reached the node.
func (f *trial) leave(came, left <-chan struct{}) string {
	nc, err := net.Dial("tcp", f.Nginx.Addr)
	f.must(err)
	defer nc.Close()
	fmt.Fprint(nc, "GET /who HTTP/1.1\r\nHost: site.example\r\n\r\n")
	if !closes(came, patience) {
		return "the request does not come to the node"
	}
	nc.Close()
	// This is well before the front's timeout for the node.
	if !closes(left, time.Second) {
		return "the node's connection stays open"
	}
	return "the node's connection is closed at once"
}

func closes(c <-chan struct{}, limit time.Duration) bool {
	select {
	case <-c:
		return true
	case <-time.After(limit):
		return false
	}
}

// halfClose sends a request directly to the front, since nginx never half-closes.
func (f *trial) halfClose(uri string) string {
	nc, err := net.Dial("unix", f.socket())
	f.must(err)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	f.must((&uwsgi.Request{Vars: vars("GET", uri)}).Write(nc))
	f.must(nc.(*net.UnixConn).CloseWrite())
	return outcome(readPage(nc, "GET"))
}

// untouched returns whether the node got no request and still works.
func (f *trial) untouched(n *node, uri string) string {
	if f.line(uri).Backend != "" || f.ejected(n) != "" || !f.gets(5, "/who").only("200") {
		return ", the node suffers"
	}
	return ", the node untouched"
}

// ejected returns whether uwgate has taken the node out of use.
func (f *trial) ejected(n *node) string {
	up := regexp.MustCompile(`(?m)^uwgate_backend_up\{.*backend="` + regexp.QuoteMeta(n.unix) + `".*\} 1$`)
	if f.gateway && !up.MatchString(f.metrics()) {
		return ", ejected"
	}
	return ""
}

// crowd sends 20 requests at the same time to a node that can hold four.
func (f *trial) crowd(address func(*node) string) string {
	n := f.own("busy", "--processes", "1", "--listen", "3")
	f.serve(setup{nodes: []string{address(n)}, params: "max-conns=4", router: []string{"--fastrouter-timeout", "10"}})
	return f.atOnce(20, "/slow?s=0.1").String()
}

// shares returns the minimum and the maximum number of requests to the node among any
// consecutive ones.
func (f *trial) shares(n *node, requests, window int) string {
	least, most, here := window, 0, 0
	came := make([]int, requests) // 1: to the node
	for i := range came {
		if f.want(f.request("GET", numbered("/who", i), nil), 200).body == n.Name {
			came[i] = 1
		}
		here += came[i]
		if i >= window {
			here -= came[i-window]
		}
		if i >= window-1 {
			least, most = min(least, here), max(most, here)
		}
	}
	return fmt.Sprintf("%d to %d of %d", least, most, window)
}
