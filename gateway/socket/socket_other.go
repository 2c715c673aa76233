//go:build !linux

package socket

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Listen returns ln.
func Listen(ln net.Listener) (net.Listener, error) { return ln, nil }

// MaxFiles returns 0: the limit is not known.
func MaxFiles() int { return 0 }

// DialUnix connects to a UNIX socket by its path.
func DialUnix(name string) (net.Conn, error) { return net.Dial("unix", name) }

// DialTCP connects within d, or until ctx is done.
func DialTCP(ctx context.Context, to netip.AddrPort, d time.Duration) (net.Conn, error) {
	return (&net.Dialer{Timeout: d, KeepAlive: -1}).DialContext(ctx, "tcp", to.String())
}

// A Watcher can do nothing here.
type Watcher struct{}

// NewWatcher returns one.
func NewWatcher() (*Watcher, error) { return &Watcher{}, nil }

// Close does nothing.
func (*Watcher) Close() error { return nil }

// Watch returns false.
func (*Watcher) Watch(*Conn, bool, func()) (stop func(), ok bool) { return nil, false }

// A Conn is never made.
type Conn struct{ net.Conn }
