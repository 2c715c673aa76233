package integration

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// patience is the limit of each wait. A test that passes does not reach it, even on a
// busy machine.
const patience = time.Minute

// binary is the path of uwgate, built once with the race detector, or
// UWGATE_TEST_BINARY.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	if err := stack.Installed(); err != nil {
		if os.Getenv("UWGATE_TEST_STACK") == "" {
			fmt.Println("skipped:", err)
			return 0
		}
		fmt.Println(err)
		return 1
	}
	dir, err := os.MkdirTemp("", "uwgate-test-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary = os.Getenv("UWGATE_TEST_BINARY"); binary == "" {
		binary = filepath.Join(dir, "uwgate")
		if out, err := exec.Command("go", "build", "-race", "-o", binary, "uwgate/cmd/uwgate").CombinedOutput(); err != nil {
			fmt.Printf("build uwgate: %v\n%s", err, out)
			return 1
		}
	}
	// The race detector sleeps for a second when a program exits, and each test starts
	// two.
	os.Setenv("GORACE", "atexit_sleep_ms=50 log_path="+filepath.Join(dir, "race")+" "+os.Getenv("GORACE"))
	// Parallel tests mostly wait for programs to start and to exit.
	flag.Parse()
	flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0)))
	return max(m.Run(), reportRaces(dir))
}

// reportRaces prints the data races of all gateways that the tests have started, and returns
// the status for them.
func reportRaces(dir string) (status int) {
	logs, err := filepath.Glob(filepath.Join(dir, "race.*"))
	for _, path := range logs {
		log, _ := os.ReadFile(path)
		fmt.Printf("data race in uwgate, whose test is not known:\n%s", log)
		status = 1
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return status
}

// A world is the running servers and the test that uses them.
type world struct {
	*stack.Stack
	t *testing.T
}

// start runs a stack with long timeouts for memcached. On a busy machine nginx and
// uwgate would otherwise time out now and then. Flags of cfg.Args override them.
func start(t *testing.T, cfg stack.Config) *world {
	t.Helper()
	cfg.Args = append([]string{"--memcached-connect-timeout", "10s", "--memcached-timeout", "10s"}, cfg.Args...)
	if cfg.Conf == "" || cfg.Conf == "recommended" {
		cfg.Edits = append(slices.Clone(cfg.Edits), [2]string{"_timeout 200ms;", "_timeout 10s;"}, [2]string{"read_timeout    500ms;", "read_timeout    10s;"})
	}
	return startAsIs(t, cfg)
}

// startAsIs runs a stack with the default timeouts.
func startAsIs(t *testing.T, cfg stack.Config) *world {
	t.Helper()
	cfg.Binary = binary
	cfg.Faults = true
	s, err := stack.Start(t.Context(), cfg)
	if errors.Is(err, stack.ErrMissing) && os.Getenv("UWGATE_TEST_NGINX") != "" {
		t.Skip(err) // another nginx may lack the modules of Debian's
	}
	if err != nil {
		t.Fatal(err)
	}
	w := &world{s, t}
	t.Cleanup(w.end)
	return w
}

func (w *world) end() {
	if w.t.Failed() {
		w.t.Logf("uwgate's log:\n%s", w.Uwgate.Log())
	}
	// The exit of uWSGI and memcached is not tested. uWSGI needs up to a minute if a
	// worker has just died. uwgate may still have to delete entries, so memcached ends
	// after it.
	var ending sync.WaitGroup
	ending.Go(func() { w.UWSGI.Kill() })
	ending.Go(func() {
		if err := w.Uwgate.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
		for _, m := range w.Memcached {
			m.Kill()
		}
	})
	ending.Wait()
	if err := w.Close(); err != nil {
		w.t.Error(err)
	}
}

// A page is a response to a visitor.
type page struct {
	status int
	header http.Header
	body   string
	err    error // the body broke off
}

// do sends a request through nginx on a new connection.
func (w *world) do(method, path string, body io.Reader, headers ...string) page {
	w.t.Helper()
	req, err := http.NewRequest(method, w.URL(path), body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return w.send(http.DefaultTransport, req)
}

func (w *world) send(rt http.RoundTripper, req *http.Request) page {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	req = req.WithContext(ctx)
	req.Close = true
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return page{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return page{resp.StatusCode, resp.Header, string(b), err}
}

func (w *world) get(path string, headers ...string) page {
	w.t.Helper()
	return w.do("GET", path, nil, headers...)
}

// want fails the test unless the page is complete and has that status.
func (w *world) want(p page, status int) page {
	w.t.Helper()
	if p.err != nil || p.status != status {
		w.t.Fatalf("got %d %.200q, %v; want %d", p.status, p.body, p.err, status)
	}
	return p
}

// A browser keeps cookies and follows redirects.
func (w *world) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: patience}
}

// submit posts a form with the CSRF token of the page that shows it.
func (w *world) submit(c *http.Client, path string, form url.Values) page {
	w.t.Helper()
	shown := w.visit(c, path)
	_, rest, _ := strings.Cut(shown.body, `name="csrfmiddlewaretoken" value="`)
	token, _, found := strings.Cut(rest, `"`)
	if found {
		form.Set("csrfmiddlewaretoken", token)
	}
	resp, err := c.PostForm(w.URL(path), form)
	return w.read(resp, err)
}

func (w *world) visit(c *http.Client, path string) page {
	w.t.Helper()
	resp, err := c.Get(w.URL(path))
	return w.read(resp, err)
}

func (w *world) read(resp *http.Response, err error) page {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return page{resp.StatusCode, resp.Header, string(b), err}
}

// items is the number of entries in all memcached servers, without tombstones and
// records.
func (w *world) items() int {
	w.t.Helper()
	return w.stat("curr_items") - w.notes()
}

// writes is the number of entries that were written since the start, without
// tombstones, which are the only ones that are written with cas, and without records,
// if each was written once.
func (w *world) writes() int {
	w.t.Helper()
	return w.stat("total_items", "cas_hits") - w.notes()
}

// notes is the number of tombstones and records in memcached.
func (w *world) notes() (n int) {
	w.t.Helper()
	for _, m := range w.Memcached {
		for _, line := range w.talk(m.Addr, "lru_crawler metadump hash\r\n", "END") {
			key := strings.Replace(line, "%3A", ":", 2)
			if strings.HasPrefix(key, "key=uwg:d:") || strings.HasPrefix(key, "key=uwg:p:") {
				n++
			}
		}
	}
	return n
}

// stat returns the sum of a value of `stats` over all servers, minus other values.
func (w *world) stat(name string, without ...string) (total int) {
	w.t.Helper()
	for _, m := range w.Memcached {
		for _, line := range w.talk(m.Addr, "stats\r\n", "END") {
			fields := strings.Fields(line)
			isWanted, isOther := fields[1] == name, slices.Contains(without, fields[1])
			if !isWanted && !isOther {
				continue
			}
			n, err := strconv.Atoi(fields[2])
			if err != nil {
				w.t.Fatal(err)
			}
			if isOther {
				n = -n
			}
			total += n
		}
	}
	return total
}

// keys returns the keys of all entries. The crawler may miss an entry that moves
// between lists, so use keys for messages and for keys that must not be there.
func (w *world) keys() []string {
	w.t.Helper()
	var keys []string
	for _, m := range w.Memcached {
		for _, line := range w.talk(m.Addr, "lru_crawler metadump all\r\n", "END") {
			key, _, _ := strings.Cut(strings.TrimPrefix(line, "key="), " ")
			key, err := url.PathUnescape(key)
			if err != nil {
				w.t.Fatalf("metadump: %q: %v", line, err)
			}
			keys = append(keys, key)
		}
	}
	return keys
}

// has reports whether a memcached server holds the wire key.
func (w *world) has(key string) bool {
	w.t.Helper()
	for _, m := range w.Memcached {
		if len(w.talk(m.Addr, "get "+key+"\r\n", "END")) > 0 {
			return true
		}
	}
	return false
}

// talk sends a memcached command and returns the lines up to the last one. It repeats a
// dump while memcached makes one for somebody else.
func (w *world) talk(addr, command, last string) (lines []string) {
	w.t.Helper()
	w.eventually("memcached is not busy", func() bool {
		lines = w.talkOnce(addr, command, last)
		return lines == nil || !strings.HasPrefix(lines[0], "BUSY")
	})
	return lines
}

func (w *world) talkOnce(addr, command, last string) []string {
	w.t.Helper()
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	nc, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		w.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, command)
	var lines []string
	in := bufio.NewScanner(nc)
	in.Buffer(nil, 2<<20) // a line may be a page
	for in.Scan() {
		if in.Text() == last {
			return lines
		}
		lines = append(lines, in.Text())
		if strings.HasPrefix(in.Text(), "BUSY") {
			return lines
		}
	}
	w.t.Fatalf("%s: %q got %q, not %s (%v)", addr, command, lines, last, in.Err())
	return nil
}

