package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"uwgate/uwsgi"
)

// pause is how long nginx does not read, and impatience the timeouts that it must not run
// into. A worker of the tests may get no processor for a second on a busy machine.
const pause, impatience = 4500 * time.Millisecond, 2500 * time.Millisecond

// bodiesOf are responses that go to nginx on every way that there is: captured for the
// store, through the kernel, copied.
func bodiesOf(size int) map[string]string {
	body := strings.Repeat("x", size)
	return map[string]string{
		"stored":        okPage(body[:1000<<10]),
		"with a length": okPage(body),
		"in chunks":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n", size, body) + "0\r\n\r\n",
		"without":       "HTTP/1.1 200 OK\r\n\r\n" + body,
	}
}

// nginx stops reading for longer than every timeout but its own, and gets everything.
func TestSlowReadersGetAll(t *testing.T) {
	const size = 16 << 20 // more than the system buffers
	onEach(t, func(t *testing.T, network string) {
		for name, whole := range bodiesOf(size) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := startBench(t, network, func(g *Gateway) { g.Timeouts.Idle = impatience }, startWorkerOn(t, network, says(whole)))
				nc := b.dial()
				nc.Write(encode(t, missed("/")))
				var first [1]byte
				io.ReadFull(nc, first[:])
				<-time.After(pause) // the pause is the subject
				raw, err := io.ReadAll(nc)
				got := parseResponse(t, append(first[:], raw...), err, "GET")
				_, body, _ := strings.Cut(whole, "\r\n\r\n")
				if want := strings.Count(body, "x"); got.err != nil || strings.Count(got.body, "x") != want {
					t.Errorf("got %d bytes, %v; want %d", len(got.body), got.err, want)
				}
				if line := b.line(0); line["error"] != nil || line["verdict"] != map[bool]string{true: "store", false: "pass"}[name == "stored"] {
					t.Errorf("the log says %v", line)
				}
			})
		}
	})
}

// Followers of a flight, and its leader that lags behind, may be as slow.
func TestSlowReadersOfAFlight(t *testing.T) {
	onEach(t, func(t *testing.T, network string) {
		asked, goOn := make(chan struct{}), make(chan struct{})
		whole := okPage(strings.Repeat("x", 1000<<10))
		b := startBench(t, network, func(g *Gateway) { g.Timeouts.Idle = impatience }, startWorkerOn(t, network, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
			close(asked)
			<-goOn
			io.WriteString(nc, whole)
		}))
		clients := []net.Conn{b.dial(), b.dial(), b.dial()}
		for i, nc := range clients {
			nc.Write(encode(t, missed("/")))
			if i == 0 {
				<-asked
			}
		}
		eventually(t, "two follow", func() bool { _, n := b.flights.count(); return n == 2 })
		close(goOn)
		<-time.After(pause) // the pause is the subject
		for i, nc := range clients {
			raw, err := io.ReadAll(nc)
			if got := parseResponse(t, raw, err, "GET"); got.err != nil || len(got.body) != 1000<<10 {
				t.Errorf("client %d got %d bytes, %v", i, len(got.body), got.err)
			}
		}
	})
}

// Who does not read at all is given up when an operator wants that.
func TestSendTimeout(t *testing.T) {
	onEach(t, func(t *testing.T, network string) {
		for name, tune := range map[string]func(*Gateway){
			"write response":  func(g *Gateway) { g.Timeouts.Send = impatience },
			"--total-timeout": func(g *Gateway) { g.Timeouts.Total = pause },
		} {
			for kind, whole := range bodiesOf(16 << 20) {
				t.Run(name+"/"+kind, func(t *testing.T) {
					if network == "tcp" && kind == "stored" {
						t.Skip("the system takes all of it")
					}
					t.Parallel()
					b := startBench(t, network, tune, startWorkerOn(t, network, says(whole)))
					nc := b.dial()
					nc.Write(encode(t, missed("/")))
					line := b.line(0)
					if err := fmt.Sprint(line["error"]); line["verdict"] != "pass" || !strings.Contains(err, name) {
						t.Errorf("the log says %v", line)
					}
				})
			}
		}
	})
}

// A client that does not read keeps nobody from shutting down.
func TestDrainEndsSlowReaders(t *testing.T) {
	onEach(t, func(t *testing.T, network string) {
		b := startBench(t, network, func(g *Gateway) { g.Timeouts.Drain = impatience }, startWorkerOn(t, network, says(bodiesOf(16 << 20)["with a length"])))
		nc := b.dial()
		nc.Write(encode(t, missed("/")))
		var first [1]byte
		io.ReadFull(nc, first[:])
		b.stop()
		if err := <-b.served; err == nil {
			t.Error("Serve does not say that a request was broken off")
		}
		b.served <- nil
	})
}

// A worker that pauses for longer than the idle timeout is given up, however slow
// nginx is.
func TestPausedWorkerIsGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := newBench(t, func(g *Gateway) { g.Timeouts.Idle = impatience }, func(nc net.Conn, _ *uwsgi.Request, _ *bufio.Reader) {
		io.WriteString(nc, okPage("hello")[:len(okPage("hello"))-1])
		<-ctx.Done()
	})
	got := b.get("/")
	cancel()
	if got.body != "hell" {
		t.Errorf("got %q", got.body)
	}
	if line := b.line(0); line["reason"] != "truncated" || line["side"] != "backend" {
		t.Errorf("the log says %v", line)
	}
}
