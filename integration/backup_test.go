package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"uwgate/demo/stack"
)

// While uwgate is dead, pages come from the workers and hits from memcached, and no GET
// fails. It is used again as soon as it is back. POSTs arrive once each.
func TestWorkersStandIn(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{App: filepath.Join("testdata", "standin"), Format: format})
			w.wantHit("/page", "POSTs")

			var visits sync.WaitGroup
			var failed, visited atomic.Int32
			done := make(chan struct{})
			for i := range 4 {
				visits.Go(func() {
					for n := 0; ; n++ {
						select {
						case <-done:
							return
						default:
						}
						p := w.get(fmt.Sprintf("/visit?%d-%d", i, n))
						if visited.Add(1); p.err != nil || p.status != 200 {
							failed.Add(1)
							t.Errorf("visit %d-%d: got %d, %v", i, n, p.status, p.err)
						}
					}
				})
			}
			stop := sync.OnceFunc(func() { close(done); visits.Wait() })
			defer stop()
			more := func() {
				n := visited.Load()
				w.eventually("more visits", func() bool { return visited.Load() > n+20 })
			}
			more()
			for range 3 {
				w.Uwgate.Kill()
				more()
				if p := w.want(w.get("/alone"), 200); format == "body" && p.header.Get("Cache-Status") != "" {
					t.Error("without uwgate there is a Cache-Status")
				}
				if err := w.Uwgate.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if p := w.want(w.get("/back?"+fmt.Sprint(visited.Load())), 200); !strings.HasPrefix(p.header.Get("Cache-Status"), "uwgate;") {
					t.Error("uwgate is back and not used")
				}
				more()
			}
			stop()

			w.Uwgate.Kill()
			w.want(w.get("/page"), 200)
			for n := 1; n <= 5; n++ {
				if p := w.want(w.do("POST", "/form", strings.NewReader("a=b")), 200); p.body != fmt.Sprintf("<p>%d POSTs</p>", n) {
					t.Errorf("POST %d: %q", n, p.body)
				}
			}
			if err := w.Uwgate.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// nginx has room for every head that uwgate passes on.
func TestPrintedHeadBuffers(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: filepath.Join("testdata", "standin")})
	for _, size := range []int{4000, 4096, 4097, 8192, 8193, 20_000, 32_768, 60_000} {
		p := w.get(fmt.Sprintf("/?head=%d", size))
		if p.err != nil || p.status != 200 || len(p.header.Get("X-Large")) < size-500 {
			t.Errorf("%d bytes: got %d, %v", size, p.status, p.err)
		}
	}
}
