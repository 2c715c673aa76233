package gateway

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"uwgate/gateway/socket"
	"uwgate/uwsgi"
)

// certify makes a certificate that is its own authority.
func certify(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"uwgate.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	cert.Leaf, _ = x509.ParseCertificate(der)
	return cert
}

// trusting is a pool of one certificate.
func trusting(cert tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return pool
}

// overTLS has the gateway listen for TLS, too, and returns where.
func (b *bench) overTLS(conf *tls.Config) (addr string) {
	b.t.Helper()
	ln := listen(b.t, "tcp")
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx, tls.NewListener(ln, conf)) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			b.t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// askTLS sends a request as nginx does, which verifies nothing by default.
func (b *bench) askTLS(addr string, conf *tls.Config, v uwsgi.Vars, body []byte) response {
	b.t.Helper()
	conf.InsecureSkipVerify = true
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		b.t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	tc := tls.Client(nc, conf)
	defer tc.Close()
	if _, err := tc.Write(append(encode(b.t, v), body...)); err != nil {
		return response{err: err}
	}
	raw, err := io.ReadAll(tc)
	return parseResponse(b.t, raw, err, v.Get("REQUEST_METHOD"))
}

func TestTLS(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil, says(okPage("hello")))
			addr := b.overTLS(&tls.Config{Certificates: []tls.Certificate{certify(t)}})
			client := &tls.Config{MaxVersion: version, ServerName: "any", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			for range 3 {
				// A clean end: all that was to come has come.
				if got := b.askTLS(addr, client, missed("/"), nil); got.body != "hello" || got.err != nil {
					t.Errorf("got %q, %v", got.raw, got.err)
				}
			}
			if full, resumed := b.stats.handshakes.count(handshakeFull), b.stats.handshakes.count(handshakeResumed); full != 1 || resumed != 2 {
				t.Errorf("%d full handshakes and %d resumed sessions, want 1 and 2", full, resumed)
			}
			if it := b.contents()["k:/"]; it.body != "hello" {
				t.Errorf("stored %+v", it)
			}
		})
	}
}

// Over TLS nothing is spliced, and everything arrives all the same.
func TestTLSBodies(t *testing.T) {
	body := noise(3*socket.MinSplice + 7)
	eachWay(t, func(t *testing.T, tune func(*Gateway)) {
		b := newBench(t, tune, func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
			got := make([]byte, len(body))
			io.ReadFull(in, got)
			io.WriteString(nc, okPage(string(got)))
		})
		addr := b.overTLS(&tls.Config{Certificates: []tls.Certificate{certify(t)}})
		if got := b.askTLS(addr, &tls.Config{}, uploading("POST", len(body)), body); got.body != string(body) || got.err != nil {
			t.Errorf("%d of %d bytes came back, %v", len(got.body), len(body), got.err)
		}
	})
}

// isBadRecord reports whether what came was not encrypted.
func isBadRecord(err error) bool {
	return err != nil && strings.Contains(err.Error(), "bad record MAC")
}

// A broken response does not look whole. nginx counts where there is a length.
func TestTLSBrokenAnswers(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
	for name, tt := range map[string]struct {
		response string
		spoilt   bool
	}{
		"short of its length":    {head + "Content-Length: 5\r\n\r\nhel", false},
		"without its last chunk": {head + "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil, says(tt.response))
			addr := b.overTLS(&tls.Config{Certificates: []tls.Certificate{certify(t)}})
			got := b.askTLS(addr, &tls.Config{}, missed("/"), nil)
			if tt.spoilt && !isBadRecord(got.err) {
				t.Errorf("the connection ended with %v, want a record that is none", got.err)
			}
			if !tt.spoilt && (got.length != 5 || got.body != "hel") {
				t.Errorf("got %q, want 3 of 5 bytes", got.raw)
			}
		})
	}
}

