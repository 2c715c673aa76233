package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"uwgate/demo/stack"
	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
	"uwgate/nginxconf/parity"
	"uwgate/uwsgi"
)

// archivesOfCheck are the configurations of package parity, each with one defect.
const archivesOfCheck = "../nginxconf/parity/testdata/check"

// unserved are the archives from which no site can be made to work here, and why.
var unserved = map[string]string{
	"access_differs_secure_link": "its links have an MD5 sum",

	"access_differs":      "only the operator knows who may see the pages",
	"access_differs_deny": "likewise",
	"another_gateway":     "misses go to another program, which is not here",
	"filter_of_both":      "only the operator knows which of the two is right",
	"http_part_missing":   "only the operator knows where the file is",
	"gap":                 "nobody knows what the missing file says",
	"no_lookup":           "only the operator knows which pages nginx must look up",
	"no_lookup_srcache":   "likewise",

	"rewritten_by_pool": "its other gateway is not here",

	"param_unkeyed_raw":           "only the operator knows which values the application needs",
	"param_unkeyed_set_later":     "only the operator knows whether its variable can be set before the lookup",
	"param_unkeyed_behind_lookup": "only the operator knows whether its variable can be set before the lookup",

	"never_reached":          "only the operator knows whether pages or the redirect are meant",
	"never_reached_location": "likewise",
	"never_reached_rewrite":  "likewise",
	"never_reached_scheme":   "likewise",

	"location_undefined_error": "only the operator knows where refused visitors must go",

	"key_scheme_constant_shared": "the line to change is in a file that other sites include, too",

	"key_unknown_variable": "a module that Debian's nginx does not have defines its variable",
	"miss_port":            "the gateway is on another host",
	"tls_agree":            "suwsgi_test.go has TLS between nginx and the gateway",
	"tls_elsewhere":        "likewise",
	"tls_missing":          "likewise",
	"tls_not_spoken":       "likewise",

	"parts_kept_out":   "only the operator knows which requests are for parts of pages",
	"denied_apart":     "its first location refuses everybody here",
	"denied_looked_up": "likewise",

	"satisfy_any_of_two": "nginx must look up none of its pages",

	"socket_refused": "nginx runs as another user here",

	"server_shadowed_address":       "its address is not here",
	"server_shadowed_default":       "only the operator knows the names of the site",
	"server_shadowed_default_later": "likewise",
	"server_shadowed_first":         "likewise",
	"server_shadowed_name":          "only the operator knows which server block is meant",
	"server_shadowed_one_name":      "likewise",
	"server_shadowed_one_port":      "likewise",
	"server_shadowed_wildcard":      "likewise",
	"socket_denied":                 "it is about files, and not about nginx",
	"socket_denied_backup":          "likewise",
	"socket_denied_folder":          "likewise",
	"socket_denied_memcached":       "likewise",
	"socket_denied_nobody":          "likewise",
	"socket_denied_passed_by":       "likewise",

	"agree_one_server_hashed":      "localhost has two addresses here, and one memcached",
	"localhost":                    "likewise",
	"localhost_twice":              "likewise",
	"localhost_other":              "likewise",
	"localhost_spelled":            "likewise",
	"localhost_two_addresses":      "likewise",
	"server_addresses":             "its names have no addresses",
	"server_addresses_handed_over": "likewise",
	"server_addresses_of_gateway":  "likewise",
	"server_resolve":               "likewise",
	"server_spelled":               "likewise",
	"server_unresolved":            "likewise",
	"server_unresolved_hash":       "likewise",
	"server_unresolved_of_gateway": "likewise",
	"rewritten_by_late_set":        "only the operator knows whether its variable can be set before the lookup",
	"redirect_looked_up_variable":  "only the operator knows to which paths it redirects",
	"miss_backup":                  "only the operator knows whether the same application is there",
	"miss_another":                 "its other gateway is not here",
	"rewritten_by_map":             "only the operator knows other values for its map",
	"server_port":                  "memcached's port here is not 11211",
}

// A configuration with a defect is a working site after all fixes of check: a page that is
// not in memcached comes from the worker, and the next time from memcached.
func TestFixedSitesWork(t *testing.T) {
	t.Parallel()
	program := nginxtest.Program(t)
	modules := nginxtest.Modules(t, program)
	memcached := startMemcacheds(t, 5)
	paths, err := filepath.Glob(filepath.Join(archivesOfCheck, "*.txtar"))
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		if unserved[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(a.Comment), "# not for nginx") {
				t.Skip("this nginx does not start with it")
			}
			s := &fixedSite{t: t, name: name, dir: nginxtest.Frame(t, "", "")}
			s.unpack(a, memcached)
			s.fix()
			s.serve(program, modules)
			targets := s.targets()
			if len(targets) == 0 {
				t.Error("no lookup leads to uwgate")
			}
			for _, to := range targets {
				s.fillsAndHits(to)
				s.servesParts(to)
			}
		})
	}
}

