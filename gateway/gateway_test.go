package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

func TestMissIsRelayedAndStored(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello", "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT")))
	b.Store.Greet(t.Context())
	got := b.get("/a%20b")
	if got.status != 200 || got.body != "hello" || got.err != nil {
		t.Fatalf("got %d %q %v, want 200 hello", got.status, got.body, got.err)
	}
	if want := "uwgate; fwd=uri-miss; fwd-status=200; stored; ttl=600; detail=default-ttl"; got.header.Get("Cache-Status") != want {
		t.Errorf("Cache-Status %q, want %q", got.header.Get("Cache-Status"), want)
	}
	if got.header.Has("Last-Modified") || got.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("head %q does not look like the hit that follows", got.raw)
	}
	line := b.line(0)
	for field, want := range map[string]any{"method": "GET", "uri": "/a%20b", "status": int64(200), "bytes": int64(5),
		"verdict": "store", "reason": "default-ttl", "ttl": int64(600), "key": "k:/a%20b"} {
		if line[field] != want {
			t.Errorf("access line: %s is %v, want %v", field, line[field], want)
		}
	}
	if it := b.contents()["k:/a%2520b"]; it.body != "hello" || it.flags != "0" || (it.expiry != "600" && it.expiry != "599") {
		t.Errorf("stored %+v, want hello with flags 0 for 600 s under the escaped key", it)
	}
}

// What must not be stored is answered all the same, and the log says why.
func TestNotStored(t *testing.T) {
	chunked := "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name     string
		vars     uwsgi.Vars
		response string
		body     string
		reason   string
	}{
		{"POST", request("POST", "/", uwsgi.Var{Name: "CACHE_KEY", Value: "k"}), okPage("hello"), "hello", "method"},
		{"HEAD", missed("/", uwsgi.Var{Name: "REQUEST_METHOD", Value: "HEAD"}), okPage("hello"), "", "method"},
		{"without method", uwsgi.Vars{{Name: "HTTP_HOST", Value: "a"}}, okPage("hello"), "hello", "no-method"},
		{"bypassed", request("GET", "/", uwsgi.Var{Name: "CACHE_KEY", Value: "k"}), okPage("hello"), "hello", "not-looked-up"},
		{"Set-Cookie", missed("/"), okPage("hello", "Set-Cookie: a=b"), "hello", "set-cookie"},
		{"private", missed("/"), okPage("hello", "Cache-Control: private"), "hello", "private"},
		{"not found", missed("/"), strings.Replace(okPage("hello"), "200 OK", "404 Not Found", 1), "hello", "status"},
		{"no length", missed("/"), "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\nhello", "hello", "no-length"},
		{"session", missed("/", uwsgi.Var{Name: "HTTP_COOKIE", Value: "sessionid=1"}), okPage("hello"), "hello", "identity-cookie"},
		{"a form", missed("/"), okPage("<input name=csrfmiddlewaretoken>"), "<input name=csrfmiddlewaretoken>", "sentinel"},
		{"empty", missed("/"), okPage(""), "", "empty"},
		{"more than announced", missed("/"), okPage("hello") + "!", "hello", "truncated"},
		{"trailers", missed("/"), chunked + "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "hello", "trailers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil, says(tt.response))
			if got := b.ask(tt.vars, nil); got.body != tt.body || got.err != nil {
				t.Errorf("body %q, %v; want %q", got.body, got.err, tt.body)
			}
			if line := b.line(0); line["reason"] != tt.reason || line["verdict"] != "pass" {
				t.Errorf("logged %v, %v; want pass, %s", line["verdict"], line["reason"], tt.reason)
			}
			if items := b.contents(); len(items) != 0 {
				t.Errorf("stored %v", items)
			}
		})
	}
}

func TestChunkedIsDecodedAndStored(t *testing.T) {
	b := newBench(t, nil, says("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"))
	got := b.get("/")
	if got.body != "hello" || got.header.Has("Transfer-Encoding") {
		t.Errorf("got %q, want the decoded body and no framing", got.raw)
	}
	if it := b.contents()["k:/"]; it.body != "hello" {
		t.Errorf("stored %+v", it)
	}
}

