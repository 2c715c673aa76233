package backend

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A resolver looks up names. *net.Resolver is one.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

func (p *Pool) dns() resolver {
	if p.resolver == nil {
		return net.DefaultResolver
	}
	return p.resolver
}

// maxFound is the most servers that one name stands for.
const maxFound = 1024

// isName reports whether Addr has to be looked up. localhost has not: it is one server
// with two addresses, and the system chooses one.
func (s *NodeSpec) isName() bool {
	if strings.HasPrefix(s.Addr, "srv:") {
		return true
	}
	network, addr, err := ParseAddr(strings.TrimPrefix(s.Addr, "suwsgi:"))
	if err != nil || network != "tcp" {
		return false
	}
	host, _, _ := net.SplitHostPort(addr)
	_, err = netip.ParseAddr(host)
	return err != nil && host != "" && host != "localhost"
}

// expand returns the configuration with names replaced by what was found. A host that was
// not found stays, and the dialer looks it up itself. p.mu is held.
func (p *pool) expand() []NodeSpec {
	specs := make([]NodeSpec, 0, len(p.config))
	for _, s := range p.config {
		switch found := p.found[s.Addr]; {
		case found != nil:
			for _, f := range found {
				specs = append(specs, s.as(f))
			}
		case !strings.HasPrefix(s.Addr, "srv:"):
			specs = append(specs, s)
		}
	}
	return specs
}

// as returns s at an address that was found.
func (s NodeSpec) as(f NodeSpec) NodeSpec {
	s.host, s.Addr = f.host, f.Addr
	if f.Weight > 0 {
		s.Weight = f.Weight
	}
	s.Backup = s.Backup || f.Backup
	return s
}

// watchNames starts the look-ups if there are names. p.mu is held.
func (p *pool) watchNames() {
	if p.retired || !slices.ContainsFunc(p.config, func(s NodeSpec) bool { return s.isName() }) {
		return
	}
	switch {
	case p.lookup == nil:
		p.lookedUp = make(chan struct{})
		p.lookup = time.AfterFunc(0, p.lookUp)
	default:
		p.lookup.Reset(0)
	}
}

// lookUp looks up all names and changes the nodes accordingly. A name that cannot be
// looked up keeps its nodes. lookUp runs in a goroutine of its own, which ends soon after
// the pool is closed or retired.
func (p *pool) lookUp() {
	p.mu.Lock()
	if p.retired {
		p.mu.Unlock()
		return
	}
	p.work.Add(1)
	defer p.work.Done()
	config := p.config
	p.mu.Unlock()
	found := make(map[string][]NodeSpec)
	for _, s := range config {
		if !s.isName() {
			continue
		}
		nodes, err := p.find(s.Addr)
		p.noteLookup(s.Addr, err)
		if err != nil {
			continue
		}
		found[s.Addr] = nodes
	}
	p.looked(found)
}

// noteLookup logs when the look-ups of a name begin to fail, and when they are over that.
func (p *pool) noteLookup(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired || p.lost[name] == (err != nil) {
		return
	}
	if p.lost == nil {
		p.lost = make(map[string]bool)
	}
	p.lost[name] = err != nil
	if err != nil {
		p.options().log().Warn("the name of a backend cannot be looked up; uwgate keeps its last addresses, and tries again", zap.String("name", name), zap.Error(err))
	} else {
		p.options().log().Info("the name of a backend can be looked up again", zap.String("name", name))
	}
}

// missingPause is the pause before names are looked up again of which one has never been
// found.
const missingPause = 2 * time.Second

// nextLookup returns the pause before the next look-up. p.mu is held.
func (p *pool) nextLookup() time.Duration {
	every := p.options().resolveInterval()
	if slices.ContainsFunc(p.config, func(s NodeSpec) bool { return s.isName() && p.found[s.Addr] == nil }) {
		return min(every, missingPause)
	}
	return every
}

// looked applies what was found, and schedules the next look-up.
func (p *pool) looked(found map[string][]NodeSpec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.retired {
		return
	}
	before := p.found
	p.found = make(map[string][]NodeSpec)
	for _, s := range p.config {
		if nodes := found[s.Addr]; nodes != nil {
			p.found[s.Addr] = nodes
		} else if nodes := before[s.Addr]; nodes != nil {
			p.found[s.Addr] = nodes
		}
	}
	p.apply()
	select {
	case <-p.lookedUp:
	default:
		close(p.lookedUp)
	}
	p.lookup.Reset(p.nextLookup())
}

// find returns the servers that a name stands for.
func (p *pool) find(addr string) ([]NodeSpec, error) {
	ctx, cancel := context.WithTimeout(p.done, 10*time.Second)
	defer cancel()
	if service, ok := strings.CutPrefix(addr, "srv:"); ok {
		return p.findService(ctx, service)
	}
	rest, secure := strings.CutPrefix(addr, "suwsgi:")
	host, port, _ := net.SplitHostPort(rest)
	nodes, err := p.findHost(ctx, host, port)
	for i := range nodes {
		nodes[i].host = addr
		if secure {
			nodes[i].Addr = "suwsgi:" + nodes[i].Addr
		}
	}
	return nodes, err
}

func (p *pool) findHost(ctx context.Context, host, port string) ([]NodeSpec, error) {
	addrs, err := p.options().dns().LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s has no addresses", host)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	addrs = slices.Compact(addrs)
	var nodes []NodeSpec
	for _, a := range addrs[:min(len(addrs), maxFound)] {
		nodes = append(nodes, NodeSpec{Addr: net.JoinHostPort(a.Unmap().String(), port)})
	}
	return nodes, nil
}

// findService returns the servers of a DNS service. Those with the lowest priority number
// get the requests, the others are backups.
func (p *pool) findService(ctx context.Context, service string) ([]NodeSpec, error) {
	_, records, err := p.options().dns().LookupSRV(ctx, "", "", service)
	if err != nil {
		return nil, err
	}
	var nodes []NodeSpec
	for _, r := range records {
		if len(nodes) >= maxFound {
			break
		}
		hosts, err := p.findHost(ctx, strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port)))
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			h.host, h.Weight, h.Backup = "srv:"+service, int(r.Weight), r.Priority > records[0].Priority
			nodes = append(nodes, h)
		}
	}
	nodes = nodes[:min(len(nodes), maxFound)]
	if len(nodes) == 0 {
		return nil, fmt.Errorf("%s has no servers", service)
	}
	return nodes, nil
}
