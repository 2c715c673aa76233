package gateway

import (
	"bufio"
	"io"
	"net"
	"testing"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// BenchmarkServe is a whole request over UNIX sockets, client and worker included.
func BenchmarkServe(b *testing.B) {
	response := []byte(okPage(string(make([]byte, 4096)), "Cache-Control: no-store"))
	worker, ln := listen(b, "unix"), listen(b, "unix")
	go func() {
		for {
			nc, err := worker.Accept()
			if err != nil {
				return
			}
			uwsgi.ReadRequest(bufio.NewReader(nc))
			nc.Write(response)
			nc.Close()
		}
	}()
	defer worker.Close()
	pool, err := backend.NewPool("unix:" + worker.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	ring, err := cachewriter.NewRing(cachewriter.All, cachewriter.Server{Name: "127.0.0.1:1"})
	if err != nil {
		b.Fatal(err)
	}
	g := &Gateway{Backends: &backend.Pools{Default: pool}, Policy: testPolicy(b, ring), AlignHeaders: true}
	go g.Serve(b.Context(), ln)
	packet := encode(b, missed("/"))
	b.ReportAllocs()
	for b.Loop() {
		nc, err := net.Dial("unix", ln.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		nc.Write(packet)
		if n, err := io.Copy(io.Discard, nc); n < 4096 || err != nil {
			b.Fatal(n, err)
		}
		nc.Close()
	}
}
