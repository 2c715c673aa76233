package cachewriter

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"
)

// A recordedList is a list of servers in upstream_hash.json.
type recordedList struct {
	Name    string
	Servers []struct {
		Server    string
		Weight    int
		Down      bool
		Addresses []string
	}
}

func (l recordedList) servers() []Server {
	var servers []Server
	for _, s := range l.Servers {
		servers = append(servers, Server{Name: s.Server, Addrs: s.Addresses, Weight: s.Weight, Down: s.Down})
	}
	return servers
}

func (l recordedList) addrs(line string) []string {
	for _, s := range l.Servers {
		if s.Server == line {
			return s.Addresses
		}
	}
	return nil
}

func newRing(t testing.TB, m Method, servers ...Server) *Ring {
	t.Helper()
	r, err := NewRing(m, servers...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPickAsNginx(t *testing.T) {
	var recorded struct {
		Lists []struct {
			recordedList
			Cases []struct {
				HashInput     latin1 `json:"hash_input"`
				Modulo        string
				ModuloAddress string `json:"modulo_address"`
				Consistent    string
			}
		}
	}
	readVectors(t, "testdata/upstream_hash.json", &recorded)
	if len(recorded.Lists) != 10 {
		t.Fatalf("%d lists, want 10", len(recorded.Lists))
	}
	for _, l := range recorded.Lists {
		t.Run(l.Name, func(t *testing.T) {
			modulo := newRing(t, Modulo, l.servers()...)
			consistent := newRing(t, Consistent, l.servers()...)
			for _, c := range l.Cases {
				want := l.addrs(c.Modulo)
				if c.ModuloAddress != "" {
					want = []string{c.ModuloAddress}
				}
				if got := modulo.Pick(string(c.HashInput)); !slices.Equal(got, want) {
					t.Errorf("modulo %q: got %q, nginx asked %q", c.HashInput, got, want)
				}
				want = l.addrs(c.Consistent)
				if got := consistent.Pick(string(c.HashInput)); !slices.Equal(got, want) {
					t.Errorf("consistent %q: got %q, nginx asked one of %q", c.HashInput, got, want)
				}
			}
		})
	}
}

func TestOrderAsNginx(t *testing.T) {
	const tries = 3 // the recording stops there
	var recorded struct {
		Failover []struct {
			recordedList
			Cases []struct {
				HashInput          latin1 `json:"hash_input"`
				Modulo, Consistent []string
			}
		}
	}
	readVectors(t, "testdata/upstream_hash.json", &recorded)
	if len(recorded.Failover) != 3 {
		t.Fatalf("%d failover lists, want 3", len(recorded.Failover))
	}
	for _, l := range recorded.Failover {
		t.Run(l.Name, func(t *testing.T) {
			modulo := newRing(t, Modulo, l.servers()...)
			consistent := newRing(t, Consistent, l.servers()...)
			for _, c := range l.Cases {
				if got := flat(modulo.order(string(c.HashInput), tries)); !slices.Equal(got, c.Modulo) {
					t.Errorf("modulo %q: got %q, nginx tried %q", c.HashInput, got, c.Modulo)
				}
				if got := flat(consistent.order(string(c.HashInput), tries)); !slices.Equal(got, c.Consistent) {
					t.Errorf("consistent %q: got %q, nginx tried %q", c.HashInput, got, c.Consistent)
				}
			}
		})
	}
}

func flat(order [][]string) []string { return slices.Concat(order...) }

func TestPickWithoutHash(t *testing.T) {
	a, b, down := Server{Name: "10.0.0.1:1"}, Server{Name: "10.0.0.2:1"}, Server{Name: "10.0.0.3:1", Down: true}
	tests := []struct {
		name    string
		method  Method
		servers []Server
		key     string
		want    []string
	}{
		{"all", All, []Server{a, down, b}, "k", []string{"10.0.0.1:1", "10.0.0.2:1"}},
		{"all, one of them twice", All, []Server{a, a, b}, "k", []string{"10.0.0.1:1", "10.0.0.2:1"}},
		{"empty key, modulo", Modulo, []Server{a, down, b}, "", []string{"10.0.0.1:1", "10.0.0.2:1"}},
		{"empty key, consistent", Consistent, []Server{a, b}, "", []string{"10.0.0.1:1", "10.0.0.2:1"}},
		{"one server", Modulo, []Server{a}, "k", []string{"10.0.0.1:1"}},
		{"one server, several addresses", All, []Server{{Name: "p", Addrs: []string{"10.0.0.1:1", "[::1]:1"}}}, "k", []string{"10.0.0.1:1", "[::1]:1"}},
		{"one server, down", Consistent, []Server{down}, "k", nil},
		{"all down", Modulo, []Server{down, down}, "k", nil},
		{"default port", Consistent, []Server{{Name: "Cache1"}}, "k", []string{"cache1:11211"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := newRing(t, tt.method, tt.servers...).Pick(tt.key); !slices.Equal(got, tt.want) {
				t.Errorf("Pick(%q) = %q, want %q", tt.key, got, tt.want)
			}
		})
	}
}

// After 20 skips nginx chooses by round robin.
func TestPickGivesUp(t *testing.T) {
	servers := []Server{{Name: "10.0.0.1:1"}, {Name: "10.0.0.2:1", Weight: 60000, Down: true}, {Name: "10.0.0.3:1"}}
	r := newRing(t, Modulo, servers...)
	if got, want := r.Pick("k"), []string{"10.0.0.1:1", "10.0.0.3:1"}; !slices.Equal(got, want) {
		t.Errorf("Pick = %q, want all that are up, %q", got, want)
	}
	if got := r.order("k", 3); len(got) != 0 {
		t.Errorf("Order = %q, want none", got)
	}
}

func TestOrderWithoutHash(t *testing.T) {
	one := newRing(t, All, Server{Name: "10.0.0.1:1"})
	if got, want := one.order("k", 3), [][]string{{"10.0.0.1:1"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("one server: %q, want %q", got, want)
	}
	two := newRing(t, All, Server{Name: "10.0.0.1:1"}, Server{Name: "10.0.0.2:1"})
	if got := two.order("k", 3); got != nil {
		t.Errorf("round robin: %q, want none", got)
	}
	if got := newRing(t, Modulo, Server{Name: "a", Down: true}, Server{Name: "b", Down: true}).order("k", 3); got != nil {
		t.Errorf("all down: %q, want none", got)
	}
}

func TestRingHas(t *testing.T) {
	r := newRing(t, Modulo, Server{Name: "[FE80::1]:11211"}, Server{Name: "unix:/run/a.sock"}, Server{Name: "10.0.0.1", Down: true})
	tests := []struct {
		addr string
		want bool
	}{
		{"[fe80::1]:11211", true},
		{"[FE80:0::1]:11211", true},
		{"unix:/run/a.sock", true},
		{"UNIX:/run/a.sock", true},
		{"unix:/run/A.sock", false},
		{"10.0.0.1:11211", true},
		{"10.0.0.1:80", false},
		{"10.0.0.2:11211", false},
		{"mem", false},
		{"", false},
	}
	for _, tt := range tests {
		if got := r.Has(tt.addr); got != tt.want {
			t.Errorf("Has(%q) = %v, want %v", tt.addr, got, tt.want)
		}
	}
	if got, want := r.addrs, []string{"[fe80::1]:11211", "unix:/run/a.sock", "10.0.0.1:11211"}; !slices.Equal(got, want) {
		t.Errorf("Addrs = %q, want %q", got, want)
	}
}

func TestNewRingRefuses(t *testing.T) {
	tests := []struct {
		name    string
		method  Method
		servers []Server
		says    string
	}{
		{"no server", Modulo, nil, "no server"},
		{"unknown method", Method(3), []Server{{Name: "a"}}, "Method(3)"},
		{"weight below 0", Modulo, []Server{{Name: "a", Weight: -1}}, "weight"},
		{"weight beyond bounds", Modulo, []Server{{Name: "a", Weight: 1 << 30}}, "weight"},
		{"weights beyond bounds", Consistent, []Server{{Name: "a", Weight: 40000}, {Name: "b", Weight: 40000}}, "add up"},
		{"no name", Consistent, []Server{{Addrs: []string{"10.0.0.1:1"}}}, "name"},
		{"bad name", Modulo, []Server{{Name: "a:b"}}, "port"},
		{"bad address", Modulo, []Server{{Name: "a", Addrs: []string{"10.0.0.1:x"}}}, "port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewRing(tt.method, tt.servers...); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("err = %v, want one about %q", err, tt.says)
			}
		})
	}
}

func TestMethod(t *testing.T) {
	for _, m := range []Method{All, Modulo, Consistent} {
		if got, err := ParseMethod(m.String()); err != nil || got != m {
			t.Errorf("ParseMethod(%q) = %v, %v", m.String(), got, err)
		}
	}
	if _, err := ParseMethod("ketama"); err == nil || !strings.Contains(err.Error(), "consistent") {
		t.Errorf("ParseMethod(ketama): %v, want an error that names the methods", err)
	}
}

// A slowPeer is an address for the two functions below, which make nginx's choice as
// simply as possible, with hash/crc32 and without tables.
type slowPeer struct {
	line, addr string
	weight     int
	down       bool
}

// slowModulo returns the first n attempts, as indexes of peers, or fewer if it gives up.
func slowModulo(peers []slowPeer, key string, n int) (order []int) {
	var acc uint32
	total, skips := 0, 0
	for _, p := range peers {
		total += p.weight
	}
	tried := make(map[int]bool)
	for r := 0; len(order) < n; r++ {
		input := key
		if r > 0 {
			input = fmt.Sprint(r) + key
		}
		acc += crc32.ChecksumIEEE([]byte(input)) >> 16 & 0x7fff
		at, i := int(acc%uint32(total)), 0
		for at >= peers[i].weight {
			at -= peers[i].weight
			i++
		}
		if !peers[i].down && !tried[i] {
			tried[i] = true
			order = append(order, i)
			continue
		}
		if skips++; skips > 20 {
			break
		}
	}
	return order
}

// slowConsistent returns the lines of the first n attempts, or fewer if it gives up.
func slowConsistent(peers []slowPeer, key string, n int) (order []string) {
	type pt struct {
		hash uint32
		line string
	}
	var points []pt
	for _, p := range peers {
		host, port := p.line, ""
		if strings.HasPrefix(strings.ToLower(p.line), "unix:") {
			host = p.line[5:]
		} else if i := strings.LastIndexByte(p.line, ':'); i >= 0 && strings.Trim(p.line[i+1:], "0123456789") == "" {
			host, port = p.line[:i], p.line[i+1:]
		}
		base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
		prev := make([]byte, 4)
		for range 160 * p.weight {
			hash := crc32.Update(base, crc32.IEEETable, prev)
			binary.LittleEndian.PutUint32(prev, hash)
			points = append(points, pt{hash, p.line})
		}
	}
	sort.SliceStable(points, func(i, j int) bool { return points[i].hash < points[j].hash })
	unique := points[:1]
	for _, p := range points[1:] {
		if p.hash != unique[len(unique)-1].hash {
			unique = append(unique, p)
		}
	}
	start := sort.Search(len(unique), func(i int) bool { return unique[i].hash >= crc32.ChecksumIEEE([]byte(key)) })
	tried := make(map[string]bool)
	for skips := 0; skips <= 20 && len(order) < n; {
		line := unique[start%len(unique)].line
		up := slices.ContainsFunc(peers, func(p slowPeer) bool { return p.line == line && !p.down })
		if up && !tried[line] {
			tried[line] = true
			order = append(order, line)
			continue
		}
		start++
		skips++
	}
	return order
}

func FuzzRing(f *testing.F) {
	f.Add(":1:/", []byte{1, 2, 3})
	f.Add("k\xff", []byte{0x81, 5, 0x17, 9, 9})
	f.Add("key with  two spaces", []byte{0x11, 0x92})
	f.Fuzz(checkRing)
}

// If most of the weight is down, nginx often skips and sometimes gives up.
func TestRingMostlyDown(t *testing.T) {
	for i := range 10 {
		checkRing(t, fmt.Sprint("key", i), []byte{0x87, 0x8f, 0x00, 0x97, 0x9f, 0x84, 0x60})
	}
	peers := []slowPeer{{"a:1", "a:1", 40, true}, {"b:1", "b:1", 1, false}}
	r := newRing(t, Modulo, Server{Name: "a:1", Weight: 40, Down: true}, Server{Name: "b:1"})
	gaveUp := 0
	for i := range 400 {
		key := fmt.Sprint("key", i)
		want := []string{"b:1"}
		if len(slowModulo(peers, key, 1)) == 0 {
			gaveUp++
			want = nil
		}
		if got := flat(r.order(key, 1)); !slices.Equal(got, want) {
			t.Errorf("modulo %q: %q, want %q", key, got, want)
		}
	}
	if gaveUp == 0 || gaveUp == 400 {
		t.Errorf("gave up on %d of 400 keys", gaveUp)
	}
}

// checkRing compares the ring with the slow one. Of each byte of shape: bits 0-2 the
// weight, 3-4 the spelling, 5-6 both set a second address, 7 down.
func checkRing(t *testing.T, key string, shape []byte) {
	if key == "" || len(shape) < 2 || len(shape) > 12 {
		return
	}
	var servers []Server
	var peers []slowPeer
	for i, b := range shape {
		s := Server{Weight: int(b&7) + 1, Down: b&0x80 != 0}
		switch b >> 3 & 3 {
		case 0:
			s.Name = fmt.Sprintf("10.0.0.%d:11211", i)
		case 1:
			s.Name = fmt.Sprintf("Cache%d", i)
		case 2:
			s.Name = fmt.Sprintf("unix:/run/%d:1", i)
		case 3:
			s.Name = fmt.Sprintf("[::%d]:80", i+1)
		}
		for j := range int(b>>5&3)/3 + 1 {
			addr := fmt.Sprintf("10.%d.0.%d:1", j+1, i)
			s.Addrs = append(s.Addrs, addr)
			peers = append(peers, slowPeer{s.Name, addr, s.Weight, s.Down})
		}
		servers = append(servers, s)
	}
	const n = 4
	var want []string
	for _, i := range slowModulo(peers, key, n) {
		want = append(want, peers[i].addr)
	}
	if got := flat(newRing(t, Modulo, servers...).order(key, n)); !slices.Equal(got, want) {
		t.Errorf("modulo %q over %+v: %q, want %q", key, servers, got, want)
	}
	want = nil
	for _, line := range slowConsistent(peers, key, n) {
		for _, p := range peers {
			if p.line == line {
				want = append(want, p.addr)
			}
		}
	}
	if got := flat(newRing(t, Consistent, servers...).order(key, n)); !slices.Equal(got, want) {
		t.Errorf("consistent %q over %+v: %q, want %q", key, servers, got, want)
	}
}

func tenServers() (servers []Server) {
	for i := range 10 {
		servers = append(servers, Server{Name: fmt.Sprintf("10.0.0.%d:11211", i), Weight: i%3 + 1, Down: i == 4})
	}
	return servers
}

const typicalKey = ":1:CUSTOMKEY:/articles/2024/05/some-longer-title-of-a-page/?page=2"

func TestPickDoesNotAllocate(t *testing.T) {
	for _, m := range []Method{All, Modulo, Consistent} {
		r := newRing(t, m, tenServers()...)
		if n := testing.AllocsPerRun(100, func() { r.Pick(typicalKey) }); n != 0 {
			t.Errorf("%v: %v allocations", m, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, m := range []Method{Modulo, Consistent} {
		r := newRing(b, m, tenServers()...)
		b.Run(m.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Pick(typicalKey)
			}
		})
	}
}