// What the end of the drain breaks off does not look whole either.
func TestDrainTimeoutBreaksOff(t *testing.T) {
	isReset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
	for network, isBroken := range map[string]func(error) bool{"tcp": isReset, "tls": isBadRecord} {
		t.Run(network, func(t *testing.T) {
			b := startBench(t, "tcp", func(g *Gateway) { g.Timeouts.Drain = 20 * time.Millisecond },
				startWorker(t, func(nc net.Conn, _ *uwsgi.Request, in *bufio.Reader) {
					io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>")
					in.ReadByte()
				}))
			ln, dial := listen(t, "tcp"), net.Dial
			if network == "tls" {
				ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{certify(t)}})
				dial = func(network, addr string) (net.Conn, error) {
					return tls.Dial(network, addr, &tls.Config{InsecureSkipVerify: true})
				}
			}
			ctx, stop := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- b.Serve(ctx, ln) }()
			nc, err := dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(patience))
			nc.Write(encode(t, missed("/")))
			in := bufio.NewReader(nc)
			if _, err := in.ReadString('<'); err != nil {
				t.Fatal(err)
			}
			stop()
			if _, err := io.ReadAll(in); !isBroken(err) {
				t.Errorf("the connection ended with %v, which looks like the end of the response", err)
			}
			if err := <-served; err == nil {
				t.Error("Serve does not say what it has broken off")
			}
		})
	}
}

// What is no handshake is logged with what to do about it.
func TestHandshakeFailures(t *testing.T) {
	own, other := certify(t), certify(t)
	server := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12, ClientCAs: trusting(own), ClientAuth: tls.RequireAndVerifyClientCert}
	handshake := func(conf *tls.Config) func(net.Conn) {
		return func(nc net.Conn) {
			tc := tls.Client(nc, conf)
			tc.Handshake()
			tc.Read(make([]byte, 1)) // in TLS 1.3 the client hears of a refusal later
		}
	}
	for name, tt := range map[string]struct {
		client func(nc net.Conn)
		want   string
	}{
		"no certificate": {handshake(&tls.Config{InsecureSkipVerify: true}), "give nginx a uwsgi_ssl_certificate"},
		"no certificate, 1.2": {handshake(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}),
			"give nginx a uwsgi_ssl_certificate"},
		"certificate of another authority": {handshake(&tls.Config{InsecureSkipVerify: true,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &other, nil }}),
			"from an authority of --tls-client-ca"},
		"client trusts another authority": {handshake(&tls.Config{RootCAs: trusting(other), ServerName: "uwgate.test"}),
			"uwsgi_ssl_trusted_certificate and uwsgi_ssl_name must fit --tls-cert"},
		"TLS 1.1": {handshake(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}),
			"must have TLSv1.2 or TLSv1.3"},
		"not TLS": {func(nc net.Conn) { nc.Write(encode(t, missed("/"))); io.Copy(io.Discard, nc) }, "write uwsgi_pass suwsgi://"},
		"nothing": {func(nc net.Conn) { nc.Read(make([]byte, 1)) }, "nothing came in time"},
		"half":    {func(nc net.Conn) { nc.Write([]byte{22, 3, 1, 2, 0, 1}); nc.Read(make([]byte, 1)) }, "nothing came in time"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(g *Gateway) {
				if tt.want == "nothing came in time" {
					g.Timeouts.Handshake = 20 * time.Millisecond
				}
			}, says(okPage("hello")))
			nc, err := net.Dial("tcp", b.overTLS(server))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(patience))
			tt.client(nc)
			eventually(t, "failure counted", func() bool { return b.stats.handshakes.count(handshakeFailed) == 1 })
			if got := b.logs.FilterMessageSnippet("TLS handshake failed").All()[0].Message; !strings.Contains(got, tt.want) {
				t.Errorf("logged %q, want %q", got, tt.want)
			}
			if n := b.access.Len(); n != 0 {
				t.Errorf("%d access lines, want none", n)
			}
		})
	}
}

// A health check that connects and closes is not a failure.
func TestTLSProbe(t *testing.T) {
	b := newBench(t, nil)
	nc, err := net.Dial("tcp", b.overTLS(&tls.Config{Certificates: []tls.Certificate{certify(t)}}))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	eventually(t, "probe counted", func() bool { return b.stats.probes.Load() == 1 })
	if b.logs.Len() != 0 {
		t.Errorf("logged %v", b.logs.All())
	}
}

func TestClientCertificate(t *testing.T) {
	cert := certify(t)
	b := newBench(t, nil, says(okPage("hello")))
	addr := b.overTLS(&tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: trusting(cert), ClientAuth: tls.RequireAndVerifyClientCert})
	if got := b.askTLS(addr, &tls.Config{Certificates: []tls.Certificate{cert}}, missed("/"), nil); got.body != "hello" || got.err != nil {
		t.Errorf("got %q, %v", got.raw, got.err)
	}
}
