package settings

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"go.uber.org/zap/zapcore"

	"uwgate/cachewriter"
	"uwgate/gateway/backend"
	"uwgate/gateway/policy"
	"uwgate/gateway/subscription"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
	"uwgate/nginxconf/snippet"
	"uwgate/uwsgi"
)

// A Config is what `serve` was told, as the values that the packages below
// want: a flag that makes no sense does not get further than here.
type Config struct {
	Files
	Listen     []string
	SocketMode os.FileMode
	Peers      []netip.Prefix
	Users      []uint32     // nil: all
	TLS        *TLSSettings // nil: nothing listens for TLS
	Pools      *backend.Pools
	Subscribe  []string
	Ring       *cachewriter.Ring
	Policy     *policy.Policy
	Admin      string
	Stats      string
	Logs       []string
	LogLevel   zapcore.Level
	HideQuery  bool

	Subscriptions *subscription.Registry // nil: none
}

// maxTTL is where memcached begins to take an expiry for a date.
const maxTTL = 30 * 24 * time.Hour

// Files are what other files say that no flag can.
type Files struct {
	File  *ConfigFile      // of --config
	Nginx *parity.Settings // of --nginx; nil: not given
}

// ReadFiles reads --config and --nginx, and sets the flags of the command that they
// are about and nothing above them has set: the command line, the environment, and for
// nginx the file of --config.
func ReadFiles(c *cli.Context) (f Files, err error) {
	if f.File, err = ApplyFile(c); err != nil {
		return f, err
	}
	f.Nginx, err = applyNginx(c)
	return f, err
}

// ParseConfig reads every flag, and what the files say besides, and reports all that
// is wrong at once.
func ParseConfig(c *cli.Context, f Files) (*Config, error) {
	cfg := Config{Files: f}
	var errs []error
	for _, step := range []func(*cli.Context, *Config) error{
		parseWires, parsePools, parseSubscriptions, parseKey, ParsePolicy, ParseTimeouts, parseLogs,
	} {
		errs = append(errs, step(c, &cfg))
	}
	return &cfg, errors.Join(errs...)
}

func parseWires(c *cli.Context, cfg *Config) error {
	var errs []error
	cfg.Listen = c.StringSlice("listen")
	for _, addr := range cfg.Listen {
		if _, _, _, err := ParseListen(addr); err != nil {
			errs = append(errs, fmt.Errorf("--listen: %w", err))
		}
	}
	mode, err := strconv.ParseUint(c.String("socket-mode"), 8, 9)
	if err != nil {
		errs = append(errs, fmt.Errorf("--socket-mode %q: write an octal file mode, as in 0660", c.String("socket-mode")))
	}
	cfg.SocketMode = os.FileMode(mode)
	for _, s := range c.StringSlice("allow-peer") {
		p, err := parseNetwork(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("--allow-peer %q: write a network as 10.0.0.0/8, or one address", s))
		}
		cfg.Peers = append(cfg.Peers, p)
	}
	errs = append(errs, parseUsers(c, cfg), parseTLS(c, cfg))
	return errors.Join(errs...)
}

