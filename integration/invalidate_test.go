package integration

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// A change is a request with an unsafe method and its effect on pages in memcached (RFC
// 9111 §4.4). All paths are below a directory of the row.
type change struct {
	name   string
	method string // "": POST
	target string // "": "doc"
	lines  string // of the request
	answer string // for X-Answer; "%s" stands for the folder
	status int    // that the visitor gets; 0: 200
	gone   string // the pages that are deleted, a space between them
	kept   string // pages that are not
}

var changes = []change{
	{name: "POST", gone: "doc", kept: "doc/ docs ?doc"},
	{name: "PUT", method: "PUT", gone: "doc"},
	{name: "PATCH", method: "PATCH", gone: "doc"},
	{name: "DELETE", method: "DELETE", gone: "doc"},
	{name: "a method that nobody knows", method: "FROB", gone: "doc"},
	{name: "201", answer: "201 Created", status: 201, gone: "doc"},
	{name: "204", answer: "204 No Content", status: 204, gone: "doc"},
	{name: "302", answer: "302 Found; Location: /elsewhere", status: 302, gone: "doc"},
	{name: "a member's", lines: "Cookie: sessionid=ana", gone: "doc"},
	{name: "arguments", target: "doc?a=1&b=%20", gone: "doc?a=1&b=%20", kept: "doc doc?a=1"},
	{name: "Location", answer: "303 See Other; Location: %s/list", status: 303, gone: "doc list"},
	{name: "Location, relative", target: "a/doc", answer: "303 See Other; Location: ../list?new=1", status: 303, gone: "a/doc list?new=1", kept: "list"},
	{name: "Location, arguments alone", answer: "303 See Other; Location: ?done", status: 303, gone: "doc doc?done"},
	{name: "Location with a fragment", answer: "303 See Other; Location: %s/list#last", status: 303, gone: "doc list"},
	{name: "Location, percent-encoded", answer: "303 See Other; Location: %s/caf%%C3%%A9", status: 303, gone: "doc caf%C3%A9 caf%c3%a9"},
	{name: "another spelling", target: "%64oc//", gone: "%64oc// doc/ doc/?", kept: "doc"},
	{name: "an empty query", gone: "doc doc?", kept: "doc/"},
	{name: "arguments in another spelling", target: "doc?q=a+b%2f", gone: "doc?q=a+b%2f doc?q=a%20b/ doc?q=a+b%2F", kept: "doc"},
	{name: "Location in another spelling", answer: "303 See Other; Location: %s/a/../%%6Cist", status: 303, gone: "doc list list?"},
	{name: "Location, absolute", answer: "303 See Other; Location: http://127.0.0.1%s/list", status: 303, gone: "doc list"},
	{name: "Location, without scheme", answer: "303 See Other; Location: //127.0.0.1%s/list", status: 303, gone: "doc list"},
	{name: "Location on another host", answer: "303 See Other; Location: http://other.example%s/list", status: 303, gone: "doc", kept: "list"},
	{name: "Location on another host, without scheme", answer: "303 See Other; Location: //other.example%s/list", status: 303, gone: "doc", kept: "list"},
	{name: "Location that is none", answer: "303 See Other; Location: http://[%s/list", status: 303, gone: "doc", kept: "list"},
	{name: "Content-Location", answer: "200 OK; Content-Location: %s/doc/7", gone: "doc doc/7"},
	{name: "both", answer: "201 Created; Location: %s/doc/8; Content-Location: %s/list", status: 201, gone: "doc doc/8 list"},

	{name: "403", answer: "403 Forbidden", status: 403, kept: "doc"},
	{name: "404 with Location", answer: "404 Not Found; Location: %s/list", status: 404, kept: "doc list"},
	{name: "500", answer: "500 Internal Server Error", status: 500, kept: "doc"},
	{name: "OPTIONS", method: "OPTIONS", answer: "200 OK; Content-Location: %s/list", kept: "doc list"},
	{name: "HEAD", method: "HEAD", kept: "doc"},
}

// A page that an unsafe method has changed is not served after the response.
func TestInvalidation(t *testing.T) {
	t.Parallel()
	for _, servers := range []int{1, 2} {
		t.Run([]string{"", "one memcached", "two memcached"}[servers], func(t *testing.T) {
			t.Parallel()
			a := startApp(t, stack.Config{Memcached: servers})
			for _, c := range changes {
				t.Run(c.name, func(t *testing.T) {
					a := a.in(t)
					folder := a.fill(c)
					p := a.fetch(cmp.Or(c.method, "POST"), folder+"/"+cmp.Or(c.target, "doc"), c.wish(folder))
					if want := cmp.Or(c.status, 200); p.status != want || p.err != nil {
						t.Fatalf("got %d %.300q, %v; want %d", p.status, p.body, p.err, want)
					}
					a.looks(c, folder)
				})
			}
		})
	}
}

