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

// A Conn is never made.
type Conn struct{ net.Conn }

// Watch returns false.
func (*Conn) Watch(bool, func()) (stop func(), ok bool) { return nil, false }
