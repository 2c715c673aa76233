package integration

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// startBodies runs the application of testdata/bodies. args are flags of uwgate, lines
// are directives of nginx, which has no limit for bodies.
func startBodies(t *testing.T, args []string, lines ...string) *world {
	t.Helper()
	lines = append([]string{"include uwsgi_params;", "client_max_body_size 0;"}, lines...)
	return start(t, stack.Config{
		App: "testdata/bodies", Args: args,
		Edits: [][2]string{{"include uwsgi_params;", strings.Join(lines, "\n    ")}},
	})
}

// bodyModes are the ways in which a request's body can reach the worker.
var bodyModes = []struct {
	name  string
	args  []string
	lines []string
}{
	{"spooled", nil, nil},
	{"streamed", []string{"--stream-uploads"}, nil},
	{"unbuffered, spooled", nil, []string{"uwsgi_request_buffering off;"}},
	{"unbuffered, streamed", []string{"--stream-uploads"}, []string{"uwsgi_request_buffering off;"}},
}

func inBodyModes(t *testing.T, test func(t *testing.T, w *world)) {
	for _, m := range bodyModes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			test(t, startBodies(t, m.args, m.lines...))
		})
	}
}

// A worker refuses a large upload without reading it. The client gets the response each
// time, with a length or without one.
func TestEarlyAnswers(t *testing.T) {
	t.Parallel()
	inBodyModes(t, func(t *testing.T, w *world) {
		body := make([]byte, 1<<20)
		for _, path := range []string{"/refuse?status=401", "/refuse?status=403", "/refuse?status=413", "/refuse?status=401&framed=no"} {
			for n := range 20 {
				p := w.do("POST", path, bytes.NewReader(body))
				if want := path[15:18]; strconv.Itoa(p.status) != want || p.body != "refused" || p.err != nil {
					t.Fatalf("%s, request %d: got %d %q, %v", path, n, p.status, p.body, p.err)
				}
			}
		}
	})
}

// The worker writes a large page before it reads any of a large upload.
func TestLargeAnswerDuringALargeUpload(t *testing.T) {
	t.Parallel()
	inBodyModes(t, func(t *testing.T, w *world) {
		p := w.do("POST", "/large?mib=24", io.LimitReader(zeros{}, 24<<20))
		if w.want(p, 200); len(p.body) != 24<<20 {
			t.Errorf("got %d bytes", len(p.body))
		}
	})
}

// zeros is a body without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// A uWSGI worker gives up after four seconds without a byte. With a spooled body it
// does not see the pause.
func TestPausedUpload(t *testing.T) {
	t.Parallel()
	w := startBodies(t, nil)
	body := bytes.Repeat([]byte("0123456789"), 30_000)
	nc := w.dialUwgate()
	v := append(vars("POST", "/digest"), uwsgi.Var{Name: "CONTENT_LENGTH", Value: strconv.Itoa(len(body))})
	if err := (&uwsgi.Request{Vars: v}).Write(nc); err != nil {
		t.Fatal(err)
	}
	nc.Write(body[:len(body)/2])
	<-time.After(5 * time.Second) // the pause is the subject
	nc.Write(body[len(body)/2:])
	if got, want := readAnswer(t, nc), fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)); got != want {
		t.Errorf("the worker got %q, want %q", got, want)
	}
}

func (w *world) dialUwgate() *net.UnixConn {
	w.t.Helper()
	nc, err := net.Dial("unix", strings.TrimPrefix(w.Uwgate.Addr, "unix:"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * patience))
	return nc.(*net.UnixConn)
}

// readAnswer returns the body of a response, which must have status 200.
func readAnswer(t *testing.T, nc net.Conn) string {
	t.Helper()
	br := bufio.NewReader(nc)
	resp, err := uwsgi.ReadResponse(br)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body(br, "POST"))
	if resp.StatusCode != 200 || err != nil {
		t.Fatalf("got %d %q, %v; want 200", resp.StatusCode, body, err)
	}
	return string(body)
}

