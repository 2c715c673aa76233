package parity

import (
	"errors"
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"uwgate/cachewriter"
	"uwgate/demo/nginx"
	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
	"uwgate/uwsgi"
)

// archives are those of testdata/check by name. Each is a configuration with one defect:
// flags of serve (and lines `host NAME IP…` for the resolver), nginx.conf, and the
// findings of check.
func archives(t *testing.T) map[string]*txtar.Archive {
	t.Helper()
	paths, err := filepath.Glob("testdata/check/*.txtar")
	if err != nil || len(paths) < 28 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	all := map[string]*txtar.Archive{}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(a.Files) < 2 || a.Files[0].Name != "nginx.conf" || a.Files[len(a.Files)-1].Name != "findings" {
			t.Fatalf("%s must begin with nginx.conf and end with findings", path)
		}
		all[strings.TrimSuffix(filepath.Base(path), ".txtar")] = a
	}
	return all
}

// To accept a change: UPDATE=1 go test.
func TestCheckGolden(t *testing.T) {
	for name, a := range archives(t) {
		t.Run(name, func(t *testing.T) {
			got := checked(t, a)
			want := &a.Files[len(a.Files)-1]
			if os.Getenv("UPDATE") != "" {
				want.Data = []byte(got)
				if err := os.WriteFile(filepath.Join("testdata/check", name+".txtar"), txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want.Data) {
				t.Errorf("%s (UPDATE=1 accepts): got\n%s\nwant\n%s", name, got, want.Data)
			}
		})
	}
}

// nginx starts with the defective configurations: it does not report these mistakes
// itself.
func TestNginxAcceptsArchives(t *testing.T) {
	program := nginxtest.Program(t)
	modules := nginxtest.Modules(t, program)
	for name, a := range archives(t) {
		if strings.Contains(string(a.Comment), "# not for nginx") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := nginxtest.Frame(t, "", "")
			conf := "pid x.pid;\n" + withoutUser(a.Files[0].Data)
			if strings.Contains(conf, "srcache") {
				conf = modules + conf
			}
			if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o644); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(program, append(nginxtest.Arguments(dir), "-t")...).CombinedOutput(); err != nil {
				t.Errorf("nginx -t: %v\n%s", err, out)
			}
		})
	}
}

// withoutUser leaves out the user directive, for nginxtest has one.
func withoutUser(conf []byte) string { return strings.Replace(string(conf), "user ", "# user ", 1) }

// checked unpacks the archive beside nginx's own files, and returns the findings.
func checked(t *testing.T, a *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, nginx.Includes); err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files[:len(a.Files)-1] {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range Check(c, gateway(t, dir, string(a.Comment))) {
		if f.Code == keyLong && !strings.Contains(string(a.Comment), "# long keys") {
			continue // since all archives have it
		}
		if f.Code == visitorsLookedUp && !strings.Contains(string(a.Comment), "# visitors") {
			continue // likewise
		}
		fmt.Fprintf(&b, "%s: %s: %s: %s\n", f.Place, f.Level, f.Code, f.Text)
		for line := range strings.Lines(f.Fix.Text) {
			fmt.Fprintf(&b, "\t%s\n", strings.TrimSuffix(line, "\n"))
		}
	}
	return strings.ReplaceAll(b.String(), dir+"/", "")
}

// gateway reads flags of serve, one on each line.
func gateway(t *testing.T, dir, told string) Gateway {
	t.Helper()
	hosts, denied := map[string][]string{}, map[string]*Denial{}
	g := Gateway{MayOpen: func(user, _, path string) *Denial {
		if user == "root" {
			return nil
		}
		return denied[path]
	}, Resolve: func(host string) ([]string, error) {
		if ips, ok := hosts[host]; ok {
			return ips, nil
		}
		return nil, errors.New("no such host")
	}}
	for line := range strings.Lines(told) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch name {
		case "", "#":
		case "host":
			fields := strings.Fields(value)
			hosts[fields[0]] = fields[1:]
		case "denied": // socket, path, mode, user, group
			fields := strings.Fields(value)
			denied[fields[0]] = &Denial{Path: fields[1], Mode: fields[2], Owner: fields[3] + " " + fields[4], IsFolder: fields[2][0] == 'd'}
		case "--allow-user":
			g.Refuses = func(user string) bool { return user != value }
		case "--listen":
			g.Listen = append(g.Listen, value)
		case "--backend":
			g.Backends = append(g.Backends, value)
		case "--key":
			g.Key = value
		case "--generation":
			g.Generation = value
		case "--memcached":
			var s cachewriter.Server
			s, err = cachewriter.ParseServer(value)
			g.Servers = append(g.Servers, s)
		case "--hash":
			var m cachewriter.Method
			m, err = cachewriter.ParseMethod(value)
			g.Hash = &m
		case "--format":
			g.Format, err = policy.ParseFormat(value)
		case "--gzip-flag":
			var n uint64
			n, err = strconv.ParseUint(value, 10, 32)
			g.GzipFlag = uint(n)
		case "--hit-type":
			g.HitType = value
		case "--mime-types":
			g.Types, err = nginxconf.ReadTypes(filepath.Join(dir, value))
		case "--nginx-adds":
			name, value, _ := strings.Cut(value, ": ")
			g.Adds = append(g.Adds, uwsgi.Field{Name: name, Value: value})
		case "--allowed-host":
			g.AllowedHosts = append(g.AllowedHosts, value)
		case "--first-byte-timeout":
			g.FirstByteTimeout, err = time.ParseDuration(value)
		case "--trust-forwarded-proto":
			g.TrustForwardedProto = true
		case "--allow-rewrites":
			g.AllowRewrites = true
		case "--sentinel":
			g.Sentinels = append(g.Sentinels, value)
		case "--vary-cookie":
			g.VaryCookieAnonymous = value == "anonymous"
		case "--identity-cookie":
			if value == "none" {
				g.Visitors = policy.NewVisitors(policy.VisitorNames{IdentityCookies: []string{value}})
				break
			}
			g.IdentityCookies = append(g.IdentityCookies, value)
		case "--harmless-cookie":
			g.Visitors = policy.NewVisitors(policy.VisitorNames{HarmlessCookies: []string{value}})
		case "--trusted-header":
			g.TrustedHeaders = append(g.TrustedHeaders, value)
		case "--harmless-var":
			g.Visitors = policy.NewVisitors(policy.VisitorNames{HarmlessVars: []string{value}})
		default:
			t.Fatalf("unknown flag %q", line)
		}
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
	}
	return g
}

