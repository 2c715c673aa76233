package main

import (
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
	"uwgate/gateway"
	"uwgate/gateway/policy"
)

func serveCommand() *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run the gateway",
		UsageText: "uwgate serve --listen unix:/run/uwgate.sock --backend unix:/run/app.sock --memcached 127.0.0.1:11211\n" +
			"uwgate serve --config /etc/uwgate.yaml",
		Flags:        serveFlags(),
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
	logs, err := openLogs(s.logs, s.logLevel, c.App.Writer, os.Stderr)
	if err != nil {
		return err
	}
	defer logs.close()
	s.warn(logs.log)
	g := assemble(s.c, s.config, logs)
	sockets, err := openSockets(c.Context, s.config)
	if err != nil {
		return err
	}
	defer onSignal(syscall.SIGUSR1, logs.reopenOrTell)()
	defer onSignal(syscall.SIGHUP, (&reloader{c, s, g, logs.log}).reload)()
	return run(c.Context, g, sockets, logs.log)
}

// assemble wires the packages together.
func assemble(c *cli.Context, cfg *config, logs *logbook) *gateway.Gateway {
	cfg.pool.DialTimeout = c.Duration("connect-timeout")
	cfg.pool.Log = logs.log
	return &gateway.Gateway{
		Backends: cfg.pool,
		Policy:   cfg.policy,
		Firewall: &policy.Firewall{TrustForwardedProto: c.Bool("trust-forwarded-proto")},
		Store: &cachewriter.Writer{
			Ring:         cfg.ring,
			Log:          logs.log,
			DialTimeout:  c.Duration("memcached-connect-timeout"),
			Timeout:      c.Duration("memcached-timeout"),
			QueueBytes:   int64(*c.Generic("queue-bytes").(*size)),
			QueueEntries: c.Int("queue-entries"),
			OweFor:       cfg.policy.MaxTTL,
		},
		Log:              logs.log,
		AccessLog:        logs.access,
		HideQuery:        cfg.hideQuery,
		AdminToken:       c.String("admin-token"),
		AlignHeaders:     c.Bool("align-headers"),
		Peers:            cfg.peers,
		FirstByteTimeout: c.Duration("first-byte-timeout"),
		IdleTimeout:      c.Duration("idle-timeout"),
		DrainTimeout:     c.Duration("drain-timeout"),
	}
}

// sockets are what the gateway listens on.
type sockets struct {
	nginx []net.Listener
	admin net.Listener // nil: none
}

func openSockets(ctx context.Context, cfg *config) (s sockets, err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, addr := range cfg.listen {
		ln, err := listen(ctx, addr, cfg.socketMode)
		if err != nil {
			return s, err
		}
		s.nginx = append(s.nginx, ln)
	}
	if cfg.admin != "" {
		s.admin, err = listen(ctx, cfg.admin, 0o660)
	}
	return s, err
}

func (s sockets) close() {
	for _, ln := range s.nginx {
		ln.Close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
}

// run serves until ctx is done and the last request has ended, then writes
// what is queued for memcached. The admin socket answers to the end.
func run(ctx context.Context, g *gateway.Gateway, s sockets, log *zap.Logger) error {
	admin := &http.Server{Handler: g.Admin(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: zap.NewStdLog(log)}
	adminDone := make(chan error, 1)
	if s.admin != nil {
		go func() { adminDone <- admin.Serve(s.admin) }()
	}
	group, serving := errgroup.WithContext(ctx)
	for _, ln := range s.nginx {
		log.Info("listening", zap.Stringer("address", ln.Addr()))
		group.Go(func() error { return g.Serve(serving, ln) })
	}
	err := group.Wait()
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = errors.Join(err, g.Store.Close(flush))
	if s.admin != nil {
		admin.Shutdown(flush)
		<-adminDone
	}
	log.Info("stopped")
	return err
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