// wantKey waits until the wire key is in a memcached.
func (w *world) wantKey(key string) {
	w.t.Helper()
	w.eventually("key "+key+" stored", func() bool { return w.has(key) })
}

// settle waits until uwgate has written all pages. A page that is not in memcached then
// is not stored.
func (w *world) settle() {
	w.t.Helper()
	w.eventually("uwgate has nothing to do", func() bool { return w.isIdle(w.Admin) })
}

// isIdle reports whether a gateway has no request in flight and no page to write.
func (w *world) isIdle(admin string) bool {
	w.t.Helper()
	m := w.metricsOf(admin)
	return strings.Contains(m, "uwgate_requests_in_flight 0\n") && !hasNonZero(m, "uwgate_store_queue_entries")
}

// hasNonZero reports whether a sample of the metric is not 0.
func hasNonZero(metrics, name string) bool {
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, name) && !strings.HasSuffix(line, " 0\n") {
			return true
		}
	}
	return false
}

func (w *world) metrics() string {
	w.t.Helper()
	return w.metricsOf(w.Admin)
}

// metricsOf returns the metrics of the gateway with that admin address.
func (w *world) metricsOf(admin string) string {
	w.t.Helper()
	resp, err := uncompressed.Get("http://" + admin + "/metrics")
	return w.read(resp, err).body
}

// uncompressed is a client without compression, which would need most of the time of a
// poll.
var uncompressed = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: patience}

// lines returns the complete lines of the access log.
func (w *world) lines() []stack.Access {
	w.t.Helper()
	lines, err := w.AccessReader().Next()
	if err != nil {
		w.t.Fatal(err)
	}
	return lines
}

// line waits for the last access line of that URI.
func (w *world) line(uri string) stack.Access {
	w.t.Helper()
	var found stack.Access
	w.eventually("access line of "+uri, func() bool {
		for _, l := range w.lines() {
			if l.URI == uri {
				found = l
			}
		}
		return found.URI != ""
	})
	return found
}

// eventually polls until done returns true.
func (w *world) eventually(what string, done func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %v", what, patience)
		}
		<-tick.C
	}
}
