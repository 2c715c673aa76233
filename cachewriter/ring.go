package cachewriter

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"
)

// A Method is the way in which nginx distributes keys over the servers of an upstream
// block.
type Method int

const (
	// All is any method whose choice does not follow from the key: round robin,
	// least_conn, random, ip_hash. Every server gets every page.
	All Method = iota
	// Modulo is `hash E;`.
	Modulo
	// Consistent is `hash E consistent;`.
	Consistent
)

var methodNames = [...]string{All: "none", Modulo: "modulo", Consistent: "consistent"}

// ParseMethod parses "none", "modulo" or "consistent".
func ParseMethod(s string) (Method, error) {
	i := slices.Index(methodNames[:], s)
	if i < 0 {
		return All, fmt.Errorf("cachewriter: hash method %q: write none, modulo or consistent", s)
	}
	return Method(i), nil
}

func (m Method) String() string {
	if m < 0 || int(m) >= len(methodNames) {
		return "Method(" + strconv.Itoa(int(m)) + ")"
	}
	return methodNames[m]
}

// A Ring knows which server nginx asks for a key. It does not change and is safe for
// concurrent use.
type Ring struct {
	method Method
	addrs  []string            // distinct, in configuration order
	known  map[string]struct{} // of addrs
	live   []string            // those not marked down
	peers  int                 // addresses of all lines, with repeats

	// choices are what one step of the hash can choose: for Modulo one address, for
	// Consistent the addresses of one name. A choice that is marked down is empty.
	choices [][]string
	ends    []uint32 // Modulo: where each choice's share of the weights ends
	points  []point  // Consistent: ascending, each hash once
}

// A point of Consistent leads from a place on the circle to a choice.
type point struct {
	hash   uint32
	choice int
}

const (
	pointsPerWeight = 160     // ngx_http_upstream_init_chash
	maxSkips        = 20      // ngx_http_upstream_get_hash_peer, _get_chash_peer
	maxTotalWeight  = 1 << 16 // over all addresses; bounds the table of Consistent to 160 MB
)

// NewRing builds the ring from the server lines in nginx's order. It returns an error
// for an empty list, a server without a name or with an invalid address, a negative
// weight, weights that add up to more than 65536, and an unknown method. Like nginx
// it accepts lines with the same text.
func NewRing(m Method, servers ...Server) (*Ring, error) {
	if m < All || m > Consistent {
		return nil, fmt.Errorf("cachewriter: ring: unknown method %v", m)
	}
	if len(servers) == 0 {
		return nil, errors.New("cachewriter: ring: no server given")
	}
	r := &Ring{method: m, known: make(map[string]struct{})}
	var peers []peer
	total := 0
	for _, s := range servers {
		ps, err := expand(s)
		if err != nil {
			return nil, fmt.Errorf("cachewriter: ring: server %q: %w", s.Name, err)
		}
		if total += len(ps) * ps[0].weight; total > maxTotalWeight {
			return nil, fmt.Errorf("cachewriter: ring: server %q: the weights add up to more than %d", s.Name, maxTotalWeight)
		}
		peers = append(peers, ps...)
	}
	r.register(peers)
	switch m {
	case Modulo:
		r.initModulo(peers)
	case Consistent:
		r.initConsistent(peers)
	}
	return r, nil
}

// A peer is one address of a line: nginx's ngx_http_upstream_rr_peer_t.
type peer struct {
	name, addr string
	weight     int
	down       bool
}

func expand(s Server) ([]peer, error) {
	if s.Name == "" {
		return nil, errors.New("name missing")
	}
	if s.Weight < 0 || s.Weight > maxTotalWeight {
		return nil, fmt.Errorf("weight %d is not between 1 and %d", s.Weight, maxTotalWeight)
	}
	texts := s.Addrs
	if len(texts) == 0 {
		texts = []string{s.Name}
	}
	peers := make([]peer, len(texts))
	for i, text := range texts {
		addr, err := parseAddr(text)
		if err != nil {
			return nil, err
		}
		peers[i] = peer{s.Name, addr, max(s.Weight, 1), s.Down}
	}
	return peers, nil
}

