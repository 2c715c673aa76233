package backend

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
)

// Pools pick the pool for a request: by its host, else by its subscription, else
// the default one. The fields are set, and [Pools.Add] is called, before the
// first use; the other methods are safe for concurrent use. [Pools.Replace] is for
// what is to be otherwise later.
type Pools struct {
	// Default takes what no other pool is for. It may be nil.
	Default *Pool

	// TrustKey has For look at a request's key.
	TrustKey bool

	// Subscribed returns the pool of the servers that have announced
	// themselves for a key, nil if there are none. It may be nil.
	Subscribed func(key string) *Pool

	// Announced returns all pools that Subscribed can return, for All. It may
	// be nil.
	Announced func() []*Pool

	// Make makes the pools of a map file that names servers, and sets their
	// options. Nil means [NewPool].
	Make func(servers ...string) (*Pool, error)

	// Log is told about the map file. Nil is silent.
	Log *zap.Logger

	hosts table
	named []*Pool                 // by Add, each once
	file  atomic.Pointer[hostMap] // nil: none

	changing sync.Mutex            // held while a file is loaded or pools are replaced
	replaced atomic.Pointer[Pools] // what is in the place of these pools; nil: nothing
}

// now are the pools in force.
func (ps *Pools) now() *Pools {
	if next := ps.replaced.Load(); next != nil {
		return next
	}
	return ps
}

// Add makes p the pool of hosts: names such as www.example.com, with a port if
// that matters; .example.com for that name and all below it; or globs, as in
// shop-*.example.com. A name wins over a longer suffix, that over a shorter one,
// and that over globs, of which the first counts.
func (ps *Pools) Add(p *Pool, hosts ...string) error {
	for _, h := range hosts {
		if err := ps.hosts.add(h, p); err != nil {
			return fmt.Errorf("backend: host %q: %w", h, err)
		}
	}
	if !slices.Contains(ps.named, p) {
		ps.named = append(ps.named, p)
	}
	return nil
}

// For returns the pool for a request, nil if there is none. host is as the
// client sent it; key is what nginx has set to choose a pool with, usually
// empty, and goes before the host if TrustKey is set.
func (ps *Pools) For(host, key string) *Pool {
	ps = ps.now()
	if !ps.TrustKey {
		key = ""
	}
	for _, name := range [...]string{key, host} {
		if name == "" {
			continue
		}
		if p := ps.lookup(name); p != nil {
			return p
		}
	}
	return ps.Default
}

func (ps *Pools) lookup(name string) *Pool {
	lower := strings.ToLower(name)
	if p := ps.hosts.find(lower); p != nil {
		return p
	}
	if m := ps.file.Load(); m != nil {
		if p := m.hosts.find(lower); p != nil {
			return p
		}
	}
	if ps.Subscribed != nil {
		return ps.Subscribed(name)
	}
	return nil
}

// All returns every pool, the default one first.
func (ps *Pools) All() []*Pool {
	ps = ps.now()
	all := ps.configured()
	if ps.Announced != nil {
		all = append(all, ps.Announced()...)
	}
	return all
}

// configured returns the pools of ps that have not announced themselves.
func (ps *Pools) configured() []*Pool {
	var all []*Pool
	if ps.Default != nil {
		all = append(all, ps.Default)
	}
	all = append(all, ps.named...)
	if m := ps.file.Load(); m != nil {
		for _, p := range m.made {
			all = append(all, p)
		}
	}
	return all
}

// Replace puts next's pools and TrustKey in the place of those that are in force, at
// once: every request has either. A pool that goes on under its name, or for the same
// servers of a map file, takes over those that are in both with their state and their
// requests. Requests of pools that are gone, and those that have their pool already,
// end as they would have. What has announced itself stays: [Subscriptions.Replace] is
// for its options. next is not to be used otherwise, before or after.
func (ps *Pools) Replace(next *Pools) {
	ps.changing.Lock()
	defer ps.changing.Unlock()
	next.Subscribed, next.Announced = ps.Subscribed, ps.Announced
	gone := make(map[string]*Pool)
	for _, p := range ps.now().configured() {
		gone[p.Name] = p
	}
	for _, p := range next.configured() {
		if old := gone[p.Name]; old != nil {
			p.Succeed(old, p.Specs())
			delete(gone, p.Name)
		}
	}
	ps.replaced.Store(next)
	for _, p := range gone {
		p.init().retire()
	}
}

// Stats returns the servers of all pools.
func (ps *Pools) Stats() []NodeStats {
	var stats []NodeStats
	for _, p := range ps.All() {
		stats = append(stats, p.Stats()...)
	}
	return stats
}

// Close closes all pools.
func (ps *Pools) Close() {
	for _, p := range ps.All() {
		p.Close()
	}
}

func (ps *Pools) log() *zap.Logger {
	if ps.Log == nil {
		return zap.NewNop()
	}
	return ps.Log
}

// WithoutPort is host as pools compare it: lower case, without a port.
func WithoutPort(host string) string {
	host = strings.ToLower(host)
	colon := strings.LastIndexByte(host, ':')
	if colon < 0 || strings.Trim(host[colon+1:], "0123456789") != "" || strings.Contains(host[:colon], ":") && host[colon-1] != ']' {
		return host
	}
	return host[:colon]
}

// A table finds pools by host.
type table struct {
	exact map[string]*Pool // in lower case; a suffix begins with its dot
	globs []globPool
}

type globPool struct {
	glob string
	pool *Pool
}

func (t *table) add(host string, p *Pool) error {
	host = strings.ToLower(host)
	switch {
	case strings.Trim(host, ".") == "" || strings.ContainsAny(host, "/ \t,") || strings.Contains(host, ".."):
		return errors.New("write a host, as in www.example.com, .example.com or *.example.com")
	case t.exact[host] != nil || slices.ContainsFunc(t.globs, func(g globPool) bool { return g.glob == host }):
		return errors.New("it has a pool already")
	case strings.ContainsAny(host, "*?"):
		if _, err := path.Match(host, ""); err != nil {
			return errors.New("write a glob with * and ? alone")
		}
		t.globs = append(t.globs, globPool{host, p})
		return nil
	}
	if t.exact == nil {
		t.exact = make(map[string]*Pool)
	}
	t.exact[host] = p
	return nil
}

// find takes a host in lower case.
func (t *table) find(host string) *Pool {
	if p := t.exact[host]; p != nil {
		return p
	}
	host = WithoutPort(host)
	if p := t.exact[host]; p != nil {
		return p
	}
	if p := t.suffix(host); p != nil {
		return p
	}
	for _, g := range t.globs {
		if ok, _ := path.Match(g.glob, host); ok {
			return g.pool
		}
	}
	return nil
}

// suffix looks for the longest one. The host itself is below its own suffix.
func (t *table) suffix(host string) *Pool {
	if len(t.exact) == 0 || len(host) > 255 {
		return nil
	}
	for at := "." + host; ; {
		if p := t.exact[at]; p != nil {
			return p
		}
		dot := strings.IndexByte(at[1:], '.')
		if dot < 0 {
			return nil
		}
		at = at[1+dot:]
	}
}