// startMemcacheds starts servers for all sites, and returns their addresses.
func startMemcacheds(t *testing.T, n int) (addrs []string) {
	t.Helper()
	program, err := stack.LookPath("memcached")
	if err != nil {
		t.Fatal(err)
	}
	if addrs, err = stack.FreePorts(n); err != nil {
		t.Fatal(err)
	}
	for _, addr := range addrs {
		host, port, _ := net.SplitHostPort(addr)
		command := []string{program, "-l", host, "-p", port, "-U", "0"}
		if os.Geteuid() == 0 {
			command = append(command, "-u", "root")
		}
		run(t, &stack.Process{Name: "memcached", Addr: addr, LogFile: filepath.Join(t.TempDir(), "log"), Command: command, Ready: stack.Connects})
	}
	return addrs
}

// run runs a program until the test ends.
func run(t *testing.T, p *stack.Process) {
	t.Helper()
	if err := p.Start(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, p.Log())
	}
	t.Cleanup(func() { p.Kill() })
}

// A fixedSite is the site of an archive, in a folder of its own.
type fixedSite struct {
	t     *testing.T
	name  string
	dir   string
	addrs []string // of nginx
	flags []string // "--name value"
	conf  *nginxconf.Config

	hitType string
	copies  atomic.Int64 // that the worker has made
}

// socket returns that of an address of nginx.
func (s *fixedSite) socket(i int) string { return s.path(fmt.Sprintf("n%d.sock", i)) }

func (s *fixedSite) path(name string) string { return filepath.Join(s.dir, name) }

// sitesFixed is the number of sites so far.
var sitesFixed atomic.Int64

var (
	listenLine = regexp.MustCompile(`listen 808[01]\b`)
	userLine   = regexp.MustCompile(`(?m)^user .*;$`)
)

var addressOfMemcached = regexp.MustCompile(`(10\.0\.0\.|127\.0\.0\.)([1-5])(:11211)`)

// unpack writes the files with addresses that are here.
func (s *fixedSite) unpack(a *txtar.Archive, memcached []string) {
	s.t.Helper()
	// All of 127/8 is loopback, so each site has a host of its own.
	n := sitesFixed.Add(1)
	host := fmt.Sprintf("127.%d.%d.%d", 1+os.Getpid()%250, n/250, 1+n%250)
	s.addrs = []string{host + ":8080", host + ":8081"}
	local := func(text string) string {
		text = addressOfMemcached.ReplaceAllStringFunc(text, func(address string) string {
			return memcached[address[len("10.0.0."):][0]%5]
		})
		text = listenLine.ReplaceAllStringFunc(text, func(line string) string {
			return "listen " + s.addrs[line[len("listen 808")]-'0'] + line[len("listen 8080"):]
		})
		text = userLine.ReplaceAllString(text, "")
		for _, gateway := range []string{"unix:/run/uwgate.sock", "127.0.0.1:3030", "127.0.0.1:3031"} {
			text = strings.ReplaceAll(text, gateway, "unix:"+s.path("g.sock"))
		}
		return text
	}
	for _, f := range a.Files[:len(a.Files)-1] {
		if err := nginxtest.WriteFile(s.dir, f.Name, local(string(f.Data))); err != nil {
			s.t.Fatal(err)
		}
	}
	for line := range strings.Lines(local(string(a.Comment))) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "--mime-types ") {
			line = "--mime-types " + s.path("mime.types")
		}
		if strings.HasPrefix(line, "--") && !strings.HasPrefix(line, "--listen") {
			s.flags = append(s.flags, line)
		}
	}
	s.flags = append(s.flags, "--listen unix:"+s.path("g.sock"))
	if strings.Contains(string(txtar.Format(a)), "ssi on;") && !strings.Contains(string(a.Comment), "--sentinel") {
		s.flags = append(s.flags, "--sentinel none") // pages with directives are stored
	}
}

// A checked is what matters here of the JSON of check.
type checked struct {
	Nginx struct {
		Findings []struct {
			Level, Code, Text string
			Edits             []struct {
				File         string
				Line, Column int
				Do           nginxconf.Action
				Lines        []string
			}
			Flags []parity.Flag
			Unset []string
		}
	}
}

