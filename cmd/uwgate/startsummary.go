package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway"
	"uwgate/gateway/socket"
)

// checkTime bounds the check of the backends at the start.
const checkTime = 2 * time.Second

// checkBackends connects once to each backend. The log names those that are not there.
func checkBackends(ctx context.Context, g *gateway.Gateway) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	g.Backends.Check(ctx)
}

// summary says in one line what serves where.
func summary(p *settings.Parts, g *gateway.Gateway) []zap.Field {
	mode := "store"
	if p.Policy.Observe {
		mode = "observe: nothing is stored"
	}
	var listen, memcached []string
	for _, a := range p.Listen.Addresses {
		listen = append(listen, a.String())
	}
	for _, s := range p.Store.Servers {
		memcached = append(memcached, s.String())
	}
	up, all := backendsUp(g)
	c := g.Stats().Connections
	return []zap.Field{
		zap.String("version", buildVersion()),
		zap.String("file", p.Config()),
		zap.String("mode", mode),
		zap.Strings("listen", listen),
		zap.Strings("memcached", memcached),
		zap.String("admin", p.Control.Admin.String()),
		zap.Int("backends_up", up),
		zap.Int("backends", all),
		zap.Int64("max_connections", c.Limit),
		zap.Int("open_files", socket.MaxFiles()),
	}
}

// backendsUp counts the backends that are not ejected, and all.
func backendsUp(g *gateway.Gateway) (up, all int) {
	for _, p := range g.Backends.All() {
		for _, n := range p.Stats() {
			all++
			if n.Up {
				up++
			}
		}
	}
	return up, all
}
