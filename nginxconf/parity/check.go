package parity

import (
	"fmt"
	"strings"
	"time"

	"uwgate/cachewriter"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/uwsgi"
)

// A Gateway is the settings of `uwgate serve` with which a configuration is compared. Zero
// means not set: such a setting is not compared, since `serve --nginx` takes it from the
// configuration. Then all lookups must agree on it.
type Gateway struct {
	Listen     []string             // addresses that it listens on
	Key        string               // the key's template, without generation
	Generation string               // what all keys begin with: see policy.WithGeneration
	Servers    []cachewriter.Server // memcached's, in order; Addrs are not looked at
	Hash       *cachewriter.Method
	Format     policy.Format
	GzipFlag   uint
	Hits

	// AllowedHosts are globs of the hosts whose pages are stored. Empty: the pages of all
	// hosts that are in the key.
	AllowedHosts []string

	// TrustForwardedProto is set if the application uses the X-Forwarded-Proto of clients.
	TrustForwardedProto bool

	// AllowRewrites is set if pages may be stored although nginx has rewritten their path.
	AllowRewrites bool

	// Sentinels are the texts that no stored page contains. Nil: policy.DefaultSentinels.
	Sentinels []string

	// Backends are the addresses of the workers' servers. Empty: not told.
	Backends []string

	// FirstByteTimeout is how long the gateway waits for a response of a worker. Zero: not
	// told.
	FirstByteTimeout time.Duration

	// VaryCookieAnonymous is set if the operator says that nginx looks up no request with
	// an identity cookie. IdentityCookies are the globs of these cookies.
	VaryCookieAnonymous bool
	IdentityCookies     []string

	// Visitors decides the gateway's $visitor. Nil: the tables of package policy.
	Visitors *policy.Visitors

	// TrustedHeaders are headers on which no page depends unless the key has them.
	TrustedHeaders []string

	// Resolve returns the addresses of a host, such as "10.0.0.1" and "::1", in the order
	// in which nginx receives them. Nil: names are not resolved.
	Resolve func(host string) ([]string, error)

	// MayOpen returns why processes of a user and a group cannot connect to the UNIX socket
	// with a path, nil if they can, if there is no such socket, or if that cannot be known.
	// An empty group is that with the user's name. Nil: sockets are not looked at.
	MayOpen func(user, group, path string) *Denial

	// Refuses reports whether the gateway closes the connections of processes of a user to
	// its UNIX sockets (--allow-user). Nil: it refuses nobody.
	Refuses func(user string) bool
}

// Hits are the heads that nginx gives to hits. They do not matter in FormatHTTP, where
// hits have the application's.
type Hits struct {
	HitType string            // the Content-Type, if the path has no extension in Types
	Types   map[string]string // nginx's types block, from extensions
	Adds    []uwsgi.Field     // headers that nginx adds
}

// A Finding is one thing that is wrong or worth knowing.
type Finding struct {
	nginxconf.Place
	Level Level
	Code  Code
	Text  string // what was found, and its consequence
	Fix   Fix    // what to do
}

// String returns one line, such as `site.conf:12: error: …`. Editors can jump to its
// place.
func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Place, f.Level, f.Text) }

// Check compares the configuration with the gateway, and finds what is wrong in nginx
// alone. It returns the findings in the order of their places. There are none if nginx
// finds every page that the gateway stores, and sends it as the application did.
func Check(c *nginxconf.Config, g Gateway) []Finding {
	k := newChecker(c, g)
	for _, gap := range c.Gaps {
		if gap.IsRead {
			k.warning(gap.Place, unreadable, manual("correct or remove the line", "uwgate does not know what is meant"), "%s", gap.Text)
			continue
		}
		k.warning(gap.Place, unreadable, manual("run check as a user who may read the file, or correct the line", "uwgate does not know what stands there"),
			"%s; uwgate does not know what stands there and cannot check it", gap.Text)
	}
	if k.withoutHTTPPart() {
		return k.found.sorted(c.Files)
	}
	if len(c.Lookups) == 0 {
		k.noLookup()
	}
	ours := k.group()
	for _, l := range lookupsOf(c.Lookups) {
		if !ours.has(l.Lookup) {
			k.other(l)
		}
	}
	for _, l := range ours.lookups {
		for _, check := range lookupChecks {
			check(k, l)
		}
	}
	for _, p := range ours.passes {
		k.pass(p, ours)
	}
	k.undefined(ours)
	k.modules()
	k.subrequests(ours)
	k.sites(ours)
	k.sockets(ours)
	k.shadows(ours)
	k.agreement(ours)
	k.notTold(ours)
	return k.found.sorted(c.Files)
}

// lookupChecks are the checks of one lookup.
var lookupChecks = []func(*checker, Lookup){
	(*checker).reached, (*checker).misses, (*checker).errorPages, (*checker).timeouts,
	(*checker).key, (*checker).visitors, (*checker).handover, (*checker).keyParams, (*checker).rewritten, (*checker).hosts, (*checker).keyParts, (*checker).ambiguous, (*checker).captures, (*checker).oneKey, (*checker).unseen, (*checker).unkeyed, (*checker).changesMisses, (*checker).strays, (*checker).members, (*checker).strangersPages, (*checker).cookiesForAll, (*checker).access, (*checker).refusesMisses,
	(*checker).servers,
	(*checker).filters, (*checker).filtersDiffer, (*checker).expires, (*checker).missHeaders, (*checker).certificates, (*checker).satisfy,
	(*checker).format, (*checker).hitType, (*checker).types, (*checker).headers,
}

