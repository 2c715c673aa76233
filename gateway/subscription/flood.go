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
	// maxRefusals is the number of refused datagrams a second after which Serve
	// rests. While it rests, the kernel drops what the socket has no room for, so
	// a flood costs no more than these datagrams.
	maxRefusals = 10_000

	// minRest is the shortest rest, so that a few bad datagrams cause none.
	minRest = 20 * time.Millisecond

	// shutTime is how long a sender over its rate is shut out, and maxShut the
	// number of senders that a socket shuts out at a time.
	shutTime = time.Second
	maxShut  = 32
)

// A guard bounds the cost of a flood on one socket. The kernel shuts out a few senders
// over their rate, where it can, so that they take no room from others. Serve rests
// when there are too many other bad datagrams. One goroutine uses a guard.
type guard struct {
	pc  net.PacketConn
	due time.Time // when all refused datagrams would have come at exactly maxRefusals
	out []outcast // in the order in which they are readmitted
}

// An outcast is a sender that is shut out.
type outcast struct {
	sender netip.Addr
	until  time.Time
}

// refused notes a refused datagram, and returns how long Serve must rest; 0 means not
// at all.
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

// shut shuts a sender out for shutTime. Datagrams that it sent before may still come.
func (g *guard) shut(sender netip.Addr, now time.Time) {
	if len(g.out) == maxShut || slices.ContainsFunc(g.out, func(o outcast) bool { return o.sender == sender }) {
		return
	}
	g.out = append(g.out, outcast{sender, now.Add(shutTime)})
	g.apply()
}

// readmit readmits the senders whose time is over. It is due when a read fails with a
// timeout.
func (g *guard) readmit(now time.Time) {
	g.out = slices.DeleteFunc(g.out, func(o outcast) bool { return !o.until.After(now) })
	g.apply()
}

// apply sets the kernel's filter and the deadline of the next readmit. Without a filter
// the rate and the rests still bound the senders.
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

// rest reads nothing for d. Announcements may be lost meanwhile, so excuse does not
// count the silence of servers against them.
func (s *Registry) rest(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	pause(ctx, d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rested = time.Now()
}

// excuse gives a member the tolerance from the last rest if its announcements may have
// been lost in that. It reports whether it did. s.mu is held.
func (s *Registry) excuse(m *member, now time.Time) bool {
	until := s.rested.Add(s.tolerance())
	if !until.After(now) {
		return false
	}
	m.expires = until
	heap.Fix(&s.deadlines, m.at)
	return true
}
