package stack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"uwgate/cachewriter"
	"uwgate/demo/nginx"
	"uwgate/nginxconf/snippet"
	"uwgate/uwsgi"
)

// djangoHeaders are the headers that Django's stock middleware adds to each page. nginx
// adds them to hits.
var djangoHeaders = []uwsgi.Field{
	{Name: "X-Frame-Options", Value: "DENY"},
	{Name: "X-Content-Type-Options", Value: "nosniff"},
	{Name: "Referrer-Policy", Value: "same-origin"},
}

// writeNginxConf writes nginx.conf and the files that it includes.
func (s *Stack) writeNginxConf(ctx context.Context, program, backend string) error {
	conf, err := s.nginxConf(ctx, program, backend)
	if err != nil {
		return fmt.Errorf("stack: nginx's configuration: %w", err)
	}
	return os.WriteFile(s.path("nginx.conf"), conf, 0o644)
}

func (s *Stack) nginxConf(ctx context.Context, program, backend string) ([]byte, error) {
	text := nginx.Recipe
	switch s.cfg.Conf {
	case "recommended":
		return []byte(nginx.Frame), s.writeSite(ctx, program, backend)
	case "recipe":
	default:
		b, err := os.ReadFile(s.cfg.Conf)
		if err != nil {
			return nil, err
		}
		text = string(b)
	}
	var conf bytes.Buffer
	err := nginx.Config{
		Listen: s.Nginx.Addr, Backend: backend,
		Memcached: s.memcachedLines(), Hash: s.cfg.Hash,
	}.Write(&conf, text)
	return conf.Bytes(), err
}

// writeSite writes site.conf, which the frame includes.
func (s *Stack) writeSite(ctx context.Context, program, backend string) error {
	site, err := s.site(ctx, backend)
	if err != nil {
		return err
	}
	for _, edit := range s.cfg.Edits {
		if !strings.Contains(site, edit[0]) {
			return fmt.Errorf("%q, which is to be edited, is not in\n%s", edit[0], site)
		}
		site = strings.ReplaceAll(site, edit[0], edit[1])
	}
	if err := s.writeModules(ctx, program); err != nil {
		return err
	}
	return os.WriteFile(s.path("site.conf"), []byte(site+s.cfg.Site), 0o644)
}

// site returns the output of `uwgate nginx` with the flags of uwgate.
func (s *Stack) site(ctx context.Context, backend string) (string, error) {
	if s.cfg.Binary == "" {
		return s.siteWithout(backend)
	}
	shared := s.sharedArgs()
	if s.cfg.Listen == "" {
		shared = withoutTLS(shared)
	}
	args := slices.Concat([]string{"nginx", "--server-name", "_", "--nginx-listen", s.Nginx.Addr, "--backend", s.backend()}, shared, s.cfg.NginxArgs)
	cmd := exec.CommandContext(ctx, s.cfg.Binary, args...)
	cmd.Env = UwgateEnv()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("uwgate nginx: %w\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// withoutTLS removes --listen suwsgi:… of Config.Args, since an upstream of nginx has TLS for all its servers
// or for none.
func withoutTLS(args []string) (kept []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--listen" && strings.HasPrefix(args[i+1], "suwsgi:") {
			i++
			continue
		}
		kept = append(kept, args[i])
	}
	return kept
}

// siteWithout returns the same configuration without uwgate.
func (s *Stack) siteWithout(backend string) (string, error) {
	method, err := cachewriter.ParseMethod(s.cfg.Hash)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = (&snippet.Site{
		Listen:   []string{s.Nginx.Addr},
		Gateways: []string{backend},
		Servers:  s.memcachedLines(),
		Hash:     method,
		Hits:     snippet.Hits{Adds: djangoHeaders},
	}).Write(&b)
	return b.String(), err
}

// writeModules writes modules.conf with the modules that the format needs. If there are
// none, it removes the file, which an earlier run may have left.
func (s *Stack) writeModules(ctx context.Context, program string) error {
	if s.cfg.Format != "http" {
		return os.RemoveAll(s.path("modules.conf"))
	}
	dir, err := modulesDir(ctx, program)
	if err != nil {
		return err
	}
	var conf strings.Builder
	for _, name := range []string{"ngx_http_memc_module.so", "ngx_http_srcache_filter_module.so"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%s: %w", path, ErrMissing)
		}
		fmt.Fprintf(&conf, "load_module %s;\n", path)
	}
	return os.WriteFile(s.path("modules.conf"), []byte(conf.String()), 0o644)
}

var modulesPath = regexp.MustCompile(`--modules-path=(\S+)`)

// modulesDir returns the directory in which nginx looks for modules.
func modulesDir(ctx context.Context, program string) (string, error) {
	out, err := exec.CommandContext(ctx, program, "-V").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s -V: %w", program, err)
	}
	path := modulesPath.FindSubmatch(out)
	if path == nil {
		return "", fmt.Errorf("nginx's modules: %w", ErrMissing)
	}
	return string(path[1]), nil
}
