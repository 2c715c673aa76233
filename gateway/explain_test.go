package gateway

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"uwgate/cachewriter"
)

// An explanation counts no bytes of visitors, and does not keep the worker while it looks at
// what memcached holds.
func TestExplainTakesNothing(t *testing.T) {
	w := newGate(alike(okPage("hello")))
	close(w.open)
	looked := make(chan struct{})
	var once sync.Once
	hung := serveConns(t, "tcp", func(nc net.Conn) {
		once.Do(func() { close(looked) })
		io.Copy(io.Discard, nc)
	})
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: hung})
	if err != nil {
		t.Fatal(err)
	}
	b := startBench(t, "unix", func(g *Gateway) {
		g.Store = &cachewriter.Writer{Ring: ring, DialTimeout: patience, Timeout: time.Second}
	}, startWorker(t, w.play)+" max-conns=1")
	var explaining sync.WaitGroup
	explaining.Go(func() { b.Explain(t.Context(), missed("/")) })
	<-looked
	if s := b.Backends.Default.Stats()[0]; s.InFlight != 0 || s.Sent != 0 || s.Received != 0 {
		t.Errorf("%d requests in flight, %d bytes sent, %d received; want none", s.InFlight, s.Sent, s.Received)
	}
	explaining.Wait()
}
