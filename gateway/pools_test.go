package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// A request over the workers' limits is answered by us, and none is asked.
func TestWorkersLimits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		size   int
		vars   int
		more   uwsgi.Var
		status int
		code   any
	}{
		{"within", 4096, 128, uwsgi.Var{Name: "HTTP_X", Value: "x"}, 200, nil},
		{"too large", 1024, 0, uwsgi.Var{Name: "HTTP_X", Value: strings.Repeat("x", 1000)}, 431, "block_too_large"},
		{"too many", 0, 9, uwsgi.Var{Name: "HTTP_X", Value: "x"}, 431, "too_many_vars"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(g *Gateway) {
				g.Backends.Default.BufferSize, g.Backends.Default.MaxVars = tt.size, tt.vars
			}, says(okPage("hello")))
			if got := b.get("/", tt.more); got.status != tt.status {
				t.Errorf("status %d, want %d", got.status, tt.status)
			}
			if line := b.line(0); line["code"] != tt.code {
				t.Errorf("code %v, want %v", line["code"], tt.code)
			}
			if asked := b.Backends.Default.Stats()[0].Requests; (asked == 1) != (tt.status == 200) {
				t.Errorf("the worker was asked %d times", asked)
			}
		})
	}
}

// What nginx sends for a modifier has no effect; the server's own has.
func TestModifiersComeFromThePool(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	heads := make(chan [4]byte, 1)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			var head [4]byte
			io.ReadFull(nc, head[:])
			io.WriteString(nc, okPage("hello"))
			nc.Close()
			heads <- head
		}
	}()
	for params, want := range map[string][2]byte{"": {5, 7}, " modifier1=9": {9, 7}, " modifier1=0 modifier2=0": {0, 0}} {
		b := startBench(t, "unix", func(g *Gateway) {
			g.Backends.Default.Modifier1, g.Backends.Default.Modifier2 = 5, 7
		}, ln.Addr().String()+params)
		b.get("/")
		if head := <-heads; head[0] != want[0] || head[3] != want[1] {
			t.Errorf("%q: modifiers %d and %d, want %v", params, head[0], head[3], want)
		}
	}
}

// A page is asked for whatever the language that nginx thinks of; the log names the
// flag once.
func TestModifiersOfNginx(t *testing.T) {
	got := make(chan [2]uint8, 1)
	worker := serveConns(t, "unix", func(nc net.Conn) {
		defer nc.Close()
		var head [4]byte
		io.ReadFull(nc, head[:])
		got <- [2]uint8{head[0], head[3]}
		io.WriteString(nc, okPage("hello"))
	})
	b := startBench(t, "unix", func(g *Gateway) { g.Backends.Default.Modifier1 = 5 }, "unix:"+worker)
	ask := func(modifier1, modifier2 uint8, uri string) response {
		packet, err := (&uwsgi.Request{Modifier1: modifier1, Modifier2: modifier2, Vars: missed(uri)}).Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		nc := b.dial()
		defer nc.Close()
		nc.Write(packet)
		raw, err := io.ReadAll(nc)
		return parseResponse(t, raw, err, "GET")
	}
	asks := 0
	for _, m := range [][2]uint8{{0, 0}, {5, 0}, {30, 0}, {14, 0}, {9, 0}, {7, 0}, {6, 0}, {8, 0}, {11, 0}, {15, 0}, {19, 0}, {23, 0}, {24, 0}, {25, 0}, {27, 0}, {28, 0}, {35, 0}, {0, 3}} {
		asks++
		if a := ask(m[0], m[1], "/"+strconv.Itoa(asks)); a.status != 200 || a.body != "hello" {
			t.Errorf("modifiers %v: got %d %q", m, a.status, a.body)
			continue
		}
		if to := <-got; to != [2]uint8{5, 0} {
			t.Errorf("modifiers %v: the worker got %v, want the pool's", m, to)
		}
	}
	for _, m := range []uint8{10, 17, 18, 22, 31, 32, 48, 72, 98, 101, 109, 110, 111, 173, 200, 224, 250, 255} {
		if a := ask(m, 0, "/"); a.status != 501 {
			t.Errorf("modifier1 %d: got %d, want 501", m, a.status)
		}
	}
	if len(got) > 0 {
		t.Error("a worker was asked with a modifier that asks for no page")
	}
	hints := b.logs.Filter(func(e observer.LoggedEntry) bool { return strings.Contains(e.Message, "uwsgi_modifier1") }).All()
	if len(hints) != 1 || !strings.Contains(fmt.Sprint(hints[0].ContextMap()), "--modifier1 30") {
		t.Errorf("the log has %v; want one line that names --modifier1 30", hints)
	}
	if stored := b.contents(); len(stored) != asks {
		t.Errorf("%d pages are stored, want %d", len(stored), asks)
	}
}

