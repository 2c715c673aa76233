package settings

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"

	"uwgate/gateway/backend"
	"uwgate/uwsgi"
)

// A poolKey is an option of pools: a flag for all of them, and a key of one in a
// configuration file. Its set takes one value, which is all that there is unless
// the key is a list.
type poolKey struct {
	name string
	list bool
	set  func(p *backend.Pool, value string) error
}

// poolKeys are all of them, in the order of docs/pools.md.
var poolKeys = []poolKey{
	{"choice", false, setChoice},
	{"connect-timeout", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.DialTimeout })},
	{"queue-length", false, setQueueLength},
	{"queue-timeout", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.QueueTimeout })},
	{"slow-start", false, setSlowStart},
	{"buffer-size", false, setBufferSize},
	{"max-vars", false, poolNumber(65535, func(p *backend.Pool, n int) { p.MaxVars = n })},
	{"modifier1", false, poolNumber(255, func(p *backend.Pool, n int) { p.Modifier1 = uint8(n) })},
	{"modifier2", false, poolNumber(255, func(p *backend.Pool, n int) { p.Modifier2 = uint8(n) })},
	{"allow-var", true, addAllowVar},
	{"set-var", true, addSetVar},
	{"probe", false, setProbe},
	{"probe-interval", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.ProbeInterval })},
	{"probe-timeout", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.ProbeTimeout })},
	{"resolve-interval", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.ResolveInterval })},
}

func poolFlags() []cli.Flag {
	return []cli.Flag{
		text(CatPools, "choice", "`HOW` a server is chosen: auto, round-robin, least-busy, hash-key or hash-client; auto is least-busy if all cores=N are known, else round-robin", "auto"),
		period(CatPools, "connect-timeout", "for a connection to a backend, all attempts together", time.Second),
		text(CatPools, "queue-length", "`NUMBER` of requests that may wait for a server while all have max-conns=N or cores=N", "1024"),
		period(CatPools, "queue-timeout", "for that wait", 10*time.Second),
		period(CatPools, "slow-start", "in which the share of a server that is new or back grows to the full one", 0),
		text(CatPools, "buffer-size", "`SIZE` of the workers' buffer-size; a request over it is answered 431", "65535"),
		text(CatPools, "max-vars", "`NUMBER` of vars that the workers take, 128 unless uWSGI has a max-vars; a request over it is answered 431; 0 for no bound", "0"),
		text(CatPools, "modifier1", "`NUMBER` in the header of requests", "0"),
		text(CatPools, "modifier2", "`NUMBER` in the header of requests", "0"),
		List(CatPools, "allow-var", "`NAME` or NAME=VALUE of a UWSGI_* var that may reach the workers (repeatable)"),
		List(CatPools, "set-var", "`NAME=VALUE` of a var that the workers get in place of the request's (repeatable)"),
		text(CatPools, "probe", "`WHAT` a server in doubt is asked: ping, connect, or the path of a page, as in /health or www.example.com/health", "ping"),
		period(CatPools, "probe-interval", "between the probes of a server that does not answer", 5*time.Second),
		period(CatPools, "probe-timeout", "for one probe", 2*time.Second),
		period(CatPools, "resolve-interval", "after which names of backends are looked up again", 30*time.Second),
		&cli.StringFlag{Category: CatPools, Name: "host-map", EnvVars: env("host-map"), TakesFile: true,
			Usage: "read from this `FILE` which host has which pool or servers, a line each; it is read again when it changes (docs/pools.md)"},
		toggle(CatPools, "trust-router-key", "let UWSGI_FASTROUTER_KEY choose the pool, before the host", false),
	}
}

// A poolSpec is one of a configuration file's `pools:`.
type poolSpec struct {
	place   string // file:line of its beginning
	name    string
	hosts   []string
	servers []string
	options []poolOption
}

// A poolOption is a key of a pool and its values.
type poolOption struct {
	place  string
	key    *poolKey
	values []string
}