// A broken response reaches nginx as broken, and memcached not at all.
func TestTruncatedAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		response string
		reset    bool // TCP says so; with a declared length nginx counts itself
	}{
		"short of its length":    {strings.Replace(okPage("hello"), "hello", "hel", 1), false},
		"without its last chunk": {"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBench(t, "tcp", nil, startWorker(t, says(tt.response)))
			got := b.get("/")
			if tt.reset && got.err == nil {
				t.Error("the connection ended cleanly, so the page looks complete")
			}
			if !tt.reset && (got.length != 5 || got.body != "hel") {
				t.Errorf("got %q, want 3 of 5 bytes", got.raw)
			}
			if line := b.line(0); line["reason"] != "truncated" || line["side"] != "backend" {
				t.Errorf("logged %v", line)
			}
			if items := b.contents(); len(items) != 0 {
				t.Errorf("stored %v", items)
			}
		})
	}
}

func TestHeadKeepsTheLengthAndDropsTheBody(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello")))
	got := b.ask(request("HEAD", "/"), nil)
	if got.length != 5 || got.body != "" {
		t.Errorf("got %q, want Content-Length 5 and no body", got.raw)
	}
}

func TestInterimAnswersAreSwallowed(t *testing.T) {
	b := newBench(t, nil, says("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"+okPage("hello")))
	if got := b.get("/"); got.status != 200 || got.body != "hello" {
		t.Errorf("got %q, want the final response alone", got.raw)
	}
}

// What the worker is asked differs from what nginx sent.
func TestWorkerSeesNeitherMagicNorCacheVars(t *testing.T) {
	seen := make(chan uwsgi.Vars, 1)
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		seen <- req.Vars
		io.WriteString(nc, okPage("hello"))
	})
	b.get("/p?q=1", uwsgi.Var{Name: "UWSGI_FILE", Value: "/tmp/evil.py"}, uwsgi.Var{Name: "HTTP_PROXY", Value: "x"},
		uwsgi.Var{Name: "HTTP_IF_NONE_MATCH", Value: `"x"`},
		uwsgi.Var{Name: "HTTP_ACCEPT_ENCODING", Value: "gzip"}, uwsgi.Var{Name: "HTTP_ACCEPT", Value: "*/*"})
	v := <-seen
	for _, name := range []string{"UWSGI_FILE", "HTTP_PROXY", "HTTP_IF_NONE_MATCH", "HTTP_ACCEPT_ENCODING", "CACHE_KEY", "CACHE_STATUS"} {
		if v.Count(name) != 0 {
			t.Errorf("the worker got %s", name)
		}
	}
	if v.Get("HTTP_ACCEPT") != "*/*" || v.Get("REQUEST_URI") != "/p?q=1" {
		t.Errorf("the worker got %v", v)
	}
}

// nginx threw this body away when it asked memcached: a worker that waits for
// it is lost for seconds.
func TestAnnouncedBodyOfALookupIsNotAnnounced(t *testing.T) {
	b := newBench(t, nil, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		io.WriteString(nc, okPage("length="+req.Vars.Get("CONTENT_LENGTH")))
	})
	got := b.get("/", uwsgi.Var{Name: "CONTENT_LENGTH", Value: "10"}, uwsgi.Var{Name: "HTTP_CONTENT_LENGTH", Value: "10"})
	if got.body != "length=" {
		t.Errorf("the worker got %q", got.body)
	}
	if line := b.line(0); line["reason"] != "request-body" {
		t.Errorf("reason %v, want request-body", line["reason"])
	}
}

