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

// Pools choose the pool for a request: by its host, else among the pools that servers
// have announced, else the default pool. The fields are set, and [Pools.Add] is called,
// before the first use; [Pools.Replace] makes changes after that. All methods except Add
// are safe for concurrent use. Pools have no goroutine of their own: see [Pools.Watch].
type Pools struct {
	// Default gets the requests that no other pool is for. It may be nil.
	Default *Pool

	// TrustKey makes For use the key of a request.
	TrustKey bool

	// Subscribed returns the pool of the servers that have announced a key, or nil if
	// there are none. It may be nil.
	Subscribed func(key string) *Pool

	// Announced returns all pools that Subscribed can return. It may be nil.
	Announced func() []*Pool

	// Make makes a pool for servers that a map file names, with its options. Nil means
	// [NewPool].
	Make func(servers ...string) (*Pool, error)

	// Log gets a line when the map file is loaded, or cannot be. Nil is silent.
	Log *zap.Logger

	hosts table
	named []*Pool                 // by Add, each once
	file  atomic.Pointer[hostMap] // nil: none

	changing sync.Mutex            // held while a file is loaded or pools are replaced
	replaced atomic.Pointer[Pools] // the last argument of Replace, which is in force; nil: none
}

// now returns the pools that are in force.
func (ps *Pools) now() *Pools {
	if next := ps.replaced.Load(); next != nil {
		return next
	}
	return ps
}

// Add makes p the pool of hosts. A host is a name such as www.example.com, with a port if
// that matters; or a suffix such as .example.com, for that name and all names below it;
// or a glob such as shop-*.example.com. A name wins over suffixes, a longer suffix over a
// shorter one, and suffixes over globs, of which the first counts.
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

// For returns the pool for a request, or nil if there is none. The host is as the client
// sent it. The key is what nginx has set to choose a pool, usually ""; if TrustKey is set
// it goes before the host.
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

// configured returns the pools of ps, without those that servers have announced.
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

// Replace puts the pools and TrustKey of next in force. The change is atomic: a request
// gets either the old pools or the new ones. A pool with the name of an old one, or with
// the same servers of a map file, is its successor: servers that are in both keep their
// state and their requests. Requests that already have a pool go on as before. Pools that
// servers have announced stay as they are. The caller must not use next before or after.
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

// WithoutPort returns host as pools compare it: in lower case, without a port.
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

// add adds a host as [Pools.Add] describes it.
func (t *table) add(host string, p *Pool) error {
	host = strings.ToLower(host)
	switch {
	case strings.Trim(host, ".") == "" || strings.ContainsAny(host, "/ \t,") || strings.Contains(host, ".."):
		return errors.New("write a host, as in www.example.com, .example.com or *.example.com")
	case t.exact[host] != nil || slices.ContainsFunc(t.globs, func(g globPool) bool { return g.glob == host }):
		return errors.New("it has a pool already")
	case strings.ContainsAny(host, "*?"):
		if _, err := path.Match(host, ""); err != nil {
			return errors.New("this glob is not valid; use only * and ? in it")
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

// find returns the pool of a host in lower case, or nil.
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

// suffix returns the pool of the longest suffix of host. The suffix .example.com is also
// one of example.com.
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
