package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const token = "0123456789abcdef"

// A secret comes from the file that a setting names, or from systemd's credential of that
// name.
func TestSecretsFromFiles(t *testing.T) {
	file := write(t, "secret", token+"\n")
	for name, get := range map[string]func(*Settings) string{
		"admin-token": func(s *Settings) string { return s.Control.Token },
		"purge-token": func(s *Settings) string { return s.Purges.Token },
		"bypass-arg":  func(s *Settings) string { return s.Pages.Bypass.Secret },
	} {
		secret := token
		if name == "bypass-arg" {
			secret = "nocache=" + token
		}
		t.Run(name, func(t *testing.T) {
			check := func(set *Set, origin string) {
				t.Helper()
				s, err := set.Read()
				if err != nil {
					t.Fatal(err)
				}
				if get(s) != token || s.Origin(name).String() != origin {
					t.Errorf("got %q from %s, want %q from %s", get(s), s.Origin(name), token, origin)
				}
			}
			if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			check(parse(t, "--"+name+"-file", file), file)

			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv(credentialsDirectory, dir)
			check(parse(t), filepath.Join(dir, name))
			check(parse(t, "--"+name, secret), "the command line")
			check(parse(t, "--"+name+"-file", file), file)
		})
	}
}

func TestSecretsRefused(t *testing.T) {
	short := write(t, "short", "secret")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--admin-token-file", "/no/such/file"}, `--admin-token-file "/no/such/file": no such file or directory; write the secret into it`},
		{[]string{"--admin-token-file", short}, short + " (--admin-token): write at least 16"},
		{[]string{"--admin-token-file", short, "--admin-token", token}, "--admin-token-file " + short + ": --admin-token sets the secret, too"},
	} {
		_, err := parse(t, tt.args...).Read()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %s", tt.args, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), token) {
			t.Errorf("%q: the secret is in %v", tt.args, err)
		}
	}
}