func TestSilentBackend(t *testing.T) {
	silent := says("")
	for _, tt := range []struct {
		name    string
		method  string
		body    string
		scripts []script
		status  int
		asked   uint64 // backends, all together
	}{
		{"GET goes to another one", "GET", "", []script{silent, says(okPage("hello"))}, 200, 2},
		{"HEAD goes to another one", "HEAD", "", []script{silent, says(okPage("hello"))}, 200, 2},
		{"POST does not", "POST", "", []script{silent, says(okPage("hello"))}, 502, 1},
		{"an upgrade is asked for once", "UPGRADE", "", []script{silent, says(okPage("hello"))}, 502, 1},
		{"a body is sent again", "GET", "hello", []script{silent, says(okPage("hello"))}, 200, 2},
		{"the only one is asked again", "GET", "", []script{silent}, 502, 2},
		{"a POST to the only one is sent once", "POST", "", []script{silent}, 502, 1},
		{"nobody is asked a third time", "GET", "", []script{silent, silent, silent}, 502, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, nil, tt.scripts...)
			v := request(tt.method, "/")
			if tt.method == "UPGRADE" {
				v = request("GET", "/", uwsgi.Var{Name: "HTTP_UPGRADE", Value: "echo"}, uwsgi.Var{Name: "HTTP_CONNECTION", Value: "Upgrade"})
			}
			if tt.body != "" {
				v = setVar(v, uwsgi.Var{Name: "CONTENT_LENGTH", Value: strconv.Itoa(len(tt.body))})
			}
			if got := b.ask(v, []byte(tt.body)); got.status != tt.status {
				t.Errorf("status %d, want %d", got.status, tt.status)
			}
			var asked uint64
			for _, n := range b.Backends.Default.Stats() {
				asked += n.Requests
				if !n.Up {
					t.Errorf("%s was ejected for what a client can cause", n.Name)
				}
			}
			if asked != tt.asked {
				t.Errorf("%d backends were asked, want %d", asked, tt.asked)
			}
		})
	}
}

// A POST that a worker may have seen is never sent again.
func TestPostIsNotRepeated(t *testing.T) {
	var mu sync.Mutex
	calls := 0
	silent := func(net.Conn, *uwsgi.Request, *bufio.Reader) {
		mu.Lock()
		calls++
		mu.Unlock()
	}
	b := newBench(t, nil, silent, silent)
	if got := b.ask(request("POST", "/"), nil); got.status != 502 {
		t.Errorf("status %d, want 502", got.status)
	}
	mu.Lock()
	defer mu.Unlock()
	if calls != 1 {
		t.Errorf("the request was sent %d times, want once", calls)
	}
}

func TestOwnAnswers(t *testing.T) {
	hang := func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) { in.ReadByte() }
	gone := "unix:" + filepath.Join(t.TempDir(), "gone.sock")
	for _, tt := range []struct {
		name   string
		worker string
		packet []byte
		status int
		code   any
	}{
		{"no backend", gone, encode(t, missed("/")), 503, "no_backend"},
		{"backend hangs", startWorker(t, hang), encode(t, missed("/")), 504, nil},
		{"nonsense for a response", startWorker(t, says("nonsense\r\n\r\n")), encode(t, missed("/")), 502, nil},
		{"101 unasked", startWorker(t, says("HTTP/1.1 101 Switching Protocols\r\n\r\n")), encode(t, missed("/")), 502, nil},
		{"HTTP on the wrong port", gone, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 501, "bad_modifier"},
		{"name cut short", gone, []byte{0, 4, 0, 0, 9, 0, 'A', 'B'}, 400, "truncated_key"},
		{"too many vars", gone, encode(t, many(1001)), 431, "too_many_vars"},
		{"two lengths", gone, encode(t, append(missed("/", uwsgi.Var{Name: "CONTENT_LENGTH", Value: "1"}), uwsgi.Var{Name: "CONTENT_LENGTH", Value: "2"})), 400, "duplicate_var"},
		{"bad length", gone, encode(t, missed("/", uwsgi.Var{Name: "CONTENT_LENGTH", Value: "1e1"})), 400, "bad_content_length"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := startBench(t, "unix", func(g *Gateway) {
				g.Timeouts.FirstByte, g.Backends.Default.QueueTimeout = 50*time.Millisecond, 10*time.Millisecond
			}, tt.worker)
			nc := b.dial()
			nc.Write(append(tt.packet, make([]byte, 100_000)...)) // and a body that nobody wants
			raw, err := io.ReadAll(nc)
			got := parseResponse(t, raw, err, "GET")
			if got.status != tt.status || got.err != nil || int64(len(got.body)) != got.length {
				t.Errorf("got %d %q %v, want %d and a whole body", got.status, got.body, got.err, tt.status)
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("head %q, want Cache-Control: no-store", got.raw)
			}
			if by := got.header.Get("Cache-Status"); by != "uwgate; detail=error" {
				t.Errorf("status %d with Cache-Status %q", got.status, by)
			}
			if retry := got.header.Get("Retry-After"); (retry != "") != (tt.status == 503) {
				t.Errorf("status %d with Retry-After %q", got.status, retry)
			}
			if line := b.line(0); line["status"] != int64(tt.status) || line["code"] != tt.code {
				t.Errorf("logged %v", line)
			}
		})
	}
}