func parseNetwork(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func parseKey(c *cli.Context, cfg *Config) error {
	if len(c.StringSlice("memcached")) == 0 {
		return errors.New("--memcached is missing: name the server of your memcached_pass as it is written there, as in --memcached 127.0.0.1:11211")
	}
	var err error
	cfg.Ring, err = ParseRing(c)
	return err
}

// ParseRing makes the ring of --memcached and --hash. It looks names up.
func ParseRing(c *cli.Context) (*cachewriter.Ring, error) {
	method, servers, err := ParseServers(c)
	if err != nil {
		return nil, err
	}
	ring, err := cachewriter.NewRing(method, servers...)
	if err != nil {
		return nil, fmt.Errorf("--memcached: %w", err)
	}
	return ring, nil
}

// ParseServers reads --hash and --memcached. It looks names up.
func ParseServers(c *cli.Context) (cachewriter.Method, []cachewriter.Server, error) {
	method, err := cachewriter.ParseMethod(c.String("hash"))
	if err != nil {
		return 0, nil, fmt.Errorf("--hash: %w", err)
	}
	ctx, cancel := context.WithTimeout(c.Context, 10*time.Second)
	defer cancel()
	var servers []cachewriter.Server
	for _, s := range c.StringSlice("memcached") {
		server, err := cachewriter.ParseServer(s)
		if err != nil {
			return 0, nil, fmt.Errorf("--memcached: %w", err)
		}
		if server, err = server.Resolve(ctx, nil); err != nil {
			return 0, nil, fmt.Errorf("--memcached: %w", err)
		}
		servers = append(servers, server)
	}
	return method, servers, nil
}

// ParseTemplate reads the key's template as it is --key's, or what stands in for it.
func ParseTemplate(c *cli.Context, key string) (*policy.Template, error) {
	t, err := policy.ParseTemplate(cmp.Or(key, snippet.DefaultKey))
	if err != nil {
		return nil, fmt.Errorf("--key: %w", err)
	}
	if v := c.String("nginx-version"); v != "" {
		if t.Nginx, err = policy.ParseVersion(v); err != nil {
			return nil, fmt.Errorf("--nginx-version: %w", err)
		}
	}
	return t, nil
}

// Template is the key's, "" if that is not known: --key, or what --nginx says.
func (f Files) Template(c *cli.Context) string {
	if key := c.String("key"); key != "" || f.Nginx == nil {
		return key
	}
	return f.Nginx.Key
}

// DerivedKey is the template of a key that nginx does not hand over, else "".
func (f Files) DerivedKey(c *cli.Context) string {
	if f.Nginx != nil && f.Nginx.HandedOver {
		return c.String("key")
	}
	return f.Template(c)
}

func ParsePolicy(c *cli.Context, cfg *Config) error {
	var errs []error
	p := &policy.Policy{
		DefaultTTL:      c.Duration("ttl"),
		MinTTL:          c.Duration("min-ttl"),
		Grace:           c.Duration("grace"),
		StaleIfError:    c.Duration("stale-if-error"),
		MaxTTL:          c.Duration("max-ttl"),
		MaxBody:         int64(*c.Generic("max-object").(*Size)),
		Exclude:         c.StringSlice("exclude"),
		HitType:         c.String("hit-type"),
		TemplateIsProof: cfg.DerivedKey(c) != "",
		StrictHeaders:   c.Bool("strict-headers"),
		TrustedHeaders:  c.StringSlice("trusted-header"),
		AllowedHosts:    c.StringSlice("allowed-host"),
		AllowRewrites:   c.Bool("allow-rewrites") || cfg.Nginx != nil && cfg.Nginx.RewritesProven,
		OpaqueKey:       c.Bool("opaque-key"),
		Observe:         c.Bool("observe"),

		TrustForwardedProto: c.Bool("trust-forwarded-proto"),
	}
	if cfg.Ring != nil {
		p.Servers = cfg.Ring.Has
	}
	errs = append(errs,
		replaceDefaults(c, "sentinel", &p.Sentinels))
	var err error
	p.Visitors, err = ParseVisitors(c, cfg.constantVars()...)
	errs = append(errs, err)
	p.Template, err = ParseTemplate(c, cfg.Template(c))
	errs = append(errs, err)
	if p.Template != nil {
		p.Template.Visitors = p.Visitors
	}
	errs = append(errs, checkFlights(c), checkConnections(c), checkTTLs(p), checkExcludes(p.Exclude), checkTrusted(p.TrustedHeaders), checkAllowed(p.AllowedHosts))
	if _, _, err := mime.ParseMediaType(p.HitType); err != nil {
		errs = append(errs, fmt.Errorf("--hit-type %q: write a Content-Type, as in text/html; charset=utf-8", p.HitType))
	}
	if s := c.String("bypass-arg"); s != "" {
		if p.Bypass, err = policy.ParseBypass(s); err != nil {
			errs = append(errs, fmt.Errorf("--bypass-arg: %w", err))
		}
	}
	if p.Format, err = policy.ParseFormat(c.String("format")); err != nil {
		errs = append(errs, fmt.Errorf("--format %q: %w", c.String("format"), err))
	}
	p.GzipFlag = uint32(c.Uint("gzip-flag"))
	p.Rules, err = policyRules(cfg.File.Rules, cfg.DerivedKey(c), p.Format)
	errs = append(errs, err, parseHits(c, cfg.Files, p), parseChoices(c, p))
	cfg.Policy = p
	return errors.Join(errs...)
}

// ParseVisitors reads the flags that say what requests tell of their visitors. A flag
// that the command does not have says nothing. constants are vars that are harmless, too.
func ParseVisitors(c *cli.Context, constants ...string) (*policy.Visitors, error) {
	var errs []error
	read := func(flag string, isName func(string) bool, example string) []string {
		values := c.StringSlice(flag)
		for i, s := range values {
			if s == "none" && i == 0 {
				continue
			}
			if s == "none" || !isName(s) {
				errs = append(errs, fmt.Errorf("--%s %q: write a name alone, as in %s; none as the first value drops the defaults", flag, s, example))
			}
		}
		return values
	}
	names := policy.VisitorNames{
		IdentityCookies: read("identity-cookie", isCookieName, "sessionid"),
		TokenCookies:    read("token-cookie", isCookieName, "csrftoken"),
		HarmlessCookies: read("harmless-cookie", isCookieName, "theme"),
		IdentityHeaders: read("identity-header", IsHeaderName, "X-Api-Key"),
		HarmlessHeaders: read("harmless-header", IsHeaderName, "Cf-Ipcountry"),
		HarmlessVars:    append(read("harmless-var", IsHeaderName, "GEOIP_COUNTRY"), constants...),
	}
	return policy.NewVisitors(names), errors.Join(errs...)
}

// constantVars are those whose value in nginx's configuration has no variables. Names of
// headers are not among them: a client may send the same header.
func (f Files) constantVars() (names []string) {
	if f.Nginx == nil {
		return nil
	}
	for _, name := range f.Nginx.ConstantVars {
		if !strings.HasPrefix(name, "HTTP_") {
			names = append(names, name)
		}
	}
	return names
}

// isCookieName leaves out what separates cookies, and what no reader takes for a part of
// a name.
func isCookieName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`;,="\[]`, r) })
}

