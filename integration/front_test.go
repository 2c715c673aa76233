package integration

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/nginx"
	"uwgate/demo/stack"
)

// A front is a second nginx before the gateway and the memcached of a stack. Its workers
// run as www-data, as Debian's do.
type front struct {
	w    *world
	dir  string
	addr string // on loopback
}

// startFront starts one with the site of the stack, which is no default_server and has no
// name there, and which change may edit.
func startFront(t *testing.T, w *world, change func(site, addr string) string) *front {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("nginx's workers get another user only from root")
	}
	if _, err := user.Lookup("www-data"); err != nil {
		t.Skip(err)
	}
	f := &front{w: w, dir: shortDir(t), addr: freeAddr(t)}
	if err := os.Chmod(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	site, err := os.ReadFile(w.file("site.conf"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(site), w.Nginx.Addr, f.addr)
	for _, part := range [][2]string{{"listen " + f.addr + " default_server;", "listen " + f.addr + ";"}, {"server_name _;", ""}} {
		if !strings.Contains(text, part[0]) {
			t.Fatalf("%q is not in\n%s", part[0], text)
		}
		text = strings.Replace(text, part[0], part[1], 1)
	}
	if change != nil {
		text = change(text, f.addr)
	}
	files := map[string]string{"nginx.conf": "user www-data;\n" + nginx.Frame, "site.conf": text}
	for _, name := range []string{"uwsgi_params", "mime.types"} {
		b, err := os.ReadFile(w.file(name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(b)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(f.dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.start(t)
	return f
}

func (f *front) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command(f.w.Nginx.Command[0], "-p", f.dir, "-c", filepath.Join(f.dir, "nginx.conf"), "-e", filepath.Join(f.dir, "error.log"))
	var out bytes.Buffer
	cmd.Stderr = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	f.w.eventually("nginx listens", func() bool {
		err := stack.Connects(context.Background(), f.addr)
		if err != nil && cmd.ProcessState != nil {
			t.Fatalf("nginx: %s", out.String())
		}
		return err == nil
	})
}

// conf is the main file.
func (f *front) conf() string { return filepath.Join(f.dir, "nginx.conf") }

// url is the address of a page.
func (f *front) url(path string) string { return "http://" + f.addr + path }

// openStack is a stack whose folder others may enter.
func openStack(t *testing.T, cfg stack.Config) *world {
	t.Helper()
	cfg.Dir = shortDir(t)
	if err := os.Chmod(cfg.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return canaryStack(t, cfg)
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
