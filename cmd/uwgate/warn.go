package main

import (
	"go.uber.org/zap"

	"uwgate/cmd/uwgate/settings"
)

// warn logs what keeps all pages out, and what is unknown of nginx's configuration.
func warn(p *settings.Parts, log *zap.Logger) {
	warnHost(p, log)
	if p.Nginx == nil {
		return
	}
	for _, gap := range p.Nginx.Gaps {
		log.Warn("a part of nginx's configuration cannot be read; if it is about memcached or uwgate, let uwgate read it",
			zap.Stringer("place", gap.Place), zap.String("what", gap.Text))
	}
}

// warnHost warns if neither the key nor anything else says which host a page is of.
func warnHost(p *settings.Parts, log *zap.Logger) {
	switch {
	case !p.Policy.Keys.LacksHost():
	case len(p.Policy.Keys.AllowedHosts) == 0:
		log.Warn("no page is stored: the key does not contain the host, so pages for a host that a client makes up would be served to everybody",
			zap.String("fix", "put $host into nginx's key and --key, or name the one host of your site with --allowed-host"))
	default:
		log.Warn("no page is stored: the key does not contain the host, so the pages of several hosts would have the same keys",
			zap.Strings("allowed_host", p.Policy.Keys.AllowedHosts),
			zap.String("fix", "put $host into nginx's key and --key, or name one host alone, without *, with --allowed-host"))
	}
}
