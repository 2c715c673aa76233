package integration

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// startSecureUWSGI starts a uWSGI with TLS and the application of testdata/bodies. Its
// files are server.crt and server.key in dir. Without --tcp-nodelay the kernel delays
// the end of a response, and drops it when uWSGI closes before it has read the upload.
func startSecureUWSGI(t *testing.T, dir string) (addr string) {
	t.Helper()
	app, err := filepath.Abs(filepath.Join("testdata", "bodies"))
	if err != nil {
		t.Fatal(err)
	}
	addr = "127.0.0.1:" + freePort(t)
	cmd := exec.Command("uwsgi", "--plugins", "python3", "--suwsgi-socket", addr+",server.crt,server.key",
		"--pythonpath", app, "--module", "app", "--need-app", "--master", "--die-on-term", "--no-orphans", "--processes", "2", "--tcp-nodelay")
	log, err := os.Create(filepath.Join(dir, "uwsgi.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Dir, cmd.Env = dir, append(stack.SystemEnv(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("uWSGI's log:\n%s", b)
		}
	})
	return addr
}

// The workers are a uWSGI with TLS, which sends no close_notify.
func TestSuwsgiBackend(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, _ := certificate(t, dir, "server")
	addr := startSecureUWSGI(t, dir)
	for _, m := range bodyModes[:2] {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{
				Backend: "suwsgi:" + addr + " server-name=uwgate.test ca=" + ca,
				Args:    append([]string{"--accept-unframed", "html"}, m.args...),
				Edits:   [][2]string{{"include uwsgi_params;", "include uwsgi_params;\n    client_max_body_size 0;"}},
			})
			w.eventually("uWSGI answers", func() bool { return w.get("/digest").status == 200 })
			testSecureBackend(t, w)
		})
	}
	t.Run("another authority", func(t *testing.T) {
		t.Parallel()
		other, _ := certificate(t, t.TempDir(), "other")
		w := start(t, stack.Config{Backend: "suwsgi:" + addr + " server-name=uwgate.test ca=" + other})
		w.want(w.get("/digest"), 503)
		w.eventually("the reason in the log", func() bool { return strings.Contains(w.Uwgate.Log(), "failed to verify certificate") })
	})
}

func testSecureBackend(t *testing.T, w *world) {
	small := fmt.Sprintf("5 %x", sha256.Sum256([]byte("hello")))
	for n := range 50 {
		if p := w.do("POST", "/digest", strings.NewReader("hello")); p.status != 200 || p.body != small || p.err != nil {
			t.Fatalf("request %d: got %d %q, %v", n, p.status, p.body, p.err)
		}
	}
	if p := w.get("/refuse?status=200&framed=no"); p.status != 200 || p.body != "refused" || p.err != nil {
		t.Errorf("unframed: got %d %q, %v", p.status, p.body, p.err)
	}
	if p := w.get("/large?mib=16"); p.status != 200 || len(p.body) != 16<<20 || p.err != nil {
		t.Errorf("large: got %d, %d bytes, %v", p.status, len(p.body), p.err)
	}
	body := make([]byte, 1<<20)
	rand.Read(body)
	if p, want := w.do("POST", "/digest", bytes.NewReader(body)), fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)); p.body != want {
		t.Errorf("upload: got %d %q, %v; want %s", p.status, p.body, p.err, want)
	}
	for range 10 {
		if p := w.do("POST", "/refuse?status=413", bytes.NewReader(body)); p.status != 413 || p.body != "refused" || p.err != nil {
			t.Errorf("early response: got %d %q, %v", p.status, p.body, p.err)
		}
	}
}
