package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeProc is a /proc of these processes: their command lines and environments.
func fakeProc(t *testing.T, lines map[int][2]string) Machine {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("stat", "cpu 1 2\nbtime 1700000000\nprocesses 7\n")
	write("self/cmdline", "uwgate\x00serve\x00")
	for pid, line := range lines {
		folder := fmt.Sprint(pid)
		write(folder+"/cmdline", strings.ReplaceAll(line[0], "|", "\x00"))
		write(folder+"/environ", strings.ReplaceAll(line[1], "|", "\x00"))
		write(folder+"/stat", fmt.Sprintf("%d (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 %d 20", pid, 100*(1000-pid)))
		if err := os.Symlink("/srv", filepath.Join(dir, folder, "cwd")); err != nil {
			t.Fatal(err)
		}
	}
	return Machine{Proc: dir}
}

func TestGateways(t *testing.T) {
	m := fakeProc(t, map[int][2]string{
		7:  {"/usr/bin/uwgate|serve|--listen|unix:/run/a b.sock|", "UWGATE_MEMCACHED=127.0.0.1:11211|HOME=/|"},
		9:  {"uwgate|serve|", ""},
		11: {"uwgate|check|", ""},
		12: {"vi|uwgate|serve|", ""},
		13: {"", ""},
	})
	found := m.Gateways()
	if len(found) != 2 || found[0].PID != 9 || found[1].PID != 7 {
		t.Fatalf("got %+v", found)
	}
	p := found[1]
	if !slices.Equal(p.Args, []string{"--listen", "unix:/run/a b.sock"}) || !slices.Equal(p.Env, []string{"UWGATE_MEMCACHED=127.0.0.1:11211", "HOME=/"}) {
		t.Errorf("got %q %q", p.Args, p.Env)
	}
	if p.Dir != "/srv" || !p.Since.Equal(time.Unix(1700000000+993, 0)) {
		t.Errorf("got %s, %v", p.Dir, p.Since)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for pid, program := range map[int]string{12: self, 11: self, 7: "/bin/sh"} {
		if err := os.Symlink(program, filepath.Join(m.Proc, fmt.Sprint(pid), "exe")); err != nil {
			t.Fatal(err)
		}
	}
	write := func(pid int, line string) {
		if err := os.WriteFile(filepath.Join(m.Proc, fmt.Sprint(pid), "cmdline"), []byte(strings.ReplaceAll(line, "|", "\x00")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(12, "/opt/cache-filler|serve|--ttl|0|") // this program by another name
	write(11, "/opt/cache-filler|check|")
	if found := m.Gateways(); len(found) != 3 || found[0].PID != 12 || !slices.Equal(found[0].Args, []string{"--ttl", "0"}) {
		t.Errorf("by another name: got %+v", found)
	}
	if none := (Machine{Proc: "/no/such/folder"}).Gateways(); len(none) != 0 {
		t.Errorf("got %v", none)
	}
}

func TestNginx(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho 'nginx version: nginx/1.22.1' >&2\necho 'configure arguments: --prefix=/x --conf-path=" + file + " --with-threads' >&2\n"
	if err := os.WriteFile(filepath.Join(dir, "nginx"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	for _, tt := range []struct {
		name  string
		lines map[int][2]string
		pid   int
	}{
		{"none runs", nil, 0},
		{"as built", map[int][2]string{5: {"nginx: master process /usr/sbin/nginx -g daemon on; master_process on;", ""}}, 5},
		{"named", map[int][2]string{5: {"nginx: master process nginx -c " + file, ""}}, 5},
		{"by its prefix", map[int][2]string{5: {"nginx: master process nginx -p " + dir + " -c nginx.conf", ""}}, 5},
		{"joined", map[int][2]string{5: {"nginx: master process nginx -p" + dir + "/ -cnginx.conf", ""}}, 5},
		{"another", map[int][2]string{5: {"nginx: master process nginx -c other.conf", ""}, 6: {"nginx: worker process", ""}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := fakeProc(t, tt.lines).Nginx(t.Context())
			if n.File != file || n.PID != tt.pid || n.Program != filepath.Join(dir, "nginx") {
				t.Errorf("got %+v, want %s and %d", n, file, tt.pid)
			}
			if tt.name == "another" && !slices.Equal(n.Others, []Master{{"/srv/other.conf", 5}}) || tt.name != "another" && len(n.Others) > 0 {
				t.Errorf("others: got %v", n.Others)
			}
		})
	}
}