func many(n int) uwsgi.Vars {
	v := make(uwsgi.Vars, n)
	for i := range v {
		v[i] = uwsgi.Var{Name: fmt.Sprintf("HTTP_X_%d", i), Value: "v"}
	}
	return v
}

func TestSlowHeadIsAnswered(t *testing.T) {
	b := newBench(t, func(g *Gateway) { g.Timeouts.Head = 20 * time.Millisecond }, says(okPage("hello")))
	nc := b.dial()
	nc.Write([]byte{0, 40})
	raw, err := io.ReadAll(nc)
	if got := parseResponse(t, raw, err, ""); got.status != 408 {
		t.Errorf("got %q, %v; want 408", got.raw, err)
	}
}

func TestPingIsAnsweredWithoutAWorker(t *testing.T) {
	b := startBench(t, "unix", nil, "unix:"+filepath.Join(t.TempDir(), "gone.sock"))
	nc := b.dial()
	nc.Write([]byte(uwsgi.Ping))
	if got, err := io.ReadAll(nc); string(got) != uwsgi.Pong || err != nil {
		t.Errorf("got %q, %v; want a pong", got, err)
	}
}

func TestTunnel(t *testing.T) {
	b := newBench(t, nil, func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
		io.WriteString(nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
		io.Copy(nc, in)
	})
	nc := b.dial()
	nc.Write(encode(t, request("GET", "/", uwsgi.Var{Name: "HTTP_UPGRADE", Value: "echo"}, uwsgi.Var{Name: "HTTP_CONNECTION", Value: "Upgrade"})))
	br := bufio.NewReader(nc)
	resp, err := uwsgi.ReadResponse(br)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "echo" {
		t.Fatalf("got %+v, %v; want 101 and its Upgrade", resp, err)
	}
	for _, word := range []string{"hello", "again"} {
		io.WriteString(nc, word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(br, got); err != nil || string(got) != word {
			t.Fatalf("echo %q, %v; want %q", got, err, word)
		}
	}
	nc.Close()
	if line := b.line(0); line["status"] != int64(101) || line["bytes"] != int64(10) || line["reason"] != "upgrade" {
		t.Errorf("logged %v", line)
	}
}

// The argument deletes the entry of the URL without it, and refills it; the
// secret goes nowhere.
func TestBypass(t *testing.T) {
	seen := make(chan uwsgi.Vars, 1)
	b := newBench(t, bypassing(t), func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		seen <- req.Vars
		io.WriteString(nc, okPage("fresh"))
	})
	b.store.set("k:/p?a=1", item{body: "old"})
	b.get("/p?a=1&nocache=s3cret")
	v := <-seen
	if v.Get("REQUEST_URI") != "/p?a=1" || v.Get("QUERY_STRING") != "a=1" {
		t.Errorf("the worker was asked for %q, %q", v.Get("REQUEST_URI"), v.Get("QUERY_STRING"))
	}
	if line := fmt.Sprint(b.line(0)); strings.Contains(line, "s3cret") {
		t.Errorf("the log shows the secret: %s", line)
	}
	items := b.contents()
	if len(items) != 1 || items["k:/p?a=1"].body != "fresh" {
		t.Errorf("memcached holds %v, want the fresh page under the key without the argument", items)
	}
	if got := strings.Join(b.store.deletes, " "); got != "k:/p?a=1" {
		t.Errorf("deleted %q", got)
	}
}

// A page that was being made when its entry was deleted is not stored.
func TestFillThatBeganBeforeAPurge(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	b := newBench(t, bypassing(t), func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		if req.Vars.Get("HTTP_X_MOZ") != "" {
			close(began)
			<-goOn
			io.WriteString(nc, okPage("old"))
			return
		}
		io.WriteString(nc, okPage("private now", "Cache-Control: private"))
	})
	done := make(chan response)
	go func() { done <- b.get("/p", uwsgi.Var{Name: "HTTP_X_MOZ", Value: "1"}) }()
	<-began
	b.get("/p?nocache=s3cret")
	close(goOn)
	if got := <-done; got.body != "old" {
		t.Errorf("got %q, want the response all the same", got.body)
	}
	eventually(t, "reason purged in the log", func() bool {
		return b.lines(policy.Purged) == 1
	})
	if items := b.contents(); len(items) != 0 {
		t.Errorf("memcached holds %v", items)
	}
}

