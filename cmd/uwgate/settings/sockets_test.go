package settings

import (
	"net"
	"os"
	"os/user"
	"path/filepath"
	"syscall"
	"testing"
)

// The kernel decides: a process of www-data tries to connect, and mayOpen must say the same.
func TestMayOpenAsTheKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be others")
	}
	u, err := user.Lookup("www-data")
	if err != nil {
		t.Skip(err)
	}
	who, _ := processOf("www-data", "")
	if len(who.gids) == 0 || u.Uid == "0" {
		t.Fatalf("got %+v", who)
	}
	gid := int(who.gids[0])
	for _, tt := range []struct {
		name        string
		folder      os.FileMode
		folderUID   int
		folderGID   int
		socket      os.FileMode
		uid, gid    int
		deniedAt    string
		alternative string // user
	}{
		{"all may", 0o755, 0, 0, 0o666, 0, 0, "", ""},
		{"root's socket", 0o755, 0, 0, 0o660, 0, 0, "s", ""},
		{"of the group", 0o755, 0, 0, 0o660, 0, gid, "", ""},
		{"of the user", 0o755, 0, 0, 0o600, int(who.uid), 0, "", ""},
		{"of the user, without a right", 0o755, 0, 0, 0o066, int(who.uid), 0, "s", ""},
		{"of the group, without a right", 0o755, 0, 0, 0o606, 0, gid, "s", ""},
		{"closed folder", 0o700, 0, 0, 0o666, 0, 0, ".", ""},
		{"folder to be read only", 0o744, 0, 0, 0o666, 0, 0, ".", ""},
		{"folder of the group", 0o710, 0, gid, 0o666, 0, 0, "", ""},
		{"root may all", 0o700, 0, 0, 0o600, 1, 1, "", "root"},
		{"nobody known", 0o700, 0, 0, 0o600, 0, 0, "", "no-such-user"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			top, err := os.MkdirTemp("", "uwgate-open-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(top) })
			folder := filepath.Join(top, "d")
			path := filepath.Join(folder, "s")
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			ln, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			for _, err := range []error{
				os.Chmod(top, 0o755), os.Chown(path, tt.uid, tt.gid), os.Chmod(path, tt.socket),
				os.Chown(folder, tt.folderUID, tt.folderGID), os.Chmod(folder, tt.folder),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			name := "www-data"
			if tt.alternative != "" {
				name = tt.alternative
			}
			d := mayOpen(name, "", path)
			switch want := filepath.Join(folder, tt.deniedAt); {
			case tt.deniedAt == "" && d != nil:
				t.Errorf("got %+v, want none", d)
			case tt.deniedAt != "" && (d == nil || d.Path != want || d.IsFolder != (tt.deniedAt == ".")):
				t.Errorf("got %+v, want %s", d, want)
			}
			if tt.alternative == "" {
				if opened := connectsAs(t, who, path); opened != (d == nil) {
					t.Errorf("the kernel lets it in: %v; got %+v", opened, d)
				}
			}
		})
	}
	if d := mayOpen("www-data", "", "/no/such/socket"); d != nil {
		t.Errorf("without a socket: %+v", d)
	}
}

// connectsAs reports whether a program that runs as another user can connect.
func connectsAs(t *testing.T, who process, path string) bool {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	// The test's own binary may lie where others cannot read; it is opened before.
	binary, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	p, err := os.StartProcess("/proc/self/fd/3", []string{program, "-test.run=^TestConnect$"}, &os.ProcAttr{
		Dir: "/", Env: []string{"UWGATE_TEST_CONNECT=" + path}, Files: []*os.File{null, null, null, binary},
		Sys: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: who.uid, Gid: who.gids[0], Groups: who.gids}},
	})
	if err != nil {
		t.Fatal(err)
	}
	state, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return state.Success()
}

// TestConnect is the program of connectsAs.
func TestConnect(t *testing.T) {
	path := os.Getenv("UWGATE_TEST_CONNECT")
	if path == "" {
		t.Skip("it is part of TestMayOpenAsTheKernel")
	}
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}
