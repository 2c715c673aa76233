package backend

import (
	"fmt"
	"time"
)

// A Choice says which server gets a request.
type Choice uint8

const (
	// Auto is LeastBusy if the cores of every server are known, else
	// RoundRobin.
	Auto Choice = iota
	// RoundRobin spreads requests by weight, evenly over time.
	RoundRobin
	// LeastBusy chooses the server with the fewest requests in flight for its weight
	// and cores, then the one that announced the lowest Load, then the one whose turn
	// it is.
	LeastBusy
	// HashKey chooses by Want.HashKey, which is the key of the page: the same server
	// makes a page while the servers stay the same, and most pages keep their server
	// when one comes or goes.
	HashKey
	// HashClient is HashKey with the client's address as the key.
	HashClient
)

var choices = [...]string{"auto", "round-robin", "least-busy", "hash-key", "hash-client"}

func (c Choice) String() string { return choices[c] }

// ParseChoice reads a choice by its name.
func ParseChoice(s string) (Choice, error) {
	for i, name := range choices {
		if s == name {
			return Choice(i), nil
		}
	}
	return 0, fmt.Errorf("backend: there is no choice %q; write auto, round-robin, least-busy, hash-key or hash-client", s)
}

// The tiers, in the order in which they are tried.
const (
	primary = iota
	backup
	ejected
	tiers
	none = -1
)

// choose returns the node that gets a request, or nil if there is none or all are busy. A
// tier is tried only if no node of the tiers before it is up: a backup does not help out
// when the others are busy. p.mu is held.
func (p *pool) choose(w Want) *Node {
	var last *Node // w.Avoid, in case there is no other
	for i := range p.tiers {
		t := &p.tiers[i]
		if i == ejected && last != nil {
			break
		}
		if n := p.chooseFrom(t, w); n != nil && n != w.Avoid {
			return n
		} else if n != nil {
			if t.members > 1 {
				return nil // others are up, and will have room
			}
			last = n
		} else if t.members > 0 {
			break
		}
	}
	return last
}

func (p *pool) chooseFrom(t *tier, w Want) *Node {
	if len(p.ring) > 0 && w.HashKey != "" && t != &p.tiers[ejected] {
		if n := p.ring.pick(w.HashKey, t, w.Avoid); n != nil {
			return n
		}
	}
	return t.best(w.Avoid)
}

// take gives a request a place at n. p.mu is held.
func (p *pool) take(n *Node) {
	n.inFlight++
	p.ease(n)
	n.pass = n.pass.atLeast(p.reached)
	p.reached = n.pass
	n.pass.at += n.slow * step
	p.settle(n)
}

// release frees a place at n. p.mu is held; the caller dispatches.
func (p *pool) release(n *Node) {
	n.inFlight--
	p.ease(n)
	p.settle(n)
}

// give frees a place at n for the next request. p.mu is held.
func (p *pool) give(n *Node) {
	p.release(n)
	p.dispatch()
}

// slowest is what the share of a node is divided by when slow start begins.
const slowest = 20

// ease adapts the share of n to the time since slow start began.
func (p *pool) ease(n *Node) {
	if n.upSince.IsZero() {
		return
	}
	elapsed, whole := time.Since(n.upSince), p.options().SlowStart
	if elapsed >= whole {
		n.upSince, n.slow = time.Time{}, 1
		return
	}
	n.slow = slowest
	if elapsed > 0 {
		// Rounded up, so that the full share comes only at the end.
		n.slow = uint64(min((whole+elapsed-1)/elapsed, slowest))
	}
}

// settle moves n to the tier and the place where it belongs after a change. p.mu is
// held.
func (p *pool) settle(n *Node) {
	if want := n.wants(); want != n.tier {
		if n.tier != none {
			p.tiers[n.tier].drop(n)
			p.tiers[n.tier].members--
		}
		if n.tier = want; want != none {
			p.tiers[want].members++
		}
	}
	if n.tier == none {
		return
	}
	t := &p.tiers[n.tier]
	switch {
	case !n.hasRoom():
		t.drop(n)
	case n.at < 0:
		t.push(n)
	default:
		t.fix(n.at)
	}
}

// wants returns the tier that n belongs to.
func (n *Node) wants() int {
	switch {
	case n.gone || n.spec.Down:
		return none
	case n.isEjected():
		return ejected
	case n.spec.Backup:
		return backup
	}
	return primary
}

// up returns the number of nodes that are not ejected.
func (p *pool) up() int { return p.tiers[primary].members + p.tiers[backup].members }

func (p *pool) isLeastBusy() bool {
	if c := p.options().Choice; c != Auto {
		return c == LeastBusy
	}
	for _, n := range p.nodes {
		if n.spec.Cores == 0 {
			return false
		}
	}
	return len(p.nodes) > 0
}

// A pass is a node's place in the round: the virtual time at/weight. Every choice moves
// the node on by step/weight, so it gets exactly the share of its weight in each unit of
// time, and the order repeats: any run of as many requests as the sum of the weights is
// shared exactly by weight. nginx's smooth round robin has the same property, but looks at
// every node each time.
//
// With at in 64 bits and weights in 16, the products below do not overflow for a trillion
// requests to a node.
type pass struct{ at, weight uint64 }

const step = 2

func (a pass) before(b pass) bool { return a.at*b.weight < b.at*a.weight }

// next returns the middle of the first interval after a, for a node of that weight.
func (a pass) next(weight uint64) pass {
	p := a.rescale(weight)
	p.at += step / 2
	return p
}

// rescale returns the same time for another weight.
func (a pass) rescale(weight uint64) pass {
	if a.weight == 0 {
		return pass{0, weight}
	}
	return pass{a.at * weight / a.weight, weight}
}

// atLeast returns the later of the two, with a's weight: a node that could not be chosen
// for a while does not get the requests that it has missed.
func (a pass) atLeast(b pass) pass {
	if b.weight == 0 || !a.before(b) {
		return a
	}
	return b.rescale(a.weight)
}
