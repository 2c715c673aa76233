package gateway

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// unframed is the head of a page that only the end of the stream ends.
func unframed(status string) string {
	return "HTTP/1.1 " + status + "\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
}

// breaksOff sends text and resets the connection, without reading the body. A
// UNIX socket is reset when it is closed with something unread.
func breaksOff(text string) script {
	return func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
		io.WriteString(nc, text)
		if n, _ := req.ContentLength(); n > 0 {
			in.ReadByte()
		}
		closeHard(nc)
	}
}

// A reset does not pass for the end of a response that only the end of the stream
// ends: whatever was sent before, nginx sees it break off and nothing is stored.
func TestResetInsideAnUnframedBody(t *testing.T) {
	whole := "<html>" + strings.Repeat("x", 1000) + "</html>"
	large := strings.Repeat("x", 4*socket.MinSplice)
	for _, tt := range []struct {
		name string
		vars uwsgi.Vars
		body int
		text string
	}{
		{"page", missed("/"), 0, unframed("200 OK") + whole},
		{"refusal of a request without a body", missed("/"), 0, unframed("403 Forbidden") + whole},
		{"large response", missed("/"), 0, unframed("200 OK") + large},
		{"upload unread", uploading("POST", 100), 100, unframed("200 OK") + whole},
		{"large upload unread", uploading("POST", 8<<20), 8 << 20, unframed("200 OK") + whole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, tune func(*Gateway)) {
				b := startBench(t, "tcp", func(g *Gateway) { tune(g); g.Policy.AcceptUnframed = true },
					startWorkerOn(t, "tcp", breaksOff(tt.text)))
				for n := range 20 {
					if got := b.sendAndRead(tt.vars, make([]byte, tt.body)); got.err == nil {
						t.Fatalf("request %d ended cleanly with %d bytes", n, len(got.raw))
					}
				}
				if items := b.contents(); len(items) != 0 {
					t.Errorf("stored %d pages", len(items))
				}
			})
		})
	}
}

// Nor does a worker's clean close, if the body that it was to take has not come: it has
// died, as far as anybody knows.
func TestCloseBeforeTheBodyHasCome(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const size, sent = 1 << 20, 100
			b := startBench(t, "tcp", func(g *Gateway) { g.Uploads.Stream = true },
				startWorkerOn(t, network, func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
					io.ReadFull(in, make([]byte, sent))
					io.WriteString(nc, unframed("200 OK")+"<html>half a page")
				}))
			nc := b.dial()
			nc.Write(append(encode(t, uploading("POST", size)), make([]byte, sent)...))
			raw, err := io.ReadAll(nc)
			if !strings.Contains(string(raw), "half a page") || err == nil {
				t.Errorf("got %q, %v; want it broken off", raw, err)
			}
		})
	}
}

// What has been taken to its last byte may end in the stream's end.
func TestUnframedAnswerToAStreamedUpload(t *testing.T) {
	body := noise(3 * socket.MinSplice)
	onEach(t, func(t *testing.T, network string) {
		b := startBench(t, network, func(g *Gateway) { g.Uploads.Stream = true },
			startWorkerOn(t, network, func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
				io.CopyN(io.Discard, in, int64(len(body)))
				io.WriteString(nc, unframed("200 OK")+"<html>whole</html>")
			}))
		for range 50 {
			if got := b.sendAndRead(uploading("POST", len(body)), body); got.err != nil || got.body != "<html>whole</html>" {
				t.Fatalf("got %q, %v", got.raw, got.err)
			}
		}
	})
}

// A UNIX socket shows no more than TCP.
func TestResetOfAUnixSocket(t *testing.T) {
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		for _, size := range []int{3 * backendBuffer, 3 * socket.MinSplice, 8 << 20} {
			b := startBench(t, "tcp", tune, startWorker(t, breaksOff(unframed("200 OK")+"page")))
			for n := range 20 {
				if got := b.sendAndRead(uploading("POST", size), make([]byte, size)); got.err == nil {
					t.Fatalf("%d bytes, request %d: ended cleanly", size, n)
				}
			}
		}
	})
}

// sendAndRead does both at once, as nginx does.
func (b *bench) sendAndRead(v uwsgi.Vars, body []byte) response {
	b.t.Helper()
	nc := b.dial()
	defer nc.Close()
	packet := encode(b.t, v)
	sent := make(chan error)
	go func() {
		_, err := nc.Write(append(packet, body...))
		sent <- err
	}()
	raw, err := io.ReadAll(nc)
	nc.Close()
	// The system reports a reset once, and perhaps the sender.
	if serr := <-sent; err == nil && errors.Is(serr, syscall.ECONNRESET) {
		err = serr
	}
	return parseResponse(b.t, raw, err, v.Get("REQUEST_METHOD"))
}

