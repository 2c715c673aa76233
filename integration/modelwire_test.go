package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"uwgate/nginxconf/nginxtest"
	"uwgate/uwsgi"
)

// A ground is what many random sites stand on: one nginx, and behind it a memcached that
// finds nothing and a worker that does as it is told. Both write down what reaches them.
type ground struct {
	t    *testing.T
	dir  string
	sent []*http.Client // one for each site

	mu     sync.Mutex
	events []event
	broken bool // memcached responds with an error
}

// An event is something that nginx sent while it served one request.
type event struct {
	asked string     // the raw key; "" for a request to the worker
	vars  uwsgi.Vars // that the worker received
	ok    bool       // the worker responded with a page
}

// startGround starts nginx with the sites.
func startGround(t *testing.T, sites []*modelSite) *ground {
	t.Helper()
	program := nginxtest.Program(t)
	g := &ground{t: t, dir: nginxtest.Frame(t, "", "")}
	for name, text := range map[string]string{"www/a/index.html": "file", "www/f.txt": "file", "www/b.php": "file", "www/c/g.txt": "file", "users": ""} {
		if err := nginxtest.WriteFile(g.dir, name, text); err != nil {
			t.Fatal(err)
		}
	}
	g.listen("m.sock", g.memcached)
	g.listen("w.sock", g.worker)
	var b strings.Builder
	fmt.Fprintf(&b, "daemon off; master_process off; pid x.pid; error_log error.log crit; events { worker_connections 4096; }\nhttp { access_log off; types { text/html html; text/plain txt; } %s\n", modelFrame)
	for i, s := range sites {
		s.socket = filepath.Join(g.dir, strconv.Itoa(i))
		b.WriteString(s.server() + "\n")
		g.sent = append(g.sent, nginxtest.Client(s.socket))
	}
	b.WriteString("}\n")
	conf := strings.ReplaceAll(b.String(), modelDir, g.dir)
	if err := os.WriteFile(filepath.Join(g.dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	nginxtest.Start(t, program, g.dir, sites[len(sites)-1].socket)
	return g
}

// listen serves the connections of a socket until the test ends.
func (g *ground) listen(name string, serve func(net.Conn)) {
	g.t.Helper()
	l, err := net.Listen("unix", filepath.Join(g.dir, name))
	if err != nil {
		g.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				serve(nc)
			})
		}
	})
	g.t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
}

func (g *ground) note(e event) (broken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, e)
	return g.broken
}

func (g *ground) memcached(nc net.Conn) {
	line, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		return
	}
	key, err := url.PathUnescape(strings.TrimSuffix(strings.TrimPrefix(line, "get "), "\r\n"))
	if err != nil {
		g.t.Errorf("memcached: %q: %v", line, err)
	}
	answer := "END\r\n"
	if g.note(event{asked: key}) {
		answer = "SERVER_ERROR no\r\n"
	}
	io.WriteString(nc, answer)
}

// worker responds as the headers of the request say.
func (g *ground) worker(nc net.Conn) {
	req, err := uwsgi.ReadRequest(bufio.NewReader(nc))
	if err != nil {
		return // nginx looks whether somebody is there
	}
	status, to := req.Vars.Get("HTTP_X_STATUS"), req.Vars.Get("HTTP_X_TO")
	g.note(event{vars: req.Vars, ok: status == "" && to == ""})
	if status == "" {
		status = "200"
	}
	head := "HTTP/1.1 " + status + " X\r\nContent-Type: text/html\r\nContent-Length: 2\r\n"
	if to != "" {
		head += "X-Accel-Redirect: " + to + "\r\n"
	}
	io.WriteString(nc, head+"\r\nok")
}

// request sends a GET to a site, and returns what it caused.
func (g *ground) request(site int, q modelRequest) []event {
	g.t.Helper()
	g.mu.Lock()
	g.events, g.broken = nil, q.broken
	g.mu.Unlock()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://site.test", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.URL.Opaque = q.target
	for _, h := range q.headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := g.sent[site].Transport.RoundTrip(req)
	if err != nil {
		g.t.Fatalf("%v: %v", q, err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.events
}