// A checker collects findings.
type checker struct {
	g        Gateway
	config   *nginxconf.Config
	eval     *evaluator
	names    freshNames
	found    *findings
	resolved map[string]resolution // by host

	narrows     []narrowListen           // nil: not collected yet
	anySite     *nginxconf.Config        // with the maps of anySite; nil: not printed yet
	isAsPrinted map[string]bool          // maps, by their variables
	withheld    map[string]bool          // see isWithheld
	notLookedUp map[string]bool          // variables of headers
	sees        map[nginxconf.Place]bool // lookups; see seesCookies
	ran         map[*nginxconf.Lookup][]hearing
}

func newChecker(c *nginxconf.Config, g Gateway) *checker {
	return &checker{g: g, config: c, eval: newEvaluator(c), names: freshNames{}, found: newFindings(), resolved: map[string]resolution{},
		isAsPrinted: map[string]bool{}, withheld: map[string]bool{}, sees: map[nginxconf.Place]bool{}, ran: map[*nginxconf.Lookup][]hearing{}}
}

func (k *checker) add(level Level, at nginxconf.Place, code Code, fix Fix, format string, args ...any) {
	k.found.add(Finding{at, level, code, fmt.Sprintf(format, args...), fix})
}

func (k *checker) error(at nginxconf.Place, code Code, fix Fix, format string, args ...any) {
	k.add(Error, at, code, fix, format, args...)
}

func (k *checker) warning(at nginxconf.Place, code Code, fix Fix, format string, args ...any) {
	k.add(Warning, at, code, fix, format, args...)
}

func (k *checker) note(at nginxconf.Place, code Code, fix Fix, format string, args ...any) {
	k.add(Note, at, code, fix, format, args...)
}

// absent is the level of a finding about something missing. If a part of the configuration
// could not be read, it may stand there.
func (k *checker) absent() Level {
	if _, unread := k.config.Unread(); unread {
		return Warning
	}
	return Error
}

// at returns the place, or that of the lookup if the place is zero, as for nginx's
// defaults.
func (l Lookup) at(p nginxconf.Place) nginxconf.Place {
	if p.IsZero() {
		return l.Place
	}
	return p
}

const printedConfiguration = "use the configuration that `uwgate nginx` prints for the flags of serve"

func (k *checker) noLookup() {
	at := nginxconf.Place{Line: 1}
	if len(k.config.Files) > 0 {
		at.File = k.config.Files[0]
	}
	k.error(at, noLookup, manual(printedConfiguration, "only you know which pages nginx must look up"),
		"nginx looks up no page: there is no memcached_pass and no srcache_fetch (files read: %d)", len(k.config.Files))
}

// group returns the lookups whose misses reach the gateway; if there are none, all lookups.
func (k *checker) group() *group {
	g := newGroup(k.lookups())
	for _, p := range passesOf(k.config.Passes) {
		if g.upstreams[p.Upstream.Name] || len(k.g.Listen) > 0 && len(g.lookups) > 0 && k.reaches(p.Upstream) {
			g.passes = append(g.passes, p)
		}
	}
	return g
}

func (k *checker) lookups() []Lookup {
	var ours []Lookup
	all := lookupsOf(k.config.Lookups)
	for _, l := range all {
		if l.Misses != nil && k.reaches(l.Misses.Upstream) {
			ours = append(ours, l)
		}
	}
	if len(ours) == 0 {
		return all
	}
	return ours
}

// other checks a lookup of another gateway.
func (k *checker) other(l Lookup) {
	if l.Misses == nil {
		k.warning(l.Place, missNowhere, k.errorPageFix(l),
			"misses of this lookup go to no gateway, so uwgate stores nothing for it; ignore this if another program fills memcached")
		return
	}
	k.note(l.Misses.Place, missElsewhere, manual("uwgate check with the --config of that gateway, if it is one", "only you know where its settings are"), "misses go to %s, which is not this gateway; the lookup of %s is not checked", addresses(l.Misses.Upstream), l.Place)
}

// agreement compares lookups that share a gateway.
func (k *checker) agreement(ours *group) {
	first := map[string]Lookup{} // by the upstream that leads to the gateway
	for _, l := range ours.lookups {
		if l.Misses == nil {
			continue
		}
		gateway := l.Misses.Upstream.Name
		if len(k.g.Listen) > 0 {
			gateway = ""
		}
		if other, found := first[gateway]; found {
			k.agree(other, l)
		} else {
			first[gateway] = l
		}
	}
}

func (k *checker) agree(first, l Lookup) {
	for _, s := range settings {
		if s.told(&k.g) || s.ignored != nil && s.ignored(first, l) {
			continue
		}
		one, other := s.value(l), s.value(first)
		if one != other && one != "" && other != "" {
			k.error(l.Place, lookupsDisagree, s.agree(k, first, l),
				"the %s is %s here, but %s for the lookup of %s; one gateway can use only one", s.name, one, other, first.Place)
		}
	}
}

// join writes "a", "a and b", "a, b and c".
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
