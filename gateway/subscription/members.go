package subscription

import (
	"container/heap"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway/backend"
)

// An announced is a server as it announced itself for a key. The snapshot keeps it in
// this form.
type announced struct {
	Key       string `json:"key"`
	Addr      string `json:"address"` // complete, so that it can be dialled
	Modifier1 uint8  `json:"modifier1"`
	Modifier2 uint8  `json:"modifier2"`
	Cores     int    `json:"cores"`
	Load      int    `json:"load"`
	Weight    int    `json:"weight"`
	Backup    bool   `json:"backup"`
	Local     bool   `json:"local"`  // it came over a UNIX socket
	Signed    bool   `json:"signed"` // with a signature that was verified
}

func (a announced) spec() backend.NodeSpec {
	spec := backend.NodeSpec{Addr: a.Addr, Weight: a.Weight, Cores: a.Cores, Load: a.Load, Backup: a.Backup, Unproven: true}
	if a.Modifier1 != 0 || a.Modifier2 != 0 {
		spec.Modifier1, spec.Modifier2 = &a.Modifier1, &a.Modifier2
	}
	return spec
}

// A service is a key and its servers, of which there is at least one.
type service struct {
	key     string
	pool    *backend.Pool
	members []*member // in the order of their first announcements
}

// A member is one server of a service.
type member struct {
	announced
	service *service
	seen    time.Time // the last announcement
	expires time.Time
	at      int // in the deadlines
}

func (sv *service) find(addr string) *member {
	i := slices.IndexFunc(sv.members, func(m *member) bool { return m.Addr == addr })
	if i < 0 {
		return nil
	}
	return sv.members[i]
}

// announce adds a server, or renews it if it is a member. It refuses servers over the
// limits. s.mu is held.
func (s *Registry) announce(a announced, now time.Time) (isNew bool, err error) {
	sv := s.services[a.Key]
	if sv == nil && len(s.services) >= s.maxKeys() {
		return false, refuse(RefusedFull, "there are %d keys already", len(s.services))
	}
	var m *member
	if sv != nil {
		m = sv.find(a.Addr)
	}
	if m != nil {
		s.renew(m, a, now)
		return false, nil
	}
	if sv != nil && len(sv.members) >= s.maxNodes() {
		return false, refuse(RefusedFull, "the key has %d servers already", len(sv.members))
	}
	if sv == nil {
		sv = s.open(strings.Clone(a.Key))
	}
	// These strings are parts of the datagram, and would keep all of it in memory.
	a.Key, a.Addr = sv.key, strings.Clone(a.Addr)
	s.join(sv, a, now)
	return true, nil
}

// open adds a service without members. s.mu is held.
func (s *Registry) open(key string) *service {
	sv := &service{key: key}
	if s.Make != nil {
		sv.pool = s.Make(key)
	} else {
		sv.pool = &backend.Pool{Name: key}
	}
	if s.services == nil {
		s.services = make(map[string]*service)
	}
	s.services[key] = sv
	return sv
}

// Replace sets Make to make, and gives the pools of all keys the options of the pools
// that make returns. No server and no request is lost.
func (s *Registry) Replace(make func(key string) *backend.Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Make = make
	for key, sv := range s.services {
		p := make(key)
		p.Succeed(sv.pool, sv.pool.Specs())
		sv.pool = p
		s.pools.Store(key, p)
	}
}

// join adds a server that is not a member yet. s.mu is held.
func (s *Registry) join(sv *service, a announced, now time.Time) {
	m := &member{announced: a, service: sv, seen: now, expires: now.Add(s.tolerance())}
	sv.members = append(sv.members, m)
	heap.Push(&s.deadlines, m)
	s.apply(sv)
	s.saveWithin(time.Second, now)
	if m.at == 0 {
		s.rouse()
	}
	s.log().Info("server subscribed", zap.String("key", a.Key), zap.String("server", a.Addr))
}

// renew notes an announcement of a member. s.mu is held.
func (s *Registry) renew(m *member, a announced, now time.Time) {
	m.seen, m.expires = now, now.Add(s.tolerance())
	heap.Fix(&s.deadlines, m.at)
	a.Key, a.Addr = m.Key, m.Addr
	if a == m.announced {
		// Restore ignores servers that were last seen longer ago than the tolerance.
		s.saveWithin(s.tolerance()/4, now)
		return
	}
	m.announced = a
	s.apply(m.service)
	s.saveWithin(time.Second, now)
}

// drop removes a server from everything except its pool: the caller calls apply next.
// s.mu is held.
func (s *Registry) drop(m *member, why string, now time.Time) {
	heap.Remove(&s.deadlines, m.at)
	m.service.members = slices.DeleteFunc(m.service.members, func(other *member) bool { return other == m })
	s.saveWithin(time.Second, now)
	s.log().Info(why, zap.String("key", m.Key), zap.String("server", m.Addr))
}

// apply makes the pool's servers those of the service. If there are none, it removes
// the service and returns its pool. The caller closes that pool once it no longer holds
// s.mu, since Close may wait for a probe.
func (s *Registry) apply(sv *service) (empty *backend.Pool) {
	specs := make([]backend.NodeSpec, 0, len(sv.members))
	for _, m := range sv.members {
		specs = append(specs, m.spec())
	}
	if len(specs) == 0 {
		delete(s.services, sv.key)
		s.pools.Delete(sv.key)
		sv.pool.Set(nil)
		return sv.pool
	}
	sv.pool.Set(specs)
	s.pools.Store(sv.key, sv.pool)
	return nil
}

// withdraw removes a server that leaves. The caller closes the pool that it returns,
// if any, as with apply. s.mu is held.
func (s *Registry) withdraw(a announced, now time.Time) (empty *backend.Pool) {
	sv := s.services[a.Key]
	if sv == nil {
		return nil
	}
	m := sv.find(a.Addr)
	if m == nil {
		return nil
	}
	s.drop(m, "server left", now)
	return s.apply(sv)
}

// expire removes the servers that were silent for too long.
func (s *Registry) expire(now time.Time) {
	for _, p := range s.expired(now) {
		p.Close()
	}
}

// expired is expire without the closing of the pools that have no server left.
func (s *Registry) expired(now time.Time) (empty []*backend.Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgive(now)
	changed := make(map[*service]bool)
	for len(s.deadlines) > 0 && !s.deadlines[0].expires.After(now) {
		m := s.deadlines[0]
		if s.excuse(m, now) {
			continue
		}
		s.drop(m, "server expired", now)
		changed[m.service] = true
		s.counts.Expired++
	}
	for sv := range changed {
		if p := s.apply(sv); p != nil {
			empty = append(empty, p)
		}
	}
	return empty
}

// forgive gives all members the whole tolerance if expire runs late, because this
// machine or a container was paused: then announcements still wait to be read, or could
// not be sent. s.mu is held.
func (s *Registry) forgive(now time.Time) {
	if len(s.deadlines) == 0 || now.Sub(s.deadlines[0].expires) < 2*time.Second {
		return
	}
	for _, m := range s.deadlines {
		m.expires = now.Add(s.tolerance())
	}
}

// deadlines is a heap of members, ordered by the time when they expire.
type deadlines []*member

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].expires.Before(d[j].expires) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].at, d[j].at = i, j
}

func (d *deadlines) Push(x any) {
	m := x.(*member)
	m.at = len(*d)
	*d = append(*d, m)
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	m := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return m
}
