package settings

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"uwgate/gateway/backend"
)

// A poolKey is an option of pools: a setting for all of them, and a key of one in the
// configuration file. Its set reads one value, which is all that there is unless the key
// is a list.
type poolKey struct {
	name string
	word string // its kind, in docs/settings.md
	list bool
	set  func(p *backend.Pool, value string) error

	value, example, help string
}

// poolKeys are all of them, in the order of docs/pools.md.
var poolKeys = []poolKey{
	{"choice", "auto, round-robin, least-busy, hash-key, hash-client", false, setChoice, "auto", "least-busy",
		"choose servers by this `METHOD`: auto, round-robin, least-busy, hash-key or hash-client; auto is least-busy if every server has cores=N, else round-robin"},
	{"connect-timeout", "time", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.DialTimeout }), "1s", "500ms",
		"wait this `TIME` at most for a connection to a backend, all attempts together"},
	{"queue-length", "number", false, setQueueLength, "1024", "100",
		"queue this `NUMBER` of requests at most while all servers have max-conns=N or cores=N requests; 0 queues none"},
	{"queue-timeout", "time", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.QueueTimeout }), "10s", "5s",
		"keep a request in the queue for this `TIME` at most"},
	{"slow-start", "time", false, setSlowStart, "0s", "30s",
		"raise the share of a server that is new or back to the full one within this `TIME`; 0s does so at once"},
	{"buffer-size", "size", false, setBufferSize, "65535", "32768",
		"answer 431 to a request whose vars are larger than this `SIZE`, the workers' buffer-size (uWSGI's default is 4096)"},
	{"max-vars", "number", false, poolNumber(65535, func(p *backend.Pool, n int) { p.MaxVars = n }), "0", "128",
		"answer 431 to a request with more than this `NUMBER` of vars, 128 unless uWSGI has a max-vars; 0 for no bound"},
	{"modifier1", "number", false, poolNumber(255, func(p *backend.Pool, n int) { p.Modifier1 = uint8(n) }), "0", "5",
		"send requests with this `NUMBER` as modifier1"},
	{"modifier2", "number", false, poolNumber(255, func(p *backend.Pool, n int) { p.Modifier2 = uint8(n) }), "0", "1",
		"send requests with this `NUMBER` as modifier2"},
	{"allow-var", "var", true, addAllowVar, "", "UWSGI_SCHEME=https",
		"pass this UWSGI_* var, `NAME` or NAME=VALUE, on to the workers"},
	{"set-var", "NAME=VALUE", true, addSetVar, "", "SCRIPT_NAME=/app",
		"give the workers this var, `NAME=VALUE`, in place of the request's"},
	{"probe", "ping, connect or a path", false, setProbe, "ping", "/health",
		"test a server that failed with this `PROBE`: ping, connect, or the path of a page, as in /health or www.example.com/health"},
	{"probe-interval", "time", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.ProbeInterval }), "5s", "2s",
		"probe a server that failed once in this `TIME`"},
	{"probe-timeout", "time", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.ProbeTimeout }), "2s", "1s",
		"wait this `TIME` at most for the response to a probe"},
	{"resolve-interval", "time", false, poolTime(func(p *backend.Pool) *time.Duration { return &p.ResolveInterval }), "30s", "1m",
		"look up the names of backends again after this `TIME`"},
}

func backendRows() []row {
	rows := []row{{
		name: "backend", kind: texts("server", func(s *Settings) *[]string { return &s.Backends.Servers }, checkBackend), example: "unix:/run/app.sock",
		help: "forward requests to this uWSGI `SERVER`, an address and parameters, as in \"unix:/run/app.sock weight=2 max-conns=8\" (docs/pools.md)",
	}}
	for i := range poolKeys {
		rows = append(rows, poolKeys[i].row())
	}
	return append(rows,
		row{name: "host-map", kind: text("file", func(s *Settings) *string { return &s.Backends.HostMap }, nil), example: "/etc/uwgate.hosts",
			help: "read from this `FILE` which host has which pool or servers, one line each; uwgate reads it again when it changes (docs/pools.md)"},
		row{name: "trust-router-key", kind: toggle(func(s *Settings) *bool { return &s.Backends.TrustRouterKey }), defaults: []string{"false"}, example: "true",
			help: "choose the pool by UWSGI_FASTROUTER_KEY, and by the host where there is none"},
		row{name: "ask-to-close", kind: toggle(func(s *Settings) *bool { return &s.Backends.AskToClose }), defaults: []string{"false"}, example: "true", restart: true,
			help: "ask backends, by HTTP_CONNECTION, to close the connection after the response; gunicorn's uwsgi protocol needs it"},
		row{name: "trust-forwarded-proto", kind: toggle(func(s *Settings) *bool { return &s.Backends.TrustScheme }), defaults: []string{"false"}, example: "true", restart: true,
			help: "pass clients' X-Forwarded-Proto and X-Forwarded-Ssl on to the application"},
	)
}

