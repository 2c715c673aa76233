package gateway

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"uwgate/gateway/policy"
)

// jsonLog writes lines of JSON without their time.
func jsonLog(w io.Writer) *zap.Logger {
	cfg := zap.NewProductionEncoderConfig()
	cfg.TimeKey = ""
	cfg.EncodeDuration = zapcore.SecondsDurationEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(cfg), zapcore.AddSync(w), zapcore.InfoLevel))
}

func TestAccessLine(t *testing.T) {
	plain := record{
		asker: asker{host: "example.com", client: "192.0.2.7"}, method: "GET", uri: "/p?q=1", status: 200, bytes: 5,
		course: course{pool: "default", backend: "unix:/w.sock", firstByte: time.Millisecond, took: 1500 * time.Microsecond}, reason: "max-age", key: ":1:/p?q=1",
	}
	stored, observed, hidden := plain, plain, plain
	stored.ttl, stored.tags, stored.flight = time.Minute, []string{"news", "home"}, "leader"
	observed.ttl, observed.observe = time.Minute, true
	hidden.hideQuery = true
	named := plain
	named.id, named.trace = "4f1f6d8b1d0a4c5e9d3c2b1a00112233", "4bf92f3577b34da6a3ce929d0e0e4736"
	broken := &failure{op: "dial backend", side: sideBackend, status: 502, code: codeQueueFull, err: errors.New("no room")}
	uncoded := &failure{op: "read request", side: sideClient, status: 400, err: errors.New("no sense")}
	for _, tt := range []struct {
		name string
		rec  record
		err  error
		ids  string
		want string
	}{
		{"with its names", named, nil, `"request_id":"4f1f6d8b1d0a4c5e9d3c2b1a00112233","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736",`, `"uri":"/p?q=1","status":200,"bytes":5,"pool":"default","backend":"unix:/w.sock","verdict":"pass","reason":"max-age","ttl":0,"key":":1:/p?q=1","queued":0,"first_byte":0.001,"took":0.0015}`},
		{"plain", plain, nil, ``, `"uri":"/p?q=1","status":200,"bytes":5,"pool":"default","backend":"unix:/w.sock","verdict":"pass","reason":"max-age","ttl":0,"key":":1:/p?q=1","queued":0,"first_byte":0.001,"took":0.0015}`},
		{"stored", stored, nil, ``, `"uri":"/p?q=1","status":200,"bytes":5,"pool":"default","backend":"unix:/w.sock","verdict":"store","reason":"max-age","ttl":60,"key":":1:/p?q=1","queued":0,"first_byte":0.001,"took":0.0015,"flight":"leader","tags":["news","home"]}`},
		{"observed", observed, nil, ``, `"uri":"/p?q=1","status":200,"bytes":5,"pool":"default","backend":"unix:/w.sock","verdict":"observe","reason":"max-age","ttl":60,"key":":1:/p?q=1","queued":0,"first_byte":0.001,"took":0.0015}`},
		{"without its query", hidden, nil, ``, `"uri":"/p","status":200,"bytes":5,"pool":"default","backend":"unix:/w.sock","verdict":"pass","reason":"max-age","ttl":0,"key":":1:/p","queued":0,"first_byte":0.001,"took":0.0015}`},
		{"failed", plain, broken, ``, `"uri":"/p?q=1","status":200,"bytes":5,"pool":"default","backend":"unix:/w.sock","verdict":"pass","reason":"max-age","ttl":0,"key":":1:/p?q=1","queued":0,"first_byte":0.001,"took":0.0015,"side":"backend","error":"` + broken.Error() + `","code":"queue_full"}`},
		{"failed without a code", plain, uncoded, ``, `"uri":"/p?q=1","status":200,"bytes":5,"pool":"default","backend":"unix:/w.sock","verdict":"pass","reason":"max-age","ttl":0,"key":":1:/p?q=1","queued":0,"first_byte":0.001,"took":0.0015,"side":"client","error":"` + uncoded.Error() + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got bytes.Buffer
			g := &Gateway{AccessLog: jsonLog(&got)}
			g.record(&tt.rec, tt.err)
			if want := `{"level":"info","msg":"request","host":"example.com","client":"192.0.2.7",` + tt.ids + `"method":"GET",` + tt.want + "\n"; got.String() != want {
				t.Errorf("\n got %s\nwant %s", got.String(), want)
			}
		})
	}
}

// BenchmarkRecord counts a request and writes its access line to nowhere.
func BenchmarkRecord(b *testing.B) {
	g := &Gateway{AccessLog: jsonLog(io.Discard)}
	r := &record{
		asker:  asker{"www.example.com", "192.0.2.7", "4f1f6d8b1d0a4c5e9d3c2b1a00112233", ""},
		method: "GET", uri: "/page/123456789", status: 200, bytes: 4096,
		course: course{pool: "default", backend: "unix:/run/app.sock", firstByte: time.Millisecond, took: 1234567 * time.Nanosecond}, reason: "no-store", key: "http://www.example.com/page/123456789",
	}
	b.ReportAllocs()
	for b.Loop() {
		g.record(r, nil)
	}
}

// A page may have 64 KiB of tags, and its access line must not.
func TestLoggedTagsAreBounded(t *testing.T) {
	tags := strings.Fields(strings.Repeat("0123456789abcdef ", 100))
	var r record
	r.verdict(policy.Verdict{TTL: time.Minute, Tags: tags})
	if len(r.tags) != maxLogTags/16 {
		t.Errorf("%d tags of 16 bytes, want %d", len(r.tags), maxLogTags/16)
	}
	r.verdict(policy.Verdict{TTL: time.Minute, Tags: tags[:2]})
	if len(r.tags) != 2 {
		t.Errorf("%d tags, want both", len(r.tags))
	}
}
