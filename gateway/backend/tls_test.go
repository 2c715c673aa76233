package backend

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTLS(t *testing.T) {
	addr, ca := listenTLS(t, "app.example.com")
	for _, tt := range []struct{ name, params, fails string }{
		{"authority and name", "ca=" + ca + " server-name=app.example.com", ""},
		{"another name", "ca=" + ca, "127.0.0.1"},
		{"unknown authority", "server-name=app.example.com", "unknown authority"},
		{"not verified", "insecure", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, "suwsgi:"+addr+" "+tt.params)
			if tt.fails != "" {
				p.QueueTimeout = 10 * time.Millisecond
			}
			nc, err := p.Dial(t.Context(), Want{})
			if tt.fails != "" {
				if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("error %v, want ErrUnavailable that says %q", err, tt.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if _, ok := nc.Raw().(*tls.Conn); !ok {
				t.Errorf("a %T under it", nc.Raw())
			}
			io.WriteString(nc, "ping")
			var back [4]byte
			if _, err := io.ReadFull(nc, back[:]); err != nil || string(back[:]) != "ping" {
				t.Errorf("got %q, %v back", back, err)
			}
		})
	}
}

// A server without TLS costs no more than the time for connecting.
func TestTLSHandshakeIsBounded(t *testing.T) {
	p := newPool(t, "suwsgi:"+fullTCP(t))
	p.DialTimeout, p.QueueTimeout = 50*time.Millisecond, 50*time.Millisecond
	start := time.Now()
	if _, err := p.Dial(t.Context(), Want{}); !errors.Is(err, ErrUnavailable) || time.Since(start) > 5*time.Second {
		t.Errorf("error %v after %v", err, time.Since(start))
	}
}

// listenTLS echoes over TLS with a certificate for that name. The file ca has its
// authority.
func listenTLS(t *testing.T, name string) (addr, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			echo(nc)
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String(), ca
}

func echo(nc net.Conn) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(time.Minute))
	io.Copy(nc, nc)
}
