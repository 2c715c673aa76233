package subscription

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// A packet is a datagram for a packetConn.
type packet struct {
	b    []byte
	from net.Addr
}

// A packetConn is a UDP socket inside a synctest bubble.
type packetConn struct {
	net.PacketConn // for the methods that Serve does not use
	packets        chan packet
	closed         context.Context
	close          context.CancelFunc

	mu   sync.Mutex
	late <-chan time.Time // fires at the read deadline; nil: there is none
}

func newPacketConn() *packetConn {
	c := &packetConn{packets: make(chan packet)}
	c.closed, c.close = context.WithCancel(context.Background())
	return c
}

func (c *packetConn) Close() error { c.close(); return nil }

func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.mu.Lock()
	late := c.late
	c.mu.Unlock()
	select {
	case p := <-c.packets:
		return copy(b, p.b), p.from, nil
	case <-c.closed.Done():
		return 0, nil, net.ErrClosed
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = nil
	if !t.IsZero() {
		c.late = time.After(time.Until(t))
	}
	return nil
}

// A served is a Serve inside a synctest bubble.
type served struct {
	*Registry
	pc   *packetConn
	stop func() error
}

func serveInBubble(s *Registry) *served {
	sv := &served{Registry: s, pc: newPacketConn()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, sv.pc) }()
	sv.stop = func() error {
		cancel()
		return <-done
	}
	synctest.Wait()
	return sv
}

// send waits until the datagram was handled.
func (sv *served) send(from string, b []byte) {
	sv.pc.packets <- packet{b, udpAddr(from)}
	synctest.Wait()
}

func udpAddr(s string) net.Addr { return net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s)) }

