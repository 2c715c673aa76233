package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"uwgate/cmd/uwgate/settings"
	"uwgate/cmd/uwgate/takeover"
	"uwgate/gateway/socket"
)

// sockets are what the gateway listens on.
type sockets struct {
	nginx     []net.Listener
	tls       *tlsConfig // of those for TLS
	subscribe []net.PacketConn
	admin     net.Listener   // nil: none
	stats     net.Listener   // nil: none
	hits      net.PacketConn // nil: none

	offer       *takeover.Offer // to a successor
	predecessor predecessor
}

// openSockets opens the sockets of the settings, or takes them over from systemd or from
// the gateway that this one replaces.
func openSockets(ctx context.Context, p *settings.Parts, offer *takeover.Offer) (s sockets, err error) {
	s.offer = offer
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.predecessor.find(ctx, p); err != nil {
		return s, err
	}
	s.tls = &tlsConfig{}
	s.tls.set(p.TLS)
	for _, addr := range p.Listen.Addresses {
		ln, err := s.listen(ctx, addr, p.Listen.SocketMode)
		if err != nil {
			return s, p.RefuseOne("listen", addr.Text, err)
		}
		if addr.Secure {
			ln = tlsListener{ln.(*net.TCPListener), s.tls}
		}
		s.nginx = append(s.nginx, ln)
	}
	for _, addr := range p.Subscribe.Addresses {
		pc, err := s.listenPacket(ctx, "subscribe at", addr, p.Listen.SocketMode)
		if err != nil {
			return s, p.RefuseOne("subscribe", addr.Text, err)
		}
		s.subscribe = append(s.subscribe, pc)
	}
	if a := p.Control.Hits; !a.IsZero() {
		if s.hits, err = s.listenPacket(ctx, "receive hits at", a, p.Listen.SocketMode); err != nil {
			return s, p.RefuseOne("hits-listen", a.Text, err)
		}
	}
	if a := p.Control.Admin; !a.IsZero() {
		if s.admin, err = s.listen(ctx, a, 0o660); err != nil {
			return s, p.RefuseOne("admin", a.Text, err)
		}
	}
	if a := p.Control.Stats; !a.IsZero() {
		if s.stats, err = s.listen(ctx, a, 0o660); err != nil {
			return s, p.RefuseOne("stats", a.Text, err)
		}
	}
	return s, s.predecessor.checkLeft()
}

func (s sockets) close() {
	for _, ln := range s.nginx {
		ln.Close()
	}
	for _, pc := range append(s.subscribe, s.hits) {
		if pc != nil {
			pc.Close()
		}
	}
	for _, ln := range []net.Listener{s.admin, s.stats} {
		if ln != nil {
			ln.Close()
		}
	}
	s.offer.Close()
	s.predecessor.close()
}

// listen opens the socket at addr, and keeps it for a successor.
func (s *sockets) listen(ctx context.Context, addr settings.Address, mode os.FileMode) (net.Listener, error) {
	ln, err := s.predecessor.listener(addr)
	if err == nil && ln == nil {
		ln, err = s.predecessor.listen(ctx, addr, mode)
	}
	if err != nil {
		return nil, err
	}
	if err := s.offer.AddListener(ln); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// listenPacket opens the socket for datagrams at addr, and keeps it for a successor.
func (s *sockets) listenPacket(ctx context.Context, act string, addr settings.Address, mode os.FileMode) (net.PacketConn, error) {
	pc, err := s.predecessor.packetConn(addr)
	if err == nil && pc == nil {
		pc, err = listenPacket(ctx, act, addr, mode)
	}
	if err != nil {
		return nil, err
	}
	if err := s.offer.AddPacketConn(pc); err != nil {
		pc.Close()
		return nil, err
	}
	return pc, nil
}

// listen opens the socket at addr. A UNIX socket gets mode, and replaces one that a program
// left behind when it was killed, or that of the gateway that p is.
func (p *predecessor) listen(ctx context.Context, addr settings.Address, mode os.FileMode) (net.Listener, error) {
	if addr.Network == "unix" && !addr.IsAbstract() {
		return p.listenPath(ctx, addr, mode)
	}
	// Nothing else detects that a client's machine is gone: nginx may be slow for good reasons.
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}}
	ln, err := lc.Listen(ctx, addr.Network, addr.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w%s", addr, reason(err), p.advice(err))
	}
	return ln, nil
}

func (p *predecessor) listenPath(ctx context.Context, addr settings.Address, mode os.FileMode) (net.Listener, error) {
	replace, err := p.clear(addr.Addr)
	if err != nil {
		return nil, err
	}
	ln, err := socket.ListenPath(ctx, addr.Addr, mode, replace)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w%s", addr, reason(err), p.advice(err))
	}
	return ln, nil
}

// listenPacket opens a socket for datagrams at addr. Errors begin with act.
func listenPacket(ctx context.Context, act string, addr settings.Address, mode os.FileMode) (net.PacketConn, error) {
	network, address := packetNetwork(addr), addr.Addr
	onDisk := network == "unixgram" && !addr.IsAbstract()
	if onDisk {
		if _, err := (&predecessor{}).clearFor(network, address); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w%s", act, addr, reason(err), listenAdvice(err))
	}
	if onDisk {
		if err := os.Chmod(address, mode); err != nil {
			pc.Close()
			return nil, fmt.Errorf("%s %s: %w", act, addr, err)
		}
	}
	return pc, nil
}

func packetNetwork(addr settings.Address) string {
	if addr.Network == "unix" {
		return "unixgram"
	}
	return "udp"
}

// reason returns err without the address and operation, which the caller names itself.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

func listenAdvice(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return "; another program listens there: stop it or choose another address"
	case errors.Is(err, syscall.EACCES):
		return "; choose a port over 1023 or a folder that this user may write to"
	case errors.Is(err, syscall.ENOENT):
		return "; create the folder first"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "; this machine does not have that address"
	}
	return ""
}

// A tlsConfig is what new connections over TLS begin with.
type tlsConfig struct{ now atomic.Pointer[tls.Config] }

// set replaces the configuration, unless next is nil.
func (c *tlsConfig) set(next *settings.TLS) {
	if next != nil {
		c.now.Store(next.Config)
	}
}

// A tlsListener makes its connections speak TLS. The handshake is at their first use, not
// in Accept.
type tlsListener struct {
	*net.TCPListener
	config *tlsConfig
}

func (l tlsListener) Accept() (net.Conn, error) {
	nc, err := l.TCPListener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(nc, l.config.now.Load()), nil
}
