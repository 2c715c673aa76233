package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// Run accepts the connections of ln until ctx is done. Then it removes the path of ln if ln
// is a *PathListener that owns one, takes what waits in the backlog, closes ln and returns
// nil. While the system has no resources for another
// connection, it logs that and tries again. Any other error ends it.
func (a Acceptor) Run(ctx context.Context, ln net.Listener) error {
	unlink := func() {}
	if p, ok := ln.(*PathListener); ok {
		unlink = p.Unlink
	}
	ln, err := Listen(ln)
	if err != nil {
		return fmt.Errorf("socket: accept: %w", err)
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { unlink(); closeSoon(ln) })()
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

// closeSoon ends the Accept of ln as soon as the clients that have found it have been
// accepted: the kernel would reset those.
func closeSoon(ln net.Listener) {
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
