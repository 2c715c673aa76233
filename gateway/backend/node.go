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

// A NodeSpec describes a server, or several under one name. Only Addr must be set.
type NodeSpec struct {
	// Addr is an address of [ParseAddr], or suwsgi:host:port for uwsgi over TLS, or
	// srv:NAME for the servers of a DNS service such as _uwsgi._tcp.example.com. A
	// host name stands for all of its addresses, except localhost, which is one
	// server.
	Addr string

	Weight   int // share of the requests; 0: 1
	MaxConns int // requests at a time; 0: Cores, if known
	Cores    int // requests that its workers can serve at a time; 0: not known
	Load     int // requests that wait in its backlog, as it announced

	Modifier1, Modifier2 *uint8 // nil: the pool's

	Backup   bool // gets requests only when all others are ejected
	Down     bool // gets none
	Unproven bool // gets one request at a time until it has responded to one

	// TLS is how the certificate of a suwsgi address is verified. Nil means with the
	// certificate authorities of the machine, for the host of Addr.
	TLS *tls.Config

	host string // the name that was looked up to get Addr; "": Addr is as configured
}

// A Node is one server of a [Pool]. Its methods are safe for concurrent use.
type Node struct {
	name          string // as configured, without parameters; with the address if that was looked up
	network, addr string
	tls           atomic.Pointer[tls.Config] // nil: no TLS
	pool          *pool
	nodeCounts

	// pool.mu guards what follows.
	spec     NodeSpec
	place    int  // in the configuration
	gone     bool // no longer a member
	unproven bool
	turn
	work
	health
}

// nodeCounts are since the start.
type nodeCounts struct {
	requests, dialErrors, busy atomic.Uint64
	received, sent             atomic.Uint64 // bytes
}

// A turn is when a node is chosen: see choose.go.
type turn struct {
	tier    int       // the tier that it belongs to; none: it gets no requests
	at      int       // its index in the heap of that tier; -1: it gets no request at the moment
	pass    pass      // its next place in the round
	slow    uint64    // its share is divided by this; 1 after slow start
	upSince time.Time // when slow start began; zero: it is over
}

// work is the requests that a node has: see queue.go.
type work struct {
	inFlight int         // requests that have a place, connected or not
	open     int         // those that are connected
	endedAt  time.Time   // when the last of those was closed
	isFull   bool        // its backlog is full
	room     int         // the requests that it may have while its backlog is full
	relief   *time.Timer // raises room; nil: its backlog was never full
}

// String returns the node's address as it was configured.
func (n *Node) String() string { return n.name }

// Count adds bytes that were received from the node and sent to it.
func (n *Node) Count(received, sent int64) {
	n.received.Add(uint64(received))
	n.sent.Add(uint64(sent))
}

// Modifiers returns the modifiers for the header of a request to the node: its own, or
// else those of the pool.
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

// weight is the node's share of the requests.
func (n *Node) weight() uint64 { return uint64(max(n.spec.Weight, 1)) }

// capacity is the node's share of the requests in flight.
func (n *Node) capacity() uint64 { return n.weight() * uint64(max(n.spec.Cores, 1)) }

// hasRoom reports whether the node may get another request. One that refused a connection
// is tried by one request at a time.
func (n *Node) hasRoom() bool {
	if n.backoff > 0 && n.inFlight > n.open {
		return false
	}
	limit := n.limit()
	return limit < 0 || n.inFlight < limit
}

// limit is the most requests that the node may have at a time; negative means no limit.
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

// stopTimers ends what is scheduled for the node. p.mu is held.
func (n *Node) stopTimers() {
	for _, t := range []*time.Timer{n.relief, n.watch} {
		if t != nil {
			t.Stop()
		}
	}
}

// newNode makes a node of a valid spec.
func (p *pool) newNode(s NodeSpec) *Node {
	n := &Node{pool: p, name: s.Addr, spec: s, unproven: s.Unproven, turn: turn{tier: none, at: -1, slow: 1}}
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

// clientTLS returns the TLS configuration of s, which verifies the host of Addr unless s
// says otherwise.
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

// validate returns an error that says how Addr is written, unless Addr is valid.
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

// parseNode reads a server as [Pool.Add] describes it.
func parseNode(s string) (NodeSpec, error) {
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

// setWord reads a parameter without a value.
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
		return 0, fmt.Errorf("%s %q is not a number from %d to %d", name, value, least, most)
	}
	return n, nil
}

func modifier(name, value string) (*uint8, error) {
	n, err := number(name, value, 0, 255)
	m := uint8(n)
	return &m, err
}