// replaceDefaults sets a list that is nil, for its defaults, unless the flag was
// given. The word none empties it: an empty value, which a forgotten variable of
// the environment has too, must not take a protection away.
func replaceDefaults(c *cli.Context, flag string, list *[]string) error {
	switch values := c.StringSlice(flag); {
	case len(values) == 0:
	case len(values) == 1 && values[0] == "none":
		*list = []string{}
	case slices.Contains(values, ""), slices.Contains(values, "none"):
		return fmt.Errorf("--%s %q: leave the flag out to have its defaults, or write none, alone, to have none", flag, values)
	default:
		*list = values
	}
	return nil
}

func checkConnections(c *cli.Context) error {
	if n := c.Int("max-connections"); n < 0 {
		return fmt.Errorf("--max-connections %d: give a number from 1 on, or 0 for a number that fits the limit of open files", n)
	}
	return nil
}

// checkFlights looks at what is about many requests for one page.
func checkFlights(c *cli.Context) error {
	var errs []error
	if d := c.Duration("coalesce-wait"); d < 0 {
		errs = append(errs, fmt.Errorf("--coalesce-wait %v: give a time, or 0s for requests not to wait for each other", d))
	}
	for _, flag := range []string{"coalesce-followers", "refresh-concurrency"} {
		if n := c.Int(flag); n < 1 {
			errs = append(errs, fmt.Errorf("--%s %d: give a number from 1 on; --coalesce-wait 0s and --refresh-ahead=false turn off", flag, n))
		}
	}
	if c.Bool("fleet") && c.Duration("coalesce-wait") == 0 {
		errs = append(errs, errors.New("--fleet: with --coalesce-wait 0s no request waits for another gateway either; leave one of the two out"))
	}
	if c.Duration("grace") > 0 && !c.Bool("refresh-ahead") {
		errs = append(errs, errors.New("--grace: with --refresh-ahead=false nobody fetches pages anew while they are served; leave one of the two out"))
	}
	return errors.Join(errs...)
}

