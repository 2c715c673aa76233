package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// An app is the application of testdata/leaks on the servers, with a view of what each
// visit causes.
type app struct {
	*world
	log *stack.AccessReader
}

func startApp(t *testing.T, cfg stack.Config) *app {
	t.Helper()
	cfg.App = filepath.Join("testdata", "leaks")
	cfg.Args = append(slices.Clone(cfg.Args), "--harmless-header", "X-Break") // some pages break by it, which is their own business
	w := start(t, cfg)
	return &app{w, w.AccessReader()}
}

// in returns the app for a subtest.
func (a *app) in(t *testing.T) *app { return &app{&world{a.Stack, t}, a.log} }

// A visit is the outcome of one request.
type visit struct {
	page
	logged  []stack.Access // by uwgate; nothing on a hit
	written int            // entries that memcached was given
}

// visit sends a request with exactly these header lines, separated by "\n", and
// collects its effects when all are complete.
func (a *app) visit(method, target, lines string) visit {
	a.t.Helper()
	before := a.writes()
	p := a.fetch(method, target, lines)
	a.settle()
	logged, err := a.log.Next()
	if err != nil {
		a.t.Fatal(err)
	}
	return visit{p, logged, a.writes() - before}
}

// reason is the last logged reason, or "hit" if uwgate got no request.
func (v visit) reason() string {
	if len(v.logged) == 0 {
		return "hit"
	}
	return v.logged[len(v.logged)-1].Reason
}

// hasReason reports whether the reason was logged for the visit's request, or for one to
// which nginx has led it: lines of requests that end together come in any order.
func (v visit) hasReason(reason string) bool {
	return v.reason() == reason || slices.ContainsFunc(v.logged, func(r stack.Access) bool { return r.Reason == reason })
}

// copy is the number of this copy of a page.
func (v visit) copy() string {
	_, rest, _ := strings.Cut(v.body, "<p>Copy ")
	number, _, _ := strings.Cut(rest, "</p>")
	return number
}

// fetch sends a request through nginx with exactly these header lines. The default Host
// is nginx's address.
func (w *world) fetch(method, target, lines string) page {
	w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	if !hasLine(lines, "Host") {
		fmt.Fprintf(&b, "Host: %s\r\n", w.Nginx.Addr)
	}
	if !hasLine(lines, "Connection") {
		b.WriteString("Connection: close\r\n")
	}
	for line := range strings.Lines(lines) {
		b.WriteString(strings.TrimSuffix(line, "\n") + "\r\n")
	}
	b.WriteString("\r\n")
	return w.exchange(method, b.String())
}

func hasLine(lines, name string) bool {
	for line := range strings.Lines(lines) {
		if got, _, _ := strings.Cut(line, ":"); strings.EqualFold(got, name) {
			return true
		}
	}
	return false
}

// exchange sends the bytes of a request to nginx and reads one response.
func (w *world) exchange(method, request string) page {
	nc, err := net.DialTimeout("tcp", w.Nginx.Addr, patience)
	if err != nil {
		return page{err: err}
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, request)
	return readPage(nc, method)
}

// readPage reads a response of nginx or of a worker.
func readPage(nc net.Conn, method string) page {
	resp, err := http.ReadResponse(bufio.NewReader(nc), &http.Request{Method: method})
	if err != nil {
		return page{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return page{resp.StatusCode, resp.Header, string(b), err}
}