func bypassing(t *testing.T) func(*Gateway) {
	return func(g *Gateway) {
		bypass, err := policy.ParseBypass("nocache=s3cret")
		if err != nil {
			t.Fatal(err)
		}
		g.Policy.Bypass = bypass
	}
}

// A store that is down costs nothing. Only the log and the numbers show it.
func TestStoreDown(t *testing.T) {
	b := newBench(t, func(g *Gateway) {
		ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: "127.0.0.1:1"})
		if err != nil {
			t.Fatal(err)
		}
		g.Store = &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience}
	}, says(okPage("hello")))
	for range 20 {
		if got := b.get("/"); got.status != 200 || got.body != "hello" {
			t.Fatalf("got %q", got.raw)
		}
	}
}

// Everything that has been accepted, or waits to be, is answered.
func TestDrain(t *testing.T) {
	const n = 200
	goOn := make(chan struct{})
	var started sync.WaitGroup
	started.Add(n)
	b := newBench(t, nil, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
		started.Done()
		<-goOn
		io.WriteString(nc, okPage("hello"))
	})
	responses := make(chan response, n)
	for i := range n {
		go func() { responses <- b.get("/" + strconv.Itoa(i)) }()
	}
	started.Wait()
	b.stop()
	eventually(t, "listener closed", func() bool { return b.stats.listeners.Load() == 0 })
	close(goOn)
	for range n {
		if got := <-responses; got.body != "hello" || got.err != nil {
			t.Errorf("got %q, %v", got.raw, got.err)
		}
	}
	items := b.contents()
	if len(items) != n {
		t.Errorf("%d pages stored, want %d", len(items), n)
	}
	for key, it := range items {
		if it.body != "hello" {
			t.Errorf("%s: stored %q", key, it.body)
		}
	}
}

func TestDrainTimeout(t *testing.T) {
	started, left := make(chan struct{}), make(chan error, 1)
	b := newBench(t, func(g *Gateway) { g.Timeouts.Drain = 20 * time.Millisecond },
		func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
			close(started)
			_, err := in.ReadByte()
			left <- err
		})
	nc := b.dial()
	nc.Write(encode(t, missed("/")))
	<-started
	b.stop()
	err := <-b.served
	b.served <- nil
	if err == nil || !strings.Contains(err.Error(), "1 requests were still in flight") {
		t.Errorf("Serve returned %v, want what was broken off", err)
	}
	if err := <-left; err != io.EOF {
		t.Errorf("the worker read %v, want EOF: the request was not broken off", err)
	}
}

func TestPeers(t *testing.T) {
	g := &Gateway{Peers: Peers{Networks: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}}
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "10.1.2.3:1": true, "[::ffff:10.1.2.3]:1": true,
		"10.2.0.1:1": false, "[2001:db8::1]:1": false,
	} {
		if got := g.isAllowed(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))); got != want {
			t.Errorf("allowed(%s) = %v, want %v", addr, got, want)
		}
	}
	if !g.isAllowed(&net.UnixAddr{Name: "@", Net: "unix"}) {
		t.Error("a UNIX socket's peer is refused")
	}
}

// A packet whose announced size does not arrive must not be waited for in vain.
func TestHugeBlockIsBounded(t *testing.T) {
	b := newBench(t, func(g *Gateway) { g.Limits.Block = 100 }, says(okPage("hello")))
	nc := b.dial()
	packet := make([]byte, 4)
	binary.LittleEndian.PutUint16(packet[1:], 101)
	nc.Write(packet)
	raw, err := io.ReadAll(nc)
	if got := parseResponse(t, raw, err, ""); got.status != 431 {
		t.Errorf("got %q, %v; want 431", got.raw, err)
	}
}

func TestProbeLeavesNoLine(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello")))
	b.dial().Close()
	eventually(t, "probe counted", func() bool { return b.stats.probes.Load() == 1 })
	if b.access.Len() != 0 {
		t.Errorf("logged %v", b.access.All())
	}
}

var errAccept = errors.New("accept is broken")

// brokenListener fails for good.
type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errAccept }

func TestServeReturnsTheListenersError(t *testing.T) {
	b := newBench(t, nil, says(okPage("hello")))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(context.Background(), brokenListener{ln}); !errors.Is(err, errAccept) {
		t.Errorf("Serve returned %v, want the listener's error", err)
	}
}
