package backend

import (
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"uwgate/uwsgi"
)

func TestProbesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b")
		w := simulate(p)
		w.set("@a", refuses)
		if got := shares(t, p, 4, Want{}); got["@b"] != 4 {
			t.Fatalf("shares %v", got)
		}
		var probes []time.Duration
		start, seen := time.Now(), w.times("@a")
		for time.Since(start) < 100*time.Second {
			time.Sleep(time.Second)
			synctest.Wait()
			if n := w.times("@a"); n > seen {
				seen = n
				probes = append(probes, time.Since(start)/time.Second)
			}
		}
		if got, want := fmt.Sprint(probes), "[1ns 3ns 7ns 15ns 31ns 61ns 91ns]"; got != want {
			t.Errorf("probes after %v seconds, want %v", got, want)
		}
		if got := shares(t, p, 10, Want{}); got["@b"] != 10 || seen != w.times("@a") {
			t.Errorf("shares %v: a request tried the ejected server", got)
		}
		w.set("@a", nil)
		time.Sleep(30 * time.Second)
		if got := shares(t, p, 10, Want{}); got["@a"] != 5 {
			t.Errorf("shares %v after the server is back", got)
		}
	})
}

// Outcomes that a client can cause eject no server that responds to probes.
func TestSuspicion(t *testing.T) {
	for _, tt := range []struct {
		name     string
		servers  []string
		outcomes []Outcome
		probe    server
		out      bool
	}{
		{"responds to probes", []string{"@a", "@b"}, []Outcome{Silent, Silent, Reset, TimedOut}, nil, false},
		{"responds to no probe", []string{"@a", "@b"}, []Outcome{TimedOut, TimedOut, TimedOut}, hangs, true},
		{"too few", []string{"@a", "@b"}, []Outcome{TimedOut, TimedOut}, hangs, false},
		{"a response between", []string{"@a", "@b"}, []Outcome{TimedOut, TimedOut, Responded, TimedOut}, hangs, false},
		{"the only one", []string{"@a"}, []Outcome{TimedOut, TimedOut, TimedOut}, hangs, false},
		{"the last that is up", []string{"@a", "@b down"}, []Outcome{TimedOut, TimedOut, TimedOut}, hangs, false},
		{"refuses probes", []string{"@a", "@b"}, []Outcome{Silent, Silent, Silent}, refuses, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, tt.servers...)
				w := simulate(p)
				nc := dial(t, p, Want{})
				nc.Close()
				w.set("@a", tt.probe)
				for _, o := range tt.outcomes {
					nc.Report(o)
					if !p.Stats()[0].Up {
						t.Error("ejected by an outcome alone")
					}
				}
				time.Sleep(10 * time.Second)
				if up := p.Stats()[0].Up; up == tt.out {
					t.Errorf("up %v, want %v", up, !tt.out)
				}
				w.set("@a", nil)
				time.Sleep(31 * time.Second)
				if !p.Stats()[0].Up {
					t.Error("not back, though it responds")
				}
			})
		})
	}
}

func TestDoubtIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b")
		w := simulate(p)
		nc := dial(t, p, Want{})
		nc.Close()
		w.set("@a", hangs)
		for range 5 {
			nc.Report(TimedOut)
			time.Sleep(6 * time.Second)
		}
		if n := w.times("@a"); n != 1 {
			t.Errorf("probed %d times for outcomes that lie far apart", n-1)
		}
	})
}

// An unproven server that does not respond to its first request is probed.
func TestUnprovenIsDoubtedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Pool{}
		p.Set([]NodeSpec{{Addr: "@a"}, {Addr: "@b", Unproven: true}})
		defer p.Close()
		w := simulate(p)
		w.set("@b", hangs)
		nc := dial(t, p, Want{Avoid: p.nodes[0]})
		nc.Report(TimedOut)
		nc.Close()
		time.Sleep(7 * time.Second)
		if p.Stats()[1].Up {
			t.Error("still up")
		}
		w.set("@b", nil)
		time.Sleep(11 * time.Second)
		if s := p.Stats()[1]; !s.Up || s.Unproven {
			t.Errorf("%+v, want it back and proven by its probes", s)
		}
	})
}

func TestHalfThePoolStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b", "@c", "@d", "@e")
		w := simulate(p)
		var held []*Conn
		for _, n := range p.nodes {
			nc := dial(t, p, Want{})
			held = append(held, nc)
			w.set(n.name, hangs)
		}
		for range 3 {
			for _, nc := range held {
				nc.Report(TimedOut)
			}
		}
		time.Sleep(time.Minute)
		up := 0
		for _, s := range p.Stats() {
			if s.Up {
				up++
			}
		}
		if up != 3 {
			t.Errorf("%d of 5 servers are up, want 3", up)
		}
		for _, nc := range held {
			nc.Close()
		}
	})
}

