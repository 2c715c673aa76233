package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"go.uber.org/zap"
)

// backlogGrace is how long a listener that is about to close still accepts
// connections that clients have already made.
const backlogGrace = 50 * time.Millisecond

// An Acceptor accepts connections of listeners.
type Acceptor struct {
	Log   *zap.Logger
	Wait  func(context.Context) // is called before each connection is accepted; nil: nothing to wait for
	Serve func(net.Conn)        // is called with each connection
}

// Run accepts the connections of ln until ctx is done. Then it takes what waits in the
// backlog, closes ln and returns nil. While the system has no resources for another
// connection, it logs that and tries again. Any other error ends it.
func (a Acceptor) Run(ctx context.Context, ln net.Listener) error {
	ln, err := Listen(ln)
	if err != nil {
		return fmt.Errorf("socket: accept: %w", err)
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { closeSoon(ln) })()
	var pause time.Duration
	for {
		if a.Wait != nil {
			a.Wait(ctx)
		}
		nc, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			a.Serve(nc)
		case ctx.Err() != nil:
			return nil
		case isTemporary(err):
			// Out of file descriptors, most likely: what is open will close.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			a.Log.Error("cannot accept connections", zap.Error(err), zap.Duration("retry_in", pause))
			sleep(ctx, pause)
		default:
			return fmt.Errorf("socket: accept on %s: %w", ln.Addr(), err)
		}
	}
}

// closeSoon lets no new client find ln, and ends its Accept as soon as the ones that did
// have been accepted: the kernel would reset those.
func closeSoon(ln net.Listener) {
	if ul, ok := ln.(*net.UnixListener); ok {
		// Close must not unlink: by then the path may be a successor's.
		ul.SetUnlinkOnClose(false)
	}
	if ln.Addr().Network() == "unix" {
		if path := ln.Addr().String(); path != "" && path[0] == '/' {
			os.Remove(path)
		}
	}
	if d, ok := ln.(interface{ SetDeadline(time.Time) error }); ok {
		d.SetDeadline(time.Now().Add(backlogGrace))
		return
	}
	ln.Close()
}

// isTemporary reports whether Accept may succeed later.
func isTemporary(err error) bool {
	var ne net.Error
	//lint:ignore SA1019 net/http.Server decides by the same method.
	return errors.As(err, &ne) && ne.Temporary()
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
