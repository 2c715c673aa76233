package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwgate/gateway"
)

func TestAdmin(t *testing.T) {
	b := newBench(t, func(g *gateway.Gateway) { g.Policy.Observe = true }, says(page("hello")))
	b.get("/a")
	b.get("/b")
	b.idle(2)
	admin := b.Handler()
	for path, want := range map[string]string{"/-/healthy": "healthy\n", "/-/ready": "ready\n"} {
		if status, body := visit(admin, path); status != 200 || body != want {
			t.Errorf("%s: %d %q, want 200 %q", path, status, body, want)
		}
	}
	_, metrics := visit(admin, "/metrics")
	for _, line := range []string{
		`uwgate_requests_total{status="200"} 2`,
		`uwgate_decisions_total{reason="default-ttl"} 2`,
		`uwgate_observed_total 2`,
		`uwgate_requests_in_flight 0`,
		`uwgate_request_duration_seconds_count 2`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
	b.close()
	if status, _ := visit(admin, "/-/ready"); status != http.StatusServiceUnavailable {
		t.Errorf("/-/ready after the end: %d, want 503", status)
	}
}

// TestProfiles uses real sockets, since their kind decides who may read profiles.
func TestProfiles(t *testing.T) {
	b := newBench(t, nil, says(page("hello")))
	admin := b.Admin
	admin.Token = "secret"
	paths := map[string]int{
		"allocs": 200, "goroutine": 200, "heap": 200, "threadcreate": 200,
		"profile?seconds=1": 200, "trace?seconds=0.01": 200,
		"cmdline": 404, "": 404,
	}
	for _, tt := range []struct {
		name, network, address, token string
		guarded                       bool
	}{
		{"over unix", "unix", filepath.Join(t.TempDir(), "admin.sock"), "", false},
		{"with the token", "tcp", "127.0.0.1:0", "secret", false},
		{"without it", "tcp", "127.0.0.1:0", "", true},
		{"with another one", "tcp", "127.0.0.1:0", "guess", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask := serveAdmin(t, admin, tt.network, tt.address)
			for path, want := range paths {
				if tt.guarded && want == 200 {
					want = http.StatusUnauthorized
				}
				if status, body := ask("/debug/pprof/"+path, tt.token); status != want || status == 200 && len(body) == 0 {
					t.Errorf("%q: %d with %d bytes, want %d", path, status, len(body), want)
				}
			}
		})
	}
}

// serveAdmin serves admin on a socket, and returns a function that requests a path.
func serveAdmin(t *testing.T, admin *Admin, network, address string) func(path, token string) (status int, body string) {
	t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: admin.Handler()}
	go srv.Serve(ln)
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
		},
	}}
	t.Cleanup(func() { srv.Close() })
	return func(path, token string) (int, string) {
		req, err := http.NewRequest("GET", "http://uwgate"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
}

// An abstract socket has no file whose mode says who may connect, so the API needs the token
// there. Over a socket with a path it needs none.
func TestAdminOnAbstractSocket(t *testing.T) {
	b := newBench(t, nil, says(page("hello")))
	admin := b.Admin
	admin.Token = "secret"
	for _, tt := range []struct {
		addr, token string
		status      int
	}{
		{"@uwgate-test-" + filepath.Base(t.TempDir()) + strconv.Itoa(os.Getpid()), "", http.StatusUnauthorized},
		{"@uwgate-test-" + filepath.Base(t.TempDir()) + strconv.Itoa(os.Getpid()), "secret", http.StatusOK},
		{filepath.Join(t.TempDir(), "s"), "", http.StatusOK},
	} {
		ln, err := net.Listen("unix", tt.addr)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: admin.Handler()}
		served := make(chan struct{})
		go func() { srv.Serve(ln); close(served) }()
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", tt.addr) }}}
		req, _ := http.NewRequest("GET", "http://uwgate/api/v1/status", nil)
		if tt.token != "" {
			req.Header.Set("Authorization", "Bearer "+tt.token)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s with token %q: got %d, want %d", tt.addr, tt.token, resp.StatusCode, tt.status)
		}
		srv.Close()
		<-served
	}
}

func TestExplainAPI(t *testing.T) {
	b := newBench(t, nil, says(page("fresh")))
	body := `{"vars": [["REQUEST_METHOD", "GET"], ["REQUEST_URI", "/"], ["PATH_INFO", "/"], ["CACHE_KEY", "k:/"], ["CACHE_STATUS", "404"], ["HTTP_HOST", "example.com"]]}`
	admin := b.Admin
	call := func(token, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/api/v1/explain", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		admin.Handler().ServeHTTP(w, r)
		return w
	}
	if w := call("", body); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "--admin-token") {
		t.Errorf("over TCP, no token set: %d %s", w.Code, w.Body)
	}
	admin.Token = "secret"
	if w := call("guess", body); w.Code != http.StatusUnauthorized {
		t.Errorf("wrong token: %d", w.Code)
	}
	w := call("secret", body)
	var e gateway.Explanation
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || !e.Policy.Verdict.Store {
		t.Errorf("%v: %s", err, w.Body)
	}
	for _, bad := range []string{"", "{}", `{"vars": [["A"]]}`, `{"vars": [["A", "b"]], "x": 1}`, "[]"} {
		if w := call("secret", bad); w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d, want 400", bad, w.Code)
		}
	}
}

// On a UNIX socket the file's mode is the guard.
func TestExplainAPIOverUnix(t *testing.T) {
	b := newBench(t, nil, says(page("fresh")))
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(b.Handler())
	srv.Listener.Close()
	srv.Listener = ln
	srv.Start()
	defer srv.Close()
	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	body := `{"vars": [["REQUEST_METHOD", "GET"], ["REQUEST_URI", "/"], ["PATH_INFO", "/"]]}`
	fmt.Fprintf(nc, "POST /api/v1/explain HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	if got, _ := io.ReadAll(nc); !strings.HasPrefix(string(got), "HTTP/1.1 200") {
		t.Errorf("got %.200s", got)
	}
}

// A gateway without a worker says why it is not ready.
func TestNotReadyWithoutABackend(t *testing.T) {
	b := startBench(t, nil, "127.0.0.1:1")
	b.Gateway.Backends.Check(t.Context())
	status, body := visit(b.Handler(), "/-/ready")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "not ready: no backend accepts connections: connect to 127.0.0.1:1: connect: connection refused") {
		t.Errorf("%d %q", status, body)
	}
}
