package gateway

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// asked is how many backends have been connected to.
func (b *bench) asked() (n uint64) {
	for _, p := range b.Backends.All() {
		for _, s := range p.Stats() {
			n += s.Requests
		}
	}
	return n
}

// sendPart begins a request and sends half of its body.
func (b *bench) sendPart(body []byte) net.Conn {
	b.t.Helper()
	nc := b.dial()
	if _, err := nc.Write(append(encode(b.t, uploading("POST", len(body))), body[:len(body)/2]...)); err != nil {
		b.t.Fatal(err)
	}
	return nc
}

// No worker is taken before the body is here, in memory or in a file.
func TestBodyIsSpooled(t *testing.T) {
	for _, tt := range []struct {
		size   int
		memory int64
		files  int64
	}{
		{1, 1, 0},
		{spoolInMemory, spoolInMemory, 0},
		{spoolInMemory + 1, 0, 1},
		{1 << 20, 0, 1},
	} {
		t.Run(fmt.Sprint(tt.size), func(t *testing.T) {
			dir := t.TempDir()
			body := noise(tt.size)
			b := newBench(t, func(g *Gateway) { g.Uploads.Dir = dir }, compares(body))
			nc := b.sendPart(body)
			held := func() bool { return b.spoolMemory.used.Load() == tt.memory && b.stats.spoolFiles.Load() == tt.files }
			eventually(t, "body held", held)
			if n := b.asked(); n != 0 {
				t.Error("a worker was taken before the body was here")
			}
			if names, err := filepath.Glob(filepath.Join(dir, "*")); len(names) > 0 || err != nil {
				t.Errorf("the folder shows %v, %v", names, err)
			}
			nc.Write(body[len(body)/2:])
			raw, err := io.ReadAll(nc)
			if got := parseResponse(t, raw, err, "POST"); got.body != "same" {
				t.Errorf("got %q", got.raw)
			}
			nc.Close()
			eventually(t, "room given back", func() bool { return b.spoolMemory.used.Load() == 0 && b.stats.spoolFiles.Load() == 0 })
		})
	}
}

func TestSpoolMemoryIsBounded(t *testing.T) {
	body := noise(80)
	for _, tt := range []struct{ limit, memory, files int64 }{{0, 160, 0}, {100, 80, 1}, {-1, 0, 2}} {
		b := newBench(t, func(g *Gateway) { g.Uploads.Memory = tt.limit }, compares(body))
		for range 2 {
			defer b.sendPart(body).Close()
		}
		eventually(t, fmt.Sprintf("limit %d: %d bytes in memory, %d files", tt.limit, tt.memory, tt.files), func() bool {
			return b.spoolMemory.used.Load() == tt.memory && b.stats.spoolFiles.Load() == tt.files
		})
	}
}

// Uploads that would exceed the budget for files get a 503, until one that is there has ended.
func TestSpoolDiskIsBounded(t *testing.T) {
	body := noise(100 << 10)
	b := newBench(t, func(g *Gateway) { g.Uploads.Disk = 150 << 10 }, compares(body))
	first := b.sendPart(body)
	eventually(t, "body held", func() bool { return b.Stats().Spool.Files == 1 })
	got := askSlowly(t, b, uploading("POST", len(body)), body)
	if got.status != 503 || !got.header.Has("Retry-After") || got.err != nil {
		t.Errorf("beyond the bound: got %q, %v; want 503 with Retry-After", got.raw, got.err)
	}
	if line := b.line(0); line["code"] != "spool_full" || line["side"] != "gateway" || !strings.Contains(fmt.Sprint(line["error"]), "--spool-disk") {
		t.Errorf("logged %v, want spool_full and what to do", line)
	}
	if s := b.Stats().Spool; s.Disk != 100<<10 || s.Files != 1 || b.asked() != 0 {
		t.Errorf("%d bytes in %d files, and %d workers asked; want those of the first body, and none", s.Disk, s.Files, b.asked())
	}
	first.Write(body[len(body)/2:])
	if raw, err := io.ReadAll(first); parseResponse(t, raw, err, "POST").body != "same" {
		t.Errorf("the first one got %q, %v", raw, err)
	}
	eventually(t, "room given back", func() bool { return b.Stats().Spool.Disk == 0 })
	if got := b.ask(uploading("POST", len(body)), body); got.body != "same" {
		t.Errorf("when there was room again: got %q", got.raw)
	}
	if got := askSlowly(t, b, uploading("POST", 200<<10), noise(200<<10)); got.status != 413 {
		t.Errorf("a body that never fits: got %d, want 413", got.status)
	}
	eventually(t, "room given back", func() bool { return b.Stats().Spool.Disk == 0 })
}

// What our own disk does not do is answered and logged, and no worker is asked.
func TestSpoolFails(t *testing.T) {
	if os.Getenv(ownProcess) == "" {
		runAlone(t)
		return
	}
	body := noise(1 << 20)
	for _, tt := range []struct {
		name   string
		dir    string
		limit  uint64 // of a file's size
		status int
		log    string
	}{
		{"no such folder", "/nonexistent", 0, 500, "no such file or directory; name a folder"},
		{"no room for the first bytes", "", 4 << 10, 507, "file too large; name a folder"},
		{"no room for the rest", "", 300 << 10, 507, "file too large; name a folder"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.limit > 0 {
				limitFiles(t, tt.limit)
			}
			b := newBench(t, func(g *Gateway) { g.Uploads.Dir = tt.dir }, says(okPage("hello")))
			if got := askSlowly(t, b, uploading("POST", len(body)), body); got.status != tt.status || got.err != nil {
				t.Errorf("got %d, %v; want %d", got.status, got.err, tt.status)
			}
			if line := b.line(0); line["side"] != "gateway" || !strings.Contains(fmt.Sprint(line["error"]), tt.log) {
				t.Errorf("logged %v, want %q", line, tt.log)
			}
			if b.logs.FilterMessageSnippet("request failed").Len() != 1 || b.asked() != 0 {
				t.Errorf("logged %v, and asked %d workers", b.logs.All(), b.asked())
			}
			if got := b.ask(uploading("POST", 5), []byte("hello")); got.body != "hello" {
				t.Errorf("a body for which there is memory got %q", got.raw)
			}
		})
	}
}

