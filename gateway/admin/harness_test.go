package admin

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uwgate/gateway"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// The goroutine that wakes connections lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("uwgate/gateway/socket.(*poller).run"))
}

// patience bounds every wait of a test. A test that passes does not wait so long.
const patience = 10 * time.Second

// A bench is an Admin with its gateway, which serves on a UNIX socket in front of workers
// that are scripted sockets. The test plays nginx.
type bench struct {
	*Admin
	t      *testing.T
	addr   string // of the gateway
	access *observer.ObservedLogs
	stop   context.CancelFunc
	served chan error
}

// A script plays a worker: it has read the packet, and what it writes to nc is the response.
// The connection is closed when it returns.
type script func(nc net.Conn, req *uwsgi.Request)

// newBench starts a gateway in front of one worker. tune may change it before it serves.
func newBench(t *testing.T, tune func(*gateway.Gateway), s script) *bench {
	t.Helper()
	return startBench(t, tune, startWorker(t, s))
}

func startBench(t *testing.T, tune func(*gateway.Gateway), backends ...string) *bench {
	t.Helper()
	pool, err := backend.NewPool(backends...)
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := policy.ParseTemplate("$scheme://$host$request_uri")
	if err != nil {
		t.Fatal(err)
	}
	core, access := observer.New(zap.InfoLevel)
	g := &gateway.Gateway{
		Backends:  &backend.Pools{Default: pool},
		Policy:    &policy.Policy{Keys: policy.Keys{Template: tmpl, AllowedHosts: []string{"example.com"}}, Lifetimes: policy.Lifetimes{Default: 10 * time.Minute}},
		AccessLog: zap.New(core),
	}
	if tune != nil {
		tune(g)
	}
	ln := listen(t, "unix")
	b := &bench{Admin: &Admin{Gateway: g}, t: t, addr: ln.Addr().String(), access: access, served: make(chan error, 1)}
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	go func() { b.served <- g.Serve(ctx, ln) }()
	t.Cleanup(b.close)
	eventually(t, "listening", func() bool { return g.Stats().Listening.Listeners == 1 })
	return b
}

// close drains; a second call does nothing.
func (b *bench) close() {
	b.stop()
	if err := <-b.served; err != nil {
		b.t.Errorf("Serve: %v", err)
	}
	b.served <- nil
	b.Gateway.Backends.Close()
}

// get asks for uri as nginx does after a miss, and returns all that comes back.
func (b *bench) get(uri string) string {
	b.t.Helper()
	nc, err := net.Dial("unix", b.addr)
	if err != nil {
		b.t.Error(err)
		return ""
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	packet, err := (&uwsgi.Request{Vars: uwsgi.Vars{
		{Name: "QUERY_STRING"}, {Name: "REQUEST_METHOD", Value: "GET"}, {Name: "CONTENT_TYPE"}, {Name: "CONTENT_LENGTH"},
		{Name: "REQUEST_URI", Value: uri}, {Name: "PATH_INFO", Value: uri},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "REQUEST_SCHEME", Value: "http"},
		{Name: "SERVER_NAME", Value: "example.com"}, {Name: "SERVER_PORT", Value: "80"}, {Name: "HTTP_HOST", Value: "example.com"},
		{Name: "CACHE_KEY", Value: "k:" + uri}, {Name: "CACHE_STATUS", Value: "404"},
	}}).Append(nil)
	if err != nil {
		b.t.Error(err)
	}
	nc.Write(packet)
	response, _ := io.ReadAll(nc)
	return string(response)
}

// idle waits until n requests have ended.
func (b *bench) idle(n int) {
	b.t.Helper()
	eventually(b.t, fmt.Sprint(n, " requests over"), func() bool {
		return b.access.Len() == n && b.Gateway.Stats().Requests.InFlight == 0
	})
}

// visit returns the status and the body of a response.
func visit(h http.Handler, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
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
func startWorker(t *testing.T, s script) string {
	t.Helper()
	ln := listen(t, "unix")
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { play(nc, s) })
		}
	})
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	return "unix:" + ln.Addr().String()
}

func play(nc net.Conn, s script) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if req, err := uwsgi.ReadRequest(bufio.NewReader(nc)); err == nil {
		s(nc, req)
	}
}

func listen(t *testing.T, network string) net.Listener {
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

// says responds with the bytes as they are.
func says(response string) script {
	return func(nc net.Conn, _ *uwsgi.Request) { io.WriteString(nc, response) }
}

// page is a whole response with that body and further header lines.
func page(body string, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n", len(body))
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n" + body
}
