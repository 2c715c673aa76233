package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/backend"
)

// listenUWSGI opens a socket for requests, which come over TLS if addr is
// suwsgi:host:port.
func listenUWSGI(ctx context.Context, addr string, cfg *settings.Config) (net.Listener, error) {
	rest, secure := settings.CutTLS(addr)
	ln, err := listen(ctx, rest, cfg.SocketMode)
	if err != nil || !secure {
		return ln, err
	}
	return tlsListener{ln.(*net.TCPListener), cfg.TLS}, nil
}

// listen opens the socket at addr. A UNIX socket gets mode, and takes the
// place of one that a program left behind when it was killed.
func listen(ctx context.Context, addr string, mode os.FileMode) (net.Listener, error) {
	network, address, err := backend.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	onDisk := network == "unix" && !strings.HasPrefix(address, "@")
	if onDisk {
		if err := removeStale(network, address); err != nil {
			return nil, err
		}
	}
	// Nothing else tells that a client's machine has vanished: nginx may take its time.
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

// listenPacket opens the socket for announcements at addr, as listen does for
// requests.
func listenPacket(ctx context.Context, addr string, mode os.FileMode) (net.PacketConn, error) {
	network, address, err := backend.ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	if network == "tcp" {
		network = "udp"
	} else {
		network = "unixgram"
	}
	onDisk := network == "unixgram" && !strings.HasPrefix(address, "@")
	if onDisk {
		if err := removeStale(network, address); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("subscribe at %s: %w%s", addr, reason(err), listenAdvice(err))
	}
	if onDisk {
		if err := os.Chmod(address, mode); err != nil {
			pc.Close()
			return nil, fmt.Errorf("subscribe at %s: %w", addr, err)
		}
	}
	return pc, nil
}

// removeStale removes a socket that nobody listens on.
func removeStale(network, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("listen on unix:%s: there is a file of that name that is no socket; remove it or choose another path", path)
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

// reason is err without what the caller says better.
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

// A tlsListener has its connections speak TLS. They begin with that when they are
// first used, not in Accept.
type tlsListener struct {
	*net.TCPListener
	settings *settings.TLSSettings
}

func (l tlsListener) Accept() (net.Conn, error) {
	nc, err := l.TCPListener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(nc, l.settings.Load()), nil
}