// fix makes the fixes of check until nothing is wrong.
func (s *fixedSite) fix() {
	s.t.Helper()
	const rounds = 3
	for round := 0; ; round++ {
		got, out := s.check()
		var wrong []string
		var fixes []parity.Fix
		for _, f := range got.Nginx.Findings {
			if f.Level != "note" && f.Code != "visitors-looked-up" { // which only the operator can judge
				wrong = append(wrong, f.Level+": "+f.Text)
			}
			fix := parity.Fix{Flags: f.Flags, Unset: f.Unset}
			for _, e := range f.Edits {
				fix.Edits = append(fix.Edits, nginxconf.Edit{Place: nginxconf.Place{File: e.File, Line: e.Line, Column: e.Column}, Do: e.Do, Lines: e.Lines})
			}
			fixes = append(fixes, fix)
		}
		all := parity.Together(fixes)
		if len(all.Edits)+len(all.Flags)+len(all.Unset) == 0 || round == rounds {
			if len(wrong) > 0 {
				s.t.Fatalf("still wrong after %d rounds: %s\n%s", round, strings.Join(wrong, "\n"), out)
			}
			return
		}
		s.apply(all)
	}
}

// check runs check with the flags.
func (s *fixedSite) check() (got checked, out []byte) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, s.args("check", "--json")...).Output()
	var status *exec.ExitError
	if errors.As(err, &status) && status.ExitCode() == 1 {
		err = nil
	}
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	if err != nil {
		s.t.Fatalf("uwgate check %v: %v\n%s", s.flags, err, out)
	}
	return got, out
}

func (s *fixedSite) args(command ...string) []string {
	args := append(command, "--nginx", s.path("nginx.conf"))
	for _, flag := range s.flags {
		name, value, found := strings.Cut(flag, " ")
		if args = append(args, name); found {
			args = append(args, value)
		}
	}
	return args
}

func (s *fixedSite) apply(f parity.Fix) {
	s.t.Helper()
	done := map[string]bool{}
	for _, e := range f.Edits {
		if done[e.File] {
			continue
		}
		done[e.File] = true
		text, err := os.ReadFile(e.File)
		if err != nil {
			s.t.Fatal(err)
		}
		edited, err := nginxconf.Edited(e.File, string(text), f.Edits)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(e.File, []byte(edited), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	names := slices.Clone(f.Unset)
	for _, flag := range f.Flags {
		names = append(names, flag.Name)
	}
	s.flags = slices.DeleteFunc(s.flags, func(flag string) bool {
		name, _, _ := strings.Cut(strings.TrimPrefix(flag, "--"), " ")
		return slices.Contains(names, name)
	})
	for _, flag := range f.Flags {
		s.flags = append(s.flags, strings.TrimSpace("--"+flag.Name+" "+flag.Value))
	}
}

// serve starts a worker, uwgate and nginx.
func (s *fixedSite) serve(program, modules string) {
	s.t.Helper()
	conf, err := nginxconf.Read(s.path("nginx.conf"), "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.conf = conf
	settings, err := parity.SettingsFor(conf, []string{"unix:" + s.path("g.sock")})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.hitType = settings.HitType; s.hitType == "" {
		s.hitType = "text/html; charset=utf-8"
	}
	s.work()
	args := s.args("serve", "--backend", "unix:"+s.path("w.sock"), "--memcached-timeout", "10s", "--memcached-connect-timeout", "10s")
	uwgate := &stack.Process{Name: "uwgate", Addr: "unix:" + s.path("g.sock"), LogFile: s.path("uwgate.log"), Command: append([]string{binary}, args...), Ready: stack.Connects}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			text, _ := os.ReadFile(s.path("nginx.conf"))
			s.t.Logf("uwgate %s\n%s\nnginx.conf:\n%s", strings.Join(args, " "), uwgate.Log(), text)
		}
	})
	run(s.t, uwgate)
	text, err := os.ReadFile(s.path("nginx.conf"))
	if err != nil {
		s.t.Fatal(err)
	}
	frame := "daemon off; master_process off; pid x.pid;\n" + strings.Replace(string(text), "http {", "http { access_log off; client_body_temp_path tmp/b; uwsgi_temp_path tmp/u; proxy_temp_path tmp/p; fastcgi_temp_path tmp/f; scgi_temp_path tmp/s;", 1)
	if strings.Contains(frame, "srcache") {
		frame = modules + frame
	}
	// Requests come by a UNIX socket: nobody else has it.
	for i, addr := range s.addrs {
		for _, parameter := range []string{"", " default_server"} {
			frame = strings.ReplaceAll(frame, "listen "+addr+parameter+";", "listen "+addr+parameter+"; listen unix:"+s.socket(i)+parameter+";")
		}
	}
	// On a busy machine memcached may need longer.
	frame = strings.NewReplacer("timeout 200ms;", "timeout 10s;", "timeout    500ms;", "timeout 10s;", "timeout 500ms;", "timeout 10s;").Replace(frame)
	if err := os.WriteFile(s.path("nginx.conf"), []byte(frame), 0o644); err != nil {
		s.t.Fatal(err)
	}
	run(s.t, &stack.Process{Name: "nginx", Addr: "unix:" + s.socket(0), LogFile: s.path("nginx.log"), Command: append([]string{program}, nginxtest.Arguments(s.dir)...), Ready: stack.Connects})
}