// datagram encodes a subscription.
func datagram(tb testing.TB, sub uwsgi.Subscription) []byte {
	tb.Helper()
	b, err := sub.Append(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func hello(tb testing.TB, key, addr string) []byte {
	return datagram(tb, uwsgi.Subscription{Key: key, Address: addr})
}

func bye(tb testing.TB, key, addr string) []byte {
	return datagram(tb, uwsgi.Subscription{Key: key, Address: addr, Leave: true})
}

// addrs returns the addresses of a key's servers, in the order of the pool.
func (s *Registry) addrs(key string) []string {
	p := s.Pool(key)
	if p == nil {
		return nil
	}
	var all []string
	for _, spec := range p.Specs() {
		all = append(all, spec.Addr)
	}
	return all
}

// listen returns the address of a server that accepts connections and never responds.
func listen(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln.Addr().String()
}

// dial is a Dial that must succeed.
func dial(t *testing.T, p *backend.Pool) *backend.Conn {
	t.Helper()
	nc, err := p.Dial(t.Context(), backend.Want{})
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

func wantAddrs(t *testing.T, s *Registry, key string, want ...string) {
	t.Helper()
	if got := s.addrs(key); !slices.Equal(got, want) {
		t.Errorf("servers of %s: %q, want %q", key, got, want)
	}
}

const here = "127.0.0.1:40000"

func TestSubscribeAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveInBubble(&Registry{})
		s.send(here, hello(t, "a.example", "127.0.0.1:1"))
		time.Sleep(10 * time.Second)
		s.send(here, hello(t, "a.example", "127.0.0.1:2"))
		s.send(here, hello(t, "b.example", "127.0.0.1:3"))
		wantAddrs(t, s.Registry, "a.example", "127.0.0.1:1", "127.0.0.1:2")

		time.Sleep(7*time.Second - time.Nanosecond)
		synctest.Wait()
		wantAddrs(t, s.Registry, "a.example", "127.0.0.1:1", "127.0.0.1:2")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantAddrs(t, s.Registry, "a.example", "127.0.0.1:2")

		s.send(here, hello(t, "b.example", "127.0.0.1:3"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if p := s.Pool("a.example"); p != nil {
			t.Errorf("a.example has a pool of %d after all servers have expired", p.Len())
		}
		wantAddrs(t, s.Registry, "b.example", "127.0.0.1:3")
		if got := s.Stats(); got.Keys != 1 || got.Nodes != 1 || got.Announced != 4 || got.Expired != 2 {
			t.Errorf("stats %+v, want 1 key, 1 node, 4 announced, 2 expired", got)
		}
		if err := s.stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// If uwgate did not run for a while, it does not know which servers were silent.
func TestExpiryThatComesLate(t *testing.T) {
	s := &Registry{}
	now := time.Now()
	from := source{local: true}
	for _, b := range [][]byte{hello(t, "a", ":1"), hello(t, "a", ":2")} {
		if err := s.take(b, from, now); err != nil {
			t.Fatal(err)
		}
	}
	late := now.Add(time.Minute)
	s.expire(late)
	wantAddrs(t, s, "a", "127.0.0.1:1", "127.0.0.1:2")
	s.expire(late.Add(17*time.Second - 1))
	wantAddrs(t, s, "a", "127.0.0.1:1", "127.0.0.1:2")
	s.expire(late.Add(17 * time.Second))
	wantAddrs(t, s, "a")
}

func TestSubscriptionBecomesNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveInBubble(&Registry{Admission: Admission{AllowModifiers: [][2]uint8{{7, 2}}}})
		defer s.stop()
		addr := listen(t)
		sub := uwsgi.Subscription{Key: "a", Address: addr, Modifier1: 7, Modifier2: 2, Cores: 6, Load: 3, Weight: 20, Backup: true}
		s.send(here, datagram(t, sub))
		got := s.Pool("a").Stats()[0]
		want := backend.NodeStats{Pool: "a", Name: addr, Up: true, Limit: 1, Weight: 20, Cores: 6, Load: 3, Backup: true, Unproven: true, Modifier1: 7, Modifier2: 2}
		if got != want {
			t.Errorf("\n got %+v\nwant %+v", got, want)
		}
		sub.Modifier1, sub.Modifier2, sub.Weight, sub.Cores = 0, 0, 0, 0
		s.send(here, datagram(t, sub))
		got = s.Pool("a").Stats()[0]
		want.Modifier1, want.Modifier2, want.Weight, want.Cores = 0, 0, 1, 0
		if got != want {
			t.Errorf("announced again\n got %+v\nwant %+v", got, want)
		}

		// An announcement does not make a proven server unproven.
		p := s.Pool("a")
		nc := dial(t, p)
		nc.Report(backend.Responded)
		nc.Close()
		sub.Weight = 2
		s.send(here, datagram(t, sub))
		if got := p.Stats()[0]; got.Unproven || got.Weight != 2 {
			t.Errorf("after a response %+v, want it proven, with weight 2", got)
		}
	})
}

// A server that leaves gets no more requests, and the requests that it has go on.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveInBubble(&Registry{})
		defer s.stop()
		addr := listen(t)
		s.send(here, hello(t, "a", addr))
		p := s.Pool("a")
		nc := dial(t, p)
		defer nc.Close()
		s.send(here, bye(t, "a", "127.0.0.1:9")) // unknown
		s.send(here, bye(t, "b", addr))
		wantAddrs(t, s.Registry, "a", addr)
		s.send(here, hello(t, "a", "127.0.0.1:2"))
		s.send(here, bye(t, "a", addr))
		wantAddrs(t, s.Registry, "a", "127.0.0.1:2")
		if _, err := nc.Write([]byte("x")); err != nil {
			t.Errorf("the request under way: %v", err)
		}
		s.send(here, bye(t, "a", "127.0.0.1:2"))
		if s.Pool("a") != nil {
			t.Error("there is a pool after the last server has left")
		}
		if _, err := p.Dial(t.Context(), backend.Want{}); !errors.Is(err, backend.ErrUnavailable) {
			t.Errorf("dial after the last server has left: %v, want %v", err, backend.ErrUnavailable)
		}
		s.send(here, hello(t, "a", "127.0.0.1:2"))
		wantAddrs(t, s.Registry, "a", "127.0.0.1:2")
	})
}

