package takeover

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"uwgate/gateway/socket"
)

// Inherited are the sockets that another process has passed. Nil has none. It is not safe
// for concurrent use.
type Inherited struct {
	// From says who passed them, for people. PID is the number of that process, 0 if it is
	// systemd.
	From string
	PID  int

	sockets []passed
	owner   net.Conn // to the process that had them; nil: systemd
}

// A passed socket is a file until somebody takes it.
type passed struct {
	name
	file *os.File
}

// A name is that of a socket.
type name struct {
	Network string `json:"network"` // tcp, udp, unix or unixgram
	Addr    string `json:"addr"`    // for package net
	Owned   bool   `json:"owned"`   // the process that listens removes the path at its end
}

// FromSystemd returns the sockets that systemd has passed to this process, nil if it has
// passed none. Sockets in units of systemd stay its own: nobody removes their paths.
func FromSystemd() (*Inherited, error) {
	files := activation.Files(true)
	if len(files) == 0 {
		return nil, nil
	}
	h := &Inherited{From: "systemd"}
	for _, f := range files {
		n, err := nameOf(f)
		if err != nil {
			h.Close()
			return nil, fmt.Errorf("takeover: the socket %s that systemd has passed: %w", f.Name(), err)
		}
		h.sockets = append(h.sockets, passed{n, f})
	}
	return h, nil
}

// nameOf asks the system for the name of a socket.
func nameOf(f *os.File) (n name, err error) {
	if ln, err := net.FileListener(f); err == nil {
		defer ln.Close()
		if ul, ok := ln.(*net.UnixListener); ok {
			ul.SetUnlinkOnClose(false)
		}
		return name{Network: ln.Addr().Network(), Addr: ln.Addr().String()}, nil
	}
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return n, errors.New("it is no listening socket")
	}
	defer pc.Close()
	return name{Network: pc.LocalAddr().Network(), Addr: pc.LocalAddr().String()}, nil
}

// Listener takes the socket of that address, as in net.Listen. It returns nil if there is
// none.
func (h *Inherited) Listener(network, addr string) (net.Listener, error) {
	p, ok := h.take(network, addr)
	if !ok {
		return nil, nil
	}
	defer p.file.Close()
	ln, err := net.FileListener(p.file)
	if err != nil {
		return nil, fmt.Errorf("takeover: socket %s of %s: %w", addr, h.From, err)
	}
	ul, ok := ln.(*net.UnixListener)
	if !ok {
		return ln, nil
	}
	pl := socket.AdoptPath(ul, addr)
	if p.Owned {
		err = pl.Own()
	}
	if err != nil {
		pl.Close()
		return nil, err
	}
	return pl, nil
}

// PacketConn is Listener for datagrams.
func (h *Inherited) PacketConn(network, addr string) (net.PacketConn, error) {
	p, ok := h.take(network, addr)
	if !ok {
		return nil, nil
	}
	defer p.file.Close()
	pc, err := net.FilePacketConn(p.file)
	if err != nil {
		return nil, fmt.Errorf("takeover: socket %s of %s: %w", addr, h.From, err)
	}
	return pc, nil
}

func (h *Inherited) take(network, addr string) (p passed, ok bool) {
	if h == nil {
		return p, false
	}
	i := slices.IndexFunc(h.sockets, func(p passed) bool { return p.is(network, addr) })
	if i < 0 {
		return p, false
	}
	p = h.sockets[i]
	h.sockets = slices.Delete(h.sockets, i, i+1)
	return p, true
}

// is reports whether the socket has that address, however its host is written.
func (n name) is(network, addr string) bool {
	if n.Network != network {
		return false
	}
	if n.Addr == addr || strings.HasPrefix(network, "unix") {
		return n.Addr == addr
	}
	a, aport, err := net.SplitHostPort(n.Addr)
	b, bport, err2 := net.SplitHostPort(addr)
	return err == nil && err2 == nil && aport == bport && sameHost(a, b)
}

func sameHost(a, b string) bool {
	return a == b || isAny(a) && isAny(b) || a == "localhost" && isLoopback(b) || b == "localhost" && isLoopback(a)
}

func isAny(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Left are the addresses of the sockets that nobody has taken.
func (h *Inherited) Left() (addrs []string) {
	if h == nil {
		return nil
	}
	for _, p := range h.sockets {
		addrs = append(addrs, p.Network+" "+p.Addr)
	}
	return addrs
}

// Serving tells the process that had the sockets that this one serves. From then on this
// one owns their paths, and that one drains.
func (h *Inherited) Serving() error {
	if h == nil || h.owner == nil {
		return nil
	}
	if _, err := h.owner.Write([]byte(serving)); err != nil {
		return fmt.Errorf("takeover: tell %s to drain: %w", h.From, err)
	}
	return nil
}

// Close closes the sockets that nobody has taken.
func (h *Inherited) Close() {
	if h == nil {
		return
	}
	for _, p := range h.sockets {
		p.file.Close()
	}
	h.sockets = nil
	if h.owner != nil {
		h.owner.Close()
	}
}
