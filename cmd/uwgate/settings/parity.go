package settings

import (
	"context"
	"errors"
	"net"
	"net/url"
	"slices"
	"time"

	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

// Gateway returns the settings that are given, for a comparison with nginx's
// configuration; one that is not given is zero and not compared. It looks no name up.
func (s *Settings) Gateway(ctx context.Context) (parity.Gateway, error) {
	p, err := s.Policy(nil)
	g := parity.Gateway{
		Key:                 s.Key.Template,
		Hits:                parity.Hits{Types: p.Hits.Types, Adds: p.Hits.Adds},
		AllowedHosts:        p.Keys.AllowedHosts,
		TrustForwardedProto: p.TrustForwardedProto,
		AllowRewrites:       p.Keys.AllowRewrites,
		VaryCookieAnonymous: p.VaryCookieAnonymous,
		IdentityCookies:     p.Visitors.Cookies().Identity,
		Visitors:            p.Visitors,
		Resolve:             func(host string) ([]string, error) { return lookUp(ctx, host) },
		MayOpen:             mayOpen,
	}
	given := func(name string) bool { return !s.Origin(name).IsDefault() }
	if given("listen") {
		g.Listen = s.texts("listen")
	}
	if given("format") {
		g.Format = s.Hits.Format
	}
	if given("gzip-flag") {
		g.GzipFlag = s.Hits.GzipFlag
	}
	if given("hit-type") {
		g.HitType = s.Hits.Type
	}
	if given("hash") {
		g.Hash = &s.Store.Hash
	}
	for _, m := range s.Store.Servers {
		g.Servers = append(g.Servers, m.Server)
	}
	return g, err
}

const lookUpTimeout = 10 * time.Second

func lookUp(ctx context.Context, host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	return net.DefaultResolver.LookupHost(ctx, host)
}

// AsNginxHas returns the settings with those that are not given as nginx has them, for
// the site of the URL of --via.
func (s *Settings) AsNginxHas(conf *nginxconf.Config) (*Settings, error) {
	l := lookupOf(conf, s.Command.Via)
	if l == nil {
		return nil, errors.New("--via has nothing to try: nginx looks no page up")
	}
	return s.withNginx(parity.SettingsOf(l))
}

// lookupOf is a lookup of the URL's host, or else the first one; nil if there is none.
func lookupOf(conf *nginxconf.Config, via string) *nginxconf.Lookup {
	u, err := url.Parse(via)
	for _, l := range conf.Lookups {
		if err == nil && slices.Contains(l.Names, u.Hostname()) {
			return l
		}
	}
	if len(conf.Lookups) == 0 {
		return nil
	}
	return conf.Lookups[0]
}
