package parity

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/uwsgi"
)

// Settings are what a gateway has to know of nginx, named as its flags are.
type Settings struct {
	// Lookups are the lookups whose misses reach the gateway. The other fields hold for
	// all of them.
	Lookups []Lookup

	// Servers are those of the upstream block, in order, as cachewriter.ParseServer reads
	// them. Hash is how nginx chooses one; it is All if the choice depends on anything but
	// the key.
	Servers []string
	Hash    cachewriter.Method

	Format   policy.Format
	GzipFlag uint32 // in FormatGzip

	// Key is the key's template. It is empty if KeyErr says why there is none: lookups
	// have different keys, or a key cannot be computed. HandedOver is set if nginx hands
	// over key and result with every request. Then no template is needed.
	Key        string
	KeyErr     error
	HandedOver bool

	// Diverted says where requests without a lookup reach the gateway, if nginx looks up
	// other requests for the same URLs and does not say which is which. A gateway that
	// computes the key would store their pages for everybody. Nil: nowhere.
	Diverted error

	// RewritesProven is set if a path that nginx has rewritten depends on the URL alone:
	// no subrequest and no internal redirect reaches the gateway, and no rewrite applies
	// to only some requests. RewritesErr says why it is not set.
	RewritesProven bool
	RewritesErr    error

	// ConstantVars are the vars that have the same value in all requests to the gateway,
	// sorted. No page depends on them.
	ConstantVars []string

	Hits // what all lookups have in common; zero in FormatHTTP

	// Gaps are parts of the configuration that could not be read. Their directives are not
	// in the other fields.
	Gaps []nginxconf.Gap

	// Unknown says, by flags, why a setting could not be taken from nginx: lookups
	// disagree on it, or nginx would have to hand it over. Each error has file and line;
	// the flag can be given instead.
	Unknown map[string]error
}

// SettingsFor returns what a gateway that listens on these addresses has to know. It is an
// error if no lookup's misses reach it. What it takes is right only if Refusals finds
// nothing.
func SettingsFor(c *nginxconf.Config, listen []string) (*Settings, error) {
	lookups, err := lookupsFor(c, listen)
	if err != nil {
		return nil, err
	}
	s := settingsOf(lookups)
	s.Gaps = c.Gaps
	ours := newGroup(lookups)
	reaches := ours.leads(listener(listen))
	s.RewritesErr = rewritesErr(c, reaches, ours)
	s.RewritesProven = s.RewritesErr == nil
	s.ConstantVars = constantVars(c, reaches)
	if s.Diverted = s.unproven(c, ours, reaches); !s.HandedOver {
		s.doubt("key", cmp.Or(s.KeyErr, s.Diverted))
	}
	return s, nil
}

// SettingsOf returns what a gateway has to know of these lookups. There must be at least
// one, and their misses must lead somewhere.
func SettingsOf(lookups ...*nginxconf.Lookup) *Settings { return settingsOf(lookupsOf(lookups)) }

func settingsOf(lookups []Lookup) *Settings {
	s := &Settings{Lookups: lookups, Unknown: make(map[string]error), RewritesErr: errRewritesUnread}
	s.doubt("memcached", s.takeServers())
	s.doubt("format", s.takeFormat())
	s.takeKey()
	if s.Format != policy.FormatHTTP {
		s.takeHits()
	}
	return s
}

func (s *Settings) doubt(flag string, err error) {
	if err != nil {
		s.Unknown[flag] = err
	}
}

// lookupsFor returns the lookups whose misses reach one of the addresses. If there are
// none and all misses go to one address, that is the gateway under another name: in a
// container, or on another host.
func lookupsFor(c *nginxconf.Config, listen []string) ([]Lookup, error) {
	k := listener(listen)
	var all, ours []Lookup
	targets := map[string]bool{}
	for _, l := range lookupsOf(c.Lookups) {
		if l.Misses == nil {
			continue
		}
		all = append(all, l)
		targets[addresses(l.Misses.Upstream)] = true
		if k.reaches(l.Misses.Upstream) {
			ours = append(ours, l)
		}
	}
	switch {
	case len(ours) > 0:
		return ours, nil
	case len(targets) == 1:
		return all, nil
	case len(c.Lookups) == 0:
		return nil, fmt.Errorf("%s: nginx looks up no page: there is no memcached_pass and no srcache_fetch; `uwgate nginx` prints a configuration with a lookup", c.Files[0])
	case len(all) == 0:
		return nil, fmt.Errorf("%v: misses of this lookup go to no uwsgi_pass; `uwgate nginx` prints a configuration whose misses reach uwgate", c.Lookups[0].Place)
	}
	return nil, fmt.Errorf("%s: misses go to %s, and none of these is the gateway at %s; set --listen to one of them",
		c.Files[0], join(slices.Sorted(maps.Keys(targets))), strings.Join(listen, " "))
}

