package nginxconf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/uwsgi"
)

// Settings are what a gateway has to know of nginx, in the words of its flags.
type Settings struct {
	// Lookups are those whose misses reach the gateway. What follows is true of all
	// of them.
	Lookups []*Lookup

	// Servers are those of the upstream block, in order, as cachewriter.ParseServer
	// reads them, and Hash is how nginx chooses among them; All also where it
	// follows from anything but the key.
	Servers []string
	Hash    cachewriter.Method

	Format   policy.Format
	GzipFlag uint32 // in FormatGzip

	// Key is the key's template, or "" if KeyErr says why there is none: lookups have
	// different ones, or it cannot be computed. HandedOver is set if nginx tells key
	// and outcome with every request; then no template is needed.
	Key        string
	KeyErr     error
	HandedOver bool

	// HitType is the Content-Type of hits by default, and Types is nginx's types map.
	// They do not matter in FormatHTTP.
	HitType string
	Types   map[string]string

	// Adds are headers that all lookups add to hits.
	Adds []uwsgi.Field

	// Gaps are parts of the configuration that could not be read: what stands there is
	// not in the above.
	Gaps []Gap

	// Unknown says why something of the above could not be taken, by the flag that
	// tells it instead: what lookups disagree on, or nginx would have to hand over,
	// with file and line.
	Unknown map[string]error
}

// Settings returns what the gateway that listens on these addresses has to know. It is
// an error if no lookup's misses reach it.
func (c *Config) Settings(listen []string) (*Settings, error) {
	lookups, err := c.lookupsFor(listen)
	if err != nil {
		return nil, err
	}
	s := &Settings{Lookups: lookups, Gaps: c.Gaps, Unknown: make(map[string]error)}
	s.doubt("memcached", s.takeServers())
	s.doubt("format", s.takeFormat())
	s.takeKey()
	if !s.HandedOver {
		s.doubt("key", cmp.Or(s.KeyErr, s.unproven(c, listen)))
	}
	s.doubt("key", s.otherwiseAsked())
	if s.Format != policy.FormatHTTP {
		s.takeHits()
	}
	return s, nil
}

func (s *Settings) doubt(flag string, err error) {
	if err != nil {
		s.Unknown[flag] = err
	}
}

// lookupsFor are the lookups whose misses reach one of the addresses. If none do and
// all lead to one and the same, then it is the gateway's under another name: in a
// container, or on another host.
func (c *Config) lookupsFor(listen []string) ([]*Lookup, error) {
	var all, ours []*Lookup
	targets := map[string]bool{}
	for _, l := range c.Lookups {
		if l.Misses == nil {
			continue
		}
		all = append(all, l)
		targets[strings.Join(l.Misses.Gateway.addresses(), " ")] = true
		if l.Misses.Gateway.leadsTo(listen) {
			ours = append(ours, l)
		}
	}
	switch {
	case len(ours) > 0:
		return ours, nil
	case len(targets) == 1:
		return all, nil
	case len(c.Lookups) == 0:
		return nil, fmt.Errorf("%s: nginx looks nothing up: there is no memcached_pass and no srcache_fetch; `uwgate nginx` prints a configuration that does", c.Files[0])
	case len(all) == 0:
		return nil, fmt.Errorf("%v: what this lookup does not find leads to no uwsgi_pass; `uwgate nginx` prints a configuration whose misses do", c.Lookups[0].Place)
	}
	return nil, fmt.Errorf("%s: misses lead to %s, and none of these is the gateway at %s; give --listen as one of them",
		c.Files[0], strings.Join(slices.Sorted(maps.Keys(targets)), " and to "), strings.Join(listen, " "))
}

// addresses are the servers without their parameters.
func (u Upstream) addresses() []string {
	var all []string
	for _, s := range u.Servers {
		address, _, _ := strings.Cut(s.Text, " ")
		all = append(all, address)
	}
	return all
}

// leadsTo reports whether a server of the upstream is one of the addresses that are
// listened on.
func (u Upstream) leadsTo(listen []string) bool {
	return slices.ContainsFunc(u.addresses(), func(address string) bool {
		return slices.ContainsFunc(listen, func(l string) bool { return reaches(address, l) })
	})
}

// reaches reports whether a uwsgi_pass to an address gets to a listener. A listener on
// all addresses is reached by any.
func reaches(address, listener string) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return path == strings.TrimPrefix(listener, "unix:")
	}
	host, port, err := net.SplitHostPort(address)
	at, listens, listenErr := net.SplitHostPort(listener)
	if err != nil || listenErr != nil || port != listens {
		return false
	}
	return loopback(host) == loopback(at) || slices.Contains([]string{"", "0.0.0.0", "::"}, at)
}

