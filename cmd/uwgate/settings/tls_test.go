package settings

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"slices"
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
		"another key":               {cert, otherKey, nil, 0, "must be that of the key in --tls-key key.pem"},
		"no certificate of clients": {cert, key, otherKey, 0, `--tls-client-ca "ca.pem": the file has no certificate in PEM form`},
		"no key":                    {cert, nil, nil, 0, "needs --tls-cert and --tls-key"},
	} {
		t.Run(name, func(t *testing.T) {
			set := parse(t, "--tls-cert", "cert.pem", "--tls-key", "key.pem", "--tls-client-ca", "ca.pem")
			s, err := set.read(set.given(), &configFile{})
			if err != nil {
				t.Fatal(err)
			}
			files := make(map[string]pemFile)
			for _, f := range []struct {
				name, path string
				pem        []byte
			}{{"tls-cert", "cert.pem", tt.cert}, {"tls-key", "key.pem", tt.key}, {"tls-client-ca", "ca.pem", tt.ca}} {
				if f.pem != nil {
					files[f.name] = pemFile{f.path, f.pem}
				}
			}
			conf, err := s.configTLS(files)
			switch {
			case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("got %v, want %q", err, tt.err)
			case tt.err == "" && (err != nil || conf.ClientAuth != tt.auth || conf.MinVersion != tls.VersionTLS12):
				t.Errorf("got %+v, %v", conf, err)
			}
		})
	}
}

// Settings differ by what is in the files, and contain nothing of it.
func TestTLSFilesAreCompared(t *testing.T) {
	cert, key := certified(t)
	parts := func(cert, key []byte) *Parts {
		p, err := partsOf(t)
		if err != nil {
			t.Fatal(err)
		}
		p.TLS = &TLS{files: map[string]pemFile{"tls-cert": {"cert.pem", cert}, "tls-key": {"key.pem", key}}}
		return p
	}
	before := parts(cert, key)
	if got := before.Changes(parts(cert, key)); got != nil {
		t.Errorf("the same files: %q changed", got)
	}
	if got := before.Changes(parts(key, cert)); !slices.Equal(got, []string{"tls-cert", "tls-key"}) {
		t.Errorf("other files: %q changed, want both", got)
	}
	if strings.Contains(before.TLS.digest("tls-key"), "PRIVATE") {
		t.Error("the key is among the settings")
	}
}
