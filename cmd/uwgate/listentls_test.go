package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"uwgate/cmd/uwgate/settings"
)

// certified makes a certificate and its key, as PEM.
func certified(t *testing.T) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// New connections begin with the settings of the moment, and none waits in Accept
// for a handshake.
func TestTLSListener(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	now := &tlsConfig{}
	ln := tlsListener{tcp.(*net.TCPListener), now}
	defer ln.Close()
	var served [2][]byte
	for i := range served {
		cert, key := certified(t)
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		next := &settings.TLS{Config: &tls.Config{Certificates: []tls.Certificate{pair}}}
		now.set(next)
		client, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		go nc.(*tls.Conn).Handshake()
		tc := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		served[i] = tc.ConnectionState().PeerCertificates[0].Raw
	}
	if string(served[0]) == string(served[1]) {
		t.Error("the second connection began with the certificate of the first one")
	}
	was := now.now.Load()
	if now.set(nil); now.now.Load() != was {
		t.Error("no configuration replaced one")
	}
}