// listener returns a checker that knows only where the gateway listens.
func listener(addresses []string) *checker {
	return newChecker(&nginxconf.Config{}, Gateway{Listen: addresses})
}

// agree returns what all lookups have in common, or an error that names two that differ.
func agree[T any](s *Settings, what, fix string, of func(Lookup) (T, string)) (T, error) {
	first, text := of(s.Lookups[0])
	for _, l := range s.Lookups[1:] {
		if _, other := of(l); other != text {
			return first, fmt.Errorf("%v and %v: %s is %s here and %s there; %s", s.Lookups[0].Place, l.Place, what, text, other, fix)
		}
	}
	return first, nil
}

func (s *Settings) takeServers() error {
	type place struct {
		servers []string
		hash    cachewriter.Method
	}
	var errs []error
	got, err := agree(s, "memcached", "give --memcached and --hash, or run a gateway for each", func(l Lookup) (place, string) {
		servers, hash, err := l.servers()
		errs = append(errs, err)
		return place{servers, hash}, fmt.Sprintf("%s (hash %v)", strings.Join(servers, ", "), hash)
	})
	s.Servers, s.Hash = got.servers, got.hash
	if err != nil && !slices.ContainsFunc(s.Lookups, func(l Lookup) bool { return !l.handsServerOver() }) {
		s.Servers, s.Hash, err = s.allServers(), cachewriter.All, nil
	}
	return errors.Join(append(errs, err)...)
}

// allServers returns those of all lookups. If nginx says for each request which one it
// asked, the gateway writes there.
func (s *Settings) allServers() (all []string) {
	for _, l := range s.Lookups {
		for _, server := range l.memcached() {
			if !slices.Contains(all, server) {
				all = append(all, server)
			}
		}
	}
	return all
}

// servers returns the servers to which a gateway writes, and how it chooses one.
func (l Lookup) servers() (servers []string, hash cachewriter.Method, err error) {
	for _, srv := range l.Memcached.Servers {
		address, _, _ := strings.Cut(srv.Text, " ")
		if _, isSocket := nginxconf.CutUnix(address); isSocket {
			continue
		}
		if _, port := splitAddress(address, ""); port == "" {
			return nil, cachewriter.All, fmt.Errorf("%v: server %s has no port, and nginx takes 80; write %s:11211", srv.Place, address, address)
		}
	}
	if servers = l.memcached(); len(servers) > 1 && l.hashesKey() {
		hash = l.method()
	}
	return servers, hash, nil
}

func (s *Settings) takeFormat() error {
	var err error
	s.Format, err = agree(s, "a hit", "one gateway stores in one format only; run one for each", func(l Lookup) (policy.Format, string) {
		if l.Format() == policy.FormatGzip {
			return l.Format(), "compressed with memcached_gzip_flag " + l.GzipFlag.Value
		}
		return l.Format(), map[policy.Format]string{policy.FormatBody: "a body (memcached_pass)", policy.FormatHTTP: "head and body (srcache_fetch)"}[l.Format()]
	})
	if err != nil || s.Format != policy.FormatGzip {
		return err
	}
	n, err := strconv.ParseUint(s.Lookups[0].gzipFlag(), 10, 32)
	if err != nil {
		flag := s.Lookups[0].GzipFlag
		return fmt.Errorf("%v: memcached_gzip_flag %s: memcached's flags have 32 bits; write one of them, 1, 2, 4 and so on", flag.Place, flag.Value)
	}
	s.GzipFlag = uint32(n)
	return nil
}

// takeKey takes the template if it can be computed.
func (s *Settings) takeKey() {
	s.HandedOver = !slices.ContainsFunc(s.Lookups, func(l Lookup) bool { return !l.handsOver() })
	key, err := agree(s, "the key", "hand it over (`uwgate nginx` prints how), or give --key", func(l Lookup) (string, string) {
		return l.template(), strconv.Quote(nginxconf.Canonical(l.template()))
	})
	for _, l := range s.Lookups {
		err = cmp.Or(err, l.computable())
	}
	if s.KeyErr = err; err == nil {
		s.Key = key
	}
}

// unproven says where requests without a lookup reach the gateway, for URLs that nginx looks
// up for other requests. The gateway would treat them as misses.
func (s *Settings) unproven(c *nginxconf.Config, ours *group, reaches func(nginxconf.Upstream) bool) error {
	status := "uwsgi_param CACHE_STATUS " + ours.status() + ";"
	for _, l := range s.Lookups {
		if l.Skip.Value != "" && !l.misses().shows() {
			return refusal(l.Skip.Place, diverted, skips, status)
		}
	}
	for _, p := range passesOf(c.Passes) {
		if !reaches(p.Upstream) {
			continue
		}
		some := slices.DeleteFunc(slices.Clone(p.diverted()), func(u nginxconf.Unasked) bool { return !u.Sometimes }) // others are stored in vain
		if len(some) > 0 {
			return refusal(p.Place, diverted, p.comesUnasked(some, forEverybody), status)
		}
	}
	return nil
}