func (r *Ring) register(peers []peer) {
	r.peers = len(peers)
	for _, p := range peers {
		if _, ok := r.known[p.addr]; !ok {
			r.known[p.addr] = struct{}{}
			r.addrs = append(r.addrs, p.addr)
		}
		if !p.down && !slices.Contains(r.live, p.addr) {
			r.live = append(r.live, p.addr)
		}
	}
}

func (r *Ring) initModulo(peers []peer) {
	end := uint32(0)
	for _, p := range peers {
		end += uint32(p.weight)
		r.ends = append(r.ends, end)
		r.choices = append(r.choices, usable(p))
	}
}

// usable is the choice of one address.
func usable(p peer) []string {
	if p.down {
		return nil
	}
	return []string{p.addr}
}

// initConsistent mirrors ngx_http_upstream_update_chash. Addresses of one name have
// the same points, and one of each stays after the sort. Of two names with the same
// point the earlier one keeps it.
func (r *Ring) initConsistent(peers []peer) {
	byName := make(map[string]int)
	for _, p := range peers {
		c, ok := byName[p.name]
		if !ok {
			c = len(r.choices)
			byName[p.name] = c
			r.choices = append(r.choices, nil)
		}
		r.layPoints(p, c)
		if !p.down && !slices.Contains(r.choices[c], p.addr) {
			r.choices[c] = append(r.choices[c], p.addr)
		}
	}
	slices.SortStableFunc(r.points, func(a, b point) int { return cmp.Compare(a.hash, b.hash) })
	r.points = slices.Clip(slices.CompactFunc(r.points, func(a, b point) bool { return a.hash == b.hash }))
}

func (r *Ring) layPoints(p peer, choice int) {
	host, port := hashedParts(p.name)
	base := crcString(0, host+"\x00"+port)
	prev := uint32(0)
	for range pointsPerWeight * p.weight {
		prev = crcUpdate(base, byte(prev), byte(prev>>8), byte(prev>>16), byte(prev>>24))
		r.points = append(r.points, point{prev, choice})
	}
}

// hashedParts splits the text of a server line as nginx does for hashing: it adds no
// default port, keeps brackets, and takes the whole path of a socket for the host.
func hashedParts(name string) (host, port string) {
	if len(name) >= len(unixPrefix) && strings.EqualFold(name[:len(unixPrefix)], unixPrefix) {
		return name[len(unixPrefix):], ""
	}
	digits := len(name)
	for digits > 0 && name[digits-1] >= '0' && name[digits-1] <= '9' {
		digits--
	}
	if digits > 0 && name[digits-1] == ':' {
		return name[:digits-1], name[digits:]
	}
	return name, ""
}

// Pick returns the addresses to which the page of a key is written. This is the one
// that nginx asks. There are several if nginx rotates among them, or if the key does
// not decide (All, an empty key, a hash that gave up on servers marked down), and
// none if every server is marked down. hashKey is the value of nginx's hash
// expression, unescaped. The slice belongs to the ring and must not be changed.
func (r *Ring) Pick(hashKey string) []string {
	if !r.decides(hashKey) {
		return r.live
	}
	w := r.walk(hashKey)
	c, ok := w.next(nil)
	if !ok {
		return r.live
	}
	return r.choices[c]
}

// order returns nginx's attempts for a key while one server after the other fails, n
// at most. An attempt is one address, or the addresses of one line, whose order is
// not known. It ends early where nginx continues by round robin, which does not
// follow from the key. It is empty if the key decides nothing.
func (r *Ring) order(hashKey string, n int) [][]string {
	if n <= 0 || len(r.live) == 0 {
		return nil
	}
	if r.peers == 1 {
		return [][]string{r.live}
	}
	if !r.decides(hashKey) {
		return nil
	}
	var order [][]string
	tried := make([]bool, len(r.choices))
	for w := r.walk(hashKey); len(order) < n; {
		c, ok := w.next(tried)
		if !ok {
			break
		}
		tried[c] = true
		order = append(order, r.choices[c])
	}
	return order
}