// declaredCodes reads the constants from code.go, so that none is missed.
func declaredCodes(t *testing.T) (codes []Code) {
	t.Helper()
	file, err := goparser.ParseFile(token.NewFileSet(), "code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Type.(*ast.Ident).Name != "Code" {
			return true
		}
		word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, Code(word))
		return true
	})
	return codes
}

// Every code has an archive with such a finding, and a row in docs/check.md with its
// levels.
func TestEveryCodeIsReachedAndDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	findings, _, _ := strings.Cut(string(page), "\n## JSON\n")
	rows := map[Code]string{} // the levels
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([^|]*) \\|").FindAllStringSubmatch(findings, -1) {
		rows[Code(m[1])] = m[2]
	}
	reached := map[Code]bool{}
	for _, a := range archives(t) {
		for _, m := range regexp.MustCompile(`(?m)^\S+:\d+: (\w+): ([a-z-]+): `).FindAllStringSubmatch(string(a.Files[len(a.Files)-1].Data), -1) {
			level, code := m[1], Code(m[2])
			reached[code] = true
			if !strings.Contains(rows[code], level) && !(level == "warning" && strings.Contains(rows[code], "*")) {
				t.Errorf("docs/check.md has %q for %q, which can be a %s", rows[code], code, level)
			}
		}
	}
	declared := declaredCodes(t)
	if len(declared) < 40 {
		t.Errorf("found %d constants only", len(declared))
	}
	for _, code := range declared {
		if !reached[code] {
			t.Errorf("no archive reaches %q", code)
		}
		if rows[code] == "" {
			t.Errorf("docs/check.md has no row for %q", code)
		}
		delete(rows, code)
	}
	for code := range rows {
		t.Errorf("docs/check.md has a row for %q, which is no code", code)
	}
}

func oneAddress(string) ([]string, error) { return []string{"127.0.0.1"}, nil }

// The findings for the recipe of 2013, with the flags for it, are true.
func TestRecipeFindings(t *testing.T) {
	config := nginx.Config{Listen: "8080", Backend: "unix:/run/uwgate.sock", Memcached: []string{"localhost:11211"}}
	var b strings.Builder
	if err := config.Write(&b, nginx.Recipe); err != nil {
		t.Fatal(err)
	}
	dir := nginxtest.Frame(t, "", "")
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(string) ([]string, error) { return []string{"::1", "127.0.0.1"}, nil }
	var got []string
	for _, f := range Check(c, Gateway{Listen: []string{"unix:/run/uwgate.sock"}, Key: ":1:CUSTOMKEY:$request_uri",
		Servers: []cachewriter.Server{{Name: "localhost:11211"}}, Resolve: resolve}) {
		got = append(got, fmt.Sprintf("%s %s", f.Level, f.Code))
	}
	want := []string{
		"error key-without-host", "error no-method",
		"note key-long",
		"warning error-page-missing", "warning error-page-missing", // 405, 504
		"warning timeout", "warning timeout",
		"warning max-fails",
		"warning visitors-looked-up",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// Debian's stock configuration has no lookup. There is no other finding.
func TestDebianFindings(t *testing.T) {
	dir := nginxtest.Copy(t, "../testdata/read/debian")
	if err := os.Remove(filepath.Join(dir, "sites-enabled/shop")); err != nil { // which is not stock
		t.Fatal(err)
	}
	c, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
	if err != nil {
		t.Fatal(err)
	}
	found := Check(c, Gateway{})
	if len(found) != 1 || found[0].Code != noLookup || found[0].Level != Error || found[0].Line != 1 {
		t.Errorf("got %v, want no-lookup alone", found)
	}
}

// Any configuration that can be read can be checked, and every finding has a place and a
// text.
func FuzzCheck(f *testing.F) {
	paths, err := filepath.Glob("testdata/check/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(strings.ReplaceAll(string(a.Files[0].Data), "include ", "# include "))
	}
	modulo := cachewriter.Modulo
	told := Gateway{
		Listen: []string{"unix:/run/uwgate.sock"}, Key: "$host$uri", Hash: &modulo, Format: policy.FormatGzip, GzipFlag: 2,
		Servers:             []cachewriter.Server{{Name: "10.0.0.1:11211", Weight: 2}, {Name: "cache2"}, {Name: "unix:/m.sock", Down: true}},
		Hits:                Hits{HitType: defaultHitType, Types: map[string]string{"css": "text/css"}, Adds: []uwsgi.Field{{Name: "X-Frame-Options", Value: "DENY"}}},
		VaryCookieAnonymous: true, IdentityCookies: []string{"sessionid"}, Resolve: oneAddress,
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := nginxconf.Parse("nginx.conf", text) // which includes nothing
		if err != nil {
			return
		}
		for _, g := range []Gateway{{}, told} {
			for _, found := range Check(c, g) {
				if found.Text == "" || found.Level == "" || found.Code == "" || found.Line < 1 {
					t.Errorf("%+v", found)
				}
			}
		}
	})
}