func checkTTLs(p *policy.Policy) error {
	var errs []error
	for _, t := range []struct {
		flag string
		ttl  time.Duration
	}{{"ttl", p.DefaultTTL}, {"min-ttl", p.MinTTL}, {"max-ttl", p.MaxTTL}} {
		if t.ttl < 0 || t.ttl > maxTTL || t.ttl > 0 && t.ttl < time.Second {
			errs = append(errs, fmt.Errorf("--%s %v: a lifetime is from 1s to 720h, the longest that memcached does not take for a date", t.flag, t.ttl))
		}
	}
	for _, t := range []struct {
		flag string
		more time.Duration
	}{{"grace", p.Grace}, {"stale-if-error", p.StaleIfError}} {
		if t.more < 0 || t.more > p.MaxTTL {
			errs = append(errs, fmt.Errorf("--%s %v: give a time from 0s, for not at all, to --max-ttl, which is %v", t.flag, t.more, p.MaxTTL))
		}
	}
	if p.MaxTTL == 0 {
		errs = append(errs, errors.New("--max-ttl 0s: nothing would be stored; give a lifetime from 1s to 720h"))
	}
	if p.MinTTL > p.MaxTTL {
		errs = append(errs, fmt.Errorf("--min-ttl %v is over --max-ttl %v: lower one or raise the other", p.MinTTL, p.MaxTTL))
	}
	return errors.Join(errs...)
}

func checkExcludes(prefixes []string) error {
	for _, s := range prefixes {
		if !strings.HasPrefix(s, "/") {
			return fmt.Errorf("--exclude %q: a path starts with a slash, as in /admin", s)
		}
	}
	return nil
}

func checkTrusted(names []string) error {
	for _, s := range names {
		if !IsHeaderName(s) {
			return fmt.Errorf("--trusted-header %q: write the name of a header alone, as in X-Forwarded-Host", s)
		}
	}
	return nil
}

func checkAllowed(hosts []string) error {
	for _, s := range hosts {
		if err := checkHost(s); err != nil {
			return fmt.Errorf("--allowed-host %q: %w", s, err)
		}
	}
	return nil
}

// parseHits is about what nginx's location makes of a hit.
func parseHits(c *cli.Context, f Files, p *policy.Policy) error {
	var errs []error
	for _, s := range c.StringSlice("nginx-adds") {
		name, value, _ := strings.Cut(s, ":")
		value = strings.TrimSpace(value)
		if !IsHeaderName(name) || value == "" {
			errs = append(errs, fmt.Errorf("--nginx-adds %q: write NAME: VALUE, as in \"X-Frame-Options: DENY\" for nginx's `add_header X-Frame-Options DENY;`", s))
			continue
		}
		p.NginxAdds = append(p.NginxAdds, uwsgi.Field{Name: name, Value: value})
	}
	if path := c.String("mime-types"); path != "" {
		var err error
		if p.Types, err = nginxconf.ReadTypes(path); err != nil {
			errs = append(errs, fmt.Errorf("--mime-types: %w", err))
		}
	} else if f.Nginx != nil {
		p.Types = f.Nginx.Types
	}
	return errors.Join(errs...)
}

// IsHeaderName is RFC 9110 §5.1.
func IsHeaderName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !IsVarName(string(c)) && strings.IndexByte("!#$%&'*+^`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// IsVarName is about names as nginx's uwsgi_param gives them, which no request
// line begins with.
func IsVarName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return s != ""
}

