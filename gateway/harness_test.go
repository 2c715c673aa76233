package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// The goroutine that wakes connections lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("uwgate/gateway/socket.(*poller).run"))
}

// patience bounds every wait of a test; it is never waited out in one that
// passes.
const patience = time.Minute

// A bench is a gateway with what stands around it: workers that are scripted
// sockets, a memcached that is one too, and the place of nginx for the test.
type bench struct {
	*Gateway
	t       *testing.T
	network string
	addr    string
	store   *memcached
	access  *observer.ObservedLogs
	logs    *observer.ObservedLogs
	stop    context.CancelFunc
	served  chan error
}

// A script plays a worker: it has read the packet, and what it writes to nc is
// the response. The connection is closed when it returns.
type script func(nc net.Conn, req *uwsgi.Request, body *bufio.Reader)

// newBench starts a gateway on a UNIX socket in front of one worker a script.
// tune may change it before it serves.
func newBench(t *testing.T, tune func(*Gateway), scripts ...script) *bench {
	t.Helper()
	addrs := make([]string, len(scripts))
	for i, s := range scripts {
		addrs[i] = startWorker(t, s)
	}
	return startBench(t, "unix", tune, addrs...)
}

func startBench(t *testing.T, network string, tune func(*Gateway), backends ...string) *bench {
	t.Helper()
	pool, err := backend.NewPool(backends...)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, network: network, store: startMemcached(t), served: make(chan error, 1)}
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: b.store.addr})
	if err != nil {
		t.Fatal(err)
	}
	var accessCore, logCore zapcore.Core
	accessCore, b.access = observer.New(zap.InfoLevel)
	logCore, b.logs = observer.New(zap.InfoLevel)
	b.Gateway = &Gateway{
		Backends:     &backend.Pools{Default: pool},
		Policy:       testPolicy(t, ring),
		Store:        &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: patience},
		Log:          zap.New(logCore),
		AccessLog:    zap.New(accessCore),
		AlignHeaders: true,
	}
	if tune != nil {
		tune(b.Gateway)
	}
	ln := listen(t, network)
	b.addr = ln.Addr().String()
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	go func() { b.served <- b.Serve(ctx, ln) }()
	t.Cleanup(b.close)
	return b
}

func testPolicy(t testing.TB, ring *cachewriter.Ring) *policy.Policy {
	t.Helper()
	tmpl, err := policy.ParseTemplate("$scheme://$host$request_uri")
	if err != nil {
		t.Fatal(err)
	}
	return &policy.Policy{
		Keys:      policy.Keys{Template: tmpl, Servers: ring.Has, AllowedHosts: []string{"example.com"}}, // the keys of missed do not contain the host
		Lifetimes: policy.Lifetimes{Default: 10 * time.Minute},
	}
}

// close drains; a second call does nothing.
func (b *bench) close() {
	b.stop()
	if err := <-b.served; err != nil {
		b.t.Errorf("Serve: %v", err)
	}
	b.served <- nil
	if n := b.Gateway.stats.panics.Load(); n > 0 {
		b.t.Errorf("%d requests panicked: %v", n, b.logs.FilterMessageSnippet("panic").All())
	}
	if b.Store != nil {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		b.Store.Close(ctx)
	}
	b.Backends.Close()
}

