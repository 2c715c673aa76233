package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// While memcached hangs and its breaker is open, pages and POSTs are as fast as through
// a gateway whose memcached does not exist. An operation may take two seconds here, so
// that a request that waits for one is noticed.
func TestHungMemcachedIsOnNobodysWay(t *testing.T) {
	for name, args := range map[string][]string{"alone": nil, "in a fleet": {"--fleet"}} {
		t.Run(name, func(t *testing.T) { testHungMemcached(t, args) })
	}
}

func testHungMemcached(t *testing.T, args []string) {
	w := start(t, stack.Config{App: "testdata/crowd", Args: append([]string{"--memcached-timeout", "2s"}, args...)})
	without := w.withoutMemcached()
	key, missed := uwsgi.Var{Name: "CACHE_KEY", Value: "http://localhost/hot"}, uwsgi.Var{Name: "CACHE_STATUS", Value: "404"}
	requests := []struct {
		name string
		vars uwsgi.Vars
	}{
		{"hot pages", append(vars("GET", "/hot"), key, missed)},
		{"hot pages with a derived key", append(vars("GET", "/hot"), missed)},
		{"hot pages that may not have been looked up", vars("GET", "/hot")},
		{"POSTs", append(vars("POST", "/hot"), key)},
		{"POSTs with a derived key", vars("POST", "/hot")},
	}
	hot := requests[0].vars
	w.want(w.ask(w.Uwgate.Addr, hot, ""), 200)
	m := w.Memcached[0]
	before := w.sockets(m.Addr)
	if err := m.Pause(); err != nil {
		t.Fatal(err)
	}
	defer m.Resume()
	w.eventually("the breaker is open", func() bool {
		w.want(w.ask(w.Uwgate.Addr, hot, ""), 200)
		return strings.Contains(w.metrics(), `uwgate_store_up{server="`+m.Addr+`"} 0`)
	})
	for _, r := range requests {
		half, most := w.latency(without, r.vars)
		hungHalf, hungMost := w.latency(w.Uwgate.Addr, r.vars)
		t.Logf("%s: half of them within %v, 95 %% within %v; without memcached %v, %v", r.name, hungHalf, hungMost, half, most)
		// A busy machine may need half of the two seconds.
		if hungHalf > 2*half+time.Second || hungMost > 2*most+time.Second {
			t.Errorf("%s: slower than without memcached", r.name)
		}
	}
	if n := w.sockets(m.Addr) - before; n > 50 {
		t.Errorf("%d more connections to memcached", n)
	}
}

// withoutMemcached starts another gateway for the same workers. Its memcached does not
// exist. It returns the address.
func (w *world) withoutMemcached() string {
	w.t.Helper()
	dir := w.t.TempDir()
	addr := "unix:" + filepath.Join(dir, "s")
	p := &stack.Process{Name: "uwgate-without", Addr: addr, LogFile: filepath.Join(dir, "log"), Dir: dir, Env: stack.UwgateEnv(), Ready: stack.Connects,
		Command: []string{binary, "serve", "--listen", addr, "--backend", w.UWSGI.Addr,
			"--memcached", "unix:" + filepath.Join(dir, "none"), "--log", "file:" + filepath.Join(dir, "access") + " json"}}
	w.t.Cleanup(func() { p.Kill() })
	if err := p.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for range 10 { // until it knows that
		w.want(w.ask(addr, append(vars("GET", "/other"), uwsgi.Var{Name: "CACHE_STATUS", Value: "404"}), ""), 200)
	}
	return addr
}

// latency sends the same request for several visitors at the same time. It returns the
// median and the 95th percentile.
func (w *world) latency(addr string, v uwsgi.Vars) (half, most time.Duration) {
	w.t.Helper()
	const visitors, rounds = 20, 10
	took := make([]time.Duration, visitors*rounds)
	var all sync.WaitGroup
	for n := range visitors {
		all.Go(func() {
			for r := range rounds {
				began := time.Now()
				if p := w.ask(addr, v, ""); p.status != 200 || p.err != nil {
					w.t.Errorf("%d, %v", p.status, p.err)
				}
				took[n*rounds+r] = time.Since(began)
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*95/100]
}

// sockets counts the connections to a UNIX socket.
func (w *world) sockets(addr string) (n int) {
	w.t.Helper()
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		w.t.Skip(err)
	}
	for line := range strings.Lines(string(table)) {
		if strings.HasSuffix(strings.TrimSpace(line), strings.TrimPrefix(addr, "unix:")) {
			n++
		}
	}
	return n
}
