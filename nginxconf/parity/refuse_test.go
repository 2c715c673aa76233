package parity

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/nginx"
	"uwgate/nginxconf"
)

// `serve --nginx` refuses what check calls an error, and nothing else: with all archives
// the errors of check are refusals, apart from the named exceptions, and where a setting
// cannot be taken from nginx, check has an error.
func TestErrorsAreRefused(t *testing.T) {
	refused := 0
	for name, a := range archives(t) {
		t.Run(name, func(t *testing.T) {
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
			g := gateway(t, dir, string(a.Comment))
			isError := false
			for _, f := range Check(c, g) {
				// Misses that all go to one other address reach a gateway in a container.
				isElsewhere := f.Code == missElsewhere && !strings.HasPrefix(name, "miss_worker")
				isError = isError || f.Level == Error && (tolerated[f.Code] == "" || noMisses[name]) && !isElsewhere
			}
			if len(g.Listen) == 0 {
				g.Listen = []string{"127.0.0.1:3030"} // the default of serve
			}
			isRefused := len(Refusals(c, g)) > 0
			if isRefused != isError {
				t.Errorf("refused: %v, an error: %v; %v", isRefused, isError, Refusals(c, g))
			}
			if isRefused {
				refused++
			} else if err := untaken(c, g, string(a.Comment)); err != nil {
				t.Errorf("check has no error, but serve cannot start: %v", err)
			}
		})
	}
	if refused < 60 {
		t.Errorf("only %d archives are refused", refused)
	}
}

// noMisses are the archives in which no miss reaches the gateway.
var noMisses = map[string]bool{"error_page_404": true, "subrequests_no_miss": true}

// untaken says which setting can be taken neither from nginx nor from the flags.
func untaken(c *nginxconf.Config, g Gateway, flags string) error {
	s, err := SettingsFor(c, g.Listen)
	if err != nil {
		return err
	}
	for flag, err := range s.Unknown {
		if !strings.Contains(flags, "--"+flag+" ") {
			return err
		}
	}
	if g.Key != "" {
		return s.Diverted
	}
	return nil
}