func TestSubscriptionLookup(t *testing.T) {
	s := &Registry{}
	for _, key := range []string{"www.example.com", "www.example.com:8080", ".example.com", ".x", "Upper", "[::1]", "one.example.com:80"} {
		if err := s.take(hello(t, key, "127.0.0.1:1"), source{ip: netip.MustParseAddr("127.0.0.1")}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ key, want string }{
		{"www.example.com", "www.example.com"},
		{"WWW.Example.com", "www.example.com"},
		{"www.example.com:8080", "www.example.com:8080"},
		{"WWW.example.com:8080", "www.example.com:8080"},
		{"www.example.com:81", "www.example.com"},
		{"a.example.com", ".example.com"},
		{"a.b.EXAMPLE.com:443", ".example.com"},
		{"one.example.com", ".example.com"},
		{"example.com", ""},
		{"1.2.3.4.x", ".x"},
		{"1.2.3.4.5.x", ".x"},
		{"1.2.3.4.5.6.x", ""}, // more than five labels
		{"Upper", "Upper"},
		{"upper", ""},
		{"[::1]:80", "[::1]"},
		{"", ""}, {".", ""}, {":", ""}, {"x", ""}, {":80", ""}, {"..", ""},
		{strings.Repeat("a.", 200) + "x", ""},
	} {
		got := ""
		if p := s.Pool(tt.key); p != nil {
			got = p.Name
		}
		if got != tt.want {
			t.Errorf("Pool(%q) is that of %q, want %q", tt.key, got, tt.want)
		}
	}
	if got := len(s.Pools()); got != 7 {
		t.Errorf("%d pools, want 7", got)
	}
}

// The largest datagram is accepted, and one that is a byte longer is refused.
func TestLargestSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveInBubble(&Registry{})
		defer s.stop()
		b := hello(t, "a", ":1")
		pad := maxDatagram - len(b) - len("\x01\x00x\x00\x00")
		b = append(b, 1, 0, 'x', byte(pad), byte(pad>>8))
		b = append(b, make([]byte, pad)...)
		binary.LittleEndian.PutUint16(b[1:], uint16(len(b)-4))
		s.send(here, append(bytes.Clone(b), 0))
		wantAddrs(t, s.Registry, "a")
		s.send(here, b)
		wantAddrs(t, s.Registry, "a", "127.0.0.1:1")
	})
}

