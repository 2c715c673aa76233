package stack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"uwgate/demo/nginx"
	"uwgate/demo/site"
)

// A Config says what to run. Its zero value is the demo site behind nginx and one
// memcached, without uwgate: nothing fills the cache.
type Config struct {
	// Dir is an existing directory for all files of the programs, which Close
	// leaves there. "": a temporary one, which Close removes.
	Dir string
	// Binary is the path of uwgate. "": nginx connects to uWSGI directly.
	Binary string
	// Conf is the configuration of nginx: "recommended" (also if ""), the output of
	// `uwgate nginx`; "recipe"; or the path of a template such as
	// demo/nginx/recipe.conf.
	Conf string
	// Site is appended to the recommended configuration: more of nginx's http context.
	Site string
	// Edits replace texts in the recommended configuration: the first of each pair by
	// the second. A text that is missing is an error.
	Edits [][2]string
	// Format is the --format of uwgate and of the recommended configuration: "body"
	// (also if ""), "gzip" or "http".
	Format string
	// Port is nginx's on loopback; uwgate's admin listener and memcached have the next ones.
	// 0: free ports.
	Port int
	// Memcached is the number of memcached servers. 0: one.
	Memcached int
	// Weights are the weights of the memcached servers, in their order. A server
	// without a weight has 1.
	Weights []int
	// MemcachedSockets puts memcached on UNIX sockets.
	MemcachedSockets bool
	// Hash says how nginx and uwgate choose one of several memcached servers:
	// "consistent" (also if ""), "modulo" or "none".
	Hash string
	// MemcachedArgs are appended to each memcached's command line, such as "-m", "1".
	MemcachedArgs []string
	// ReadsNginx means that uwgate reads nginx's configuration (--nginx). Otherwise
	// flags say the same.
	ReadsNginx bool
	// Listen is uwgate's --listen. "": a UNIX socket in Dir.
	Listen string
	// Backend is uwgate's --backend. "": uWSGI.
	Backend string
	// Args are additional arguments of `uwgate serve` and `uwgate nginx`.
	Args []string
	// NginxArgs are additional arguments of `uwgate nginx` only.
	NginxArgs []string
	// Workers is the number of uWSGI's processes. 0: four.
	Workers int
	// UWSGIArgs are additional arguments of uWSGI.
	UWSGIArgs []string
	// App is a directory with a WSGI application. It replaces the demo site and runs
	// from a copy in Dir/site. "": the demo site.
	App string
	// Module is the callable of App, in the form of uWSGI's --module. "":
	// "app:application".
	Module string
	// Purges lets the demo site purge the pages of articles that change, through nginx.
	Purges bool
	// Faults adds pages for tests: some that break off, below /faults/, and one under
	// each URL that the site does not have, except those below /no/.
	Faults bool
}

// A Stack contains the running programs. Its fields do not change after Start.
type Stack struct {
	Dir       string     // directory of all files
	Admin     string     // "host:port" of uwgate's admin listener, "" without uwgate
	AccessLog string     // uwgate's access log, a JSON object a line
	Memcached []*Process // in the order of nginx's and uwgate's configurations
	UWSGI     *Process
	Uwgate    *Process // nil without Config.Binary
	Nginx     *Process

	cfg    Config
	ownDir bool
}

