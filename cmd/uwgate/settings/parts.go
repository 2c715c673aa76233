package settings

import (
	"context"
	"errors"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/gateway/subscription"
	"uwgate/nginxconf"
	"uwgate/nginxconf/snippet"
)

// Parts are what serve makes a gateway of: the settings, and what they name.
type Parts struct {
	*Settings
	Pools         *backend.Pools
	Subscriptions *subscription.Registry // nil: none
	Ring          *cachewriter.Ring
	Policy        *policy.Policy
	TLS           *TLS     // nil: no address is for TLS
	Users         []uint32 // that may connect over UNIX sockets; nil: all
}

// Parts checks the settings together, reads the files that they name, looks names up, and
// opens nothing. An error names everything that is wrong.
func (s *Settings) Parts(ctx context.Context) (*Parts, error) {
	p := &Parts{Settings: s}
	var errs [7]error
	p.Users, errs[0] = s.users()
	p.TLS, errs[1] = s.makeTLS()
	p.Pools, errs[2] = s.makePools()
	p.Subscriptions, errs[3] = s.makeSubscriptions(p.Pools)
	if !s.bad["memcached"] {
		p.Ring, errs[4] = s.Ring(ctx)
	}
	p.Policy, errs[5] = s.Policy(p.Ring)
	errs[6] = s.checkAdmin()
	return p, errors.Join(errs[:]...)
}

// ReadParts reads the settings and makes their parts: what serve does at its start and at
// each HUP. An error names everything that is wrong.
func (set *Set) ReadParts(ctx context.Context) (*Parts, error) {
	s, err := set.Read()
	if s == nil {
		return nil, err
	}
	p, together := s.Parts(ctx)
	if err == nil && together == nil {
		together = s.checkNginx(ctx)
	}
	return p, errors.Join(err, together)
}

// NewPool makes a pool of a server, written as in --backend, with the options that all
// pools have.
func (s *Settings) NewPool(server string) (*backend.Pool, error) { return s.makePool(server) }

// CurrentPools returns the pools of the workers that serve the site, nil if none are
// named. It may read the file of --host-map.
func (s *Settings) CurrentPools() (*backend.Pools, error) {
	if len(s.Backends.Servers) == 0 && len(s.file.pools) == 0 && s.Backends.HostMap == "" {
		return nil, nil
	}
	return s.makePools()
}

func (s *Settings) checkAdmin() error {
	if !s.Control.Admin.IsAbstract() || s.Control.Token != "" {
		return nil
	}
	return s.conflict("admin", []string{"admin-token"}, "every process of this network namespace may connect to an abstract socket, whoever runs it; "+
		"add an --admin-token, or write a path, as in --admin unix:/run/uwgate/admin.sock")
}

// Policy returns what decides which pages are stored. Ring may be nil. It looks no name
// up.
func (s *Settings) Policy(ring *cachewriter.Ring) (*policy.Policy, error) {
	p := &policy.Policy{
		Keys: policy.Keys{
			TemplateIsProof: s.DerivedKey() != "",
			AllowedHosts:    s.Pages.AllowedHosts,
			AllowRewrites:   s.Pages.AllowRewrites || s.Nginx != nil && s.Nginx.RewritesProven,
			OpaqueKey:       s.Pages.OpaqueKey,
		},
		Lifetimes: policy.Lifetimes{
			Default:      s.Lifetimes.Default,
			Min:          s.Lifetimes.Min,
			Max:          s.Lifetimes.Max,
			Jitter:       float64(s.Lifetimes.Jitter),
			Grace:        s.Lifetimes.Grace,
			StaleIfError: s.Lifetimes.StaleIfError,
		},
		Hits: policy.Hits{
			Format:   s.Hits.Format,
			GzipFlag: uint32(s.Hits.GzipFlag),
			Type:     s.Hits.Type,
			Adds:     s.Hits.Adds,
			Strict:   s.Hits.StrictHeaders,
			KeepTags: !s.Hits.StripTags,
		},
		MaxBody:             int64(s.Pages.MaxObject),
		Sentinels:           s.sentinels(),
		AcceptUnframed:      s.Pages.AcceptUnframed == "html",
		Exclude:             s.Pages.Exclude,
		Bypass:              s.Pages.Bypass,
		Visitors:            s.MakeVisitors(),
		TrustedHeaders:      s.Pages.TrustedHeaders,
		TrustForwardedProto: s.Backends.TrustScheme,
		VaryCookieAnonymous: s.Pages.VaryCookie == "anonymous",
		Observe:             s.Pages.Observe,
	}
	if ring != nil {
		p.Keys.Servers = ring.Has
	}
	errs := []error{s.checkLifetimes(), s.checkSharing()}
	var err error
	if p.Keys.Template, err = s.ParseTemplate(s.StandInKey()); err == nil {
		p.Keys.Template.Visitors = p.Visitors
	} else if !s.bad["key"] {
		errs = append(errs, err)
	}
	p.Hits.Types, err = s.types()
	errs = append(errs, err)
	p.Rules, err = policyRules(s.file.rules, s.DerivedKey(), p.Hits.Format)
	return p, errors.Join(append(errs, err)...)
}

// StandInKey is the key's template where nginx hands the key over, as it is printed.
func (s *Settings) StandInKey() string {
	key := snippet.DefaultKey
	if s.Backends.TrustScheme {
		key = snippet.ForwardedKey
	}
	return policy.WithGeneration(s.Key.Generation, key)
}

// sentinels is nil for the built-in ones, and empty for none.
func (s *Settings) sentinels() []string {
	if list := s.Pages.Sentinels; len(list) != 1 || list[0] != none {
		return list
	}
	return []string{}
}

// types is nginx's types map; nil is the stock one.
func (s *Settings) types() (map[string]string, error) {
	if path := s.Hits.MIMETypes; path != "" {
		types, err := nginxconf.ReadTypes(path)
		if err != nil {
			return nil, s.Refuse("mime-types", err)
		}
		return types, nil
	}
	if s.Nginx != nil {
		return s.Nginx.Types, nil
	}
	return nil, nil
}

func (s *Settings) checkLifetimes() error {
	l := s.Lifetimes
	var errs []error
	if l.Min > l.Max {
		errs = append(errs, s.conflict("min-ttl", []string{"max-ttl"}, "this is over %s: lower one or raise the other", s.mention("max-ttl")))
	}
	if l.Grace > l.Max {
		errs = append(errs, s.conflict("grace", []string{"max-ttl"}, "this is over %s: write a time from 0s, for not at all, to that", s.mention("max-ttl")))
	}
	if l.StaleIfError > l.Max {
		errs = append(errs, s.conflict("stale-if-error", []string{"max-ttl"}, "this is over %s: write a time from 0s, for not at all, to that", s.mention("max-ttl")))
	}
	if l.Grace > 0 && !l.RefreshAhead {
		errs = append(errs, s.conflict("grace", []string{"refresh-ahead"}, "with %s nothing refreshes the pages that are served; remove one of the two", s.mention("refresh-ahead")))
	}
	return errors.Join(errs...)
}

// checkSharing looks at what many requests for one page do.
func (s *Settings) checkSharing() error {
	if s.Traffic.Fleet && s.Traffic.CoalesceWait == 0 {
		return s.conflict("fleet", []string{"coalesce-wait"}, "with %s no request waits for another gateway either; remove one of the two", s.mention("coalesce-wait"))
	}
	return nil
}
