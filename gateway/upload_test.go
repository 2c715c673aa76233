package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwgate/gateway/backend"
	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// eachWay runs a test with bodies that are spooled, and with streamed ones.
func eachWay(t *testing.T, test func(t *testing.T, tune func(*Gateway))) {
	t.Run("spooled", func(t *testing.T) { test(t, func(*Gateway) {}) })
	t.Run("streamed", func(t *testing.T) { test(t, func(g *Gateway) { g.Uploads.Stream = true }) })
}

// onEach runs a test over both kinds of sockets.
func onEach(t *testing.T, test func(t *testing.T, network string)) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) { test(t, network) })
	}
}

// noise is a body in which no part looks like another.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// compares responds with whether what it gets is body, and nothing is behind it.
func compares(body []byte) script {
	return func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
		got := make([]byte, len(body))
		io.ReadFull(in, got)
		verdict := "different"
		if bytes.Equal(got, body) && in.Buffered() == 0 {
			verdict = "same"
		}
		io.WriteString(nc, okPage(verdict))
	}
}

func TestUploadArrives(t *testing.T) {
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		onEach(t, func(t *testing.T, network string) {
			for _, size := range []int{1, clientBuffer, clientBuffer + 1, spoolInMemory, spoolInMemory + 1, 3*socket.MinSplice + 7} {
				body := noise(size)
				b := startBench(t, network, tune, startWorkerOn(t, network, compares(body)))
				if got := b.ask(uploading("POST", size), body); got.body != "same" {
					t.Errorf("%d bytes: got %q, want the same body to arrive", size, got.raw)
				}
			}
		})
	})
}

// An application that responds with 413 without reading is heard every time.
func TestEarlyAnswerArrives(t *testing.T) {
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		onEach(t, func(t *testing.T, network string) {
			body := make([]byte, 1<<20)
			b := startBench(t, network, tune, startWorkerOn(t, network, says("HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge")))
			for i := range 20 {
				got := askSlowly(t, b, uploading("POST", len(body)), body)
				if got.status != 413 || got.body != "large" || got.err != nil {
					t.Fatalf("request %d: got %d %q %v, want 413 large", i, got.status, got.body, got.err)
				}
			}
		})
	})
}

// askSlowly writes everything before it reads anything.
func askSlowly(t *testing.T, b *bench, v uwsgi.Vars, body []byte) response {
	t.Helper()
	nc := b.dial()
	defer nc.Close()
	if _, err := nc.Write(append(encode(t, v), body...)); err != nil {
		t.Fatalf("nginx would see %v instead of the response", err)
	}
	raw, err := io.ReadAll(nc)
	return parseResponse(t, raw, err, v.Get("REQUEST_METHOD"))
}

// A large response and a large upload at once: each side writes all before it
// reads, so a relay that does one thing at a time stands still.
func TestUploadAndAnswerSideBySide(t *testing.T) {
	const size = 8 << 20
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		onEach(t, func(t *testing.T, network string) {
			b := startBench(t, network, tune, startWorkerOn(t, network, func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
				io.WriteString(nc, okPage(strings.Repeat("x", size)))
				io.CopyN(io.Discard, in, size)
			}))
			nc := b.dial()
			sent := make(chan error, 1)
			packet := encode(t, uploading("POST", size))
			go func() {
				_, err := nc.Write(append(packet, make([]byte, size)...))
				sent <- err
			}()
			raw, err := io.ReadAll(nc)
			if got := parseResponse(t, raw, err, "POST"); len(got.body) != size || got.err != nil {
				t.Errorf("got %d bytes, %v; want %d", len(got.body), got.err, size)
			}
			if err := <-sent; err != nil {
				t.Errorf("upload: %v", err)
			}
		})
	})
}

func TestStalledUploadIsAnswered(t *testing.T) {
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		for _, size := range []int{10, spoolInMemory + 1, 2 * socket.MinSplice} {
			b := newBench(t, func(g *Gateway) { tune(g); g.Timeouts.Idle = 20 * time.Millisecond },
				func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) { io.Copy(io.Discard, in) })
			nc := b.dial()
			nc.Write(append(encode(t, uploading("POST", size)), "half"...))
			raw, err := io.ReadAll(nc)
			if got := parseResponse(t, raw, err, "POST"); got.status != 408 {
				t.Errorf("%d bytes: got %q, %v; want 408", size, got.raw, err)
			}
		}
	})
}

// waits is a worker that responds when a test lets it, and reports first whether its
// connection was closed before.
type waits struct {
	started chan struct{}
	left    chan error // what ended the wait; nil: the test let it go on
	goOn    chan struct{}
}

func newWaits() *waits {
	return &waits{make(chan struct{}), make(chan error, 1), make(chan struct{})}
}

func (w *waits) play(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
	closed := make(chan error, 1)
	go func() {
		_, err := in.ReadByte()
		closed <- err
	}()
	close(w.started)
	select {
	case err := <-closed:
		w.left <- err
	case <-w.goOn:
		w.left <- nil
		io.WriteString(nc, okPage("slow"))
		nc.(interface{ CloseWrite() error }).CloseWrite()
		<-closed
	}
}

func TestBackendIsClosedWhenNginxLeaves(t *testing.T) {
	onEach(t, func(t *testing.T, network string) {
		w := newWaits()
		b := startBench(t, network, nil, startWorker(t, w.play))
		nc := b.dial()
		nc.Write(encode(t, missed("/")))
		<-w.started
		nc.Close()
		if err := <-w.left; err != io.EOF {
			t.Errorf("the worker read %v, want EOF", err)
		}
		if line := b.line(0); line["status"] != int64(499) || line["side"] != "client" {
			t.Errorf("logged %v, want 499 on the client's side", line)
		}
	})
}

