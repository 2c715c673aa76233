package subscription

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Of bad datagrams from many addresses, maxRefusals a second are read. A server whose
// announcements may be lost in that flood stays for one tolerance after it.
func TestFloodOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveInBubble(&Registry{Admission: Admission{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}})
		defer s.stop()
		s.send("10.0.0.1:9", hello(t, "a.example", "10.0.0.1:3031"))
		began := time.Now()
		for i := range 20 * maxRefusals {
			s.pc.packets <- packet{[]byte("junk"), udpAddr(fmt.Sprintf("10.1.%d.%d:9", i>>8&0xff, i&0xff))}
		}
		synctest.Wait()
		if took := time.Since(began); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("20 seconds' worth was read in %v", took)
		}
		wantAddrs(t, s.Registry, "a.example", "10.0.0.1:3031")
		time.Sleep(16 * time.Second)
		wantAddrs(t, s.Registry, "a.example", "10.0.0.1:3031")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantAddrs(t, s.Registry, "a.example")
	})
}

func TestGuard(t *testing.T) {
	start := time.Now()
	g := guard{pc: newPacketConn()}
	rests := func(reason Refusal, n int, at time.Duration) (d time.Duration) {
		for i := range n {
			d = g.refused(reason, source{ip: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}, start.Add(at))
		}
		return d
	}
	if d := rests(RefusedFormat, 199, 0); d != 0 || len(g.out) != 0 {
		t.Errorf("a rest of %v after a few, and %d senders shut out", d, len(g.out))
	}
	if d := rests(RefusedFormat, 1, 0); d != minRest {
		t.Errorf("a rest of %v after a few more, want %v", d, minRest)
	}
	if d := rests(RefusedRate, 40, time.Hour); d != 0 || len(g.out) != maxShut {
		t.Errorf("a rest of %v, and %d senders shut out of 40, want %d", d, len(g.out), maxShut)
	}
	rests(RefusedRate, 1, time.Hour+shutTime/2)
	g.readmit(start.Add(time.Hour + shutTime - 1))
	if len(g.out) != maxShut {
		t.Errorf("%d shut out before the time, want all", len(g.out))
	}
	g.readmit(start.Add(time.Hour + shutTime))
	if len(g.out) != 0 {
		t.Errorf("%d shut out after the time, want none", len(g.out))
	}
	if g.refused(RefusedRate, source{local: true}, start); len(g.out) != 0 {
		t.Error("a UNIX socket's sender is shut out")
	}
}