// dial connects as nginx does.
func (b *bench) dial() net.Conn {
	b.t.Helper()
	nc, err := net.Dial(b.network, b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	b.t.Cleanup(func() { nc.Close() })
	return nc
}

// get asks for uri as nginx does after a miss, with further vars.
func (b *bench) get(uri string, more ...uwsgi.Var) response {
	b.t.Helper()
	return b.ask(missed(uri, more...), nil)
}

// ask sends one request and reads everything that comes back.
func (b *bench) ask(v uwsgi.Vars, body []byte) response {
	b.t.Helper()
	nc := b.dial()
	defer nc.Close()
	packet := encode(b.t, v)
	if _, err := nc.Write(append(packet, body...)); err != nil {
		b.t.Fatalf("send request: %v", err)
	}
	raw, err := io.ReadAll(nc)
	return parseResponse(b.t, raw, err, v.Get("REQUEST_METHOD"))
}

func encode(t testing.TB, v uwsgi.Vars) []byte {
	t.Helper()
	packet, err := (&uwsgi.Request{Vars: v}).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

// A response is what nginx gets.
type response struct {
	raw    string
	status int
	header uwsgi.Header
	length int64
	body   string
	err    error // how the connection ended, nil for a clean end
}

// uploading are the vars of a request with that many bytes behind it.
func uploading(method string, length int) uwsgi.Vars {
	return request(method, "/", uwsgi.Var{Name: "CONTENT_LENGTH", Value: strconv.Itoa(length)})
}

func parseResponse(t *testing.T, raw []byte, err error, method string) response {
	t.Helper()
	a := response{raw: string(raw), err: err}
	br := bufio.NewReader(bytes.NewReader(raw))
	resp, perr := uwsgi.ReadResponse(br)
	if perr != nil {
		if a.err == nil {
			a.err = perr
		}
		return a
	}
	rest, _ := io.ReadAll(br)
	a.status, a.header, a.length, a.body = resp.StatusCode, resp.Header, resp.ContentLength, string(rest)
	return a
}

// request are the vars of nginx's stock uwsgi_params.
func request(method, uri string, more ...uwsgi.Var) uwsgi.Vars {
	path, args, _ := strings.Cut(uri, "?")
	v := uwsgi.Vars{
		{Name: "QUERY_STRING", Value: args}, {Name: "REQUEST_METHOD", Value: method},
		{Name: "CONTENT_TYPE"}, {Name: "CONTENT_LENGTH"},
		{Name: "REQUEST_URI", Value: uri}, {Name: "PATH_INFO", Value: path},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "REQUEST_SCHEME", Value: "http"},
		{Name: "SERVER_NAME", Value: "example.com"}, {Name: "SERVER_PORT", Value: "80"},
		{Name: "HTTP_HOST", Value: "example.com"},
	}
	for _, m := range more {
		v = setVar(v, m)
	}
	return v
}

func setVar(v uwsgi.Vars, m uwsgi.Var) uwsgi.Vars {
	for i := range v {
		if v[i].Name == m.Name {
			v[i] = m
			return v
		}
	}
	return append(v, m)
}

// missed is a GET with what nginx hands over after memcached had nothing.
func missed(uri string, more ...uwsgi.Var) uwsgi.Vars {
	v := request("GET", uri, uwsgi.Var{Name: "CACHE_KEY", Value: "k:" + uri}, uwsgi.Var{Name: "CACHE_STATUS", Value: "404"})
	for _, m := range more {
		v = setVar(v, m)
	}
	return v
}

// line waits for the n-th access line and returns its fields.
func (b *bench) line(n int) map[string]any {
	b.t.Helper()
	eventually(b.t, fmt.Sprintf("access line %d", n), func() bool { return b.access.Len() > n })
	return b.access.All()[n].ContextMap()
}

// lines is how many access lines give that reason.
func (b *bench) lines(reason policy.Reason) int {
	return b.access.Filter(func(e observer.LoggedEntry) bool { return e.ContextMap()["reason"] == string(reason) }).Len()
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		runtime.Gosched()
	}
}

// startWorker returns the address of a worker that plays s for every request.
func startWorker(t *testing.T, s script) string { return startWorkerOn(t, "unix", s) }

func startWorkerOn(t *testing.T, network string, s script) string {
	t.Helper()
	addr := serveConns(t, network, func(nc net.Conn) { play(nc, s) })
	if network == "unix" {
		return "unix:" + addr
	}
	return addr
}

// serveConns has every connection served in a goroutine of its own until the test ends,
// and returns the address.
func serveConns(t *testing.T, network string, serve func(net.Conn)) (addr string) {
	t.Helper()
	ln := listen(t, network)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { serve(nc) })
		}
	})
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	return ln.Addr().String()
}

func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func play(nc net.Conn, s script) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReader(nc)
	req, err := uwsgi.ReadRequest(br)
	if err != nil {
		return
	}
	s(nc, req, br)
}

// says responds with these bytes.
func says(response string) script {
	return func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) { io.WriteString(nc, response) }
}

// okPage is a whole response with that body and further header lines.
func okPage(body string, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n", len(body))
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n" + body
}

