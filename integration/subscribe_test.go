package integration

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"uwgate/demo/stack"
	"uwgate/uwsgi"
)

// A uWSGI that announces itself gets the requests of its key until it leaves.
func TestSubscriptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		unix     bool
		signed   bool
		sub      string   // beside server= and key=
		args     []string // of uwgate
		end      syscall.Signal
		expected string // in uwgate's log
	}{
		{name: "UDP", end: syscall.SIGTERM, expected: "server left"},
		{name: "UNIX", unix: true, sub: ",weight=3,modifier1=0", end: syscall.SIGTERM, expected: "server left"},
		{name: "signed", signed: true, end: syscall.SIGTERM, expected: "server left"},
		{name: "killed", args: []string{"--subscribe-tolerance", "8s"}, end: syscall.SIGKILL, expected: "server expired"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			addr := freeAddr(t)
			server := addr
			if tt.unix {
				server = filepath.Join(dir, "subscribe.sock")
				addr = "unix:" + server
			}
			sub := "server=" + server + ",key=shop.example" + tt.sub
			if tt.signed {
				sub += ",sign=SHA256:" + makeKeys(t, dir, "shop.example.pem")
				tt.args = append(tt.args, "--subscribe-sign", dir)
			}
			state := filepath.Join(dir, "state.json")
			w := start(t, stack.Config{
				Backend: "unix:" + filepath.Join(dir, "nobody.sock"),
				Args:    append(tt.args, "--subscribe", addr, "--subscribe-key", "*.example", "--subscribe-state", state),
			})
			if p := w.askHost("shop.example"); p.status != 503 {
				t.Fatalf("before the announcement: %d, %v; want 503", p.status, p.err)
			}
			u := startSubscriber(t, dir, sub)
			w.eventually("a page of the subscriber", func() bool { return w.askHost("Shop.example:8080").status == 200 })
			if p := w.askHost("other.example"); p.status != 503 {
				t.Errorf("another host: %d, %v; want 503", p.status, p.err)
			}
			for _, want := range []string{"uwgate_subscription_keys 1\n", "uwgate_subscription_servers 1\n", `uwgate_pool_queue_requests{pool="subscribed:shop.example"} 0`} {
				if !strings.Contains(w.metrics(), want) {
					t.Errorf("the metrics have no %q", want)
				}
			}
			if err := w.Uwgate.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := w.Uwgate.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if p := w.askHost("shop.example"); p.status != 200 {
				t.Errorf("after a restart: %d, %v; want 200", p.status, p.err)
			}
			u.Process.Signal(tt.end)
			u.Wait()
			w.eventually("the end of the subscriber", func() bool { return strings.Contains(w.Uwgate.Log(), tt.expected) })
			if p := w.askHost("shop.example"); p.status != 503 {
				t.Errorf("after its end: %d, %v; want 503", p.status, p.err)
			}
		})
	}
}

// askHost sends uwgate a request for that host.
func (w *world) askHost(host string) page {
	v := vars("GET", "/")
	for i := range v {
		if v[i].Name == "HTTP_HOST" {
			v[i].Value = host
		}
	}
	return w.ask(w.Uwgate.Addr, append(v, uwsgi.Var{Name: "CACHE_STATUS", Value: "404"}), "")
}

const subscriberApp = `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
`

// startSubscriber starts a uWSGI that announces itself every second.
func startSubscriber(t *testing.T, dir, sub string) *exec.Cmd {
	t.Helper()
	app := filepath.Join(dir, "app.py")
	if err := os.WriteFile(app, []byte(subscriberApp), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("uwsgi", "--plugins", "python3", "--socket", "127.0.0.1:0", "--wsgi-file", app, "--need-app",
		"--master", "--die-on-term", "--no-orphans", "--processes", "2", "--worker-reload-mercy", "2",
		"--subscribe-freq", "1", "--subscribe2", sub)
	log, err := os.Create(filepath.Join(dir, "uwsgi.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("the subscriber's log:\n%s", b)
		}
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return cmd
}

// makeKeys writes a public key with that name and returns the path of its private key.
func makeKeys(t *testing.T, dir, public string) (private string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	private = filepath.Join(dir, "private.pem")
	for path, block := range map[string]*pem.Block{
		filepath.Join(dir, public): {Type: "PUBLIC KEY", Bytes: b},
		private:                    {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return private
}