// decides reports whether nginx chooses by the key, and not by round robin from the
// start.
func (r *Ring) decides(hashKey string) bool {
	return r.method != All && r.peers > 1 && hashKey != "" && len(r.live) > 0
}

// Has reports whether addr, as nginx's $upstream_addr prints it, is an address of the
// ring, marked down or not.
func (r *Ring) Has(addr string) bool {
	_, ok := r.find(addr)
	return ok
}

// find returns the canonical form of an address of the ring.
func (r *Ring) find(addr string) (string, bool) {
	if _, ok := r.known[addr]; ok {
		return addr, true
	}
	canonical, err := parseAddr(addr)
	if err != nil {
		return "", false
	}
	_, ok := r.known[canonical]
	return canonical, ok
}

// A walk is the order in which nginx goes through the choices for one key.
type walk struct {
	r      *Ring
	key    string
	hash   uint32 // Modulo: the sum so far; Consistent: index of the next point
	rehash uint64 // Modulo: hashes taken
	skips  int
}

func (r *Ring) walk(key string) walk {
	w := walk{r: r, key: key}
	if r.method == Consistent {
		i, _ := slices.BinarySearchFunc(r.points, crcString(0, key), func(p point, h uint32) int { return cmp.Compare(p.hash, h) })
		w.hash = uint32(i)
	}
	return w
}

// next returns the next choice that is neither marked down nor tried. It is not ok
// when nginx gives up on the key.
func (w *walk) next(tried []bool) (choice int, ok bool) {
	if w.r.method == Modulo {
		return w.nextModulo(tried)
	}
	return w.nextConsistent(tried)
}

// nextModulo mirrors the loop of ngx_http_upstream_get_hash_peer.
func (w *walk) nextModulo(tried []bool) (int, bool) {
	total := w.r.ends[len(w.r.ends)-1]
	for w.skips <= maxSkips {
		w.hash += w.rehashed() >> 16 & 0x7fff
		w.rehash++
		c := w.r.share(w.hash % total)
		if w.r.open(c, tried) {
			return c, true
		}
		w.skips++
	}
	return 0, false
}

// rehashed is the hash of the key. From the second time on its ordinal is put in
// front of the key.
func (w *walk) rehashed() uint32 {
	if w.rehash == 0 {
		return crcString(0, w.key)
	}
	var buf [20]byte
	ordinal := strconv.AppendUint(buf[:0], w.rehash, 10)
	return crcString(crcUpdate(0, ordinal...), w.key)
}

// share returns the choice that has a place in the sum of the weights.
func (r *Ring) share(at uint32) int {
	for c, end := range r.ends {
		if at < end {
			return c
		}
	}
	return len(r.ends) - 1
}

// nextConsistent mirrors the loop of ngx_http_upstream_get_chash_peer.
func (w *walk) nextConsistent(tried []bool) (int, bool) {
	for w.skips <= maxSkips {
		c := w.r.points[w.hash%uint32(len(w.r.points))].choice
		if w.r.open(c, tried) {
			return c, true
		}
		w.hash++
		w.skips++
	}
	return 0, false
}

func (r *Ring) open(choice int, tried []bool) bool {
	return len(r.choices[choice]) > 0 && (tried == nil || !tried[choice])
}

// crcString is crc32.Update for a string. hash/crc32 would need a copy of the string
// on the heap, and keys are short.
func crcString(crc uint32, s string) uint32 {
	crc = ^crc
	for i := 0; i < len(s); i++ {
		crc = crc32.IEEETable[byte(crc)^s[i]] ^ crc>>8
	}
	return ^crc
}

func crcUpdate(crc uint32, p ...byte) uint32 {
	crc = ^crc
	for _, c := range p {
		crc = crc32.IEEETable[byte(crc)^c] ^ crc>>8
	}
	return ^crc
}
