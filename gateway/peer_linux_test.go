package gateway

import (
	"io"
	"os"
	"testing"

	"go.uber.org/zap"
)

func TestPeerUsers(t *testing.T) {
	own := uint32(os.Getuid())
	for name, tt := range map[string]struct {
		network string
		users   []uint32
		want    bool
	}{
		"everybody":       {"unix", nil, true},
		"own user":        {"unix", []uint32{own + 1, own}, true},
		"other users":     {"unix", []uint32{own + 1, own + 2}, false},
		"TCP has no user": {"tcp", []uint32{own + 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := startBench(t, tt.network, func(g *Gateway) { g.Peers.Users = tt.users }, startWorker(t, says(okPage("hello"))))
			nc := b.dial()
			nc.Write(encode(t, missed("/"))) // may fail if the other side has closed
			raw, err := io.ReadAll(nc)
			got := parseResponse(t, raw, err, "GET")
			if heard := got.body == "hello"; heard != tt.want {
				t.Errorf("got %q, %v; want a response: %v", got.raw, got.err, tt.want)
			}
			eventually(t, "heard or refused", func() bool { return b.access.Len()+int(b.stats.peersRefused.Load()) == 1 })
			refused := b.logs.FilterMessageSnippet("add --allow-user").FilterField(zap.Uint32("uid", own)).Len()
			if n := b.stats.peersRefused.Load(); (n == 1) == tt.want || (refused == 1) == tt.want {
				t.Errorf("%d refusals counted, %d logged with uid %d", n, refused, own)
			}
		})
	}
}