// ownProcess is in the environment of a test that runAlone has started.
const ownProcess = "UWGATE_TEST_OWN_PROCESS"

// runAlone runs the test in a process of its own: go test writes a file on behalf of
// this one, which a limit on files would hit as well.
func runAlone(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), ownProcess+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Errorf("%v: %s", err, out)
	}
}

// limitFiles makes the disk as good as full for this process.
func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)
		signal.Reset(syscall.SIGXFSZ)
	})
}

func TestSpoolFailure(t *testing.T) {
	for err, status := range map[error]int{syscall.ENOSPC: 507, syscall.EDQUOT: 507, syscall.EFBIG: 507, syscall.EACCES: 500, syscall.EIO: 500} {
		if f := spoolFailure(err).(*failure); f.status != status || f.side != sideGateway {
			t.Errorf("%v: %d on the side of the %s, want %d", err, f.status, f.side, status)
		}
	}
}

// A client that sends too much gets a 413, even if it reads only when all is sent.
func TestMaxRequestBody(t *testing.T) {
	const limit = 1000
	large := noise(4 << 20)
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		onEach(t, func(t *testing.T, network string) {
			b := startBench(t, network, func(g *Gateway) { tune(g); g.Uploads.MaxBody = limit }, startWorker(t, compares(noise(limit))))
			for range 20 {
				if got := askSlowly(t, b, uploading("POST", len(large)), large); got.status != 413 || got.err != nil {
					t.Fatalf("got %d, %v; want 413", got.status, got.err)
				}
			}
			if n := b.asked(); n != 0 {
				t.Errorf("%d workers were asked", n)
			}
			if got := b.ask(uploading("POST", limit), noise(limit)); got.body != "same" {
				t.Errorf("a body just as long as allowed got %q", got.raw)
			}
		})
	})
}

func TestClientLeavesWithHalfABody(t *testing.T) {
	for _, size := range []int{100, 1 << 20} {
		b := newBench(t, nil, compares(nil))
		b.sendPart(noise(size)).Close()
		if line := b.line(0); line["status"] != int64(499) || line["side"] != "client" {
			t.Errorf("%d bytes: logged %v, want 499", size, line)
		}
		if n := b.asked(); n != 0 {
			t.Errorf("%d bytes: %d workers were asked", size, n)
		}
	}
}

// A worker whose body was lost on the way gets no worse than a broken connection.
func TestSpoolLost(t *testing.T) {
	b := newBench(t, nil, func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) { io.Copy(io.Discard, in) })
	reqCtx := newRequestContext(context.Background())
	f, err := createUnnamed(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	spooled := spool{file: f}
	nc, _ := sockets(t, "unix")
	w := &worker{g: b.Gateway, ctx: reqCtx, conn: &backend.Conn{Conn: nc}}
	w.copyFrom(spooled.source(), 10)
	w.sendSpooled(w.upload.copy, make(chan struct{}))
	if f, ok := goneFailure(reqCtx.ctx, "read response").(*failure); !ok || f.status != 500 || f.side != sideGateway {
		t.Errorf("got %v, want a 500 of ours", f)
	}
}

// nginx announces the visitor's body with an auth_request and does not send it: the
// worker responds without.
func TestAnnouncedBodyThatDoesNotCome(t *testing.T) {
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "GET", "HEAD"} {
			t.Run(method, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, tune, says(okPage("allowed")))
				nc := b.dial()
				nc.Write(encode(t, uploading(method, 100_000)))
				raw, err := io.ReadAll(nc)
				if got := parseResponse(t, raw, err, method); got.status != 200 || got.err != nil || method != "HEAD" && got.body != "allowed" {
					t.Errorf("got %q, %v", got.raw, got.err)
				}
				if took := b.line(0)["took"].(time.Duration); took > 10*bodyGrace {
					t.Errorf("it took %v", took)
				}
			})
		}
	})
}

// A visitor whose body begins late, behind an nginx that does not wait for it, is
// heard all the same.
func TestLateBody(t *testing.T) {
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		for _, size := range []int{10, 100_000, 1 << 20} {
			t.Run(strconv.Itoa(size), func(t *testing.T) {
				t.Parallel()
				body := noise(size)
				b := newBench(t, tune, compares(body))
				nc := b.dial()
				nc.Write(encode(t, uploading("POST", size)))
				<-time.After(bodyGrace + bodyGrace/4) // being late is the subject
				nc.Write(body[:size/2])
				nc.Write(body[size/2:])
				raw, err := io.ReadAll(nc)
				if got := parseResponse(t, raw, err, "POST"); got.status != 200 || got.body != "same" {
					t.Errorf("got %q, %v", got.raw, got.err)
				}
			})
		}
	})
}