// row is the key as a setting for all pools.
func (k *poolKey) row() row {
	r := row{name: k.name, help: k.help, example: k.example}
	if k.value != "" {
		r.defaults = []string{k.value}
	}
	r.kind = kind{
		word: k.word, list: k.list, blank: k.word != "time",
		take: func(s *Settings, value string) error {
			if err := k.set(&backend.Pool{}, value); err != nil {
				return err
			}
			s.Backends.add(k, value)
			return nil
		},
		show: func(s *Settings) string { return fmt.Sprintf("%q", s.Backends.values(k)) },
	}
	return r
}

func checkBackend(text string) error {
	if err := noScheme(text); err != nil {
		return err
	}
	_, err := backend.NewPool(text)
	return err
}

// add notes a value of an option of all pools.
func (b *Backends) add(k *poolKey, value string) {
	if i := b.find(k); i >= 0 {
		b.options[i].values = append(b.options[i].values, value)
		return
	}
	b.options = append(b.options, poolOption{key: k, values: []string{value}})
}

func (b *Backends) find(k *poolKey) int {
	return slices.IndexFunc(b.options, func(o poolOption) bool { return o.key.name == k.name })
}

// values are those of an option as they are compared: a time that is written in another
// way is the same.
func (b *Backends) values(k *poolKey) []string {
	i := b.find(k)
	if i < 0 {
		return nil
	}
	values := slices.Clone(b.options[i].values)
	if k.word == "time" {
		for i, v := range values {
			d, _ := time.ParseDuration(v)
			values[i] = d.String()
		}
	}
	return values
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

// makePools makes the pools of --backend and of the file.
func (s *Settings) makePools() (*backend.Pools, error) {
	pools := &backend.Pools{TrustKey: s.Backends.TrustRouterKey, Make: s.makePool}
	var errs []error
	switch {
	case len(s.Backends.Servers) > 0:
		var err error
		if pools.Default, err = s.makePool(s.Backends.Servers...); err != nil {
			errs = append(errs, s.Refuse("backend", err))
		}
	case s.bad["backend"], s.bad[poolsKey]:
	case len(s.file.pools) == 0 && s.Backends.HostMap == "" && len(s.Subscribe.Addresses) == 0 && !s.bad["subscribe"]:
		errs = append(errs, errors.New("--backend is missing: name your uWSGI socket, as in --backend unix:/run/app.sock"))
	}
	for _, spec := range s.file.pools {
		errs = append(errs, s.addPool(pools, spec))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if path := s.Backends.HostMap; path != "" {
		if err := pools.Load(path); err != nil {
			return nil, s.Refuse("host-map", err)
		}
	}
	return pools, nil
}

// makePool makes a pool with the options that all pools have.
func (s *Settings) makePool(servers ...string) (*backend.Pool, error) {
	p, err := backend.NewPool(servers...)
	if err != nil {
		return nil, err
	}
	for _, o := range s.Backends.options {
		if err := o.setOn(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// setOn sets the option of a pool.
func (o *poolOption) setOn(p *backend.Pool) error {
	for _, v := range o.values {
		if err := o.key.set(p, v); err != nil {
			return fmt.Errorf("%s %q: %w", o.key.name, v, err)
		}
	}
	return nil
}

// addPool makes the pool of the file: the options of all pools hold for it, unless it
// has others.
func (s *Settings) addPool(pools *backend.Pools, spec poolSpec) error {
	p, err := s.makePool(spec.servers...)
	if err != nil {
		return fmt.Errorf("%s: pool: %w", spec.place, plain(err))
	}
	p.Name = spec.name
	for _, o := range spec.options {
		if o.key.list {
			o.clear(p)
		}
		if err := o.setOn(p); err != nil {
			return fmt.Errorf("%s: pool: %w", o.place, plain(err))
		}
	}
	if err := pools.Add(p, spec.hosts...); err != nil {
		return fmt.Errorf("%s: pool: %w", spec.place, plain(err))
	}
	return nil
}

// clear empties the list: the values of the settings do not count beside those of a pool.
func (o *poolOption) clear(p *backend.Pool) {
	if o.key.name == "set-var" {
		p.SetVars = nil
	} else {
		p.AllowVars = nil
	}
}
