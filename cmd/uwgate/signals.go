package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.uber.org/zap"

	"uwgate/gateway"
)

// keepAlive makes signals that serve handles later harmless to a process that begins, which
// they would end: a script may send HUP to a process that it has just started. SIGPIPE is
// that of a log whose reader has gone. Other commands end by these signals, as usual.
func keepAlive(args []string) {
	if len(args) < 2 || args[1] != "serve" {
		return
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGUSR1)
	signal.Ignore(syscall.SIGPIPE)
}

// catch begins to keep a signal until onSignal handles it.
func catch(sigs ...os.Signal) chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, sigs...)
	return c
}

// onSignal calls f for each signal of c, until the function that it returns is called.
func onSignal(c chan os.Signal, f func()) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range c {
			f()
		}
	}()
	return func() {
		signal.Stop(c)
		close(c)
		<-done
	}
}

// progress is how often a drain says how far it is.
const progress = 5 * time.Second

// A farewell says what becomes of the requests in flight when the gateway is to end.
type farewell struct {
	gateway *gateway.Gateway
	log     *zap.Logger
	tell    func(state ...string) // systemd
	end     func()                // ends the process

	signals int
}

// onTerm handles TERM and INT. The first begins the drain, by the context of the command;
// the second ends the process.
func (f *farewell) onTerm() {
	if f.signals++; f.signals == 1 {
		return // see drain
	}
	f.log.Error("stopped at once by a second signal; the requests in flight have been broken off", f.inFlight())
	f.end()
}

// drain says that the drain has begun, when ctx is done, and how far it is until over is
// closed.
func (f *farewell) drain(ctx context.Context, over <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-over:
		return
	}
	f.log.Info("stopping: uwgate accepts no more requests, and completes those in flight; a second signal ends it at once", f.inFlight(), f.limit())
	f.tell("STOPPING=1", "STATUS=completing the requests in flight")
	tick := time.NewTicker(progress)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			f.log.Info("still completing requests", f.inFlight(), f.limit())
		}
	}
}

func (f *farewell) inFlight() zap.Field {
	return zap.Int64("requests_in_flight", f.gateway.Stats().Requests.InFlight)
}

// limit is how long the drain takes at most; negative: no bound.
func (f *farewell) limit() zap.Field { return zap.Duration("drain_timeout", f.gateway.Timeouts.Drain) }