// A client that closes its direction and waits gets its response: over a UNIX
// socket always, over TCP if it is allowed to.
func TestHalfClose(t *testing.T) {
	for _, tt := range []struct {
		name, network string
		allowed       bool
		answered      bool
	}{
		{"unix", "unix", false, true},
		{"tcp", "tcp", false, false},
		{"tcp, allowed", "tcp", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWaits()
			b := startBench(t, tt.network, func(g *Gateway) { g.Peers.HalfClose = tt.allowed }, startWorker(t, w.play))
			nc := b.dial()
			nc.Write(encode(t, missed("/")))
			<-w.started
			socket.CloseWrite(nc)
			if tt.answered {
				// As long as it takes to leave a client that is thought gone.
				select {
				case <-w.left:
					t.Fatal("the worker was left")
				case <-time.After(50 * time.Millisecond):
				}
				close(w.goOn)
			}
			raw, err := io.ReadAll(nc)
			if got := parseResponse(t, raw, err, "GET"); (got.body == "slow") != tt.answered {
				t.Errorf("got %q, %v; want a response: %v", got.raw, got.err, tt.answered)
			}
		})
	}
}

// Having closed one direction, a client may still leave.
func TestHalfClosedClientLeaves(t *testing.T) {
	w := newWaits()
	b := newBench(t, nil, w.play)
	nc := b.dial()
	nc.Write(encode(t, missed("/")))
	<-w.started
	socket.CloseWrite(nc)
	nc.Close()
	if err := <-w.left; err != io.EOF {
		t.Errorf("the worker read %v, want EOF", err)
	}
}

// A client that leaves before a backend was found takes none.
func TestClientLeavesBeforeABackendIsFound(t *testing.T) {
	b := startBench(t, "unix", func(g *Gateway) { g.Backends.Default.DialTimeout = patience }, startFull(t))
	nc := b.dial()
	nc.Write(append(encode(t, uploading("POST", 5)), "hello"...))
	nc.Close()
	if line := b.line(0); line["status"] != int64(499) {
		t.Errorf("logged %v, want 499", line)
	}
}

// startFull returns the address of a server whose backlog stays full.
func startFull(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "full.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return "unix:" + path
}

// Any request may be sent again if the first backend has not got a byte of it.
func TestUnseenRequestMayBeRepeated(t *testing.T) {
	onEach(t, func(t *testing.T, network string) {
		b := newBench(t, nil, says(okPage("a")), says(okPage("b")))
		conn, peer := sockets(t, network)
		closeHard(peer)
		pool := b.Backends.Default
		dialled, err := pool.Dial(t.Context(), backend.Want{})
		if err != nil {
			t.Fatal(err)
		}
		dialled.Close()
		w := &worker{g: b.Gateway, pool: pool, conn: &backend.Conn{Conn: conn, Node: dialled.Node}, in: bufio.NewReader(conn), head: len("packet")}
		c := &client{method: "POST"}
		eventually(t, "connection is broken", func() bool {
			_, err := conn.Write([]byte{0})
			return err != nil
		})
		if err := w.ask([]byte("packet"), c); err == nil || !w.takeRetry(err, c, 1) {
			t.Errorf("%v: takeRetry says no", err)
		}
	})
}

// closeHard closes so that TCP sends a reset.
func closeHard(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

// When the response is through, an upload that does not come to an end is not waited
// for.
func TestLingerIsBounded(t *testing.T) {
	for _, size := range []int{1000, 3 * socket.MinSplice} {
		b := newBench(t, func(g *Gateway) { g.Uploads.Stream = true; g.Timeouts.Linger = 20 * time.Millisecond },
			func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
				in.ReadByte()
				io.WriteString(nc, okPage("hello"))
			})
		nc := b.sendPart(noise(size))
		raw, err := io.ReadAll(nc)
		if got := parseResponse(t, raw, err, "POST"); got.body != "hello" {
			t.Errorf("%d bytes: got %q, %v", size, got.raw, got.err)
		}
		for range size / 4 {
			nc.Write([]byte{0})
		}
		eventually(t, "connection closed", func() bool { return b.stats.inFlight.Load() == 0 })
	}
}

// A body as large as this goes to the second backend as a whole.
func TestLargeBodyIsSentAgain(t *testing.T) {
	body := noise(2 * socket.MinSplice)
	onEach(t, func(t *testing.T, network string) {
		silent := func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) { io.CopyN(io.Discard, in, int64(len(body))) }
		b := startBench(t, network, nil, startWorkerOn(t, network, silent), startWorkerOn(t, network, compares(body)))
		if got := b.ask(uploading("GET", len(body)), body); got.body != "same" {
			t.Errorf("got %q, want the whole body again", got.raw)
		}
	})
}

// Bytes that nobody asked for do not cost the response: a connection that is closed with
// them unread would be reset.
func TestSurplusBehindARequest(t *testing.T) {
	onEach(t, func(t *testing.T, network string) {
		answered, surplus := make(chan struct{}), make(chan struct{})
		b := startBench(t, network, nil, startWorkerOn(t, network, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
			surplus <- struct{}{}
			<-answered
			io.WriteString(nc, okPage("hello", "Cache-Control: no-store"))
		}))
		for range 20 {
			nc := b.dial()
			nc.Write(encode(t, missed("/")))
			<-surplus
			nc.Write(make([]byte, 1000))
			answered <- struct{}{}
			raw, err := io.ReadAll(nc)
			if got := parseResponse(t, raw, err, "GET"); got.body != "hello" || got.err != nil {
				t.Fatalf("got %q, %v", got.raw, got.err)
			}
			nc.Close()
		}
	})
}