// An announcement leads to a node with this address, or to a refusal with this reason.
func TestAdmission(t *testing.T) {
	private := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fe80::/10")}
	anywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	for name, tt := range map[string]struct {
		server *Registry
		from   string // "": a UNIX socket
		sub    uwsgi.Subscription
		want   string // the node's address
		reason Refusal
	}{
		"complete":                             {from: "127.0.0.1", sub: uwsgi.Subscription{Address: "127.0.0.1:3031"}, want: "127.0.0.1:3031"},
		"without a host":                       {from: "127.0.0.2", sub: uwsgi.Subscription{Address: ":3031"}, want: "127.0.0.2:3031"},
		"any host":                             {server: &Registry{Admission: Admission{Networks: private}}, from: "10.1.2.3", sub: uwsgi.Subscription{Address: "0.0.0.0:3031"}, want: "10.1.2.3:3031"},
		"any host of IPv6":                     {server: &Registry{Admission: Admission{Networks: private}}, from: "fd00::1", sub: uwsgi.Subscription{Address: "[::]:3031"}, want: "[fd00::1]:3031"},
		"IPv4 in IPv6":                         {server: &Registry{Admission: Admission{Networks: private}}, from: "::ffff:10.1.2.3", sub: uwsgi.Subscription{Address: "[::ffff:10.9.9.9]:3031"}, want: "10.9.9.9:3031"},
		"a zone":                               {server: &Registry{Admission: Admission{Networks: private}}, from: "fe80::1%eth0", sub: uwsgi.Subscription{Address: ":3031"}, want: "[fe80::1%eth0]:3031"},
		"for another":                          {server: &Registry{Admission: Admission{Networks: private}}, from: "10.1.2.3", sub: uwsgi.Subscription{Address: "10.9.9.9:3031"}, want: "10.9.9.9:3031"},
		"UNIX from UNIX":                       {sub: uwsgi.Subscription{Address: "/run/app.sock"}, want: "/run/app.sock"},
		"abstract from UNIX":                   {sub: uwsgi.Subscription{Address: "@app"}, want: "@app"},
		"without a host from UNIX":             {sub: uwsgi.Subscription{Address: ":3031"}, want: "127.0.0.1:3031"},
		"elsewhere from UNIX":                  {sub: uwsgi.Subscription{Address: "192.0.2.1:3031"}, want: "192.0.2.1:3031"},
		"UNIX from UDP, allowed":               {server: &Registry{Admission: Admission{AllowUnix: true}}, from: "127.0.0.1", sub: uwsgi.Subscription{Address: "/run/app.sock"}, want: "/run/app.sock"},
		"UNIX from UDP":                        {from: "127.0.0.1", sub: uwsgi.Subscription{Address: "/run/app.sock"}, reason: RefusedAddress},
		"abstract from UDP":                    {from: "127.0.0.1", sub: uwsgi.Subscription{Address: "@app"}, reason: RefusedAddress},
		"relative path":                        {sub: uwsgi.Subscription{Address: "app.sock"}, reason: RefusedAddress},
		"host name":                            {from: "127.0.0.1", sub: uwsgi.Subscription{Address: "app.internal:3031"}, reason: RefusedAddress},
		"port 0":                               {from: "127.0.0.1", sub: uwsgi.Subscription{Address: "127.0.0.1:0"}, reason: RefusedAddress},
		"port 65536":                           {from: "127.0.0.1", sub: uwsgi.Subscription{Address: ":65536"}, reason: RefusedAddress},
		"no port":                              {from: "127.0.0.1", sub: uwsgi.Subscription{Address: "127.0.0.1"}, reason: RefusedAddress},
		"multicast":                            {server: &Registry{Admission: Admission{Networks: anywhere}}, from: "10.0.0.1", sub: uwsgi.Subscription{Address: "224.0.0.1:3031"}, reason: RefusedAddress},
		"our loopback from afar":               {server: &Registry{Admission: Admission{Networks: anywhere}}, from: "10.0.0.1", sub: uwsgi.Subscription{Address: "127.0.0.1:11211"}, reason: RefusedAddress},
		"our loopback, mapped":                 {server: &Registry{Admission: Admission{Networks: anywhere}}, from: "10.0.0.1", sub: uwsgi.Subscription{Address: "[::ffff:127.0.0.1]:11211"}, reason: RefusedAddress},
		"outside of the networks":              {server: &Registry{Admission: Admission{Networks: private}}, from: "10.0.0.1", sub: uwsgi.Subscription{Address: "192.0.2.1:80"}, reason: RefusedAddress},
		"from afar":                            {from: "10.0.0.1", sub: uwsgi.Subscription{Address: ":3031"}, reason: RefusedSource},
		"from another network":                 {server: &Registry{Admission: Admission{Networks: private}}, from: "192.0.2.1", sub: uwsgi.Subscription{Address: ":3031"}, reason: RefusedSource},
		"no network at all":                    {server: &Registry{Admission: Admission{Networks: []netip.Prefix{}}}, from: "127.0.0.1", sub: uwsgi.Subscription{Address: ":3031"}, reason: RefusedSource},
		"key of a glob":                        {server: &Registry{Admission: Admission{Keys: []string{"x", "*.example"}}}, sub: uwsgi.Subscription{Key: "a.b.example", Address: ":1"}, want: "127.0.0.1:1"},
		"key of none":                          {server: &Registry{Admission: Admission{Keys: []string{"x", "*.example"}}}, sub: uwsgi.Subscription{Key: "a.example.org", Address: ":1"}, reason: RefusedKey},
		"key in another case":                  {server: &Registry{Admission: Admission{Keys: []string{"*.example"}}}, sub: uwsgi.Subscription{Key: "a.EXAMPLE", Address: ":1"}, reason: RefusedKey},
		"no key at all":                        {server: &Registry{Admission: Admission{Keys: []string{}}}, sub: uwsgi.Subscription{Address: ":1"}, reason: RefusedKey},
		"modifier":                             {sub: uwsgi.Subscription{Address: ":1", Modifier1: 5}, reason: RefusedModifier},
		"modifier that is allowed":             {server: &Registry{Admission: Admission{AllowModifiers: [][2]uint8{{5, 0}}}}, sub: uwsgi.Subscription{Address: ":1", Modifier1: 5}, want: "127.0.0.1:1"},
		"modifier2 beside it":                  {server: &Registry{Admission: Admission{AllowModifiers: [][2]uint8{{5, 0}}}}, sub: uwsgi.Subscription{Address: ":1", Modifier1: 5, Modifier2: 1}, reason: RefusedModifier},
		"address without a host, to be signed": {server: &Registry{Admission: Admission{PublicKeys: "/nowhere"}}, from: "127.0.0.1", sub: uwsgi.Subscription{Address: ":1"}, reason: RefusedAddress},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.sub.Key == "" {
				tt.sub.Key = "key.example"
			}
			from := source{local: tt.from == ""}
			if !from.local {
				from = sourceOf(net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(tt.from), 9)), nil)
			}
			s := cmp.Or(tt.server, &Registry{})
			err := s.take(datagram(t, tt.sub), from, time.Now())
			wantRefusal(t, err, tt.reason)
			got := strings.Join(s.addrs(tt.sub.Key), " ")
			if got != tt.want {
				t.Errorf("address %q, want %q", got, tt.want)
			}
		})
	}
}