// loopback gives this host's names one spelling.
func loopback(host string) string {
	if host == "localhost" || host == "::1" {
		return "127.0.0.1"
	}
	return strings.ToLower(host)
}

// agree returns what all lookups have, or an error that names two that differ.
func agree[T any](s *Settings, what, fix string, of func(*Lookup) (T, string)) (T, error) {
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
	got, err := agree(s, "memcached", "give --memcached and --hash, or run a gateway for each", func(l *Lookup) (place, string) {
		servers, hash, err := l.servers()
		errs = append(errs, err)
		return place{servers, hash}, fmt.Sprintf("%s (hash %v)", strings.Join(servers, ", "), hash)
	})
	s.Servers, s.Hash = got.servers, got.hash
	return errors.Join(append(errs, err)...)
}

// servers are what a gateway writes to. A backup server is asked while others fail: it
// is written to where all are, and else left to nginx.
func (l *Lookup) servers() (servers []string, hash cachewriter.Method, err error) {
	hash = l.hash()
	for _, srv := range l.Memcached.Servers {
		fields := strings.Fields(srv.Text)
		if i := slices.Index(fields, "backup"); i > 0 {
			if hash != cachewriter.All {
				continue
			}
			fields = slices.Delete(fields, i, i+1)
		}
		if !hasPort(fields[0]) {
			return nil, hash, fmt.Errorf("%v: server %s has no port, and nginx takes 80; write %s:11211", srv.Place, fields[0], fields[0])
		}
		servers = append(servers, strings.Join(fields, " "))
	}
	return servers, hash, nil
}

func hasPort(address string) bool {
	if len(address) >= len("unix:") && strings.EqualFold(address[:len("unix:")], "unix:") {
		return true
	}
	i := strings.LastIndexByte(address, ':')
	return i >= 0 && !strings.HasSuffix(address, "]")
}

// hash is the method, if it works on the key.
func (l *Lookup) hash() cachewriter.Method {
	u := l.Memcached
	switch {
	case len(u.Servers) < 2, u.Method != "hash", !l.hashesKey():
		return cachewriter.All
	case u.Ketama:
		return cachewriter.Consistent
	}
	return cachewriter.Modulo
}

// hashesKey reports whether the hash's expression is the key. In the subrequest of
// srcache_fetch that is $memc_key.
func (l *Lookup) hashesKey() bool {
	hash := strings.ToLower(unbraced(l.Memcached.Hash))
	if l.Format == policy.FormatHTTP {
		return hash == "$memc_key"
	}
	return hash == "$memcached_key" || hash != "" && hash == strings.ToLower(unbraced(l.Key.Expanded))
}

// unbraced writes a lone ${name} as $name.
func unbraced(expression string) string {
	if inner, ok := strings.CutPrefix(expression, "${"); ok && strings.IndexByte(inner, '}') == len(inner)-1 {
		return "$" + inner[:len(inner)-1]
	}
	return expression
}

func (s *Settings) takeFormat() error {
	var err error
	s.Format, err = agree(s, "a hit", "one gateway stores in one format only; run one for each", func(l *Lookup) (policy.Format, string) {
		if l.Format == policy.FormatGzip {
			return l.Format, "compressed with memcached_gzip_flag " + l.GzipFlag.Value
		}
		return l.Format, map[policy.Format]string{policy.FormatBody: "a body (memcached_pass)", policy.FormatHTTP: "head and body (srcache_fetch)"}[l.Format]
	})
	if err != nil || s.Format != policy.FormatGzip {
		return err
	}
	flag := s.Lookups[0].GzipFlag
	n, err := strconv.ParseUint(flag.Value, 10, 32)
	if err != nil {
		return fmt.Errorf("%v: memcached_gzip_flag %s: write one bit, 1, 2, 4 and so on", flag.Place, flag.Value)
	}
	s.GzipFlag = uint32(n)
	return nil
}

// takeKey takes the template where it can be computed.
func (s *Settings) takeKey() {
	s.HandedOver = !slices.ContainsFunc(s.Lookups, func(l *Lookup) bool { return !l.handsOver() })
	key, err := agree(s, "the key", "hand it over (`uwgate nginx` prints how), or give --key", func(l *Lookup) (string, string) {
		return l.Key.Expanded, strconv.Quote(l.Key.Expanded)
	})
	if err == nil {
		err = s.Lookups[0].computable()
	}
	if s.KeyErr = err; err == nil {
		s.Key = key
	}
}

// otherwiseAsked says where memcached is not asked for the key that srcache_fetch has.
func (s *Settings) otherwiseAsked() error {
	for _, l := range s.Lookups {
		if asked := l.Key.Asked; asked.Value != "" && asked.Value != l.Key.Expanded {
			return fmt.Errorf("%v: the page's key is %q, and memc_pass asks for %q (%v); write `set $memc_key $query_string;` there", l.Place, l.Key.Expanded, asked.Value, asked.Place)
		}
	}
	return nil
}

