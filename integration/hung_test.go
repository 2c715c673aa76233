package integration

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// A memcached that hangs is on nobody's way once its breaker is open: an operation may
// take two seconds here, so that a page or a POST that waited for one would show.
func TestHungMemcachedIsOnNobodysWay(t *testing.T) {
	w := start(t, stack.Config{App: "testdata/crowd", Args: []string{"--memcached-timeout", "2s", "--fleet"}})
	key := uwsgi.Var{Name: "CACHE_KEY", Value: "http://localhost/hot"}
	hot := append(vars("GET", "/hot"), key, uwsgi.Var{Name: "CACHE_STATUS", Value: "404"})
	post := append(vars("POST", "/hot"), key)
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
	for name, ask := range map[string]func() page{
		"hot pages": func() page { return w.ask(w.Uwgate.Addr, hot, "") },
		"POSTs":     func() page { return w.ask(w.Uwgate.Addr, post, "") },
	} {
		const visitors, rounds = 20, 10
		took := make([]time.Duration, visitors*rounds)
		var all sync.WaitGroup
		for v := range visitors {
			all.Go(func() {
				for r := range rounds {
					began := time.Now()
					if p := ask(); p.status != 200 || p.err != nil {
						t.Errorf("%s: %d, %v", name, p.status, p.err)
					}
					took[v*rounds+r] = time.Since(began)
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		t.Logf("%s: half of them within %v, 95 %% within %v", name, took[len(took)/2], took[len(took)*95/100])
		if took[len(took)*95/100] > time.Second {
			t.Errorf("%s: 95 %% took up to %v", name, took[len(took)*95/100])
		}
	}
	if n := w.sockets(m.Addr) - before; n > 50 {
		t.Errorf("%d more connections to memcached", n)
	}
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
