package gateway

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// BenchmarkServe is a whole request over UNIX sockets, client and worker included.
func BenchmarkServe(b *testing.B) {
	answer := []byte(page(string(make([]byte, 4096)), "Cache-Control: no-store"))
	worker, ln := listen(b, "unix"), listen(b, "unix")
	go func() {
		for {
			nc, err := worker.Accept()
			if err != nil {
				return
			}
			uwsgi.ReadRequest(bufio.NewReader(nc))
			nc.Write(answer)
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

// BenchmarkRecord counts a request and writes its access line to nowhere.
func BenchmarkRecord(b *testing.B) {
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(cfg), zapcore.AddSync(io.Discard), zapcore.InfoLevel)
	g := &Gateway{AccessLog: zap.New(core)}
	r := &record{
		took: 1234567 * time.Nanosecond, method: "GET", uri: "/page/123456789", status: 200, bytes: 4096,
		backend: "unix:/run/app.sock", reason: "no-store", key: "http://www.example.com/page/123456789",
	}
	b.ReportAllocs()
	for b.Loop() {
		g.record(r, nil)
	}
}