// A worker that refuses an upload unread resets the connection behind a refusal
// that may well be without a length.
func TestUnframedRefusalArrives(t *testing.T) {
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		onEach(t, func(t *testing.T, network string) {
			b := startBench(t, network, tune, startWorkerOn(t, network, says(unframed("401 Unauthorized")+"who are you?")))
			for n := range 20 {
				got := askSlowly(t, b, uploading("POST", 1<<20), make([]byte, 1<<20))
				if got.status != 401 || got.body != "who are you?" || got.err != nil {
					t.Fatalf("request %d: got %q, %v; want the refusal", n, got.raw, got.err)
				}
			}
		})
	})
}

// Large responses that are not stored go through the kernel alone: just as long as
// was promised, and visibly broken if less comes.
func TestLargeAnswer(t *testing.T) {
	const size = 5*socket.MinSplice + 3
	body := string(noise(size))
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
	onEach(t, func(t *testing.T, network string) {
		for _, tt := range []struct {
			name, response, want string
			side                 any
		}{
			{"as long as promised", head + body, body, nil},
			{"longer", head + body + "more", body, nil},
			{"shorter", head + body[:size-1], body[:size-1], "backend"},
			{"to the end", unframed("200 OK") + body, body, nil},
		} {
			t.Run(tt.name, func(t *testing.T) {
				b := startBench(t, network, nil, startWorkerOn(t, network, says(tt.response)))
				got := b.ask(request("GET", "/"), nil)
				if got.body != tt.want || got.err != nil {
					t.Errorf("got %d bytes, %v; want %d", len(got.body), got.err, len(tt.want))
				}
				line := b.line(0)
				if line["bytes"] != int64(len(tt.want)) || line["side"] != tt.side {
					t.Errorf("logged %v", line)
				}
				if n := b.stats.spliced.Load(); n < uint64(size)/2 {
					t.Errorf("the kernel has moved %d of %d bytes", n, size)
				}
			})
		}
	})
}

// A page that may be stored is looked at on its way, however large.
func TestLargePageIsCaptured(t *testing.T) {
	body := string(noise(3 * socket.MinSplice))
	b := newBench(t, nil, says(okPage(body)))
	if got := b.get("/"); got.body != body {
		t.Errorf("got %d bytes", len(got.body))
	}
	if it := b.contents()["k:/"]; it.body != body {
		t.Errorf("stored %d bytes, want %d", len(it.body), len(body))
	}
}

// gunicorn keeps connections open and sends chunks where it knows no length: the
// response has ended all the same.
func TestKeptOpenAnswerEndsPromptly(t *testing.T) {
	for name, response := range map[string]string{
		"length": okPage("hello", "Connection: keep-alive"),
		"chunks": "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"none":   "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan error, 1)
			b := newBench(t, func(g *Gateway) { g.AskToClose = true }, func(nc net.Conn, req *uwsgi.Request, in *bufio.Reader) {
				if got := req.Vars.Get("HTTP_CONNECTION"); got != "close" {
					t.Errorf("gunicorn got %q, want close", got)
				}
				io.WriteString(nc, response)
				_, err := in.ReadByte()
				closed <- err
			})
			got := b.get("/")
			if got.err != nil || !strings.Contains(response, got.body) || got.header.Has("Transfer-Encoding") || got.header.Has("Connection") {
				t.Errorf("got %q, %v", got.raw, got.err)
			}
			if err := <-closed; err != io.EOF {
				t.Errorf("gunicorn read %v, want EOF", err)
			}
		})
	}
}

// An upgrade says itself what becomes of the connection.
func TestAskToCloseSparesUpgrades(t *testing.T) {
	b := newBench(t, func(g *Gateway) { g.AskToClose = true }, func(nc net.Conn, req *uwsgi.Request, _ *bufio.Reader) {
		io.WriteString(nc, okPage(req.Vars.Get("HTTP_CONNECTION")))
	})
	got := b.ask(request("GET", "/", uwsgi.Var{Name: "HTTP_UPGRADE", Value: "echo"}, uwsgi.Var{Name: "HTTP_CONNECTION", Value: "Upgrade"}), nil)
	if got.body != "Upgrade" {
		t.Errorf("the worker got %q", got.body)
	}
}
