package gateway

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// startSecureWorker plays s over TLS. Unless s does it, by CloseWrite, nobody sends the
// alert that is TLS's end of a stream: uWSGI does not, either. nc is what is below tc.
func startSecureWorker(t *testing.T, s func(nc net.Conn, tc *tls.Conn)) string {
	t.Helper()
	conf := &tls.Config{Certificates: []tls.Certificate{certify(t)}}
	addr := serveConns(t, "tcp", func(nc net.Conn) { playSecure(nc, tls.Server(nc, conf), s) })
	return "suwsgi:" + addr + " insecure"
}

func playSecure(nc net.Conn, tc *tls.Conn, s func(net.Conn, *tls.Conn)) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReader(tc)
	req, err := uwsgi.ReadRequest(br)
	if err != nil {
		return
	}
	length, _ := req.ContentLength()
	io.CopyN(io.Discard, br, length)
	s(nc, tc)
}

// The end of a connection over TLS counts as that of one without: uWSGI does not distinguish
// the two.
func TestSuwsgiEnds(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
	const html = "<html>hello</html>"
	silent := func(net.Conn, *tls.Conn) {}
	goodbye := func(_ net.Conn, tc *tls.Conn) { tc.CloseWrite() }
	inRecord := func(nc net.Conn, _ *tls.Conn) { nc.Write([]byte{23, 3, 3, 0, 100, 1, 2, 3}) }
	reset := func(nc net.Conn, _ *tls.Conn) { nc.(*net.TCPConn).SetLinger(0) }
	for name, tt := range map[string]struct {
		response string
		end      func(net.Conn, *tls.Conn)
		whole    bool
	}{
		"with a length":               {okPage(html), silent, true},
		"with a length, reset":        {okPage(html), reset, true},
		"with a length, in a record":  {okPage(html), inRecord, true},
		"in chunks":                   {head + "Transfer-Encoding: chunked\r\n\r\n12\r\n" + html + "\r\n0\r\n\r\n", silent, true},
		"of no body":                  {"HTTP/1.1 204 No Content\r\n\r\n", silent, true},
		"unframed":                    {head + "\r\n" + html, silent, true},
		"unframed, close_notify":      {head + "\r\n" + html, goodbye, true},
		"unframed, in a record":       {head + "\r\n" + html, inRecord, false},
		"unframed, reset":             {head + "\r\n" + html, reset, false},
		"short, close_notify":         {head + "Content-Length: 99\r\n\r\n" + html, goodbye, false},
		"no last chunk, close_notify": {head + "Transfer-Encoding: chunked\r\n\r\n12\r\n" + html + "\r\n", goodbye, false},
	} {
		t.Run(name, func(t *testing.T) {
			began, goOn := make(chan struct{}), make(chan struct{})
			b := startBench(t, "tcp", func(g *Gateway) { g.Policy.AcceptUnframed = true },
				startSecureWorker(t, func(nc net.Conn, tc *tls.Conn) {
					io.WriteString(tc, tt.response)
					close(began)
					<-goOn // what was sent has been read: a reset may take it away
					tt.end(nc, tc)
				}))
			nc := b.dial()
			nc.Write(encode(t, missed("/")))
			<-began
			start := make([]byte, len("HTTP/1.1 200"))
			io.ReadFull(nc, start)
			close(goOn)
			rest, err := io.ReadAll(nc)
			got := parseResponse(t, append(start, rest...), err, "GET")
			looksWhole := got.err == nil && (got.length < 0 || got.length == int64(len(got.body)))
			if looksWhole != tt.whole {
				t.Errorf("got %q of length %d, %v; want it whole: %v", got.body, got.length, got.err, tt.whole)
			}
			line := b.line(0)
			if truncated := line["reason"] == string(policy.Truncated); truncated == tt.whole {
				t.Errorf("logged %v", line)
			}
		})
	}
}