// wantRefusal checks the reason of a refusal; "" means that there is none.
func wantRefusal(t *testing.T, err error, want Refusal) {
	t.Helper()
	r, _ := errors.AsType[*refusal](err)
	if (err == nil) != (want == "") || r != nil && r.reason != want {
		t.Errorf("error %v, want the refusal %q", err, want)
	}
}

func TestSubscriptionLimits(t *testing.T) {
	s := &Registry{Limits: Limits{MaxKeys: 2, MaxNodes: 2}}
	from := source{local: true}
	for _, step := range []struct {
		key, addr string
		leave     bool
		reason    Refusal
	}{
		{"a", ":1", false, ""},
		{"a", ":2", false, ""},
		{"a", ":3", false, RefusedFull},
		{"a", ":2", false, ""},
		{"b", ":1", false, ""},
		{"c", ":1", false, RefusedFull},
		{"b", ":1", true, ""},
		{"c", ":1", false, ""},
		{"a", ":1", true, ""},
		{"a", ":3", false, ""},
	} {
		b := hello(t, step.key, step.addr)
		if step.leave {
			b = bye(t, step.key, step.addr)
		}
		err := s.take(b, from, time.Now())
		wantRefusal(t, err, step.reason)
	}
	wantAddrs(t, s, "a", "127.0.0.1:2", "127.0.0.1:3")
	wantAddrs(t, s, "c", "127.0.0.1:1")
}

func TestRate(t *testing.T) {
	now := time.Now()
	passed := func(r *rates, ip string, at time.Time) (n int) {
		for range 100 {
			if r.take(source{ip: netip.MustParseAddr(ip)}, 10, at) {
				n++
			}
		}
		return n
	}
	r := &rates{}
	for _, tt := range []struct {
		ip   string
		at   time.Duration
		want int
	}{
		{"10.0.0.1", 0, 21},
		{"10.0.0.1", time.Second, 10},
		{"10.0.0.1", time.Hour, 21},
		{"2001:db8::1", 2 * time.Hour, 21},
		{"2001:db8::ffff:2", 2 * time.Hour, 0}, // of the same /64
	} {
		if got := passed(r, tt.ip, now.Add(tt.at)); got != tt.want {
			t.Errorf("%d datagrams of %s pass after %v, want %d", got, tt.ip, tt.at, tt.want)
		}
	}
	others := 0
	for i := range 20 {
		if passed(r, fmt.Sprintf("2001:db8:0:%d::1", 1+i), now.Add(2*time.Hour)) > 0 {
			others++
		}
	}
	if others < 10 { // some may share a slot
		t.Errorf("%d of 20 other networks have a rate of their own", others)
	}
}