// The same with derived keys. nginx passes a POST on without its method there, so the
// test sends it to uwgate directly.
func TestInvalidationByTemplate(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{Conf: "recipe", Memcached: 2})
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			a := a.in(t)
			folder := a.fill(c)
			v := vars(cmp.Or(c.method, "POST"), folder+"/"+cmp.Or(c.target, "doc"))
			for line := range strings.Lines(c.wish(folder)) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				v = append(v, uwsgi.Var{Name: "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")), Value: value})
			}
			for i := range v {
				if v[i].Name == "HTTP_HOST" || v[i].Name == "SERVER_NAME" {
					v[i].Value = "127.0.0.1"
				}
			}
			if p := a.ask(a.Uwgate.Addr, v, ""); p.status != cmp.Or(c.status, 200) || p.err != nil {
				t.Fatalf("got %d %.300q, %v; want %d", p.status, p.body, p.err, cmp.Or(c.status, 200))
			}
			a.looks(c, folder)
		})
	}
}

// fill stores all pages of the row and returns their directory.
func (a *app) fill(c change) (folder string) {
	a.t.Helper()
	// The other servers are purged when the client has its response. Tombstones count as writes
	// until they can be seen.
	a.eventually("nothing is left to delete", func() bool { return !hasNonZero(a.metrics(), "uwgate_store_owed_deletes{") })
	folder = "/any/" + strings.Map(letters, c.name)
	for _, name := range strings.Fields(c.gone + " " + c.kept) {
		if v := a.visit("GET", folder+"/"+name, ""); v.written != 1 || !a.has(a.wireKey(folder+"/"+name)) {
			a.t.Fatalf("%s is not stored: %d, %s", name, v.status, v.reason())
		}
	}
	return folder
}

func letters(r rune) rune {
	if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
		return r
	}
	return -1
}

// wish returns the header lines of the request.
func (c change) wish(folder string) string {
	if c.answer == "" {
		return c.lines
	}
	return strings.TrimPrefix(c.lines+"\n", "\n") + "X-Answer: " + strings.NewReplacer("%s", folder, "%%", "%").Replace(c.answer)
}

func (a *app) wireKey(target string) string {
	return strings.ReplaceAll(a.pageKey(target), "%", "%25")
}

// looks checks memcached right after the response.
func (a *app) looks(c change, folder string) {
	a.t.Helper()
	for _, name := range strings.Fields(c.gone) {
		if a.has(a.wireKey(folder + "/" + name)) {
			a.t.Errorf("%s is still in memcached", name)
		}
	}
	for _, name := range strings.Fields(c.kept) {
		if !a.has(a.wireKey(folder + "/" + name)) {
			a.t.Errorf("%s is gone from memcached", name)
		}
	}
}

// A GET that began before a change gets the old page. The old page is not stored.
func TestSlowPageIsNotPutBack(t *testing.T) {
	t.Parallel()
	a := startApp(t, stack.Config{})
	for _, tt := range []struct {
		name           string
		method, target string // of the change; "": none
		lines          string
		reason         string
		written        int
	}{
		{"no change", "", "", "", "default-ttl", 1},
		{"POST", "POST", "/held?POST", "", "purged", 0},
		{"DELETE", "DELETE", "/held?DELETE", "", "purged", 0},
		{"POST elsewhere that leads there", "POST", "/any/form", "X-Answer: 303 See Other; Location: /held?POSTelsewherethatleadsthere", "purged", 0},
		{"POST that failed", "POST", "/held?POSTthatfailed", "X-Answer: 403 Forbidden", "default-ttl", 1},
		{"POST to another page", "POST", "/held?another", "", "default-ttl", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := a.in(t)
			gate := strings.Map(letters, tt.name)
			path := filepath.Join(a.Dir, "site", gate)
			if err := syscall.Mkfifo(path, 0o666); err != nil {
				t.Fatal(err)
			}
			before := a.writes()
			answer := make(chan page, 1)
			go func() { answer <- a.fetch("GET", "/held?"+gate, "") }()
			release := a.opened(path)
			if tt.method != "" {
				a.fetch(tt.method, tt.target, tt.lines)
			}
			release.Close()
			if p := <-answer; p.status != 200 || !strings.Contains(p.body, "This was held.") {
				t.Fatalf("got %d %.300q, %v", p.status, p.body, p.err)
			}
			a.settle()
			if n := a.writes() - before; n != tt.written || a.has(a.wireKey("/held?"+gate)) != (tt.written == 1) {
				t.Errorf("%d written, want %d", n, tt.written)
			}
			// The other request may have the same URI, and be logged before or after.
			a.eventually("the GET logged as "+tt.reason, func() bool {
				return slices.ContainsFunc(a.lines(), func(l stack.Access) bool {
					return l.Method == "GET" && l.URI == "/held?"+gate && l.Reason == tt.reason
				})
			})
		})
	}
}

// opened waits until the worker opens the FIFO, which holds it until the file is
// closed.
func (w *world) opened(path string) *os.File {
	w.t.Helper()
	var f *os.File
	w.eventually("worker at "+path, func() bool {
		var err error
		f, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err != nil && !errors.Is(err, syscall.ENXIO) {
			w.t.Fatal(err)
		}
		return err == nil
	})
	return f
}
