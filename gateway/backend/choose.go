package backend

import (
	"fmt"
	"time"
)

// A Choice says which server takes a request.
type Choice uint8

const (
	// Auto is LeastBusy if the cores of every server are known, else
	// RoundRobin.
	Auto Choice = iota
	// RoundRobin spreads requests by weight, evenly over time.
	RoundRobin
	// LeastBusy chooses the server with the fewest requests in flight, for its
	// weight and cores.
	LeastBusy
	// HashKey chooses by Want.HashKey, which is the page's key: a page is
	// always made by the same server while the servers stay the same, and most
	// pages stay with theirs when one comes or goes.
	HashKey
	// HashClient is HashKey with the client's address for a key.
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
	return 0, fmt.Errorf("backend: there is no choice %q: write auto, round-robin, least-busy, hash-key or hash-client", s)
}

// Tiers, in the order in which they are asked.
const (
	primary = iota
	backup
	ejected
	tiers
	none = -1
)

// choose returns the node that takes a request, nil if all are busy or there is
// none. A tier is asked only if all nodes of those before it are ejected: a
// backup is no reserve for busy hours. p.mu is held.
func (p *pool) choose(w Want) *Node {
	var last *Node // the one to avoid, if there is no other
	for i := range p.tiers {
		t := &p.tiers[i]
		if i == ejected && last != nil {
			break
		}
		if n := p.chooseFrom(t, w); n != nil && n != w.Avoid {
			return n
		} else if n != nil {
			if t.members > 1 {
				return nil // others are up, and will have a place
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

// take gives a request's place to n. p.mu is held.
func (p *pool) take(n *Node) {
	n.inFlight++
	p.ease(n)
	n.pass = n.pass.atLeast(p.reached)
	p.reached = n.pass
	n.pass.at += n.slow * step
	p.settle(n)
}

// release takes the place back, and give lets the next one have it. p.mu is
// held.
func (p *pool) release(n *Node) {
	n.inFlight--
	p.ease(n)
	p.settle(n)
}

func (p *pool) give(n *Node) {
	p.release(n)
	p.dispatch()
}

// slowest is by how much a node's share is divided when slow start begins.
const slowest = 20

// ease adapts n's share to the time since it came up.
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
		// Rounded up: the full share comes at the end.
		n.slow = uint64(min((whole+elapsed-1)/elapsed, slowest))
	}
}

// settle puts n where it belongs after any change of it. p.mu is held.
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

// wants is the tier that n belongs to.
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

// up is the number of nodes that are not ejected.
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

// A pass is a node's place in the round: the virtual time at/weight. Every
// choice moves the node on by step/weight, so that it has exactly its weight's
// share of each unit of time and the order repeats: any run of as many
// requests as the weights sum up to has them in that proportion. nginx's smooth
// round robin has the same property and looks at every node each time.
//
// With at in 64 bits and weights in 16 the products below hold for a trillion
// requests a node.
type pass struct{ at, weight uint64 }

const step = 2

func (a pass) before(b pass) bool { return a.at*b.weight < b.at*a.weight }

// next is the middle of the first interval of a node of that weight after a.
func (a pass) next(weight uint64) pass {
	p := a.rescale(weight)
	p.at += step / 2
	return p
}

// rescale is the same time for another weight.
func (a pass) rescale(weight uint64) pass {
	if a.weight == 0 {
		return pass{0, weight}
	}
	return pass{a.at * weight / a.weight, weight}
}

// atLeast is the later of the two, as a's node counts: one that could not be
// chosen for a while does not get what it has missed.
func (a pass) atLeast(b pass) pass {
	if b.weight == 0 || !a.before(b) {
		return a
	}
	return b.rescale(a.weight)
}