// parsePools makes the pools of the flags and of the file.
func parsePools(c *cli.Context, cfg *Config) error {
	cfg.Pools = &backend.Pools{TrustKey: c.Bool("trust-router-key"), Make: func(servers ...string) (*backend.Pool, error) { return makePool(c, servers) }}
	var errs []error
	servers := c.StringSlice("backend")
	switch {
	case len(servers) > 0:
		var err error
		if cfg.Pools.Default, err = backend.NewPool(servers...); err != nil {
			errs = append(errs, fmt.Errorf("--backend: %w", err))
		}
	case len(cfg.File.Pools) == 0 && c.String("host-map") == "" && len(c.StringSlice("subscribe")) == 0:
		errs = append(errs, errors.New("--backend is missing: name your uWSGI socket, as in --backend unix:/run/app.sock"))
	}
	if p := cfg.Pools.Default; p != nil {
		errs = append(errs, applyPoolFlags(c, p))
	} else {
		errs = append(errs, applyPoolFlags(c, &backend.Pool{}))
	}
	for _, s := range cfg.File.Pools {
		errs = append(errs, addPool(c, cfg.Pools, s))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if path := c.String("host-map"); path != "" {
		if err := cfg.Pools.Load(path); err != nil {
			return fmt.Errorf("--host-map: %w", err)
		}
	}
	return nil
}

// makePool makes a pool with the options of the flags.
func makePool(c *cli.Context, servers []string) (*backend.Pool, error) {
	p, err := backend.NewPool(servers...)
	if err != nil {
		return nil, err
	}
	return p, applyPoolFlags(c, p)
}

func applyPoolFlags(c *cli.Context, p *backend.Pool) error {
	var errs []error
	for i := range poolKeys {
		k := &poolKeys[i]
		values := c.StringSlice(k.name)
		if !k.list {
			values = []string{c.String(k.name)}
		}
		for _, v := range values {
			if err := k.set(p, v); err != nil {
				errs = append(errs, fmt.Errorf("--%s %q: %w", k.name, v, err))
			}
		}
	}
	return errors.Join(errs...)
}

// addPool makes the pool of a file: the flags hold for it, unless it says
// otherwise.
func addPool(c *cli.Context, pools *backend.Pools, s poolSpec) error {
	p, err := backend.NewPool(s.servers...)
	if err != nil {
		return fmt.Errorf("%s: pool: %w", s.place, err)
	}
	p.Name = s.name
	applyPoolFlags(c, p) // their errors have been reported
	for _, o := range s.options {
		if o.key.list {
			o.clear(p)
		}
		for _, v := range o.values {
			if err := o.key.set(p, v); err != nil {
				return fmt.Errorf("%s: pool: %s %q: %w", o.place, o.key.name, v, err)
			}
		}
	}
	if err := pools.Add(p, s.hosts...); err != nil {
		return fmt.Errorf("%s: pool: %w", s.place, err)
	}
	return nil
}

// clear takes away what the flags have put into a list.
func (o *poolOption) clear(p *backend.Pool) {
	if o.key.name == "set-var" {
		p.SetVars = nil
	} else {
		p.AllowVars = nil
	}
}

// parsePoolSpecs reads the value of `pools:` and reports all that is wrong in it.
// path is for messages.
func parsePoolSpecs(path string, n *yaml.Node) ([]poolSpec, error) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		return nil, fmt.Errorf("%s:%d: pools is a list of pools, each of which begins with a dash, as in `- name: shop`", path, n.Line)
	}
	var specs []poolSpec
	var errs []error
	names := make(map[string]bool)
	for _, item := range n.Content {
		s, err := parsePoolSpec(path, resolve(item))
		if err == nil && names[s.name] {
			err = fmt.Errorf("%s: pool: there is a pool %q above; choose another name", s.place, s.name)
		}
		names[s.name] = true
		specs = append(specs, s)
		errs = append(errs, err)
	}
	return specs, errors.Join(errs...)
}

func parsePoolSpec(path string, n *yaml.Node) (poolSpec, error) {
	s := poolSpec{place: fmt.Sprintf("%s:%d", path, n.Line)}
	if n.Kind != yaml.MappingNode {
		return s, fmt.Errorf("%s: a pool is lines of `key: value`, as in `- name: shop`", s.place)
	}
	var errs []error
	seen := make(map[string]bool)
	for i := 0; i < len(n.Content); i += 2 {
		key := n.Content[i]
		place := fmt.Sprintf("%s:%d", path, key.Line)
		err := s.set(place, key.Value, n.Content[i+1])
		if seen[key.Value] {
			err = fmt.Errorf("%s stands here a second time", key.Value)
		}
		seen[key.Value] = true
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: pool: %w", place, err))
		}
	}
	if len(errs) == 0 && (s.name == "" || len(s.servers) == 0) {
		errs = append(errs, fmt.Errorf("%s: pool: a pool has a name, and servers under backend", s.place))
	}
	return s, errors.Join(errs...)
}

