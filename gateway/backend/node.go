package backend

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// A NodeSpec describes a server, or several under one name. Addr is the only
// field that must be set.
type NodeSpec struct {
	// Addr is an address of [ParseAddr], or suwsgi:host:port for uwsgi over
	// TLS, or srv:NAME for the servers of a DNS service such as
	// _uwsgi._tcp.example.com. A host name stands for all of its addresses;
	// localhost alone is left to the system.
	Addr string

	Weight   int // share of the requests; 0: 1
	MaxConns int // requests at a time; 0: Cores, if known
	Cores    int // requests that its workers can answer at a time; 0: not known
	Load     int // requests that wait in its backlog, as it says itself

	Modifier1, Modifier2 *uint8 // nil: the pool's

	Backup   bool // takes requests only when all others are ejected
	Down     bool // takes none
	Unproven bool // takes one request at a time until it has answered one

	// TLS is how a suwsgi address is verified. Nil means by the certificate
	// authorities of the machine, against the host of Addr.
	TLS *tls.Config

	host string // whose address Addr is; "": Addr is as configured
}

// A Node is one server of a [Pool].
type Node struct {
	name          string // as configured, without parameters; with the address if that was looked up
	network, addr string
	tls           atomic.Pointer[tls.Config] // nil: in the clear
	pool          *pool

	requests, dialErrors, busy atomic.Uint64
	received, sent             atomic.Uint64 // bytes

	// Guarded by Pool.mu.
	spec     NodeSpec
	place    int  // in the configuration
	gone     bool // no longer a member
	unproven bool

	// The choice: see choose.go.
	tier     int       // that it counts in; none: in none
	at       int       // in the heap of that tier; -1: it takes no request at the moment
	pass     pass      // its next place in the round
	slow     uint64    // what its share is divided by; 1: nothing
	upSince  time.Time // when slow start began; zero: it is over
	inFlight int       // requests that have a place, connected or not
	open     int       // those that are connected
	endedAt  time.Time // when the last of those was closed
	isFull   bool      // its backlog is
	room     int       // while it is: the requests that it may have
	relief   *time.Timer

	// Health: see health.go.
	health
}

// String returns the node's address as it was configured.
func (n *Node) String() string { return n.name }

// Count adds bytes that have come from the node, and that it was sent.
func (n *Node) Count(received, sent int64) {
	n.received.Add(uint64(received))
	n.sent.Add(uint64(sent))
}

// Modifiers returns what goes into the header of its requests.
func (n *Node) Modifiers() (modifier1, modifier2 uint8) {
	n.pool.mu.Lock()
	defer n.pool.mu.Unlock()
	return n.modifiers()
}

func (n *Node) modifiers() (modifier1, modifier2 uint8) {
	opts := n.pool.options()
	modifier1, modifier2 = opts.Modifier1, opts.Modifier2
	if m := n.spec.Modifier1; m != nil {
		modifier1 = *m
	}
	if m := n.spec.Modifier2; m != nil {
		modifier2 = *m
	}
	return modifier1, modifier2
}

// weight is its share of the requests.
func (n *Node) weight() uint64 { return uint64(max(n.spec.Weight, 1)) }

// capacity is its share of the requests in flight.
func (n *Node) capacity() uint64 { return n.weight() * uint64(max(n.spec.Cores, 1)) }

// hasRoom reports whether it may get another request.
func (n *Node) hasRoom() bool {
	limit := n.limit()
	return limit < 0 || n.inFlight < limit
}

// limit is the number of requests at a time; negative: none.
func (n *Node) limit() int {
	limit := -1
	switch {
	case n.unproven:
		limit = 1
	case n.spec.MaxConns > 0:
		limit = n.spec.MaxConns
	case n.spec.Cores > 0:
		limit = n.spec.Cores
	}
	if n.isFull && (limit < 0 || n.room < limit) {
		return n.room
	}
	return limit
}

func (n *Node) stopTimers() {
	for _, t := range []*time.Timer{n.relief, n.watch} {
		if t != nil {
			t.Stop()
		}
	}
}

