package gateway

import (
	"io"
	"net"
	"testing"
	"time"
)

// At the bound nobody is refused: whoever comes then waits until others have ended.
func TestConnectionsAreBounded(t *testing.T) {
	b := newBench(t, func(g *Gateway) { g.Peers.Connections = 2 }, says(okPage("hello")))
	idle := []net.Conn{b.dial(), b.dial()}
	eventually(t, "two are open", func() bool { return b.Stats().Connections.Open == 2 })
	const crowd = 5
	got := make(chan string, crowd)
	for range crowd {
		nc := b.dial()
		if _, err := nc.Write(encode(t, request("GET", "/"))); err != nil {
			t.Fatal(err)
		}
		go func() {
			raw, _ := io.ReadAll(nc)
			got <- string(raw)
		}()
	}
	eventually(t, "a pause", func() bool { return b.Stats().Connections.Pauses > 0 })
	select {
	case raw := <-got:
		t.Errorf("a third client was served: %q", raw)
	case <-time.After(50 * time.Millisecond):
	}
	if s := b.Stats().Connections; s.Open != 2 || s.Limit != 2 {
		t.Errorf("%d connections of %d, want 2 of 2", s.Open, s.Limit)
	}
	if n := b.logs.FilterMessageSnippet("--max-connections").Len(); n != 1 {
		t.Errorf("the bound was logged %d times, want once", n)
	}
	idle[0].Close()
	for range crowd {
		if response := parseResponse(t, []byte(<-got), nil, "GET"); response.body != "hello" {
			t.Errorf("one that had to wait got %q", response.raw)
		}
	}
	idle[1].Close()
	eventually(t, "none is open", func() bool { return b.Stats().Connections.Open == 0 })
	if n := b.logs.FilterMessageSnippet("--max-connections").Len(); n != 1 {
		t.Errorf("the bound was logged %d times, want once", n)
	}
}

// A gateway that stops serves those that wait at the bound: the kernel would reset them.
func TestStopServesThoseAtTheBound(t *testing.T) {
	b := newBench(t, func(g *Gateway) { g.Peers.Connections = 1 }, says(okPage("hello")))
	idle := b.dial()
	eventually(t, "one is open", func() bool { return b.Stats().Connections.Open == 1 })
	nc := b.dial()
	if _, err := nc.Write(encode(t, request("GET", "/"))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a pause", func() bool { return b.Stats().Connections.Pauses == 1 })
	b.stop()
	raw, err := io.ReadAll(nc)
	if response := parseResponse(t, raw, err, "GET"); response.body != "hello" {
		t.Errorf("got %q, %v", response.raw, err)
	}
	idle.Close()
}

func TestDefaultConnections(t *testing.T) {
	if n := (&Gateway{}).maxConnections(); n < 16 {
		t.Errorf("%d connections by default, want 16 or more", n)
	}
}
