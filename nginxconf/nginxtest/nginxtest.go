package nginxtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"uwgate/demo/nginx"
)

// Program returns the path of nginx, or UWGATE_TEST_NGINX. If there is none, the test is
// skipped; it fails if UWGATE_TEST_STACK is set.
func Program(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("UWGATE_TEST_NGINX"); path != "" {
		return path
	}
	for _, name := range []string{"nginx", "/usr/local/sbin/nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return missing(t, "nginx")
}

func missing(t *testing.T, what string) string {
	t.Helper()
	if os.Getenv("UWGATE_TEST_STACK") != "" {
		t.Fatalf("%s is not installed; demo/install sees to it", what)
	}
	t.Skipf("%s is not installed; demo/install sees to it", what)
	return ""
}

var modulesPath = regexp.MustCompile(`--modules-path=(\S+)`)

// Modules returns the lines that load the modules for memc and srcache.
func Modules(t *testing.T, program string) string {
	t.Helper()
	out, err := exec.Command(program, "-V").CombinedOutput()
	path := modulesPath.FindSubmatch(out)
	if err != nil || path == nil {
		t.Fatalf("nginx -V: %v\n%s", err, out)
	}
	var lines string
	for _, name := range []string{"ngx_http_memc_module.so", "ngx_http_srcache_filter_module.so"} {
		file := filepath.Join(string(path[1]), name)
		if _, err := os.Stat(file); err != nil {
			missing(t, file)
		}
		lines += "load_module " + file + ";\n"
	}
	return lines
}

// Frame writes a whole configuration around the site into a new folder.
func Frame(t *testing.T, modules, site string) (dir string) {
	t.Helper()
	// Not t.TempDir, whose path is too long for a socket.
	dir, err := os.MkdirTemp("", "uwgate-nginx-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.CopyFS(dir, nginx.Includes); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(site, "uwsgi_ssl_") {
		if err := os.CopyFS(dir, certificates(t)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"nginx.conf": nginx.Frame, "modules.conf": modules, "site.conf": site} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Arguments returns the arguments with which nginx uses that folder.
func Arguments(dir string) []string {
	args := []string{"-p", dir, "-c", "nginx.conf", "-e", filepath.Join(dir, "error.log")}
	if os.Geteuid() == 0 {
		args = append(args, "-g", "user root;") // whose folder this is
	}
	return args
}

// certificates returns the files for TLS to the gateway.
func certificates(t *testing.T) fs.FS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"uwgate.internal"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := &fstest.MapFile{Data: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	return fstest.MapFS{
		"uwgate-ca.crt": cert, "uwgate-client.crt": cert,
		"uwgate-client.key": {Data: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})},
	}
}

// Start runs nginx in the folder until the test ends, and waits until it accepts
// connections on the socket.
func Start(t *testing.T, program, dir, socket string) {
	t.Helper()
	cmd := exec.Command(program, Arguments(dir)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	await(t, socket, dir)
}

// Client returns a client that connects to the socket.
func Client(socket string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
}

// Replace edits a file.
func Replace(t *testing.T, path, old, new string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, new)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// await waits until nginx accepts connections.
func await(t *testing.T, socket, dir string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		nc, err := net.Dial("unix", socket)
		if err == nil {
			nc.Close()
			return
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "error.log"))
			t.Fatalf("nginx does not answer: %v\n%s", err, log)
		}
		<-tick.C
	}
}

// Show returns the body of the response to a GET. The headers are names and values in
// turn.
func Show(t *testing.T, client *http.Client, target, cookies string, headers ...string) string {
	t.Helper()
	req, err := http.NewRequest("GET", "http://example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = target
	if cookies != "" {
		req.Header.Set("Cookie", cookies)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s: %s %q, %v", target, resp.Status, b, err)
	}
	return string(b)
}

// Golden compares the text with a file. UPDATE=1 writes the file.
func Golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (UPDATE=1 accepts); got\n%s", path, got)
	}
}

// WriteFile writes a file and makes its folders.
func WriteFile(dir, name, text string) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// Copy copies a folder of configurations into a new one, in which nginx may write.
func Copy(t *testing.T, from string) (dir string) {
	t.Helper()
	dir = Frame(t, "", "")
	for _, name := range []string{"nginx.conf", "site.conf", "modules.conf", "mime.types", "uwsgi_params"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}
