package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"uwgate/demo/stack"
)

// certificate writes a self-signed certificate and its key as NAME.crt and NAME.key.
func certificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"uwgate.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// startSecure connects nginx to uwgate over TLS. Its files are server.crt and
// server.key in dir. lines are directives of nginx.
func startSecure(t *testing.T, dir string, cfg stack.Config, lines ...string) *world {
	t.Helper()
	cert, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
	addr := "127.0.0.1:" + freePort(t)
	cfg.Args = append([]string{"--listen", "suwsgi:" + addr, "--tls-cert", cert, "--tls-key", key}, cfg.Args...)
	lines = append([]string{"include uwsgi_params;", "client_max_body_size 0;"}, lines...)
	cfg.Edits = [][2]string{
		{"uwsgi_pass uwgate;", "uwsgi_pass suwsgi://" + addr + ";"},
		{"include uwsgi_params;", strings.Join(lines, "\n    ")},
	}
	return start(t, cfg)
}

// handshakes is the number of TLS handshakes with that result.
func (w *world) handshakes(result string) int {
	w.t.Helper()
	return w.metric(`uwgate_tls_handshakes_total{result="` + result + `"}`)
}

func TestSuwsgi(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate(t, dir, "server")
	w := startSecure(t, dir, stack.Config{})
	w.wantHit("/clock", "</html>")
	for n := range 20 {
		w.want(w.get(fmt.Sprintf("/clock?n=%d", n)), 200)
	}
	if full, resumed := w.handshakes("full"), w.handshakes("resumed"); resumed < 10 || full == 0 {
		t.Errorf("%d full handshakes and %d resumed sessions: nginx resumes its own", full, resumed)
	}
	t.Run("answer that breaks off", func(t *testing.T) {
		if p := w.get("/faults/die"); p.status != 200 || p.err == nil {
			t.Errorf("got %d, %d bytes, %v; want a page that visibly breaks off", p.status, len(p.body), p.err)
		}
	})
	t.Run("no answer", func(t *testing.T) {
		w.want(w.get("/faults/die-silent"), 502)
	})
	if n := w.handshakes("failed"); n != 0 {
		t.Errorf("%d handshakes failed", n)
	}
}

// Bodies of any size are complete in both directions.
func TestSuwsgiBodies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate(t, dir, "server")
	for _, m := range bodyModes {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := startSecure(t, dir, stack.Config{App: "testdata/bodies", Args: m.args}, m.lines...)
			body := make([]byte, 5<<20+7)
			rand.Read(body)
			p := w.want(w.do("POST", "/digest", bytes.NewReader(body)), 200)
			if want := fmt.Sprintf("%d %x", len(body), sha256.Sum256(body)); p.body != want {
				t.Errorf("the worker got %s, want %s", p.body, want)
			}
			if p := w.want(w.do("POST", "/large?mib=24", io.LimitReader(zeros{}, 24<<20)), 200); len(p.body) != 24<<20 {
				t.Errorf("%d bytes came back", len(p.body))
			}
			for range 5 {
				if p := w.do("POST", "/refuse?status=413", bytes.NewReader(body)); p.status != 413 || p.body != "refused" || p.err != nil {
					t.Errorf("early response: got %d %q, %v", p.status, p.body, p.err)
				}
			}
		})
	}
}

// A response that breaks off visibly breaks off for the visitor, with a length or
// without one.
func TestSuwsgiBrokenAnswers(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
	part := strings.Repeat("x", 100_000)
	for name, answer := range map[string]string{
		"short of its length":    head + "Content-Length: 100001\r\n\r\n" + part,
		"without its last chunk": head + "Transfer-Encoding: chunked\r\n\r\n186a0\r\n" + part + "\r\n",
		"head alone":             head + "Transfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			certificate(t, dir, "server")
			worker := filepath.Join(dir, "worker.sock")
			scripted(t, worker, func(nc net.Conn) { io.WriteString(nc, answer) })
			w := startSecure(t, dir, stack.Config{Backend: "unix:" + worker})
			for range 5 {
				if p := w.get("/page"); p.err == nil && p.status == 200 {
					t.Errorf("got %d bytes and a clean end; want a page that visibly breaks off", len(p.body))
				}
			}
			if n := w.items(); n != 0 {
				t.Errorf("%d pages are stored", n)
			}
		})
	}
}

