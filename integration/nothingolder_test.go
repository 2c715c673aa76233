package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// TestNothingOlder runs two gateways, one memcached and an application whose pages have
// versions, under a random load: visits, slow ones, POSTs, POSTs whose client leaves,
// purges by bypass, changes that are purged (nothingpurged_test.go), some while an older
// response is on its way, and restarts of the gateways. No GET that began after the response to a POST, a bypass or a purge may get an
// older version. After a soft purge that holds once the new page has been seen.
//
// The exception is that of docs/invalidation.md. A page may be seen in memcached between
// its store and the removal that its tombstone asks for: such a read is repeated, and the
// old version must be gone at once.
//
// UWGATE_TEST_OPERATIONS runs that many operations instead of 100,000 (-short: 10,000),
// and UWGATE_TEST_SEED repeats what a seed did, as far as the scheduler lets it.
func TestNothingOlder(t *testing.T) {
	usual := uint64(100000)
	if testing.Short() {
		usual = 10000
	}
	operations, seed := number(t, "UWGATE_TEST_OPERATIONS", usual), number(t, "UWGATE_TEST_SEED", rand.Uint64()>>1)
	t.Logf("UWGATE_TEST_OPERATIONS=%d UWGATE_TEST_SEED=%d", operations, seed)
	p := newPress(t)
	const rounds, clients = 5, 12
	for round := range uint64(rounds) {
		var all sync.WaitGroup
		for n := range uint64(clients) {
			r := rand.New(rand.NewPCG(seed, round<<32|n))
			all.Go(func() {
				for range operations / rounds / clients {
					p.operate(r)
				}
			})
		}
		p.await((4*round + 1) * operations / rounds / 4) // in the midst of it
		p.restart(p.gateways[round%2])
		all.Wait()
		p.wantCurrent()
		if t.Failed() {
			break
		}
	}
	p.countPurges(operations)
	t.Logf("%d hits, %d misses, %d POSTs, %d left, %d bypasses; old versions seen: %d, for %v at most; shared: %d; refused: %d",
		p.hits.Load(), p.misses.Load(), p.posts.Load(), p.abandoned.Load(), p.bypasses.Load(),
		p.glimpses.Load(), time.Duration(p.longest.Load()), p.shared.Load(), p.refused.Load())
	if hits := p.hits.Load(); hits < operations/10 {
		t.Errorf("%d hits of %d operations: nothing was put to the test", hits, operations)
	}
	if shared := p.shared.Load(); shared < operations/5000 {
		t.Errorf("%d shared pages of %d operations: nothing was put to the test", shared, operations)
	}
	if n := p.glimpses.Load(); n > operations/200 {
		t.Errorf("an old version was seen %d times", n)
	}
}

