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
)

// sockets are what the gateway listens on.
type sockets struct {
	nginx     []net.Listener
	tls       *tlsConfig // of those for TLS
	subscribe []net.PacketConn
	admin     net.Listener   // nil: none
	stats     net.Listener   // nil: none
	hits      net.PacketConn // nil: none
}

func openSockets(ctx context.Context, p *settings.Parts) (s sockets, err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.tls = &tlsConfig{}
	s.tls.set(p.TLS)
	for _, addr := range p.Listen.Addresses {
		ln, err := listen(ctx, addr, p.Listen.SocketMode)
		if err != nil {
			return s, err
		}
		if addr.Secure {
			ln = tlsListener{ln.(*net.TCPListener), s.tls}
		}
		s.nginx = append(s.nginx, ln)
	}
	for _, addr := range p.Subscribe.Addresses {
		pc, err := listenPacket(ctx, "subscribe at", addr, p.Listen.SocketMode)
		if err != nil {
			return s, err
		}
		s.subscribe = append(s.subscribe, pc)
	}
	if a := p.Control.Hits; !a.IsZero() {
		if s.hits, err = listenPacket(ctx, "receive hits at", a, p.Listen.SocketMode); err != nil {
			return s, err
		}
	}
	if a := p.Control.Admin; !a.IsZero() {
		s.admin, err = listen(ctx, a, 0o660)
	}
	if a := p.Control.Stats; !a.IsZero() && err == nil {
		s.stats, err = listen(ctx, a, 0o660)
	}
	return s, err
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
}

// listen opens the socket at addr. A UNIX socket gets mode, and replaces one that a program
// left behind when it was killed.
func listen(ctx context.Context, addr settings.Address, mode os.FileMode) (net.Listener, error) {
	network, address := addr.Network, addr.Addr
	onDisk := network == "unix" && !addr.IsAbstract()
	if onDisk {
		if err := removeStale(network, address); err != nil {
			return nil, err
		}
	}
	// Nothing else detects that a client's machine is gone: nginx may be slow for good reasons.
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}}
	ln, err := lc.Listen(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w%s", addr, reason(err), listenAdvice(err))
	}
	if onDisk {
		if err := os.Chmod(address, mode); err != nil {
			ln.Close()
			return nil, fmt.Errorf("listen on %s: %w", addr, err)
		}
	}
	return ln, nil
}

// listenPacket opens a socket for datagrams at addr. Errors begin with act.
func listenPacket(ctx context.Context, act string, addr settings.Address, mode os.FileMode) (net.PacketConn, error) {
	network, address := "udp", addr.Addr
	if addr.Network == "unix" {
		network = "unixgram"
	}
	onDisk := network == "unixgram" && !addr.IsAbstract()
	if onDisk {
		if err := removeStale(network, address); err != nil {
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

// removeStale removes a socket that no program listens on.
func removeStale(network, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("listen on unix:%s: a file of that name is no socket; remove it or choose another path", path)
	}
	nc, err := net.Dial(network, path)
	if err == nil {
		nc.Close()
		return fmt.Errorf("listen on unix:%s: a running program listens there; stop it or choose another path", path)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
	}
	return nil
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
		return "; another program listens there: stop it or choose another address with --listen"
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
