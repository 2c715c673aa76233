package gateway

import (
	"context"
	"fmt"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/gateway/refresh"
	"uwgate/gateway/socket"
	"uwgate/gateway/subscription"
	"uwgate/uwsgi"
)

// A Gateway takes requests from nginx, and gets their responses from uWSGI servers. Its
// fields are set before the first Serve and not changed afterwards; its methods are safe for
// concurrent use.
//
// Serve waits for the goroutines that it starts: one for each connection, and one for all
// that watches whether clients leave. The goroutine of a connection waits for those that its
// request needs: see presence, upload and exchange.
type Gateway struct {
	// Backends are the servers that respond. It must be set. Serve does not close it.
	Backends *backend.Pools

	// Subscriptions are counted in the metrics. It may be nil.
	Subscriptions *subscription.Registry

	// Policy decides what is stored, and under which key. It must be set. It is in force
	// until Reload replaces it.
	Policy *policy.Policy

	// Firewall decides which vars reach a worker. Nil means the zero Firewall, which is
	// the strictest.
	Firewall *policy.Firewall

	// Store receives the pages. If it is nil nothing is stored.
	Store *cachewriter.Writer

	// Log gets what an operator should know or repair. Nil is silent.
	Log *zap.Logger

	// AccessLog gets one line a request. Nil is silent. It must not sample.
	AccessLog *zap.Logger

	// HideQuery keeps query strings out of the access log.
	HideQuery bool

	// AlignHeaders makes the response that fills the store look like the hits that follow
	// it; see policy.Align. It means nothing in policy.FormatHTTP, whose hits have the
	// head of the response itself.
	AlignHeaders bool

	// AskToClose asks backends to close the connection after the response. uWSGI does so
	// in any case, gunicorn does not.
	AskToClose bool

	// Limits bound the requests that are read. The zero value is good. Nil Modifiers mean
	// uwsgi.PageModifiers here: the workers get those of their pool.
	Limits uwsgi.Limits

	// CaptureMemory bounds the bytes of all pages that are being copied while they are
	// relayed, until they are handed to the store. A page beyond it is relayed and not
	// stored. One page of the largest size always fits. Zero means 64 MiB, a negative value
	// means no bound.
	CaptureMemory int64

	Timeouts   Timeouts
	Uploads    Uploads
	Coalescing Coalescing
	Refreshing Refreshing
	Peers      Peers

	// Purges carries out PURGE requests, and purges of the admin API. Only Access, Usual,
	// Rate and SoftLimit are to be set.
	Purges purge.Purger

	stats     stats
	traffic   traffic
	hints     hints
	flights   flights
	contested contested
	partial   partialKeys
	withdrawn withdrawals
	canaries  canaries

	refreshes   refresh.Schedule // see schedule
	refreshOnce sync.Once
	purgeOnce   sync.Once // see purger
	samples     samples

	connections connections  // of clients
	delay       socket.Delay // of what is done only for requests that last

	spoolMemory, spoolDisk budget // of request bodies
	captures               budget // of pages that are being copied

	reloads  sync.RWMutex                  // held for reading while a page is handed to the store
	reloaded atomic.Pointer[policy.Policy] // in the place of Policy; nil: Policy is in force
}

// Serve serves the connections of ln until ctx is done. Then it takes those that wait in
// the backlog, closes ln, and returns nil when the requests in flight have ended, or an error
// if Timeouts.Drain ended them. It may be called for several listeners at once. If a listener
// fails, it returns that error after the requests in flight have ended.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	defer g.flights.forgetLanded()
	var open requestContexts // requests outlive ctx: that is what draining means
	c := newConnWorkers(ctx.Done(), func(nc net.Conn) { g.serveConn(&open, nc) })
	err := g.accept(ctx, ln, c.take)
	if drained := g.drain(&c.all, open.cutAll); err == nil {
		err = drained
	}
	return err
}

// accept accepts the connections of ln, and counts it and them.
func (g *Gateway) accept(ctx context.Context, ln net.Listener, serve func(net.Conn)) error {
	g.stats.places.add(ln.Addr())
	g.stats.listeners.Add(1)
	stop := context.AfterFunc(ctx, func() { g.stats.listeners.Add(-1) })
	defer func() {
		if stop() {
			g.stats.listeners.Add(-1)
		}
	}()
	a := socket.Acceptor{Log: g.log(), Wait: g.awaitRoom, Serve: func(nc net.Conn) {
		g.connections.open.Add(1)
		serve(nc)
	}}
	return a.Run(ctx, ln)
}