// A flood of every kind of bad datagram changes nothing, and the log stays short.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		s := serveInBubble(&Registry{Log: zap.New(core), Admission: Admission{Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, Limits: Limits{MaxKeys: 500}})
		defer s.stop()
		for i := range 2000 {
			s.send("10.0.0.1:9", hello(t, fmt.Sprintf("k%d.example", i%500), fmt.Sprintf("10.1.%d.%d:3031", i/200, i%200)))
		}
		time.Sleep(3 * time.Second) // the rate of 10.0.0.1 is used up, and others may share its slot
		before := s.Pool("k7.example")
		wantAddrs(t, s.Registry, "k7.example", "10.1.0.7:3031", "10.1.2.107:3031", "10.1.5.7:3031", "10.1.7.107:3031")
		good := hello(t, "k7.example", "10.9.9.9:3031")
		began := time.Now()
		bad := [][]byte{nil, []byte("GET / HTTP/1.1\r\n\r\n"), good[:len(good)-1], append(bytes.Clone(good), 0), make([]byte, 65000), bytes.Repeat([]byte{224}, 4096)}
		for i := range 3000 {
			from := fmt.Sprintf("10.0.%d.%d:9", i/256%8, i%256)
			s.send(from, bad[i%len(bad)])
			s.send(from, hello(t, fmt.Sprintf("new%d.example", i), ":1")) // over MaxKeys
			s.send("192.0.2.1:9", good)
		}
		if got := s.Stats(); got.Keys != 500 || got.Nodes != 2000 || got.Refused[RefusedFormat] != 3000 || got.Refused[RefusedSource] != 3000 || got.Refused[RefusedFull] != 3000 {
			t.Errorf("stats %+v, want 500 keys, 2000 nodes and 3000 refusals of three reasons", got)
		}
		if s.Pool("k7.example") != before || before.Len() != 4 {
			t.Error("the flood has changed a pool")
		}
		began, whole := time.Now(), time.Since(began)
		for range 5000 {
			s.send("10.0.0.2:9", good)
		}
		took := time.Since(began)
		whole += took
		if got, want := s.Stats().Refused[RefusedRate], 2900-uint64(1000*took.Seconds()); got < want {
			t.Errorf("%d datagrams over the rate in %v, want %d at least", got, took, want)
		}
		if got := logs.Len(); got > 1+int(whole.Seconds()) {
			t.Errorf("%d lines about refusals in %v, want one a second", got, whole)
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if got := s.Stats(); got.Keys != 0 || got.Nodes != 0 || len(s.Pools()) != 0 {
			t.Errorf("stats after the tolerance %+v, want nothing left", got)
		}
	})
}

