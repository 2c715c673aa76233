package subscription

import (
	"container/heap"
	"context"
	"net"
	"net/netip"
	"slices"
	"time"
)

const (
	// maxRefusals is how many datagrams a second Serve reads in vain. A flood
	// costs what these do: while Serve rests the kernel throws away what the
	// socket has no room for.
	maxRefusals = 10_000

	// minRest keeps Serve from resting for a few bad datagrams, or too shortly to
	// be worth it.
	minRest = 20 * time.Millisecond

	// shutTime is for how long a sender over its rate is not heard, and maxShut
	// how many of them a socket has at a time.
	shutTime = time.Second
	maxShut  = 32
)

// A guard keeps a flood from costing more than it must: a few senders over their
// rate are shut out by the kernel, where it can do that, so that they take no room
// from others; else Serve has to rest. It is one socket's and one goroutine's.
type guard struct {
	pc  net.PacketConn
	due time.Time // when all that was refused would have been at maxRefusals
	out []outcast // in the order in which they come back
}

// An outcast is a sender that is not heard.
type outcast struct {
	sender netip.Addr
	until  time.Time
}

// refused notes a datagram, and returns how long to rest; 0: not at all.
func (g *guard) refused(reason Refusal, from source, now time.Time) time.Duration {
	if reason == RefusedRate && !from.local {
		g.shut(sender(from.ip), now)
	}
	if g.due.Before(now) {
		g.due = now
	}
	g.due = g.due.Add(time.Second / maxRefusals)
	if d := g.due.Sub(now); d >= minRest {
		return d
	}
	return 0
}

// shut has the sender not heard for a while. What it has sent before may still come.
func (g *guard) shut(sender netip.Addr, now time.Time) {
	if len(g.out) == maxShut || slices.ContainsFunc(g.out, func(o outcast) bool { return o.sender == sender }) {
		return
	}
	g.out = append(g.out, outcast{sender, now.Add(shutTime)})
	g.apply()
}

// readmit lets those be heard again whose time is over. Reads fail with a timeout
// when that is due.
func (g *guard) readmit(now time.Time) {
	g.out = slices.DeleteFunc(g.out, func(o outcast) bool { return !o.until.After(now) })
	g.apply()
}

// apply tells the kernel. One that cannot do it leaves the senders to the rate and to
// the rests.
func (g *guard) apply() {
	var back time.Time
	senders := make([]netip.Addr, len(g.out))
	for i, o := range g.out {
		senders[i] = o.sender
	}
	if len(g.out) > 0 {
		back = g.out[0].until
	}
	if udp, ok := g.pc.(*net.UDPConn); ok {
		filter(udp, senders)
	}
	g.pc.SetReadDeadline(back)
}

// rest reads nothing for d, if that is anything. Announcements may be lost by that, so it is not
// held against servers that are silent.
func (s *Registry) rest(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	pause(ctx, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rested = time.Now()
}

// excuse reports whether the member may have been silent for our rest alone, and
// gives it the tolerance from then if so. s.mu is held.
func (s *Registry) excuse(m *member, now time.Time) bool {
	until := s.rested.Add(s.tolerance())
	if !until.After(now) {
		return false
	}
	m.expires = until
	heap.Fix(&s.deadlines, m.at)
	return true
}