func TestQueueAnswers(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{}, 8)
	slow := func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
		entered <- struct{}{}
		<-release
		io.WriteString(nc, okPage("hello"))
	}
	b := startBench(t, "unix", func(g *Gateway) {
		g.Backends.Default.QueueLength, g.Backends.Default.QueueTimeout = 1, time.Second
	}, startWorker(t, slow)+" max-conns=1")
	var all sync.WaitGroup
	asked := 0
	ask := func(want int) {
		asked++
		uri := "/" + strconv.Itoa(asked)
		all.Go(func() {
			if got := b.get(uri); got.status != want || want == 503 && got.header.Get("Retry-After") == "" {
				t.Errorf("got %q, want status %d", got.raw, want)
			}
		})
	}
	ask(200)
	<-entered
	ask(503) // waits in vain
	eventually(t, "one waits", func() bool { return b.Backends.Default.PoolStats().Waiting == 1 })
	ask(503) // finds the queue full
	codes := []string{fmt.Sprint(b.line(0)["code"]), fmt.Sprint(b.line(1)["code"])}
	slices.Sort(codes) // a line may be late
	if want := []string{"queue_full", "queue_timeout"}; !slices.Equal(codes, want) {
		t.Errorf("logged %v, want %v", codes, want)
	}
	close(release)
	all.Wait()
	if s := b.Backends.Default.PoolStats(); s.QueueFull != 1 || s.QueueTimeouts != 1 || s.Queued != 2 || s.Waiting != 0 {
		t.Errorf("counted %+v, want one request that found the queue full, one that waited in vain, two that waited, and none that waits", s)
	}
}

// Every way for a request to end gives its place back.
func TestPlacesAreGivenBack(t *testing.T) {
	silent := func(net.Conn, *uwsgi.Request, *bufio.Reader) {}
	hang := func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) { in.ReadByte() }
	short := says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
	for name, s := range map[string]script{"response": says(okPage("hello")), "silence": silent, "timeout": hang, "broken off": short} {
		b := newBench(t, func(g *Gateway) { g.Timeouts.FirstByte = 50 * time.Millisecond }, s, s)
		for range 3 {
			b.get("/")
		}
		b.close()
		for _, n := range b.Backends.Default.Stats() {
			if n.InFlight != 0 {
				t.Errorf("%s: %d requests in flight at the end", name, n.InFlight)
			}
		}
	}
}

func TestPoolVars(t *testing.T) {
	var seen uwsgi.Vars
	worker := func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		seen = req.Vars
		io.WriteString(nc, okPage("hello"))
	}
	b := newBench(t, func(g *Gateway) {
		p := g.Backends.Default
		p.AllowVars = []string{"UWSGI_SCHEME=https", "UWSGI_APPID"}
		p.SetVars = uwsgi.Vars{{Name: "SCRIPT_NAME", Value: "/app"}, {Name: "HTTP_HOST", Value: "set.example.com"}}
	}, worker)
	b.get("/", uwsgi.Var{Name: "UWSGI_SCHEME", Value: "https"}, uwsgi.Var{Name: "UWSGI_APPID", Value: "a"}, uwsgi.Var{Name: "UWSGI_FILE", Value: "f"})
	b.get("/other", uwsgi.Var{Name: "UWSGI_SCHEME", Value: "ftp"})
	b.line(1)
	for name, want := range map[string]string{"UWSGI_SCHEME": "", "UWSGI_FILE": "", "SCRIPT_NAME": "/app", "HTTP_HOST": "set.example.com"} {
		if got := seen.Get(name); got != want || seen.Count(name) > 1 {
			t.Errorf("%s is %q, %d times, want %q", name, got, seen.Count(name), want)
		}
	}
	b = newBench(t, func(g *Gateway) { g.Backends.Default.AllowVars = []string{"UWSGI_SCHEME=https"} }, worker)
	b.get("/", uwsgi.Var{Name: "UWSGI_SCHEME", Value: "https"})
	b.line(0)
	if got := seen.Get("UWSGI_SCHEME"); got != "https" {
		t.Errorf("the value that is allowed arrives as %q", got)
	}
}

