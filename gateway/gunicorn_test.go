package gateway

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

const gunicornVars = 1000 // the most that it takes

// A gunicorn stands in for gunicorn's uwsgi protocol, which Debian's has not: it does
// what is known of that, and keeps what it was asked.
type gunicorn struct {
	asked chan heard
}

// A heard is one request, and how its connection ended: with nil if gunicorn was asked to
// close it.
type heard struct {
	vars uwsgi.Vars
	end  error
}

// startGunicorn starts one, and a gateway before it that knows its limit.
func startGunicorn(t *testing.T, params string, askToClose bool) (*gunicorn, *bench) {
	t.Helper()
	worker := &gunicorn{asked: make(chan heard, 1)}
	addr := serveConns(t, "tcp", worker.serve)
	return worker, startBench(t, "unix", func(g *Gateway) {
		g.AskToClose, g.Backends.Default.MaxVars = askToClose, gunicornVars
	}, addr+params)
}

// serve responds to one request, and waits for the next one unless it is asked to close.
func (g *gunicorn) serve(nc net.Conn) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(nc)
	req, err := uwsgi.Limits{Vars: 1 << 16, Modifiers: []uint8{0, 5}}.ReadRequest(in)
	if err != nil {
		return
	}
	h := heard{vars: req.Vars}
	io.WriteString(nc, responseOf(req))
	if !strings.EqualFold(last(req.Vars, "HTTP_CONNECTION"), "close") {
		_, h.end = in.ReadByte()
	}
	g.asked <- h
}

// responseOf is a page that contains the path, with a length or in chunks.
func responseOf(req *uwsgi.Request) string {
	path := last(req.Vars, "PATH_INFO")
	switch {
	case req.Modifier1 != 0:
		return "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n"
	case len(req.Vars) > gunicornVars:
		return "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
	case path == "/chunks":
		return "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n" +
			strconv.FormatInt(int64(len(path)), 16) + "\r\n" + path + "\r\n0\r\n\r\n"
	}
	return okPage(path)
}

// last is what counts of a name that stands twice.
func last(v uwsgi.Vars, name string) (value string) {
	for _, x := range v {
		if x.Name == name {
			value = x.Value
		}
	}
	return value
}

func TestGunicorn(t *testing.T) {
	worker, b := startGunicorn(t, "", true)
	b.get("/length")
	usual := len((<-worker.asked).vars) // HTTP_CONNECTION among them
	for _, tt := range []struct {
		name   string
		uri    string
		more   uwsgi.Vars
		params string // of the backend
		keep   bool   // it is not asked to close
		status int
	}{
		{name: "length", uri: "/length", status: 200},
		{name: "length, kept open", uri: "/length", keep: true, status: 200},
		{name: "chunks", uri: "/chunks", status: 200},
		{name: "chunks, kept open", uri: "/chunks", keep: true, status: 200},
		{name: "the path is PATH_INFO's", uri: "/length?a=b", status: 200},
		{name: "the visitor's Connection is not ours", uri: "/length", more: uwsgi.Vars{{Name: "HTTP_CONNECTION", Value: "keep-alive"}}, status: 200},
		{name: "nor is his close", uri: "/length", more: uwsgi.Vars{{Name: "HTTP_CONNECTION", Value: "close"}}, keep: true, status: 200},
		{name: "a modifier", uri: "/length", params: " modifier1=5", status: 501},
		{name: "names that stand twice", uri: "/length", more: uwsgi.Vars{{Name: "HTTP_X", Value: "a"}, {Name: "HTTP_X", Value: "b"}}, status: 200},
		{name: "as many vars as it takes", uri: "/length", more: many(gunicornVars - usual), status: 200},
		{name: "one more", uri: "/length", more: many(gunicornVars - usual + 1), status: 431},
		{name: "a length that is none", uri: "/length", more: uwsgi.Vars{{Name: "CONTENT_LENGTH", Value: "0x5"}}, status: 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			worker, b := startGunicorn(t, tt.params, !tt.keep)
			got := b.ask(append(missed(tt.uri), tt.more...), nil)
			path, _, _ := strings.Cut(tt.uri, "?")
			if got.status != tt.status || got.err != nil || tt.status == 200 && got.body != path {
				t.Fatalf("got %d %q, %v; want %d; logged %v", got.status, got.body, got.err, tt.status, b.line(0))
			}
			if tt.status == 431 || tt.status == 400 {
				if n := b.Backends.Default.Stats()[0].Requests; n != 0 {
					t.Errorf("gunicorn has seen %d requests", n)
				}
				return
			}
			checkHeard(t, <-worker.asked, tt.keep)
		})
	}
}

func checkHeard(t *testing.T, h heard, keep bool) {
	t.Helper()
	if keep && h.end != io.EOF {
		t.Errorf("its connection ended with %v, want that we close it", h.end)
	}
	if got := h.vars.Get("HTTP_CONNECTION"); (got == "close") == keep {
		t.Errorf("it got %q", got)
	}
	for _, x := range h.vars {
		if h.vars.Count(x.Name) > 1 {
			t.Errorf("%s stands twice", x.Name)
		}
	}
}
