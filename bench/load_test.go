//go:build linux

package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A fake is a target with given responses.
type fake struct{ at string }

func newFake(t *testing.T, kind string, respond func(nc net.Conn, n int)) fake {
	t.Helper()
	at := "127.0.0.1:0"
	if kind == onUnix {
		at = "unix:" + filepath.Join(t.TempDir(), "socket")
	}
	ln, err := net.Listen(network(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	if kind != onUnix {
		at = ln.Addr().String()
	}
	go serveFake(ln, respond)
	return fake{at}
}

// serveFake serves one request after the other.
func serveFake(ln net.Listener, respond func(nc net.Conn, n int)) {
	for n := 1; ; n++ {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		var head [blockHeader]byte
		io.ReadFull(nc, head[:])
		io.CopyN(io.Discard, nc, int64(packetSize(head[:])-blockHeader))
		respond(nc, n)
		nc.Close()
	}
}

func ok(nc net.Conn, _ int) {
	io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
}

func (f fake) load(t *testing.T) load {
	t.Helper()
	p, err := newPacket(question{path: "/pass/5/"}, new(atomic.Int64))
	if err != nil {
		t.Fatal(err)
	}
	return load{to: f.at, packet: p, want: 5}
}

func TestLoadOfSoManyRequests(t *testing.T) {
	for _, kind := range []string{onUnix, onTCP} {
		l := newFake(t, kind, ok).load(t)
		l.atOnce, l.requests, l.window = 3, 10, time.Hour
		l.used = (&target{group: group{os.Getpid()}}).used
		got, err := l.run()
		if err != nil {
			t.Fatal(err)
		}
		if got.begun != 10 || got.responses != 10 || got.bytes != 50 || len(got.latencies) != 10 || got.failed != 0 {
			t.Errorf("%s: %d begun, %d answered, %d bytes, %d latencies, %v; want 10 responses of 5 bytes", kind, got.begun, got.responses, got.bytes, len(got.latencies), got.failure)
		}
	}
}

func TestLoadForATime(t *testing.T) {
	l := newFake(t, onUnix, ok).load(t)
	l.atOnce, l.warmup, l.window = 2, 20*time.Millisecond, 50*time.Millisecond
	l.used = (&target{group: group{os.Getpid()}}).used
	got, err := l.run()
	if err != nil {
		t.Fatal(err)
	}
	if got.responses == 0 || got.begun <= got.responses || got.begun <= len(got.latencies) || got.took < l.window || got.used.cpu <= 0 {
		t.Errorf("%d begun, %d answered in %v with %v of CPU; want some in %v, and some more before", got.begun, got.responses, got.took, got.used.cpu, l.window)
	}
}

// TestLoadAtARate: if the target or the load stalls, each request that was due
// in that time has waited.
func TestLoadAtARate(t *testing.T) {
	const pause = 200 * time.Millisecond
	slowTarget := newFake(t, onUnix, func(nc net.Conn, n int) {
		if n == 10 {
			<-time.After(pause)
		}
		ok(nc, n)
	}).load(t)
	slowLoad := newFake(t, onUnix, ok).load(t)
	slowLoad.used = func() (usage, error) { <-time.After(pause); return usage{}, nil }
	for _, tt := range []struct {
		name string
		load load
	}{{"target", slowTarget}, {"load", slowLoad}} {
		tt.load.rate, tt.load.window = 500, 400*time.Millisecond
		began := time.Now()
		got, err := tt.load.run()
		if err != nil {
			t.Fatal(err)
		}
		due := func(in time.Duration) int { return int(tt.load.rate * in.Seconds()) }
		if got.took < tt.load.window || got.begun < due(got.took) || got.begun > due(time.Since(began))+1 {
			t.Errorf("%s: %d requests begun in %v, want 500 a second for 0.4 s at least", tt.name, got.begun, got.took)
		}
		if p75 := quantile(got.latencies, 0.75); p75 < pause/4 {
			t.Errorf("%s: three of four requests took %v at most, want those that were due within %v to have waited", tt.name, p75, pause)
		}
	}
}

// TestPunctual: requests begin when they are due, not at the next event.
func TestPunctual(t *testing.T) {
	l := newFake(t, onUnix, ok).load(t)
	l.rate, l.window = 10, 600*time.Millisecond
	got, err := l.run()
	if err != nil {
		t.Fatal(err)
	}
	if late := quantile(got.latencies, 0.5); late > 50*time.Millisecond {
		t.Errorf("half of them took %v or more, from when they were due", late)
	}
}

func TestLoadThatFails(t *testing.T) {
	for _, tt := range []struct{ name, response, want string }{
		{"status", "HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nhello", "status 503"},
		{"length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhell", "4 bytes, want 200 and 5"},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "closed after 4 of 5 bytes"},
		{"closed", "", "closed without a response"},
	} {
		l := newFake(t, onUnix, func(nc net.Conn, n int) {
			if n == 2 {
				io.WriteString(nc, tt.response)
				return
			}
			ok(nc, n)
		}).load(t)
		l.atOnce, l.requests, l.window = 1, 3, time.Hour
		got, err := l.run()
		if err != nil {
			t.Fatal(err)
		}
		if got.failed != 1 || got.responses != 2 || !says(got.failure, tt.want) {
			t.Errorf("%s: %d failed, %d answered, %v; want 1, 2, %q", tt.name, got.failed, got.responses, got.failure, tt.want)
		}
	}
}

// TestUpload: a body is larger than the socket accepts at once.
func TestUpload(t *testing.T) {
	const size = 4 << 20
	f := newFake(t, onUnix, func(nc net.Conn, _ int) {
		n, _ := io.CopyN(io.Discard, nc, size)
		if n == size {
			ok(nc, 0)
		}
	})
	p, err := newPacket(question{path: "/sink/5/", body: size}, new(atomic.Int64))
	if err != nil {
		t.Fatal(err)
	}
	l := load{to: f.at, packet: p, want: 5, atOnce: 1, requests: 2, window: time.Hour}
	got, err := l.run()
	if err != nil || got.responses != 2 {
		t.Errorf("got %v, %v, want two responses", got, err)
	}
}

func TestAddresses(t *testing.T) {
	for _, s := range []string{"", "localhost:80", "[::1]:80", "127.0.0.1", "/path"} {
		if _, err := parseAddress(s); err == nil || !strings.Contains(err.Error(), "unix:/path or 127.0.0.1:port") {
			t.Errorf("%q: got %v", s, err)
		}
	}
}