func TestPoolByHost(t *testing.T) {
	b := newBench(t, func(g *Gateway) {
		g.Backends.TrustKey = true
		for _, host := range []string{"a.example.com", "c.example.com:8080", "key"} {
			p, err := backend.NewPool(startWorker(t, says(okPage(host))))
			if err != nil {
				t.Fatal(err)
			}
			g.Backends.Add(p, host)
		}
	}, says(okPage("default")))
	for _, tt := range []struct{ host, key, want string }{
		{"A.example.com:8080", "", "a.example.com"},
		{"a.example.com.", "", "a.example.com"},
		{"A.Example.com.:80", "", "a.example.com"},
		{"a.example.com:@b.example.com", "", "a.example.com"},
		{"c.example.com:8080", "", "c.example.com:8080"},
		{"C.example.com.:8080", "", "c.example.com:8080"},
		{"c.example.com", "", "default"},
		{"b.example.com", "", "default"},
		{"b.example.com", "key", "key"},
		{"a.example.com", "unknown", "a.example.com"},
	} {
		got := b.get("/", uwsgi.Var{Name: "HTTP_HOST", Value: tt.host}, uwsgi.Var{Name: "UWSGI_FASTROUTER_KEY", Value: tt.key})
		if got.body != tt.want {
			t.Errorf("%s with key %q: answered by %q, want %q", tt.host, tt.key, got.body, tt.want)
		}
	}
}

func TestNoPool(t *testing.T) {
	b := newBench(t, func(g *Gateway) { g.Backends.Default = nil }, says(okPage("hello")))
	if got := b.get("/"); got.status != 503 {
		t.Errorf("status %d, want 503", got.status)
	}
	if line := b.line(0); line["code"] != "no_pool" {
		t.Errorf("logged %v", line)
	}
}

func TestTotalTimeout(t *testing.T) {
	drip := func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
		_, err := io.WriteString(nc, "HTTP/1.1 200 OK\r\n")
		for i := 0; err == nil; i++ {
			_, err = fmt.Fprintf(nc, "X-%d: drip\r\n", i)
			time.Sleep(time.Millisecond)
		}
	}
	b := newBench(t, func(g *Gateway) { g.Timeouts.Total = 50 * time.Millisecond }, drip)
	if got := b.get("/"); got.status != 504 {
		t.Errorf("status %d, want 504", got.status)
	}
}

// A server that leaves requests unanswered is probed, and not before.
func TestDoubtHasAServerProbed(t *testing.T) {
	pinged := make(chan struct{}, 1)
	hang := func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		if req.IsPing() {
			pinged <- struct{}{}
			return
		}
		in.ReadByte()
	}
	b := newBench(t, func(g *Gateway) { g.Timeouts.FirstByte = 20 * time.Millisecond }, hang)
	for i := range 3 {
		if len(pinged) > 0 {
			t.Errorf("probed after %d requests", i)
		}
		if got := b.get("/"); got.status != 504 {
			t.Errorf("status %d, want 504", got.status)
		}
	}
	select {
	case <-pinged:
	case <-time.After(patience):
		t.Error("not probed")
	}
}

