package backend

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A zone is a resolver that knows the names in two maps.
type zone struct {
	mu       sync.Mutex // guards both
	hosts    map[string][]string
	services map[string][]*net.SRV
}

func (z *zone) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	var addrs []netip.Addr
	for _, a := range z.hosts[host] {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	if addrs == nil {
		return nil, errors.New("no such host")
	}
	return addrs, nil
}

func (z *zone) LookupSRV(_ context.Context, _, _, name string) (string, []*net.SRV, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.services[name] == nil {
		return "", nil, errors.New("no such service")
	}
	return name, z.services[name], nil
}

func (z *zone) set(host string, addrs ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.hosts[host] = addrs
}

// names returns the names of the servers, sorted.
func (p *Pool) names() string {
	var names []string
	for _, s := range p.Stats() {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func TestNamesAreLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{hosts: map[string][]string{"app": {"10.0.0.2", "10.0.0.1", "10.0.0.1", "::1"}}}
		p := newPool(t, "app:3031", "127.0.0.1:3031", "unix:/run/app.sock", "localhost:3032", "other:1")
		p.resolver = z
		simulate(p)
		step := func(what, want string) {
			t.Helper()
			synctest.Wait()
			if got := p.names(); got != want {
				t.Errorf("%s: members %s, want %s", what, got, want)
			}
			time.Sleep(31 * time.Second)
		}
		const rest = "127.0.0.1:3031, "
		const others = ", localhost:3032, other:1, unix:/run/app.sock"
		dial(t, p, Want{}).Close()
		step("at first", rest+"app:3031 10.0.0.1:3031, app:3031 10.0.0.2:3031, app:3031 [::1]:3031"+others)
		held := dial(t, p, Want{})
		for held.Node.name != "app:3031 10.0.0.1:3031" {
			held.Close()
			held = dial(t, p, Want{})
		}
		z.set("app", "10.0.0.3", "10.0.0.1")
		time.Sleep(31 * time.Second)
		step("changed", rest+"app:3031 10.0.0.1:3031, app:3031 10.0.0.3:3031"+others)
		if s := p.Stats()[0]; s.Name != held.Node.name || s.InFlight != 1 {
			t.Errorf("%+v, want the address that stays with its request", s)
		}
		held.Close()
		z.set("app")
		time.Sleep(31 * time.Second)
		step("failing", rest+"app:3031 10.0.0.1:3031, app:3031 10.0.0.3:3031"+others)
		z.set("new", "10.0.0.9")
		p.Set([]NodeSpec{{Addr: "new:1"}})
		step("set", "new:1 10.0.0.9:1")
	})
}

func TestService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &zone{
			hosts: map[string][]string{"a.example": {"10.0.0.1", "10.0.0.2"}, "b.example": {"10.0.0.3"}},
			services: map[string][]*net.SRV{"_uwsgi._tcp.example": {
				{Target: "a.example.", Port: 1, Priority: 1, Weight: 3}, {Target: "b.example.", Port: 2, Priority: 2},
			}},
		}
		p := newPool(t, "srv:_uwsgi._tcp.example max-conns=5")
		p.resolver = z
		simulate(p)
		got := shares(t, p, 10, Want{}) // the first one waits for the look-up
		const a = "srv:_uwsgi._tcp.example "
		if want := map[string]int{a + "10.0.0.1:1": 5, a + "10.0.0.2:1": 5}; !maps.Equal(got, want) {
			t.Errorf("shares %v, want %v", got, want)
		}
		s := p.Stats()
		if len(s) != 3 || s[0].Weight != 3 || s[0].Limit != 5 || !s[2].Backup {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestServiceThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, "srv:_uwsgi._tcp.example")
		p.resolver = &zone{}
		for range 2 {
			if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrUnavailable) {
				t.Errorf("error %v, want ErrUnavailable", err)
			}
		}
	})
}

// A DNS server cannot make a pool grow without bound.
func TestNameWithTooManyAddresses(t *testing.T) {
	var many []string
	for i := range maxFound + 10 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}).String())
	}
	z := &zone{
		hosts:    map[string][]string{"app": many},
		services: map[string][]*net.SRV{"_uwsgi._tcp.example": {{Target: "app.", Port: 1}, {Target: "app.", Port: 2}}},
	}
	for _, server := range []string{"app:3031", "srv:_uwsgi._tcp.example"} {
		synctest.Test(t, func(t *testing.T) {
			p := newPool(t, server)
			p.resolver = z
			simulate(p)
			launch(p)
			synctest.Wait()
			if got := p.Len(); got != maxFound {
				t.Errorf("%s: %d servers, want %d", server, got, maxFound)
			}
		})
	}
}

// A name that is not there at the start is looked up again soon, and requests wait for it.
// The log says so once.
func TestNameThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		z := &zone{}
		p := newPool(t, "srv:_uwsgi._tcp.example")
		p.resolver, p.Log = z, zap.New(core)
		simulate(p)
		begin := time.Now()
		time.AfterFunc(5*time.Second, func() {
			z.mu.Lock()
			defer z.mu.Unlock()
			z.hosts = map[string][]string{"a.example": {"10.0.0.1"}}
			z.services = map[string][]*net.SRV{"_uwsgi._tcp.example": {{Target: "a.example.", Port: 1}}}
		})
		nc := dial(t, p, Want{})
		nc.Close()
		if d := time.Since(begin); d < 5*time.Second || d > 8*time.Second {
			t.Errorf("connected after %v, want soon after 5 s", d)
		}
		for _, line := range []string{"cannot be looked up", "can be looked up again"} {
			if n := logs.FilterMessageSnippet(line).Len(); n != 1 {
				t.Errorf("%q is logged %d times", line, n)
			}
		}
	})
}
