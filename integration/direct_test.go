package integration

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"time"

	"uwgate/uwsgi"
)

// miss sends the request that nginx sends after a miss.
func (w *world) miss(uri string) page {
	return w.ask(w.Uwgate.Addr, append(vars("GET", uri),
		uwsgi.Var{Name: "CACHE_KEY", Value: "http://localhost" + uri},
		uwsgi.Var{Name: "CACHE_STATUS", Value: "404"}), "")
}

// vars are those that nginx passes on.
func vars(method, uri string) uwsgi.Vars {
	path, args, _ := strings.Cut(uri, "?")
	return uwsgi.Vars{
		{Name: "QUERY_STRING", Value: args}, {Name: "REQUEST_METHOD", Value: method},
		{Name: "REQUEST_URI", Value: uri}, {Name: "PATH_INFO", Value: path},
		{Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"}, {Name: "REQUEST_SCHEME", Value: "http"},
		{Name: "SERVER_NAME", Value: "localhost"}, {Name: "SERVER_PORT", Value: "80"},
		{Name: "HTTP_HOST", Value: "localhost"},
	}
}

// ask sends a request to a UNIX socket over uwsgi.
func (w *world) ask(addr string, v uwsgi.Vars, body string) page {
	nc, err := net.Dial("unix", strings.TrimPrefix(addr, "unix:"))
	if err != nil {
		return page{err: err}
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * patience))
	if err := (&uwsgi.Request{Vars: v}).Write(nc); err != nil {
		return page{err: err}
	}
	io.WriteString(nc, body)
	raw, err := io.ReadAll(nc)
	if err != nil {
		return page{err: err}
	}
	br := bufio.NewReader(bytes.NewReader(raw))
	resp, err := uwsgi.ReadResponse(br)
	if err != nil {
		return page{err: err}
	}
	b, err := io.ReadAll(resp.Body(br, v.Get("REQUEST_METHOD")))
	return page{status: resp.StatusCode, body: string(b), err: err}
}