// A memcached is a small server that keeps what it gets.
type memcached struct {
	addr string

	mu      sync.Mutex // guards everything below
	items   map[string]item
	tombs   map[string]item // what items would hold under keys of tombstones
	records map[string]item // likewise
	deletes []string        // without those of records
}

type item struct {
	body   string
	flags  string // without cachewriter.ReservedFlags
	expiry string
}

func startMemcached(t *testing.T) *memcached {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &memcached{addr: ln.Addr().String(), items: map[string]item{}, tombs: map[string]item{}, records: map[string]item{}}
	ctx, cancel := context.WithCancel(context.Background())
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { nc.Close() })
			conns.Go(func() { m.serve(nc) })
		}
	})
	t.Cleanup(func() { ln.Close(); cancel(); conns.Wait() })
	return m
}

func (m *memcached) serve(nc net.Conn) {
	defer nc.Close()
	br := bufio.NewReader(nc)
	for {
		line, err := br.ReadString('\n')
		if err != nil {
			return
		}
		w := strings.Fields(line)
		switch {
		case len(w) >= 5 && (w[0] == "set" || w[0] == "add" || w[0] == "cas"):
			n, _ := strconv.Atoi(w[4])
			data := make([]byte, n+2)
			if _, err := io.ReadFull(br, data); err != nil {
				return
			}
			if _, ok := m.get(w[1]); ok && w[0] == "add" {
				io.WriteString(nc, "NOT_STORED\r\n")
				continue
			}
			flags, _ := strconv.ParseUint(w[2], 10, 32)
			m.set(w[1], item{string(data[:n]), strconv.Itoa(int(uint32(flags) &^ cachewriter.ReservedFlags)), w[3]})
			io.WriteString(nc, "STORED\r\n")
		case len(w) >= 2 && w[0] == "delete":
			if m.delete(w[1]) {
				io.WriteString(nc, "DELETED\r\n")
			} else {
				io.WriteString(nc, "NOT_FOUND\r\n")
			}
		case len(w) >= 2 && (w[0] == "get" || w[0] == "gets"):
			for _, key := range w[1:] {
				if it, ok := m.get(key); ok {
					fmt.Fprintf(nc, "VALUE %s %s %d%s\r\n%s\r\n", key, it.flags, len(it.body), map[string]string{"gets": " 1"}[w[0]], it.body)
				}
			}
			io.WriteString(nc, "END\r\n")
		default:
			io.WriteString(nc, "ERROR\r\n")
		}
	}
}

func (m *memcached) set(key string, it item) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holder(key)[key] = it
}

// holder is the map that a key belongs to.
func (m *memcached) holder(key string) map[string]item {
	switch {
	case isOfKind(key, cachewriter.KindTombstone):
		return m.tombs
	case isOfKind(key, cachewriter.KindRecord):
		return m.records
	}
	return m.items
}

func isOfKind(key, kind string) bool {
	return strings.HasPrefix(key, cachewriter.Sibling(kind, "")[:6])
}

// delete reports whether there was something.
func (m *memcached) delete(key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, found := m.holder(key)[key]
	if isOfKind(key, cachewriter.KindRecord) {
		delete(m.records, key)
	} else {
		delete(m.items, key)
		m.deletes = append(m.deletes, key)
	}
	return found
}

func (m *memcached) get(key string) (item, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	it, ok := m.holder(key)[key]
	return it, ok
}

// contents drains the writer, so that the response is final.
func (b *bench) contents() map[string]item {
	b.t.Helper()
	b.close()
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	return b.store.items
}

// startRealMemcached returns the path of its socket.
func startRealMemcached(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("memcached")
	switch {
	case err != nil && os.Getenv("UWGATE_TEST_STACK") == "1":
		t.Fatalf("%v, and UWGATE_TEST_STACK=1", err)
	case err != nil:
		t.Skip(err)
	}
	socket := filepath.Join(t.TempDir(), "m")
	args := []string{"-s", socket, "-m", "16", "-t", "1"}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root")
	}
	cmd := exec.Command(path, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	eventually(t, "memcached listens", func() bool {
		nc, err := net.Dial("unix", socket)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	return socket
}

// sockets returns the two ends of a connection.
func sockets(t testing.TB, network string) (_, _ net.Conn) {
	t.Helper()
	ln := listen(t, network)
	defer ln.Close()
	a, err := net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}
