package settings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"
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

func TestTLSConfig(t *testing.T) {
	cert, key := certified(t)
	other, otherKey := certified(t)
	for name, tt := range map[string]struct {
		cert, key, ca []byte
		auth          tls.ClientAuthType
		err           string // "": none
	}{
		"pair":                      {cert, key, nil, tls.NoClientCert, ""},
		"pair and authority":        {cert, key, other, tls.RequireAndVerifyClientCert, ""},
		"another key":               {cert, otherKey, nil, 0, "must be that of the key in the other"},
		"no certificate of clients": {cert, key, otherKey, 0, "--tls-client-ca ca.pem: there is no certificate in PEM form in it"},
		"no key":                    {cert, nil, nil, 0, "needs --tls-cert and --tls-key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &TLSSettings{}
			for _, f := range []tlsFile{{"tls-cert", "cert.pem", tt.cert}, {"tls-key", "key.pem", tt.key}, {"tls-client-ca", "ca.pem", tt.ca}} {
				if f.pem != nil {
					s.files = append(s.files, f)
				}
			}
			conf, err := s.config()
			switch {
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v, want %q", err, tt.err)
			case tt.err == "" && (err != nil || conf.ClientAuth != tt.auth || conf.MinVersion != tls.VersionTLS12):
				t.Errorf("got %+v, %v", conf, err)
			}
		})
	}
}

// Settings differ by what is in the files, and say nothing of it.
func TestTLSFilesAreCompared(t *testing.T) {
	cert, key := certified(t)
	values := func(cert, key []byte) map[string]string {
		v := map[string]string{"tls-cert": "cert.pem", "tls-key": "key.pem", "ttl": "10m"}
		(&TLSSettings{files: []tlsFile{{"tls-cert", "cert.pem", cert}, {"tls-key", "key.pem", key}}}).AddTo(v)
		return v
	}
	before := values(cert, key)
	if !maps.Equal(before, values(cert, key)) {
		t.Error("the same files differ")
	}
	if after := values(key, cert); after["tls-cert"] == before["tls-cert"] || after["tls-key"] == before["tls-key"] {
		t.Errorf("other files are the same: %v", after)
	}
	if strings.Contains(before["tls-key"], "PRIVATE") {
		t.Error("the key is among the settings")
	}
}
