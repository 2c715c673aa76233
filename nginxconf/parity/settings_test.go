package parity

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"uwgate/gateway/policy"
	"uwgate/nginxconf"
	"uwgate/nginxconf/nginxtest"
)

// Each file of testdata/settings is a configuration and what the gateway that listens
// on 127.0.0.1:3030 takes from it. To accept a change: UPDATE=1 go test.
func TestSettings(t *testing.T) {
	files, err := filepath.Glob("testdata/settings/*.txtar")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, archive)
			conf, err := nginxconf.Read(filepath.Join(dir, "nginx.conf"), "")
			if err != nil {
				t.Fatal(err)
			}
			var got string
			if s, err := SettingsFor(conf, []string{"127.0.0.1:3030"}); err != nil {
				got = err.Error() + "\n"
			} else {
				got = s.dump()
			}
			got = strings.ReplaceAll(got, dir+"/", "")
			if os.Getenv("UPDATE") != "" {
				want = got
				archive.Files[len(archive.Files)-1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// unpack writes the files of an archive into a folder, except the last one, which it
// returns.
func unpack(t *testing.T, a *txtar.Archive) (dir, want string) {
	t.Helper()
	dir = t.TempDir()
	last := len(a.Files) - 1
	for _, f := range a.Files[:last] {
		if err := nginxtest.WriteFile(dir, f.Name, string(f.Data)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, string(a.Files[last].Data)
}

func (s *Settings) dump() string {
	var b strings.Builder
	line := func(name, format string, args ...any) { fmt.Fprintf(&b, name+": "+format+"\n", args...) }
	var places []string
	for _, l := range s.Lookups {
		places = append(places, l.Place.String())
	}
	line("lookups", "%s", strings.Join(places, " "))
	for _, server := range s.Servers {
		line("memcached", "%s", server)
	}
	line("hash", "%v", s.Hash)
	if s.GzipFlag > 0 {
		line("format", "%s, flag %d", s.Format, s.GzipFlag)
	} else {
		line("format", "%s", s.Format)
	}
	if s.HandedOver {
		line("key", "%s, handed over", s.Key)
	} else if s.Key != "" {
		line("key", "%s", s.Key)
	}
	if s.Format != policy.FormatHTTP {
		line("hit-type", "%s", s.HitType)
		line("types", "%d extensions", len(s.Types))
	}
	for _, h := range s.Adds {
		line("adds", "%s: %s", h.Name, h.Value)
	}
	if s.ConstantVars != nil {
		line("constant vars", "%s", strings.Join(s.ConstantVars, " "))
	}
	for _, flag := range slices.Sorted(maps.Keys(s.Unknown)) {
		line(flag+" unknown", "%v", s.Unknown[flag])
	}
	return b.String()
}