// unproven says where requests come from that were not looked up. Where nginx does
// not hand over what it has done, the gateway would take them for misses.
func (s *Settings) unproven(c *Config, listen []string) error {
	for _, p := range c.Passes {
		if p.Gateway.leadsTo(listen) && s.bypasses(p) {
			return fmt.Errorf("%v: requests come from here that were not looked up, and the gateway could not tell them from misses; "+
				"hand over what nginx has done: `uwsgi_param CACHE_STATUS $upstream_status if_not_empty;` beside CACHE_KEY, as `uwgate nginx` prints it", p.Place)
		}
	}
	return nil
}

// handsOver reports whether the misses bring key and outcome.
func (l *Lookup) handsOver() bool {
	status := "$upstream_status"
	if l.Format == policy.FormatHTTP {
		status = "$srcache_fetch_status"
	}
	key := cmp.Or(l.Key.Variable, l.Key.Value)
	return sameVariable(l.Misses.param("CACHE_KEY"), key) && sameVariable(l.Misses.param("CACHE_STATUS"), status)
}

func sameVariable(a, b string) bool { return strings.EqualFold(unbraced(a), unbraced(b)) }

// param is the value of a param, of the last one of that name, as uWSGI takes it.
func (p *Pass) param(name string) string {
	for _, x := range slices.Backward(p.Params) {
		if x.Name == name {
			return x.Value
		}
	}
	return ""
}

// computable says why a template cannot stand in for the key.
func (l *Lookup) computable() error {
	switch {
	case l.Key.Late != "":
		return fmt.Errorf("%v: the key is not certain: %s; hand it over (`uwgate nginx` prints how)", l.Place, l.Key.Late)
	case len(l.Key.Opaque) > 0:
		v := l.Key.Opaque[0]
		return fmt.Errorf("%v: the key has %s, which nginx alone can compute (%s); hand it over (`uwgate nginx` prints how)", l.Key.Place, v.Name, v.Kind)
	}
	if _, err := policy.ParseTemplate(l.Key.Expanded); err != nil {
		return fmt.Errorf("%v: %w; hand the key over (`uwgate nginx` prints how)", l.Key.Place, err)
	}
	return nil
}

// bypasses reports whether GET requests come by p without a lookup.
func (s *Settings) bypasses(p *Pass) bool {
	if slices.ContainsFunc(s.Lookups, func(l *Lookup) bool { return l.Misses == p }) {
		return false
	}
	return !slices.Contains(otherMethods, strings.Join(strings.Fields(p.If.Value), " "))
}

// otherMethods are the conditions under which no request is a GET.
var otherMethods = []string{"$request_method = POST", "$request_method != GET"}

func (s *Settings) takeHits() {
	var err error
	s.HitType, err = agree(s, "the type of hits", "give --hit-type, and --exclude what has another", func(l *Lookup) (string, string) {
		return l.HitType(), l.HitType()
	})
	s.doubt("hit-type", err)
	s.Types, err = agree(s, "the types map", "give --mime-types, and --exclude what has another", func(l *Lookup) (map[string]string, string) {
		if l.TypesAt.IsZero() {
			return l.Types, fmt.Sprintf("nginx's own (%d extensions)", len(l.Types))
		}
		return l.Types, fmt.Sprintf("that of %v (%d extensions)", l.TypesAt, len(l.Types))
	})
	s.doubt("mime-types", err)
	s.Adds = s.commonHeaders()
}

// HitType is the Content-Type of a hit whose path has no extension of the types map.
func (l *Lookup) HitType() string {
	if off := strings.EqualFold(l.Charset.Value, "off"); off || !slices.Contains(l.CharsetTypes, l.DefaultType.Value) {
		return l.DefaultType.Value
	}
	return l.DefaultType.Value + "; charset=" + l.Charset.Value
}

// commonHeaders are those that every lookup adds with the same value.
func (s *Settings) commonHeaders() []uwsgi.Field {
	var fields []uwsgi.Field
	for _, h := range s.Lookups[0].Headers {
		added := func(l *Lookup) bool {
			return slices.ContainsFunc(l.Headers, func(o AddHeader) bool {
				return strings.EqualFold(o.Name, h.Name) && slices.Equal(o.Values, h.Values)
			})
		}
		if len(h.Values) == 1 && h.Values[0] != "" && !slices.ContainsFunc(s.Lookups, func(l *Lookup) bool { return !added(l) }) {
			fields = append(fields, uwsgi.Field{Name: h.Name, Value: h.Values[0]})
		}
	}
	return fields
}