// parseChoices is about flags that take one of a few words, or a share.
func parseChoices(c *cli.Context, p *policy.Policy) error {
	var errs []error
	switch s := c.String("vary-cookie"); s {
	case "refuse":
	case "anonymous":
		p.VaryCookieAnonymous = true
	default:
		errs = append(errs, fmt.Errorf("--vary-cookie %q: write refuse; or anonymous, if nginx looks up nobody with an identity cookie", s))
	}
	switch s := c.String("accept-unframed"); s {
	case "":
	case "html":
		p.AcceptUnframed = true
	default:
		errs = append(errs, fmt.Errorf("--accept-unframed %q: there is html only, for pages that end in </html>; without the flag no page without a length is stored", s))
	}
	var err error
	if p.Jitter, err = parseShare(c.String("jitter")); err != nil {
		errs = append(errs, fmt.Errorf("--jitter %q: %w", c.String("jitter"), err))
	}
	return errors.Join(errs...)
}

// parseShare reads "5%" as 0.05.
func parseShare(s string) (float64, error) {
	digits, ok := strings.CutSuffix(s, "%")
	percent, err := strconv.ParseFloat(digits, 64)
	switch {
	case s == "0":
		return 0, nil
	case !ok || err != nil || !(percent >= 0 && percent <= 50):
		return 0, errors.New("write a share of the lifetime from 0% to 50%, as in 5%")
	}
	return percent / 100, nil
}

func ParseTimeouts(c *cli.Context, _ *Config) error {
	var errs []error
	for _, name := range []string{"first-byte-timeout", "idle-timeout", "memcached-connect-timeout", "memcached-timeout"} {
		if d := c.Duration(name); d <= 0 {
			errs = append(errs, fmt.Errorf("--%s %v: give a time over 0, as in 1s", name, d))
		}
	}
	for _, name := range []string{"send-timeout", "total-timeout"} {
		if d := c.Duration(name); d < 0 {
			errs = append(errs, fmt.Errorf("--%s %v: give a time, as in 5m, or 0s for no bound", name, d))
		}
	}
	if n := c.Uint("gzip-flag"); n == 0 || n > math.MaxUint32 || n&(n-1) != 0 {
		errs = append(errs, fmt.Errorf("--gzip-flag %d: give one bit, 1, 2, 4 and so on, the same as nginx's memcached_gzip_flag", n))
	}
	if n := c.Int("queue-entries"); n <= 0 {
		errs = append(errs, fmt.Errorf("--queue-entries %d: give a number over 0", n))
	}
	return errors.Join(errs...)
}

// minToken keeps a token from being guessed.
const minToken = 16

// IsAbstract reports whether an address is that of a UNIX socket without a file, which
// no mode guards.
func IsAbstract(addr string) bool {
	network, name, err := backend.ParseAddr(addr)
	return err == nil && network == "unix" && strings.HasPrefix(name, "@")
}

func parseLogs(c *cli.Context, cfg *Config) error {
	var errs []error
	cfg.Logs = c.StringSlice("log")
	cfg.Admin = c.String("admin")
	cfg.Stats = c.String("stats")
	for _, flag := range []string{"admin", "stats"} {
		addr := c.String(flag)
		if addr == "" {
			continue
		}
		if _, _, err := backend.ParseAddr(addr); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	if IsAbstract(cfg.Admin) && c.String("admin-token") == "" {
		errs = append(errs, fmt.Errorf("--admin %s: every process of this network namespace may connect to an abstract socket, whoever runs it; give an --admin-token, or a path, as in --admin unix:/run/uwgate-admin.sock", cfg.Admin))
	}
	if s := c.String("admin-token"); s != "" && (len(s) < minToken || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })) {
		errs = append(errs, fmt.Errorf("--admin-token: give at least %d letters and digits, as from `openssl rand -hex 16`", minToken))
	}
	if err := cfg.LogLevel.Set(c.String("log-level")); err != nil {
		errs = append(errs, fmt.Errorf("--log-level %q: there are debug, info, warn and error", c.String("log-level")))
	}
	switch s := c.String("log-query"); s {
	case "on":
	case "off":
		cfg.HideQuery = true
	default:
		errs = append(errs, fmt.Errorf("--log-query %q: write on or off", s))
	}
	return errors.Join(errs...)
}
