package settings

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The settings of another process are those that it has: its flags, its environment, and its
// file, which is relative to its folder.
func TestOfProcess(t *testing.T) {
	t.Setenv("UWGATE_FORMAT", "gzip") // of this process
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "uwgate.yaml"), []byte("hash: modulo\nadmin: unix:/run/admin.sock\nnginx: site/nginx.conf\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := OfProcess([]string{"--listen", "unix:/run/a b.sock", "--config=uwgate.yaml", "--observe", "--admin-token", "0123456789abcdef"},
		[]string{"HOME=/", "UWGATE_MEMCACHED=10.0.0.1:11211\n10.0.0.2:11211", "UWGATE_BYPASS_ARG=nocache=0123456789"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.Listen.Addresses[0].Addr != "/run/a b.sock" || len(s.Store.Servers) != 2 || s.Store.Hash.String() != "modulo" || s.Hits.Format != "body" {
		t.Errorf("got %+v %+v", s.Listen, s.Store)
	}
	if want := filepath.Join(dir, "site/nginx.conf"); s.Command.Nginx != want {
		t.Errorf("got %s, want %s", s.Command.Nginx, want)
	}
	want := []string{"--listen", "'unix:/run/a b.sock'", "--memcached", "10.0.0.1:11211", "--memcached", "10.0.0.2:11211",
		"--observe=true", "--config", filepath.Join(dir, "uwgate.yaml")}
	if got := s.CommandLine(); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if _, err := OfProcess([]string{"--no-such-flag"}, nil, ""); err == nil {
		t.Error("an unknown flag is no error")
	}
	if s, err := OfProcess(nil, []string{"UWGATE_NGINX=nginx.conf"}, "/srv"); err != nil || s.Command.Nginx != "/srv/nginx.conf" {
		t.Errorf("got %v, %v", s, err)
	}
}
