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
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway"
	"uwgate/gateway/admin"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/gateway/subscription"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run the gateway",
		UsageText: "uwgate serve --listen unix:/run/uwgate.sock --backend unix:/run/app.sock --memcached 127.0.0.1:11211\n" +
			"uwgate serve --config /etc/uwgate.yaml",
		Flags:        settings.ServeFlags(),
		OnUsageError: usageError,
		Action:       serve,
	}
}

// serve runs the gateway until the context is done, then drains. Nothing
// listens before everything that can be wrong has been looked at.
func serve(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("serve takes flags only, not %q; `uwgate serve --help` lists them", c.Args().First())
	}
	s, err := readSettings(c)
	if err != nil {
		return err
	}
	logs, err := openLogs(s.Logs, s.LogLevel, c.App.Writer, os.Stderr)
	if err != nil {
		return err
	}
	defer logs.close()
	s.warn(logs.log)
	g := assemble(s.c, s.Config, logs)
	if err := trySpool(g, logs.log); err != nil {
		return err
	}
	sockets, err := openSockets(c.Context, s.Config)
	if err != nil {
		return err
	}
	defer allowGarbage()()
	defer watchHosts(c.Context, g.Backends)()
	defer onSignal(syscall.SIGUSR1, logs.reopenOrTell)()
	defer onSignal(syscall.SIGHUP, (&reloader{c, s, g, s.TLS, logs.log}).reload)()
	a := &admin.Admin{Gateway: g, Token: c.String("admin-token"), Version: buildVersion(), Log: logs.log}
	return run(c.Context, a, s.Subscriptions, sockets, logs.log)
}

// trySpool finds out whether large request bodies have a place. One that was named
// must be good; without the system's own only they are refused.
func trySpool(g *gateway.Gateway, log *zap.Logger) error {
	err := g.TrySpool()
	if err != nil && g.Uploads.Dir != "" {
		return fmt.Errorf("--spool-dir: %w; name a folder that uwgate may write to", err)
	}
	if err != nil {
		log.Warn("request bodies over 64 KiB will be answered 500, for there is no place for them; name a folder with --spool-dir, or use --stream-uploads", zap.Error(err))
	}
	return nil
}

// assemble wires the packages together.
func assemble(c *cli.Context, cfg *settings.Config, logs *logbook) *gateway.Gateway {
	logPools(cfg.Pools, logs.log)
	if s := cfg.Subscriptions; s != nil {
		s.Log = logs.log
		s.Restore()
	}
	return &gateway.Gateway{
		Backends:      cfg.Pools,
		Subscriptions: cfg.Subscriptions,
		Policy:        cfg.Policy,
		Firewall:      &policy.Firewall{TrustForwardedProto: c.Bool("trust-forwarded-proto")},
		Store: &cachewriter.Writer{
			Ring:        cfg.Ring,
			Log:         logs.log,
			DialTimeout: c.Duration("memcached-connect-timeout"),
			Timeout:     c.Duration("memcached-timeout"),
			Queue:       cachewriter.QueueLimits{Bytes: bytesOf(c, "queue-bytes"), Entries: c.Int("queue-entries")},
			Pending:     cachewriter.PendingLimits{MaxAge: 2 * cfg.Policy.MaxTTL}, // a copy may outlive its page by as much
			Copies:      true,
		},
		Log:          logs.log,
		AccessLog:    logs.access,
		HideQuery:    cfg.HideQuery,
		AlignHeaders: c.Bool("align-headers"),
		AskToClose:   c.Bool("ask-to-close"),
		Timeouts: gateway.Timeouts{
			FirstByte: c.Duration("first-byte-timeout"),
			Idle:      c.Duration("idle-timeout"),
			Send:      c.Duration("send-timeout"),
			Total:     c.Duration("total-timeout"),
			Drain:     c.Duration("drain-timeout"),
		},
		Uploads: gateway.Uploads{
			Stream:  c.Bool("stream-uploads"),
			Dir:     c.String("spool-dir"),
			Memory:  cmp.Or(bytesOf(c, "spool-memory"), -1),
			Disk:    cmp.Or(bytesOf(c, "spool-disk"), -1),
			MaxBody: bytesOf(c, "max-request-body"),
		},
		Coalescing: gateway.Coalescing{
			Wait:      cmp.Or(c.Duration("coalesce-wait"), -1),
			Followers: c.Int("coalesce-followers"),
			Fleet:     c.Bool("fleet"),
		},
		Refreshing: gateway.Refreshing{
			Ahead:       c.Bool("refresh-ahead"),
			Concurrency: c.Int("refresh-concurrency"),
		},
		Peers: gateway.Peers{
			Networks:    cfg.Peers,
			Users:       cfg.Users,
			Connections: c.Int("max-connections"),
			HalfClose:   c.Bool("half-close"),
		},
	}
}