// A client of uwgate may close its sending direction and wait for a slow response.
func TestHalfClosedClient(t *testing.T) {
	t.Parallel()
	w := startBodies(t, nil)
	nc := w.dialUwgate()
	if err := (&uwsgi.Request{Vars: vars("GET", "/slow")}).Write(nc); err != nil {
		t.Fatal(err)
	}
	nc.CloseWrite()
	if got := readAnswer(t, nc); got != "slow" {
		t.Errorf("got %q", got)
	}
}

// nginx gets a 413 while it still sends a body that is too large.
func TestTooLargeUpload(t *testing.T) {
	t.Parallel()
	for _, m := range bodyModes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := startBodies(t, append([]string{"--max-request-body", "1M"}, m.args...), m.lines...)
			for range 5 {
				if p := w.do("POST", "/digest", bytes.NewReader(make([]byte, 32<<20))); p.status != http.StatusRequestEntityTooLarge || p.err != nil {
					t.Fatalf("got %d, %v; want 413", p.status, p.err)
				}
			}
		})
	}
}

// A worker that dies before it has read the request resets the connection. A page
// without a length is then not complete, whatever its bytes look like. Only over TCP
// can the client see this.
func TestKilledInsideAnUnframedPage(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	w := startBodies(t, []string{"--accept-unframed", "html", "--listen", addr})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	body := make([]byte, 300_000)
	v := append(vars("POST", "/killed"), uwsgi.Var{Name: "CONTENT_LENGTH", Value: strconv.Itoa(len(body))})
	if err := (&uwsgi.Request{Vars: v}).Write(nc); err != nil {
		t.Fatal(err)
	}
	nc.Write(body)
	if raw, err := io.ReadAll(nc); err == nil {
		t.Errorf("got %d bytes as if they were all", len(raw))
	}
	if n := w.items(); n != 0 {
		t.Errorf("%d pages are stored", n)
	}
}

// uwgate needs no more memory for a large body than for a small one.
func TestLargeBodiesTakeNoMemory(t *testing.T) {
	const mib, room = 256, 24 << 20
	t.Setenv("GOGC", "100") // so that it lets no garbage gather but its own
	for _, m := range bodyModes[:2] {
		t.Run(m.name, func(t *testing.T) {
			w := startBodies(t, m.args)
			w.want(w.do("POST", "/digest", strings.NewReader("warm")), 200)
			before := w.metric("process_resident_memory_bytes")
			stop := w.watchMemory()
			down := w.transfer("GET", fmt.Sprintf("/large?mib=%d", mib), nil)
			sum := sha256.New()
			up := w.transfer("POST", "/digest", io.TeeReader(io.LimitReader(zeros{}, mib<<20), sum))
			peak := stop()
			t.Logf("uwgate had %d MiB, and at most %d", before>>20, peak>>20)
			if peak > before+room {
				t.Errorf("uwgate grew from %d to %d MiB", before>>20, peak>>20)
			}
			if down.size != mib<<20 {
				t.Errorf("%d bytes came down", down.size)
			}
			if want := fmt.Sprintf("%d %x", mib<<20, sum.Sum(nil)); up.text != want {
				t.Errorf("the worker got %q, want %q", up.text, want)
			}
			if n := w.metric("uwgate_spliced_bytes_total"); n < 2*mib<<20*9/10 {
				t.Errorf("the kernel alone has moved %d MiB of %d", n>>20, 2*mib)
			}
		})
	}
}

// A transfer is a response that is too large to keep.
type transfer struct {
	size int64
	text string // its first bytes
}

func (w *world) transfer(method, path string, body io.Reader) transfer {
	w.t.Helper()
	req, err := http.NewRequest(method, w.URL(path), body)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 100))
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || resp.StatusCode != 200 {
		w.t.Fatalf("%s: %d, %v after %d bytes", path, resp.StatusCode, err, n)
	}
	return transfer{n + int64(len(text)), string(text)}
}

// watchMemory polls the resident memory of uwgate until stop is called. stop returns
// the maximum.
func (w *world) watchMemory() (stop func() int) {
	ended, peak := make(chan struct{}), make(chan int)
	go func() {
		most := 0
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				peak <- most
				return
			case <-tick.C:
				most = max(most, w.metric("process_resident_memory_bytes"))
			}
		}
	}()
	return func() int { close(ended); return <-peak }
}
