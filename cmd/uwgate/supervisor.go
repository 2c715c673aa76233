package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.uber.org/zap"

	"uwgate/gateway"
)

// A supervisor is systemd, if it has started uwgate with Type=notify or notify-reload, or
// else nobody.
type supervisor struct{ log *zap.Logger }

// tell sends lines of sd_notify(3).
func (s supervisor) tell(state ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(state, "\n")); err != nil {
		s.log.Warn("systemd cannot be told the state of uwgate", zap.Error(err))
	}
}

// reloading says that a reload has begun, and the function that it returns that it is over.
func (s supervisor) reloading() (done func()) {
	s.tell(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
	return func() { s.tell(daemon.SdNotifyReady) }
}

// statusInterval is how often systemd is told the state.
const statusInterval = 10 * time.Second

// watch tells systemd that g serves, then its state, and that it lives (WATCHDOG), until ctx
// is done. A gateway that hangs in one of its locks does not tell that.
func (s supervisor) watch(ctx context.Context, g *gateway.Gateway) {
	every := statusInterval
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		s.log.Warn("systemd's watchdog cannot be served", zap.Error(err))
	}
	if watchdog > 0 {
		every = min(every, watchdog/2)
	}
	s.tell(daemon.SdNotifyReady, statusOf(g))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.tell(daemon.SdNotifyWatchdog, statusOf(g))
		}
	}
}

// statusOf is what `systemctl status` shows.
func statusOf(g *gateway.Gateway) string {
	up, all := backendsUp(g)
	return fmt.Sprintf("STATUS=%d requests in flight, %d of %d backends up", g.Stats().Requests.InFlight, up, all)
}
