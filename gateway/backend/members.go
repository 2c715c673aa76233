package backend

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"
)

// Add adds a server, written as in the configuration:
//
//	ADDRESS [weight=N] [max-conns=N] [cores=N] [modifier1=N] [modifier2=N]
//	        [backup] [down] [ca=FILE] [server-name=NAME] [insecure]
//
// The address is that of [NodeSpec]. The last three parameters are for a suwsgi address:
// the file of the certificate authorities, which Add reads, the name in the certificate,
// and no verification at all.
func (p *Pool) Add(server string) error {
	s, err := parseNode(server)
	if err != nil {
		return err
	}
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(p.config, func(have NodeSpec) bool { return have.Addr == s.Addr }) {
		return fmt.Errorf("backend: %s is given twice; for a larger share write weight=2", s.Addr)
	}
	p.set(append(slices.Clone(p.config), s))
	return nil
}

// Set replaces the servers. A server that stays, by its Addr, keeps its state. The
// requests of a server that is removed go on. A spec without a valid Addr is left out and
// logged.
func (p *Pool) Set(nodes []NodeSpec) {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	var valid []NodeSpec
	for _, s := range nodes {
		if err := s.validate(); err != nil {
			p.options().log().Error("a server was left out: its address is not valid", zap.Error(err))
			continue
		}
		valid = append(valid, s)
	}
	p.set(valid)
}

// Specs returns the servers as they were set.
func (p *Pool) Specs() []NodeSpec {
	p.init()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.config)
}

// set is Set with p.mu held.
func (p *pool) set(config []NodeSpec) {
	p.config = config
	p.apply()
	if p.started {
		p.watchNames()
	}
}

// apply makes the nodes those of the configuration, with names replaced by what was
// found for them. p.mu is held.
func (p *pool) apply() {
	before := make(map[string]*Node, len(p.nodes))
	for _, n := range p.nodes {
		before[n.key()] = n
	}
	others := len(before) > 0
	p.nodes = nil
	seen := make(map[string]bool)
	for _, s := range p.expand() {
		if seen[s.key()] {
			continue
		}
		seen[s.key()] = true
		n := before[s.key()]
		if n == nil {
			n = p.join(s, others)
		}
		delete(before, s.key())
		n.place = len(p.nodes)
		n.change(s)
		p.nodes = append(p.nodes, n)
	}
	for _, n := range before {
		p.leave(n)
	}
	p.arrange()
}

func (s *NodeSpec) key() string { return s.host + " " + s.Addr }
func (n *Node) key() string     { return n.spec.key() }

// join makes a new node. If there are others, it begins with slow start.
func (p *pool) join(s NodeSpec, others bool) *Node {
	n := p.newNode(s)
	n.pass = p.reached.next(n.weight())
	if others && p.started {
		p.easeIn(n)
	}
	return n
}

// change gives a node that stays its new spec.
func (n *Node) change(s NodeSpec) {
	if old := n.weight(); old != uint64(max(s.Weight, 1)) {
		n.pass = n.pass.rescale(uint64(max(s.Weight, 1)))
	}
	n.spec = s
	if n.tls.Load() != nil {
		n.tls.Store(clientTLS(s))
	}
}

// leave ends the timers of a node that is no longer a member, and takes it out of the
// choice.
func (p *pool) leave(n *Node) {
	n.gone = true
	n.stopTimers()
	p.settle(n)
}

// mayServe reports whether a server may appear, or come back: there is one in the
// configuration that is not down. p.mu is held.
func (p *pool) mayServe() bool {
	return slices.ContainsFunc(p.config, func(s NodeSpec) bool { return !s.Down })
}

// arrange orders the nodes and the ring again, after nodes or options have changed. p.mu
// is held.
func (p *pool) arrange() {
	order := byPass
	if p.isLeastBusy() {
		order = byBusy
	}
	for i := range p.tiers {
		p.tiers[i].order = order
		if i == ejected {
			p.tiers[i].order = byFailure
		}
		p.tiers[i].init()
	}
	p.ring = nil
	if c := p.options().Choice; c == HashKey || c == HashClient {
		p.ring = newRing(p.nodes)
	}
	for _, n := range p.nodes {
		p.settle(n)
	}
	p.dispatch()
}

// easeIn begins n's slow start.
func (p *pool) easeIn(n *Node) {
	if p.options().SlowStart > 0 {
		n.upSince = time.Now()
		n.slow = slowest
	}
}
