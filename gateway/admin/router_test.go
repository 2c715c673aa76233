package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwgate/gateway"
	"uwgate/gateway/subscription"
	"uwgate/uwsgi"
)

// recordedStats returns the documents of a real FastRouter.
func recordedStats(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("testdata/fastrouter_stats.json")
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, text)
}

func parsed(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return doc
}

// shape lists the paths of a document, each with the type of what is there.
func shape(path string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		var all []string
		for name, x := range v {
			all = append(all, shape(path+"."+name, x)...)
		}
		return all
	case []any:
		var all []string
		for _, x := range v {
			all = append(all, shape(path+"[]", x)...)
		}
		return all
	}
	return []string{fmt.Sprintf("%s %T", path, v)}
}

// servesStatsAt serves the statistics until the test ends, and returns the address.
func (b *bench) servesStatsAt(network string) (addr string) {
	b.t.Helper()
	b.Version = "1.2.3"
	ln := listen(b.t, network)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.ServeStats(ctx, ln) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			b.t.Errorf("ServeStats: %v", err)
		}
	})
	return ln.Addr().String()
}

// servesStats returns a function that connects and reads the statistics.
func (b *bench) servesStats() (read func() map[string]any) {
	b.t.Helper()
	addr := b.servesStatsAt("tcp")
	return func() map[string]any {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			b.t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		io.WriteString(nc, "GET / HTTP/1.0\r\n\r\n") // is ignored
		text, err := io.ReadAll(nc)
		if err != nil {
			b.t.Fatal(err)
		}
		return parsed(b.t, text)
	}
}

// The document has all that FastRouter's has, of the same types. FastRouter's own text is not
// valid JSON with such a key.
func TestStatsAreFastRouters(t *testing.T) {
	subs := &subscription.Registry{}
	b := newBench(t, func(g *gateway.Gateway) { g.Subscriptions, g.Backends.Announced = subs, subs.Pools }, says(page("hello")))
	announce(t, subs, &uwsgi.Subscription{Key: `<a\c>`, Address: "127.0.0.1:22216", Cores: 2, Weight: 7})
	doc := b.servesStats()()
	got := shape("", doc)
	for _, mode := range []string{"subscription_mode", "static_mode"} {
		for _, want := range shape("", recordedStats(t)[mode]) {
			if !slices.Contains(got, want) {
				t.Errorf("%s: %s is missing from\n%s", mode, want, strings.Join(got, "\n"))
			}
		}
	}
	if n := len(doc["static_nodes"].([]any)); n != 1 {
		t.Errorf("%d static nodes, want 1: the other one has announced itself", n)
	}
	sub := doc["subscriptions"].([]any)[0].(map[string]any)
	node := sub["nodes"].([]any)[0].(map[string]any)
	if sub["key"] != `<a\c>` || node["name"] != "127.0.0.1:22216" || node["cores"] != 2.0 || node["weight"] != 7.0 {
		t.Errorf("got %v", sub)
	}
	if since := time.Since(time.Unix(int64(node["last_check"].(float64)), 0)); since < 0 || since > time.Minute {
		t.Errorf("the last announcement was %v ago", since)
	}
}

// announce sends a datagram and waits until it has been accepted.
func announce(t *testing.T, subs *subscription.Registry, s *uwsgi.Subscription) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- subs.Serve(ctx, pc) }()
	t.Cleanup(func() { stop(); <-served })
	datagram, err := s.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("udp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.Write(datagram)
	eventually(t, "announcement taken", func() bool { return subs.Stats().Announced == 1 })
}

func TestSlotHash(t *testing.T) {
	mode := recordedStats(t)["subscription_mode"].(map[string]any)
	for _, s := range mode["subscriptions"].([]any) {
		s := s.(map[string]any)
		if got, want := slotHash(s["key"].(string)), uint32(s["hash"].(float64)); got != want {
			t.Errorf("slotHash(%q) = %d, want %d", s["key"], got, want)
		}
	}
}

// The document counts what has happened.
func TestStatsAreTrue(t *testing.T) {
	b := startBench(t, nil, startWorker(t, says(page("hello"))), "127.0.0.1:1")
	read := b.servesStats()
	for i := range 4 {
		b.get("/" + strconv.Itoa(i))
	}
	b.idle(4)
	doc := read()
	if got := fmt.Sprint(doc["fastrouter"]); got != "["+b.addr+"]" {
		t.Errorf("fastrouter %s, want the address %s", got, b.addr)
	}
	nodes := doc["static_nodes"].([]any)
	up, down := nodes[0].(map[string]any), nodes[1].(map[string]any)
	if up["hits"] != 4.0 || up["grace"] != 0.0 {
		t.Errorf("the server that responds: %v", up)
	}
	if since := time.Since(time.Unix(int64(down["grace"].(float64)), 0)); down["hits"] != 0.0 || since < 0 || since > time.Minute {
		t.Errorf("the server that refuses: %v", down)
	}
	if got := b.Gateway.Backends.Default.Stats()[0]; got.Received != 4*5 || got.Sent < 4*100 {
		t.Errorf("%d bytes received and %d sent", got.Received, got.Sent)
	}
}