// newNode makes a node of a spec that has been validated.
func (p *pool) newNode(s NodeSpec) *Node {
	n := &Node{pool: p, name: s.Addr, spec: s, tier: none, at: -1, unproven: s.Unproven, slow: 1}
	addr, secure := strings.CutPrefix(s.Addr, "suwsgi:")
	n.network, n.addr, _ = ParseAddr(addr)
	if s.host != "" {
		n.name = s.host + " " + s.Addr
	}
	if secure {
		n.tls.Store(clientTLS(s))
	}
	return n
}

// clientTLS is the spec's TLS, or the strictest.
func clientTLS(s NodeSpec) *tls.Config {
	c := &tls.Config{}
	if s.TLS != nil {
		c = s.TLS.Clone()
	}
	if c.ServerName == "" {
		name := s.Addr
		if s.host != "" {
			name = s.host
		}
		c.ServerName, _, _ = net.SplitHostPort(strings.TrimPrefix(name, "suwsgi:"))
	}
	return c
}

// validate tells what is wrong with a spec from outside.
func (s *NodeSpec) validate() error {
	if name, ok := strings.CutPrefix(s.Addr, "srv:"); ok {
		if name == "" || strings.ContainsAny(name, ":/ ") {
			return fmt.Errorf("backend: address %q: write srv:NAME, as in srv:_uwsgi._tcp.example.com", s.Addr)
		}
		return nil
	}
	addr, secure := strings.CutPrefix(s.Addr, "suwsgi:")
	network, _, err := ParseAddr(addr)
	switch {
	case err != nil && secure:
		return fmt.Errorf("backend: address %q: write suwsgi:host:port", s.Addr)
	case err != nil:
		return err
	case secure && network != "tcp":
		return fmt.Errorf("backend: address %q: TLS goes over TCP: write suwsgi:host:port", s.Addr)
	}
	return nil
}

// ParseNode reads a server as the configuration writes it:
//
//	ADDRESS [weight=N] [max-conns=N] [cores=N] [modifier1=N] [modifier2=N]
//	        [backup] [down] [ca=FILE] [server-name=NAME] [insecure]
//
// The last three are for a suwsgi address: the certificate authorities and the
// name that its certificate is verified with, or that it is not verified at all.
// The file is read here.
func ParseNode(s string) (NodeSpec, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return NodeSpec{}, errors.New("backend: empty address; write host:port, unix:/path or @name")
	}
	spec := NodeSpec{Addr: words[0]}
	if err := spec.validate(); err != nil {
		return spec, err
	}
	for _, word := range words[1:] {
		if err := spec.set(word); err != nil {
			return spec, fmt.Errorf("backend: %s: %w", spec.Addr, err)
		}
	}
	return spec, nil
}

// set reads one parameter.
func (s *NodeSpec) set(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "weight":
		s.Weight, err = number(name, value, 1, 65535)
	case "max-conns":
		s.MaxConns, err = number(name, value, 1, 65535)
	case "cores":
		s.Cores, err = number(name, value, 1, 65535)
	case "modifier1":
		s.Modifier1, err = modifier(name, value)
	case "modifier2":
		s.Modifier2, err = modifier(name, value)
	case "ca", "server-name", "insecure":
		return s.setTLS(name, value)
	default:
		return s.setWord(word)
	}
	return err
}

func (s *NodeSpec) setWord(word string) error {
	switch word {
	case "backup":
		s.Backup = true
	case "down":
		s.Down = true
	default:
		return fmt.Errorf("unknown parameter %q; known are weight=N, max-conns=N, cores=N, modifier1=N, modifier2=N, backup, down, and for suwsgi: ca=FILE, server-name=NAME, insecure", word)
	}
	return nil
}

func number(name, value string, least, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s %q is no number from %d to %d", name, value, least, most)
	}
	return n, nil
}

func modifier(name, value string) (*uint8, error) {
	n, err := number(name, value, 0, 255)
	m := uint8(n)
	return &m, err
}
