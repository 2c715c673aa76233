package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// printed returns what `uwgate nginx` prints with the flags of the stack's gateway.
func (w *world) printed(args ...string) string {
	w.t.Helper()
	args = append([]string{"nginx", "--listen", w.Uwgate.Addr, "--memcached", w.Memcached[0].Addr}, args...)
	cmd := exec.Command(binary, args...)
	cmd.Env = stack.UwgateEnv()
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("uwgate %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// writeFile writes a file into the folder of nginx's configuration.
func (w *world) writeFile(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// A second site, with a name of its own, in a server block of the operator's own: both are
// filled and hit, under keys that do not contain the name.
func TestTwoSites(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{Format: format, ReadsNginx: true})
			first, err := os.ReadFile(filepath.Join(w.Dir, "site.conf"))
			if err != nil {
				t.Fatal(err)
			}
			addr := freeAddr(t)
			w.writeFile("uwgate/shop-http.conf", w.printed("--format", format, "--part", "http", "--name", "shop"))
			w.writeFile("uwgate/shop-server.conf", w.printed("--format", format, "--part", "server", "--name", "shop"))
			w.writeFile("files/static/a.txt", "a file")
			w.writeFile("site.conf", string(first)+fmt.Sprintf(`
				include uwgate/shop-http.conf;
				server {
					listen %s;
					server_name shop.example.com;
					location /static/ { root files; }
					include uwgate/shop-server.conf;
				}`, addr))
			if err := w.Nginx.Reload(); err != nil {
				t.Fatal(err)
			}
			w.eventually("nginx has the second site", func() bool { return stack.Connects(t.Context(), addr) == nil })
			n := strings.Count(w.Uwgate.Log(), "settings reloaded") // which reads both sites
			if err := w.Uwgate.Reload(); err != nil {
				t.Fatal(err)
			}
			w.eventually("uwgate reads both sites", func() bool { return strings.Count(w.Uwgate.Log(), "settings reloaded") > n })

			if p := w.want(w.shop(addr, "/static/a.txt"), 200); p.body != "a file" {
				t.Errorf("the static file is %q", p.body)
			}
			w.wantHit("/clock", "</html>")
			miss := w.want(w.shop(addr, "/clock"), 200)
			w.wantKey("http://shop.example.com/clock")
			w.settle() // the line of the miss is written after its response
			passed := len(w.lines())
			if hit := w.want(w.shop(addr, "/clock"), 200); hit.body != miss.body {
				t.Error("the second request is no hit")
			}
			w.settle()
			if n := len(w.lines()) - passed; n != 0 {
				t.Errorf("the hit is %d requests to uwgate", n)
			}
			// Another visitor has a key of his own.
			w.want(w.shop(addr, "/clock", "Cookie: theme=dark"), 200)
			w.eventually("the other visitor's request", func() bool { return len(w.lines()) > passed })
			if l := w.lines()[passed]; l.Key != "+http://shop.example.com/clock" {
				t.Errorf("the other visitor's key is %q", l.Key)
			}
		})
	}
}

// shop requests a page of the second site.
func (w *world) shop(addr, path string, headers ...string) page {
	w.t.Helper()
	req, err := http.NewRequest("GET", "http://"+addr+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Host = "shop.example.com"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return w.send(http.DefaultTransport, req)
}