// Clients that do not read keep nobody else from the statistics for longer than statsTimeout,
// and no more than maxStatsClients of them take memory.
func TestStatsClientsAreBounded(t *testing.T) {
	b := newBench(t, nil, says(page("hello")))
	addr := b.servesStatsAt("unix")
	idle := make([]net.Conn, maxStatsClients)
	for i := range idle {
		nc, err := net.Dial("unix", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		if _, err := nc.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		idle[i] = nc
	}
	nc, err := net.Dial("unix", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := nc.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("beyond the bound: read %d bytes, %v; want to wait", n, err)
	}
	idle[0].Close()
	nc.SetDeadline(time.Now().Add(patience))
	if text, err := io.ReadAll(nc); err != nil || parsed(t, text)["version"] != "1.2.3" {
		t.Errorf("when one had left: %v", err)
	}
}

// uwsgitopReads are the fields that uwsgitop needs.
var uwsgitopReads = []string{
	"id", "pid", "requests", "exceptions", "status", "avg_rt", "rss", "vsz", "tx", "running_time",
	"last_spawn", "respawn_count", "harakiri_count",
}

func TestStatsWorker(t *testing.T) {
	goOn := make(chan struct{})
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request) {
		switch req.Vars.Get("PATH_INFO") {
		case "/fails":
			return
		case "/slow":
			<-goOn
		}
		io.WriteString(nc, page("hello"))
	})
	read := b.servesStats()
	one := func() map[string]any {
		workers := read()["workers"].([]any)
		if len(workers) != 1 {
			t.Fatalf("%d workers, want the one process that there is", len(workers))
		}
		return workers[0].(map[string]any)
	}
	w := one()
	for _, field := range uwsgitopReads {
		if w[field] == nil {
			t.Errorf("%s is missing", field)
		}
	}
	if w["status"] != "idle" || w["requests"] != 0.0 || w["avg_rt"] != 0.0 || w["pid"] != float64(os.Getpid()) {
		t.Errorf("at first: %v", w)
	}
	if rss, vsz := w["rss"].(float64), w["vsz"].(float64); runtime.GOOS == "linux" && (rss < 1<<20 || vsz < rss) {
		t.Errorf("rss %v, vsz %v", rss, vsz)
	}
	b.get("/")
	b.get("/fails")
	b.idle(2)
	slow := make(chan string, 1)
	go func() { slow <- b.get("/slow") }()
	eventually(t, "busy", func() bool { return one()["status"] == "busy" })
	w = one()
	if w["requests"] != 2.0 || w["exceptions"] != 1.0 || w["tx"].(float64) < 5 || w["running_time"].(float64) < 2*w["avg_rt"].(float64) || w["avg_rt"] == 0.0 {
		t.Errorf("after two requests, one of which failed: %v", w)
	}
	close(goOn)
	<-slow
}

// uwsgitop, which Debian does not have, shows the gateway as a worker in each of its
// modes, over sockets of either kind.
func TestUwsgitop(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			b := newBench(t, nil, says(page("hello")))
			addr := b.servesStatsAt(network)
			for range 3 {
				b.get("/")
			}
			b.idle(3)
			ctx, cancel := context.WithTimeout(t.Context(), patience) // it waits for the end
			defer cancel()
			out, err := exec.CommandContext(ctx, python, "testdata/uwsgitop.py", addr).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			const all = `uwsgi-1\.2\.3 - req: 3 - RPS: \d+ - lq: 0 - tx: 15`
			worker := fmt.Sprintf(` 1 100\.0 %d 3 \d+ 0 0 idle \d+ms \S+ \S+ 15 1 0 \S+ \d\d:\d\d:\d\d`, os.Getpid())
			node := fmt.Sprintf(`node: - cwd: \S+ - uid: %d - gid: %d - masterpid: %d`, os.Getuid(), os.Getgid(), os.Getpid())
			screen := "(" + node + "\n" + all + "\n" + worker + "\n){2}"
			cores := "(" + node + "\nuwsgi-1.*\n){2}" // the document has none
			if want := "^" + screen + cores + screen + "$"; !regexp.MustCompile(want).Match(out) {
				t.Errorf("got\n%s\nwant\n%s", out, want)
			}
		})
	}
}