// Start starts the programs and returns when all of them answer, after about a second.
// After an error nothing is left running. In the caller's directory the logs stay.
func Start(ctx context.Context, cfg Config) (*Stack, error) {
	s, err := newStack(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func newStack(cfg Config) (*Stack, error) {
	cfg.Conf = cmp.Or(cfg.Conf, "recommended")
	cfg.Hash = cmp.Or(cfg.Hash, "consistent")
	cfg.Memcached = cmp.Or(cfg.Memcached, 1)
	cfg.Workers = cmp.Or(cfg.Workers, 4)
	cfg.Module = cmp.Or(cfg.Module, "app:application")
	if !slices.Contains([]string{"consistent", "modulo", "none"}, cfg.Hash) {
		return nil, fmt.Errorf("stack: hash %q: it is consistent, modulo or none", cfg.Hash)
	}
	if len(cfg.Weights) > cfg.Memcached {
		return nil, fmt.Errorf("stack: %d weights for %d memcached servers", len(cfg.Weights), cfg.Memcached)
	}
	if cfg.Format != "" && cfg.Format != "body" && cfg.Binary == "" {
		return nil, fmt.Errorf("stack: format %s: only uwgate stores such values; name its binary", cfg.Format)
	}
	s := &Stack{cfg: cfg}
	if cfg.Binary != "" {
		bin, err := filepath.Abs(cfg.Binary)
		if err != nil {
			return nil, fmt.Errorf("stack: %w", err)
		}
		s.cfg.Binary = bin
	}
	return s, s.makeDir()
}

// makeDir sets s.Dir. The paths of UNIX sockets limit its length.
func (s *Stack) makeDir() error {
	var err error
	if s.cfg.Dir == "" {
		s.ownDir = true
		s.Dir, err = os.MkdirTemp("", "uwgate-demo-")
	} else {
		s.Dir, err = filepath.Abs(s.cfg.Dir)
	}
	if err != nil {
		return fmt.Errorf("stack: directory: %w", err)
	}
	s.AccessLog = s.path("access.log")
	if path := s.path("uwgate.sock"); len(path) > 104 {
		return fmt.Errorf("stack: %s is too long a path for a unix socket: give a shorter directory, or none", path)
	}
	return nil
}

func (s *Stack) start(ctx context.Context) error {
	if err := s.writeFiles(); err != nil {
		return err
	}
	programs, err := s.find("nginx", "memcached", "uwsgi")
	if err != nil {
		return err
	}
	ports, err := s.ports(s.cfg.Memcached + 2)
	if err != nil {
		return err
	}
	s.Memcached = s.memcacheds(programs["memcached"], s.memcachedPlaces(ports[2:]))
	s.Nginx = s.nginx(programs["nginx"], ports[0])
	s.UWSGI = s.uwsgi(programs["uwsgi"])
	backend := s.UWSGI.Addr
	if s.cfg.Binary != "" {
		s.Admin = ports[1]
		s.Uwgate = s.uwgate()
		backend = s.Uwgate.Addr
	}
	err = atOnce(ctx,
		func(ctx context.Context) error { return startAll(ctx, s.Memcached...) },
		func(ctx context.Context) error { return s.writeNginxConf(ctx, programs["nginx"], backend) },
		func(ctx context.Context) error {
			if err := s.prepareSite(ctx); err != nil {
				return err
			}
			return s.UWSGI.Start(ctx)
		})
	if err != nil {
		return err
	}
	if s.Uwgate == nil {
		return s.Nginx.Start(ctx)
	}
	return startAll(ctx, s.Uwgate, s.Nginx)
}

// ports returns n addresses on loopback: those of Config.Port and after it, or free ones.
func (s *Stack) ports(n int) ([]string, error) {
	if s.cfg.Port == 0 {
		return FreePorts(n)
	}
	var addrs []string
	for i := range n {
		addr := fmt.Sprintf("127.0.0.1:%d", s.cfg.Port+i)
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("stack: the programs need the ports %d to %d: %w", s.cfg.Port, s.cfg.Port+n-1, err)
		}
		ln.Close()
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// startAll starts programs that do not need each other to start.
func startAll(ctx context.Context, all ...*Process) error {
	var starts []func(context.Context) error
	for _, p := range all {
		starts = append(starts, p.Start)
	}
	return atOnce(ctx, starts...)
}

// atOnce runs all functions at the same time and returns the first error, which cancels
// the context of the others.
func atOnce(ctx context.Context, all ...func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range all {
		group.Go(func() error { return f(ctx) })
	}
	return group.Wait()
}

// Processes returns all programs, each after those that it connects to.
func (s *Stack) Processes() []*Process {
	all := append(slices.Clone(s.Memcached), s.UWSGI)
	if s.Uwgate != nil {
		all = append(all, s.Uwgate)
	}
	return append(all, s.Nginx)
}

// Close stops all programs, nginx first, and removes the directory if Start made it. The
// error names the programs that did not end well.
func (s *Stack) Close() error {
	errs := []error{stop(s.Nginx), stop(s.Uwgate), stopAll(append(s.Memcached, s.UWSGI))}
	if s.ownDir {
		errs = append(errs, os.RemoveAll(s.Dir))
	}
	return errors.Join(errs...)
}

func stop(p *Process) error {
	if p == nil {
		return nil
	}
	return p.Stop(context.Background())
}

// stopAll stops programs at the same time: memcached and uWSGI take a second each.
func stopAll(all []*Process) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, p := range all {
		wg.Go(func() { errs[i] = stop(p) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// URL returns the address of a page. path begins with a slash.
func (s *Stack) URL(path string) string { return "http://" + s.Nginx.Addr + path }

// KeyTemplate returns the key of the recipe in nginx's syntax, or "" if nginx hands the
// key over.
func (s *Stack) KeyTemplate() string {
	if s.cfg.Conf == "recipe" {
		return ":1:CUSTOMKEY:$request_uri"
	}
	return ""
}

// path returns the path of a file in s.Dir.
func (s *Stack) path(name string) string { return filepath.Join(s.Dir, name) }

// memcachedLines returns the servers as in nginx.conf.
func (s *Stack) memcachedLines() []string {
	lines := s.memcachedAddrs()
	for i, weight := range s.cfg.Weights {
		lines[i] += fmt.Sprintf(" weight=%d", weight)
	}
	return lines
}

// memcachedAddrs returns the servers' addresses only.
func (s *Stack) memcachedAddrs() []string {
	var addrs []string
	for _, m := range s.Memcached {
		addrs = append(addrs, m.Addr)
	}
	return addrs
}

// writeFiles fills the directory: the site, nginx's includes, directories for temporary
// files.
func (s *Stack) writeFiles() error {
	for _, dir := range []string{"site", "data", "tmp"} {
		if err := os.MkdirAll(s.path(dir), 0o755); err != nil {
			return fmt.Errorf("stack: directory: %w", err)
		}
	}
	if err := s.copySite(); err != nil {
		return err
	}
	return copyFiles(s.Dir, nginx.Includes)
}

func (s *Stack) copySite() error {
	if s.cfg.App == "" {
		return copyFiles(s.path("site"), site.Files)
	}
	if err := copyFiles(s.path("site"), os.DirFS(s.cfg.App)); err != nil {
		return fmt.Errorf("stack: application: %w", err)
	}
	return nil
}

// copyFiles writes files to dir. It overwrites those of an earlier run.
func copyFiles(dir string, files fs.FS) error {
	return fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, name)
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
}

// fresh is the demo site's database as prepare.py makes it in an empty directory. This
// takes two seconds of CPU time, so it is done once in a program.
var fresh struct {
	mu       sync.Mutex // guards database
	database []byte     // nil: not made yet
}

// prepareSite makes the demo site's database, or completes that of an earlier run.
func (s *Stack) prepareSite(ctx context.Context) error {
	if s.cfg.App != "" {
		return nil
	}
	path := filepath.Join(s.path("data"), "db.sqlite3")
	if _, err := os.Stat(path); err == nil {
		return s.prepare(ctx)
	}
	fresh.mu.Lock()
	defer fresh.mu.Unlock()
	if fresh.database != nil {
		return os.WriteFile(path, fresh.database, 0o644)
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	var err error
	fresh.database, err = os.ReadFile(path)
	return err
}

func (s *Stack) prepare(ctx context.Context) error {
	ctx, cancel := within(ctx, StartTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, "prepare.py")
	cmd.Dir, cmd.Env = s.path("site"), s.siteEnv()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("stack: prepare the site: %w (is Django there for %s? demo/install sees to it)\n%s", err, python, bytes.TrimSpace(out))
	}
	return nil
}

// SystemEnv returns an environment for uWSGI. With the caller's PATH its Python might
// look for its library beside another python3.
func SystemEnv() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"}
}

// siteEnv returns the whole environment of the site.
func (s *Stack) siteEnv() []string {
	env := append(SystemEnv(),
		"DEMO_DATA="+s.path("data"),
		"DEMO_MEMCACHED="+strings.Join(s.memcachedAddrs(), " "))
	if s.cfg.Conf == "recipe" {
		env = append(env, "DEMO_KEY=recipe")
	}
	if s.cfg.Faults {
		env = append(env, "DEMO_FAULTS=1")
	}
	return env
}
