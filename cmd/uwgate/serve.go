package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
	"uwgate/cmd/uwgate/takeover"
	"uwgate/gateway"
	"uwgate/gateway/admin"
	"uwgate/gateway/backend"
	"uwgate/gateway/hits"
	"uwgate/gateway/policy"
	"uwgate/gateway/purge"
	"uwgate/gateway/subscription"
)

func serveCommand() *cli.Command {
	set := settings.ForServe()
	return &cli.Command{
		Name:  "serve",
		Usage: "run the gateway",
		UsageText: "uwgate serve --listen unix:/run/uwgate/uwgate.sock --backend unix:/run/app.sock --memcached 127.0.0.1:11211\n" +
			"uwgate serve --config /etc/uwgate/uwgate.yaml",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return serve(c, set) },
	}
}

// serve runs the gateway until the context is done, then drains. It checks everything
// before it listens.
func serve(c *cli.Context, set *settings.Set) error {
	if c.Args().Present() {
		return fmt.Errorf("serve takes flags only, not %q; `uwgate serve --help` lists them", c.Args().First())
	}
	hups, usr1s, terms := catch(syscall.SIGHUP), catch(syscall.SIGUSR1), catch(os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(terms)
	parts, err := set.ReadParts(c.Context)
	if err != nil {
		return err
	}
	logs, err := openLogs(parts.Log, c.App.Writer, os.Stderr)
	if err != nil {
		return parts.Refuse("log", err)
	}
	defer logs.close()
	warn(c.Context, parts, logs.log)
	g := assemble(parts, logs)
	if err := trySpool(parts, g, logs.log); err != nil {
		return err
	}
	checkBackends(c.Context, g)
	left, leave := context.WithCancel(c.Context)
	defer leave()
	sockets, err := openSockets(c.Context, parts, &takeover.Offer{Version: buildVersion(), Leave: leave, Log: logs.log})
	if err != nil {
		return err
	}
	memory := limitMemory()
	defer allowGarbage(memory)()
	defer watchHosts(c.Context, g.Backends)()
	defer onSignal(usr1s, logs.reopenOrReport)()
	s := supervisor{logs.log}
	r := &reloader{set: set, first: parts, now: parts, g: g, tls: sockets.tls, log: logs.log}
	a := &admin.Admin{Gateway: g, Token: parts.Control.Token, Version: buildVersion(), LostLines: logs.lost, Log: logs.log}
	if sockets.hits != nil {
		a.Hits = &hits.Receiver{IsStore: g.IsStore, Public: g.PublicURI, Peers: parts.Listen.Peers, Log: logs.log}
	}
	defer onSignal(hups, func() {
		defer s.reloading()()
		a.NoteReload(r.reload(left))
	})()
	logs.log.Info("serving", append(summary(parts, g), zap.Int64("memory_limit", memory))...)
	f := &farewell{gateway: g, log: logs.log, tell: s.tell, end: func() { logs.close(); os.Exit(exitFailed) }}
	defer onSignal(terms, f.onTerm)()
	return run(left, a, withPage(a, r.settings), parts.Subscriptions, sockets, f, s)
}

// trySpool finds out whether there is a place for large request bodies. A directory that
// is named must be usable; without the system's own uwgate only refuses such bodies.
func trySpool(p *settings.Parts, g *gateway.Gateway, log *zap.Logger) error {
	err := g.TrySpool()
	if err != nil && g.Uploads.Dir != "" {
		return p.Refuse("spool-dir", fmt.Errorf("%w; name a directory that uwgate may write to", err))
	}
	if err != nil {
		log.Warn("uwgate will answer 500 to requests with a body over 64 KiB: it cannot write temporary files; name a directory with --spool-dir, or use --stream-uploads", zap.Error(err))
	}
	return nil
}

// assemble wires the packages together.
func assemble(p *settings.Parts, logs *logbook) *gateway.Gateway {
	logPools(p.Pools, logs.log)
	if s := p.Subscriptions; s != nil {
		s.Log = logs.log
		s.Restore()
	}
	t := p.Traffic
	g := &gateway.Gateway{
		Backends:      p.Pools,
		Subscriptions: p.Subscriptions,
		Policy:        p.Policy,
		Firewall:      &policy.Firewall{TrustForwardedProto: p.Backends.TrustScheme},
		Store: &cachewriter.Writer{
			Ring:        p.Ring,
			Log:         logs.log,
			DialTimeout: p.Store.ConnectTimeout,
			Timeout:     p.Store.Timeout,
			Queue:       cachewriter.QueueLimits{Bytes: int64(p.Store.QueueBytes), Entries: p.Store.QueueEntries},
			Pending:     cachewriter.PendingLimits{MaxAge: 2 * p.Policy.Lifetimes.Max}, // a copy may outlive its page by as much
			Copies:      true,
		},
		Log:           logs.log,
		AccessLog:     logs.access,
		HideQuery:     p.Log.HideQuery,
		AlignHeaders:  p.Hits.AlignHeaders,
		AskToClose:    p.Backends.AskToClose,
		CaptureMemory: cmp.Or(int64(t.CaptureMemory), -1),
		Timeouts: gateway.Timeouts{
			FirstByte: t.FirstByteTimeout,
			Idle:      t.IdleTimeout,
			Send:      t.SendTimeout,
			Total:     t.TotalTimeout,
			Drain:     t.DrainTimeout,
		},
		Uploads: gateway.Uploads{
			Stream:  t.StreamUploads,
			Dir:     t.SpoolDir,
			Memory:  cmp.Or(int64(t.SpoolMemory), -1),
			Disk:    cmp.Or(int64(t.SpoolDisk), -1),
			MaxBody: int64(t.MaxRequestBody),
		},
		Coalescing: gateway.Coalescing{
			Wait:      cmp.Or(t.CoalesceWait, -1),
			Followers: t.CoalesceFollowers,
			Fleet:     t.Fleet,
		},
		Refreshing: gateway.Refreshing{
			Ahead:       p.Lifetimes.RefreshAhead,
			Concurrency: p.Lifetimes.RefreshConcurrency,
		},
		Purges: purge.Purger{
			Access: purge.Access{Networks: p.Purges.From, Token: p.Purges.Token},
			Usual:  purge.Reach(p.Purges.Default),
			Rate:   p.Purges.Rate,

			SoftLimit: p.Purges.SoftLimit,
		},
		Peers: gateway.Peers{
			Networks:    p.Listen.Peers,
			Users:       p.Users,
			Connections: p.Listen.MaxConnections,
			HalfClose:   p.Listen.HalfClose,
		},
	}
	g.Store.Subject = g.SubjectOf
	return g
}

// logPools sets the log of the pools, and of those that a map file makes later.
func logPools(pools *backend.Pools, log *zap.Logger) {
	pools.Log = log
	for _, p := range pools.All() {
		p.Log = log
	}
	makes := pools.Make
	pools.Make = func(servers ...string) (*backend.Pool, error) {
		p, err := makes(servers...)
		if err == nil {
			p.Log = log
		}
		return p, err
	}
}

// run serves until ctx is done and the last request has ended, then writes what is queued
// for memcached. Admin is served until then: a purge that it has begun needs the store.
// Statistics are served to the end. A successor gets both at once.
func run(ctx context.Context, a *admin.Admin, page http.Handler, subs *subscription.Registry, s sockets, f *farewell, sup supervisor) error {
	g, log := a.Gateway, f.log
	defer s.offer.Close()
	srv := &http.Server{Handler: s.offer.Handler(page), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: zap.NewStdLog(log)}
	adminDone := make(chan error, 1)
	if s.admin != nil {
		go func() { adminDone <- srv.Serve(s.admin) }()
	}
	stopStats := serveStats(ctx, a, s.stats, log)
	defer stopStats()
	defer context.AfterFunc(ctx, func() {
		if s.offer.IsTaken() { // else a request to us would look like one to the successor
			stopStats()
			if s.admin != nil {
				s.admin.Close()
			}
		}
		s.offer.Close()
	})()
	group, serving := errgroup.WithContext(ctx)
	for _, ln := range s.nginx {
		log.Info("listening", zap.Stringer("address", ln.Addr()))
		group.Go(func() error { return g.Serve(serving, ln) })
	}
	group.Go(func() error {
		g.Refresh(serving)
		return nil
	})
	if s.admin != nil {
		group.Go(func() error {
			a.Watch(serving)
			return nil
		})
	}
	group.Go(func() error {
		g.Store.Greet(serving)
		return nil
	})
	if s.hits != nil {
		log.Info("counting nginx's hits", zap.Stringer("address", s.hits.LocalAddr()))
		group.Go(func() error { return a.Hits.Serve(serving, s.hits) })
	}
	for _, pc := range s.subscribe {
		log.Info("accepting announcements of servers", zap.Stringer("address", pc.LocalAddr()))
		group.Go(func() error { return subs.Serve(serving, pc) })
	}
	if err := s.predecessor.serving(); err != nil {
		log.Error("the gateway that this one replaces may go on serving; end it", zap.Error(err))
	}
	group.Go(func() error {
		sup.watch(serving, g)
		return nil
	})
	var drain sync.WaitGroup
	drained := make(chan struct{})
	drain.Go(func() { f.drain(serving, drained) })
	err := group.Wait()
	close(drained)
	drain.Wait()
	if s.admin != nil {
		atMost(ctx, srv.Shutdown)
		<-adminDone
	}
	err = errors.Join(err, atMost(ctx, g.Store.Close))
	log.Info("stopped")
	return err
}

// atMost calls a function that ends something, and gives it five seconds. The end of ctx
// does not count.
func atMost(ctx context.Context, end func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return end(ctx)
}

// serveStats serves the statistics at ln, which may be nil, until the function that it
// returns is called.
func serveStats(ctx context.Context, a *admin.Admin, ln net.Listener, log *zap.Logger) (stop func()) {
	if ln == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.ServeStats(ctx, ln); err != nil {
			log.Error("--stats serves no statistics any more; restart uwgate", zap.Error(err))
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// watchHosts reads the map file of the pools when it changes, until the function that it
// returns is called; that closes the pools.
func watchHosts(ctx context.Context, pools *backend.Pools) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		pools.Watch(ctx)
	}()
	return func() {
		cancel()
		<-done
		pools.Close()
	}
}
