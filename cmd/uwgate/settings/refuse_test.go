package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"uwgate/demo/nginx"
	"uwgate/nginxconf/parity"
)

// serve starts with a configuration of nginx exactly if check has no error that forbids it,
// whatever its flags are.
func TestServeRefusesErrors(t *testing.T) {
	paths, err := filepath.Glob("../../../nginxconf/parity/testdata/check/*.txtar")
	if err != nil || len(paths) < 100 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		args, readable := serveArgs(string(a.Comment))
		if !readable {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, nginx.Includes); err != nil {
				t.Fatal(err)
			}
			for _, f := range a.Files {
				if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(dir)
			set := parse(t, slices.Concat(args, []string{"--nginx", "nginx.conf", "--backend", "127.0.0.1:1"})...)
			s, err := set.Read()
			if s == nil {
				wantError(t, err, a)
				return
			}
			gateway, err := s.Gateway(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			gateway.Listen = s.texts("listen")
			isRefused := len(parity.Refusals(s.conf, gateway)) > 0
			if _, err := set.ReadParts(t.Context()); (err != nil) != isRefused {
				t.Errorf("serve: %v; refusals: %v", err, parity.Refusals(s.conf, gateway))
			}
		})
	}
}

// wantError checks an error about settings that cannot be taken from nginx: check has an
// error, too.
func wantError(t *testing.T, err error, a *txtar.Archive) {
	t.Helper()
	if findings := string(a.Files[len(a.Files)-1].Data); !strings.Contains(findings, ": error: ") {
		t.Errorf("serve does not start, and check has no error: %v", err)
	}
}

// serveArgs returns the flags of an archive. Of some serve would need more: hosts that only
// a resolver of the archive knows, and certificates.
func serveArgs(comment string) (args []string, readable bool) {
	for line := range strings.Lines(comment) {
		switch name, value, _ := strings.Cut(strings.TrimSpace(line), " "); {
		case name == "" || name == "#":
		case !strings.HasPrefix(name, "--"), strings.HasPrefix(value, "cache"), strings.HasPrefix(value, "suwsgi:"):
			return nil, false
		case value == "":
			args = append(args, name)
		default:
			args = append(args, name, value)
		}
	}
	return args, true
}
