package main

import (
	"context"

	"go.uber.org/zap"

	"uwgate/cmd/uwgate/settings"
)

// warn logs what is probably not meant, what keeps all pages out, and what is unknown of nginx's configuration, or does
// not fit the settings.
func warn(ctx context.Context, p *settings.Parts, log *zap.Logger) {
	for _, w := range p.Warnings() {
		log.Warn(w.Text, zap.String("fix", w.Fix))
	}
	warnHost(p, log)
	if p.Nginx == nil {
		return
	}
	for _, gap := range p.Nginx.Gaps {
		log.Warn("a part of nginx's configuration cannot be read; if it is about memcached or uwgate, let uwgate read it",
			zap.Stringer("place", gap.Place), zap.String("what", gap.Text))
	}
	for _, f := range p.StaleNginx(ctx) {
		log.Warn(f.Text, zap.Stringer("place", f.Place), zap.String("code", string(f.Code)),
			zap.String("fix", "print nginx's configuration again with `uwgate nginx`; `uwgate check --nginx "+p.Key.Nginx+"` says what else to write"))
	}
}

// warnHost warns if neither the key nor anything else says which host a page is of.
func warnHost(p *settings.Parts, log *zap.Logger) {
	if w := hostWarning(p); w != nil {
		fields := []zap.Field{zap.String("fix", w.Fix)}
		if hosts := p.Policy.Keys.AllowedHosts; len(hosts) > 0 {
			fields = append(fields, zap.Strings("allowed_host", hosts))
		}
		log.Warn(w.Text, fields...)
	}
}

// A warning is what is wrong with settings that can be used, and what to do.
type warning struct {
	Text string `json:"text"`
	Fix  string `json:"fix"`
}

func hostWarning(p *settings.Parts) *warning {
	switch {
	case !p.Policy.Keys.LacksHost():
		return nil
	case len(p.Policy.Keys.AllowedHosts) == 0:
		return &warning{"no page is stored: the key does not contain the host, so pages for a host that a client makes up would be served to everybody",
			"put $host into nginx's key and --key, or name the one host of your site with --allowed-host"}
	}
	return &warning{"no page is stored: the key does not contain the host, so the pages of several hosts would have the same keys",
		"put $host into nginx's key and --key, or name one host alone, without *, with --allowed-host"}
}