// nginx needs a certificate of the right authority.
func TestSuwsgiClientCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificate(t, dir, "server")
	ca, key := certificate(t, dir, "client")
	other, otherKey := certificate(t, dir, "other")
	for _, tt := range []struct {
		name   string
		lines  []string
		status int
		logged string
	}{
		{"given", []string{"uwsgi_ssl_certificate " + ca + ";", "uwsgi_ssl_certificate_key " + key + ";"}, 200, ""},
		{"missing", nil, 502, "give nginx a uwsgi_ssl_certificate"},
		{"another authority's", []string{"uwsgi_ssl_certificate " + other + ";", "uwsgi_ssl_certificate_key " + otherKey + ";"}, 502, "from an authority of --tls-client-ca"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := startSecure(t, dir, stack.Config{Args: []string{"--tls-client-ca", ca}}, tt.lines...)
			for range 2 {
				w.want(w.get("/clock"), tt.status)
			}
			if !strings.Contains(w.Uwgate.Log(), tt.logged) {
				t.Errorf("the log does not say %q", tt.logged)
			}
			if failed := w.handshakes("failed"); (failed > 0) != (tt.status != 200) {
				t.Errorf("%d handshakes failed", failed)
			}
		})
	}
}

// nginx verifies the certificate. HUP loads another one, unless it is wrong.
func TestSuwsgiReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificate(t, dir, "server")
	trusted := filepath.Join(dir, "trusted.crt")
	copyFile(t, cert, trusted)
	w := startSecure(t, dir, stack.Config{},
		"uwsgi_ssl_verify on;", "uwsgi_ssl_trusted_certificate "+trusted+";", "uwsgi_ssl_name uwgate.test;", "uwsgi_ssl_session_reuse off;")
	w.want(w.get("/clock?n=1"), 200)

	next, nextKey := certificate(t, dir, "next")
	copyFile(t, next, cert)
	w.reload("settings not reloaded")
	w.want(w.get("/clock?n=2"), 200)

	copyFile(t, nextKey, key)
	w.reload("settings reloaded")
	w.want(w.get("/clock?n=3"), 502)
	w.eventually("the refusal is logged", func() bool {
		return strings.Contains(w.Uwgate.Log(), "closed without a request; nginx does that if it does not trust --tls-cert")
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reload sends HUP and waits for the outcome in the log.
func (w *world) reload(outcome string) {
	w.t.Helper()
	n := strings.Count(w.Uwgate.Log(), outcome)
	if err := w.Uwgate.Reload(); err != nil {
		w.t.Fatal(err)
	}
	w.eventually(outcome, func() bool { return strings.Count(w.Uwgate.Log(), outcome) > n })
}

// Only processes of these users may connect. nginx's workers run as the user of the
// test.
func TestAllowUser(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells who connects")
	}
	for _, tt := range []struct {
		name    string
		user    int
		refused bool // and a worker stands in
	}{
		{"nginx's", os.Getuid(), false},
		{"another", os.Getuid() + 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{Args: []string{"--allow-user", strconv.Itoa(tt.user)}})
			w.want(w.get("/clock"), 200)
			refused := w.metric("uwgate_peers_refused_total")
			logged := strings.Contains(w.Uwgate.Log(), "the peer's user is not allowed; if it is your nginx's, add --allow-user")
			if (refused > 0) != tt.refused || logged != tt.refused {
				t.Errorf("%d connections refused; logged: %v", refused, logged)
			}
		})
	}
}

// --stats serves FastRouter's JSON to each client.
func TestStats(t *testing.T) {
	t.Parallel()
	addr := "127.0.0.1:" + freePort(t)
	w := start(t, stack.Config{Args: []string{"--stats", addr}})
	w.want(w.get("/clock"), 200)
	w.settle()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	var doc struct {
		FastRouter []string
		Static     []struct {
			Name string
			Hits int
		} `json:"static_nodes"`
		Workers []struct{ PID, Requests, RSS int }
	}
	if err := json.NewDecoder(nc).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.FastRouter) != 1 || "unix:"+doc.FastRouter[0] != w.Uwgate.Addr {
		t.Errorf("it listens on %q, want %s", doc.FastRouter, w.Uwgate.Addr)
	}
	if len(doc.Static) != 1 || doc.Static[0].Name != w.UWSGI.Addr || doc.Static[0].Hits != 1 {
		t.Errorf("static nodes %+v, want one request to %s", doc.Static, w.UWSGI.Addr)
	}
	if len(doc.Workers) != 1 || doc.Workers[0].Requests != 1 || doc.Workers[0].PID == 0 {
		t.Errorf("workers %+v", doc.Workers)
	}
}