// Datagrams that uWSGI 2.0.21 sent are accepted.
func TestRecordedSubscriptions(t *testing.T) {
	s := &Registry{Admission: Admission{AllowModifiers: [][2]uint8{{5, 0}, {7, 2}}, AllowUnix: true, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}}}
	from := source{ip: netip.MustParseAddr("127.0.0.1")}
	for _, line := range recorded(t) {
		name, b := line.name, line.datagram
		err := s.take(b, from, time.Now())
		if strings.HasPrefix(name, "sub_unix_app") { // app.sock
			wantRefusal(t, err, RefusedAddress)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantAddrs(t, s, "example.org", "127.0.0.1:22354") // the one whose leave was not recorded
	if got := s.Stats(); got.Keys != 1 {
		t.Errorf("stats %+v: every other server has left", got)
	}
}

func FuzzSubscriptions(f *testing.F) {
	for _, r := range recorded(f) {
		f.Add(r.datagram, r.datagram, true)
	}
	f.Fuzz(func(t *testing.T, first, second []byte, local bool) {
		s := &Registry{Admission: Admission{AllowModifiers: [][2]uint8{{5, 0}}}}
		for _, b := range [][]byte{first, second} {
			s.receive(b, source{local: local, ip: netip.MustParseAddr("127.0.0.1")})
			checkMembers(t, s)
		}
	})
}

// checkMembers checks that lookups find the services of the registry.
func checkMembers(t *testing.T, s *Registry) {
	t.Helper()
	members := 0
	for key, sv := range s.services {
		members += len(sv.members)
		if len(sv.members) == 0 || s.exact(key) != sv.pool || sv.pool.Len() != len(sv.members) {
			t.Errorf("key %q: %d members, a pool of %d", key, len(sv.members), sv.pool.Len())
		}
	}
	if len(s.Pools()) != len(s.services) || members != len(s.deadlines) {
		t.Errorf("%d pools of %d keys, %d deadlines of %d members", len(s.Pools()), len(s.services), len(s.deadlines), members)
	}
}

func TestServeUDP(t *testing.T) {
	for _, network := range []string{"127.0.0.1:0", "[::1]:0"} {
		pc, err := net.ListenPacket("udp", network)
		if err != nil {
			t.Skip(err)
		}
		core, logs := observer.New(zap.InfoLevel)
		s := &Registry{Log: zap.New(core)}
		stop := serve(t, s, pc)
		c, err := net.Dial("udp", pc.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write(hello(t, "a.example", ":3031"))
		host, _, _ := net.SplitHostPort(c.LocalAddr().String())
		waitFor(t, "the server", func() bool { return s.Pool("a.example") != nil })
		wantAddrs(t, s, "a.example", net.JoinHostPort(host, "3031"))
		c.Write(make([]byte, 6000))
		c.Write(bye(t, "a.example", ":3031"))
		waitFor(t, "the server's end", func() bool { return s.Pool("a.example") == nil })
		stop()
		for _, want := range []string{"server subscribed", "server left", "subscription refused"} {
			if logs.FilterMessage(want).Len() != 1 {
				t.Errorf("%d lines %q, want 1", logs.FilterMessage(want).Len(), want)
			}
		}
	}
}

// serve starts Serve; the end of the test waits for it.
func serve(t *testing.T, s *Registry, pc net.PacketConn) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, pc) }()
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// waitFor waits until is returns true.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(5 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

func listenUnixgram(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	pc, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	return pc
}