func number(t *testing.T, env string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(env)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

const pressPages = 300

// A press is the programs of TestNothingOlder and the state of its clients.
type press struct {
	t         *testing.T
	memcached *stack.Process
	gateways  []*stack.Process
	conns     sync.Pool // *memcachedConn

	versions [pressPages]atomic.Int64 // of the application's pages
	floor    [pressPages]atomic.Int64 // no GET that begins now may get an older one
	soft     [pressPages]atomic.Int64 // the same once somebody has seen it in memcached
	busy     atomic.Int64             // requests that the application has not ended

	late [pressPages]atomic.Pointer[late]

	hits, misses, posts, abandoned, bypasses, refused, glimpses, shared, outdated, delayed atomic.Uint64
	purged                                                                                 [len(pressWays)]pressPurges
	longest                                                                                atomic.Int64 // that an old version was seen
}

func newPress(t *testing.T) *press {
	dir := t.TempDir()
	p := &press{t: t}
	program, err := stack.LookPath("memcached")
	if err != nil {
		t.Fatal(err)
	}
	process := func(name, addr string, command ...string) *stack.Process {
		return &stack.Process{Name: name, Addr: addr, LogFile: filepath.Join(dir, name+".log"), Command: command, Dir: dir,
			Env: stack.UwgateEnv(), Ready: stack.Connects}
	}
	socket := filepath.Join(dir, "m")
	command := []string{program, "-s", socket, "-a", "0666", "-t", "2"}
	if os.Geteuid() == 0 {
		command = append(command, "-u", "root")
	}
	p.memcached = process("memcached", "unix:"+socket, command...)
	worker := "unix:" + filepath.Join(dir, "w")
	p.startWorker(strings.TrimPrefix(worker, "unix:"))
	for _, name := range []string{"a", "b"} {
		addr := "unix:" + filepath.Join(dir, name)
		p.gateways = append(p.gateways, process("uwgate-"+name, addr, binary, "serve", "--listen", addr, "--backend", worker,
			"--memcached", "unix:"+socket, "--memcached-connect-timeout", "10s", "--memcached-timeout", "10s", "--bypass-arg", "fresh=secret", "--admin", addr+".admin", "--purge-from", "127.0.0.1", "--purge-soft-limit", "30s", "--log", "file:"+filepath.Join(dir, name+".access")+" json"))
	}
	for _, process := range append([]*stack.Process{p.memcached}, p.gateways...) {
		t.Cleanup(func() { process.Kill() })
		if err := process.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(p.end)
	return p
}

// end checks the logs of the gateways.
func (p *press) end() {
	for _, g := range p.gateways {
		if err := g.Stop(context.Background()); err != nil {
			p.t.Error(err)
		}
		if log := g.Log(); strings.Contains(log, "panic") || p.t.Failed() {
			p.t.Errorf("%s's log:\n%.5000s\n%.20000s", g.Name, log, p.events(g))
		}
	}
}

// events are the lines of a gateway's log that are about no request.
func (p *press) events(g *stack.Process) (text string) {
	log, err := os.ReadFile(strings.TrimPrefix(g.Addr, "unix:") + ".access")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"level":"warn"`) || strings.Contains(line, `"level":"error"`) {
			text += line
		}
	}
	return text
}

func (p *press) restart(g *stack.Process) {
	if err := g.Stop(context.Background()); err != nil {
		p.t.Error(err)
	}
	if err := g.Start(context.Background()); err != nil {
		p.t.Error(err)
	}
}

// await waits until the clients have done that many operations in total.
func (p *press) await(n uint64) {
	(&world{t: p.t}).eventually(fmt.Sprint(n, " operations"), func() bool {
		return p.hits.Load()+p.misses.Load()+p.posts.Load()+p.abandoned.Load()+p.bypasses.Load()+p.refused.Load()+p.allPurges() >= n
	})
}

// startWorker runs the application, which speaks uwsgi.
func (p *press) startWorker(socket string) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		p.t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.work(nc) })
		}
	})
	p.t.Cleanup(func() { ln.Close(); conns.Wait() })
}

// work responds to one request. The version of a GET is that of its beginning, even if
// it is slow.
func (p *press) work(nc net.Conn) {
	defer nc.Close()
	p.busy.Add(1)
	defer p.busy.Add(-1)
	req, err := uwsgi.ReadRequest(bufio.NewReader(nc))
	if err != nil {
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(req.Vars.Get("PATH_INFO"), "/"))
	if err != nil {
		return // a probe
	}
	if req.Vars.Get("REQUEST_METHOD") == "POST" {
		linger()
		version := p.versions[n].Add(1)
		linger()
		fmt.Fprintf(nc, "HTTP/1.1 303 See Other\r\nLocation: /%d\r\nX-Version: %d\r\nContent-Length: 0\r\n\r\n", n, version)
		return
	}
	body := strconv.FormatInt(p.versions[n].Load(), 10)
	p.holdUp(n)
	linger()
	fmt.Fprintf(nc, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=600\r\nCache-Tag: %s\r\nContent-Length: %d\r\n\r\n%s", pressTag(n), len(body), body)
}

// linger waits in some of the calls.
func linger() {
	switch n := rand.IntN(40); {
	case n == 0:
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
	case n < 8:
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	}
}

// operate does one thing to one page.
func (p *press) operate(r *rand.Rand) {
	n, g := r.IntN(pressPages), p.gateways[r.IntN(2)]
	switch what := r.IntN(100); {
	case what < 6:
		p.post(g, n)
	case what < 9:
		p.leave(g, n, time.Duration(r.IntN(3000))*time.Microsecond)
	case what < 11:
		p.bypass(g, n)
	case what < 15:
		p.change(r, g, n)
	default:
		p.visit(g, n)
	}
}

// visit looks up a page and then asks a gateway, as nginx does.
func (p *press) visit(g *stack.Process, n int) {
	floor, soft := p.floor[n].Load(), p.soft[n].Load()
	if version, ok := p.stored(n); ok {
		p.hits.Add(1)
		switch {
		case version < floor:
			p.wantGone(n, version, floor)
		case version >= soft:
			p.raise(n, soft)
		default:
			p.outdated.Add(1)
		}
		return
	}
	p.misses.Add(1)
	resp, body, err := p.ask(g, pressVars("GET", "/"+strconv.Itoa(n), uwsgi.Var{Name: "CACHE_STATUS", Value: "404"}))
	if err != nil {
		p.refuse()
		return
	}
	version, err := strconv.ParseInt(body, 10, 64)
	switch {
	case err != nil || resp.StatusCode != 200:
		p.t.Errorf("page %d: %d %q", n, resp.StatusCode, body)
	case version < floor:
		p.t.Errorf("page %d through %s: version %d after %d: %+v", n, g.Name, version, floor, resp.Header)
	case strings.Contains(resp.Header.Get("Cache-Status"), "collapsed"):
		p.shared.Add(1)
	}
}

// wantGone reads a page again that was too old.
func (p *press) wantGone(n int, version, floor int64) {
	p.glimpses.Add(1)
	start := time.Now()
	for {
		again, ok := p.stored(n)
		took := time.Since(start)
		if !ok || again >= floor {
			for longest := p.longest.Load(); int64(took) > longest && !p.longest.CompareAndSwap(longest, int64(took)); {
				longest = p.longest.Load()
			}
			return
		}
		if took > 10*time.Second { // the machine may be busy; an old page stays for ten minutes
			p.t.Errorf("page %d is in memcached with version %d after %d", n, version, floor)
			return
		}
	}
}

func (p *press) post(g *stack.Process, n int) {
	resp, _, err := p.ask(g, pressVars("POST", "/"+strconv.Itoa(n)))
	if err != nil || resp.StatusCode != 303 {
		p.refuse() // it may have come about, or not
		return
	}
	p.posts.Add(1)
	version, _ := strconv.ParseInt(resp.Header.Get("X-Version"), 10, 64)
	p.raise(n, version)
}

// refuse counts a request that failed because its gateway restarts.
func (p *press) refuse() {
	p.refused.Add(1)
	time.Sleep(5 * time.Millisecond)
}

// leave sends a POST and disconnects before the response.
func (p *press) leave(g *stack.Process, n int, after time.Duration) {
	nc, err := net.Dial("unix", strings.TrimPrefix(g.Addr, "unix:"))
	if err != nil {
		p.refuse()
		return
	}
	p.abandoned.Add(1)
	req := uwsgi.Request{Vars: pressVars("POST", "/"+strconv.Itoa(n))}
	req.Write(nc)
	time.Sleep(after)
	nc.Close()
}

func (p *press) bypass(g *stack.Process, n int) {
	resp, body, err := p.ask(g, pressVars("GET", "/"+strconv.Itoa(n)+"?fresh=secret", uwsgi.Var{Name: "CACHE_STATUS", Value: "404"}))
	if err != nil || resp.StatusCode != 200 {
		p.refuse()
		return
	}
	p.bypasses.Add(1)
	version, _ := strconv.ParseInt(body, 10, 64)
	p.raise(n, version)
}

func (p *press) raise(n int, version int64) { raise(&p.floor[n], version) }

func raise(floor *atomic.Int64, version int64) {
	for old := floor.Load(); version > old && !floor.CompareAndSwap(old, version); {
		old = floor.Load()
	}
}

// wantCurrent waits until no request is under way. Then no page in memcached may be
// older than that of the application, including the pages that were changed by POSTs
// whose client left.
func (p *press) wantCurrent() {
	p.t.Helper()
	end := time.Now().Add(patience)
	for n := range p.versions {
		for {
			version, ok := p.stored(n)
			current := p.versions[n].Load()
			if p.busy.Load() == 0 && (!ok || version == current) {
				break
			}
			if time.Now().After(end) {
				p.t.Errorf("page %d is in memcached with version %d, and is %d; %d requests under way", n, version, current, p.busy.Load())
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

func pressKey(n int) string { return "http://localhost/" + strconv.Itoa(n) }

// pressVars are those that nginx passes on.
func pressVars(method, uri string, more ...uwsgi.Var) uwsgi.Vars {
	return append(append(vars(method, uri), uwsgi.Var{Name: "CACHE_KEY", Value: "http://localhost" + uri}), more...)
}

// ask sends a request to a gateway.
func (p *press) ask(g *stack.Process, v uwsgi.Vars) (*uwsgi.Response, string, error) {
	nc, err := net.Dial("unix", strings.TrimPrefix(g.Addr, "unix:"))
	if err != nil {
		return nil, "", err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if err := (&uwsgi.Request{Vars: v}).Write(nc); err != nil {
		return nil, "", err
	}
	raw, err := io.ReadAll(nc)
	if err != nil {
		return nil, "", err
	}
	br := bufio.NewReader(bytes.NewReader(raw))
	resp, err := uwsgi.ReadResponse(br)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(resp.Body(br, v.Get("REQUEST_METHOD")))
	return resp, string(body), err
}

type memcachedConn struct {
	net.Conn
	br *bufio.Reader
}

// stored reads the version of a page in memcached, as nginx reads a page.
func (p *press) stored(n int) (version int64, ok bool) {
	c, _ := p.conns.Get().(*memcachedConn)
	if c == nil {
		nc, err := net.Dial("unix", strings.TrimPrefix(p.memcached.Addr, "unix:"))
		if err != nil {
			p.t.Error(err)
			return 0, false
		}
		c = &memcachedConn{nc, bufio.NewReader(nc)}
	}
	fmt.Fprintf(c, "get %s\r\n", pressKey(n))
	var lines []string
	for len(lines) == 0 || lines[len(lines)-1] != "END" {
		line, err := c.br.ReadString('\n')
		if err != nil {
			p.t.Error(err)
			c.Close()
			return 0, false
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	p.conns.Put(c)
	if len(lines) < 3 {
		return 0, false
	}
	version, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		p.t.Errorf("page %d is %q", n, lines)
	}
	return version, true
}
