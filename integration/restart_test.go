package integration

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// The only uWSGI restarts four times and is away for a while each time. Visitors wait, and
// none gets an error: POSTs with and without a body, and those in the backlog of the uWSGI
// that ends, included. Each POST runs once. UWGATE_TEST_AWAY is how long it is away.
func TestOnlyUWSGIRestarts(t *testing.T) {
	t.Parallel()
	gap, err := time.ParseDuration(cmp.Or(os.Getenv("UWGATE_TEST_AWAY"), "500ms"))
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	fifo := filepath.Join(dir, "fifo")
	w := start(t, stack.Config{Dir: dir, App: filepath.Join("testdata", "standin"), UWSGIArgs: []string{"--master-fifo", fifo}})
	var visitors sync.WaitGroup
	var stop atomic.Bool
	var visits, posts, slowest atomic.Int64
	for i := range 6 {
		visitors.Go(func() {
			for n := 0; !stop.Load(); n++ {
				method, body := "GET", ""
				switch n % 3 {
				case 1:
					method = "POST"
				case 2:
					method, body = "POST", strings.Repeat("x", 1000*i)
				}
				began := time.Now()
				p := w.do(method, fmt.Sprintf("/visit?%d-%d", i, n), strings.NewReader(body))
				if p.err != nil || p.status != 200 {
					t.Errorf("%s with %d bytes: got %d, %v", method, len(body), p.status, p.err)
				}
				for d := int64(time.Since(began)); ; {
					if old := slowest.Load(); d <= old || slowest.CompareAndSwap(old, d) {
						break
					}
				}
				visits.Add(1)
				if method == "POST" {
					posts.Add(1)
				}
			}
		})
	}
	leave := sync.OnceFunc(func() { stop.Store(true); visitors.Wait() })
	defer leave()
	more := func() {
		n := visits.Load()
		w.eventually("more visits", func() bool { return visits.Load() > n+30 })
	}
	more()
	var longest time.Duration
	for range 4 {
		began := time.Now()
		if err := os.WriteFile(fifo, []byte("q"), 0); err != nil { // its workers complete their requests
			t.Fatal(err)
		}
		w.eventually("uWSGI has ended", func() bool { return !w.UWSGI.Running() })
		time.Sleep(gap) // what is tested
		if err := w.UWSGI.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(began))
		more()
	}
	leave()
	t.Logf("%d visits, the slowest after %v; uWSGI was away for %v", visits.Load(), time.Duration(slowest.Load()), longest)
	if d := time.Duration(slowest.Load()); d > longest+10*time.Second {
		t.Errorf("a visit took %v, and uWSGI was away for %v", d, longest)
	}
	ran, err := os.ReadFile(filepath.Join(dir, "site", "posts"))
	if err != nil || int64(len(ran)) != posts.Load() {
		t.Errorf("%d POSTs ran of %d, %v", len(ran), posts.Load(), err)
	}
	if strings.Contains(w.Uwgate.Log(), `"code": "no_backend"`) {
		t.Error("uwgate has refused a request")
	}
}