// constantVars returns the params without variables that every uwsgi_pass to the gateway
// has, with the same value.
func constantVars(c *nginxconf.Config, reaches func(nginxconf.Upstream) bool) []string {
	var all map[string]string // nil: no uwsgi_pass yet
	for _, p := range passesOf(c.Passes) {
		if !reaches(p.Upstream) {
			continue
		}
		own := p.constants()
		if all == nil {
			all = own
		}
		maps.DeleteFunc(all, func(name, value string) bool {
			other, ok := own[name]
			return !ok || other != value
		})
	}
	return slices.Sorted(maps.Keys(all))
}

// constants returns the values of the params without variables. Params of headers are left
// out.
func (p pass) constants() map[string]string {
	values := map[string]string{}
	for _, param := range p.Params {
		values[param.Name] = param.Value
	}
	for _, param := range p.Params {
		isHeader := strings.HasPrefix(param.Name, "HTTP_")
		if isHeader || param.Value != values[param.Name] || len(nginxconf.Variables(param.Value)) > 0 {
			delete(values, param.Name)
		}
	}
	return values
}

// handsOver reports whether misses bring the key and the result of the lookup.
func (l Lookup) handsOver() bool {
	key, _ := find(l.Misses.Params, cacheKey)
	status, _ := find(l.Misses.Params, cacheStatus)
	changed, _ := l.changes()
	return l.isKey(key.Value) && l.isStatus(status.Value) && changed == "" && l.Remade.IsZero()
}

// computable says why a template cannot compute the key. The key of a lookup that no
// request reaches is never asked for.
func (l Lookup) computable() error {
	switch {
	case !l.Never.IsZero():
		return nil
	case l.Key.Late != "":
		return refusal(l.at(l.Key.Place), keyNotSet, l.lateKey())
	}
	if text := l.notDerivable(); text != "" {
		return refusal(l.at(l.Key.Place), keyNotDerivable, text, l.handoverLines()...)
	}
	if name, by := l.changes(); name != "" {
		return refusal(by.Place, keyRewritten, changedKey(name, by), l.handoverLines()...)
	}
	if !l.Remade.IsZero() && l.misses().has(cacheKey) {
		return refusal(l.Remade.Place, keyRewritten, l.remakes())
	}
	if l.isOneForMany() {
		return refusal(l.Before.Place, keyRewritten, oneKeyForMany(l.Before), l.handoverLines()...)
	}
	if _, err := policy.ParseTemplate(l.template()); err != nil {
		return fmt.Errorf("%v: %w; hand the key over (`uwgate nginx` prints how)", l.Key.Place, err)
	}
	return nil
}

func (s *Settings) takeHits() {
	var err error
	s.HitType, err = agree(&Settings{Lookups: withDefaultType(s.Lookups)}, "the type of hits", "give --hit-type, and --exclude what has another", func(l Lookup) (string, string) {
		return l.typeOfHits(), l.typeOfHits()
	})
	if err == nil && s.HitType == "" {
		charset := s.Lookups[0].Charset
		err = fmt.Errorf("%v: the charset of hits is %s, which uwgate cannot know; give --hit-type", charset.Place, charset.Value)
	}
	s.doubt("hit-type", err)
	s.Types, err = agree(s, "the types map", "give --mime-types, and --exclude what has another", func(l Lookup) (map[string]string, string) {
		if l.TypesAt.IsZero() {
			return l.Types, fmt.Sprintf("nginx's own (%d extensions)", len(l.Types))
		}
		return l.Types, fmt.Sprintf("that of %v (%d extensions)", l.TypesAt, len(l.Types))
	})
	s.doubt("mime-types", err)
	s.Adds = s.commonHeaders()
}

// commonHeaders returns the headers that every lookup adds with the same value.
func (s *Settings) commonHeaders() []uwsgi.Field {
	var fields []uwsgi.Field
	for _, h := range s.Lookups[0].Headers {
		added := func(l Lookup) bool {
			return slices.ContainsFunc(l.Headers, func(o nginxconf.AddHeader) bool {
				return strings.EqualFold(o.Name, h.Name) && slices.Equal(o.Values, h.Values)
			})
		}
		if f, ok := always(h); ok && !slices.ContainsFunc(s.Lookups, func(l Lookup) bool { return !added(l) }) {
			fields = append(fields, f)
		}
	}
	return fields
}
