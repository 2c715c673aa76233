package main

import (
	"cmp"
	"context"
	"sync/atomic"

	"go.uber.org/zap"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway"
	"uwgate/gateway/backend"
)

// A reloader puts new settings in force, if all of them are in order.
type reloader struct {
	set   *settings.Set
	first *settings.Parts // at the start: what needs a restart is compared with them
	now   *settings.Parts // in force
	g     *gateway.Gateway
	tls   *tlsConfig // of the listeners
	log   *zap.Logger

	inForce atomic.Pointer[settings.Settings] // those of now, for other goroutines; nil: those of first
}

// settings returns those in force. It is safe for concurrent use.
func (r *reloader) settings() *settings.Settings { return cmp.Or(r.inForce.Load(), r.first.Settings) }

// reload reads the settings as serve did at its start. The error is why they are not in force.
func (r *reloader) reload(ctx context.Context) error {
	next, err := r.set.ReadParts(ctx)
	if err != nil {
		r.log.Error("settings not reloaded; the old ones stay in force", zap.Error(err))
		return err
	}
	warn(ctx, next, r.log)
	changed, later := r.now.Changes(next), r.first.NeedRestart(next)
	isStale := len(changed) > 0 && next.Nginx == nil && r.now.PrintsOther(next) // with --nginx, warn knows
	r.replacePools(next.Pools)
	if len(changed) > 0 {
		next.Policy.TrustForwardedProto = r.g.Firewall.TrustForwardedProto // which only a restart changes
		r.g.Reload(next.Policy, next.Ring)
		r.g.Store.Greet(ctx)
		r.tls.set(next.TLS)
		r.now = next
		r.inForce.Store(next.Settings)
	}
	r.log.Info("settings reloaded", zap.Strings("changed", changed))
	if isStale {
		r.log.Warn("if nginx's configuration is what `uwgate nginx` printed for the old settings, it does not fit the new ones", zap.String("fix", "print it again, and reload nginx"))
	}
	if len(later) > 0 {
		r.log.Warn("some settings have changed that only a restart puts in force", zap.Strings("settings", later))
	}
	return nil
}

// replacePools comes before the policy is replaced: a page is stored only if everything
// that it came through is in force. Settings without a difference may name other things
// now: addresses, and the authorities of servers.
func (r *reloader) replacePools(next *backend.Pools) {
	logPools(next, r.log)
	r.g.Backends.Replace(next)
	if s := r.g.Subscriptions; s != nil {
		s.Replace(settings.MakesSubscribed(next))
	}
}