func TestProbes(t *testing.T) {
	answer := func(text string) server {
		return func(nc net.Conn) error {
			go func() {
				nc.Read(make([]byte, 4096))
				nc.Write([]byte(text))
				nc.Close()
			}()
			return nil
		}
	}
	for _, tt := range []struct {
		name  string
		probe Probe
		does  server
		alive bool
	}{
		{"ping, pong", probePing, answer(uwsgi.Pong), true},
		{"ping, no plugin", probePing, closes, true},
		{"ping, silence", probePing, hangs, false},
		{"ping, refused", probePing, refuses, false},
		{"connect", probeConnect, hangs, true},
		{"connect, refused", probeConnect, refuses, false},
		{"GET, 200", "/health", answer("HTTP/1.1 200 OK\r\n\r\n"), true},
		{"GET, 404", "/health", answer("HTTP/1.1 404 Not Found\r\n\r\n"), true},
		{"GET, 500", "/health", answer("HTTP/1.1 500 Oops\r\n\r\n"), false},
		{"GET, close", "/health", closes, false},
		{"GET, silence", "/health", hangs, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, "@a")
				p.Probe = tt.probe
				launch(p)
				simulate(p).set("@a", tt.does)
				if err := p.probe(p.nodes[0]); (err == nil) != tt.alive {
					t.Errorf("error %v, want alive %v", err, tt.alive)
				}
			})
		})
	}
}

func TestParseProbe(t *testing.T) {
	for in, want := range map[string]string{
		"ping": "", "connect": "connect", "/health": "/health", "www.example.com/health?a=b": "www.example.com/health?a=b",
		"": "error", "pong": "error", "http://a/": "error", "/a b": "error",
	} {
		got, err := ParseProbe(in)
		if err != nil {
			got = "error"
		}
		if string(got) != want {
			t.Errorf("ParseProbe(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestProbeVars(t *testing.T) {
	v := Probe("www.example.com/health?a=b").vars()
	for name, want := range map[string]string{
		"HTTP_HOST": "www.example.com", "REQUEST_URI": "/health?a=b", "PATH_INFO": "/health", "QUERY_STRING": "a=b",
	} {
		if got := v.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// A host that drops packets is ejected and does not delay requests to the others.
func TestDroppedPackets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b")
		w := simulate(p)
		w.set("@a", drops)
		start := time.Now()
		nc := dial(t, p, Want{})
		nc.Close()
		if d := time.Since(start); d > 500*time.Millisecond || nc.Node.name != "@b" {
			t.Errorf("connected to %v after %v, want b:1 after half a second", nc.Node, d)
		}
		if p.Stats()[0].Up {
			t.Error("not ejected")
		}
	})
}

func TestBackupTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b", "@c backup")
		w := simulate(p)
		w.set("@a", refuses)
		w.set("@b", refuses)
		if got := shares(t, p, 5, Want{}); got["@c"] != 5 {
			t.Errorf("shares %v, want all for the backup", got)
		}
		w.set("@b", nil)
		time.Sleep(1500 * time.Millisecond)
		if got := shares(t, p, 5, Want{}); got["@b"] != 5 {
			t.Errorf("shares %v after b:1 is back", got)
		}
	})
}

func TestRetryBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a")
		simulate(p)
		allowed := func() (n int) {
			for p.TakeRetry() {
				n++
			}
			return n
		}
		for _, step := range []struct {
			requests, want int
			pause          time.Duration
		}{{1, 3, 0}, {4, 0, 0}, {99, 17, 5 * time.Second}, {100, 20, 5 * time.Second}, {50, 10, 30 * time.Second}, {0, 3, time.Minute}} {
			shares(t, p, step.requests, Want{})
			if got := allowed(); got != step.want {
				t.Errorf("%d retries after %d more requests, want %d", got, step.requests, step.want)
			}
			time.Sleep(step.pause)
		}
	})
}

func TestHungServerHasToAnswerTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "@a", "@b")
		w := simulate(p)
		nc := dial(t, p, Want{})
		nc.Close()
		w.set("@a", hangs)
		for range maxDoubts {
			nc.Report(TimedOut)
		}
		time.Sleep(maxMisses*2*time.Second + time.Second)
		w.set("@a", nil)
		for i, want := range []bool{false, false, true} {
			if up := p.Stats()[0].Up; up != want {
				t.Errorf("after %d probes: up %v, want %v", i, up, want)
			}
			time.Sleep(p.probeInterval())
		}
	})
}

func TestProbesAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := manyNodes(3 * maxProbes)
		defer p.Close()
		w := simulate(p)
		launch(p)
		for _, n := range p.nodes {
			w.set(n.name, hangs)
			p.mu.Lock()
			p.eject(n, nil)
			p.mu.Unlock()
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		if n := len(w.dialed); n != maxProbes {
			t.Errorf("%d probes run, want %d", n, maxProbes)
		}
	})
}