// set takes in one key.
func (s *poolSpec) set(place, key string, n *yaml.Node) error {
	k := findPoolKey(key)
	if k == nil && !slices.Contains(poolOwnKeys, key) {
		return unknownPoolKey(key)
	}
	values, err := scalars(n)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if len(values) > 1 && (key == "name" || k != nil && !k.list) {
		return fmt.Errorf("%s takes one value, not a list", key)
	}
	switch key {
	case "name":
		s.name = values[0]
		if strings.ContainsAny(s.name, ":/@ ,") || s.name == "default" {
			return fmt.Errorf("name %q: write one word, not default, without : / @ and comma", s.name)
		}
	case "hosts":
		s.hosts = values
	case "backend":
		s.servers = values
	default:
		s.options = append(s.options, poolOption{place, k, values})
		return nil
	}
	return nil
}

// poolOwnKeys are those that are no flag's, or not in the same sense.
var poolOwnKeys = []string{"name", "hosts", "backend"}

func findPoolKey(name string) *poolKey {
	for i := range poolKeys {
		if poolKeys[i].name == name {
			return &poolKeys[i]
		}
	}
	return nil
}

func unknownPoolKey(name string) error {
	names := slices.Clone(poolOwnKeys)
	for _, k := range poolKeys {
		names = append(names, k.name)
	}
	return suggest(fmt.Errorf("unknown key %q", name), name, names)
}

func setChoice(p *backend.Pool, s string) (err error) {
	p.Choice, err = backend.ParseChoice(s)
	return err
}

func setProbe(p *backend.Pool, s string) (err error) {
	p.Probe, err = backend.ParseProbe(s)
	return err
}

// poolTime sets the field that of finds.
func poolTime(of func(*backend.Pool) *time.Duration) func(*backend.Pool, string) error {
	return func(p *backend.Pool, s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d <= 0 {
			return errors.New("give a time over 0, as in 1s")
		}
		*of(p) = d
		return nil
	}
}

func setSlowStart(p *backend.Pool, s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return errors.New("give a time, as in 30s, or 0s for none")
	}
	p.SlowStart = d
	return nil
}

func poolNumber(most int, set func(*backend.Pool, int)) func(*backend.Pool, string) error {
	return func(p *backend.Pool, s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > most {
			return fmt.Errorf("give a number from 0 to %d", most)
		}
		set(p, n)
		return nil
	}
}

// setQueueLength makes the 0 of whoever wants no queue the pool's way to say so.
func setQueueLength(p *backend.Pool, s string) error {
	return poolNumber(1<<20, func(p *backend.Pool, n int) {
		if p.QueueLength = n; n == 0 {
			p.QueueLength = -1
		}
	})(p, s)
}

func setBufferSize(p *backend.Pool, s string) error {
	var n Size
	if err := n.Set(s); err != nil {
		return err
	}
	// uWSGI takes 64k for this.
	if n == 64<<10 {
		n--
	}
	if n < 1 || n > 65535 {
		return errors.New("give the workers' buffer-size, 65535 at most; uWSGI's default is 4096")
	}
	p.BufferSize = int(n)
	return nil
}

func addAllowVar(p *backend.Pool, s string) error {
	name, _, _ := strings.Cut(s, "=")
	if !strings.HasPrefix(name, "UWSGI_") || !IsVarName(name) {
		return errors.New("write the name of a UWSGI_* var, alone or with the one value that is allowed, as in UWSGI_SCHEME=https; all others pass anyway or never do")
	}
	p.AllowVars = append(p.AllowVars, s)
	return nil
}

func addSetVar(p *backend.Pool, s string) error {
	name, value, ok := strings.Cut(s, "=")
	switch {
	case !ok || !IsVarName(name):
		return errors.New("write NAME=VALUE, as in SCRIPT_NAME=/app")
	case slices.Contains([]string{"CONTENT_LENGTH", "REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "PATH_INFO"}, name):
		return errors.New("this var is the request itself; it cannot be set")
	case strings.ContainsAny(value, "\r\n\x00"):
		return errors.New("the value holds a line break or a zero byte")
	}
	p.SetVars = slices.Clone(p.SetVars).Set(uwsgi.Var{Name: name, Value: value})
	return nil
}