// isUnix reports whether an address is that of a UNIX socket.
func isUnix(addr net.Addr) bool { return addr.Network() == "unix" }

// Reload replaces the policy and the memcached servers. Requests in flight go on with the
// old policy, but their pages are not stored: they were judged by what is no longer true,
// and nginx may take them for something else. Requests that come after Reload see only the
// new settings. p.Keys.Servers should be ring's Has. A nil ring leaves the servers as they are.
func (g *Gateway) Reload(p *policy.Policy, ring *cachewriter.Ring) {
	g.reloads.Lock()
	defer g.reloads.Unlock()
	g.reloaded.Store(p)
	if g.Store != nil && ring != nil {
		g.Store.SetRing(ring)
	}
	g.partial.forget()
}

// policy is the one in force.
func (g *Gateway) policy() *policy.Policy {
	if p := g.reloaded.Load(); p != nil {
		return p
	}
	return g.Policy
}

// drain waits for the connections, and breaks them off after Timeouts.Drain.
func (g *Gateway) drain(conns *sync.WaitGroup, abandon func()) error {
	done := make(chan struct{})
	go closeAfter(conns, done) // drain waits for done
	var timeout <-chan time.Time
	if g.Timeouts.Drain >= 0 {
		t := time.NewTimer(g.Timeouts.drain())
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-done:
		return nil
	case <-timeout:
	}
	n := g.stats.inFlight.Load()
	abandon()
	<-done
	return fmt.Errorf("gateway: drain: %d requests were still in flight after %v and have been broken off; allow more with --drain-timeout",
		n, g.Timeouts.drain())
}

func closeAfter(conns *sync.WaitGroup, done chan<- struct{}) {
	conns.Wait()
	close(done)
}

func (g *Gateway) serveConn(open *requestContexts, nc net.Conn) {
	defer g.connections.leave()
	defer nc.Close()
	if !g.admit(nc) {
		return
	}
	t := open.add(nc)
	defer open.remove(t)
	g.stats.inFlight.Add(1)
	defer g.stats.inFlight.Add(-1)
	defer g.contain()
	if !g.handshake(t.ctx, nc) {
		return
	}
	newExchange(g, t).serve(nc)
}

// contain keeps a programmer's mistake in one request from ending the process.
func (g *Gateway) contain() {
	if r := recover(); r != nil {
		g.stats.panics.Add(1)
		g.log().Error("panic in a request; please report it", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
	}
}

func (g *Gateway) firewall() *policy.Firewall {
	if g.Firewall == nil {
		return &policy.Firewall{}
	}
	return g.Firewall
}

// firewallOf is the firewall with the pool's exceptions.
func (g *Gateway) firewallOf(pool *backend.Pool) *policy.Firewall {
	if len(pool.AllowVars) == 0 {
		return g.firewall()
	}
	f := *g.firewall()
	f.AllowVars = slices.Concat(f.AllowVars, pool.AllowVars)
	return &f
}

// poolFor returns the servers for a request, nil if there are none.
func (g *Gateway) poolFor(v uwsgi.Vars) *backend.Pool {
	return g.Backends.For(poolHost(v), v.Get("UWSGI_FASTROUTER_KEY"))
}

// poolHost is the host by which keys and rules go, so that no spelling of a host leads to
// another host's servers. It has the port that the client named, for pools that have one.
func poolHost(v uwsgi.Vars) string {
	host, sent := policy.HostOf(v), v.Get("HTTP_HOST")
	i := strings.LastIndexByte(sent, ':')
	switch {
	case i < 0, i == len(sent)-1, strings.Trim(sent[i+1:], "0123456789") != "", strings.HasSuffix(sent, "]"):
		return host
	case sent[:i] == host:
		return sent
	}
	return host + sent[i:]
}

// setVars gives a request the vars that its pool prescribes.
func setVars(v uwsgi.Vars, pool *backend.Pool) uwsgi.Vars {
	for _, x := range pool.SetVars {
		v = v.Set(x)
	}
	return v
}

func (g *Gateway) log() *zap.Logger { return orNop(g.Log) }

func orNop(l *zap.Logger) *zap.Logger {
	if l == nil {
		return zap.NewNop()
	}
	return l
}

// limits are those of the requests that are read.
func (g *Gateway) limits() uwsgi.Limits {
	l := g.Limits
	if l.Modifiers == nil {
		l.Modifiers = pageModifiers
	}
	return l
}

var pageModifiers = uwsgi.PageModifiers()
