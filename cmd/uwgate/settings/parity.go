package settings

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
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
		Generation:          s.Key.Generation,
		Hits:                parity.Hits{Types: p.Hits.Types, Adds: p.Hits.Adds},
		AllowedHosts:        p.Keys.AllowedHosts,
		TrustForwardedProto: p.TrustForwardedProto,
		AllowRewrites:       p.Keys.AllowRewrites,
		Sentinels:           p.Sentinels,
		VaryCookieAnonymous: p.VaryCookieAnonymous,
		IdentityCookies:     p.Visitors.Cookies().Identity,
		Visitors:            p.Visitors,
		TrustedHeaders:      p.TrustedHeaders,
		Resolve:             func(host string) ([]string, error) { return lookUp(ctx, host) },
		MayOpen:             mayOpen,
		Refuses:             s.refuses,
	}
	given := func(name string) bool {
		o := s.Origin(name)
		return !o.IsDefault() && o.kind != fromNginx
	}
	if given("listen") {
		g.Listen = s.texts("listen")
	}
	if len(s.Subscribe.Addresses) == 0 && s.Backends.HostMap == "" {
		g.Backends = s.BackendAddresses()
	}
	if given("first-byte-timeout") {
		g.FirstByteTimeout = s.Traffic.FirstByteTimeout
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
	if given("memcached") {
		for _, m := range s.Store.Servers {
			g.Servers = append(g.Servers, m.Server)
		}
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
// the site of the URL of --via. The key may be unknown.
func (s *Settings) AsNginxHas(conf *nginxconf.Config) (*Settings, error) {
	l := s.lookupOf(conf)
	if l == nil {
		return nil, errors.New("--via has nothing to try: nginx looks no page up")
	}
	return s.withNginx(parity.SettingsOf(l))
}

// lookupOf returns the lookup that the URL of --via leads to; or else one of the URL's host,
// or else the first one; nil if there is none.
func (s *Settings) lookupOf(conf *nginxconf.Config) *nginxconf.Lookup {
	if len(conf.Lookups) == 0 {
		return nil
	}
	u, err := url.Parse(s.Command.Via)
	if err != nil {
		return conf.Lookups[0]
	}
	host := cmp.Or(s.hostHeader(), u.Host)
	if l := conf.LookupFor(addrOf(u), host, cmp.Or(u.Path, "/")); l != nil {
		return l
	}
	for _, l := range conf.Lookups {
		if slices.Contains(l.Names, (&url.URL{Host: host}).Hostname()) {
			return l
		}
	}
	return conf.Lookups[0]
}

// hostHeader returns the Host of --header, "" if there is none.
func (s *Settings) hostHeader() string {
	for _, line := range s.Command.Headers {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(strings.TrimSpace(name), "Host") {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// addrOf returns the address of a URL. A name stands for an address that no line of nginx
// has.
func addrOf(u *url.URL) netip.AddrPort {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case err == nil:
	case u.Scheme == "https":
		port = 443
	default:
		port = 80
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		addr = netip.IPv4Unspecified()
	}
	return netip.AddrPortFrom(addr, uint16(port))
}