func TestAcknowledgement(t *testing.T) {
	dir := t.TempDir()
	notify := listenUnixgram(t, filepath.Join(dir, "notify"))
	pc := listenUnixgram(t, filepath.Join(dir, "server"))
	s := &Registry{}
	serve(t, s, pc)
	c, err := net.Dial("unixgram", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sub := uwsgi.Subscription{Key: "ack1", Address: "127.0.0.1:22200", Notify: filepath.Join(dir, "nobody")}
	c.Write(datagram(t, sub)) // nobody listens there, which does no harm
	waitFor(t, "the server", func() bool { return s.Pool("ack1") != nil })
	sub.Notify = notify.LocalAddr().String()
	c.Write(datagram(t, sub)) // no acknowledgement: the server is a member
	sub.Address = "127.0.0.1:22201"
	c.Write(datagram(t, sub))
	b := make([]byte, 1000)
	notify.SetReadDeadline(time.Now().Add(time.Minute))
	n, _, err := notify.ReadFrom(b)
	if got, want := string(b[:n]), "[subscription ack] ack1 => new node: 127.0.0.1:22201"; err != nil || got != want {
		t.Errorf("acknowledged %q, %v; want %q", got, err, want)
	}

	// A full socket delays nothing, and a datagram over UDP is not acknowledged.
	for i := range 2000 {
		sub.Key = fmt.Sprintf("k%d", i%100)
		sub.Address = fmt.Sprintf("127.0.0.1:%d", 1+i)
		if err := s.take(datagram(t, sub), source{local: true, unix: pc}, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	sub.Key = "last"
	if err := s.take(datagram(t, sub), source{ip: netip.MustParseAddr("127.0.0.1")}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for {
		notify.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, _, err := notify.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if strings.Contains(string(b[:n]), "last") {
			t.Error("a datagram over UDP was acknowledged")
		}
	}
}

// Two sockets share one goroutine for expiry.
func TestServeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Registry{}
		one, two := serveInBubble(s), serveInBubble(s)
		one.send(here, hello(t, "a", ":1"))
		two.send(here, hello(t, "a", ":2"))
		wantAddrs(t, s, "a", "127.0.0.1:1", "127.0.0.1:2")
		if err := one.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		wantAddrs(t, s, "a")
		if err := two.stop(); err != nil {
			t.Error(err)
		}
		three := serveInBubble(s)
		three.send(here, hello(t, "a", ":3"))
		time.Sleep(time.Minute)
		synctest.Wait()
		wantAddrs(t, s, "a")
		three.pc.Close()
		if err := three.stop(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func BenchmarkLookupUnderFlood(b *testing.B) {
	for _, flooded := range []bool{false, true} {
		b.Run(fmt.Sprintf("flood=%t", flooded), func(b *testing.B) {
			s := &Registry{Limits: Limits{Rate: 1 << 20}}
			from := source{local: true}
			for i := range 2000 {
				if err := s.take(hello(b, fmt.Sprintf("k%d.example", i%500), fmt.Sprintf(":%d", 1+i)), from, time.Now()); err != nil {
					b.Fatal(err)
				}
			}
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				bad := hello(b, "k7.example", "nowhere")
				for flooded {
					select {
					case <-stop:
						return
					default:
						s.receive(bad, from)
					}
				}
			}()
			b.ReportAllocs()
			for b.Loop() {
				if s.Pool("k7.example:8080") == nil {
					b.Fatal("no pool")
				}
			}
			close(stop)
			<-done
		})
	}
}

func BenchmarkAnnounce(b *testing.B) {
	s := &Registry{Limits: Limits{Rate: 1 << 30}}
	from := source{local: true}
	var all [][]byte
	for i := range 2000 {
		all = append(all, hello(b, fmt.Sprintf("k%d.example", i%500), fmt.Sprintf(":%d", 1+i)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.receive(all[i%len(all)], from)
	}
}

// Replace keeps the servers, and gives their pools the new options.
func TestReplaceKeepsMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sv := serveInBubble(&Registry{})
		ps := &backend.Pools{Subscribed: sv.Pool, Announced: sv.Pools}
		addr := listen(t)
		sv.send(here, hello(t, "a.example", addr))
		before := ps.For("a.example", "")
		dial(t, before).Close()
		ps.Replace(&backend.Pools{})
		sv.Replace(func(key string) *backend.Pool {
			return &backend.Pool{Name: "new " + key, Packets: backend.Packets{MaxVars: 7}}
		})
		sv.send(here, hello(t, "b.example", "127.0.0.1:3032"))
		wantAddrs(t, sv.Registry, "a.example", addr)
		for _, host := range []string{"a.example", "b.example"} {
			if p := ps.For(host, ""); p == nil || p.MaxVars != 7 || !strings.HasPrefix(p.Name, "new ") {
				t.Errorf("%s: pool %+v, want one with the new options", host, p)
			}
		}
		if p := ps.For("a.example", ""); p == before || p.Stats()[0].Requests != 1 {
			t.Error("the pool lost its state")
		}
		sv.send(here, bye(t, "a.example", addr))
		if len(ps.All()) != 1 {
			t.Errorf("%d pools after one has left, want 1", len(ps.All()))
		}
		if err := sv.stop(); err != nil {
			t.Error(err)
		}
	})
}