// bytesOf is the value of an amount.
func bytesOf(c *cli.Context, name string) int64 { return int64(*c.Generic(name).(*settings.Size)) }

// logPools has the pools log, and those that a map file makes later.
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

// sockets are what the gateway listens on.
type sockets struct {
	nginx     []net.Listener
	subscribe []net.PacketConn
	admin     net.Listener // nil: none
	stats     net.Listener // nil: none
}

func openSockets(ctx context.Context, cfg *settings.Config) (s sockets, err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, addr := range cfg.Listen {
		ln, err := listenUWSGI(ctx, addr, cfg)
		if err != nil {
			return s, err
		}
		s.nginx = append(s.nginx, ln)
	}
	for _, addr := range cfg.Subscribe {
		pc, err := listenPacket(ctx, addr, cfg.SocketMode)
		if err != nil {
			return s, err
		}
		s.subscribe = append(s.subscribe, pc)
	}
	if cfg.Admin != "" {
		s.admin, err = listen(ctx, cfg.Admin, 0o660)
	}
	if cfg.Stats != "" && err == nil {
		s.stats, err = listen(ctx, cfg.Stats, 0o660)
	}
	return s, err
}

func (s sockets) close() {
	for _, ln := range s.nginx {
		ln.Close()
	}
	for _, pc := range s.subscribe {
		pc.Close()
	}
	for _, ln := range []net.Listener{s.admin, s.stats} {
		if ln != nil {
			ln.Close()
		}
	}
}

// run serves until ctx is done and the last request has ended, then writes
// what is queued for memcached. The sockets for admin and statistics answer to the
// end.
func run(ctx context.Context, a *admin.Admin, subs *subscription.Registry, s sockets, log *zap.Logger) error {
	g := a.Gateway
	srv := &http.Server{Handler: a.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: zap.NewStdLog(log)}
	adminDone := make(chan error, 1)
	if s.admin != nil {
		go func() { adminDone <- srv.Serve(s.admin) }()
	}
	defer serveStats(ctx, a, s.stats, log)()
	group, serving := errgroup.WithContext(ctx)
	for _, ln := range s.nginx {
		log.Info("listening", zap.Stringer("address", ln.Addr()))
		group.Go(func() error { return g.Serve(serving, ln) })
	}
	group.Go(func() error {
		g.Refresh(serving)
		return nil
	})
	for _, pc := range s.subscribe {
		log.Info("subscriptions taken", zap.Stringer("address", pc.LocalAddr()))
		group.Go(func() error { return subs.Serve(serving, pc) })
	}
	err := group.Wait()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, g.Store.Close(flush))
	if s.admin != nil {
		srv.Shutdown(flush)
		<-adminDone
	}
	log.Info("stopped")
	return err
}

// serveStats tells statistics, if somewhere, until the function that it returns is
// called.
func serveStats(ctx context.Context, a *admin.Admin, ln net.Listener, log *zap.Logger) (stop func()) {
	if ln == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.ServeStats(ctx, ln); err != nil {
			log.Error("statistics are not told any more; start again to have them", zap.Error(err))
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// watchHosts keeps the pools up with a map file, and closes them with the function
// that it returns.
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

// onSignal has f run each time that the signal comes. The function that it returns
// ends it.
func onSignal(sig os.Signal, f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, sig)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