// work starts the worker. Each page is another copy.
func (s *fixedSite) work() {
	s.t.Helper()
	l, err := net.Listen("unix", s.path("w.sock"))
	if err != nil {
		s.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				req, err := uwsgi.ReadRequest(bufio.NewReader(nc))
				if err != nil {
					return
				}
				page := fmt.Sprintf("copy %d of %s at %s", s.copies.Add(1), req.Vars.Get("REQUEST_URI"), req.Vars.Get("HTTP_HOST"))
				page, status := part(req.Vars, page)
				fmt.Fprintf(nc, "HTTP/1.1 "+status+"\r\nContent-Type: %s\r\nCache-Control: s-maxage=60\r\nContent-Length: %d\r\n\r\n%s", s.hitType, len(page), page)
			})
		}
	})
	s.t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
}

// A target is where a page is that a lookup serves.
type target struct{ addr, host, path string }

// targets returns one for each lookup of uwgate.
func (s *fixedSite) targets() (all []target) {
	for _, l := range s.conf.Lookups {
		if l.Misses == nil || !strings.Contains(l.Misses.Upstream.Servers[0].Text, "g.sock") {
			continue
		}
		to := target{host: "example.com", path: "/"}
		addr, parameters, _ := strings.Cut(s.conf.In(l.Server.Place, "listen")[0].Value, " ")
		if parameters == "ssl" {
			continue // without a certificate
		}
		to.addr = addr
		for _, name := range l.Names {
			if !strings.ContainsAny(name, "*~_") {
				to.host = strings.TrimPrefix(name, ".")
				break
			}
		}
		for _, flag := range s.flags {
			if allowed, ok := strings.CutPrefix(flag, "--allowed-host "); ok {
				to.host = strings.ReplaceAll(allowed, "*", "www")
			}
		}
		if prefix := strings.TrimPrefix(l.Location.Name, "^~ "); strings.HasPrefix(prefix, "/") {
			to.path = prefix
		} else if path, ok := inRegex[prefix]; ok {
			to.path = path
		}
		to.path += "page-" + s.name
		all = append(all, to)
	}
	return all
}

// neededHeaders are those of the requests that are looked up, by parts of archives' names.
var neededHeaders = map[string]string{"if_of_agent": "User-Agent: bot", "if_of_header": "X-Cached: 1", "if_of_cookie": "Cookie: anonymous=1", "pass_behind_lookup": "Cookie: guest=1"}

// fillsAndHits requests a page until it comes from memcached.
func (s *fixedSite) fillsAndHits(to target) {
	s.t.Helper()
	w := &world{t: s.t}
	get := func() string {
		req, err := http.NewRequest("GET", "http://"+to.addr+to.path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		req.Host = to.host
		for part, header := range neededHeaders {
			if strings.Contains(s.name, part) {
				name, value, _ := strings.Cut(header, ": ")
				req.Header.Set(name, value)
			}
		}
		p := w.want(w.send(nginxtest.Client(s.socket(slices.Index(s.addrs, to.addr))).Transport, req), 200)
		if !strings.Contains(p.body, " of "+to.path+" at "+to.host) || p.header.Get("Content-Type") != s.hitType {
			s.t.Fatalf("%v: %q is %s, want %s", to, p.body, p.header.Get("Content-Type"), s.hitType)
		}
		return p.body
	}
	last := get()
	w.eventually(fmt.Sprintf("%v is a hit", to), func() bool {
		before := last
		last = get()
		return last == before
	})
}