func TestNoRetryBeyondTheBudget(t *testing.T) {
	silent := func(net.Conn, *uwsgi.Request, *bufio.Reader) {}
	b := newBench(t, nil, silent, says(okPage("hello")))
	for b.Backends.Default.TakeRetry() {
	}
	if got := b.get("/"); got.status != 502 {
		t.Errorf("status %d, want 502", got.status)
	}
}

func TestHashKeyOfARequest(t *testing.T) {
	v := request("GET", "/page", uwsgi.Var{Name: "REMOTE_ADDR", Value: "10.0.0.1"})
	for _, tt := range []struct {
		choice    backend.Choice
		key, want string
	}{
		{backend.HashKey, "k:/page", "k:/page"},
		{backend.HashKey, "", "/page"},
		{backend.HashClient, "k:/page", "10.0.0.1"},
		{backend.RoundRobin, "k:/page", ""},
	} {
		w := worker{pool: &backend.Pool{Choice: tt.choice}}
		if got := w.want(v, tt.key); got.HashKey != tt.want || got.Host != "example.com" {
			t.Errorf("%v with key %q: got %+v, want %q", tt.choice, tt.key, got, tt.want)
		}
	}
}

func TestOutcome(t *testing.T) {
	read := func(s script) error {
		ours, theirs := net.Pipe()
		go func() { s(theirs, nil, nil); theirs.Close() }()
		ours.SetDeadline(time.Now().Add(500 * time.Millisecond))
		defer ours.Close()
		_, err := uwsgi.ReadResponse(bufio.NewReader(ours))
		return err
	}
	for name, tt := range map[string]struct {
		err  error
		want backend.Outcome
	}{
		"page":     {read(says(okPage("hello"))), backend.Responded},
		"nonsense": {read(says("nonsense\r\n\r\n")), backend.Responded},
		"close":    {read(says("")), backend.Silent},
		"silence":  {read(func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) { nc.Read(make([]byte, 1)) }), backend.TimedOut},
		"reset":    {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, backend.Reset},
	} {
		if got := outcome(tt.err); got != tt.want {
			t.Errorf("%s: outcome %v of %v, want %v", name, got, tt.err, tt.want)
		}
	}
}

// What a proxy says of the scheme, and is dropped although it differs, is logged once.
func TestHintOfForwardedProto(t *testing.T) {
	const proto, ssl, scheme, https = "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL", "REQUEST_SCHEME", "HTTPS"
	for _, tt := range []struct {
		name    string
		vars    uwsgi.Vars
		trusted bool
		says    string // "": nothing
	}{
		{"another scheme", uwsgi.Vars{{Name: proto, Value: "https"}}, false, `nginx's, "http"`},
		{"nginx's own", uwsgi.Vars{{Name: proto, Value: "http"}}, false, ""},
		{"none", nil, false, ""},
		{"trusted", uwsgi.Vars{{Name: proto, Value: "https"}}, true, ""},
		{"TLS", uwsgi.Vars{{Name: ssl, Value: "on"}}, false, `nginx's, "http"`},
		{"no TLS", uwsgi.Vars{{Name: ssl, Value: "off"}}, false, ""},
		{"nginx's scheme is not known", uwsgi.Vars{{Name: proto, Value: "https"}, {Name: scheme, Value: ""}}, false, "none, since nginx sends no REQUEST_SCHEME"},
		{"nginx says it as HTTPS", uwsgi.Vars{{Name: proto, Value: "https"}, {Name: scheme, Value: ""}, {Name: https, Value: "on"}}, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, func(g *Gateway) { g.Firewall = &policy.Firewall{TrustForwardedProto: tt.trusted} }, says(okPage("hello")))
			for range 3 {
				b.get("/", tt.vars...)
			}
			hints := b.logs.Filter(func(e observer.LoggedEntry) bool {
				return strings.Contains(fmt.Sprint(e.ContextMap()), "--trust-forwarded-proto")
			}).All()
			switch {
			case tt.says == "" && len(hints) > 0:
				t.Errorf("got %v, want nothing", hints)
			case tt.says != "" && (len(hints) != 1 || !strings.Contains(hints[0].Message, tt.says)):
				t.Errorf("got %v, want %q once", hints, tt.says)
			}
		})
	}
}
