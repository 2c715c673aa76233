package settings

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
)

// A TLS is what connections over TLS begin with.
type TLS struct {
	Config *tls.Config
	files  map[string]pemFile // by setting
}

// A pemFile is a file and what is in it.
type pemFile struct {
	path string
	pem  []byte
}

// makeTLS reads the files of TLS. It returns nil if no address is for TLS.
func (s *Settings) makeTLS() (*TLS, error) {
	files, err := s.readPEM()
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(s.Listen.Addresses, func(a Address) bool { return a.Secure }) {
		for _, name := range pemSettings {
			if _, given := files[name]; given && !s.bad["listen"] {
				return nil, fmt.Errorf("%s is for TLS, and no address is: add --listen suwsgi:host:port", s.Origin(name).name(name))
			}
		}
		return nil, nil
	}
	conf, err := s.configTLS(files)
	return &TLS{conf, files}, err
}

// pemSettings are those that name a file of TLS.
var pemSettings = []string{"tls-cert", "tls-key", "tls-client-ca"}

// readPEM reads those files that are named.
func (s *Settings) readPEM() (map[string]pemFile, error) {
	paths := map[string]string{"tls-cert": s.Listen.Cert, "tls-key": s.Listen.CertKey, "tls-client-ca": s.Listen.ClientCA}
	files := make(map[string]pemFile)
	for _, name := range pemSettings {
		path := paths[name]
		if path == "" {
			continue
		}
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, s.Refuse(name, err)
		}
		files[name] = pemFile{path, pem}
	}
	return files, nil
}

// configTLS makes the configuration of the files. The sessions that clients may resume are
// those of one such: none outlives the authorities that let it begin.
func (s *Settings) configTLS(files map[string]pemFile) (*tls.Config, error) {
	cert, hasCert := files["tls-cert"]
	key, hasKey := files["tls-key"]
	if !hasCert || !hasKey {
		return nil, errors.New("--listen suwsgi:… needs --tls-cert and --tls-key, PEM files with a certificate and its key")
	}
	pair, err := tls.X509KeyPair(cert.pem, key.pem)
	if err != nil {
		return nil, s.Refuse("tls-cert", fmt.Errorf("%w; the first certificate in it must be that of the key in %s", err, s.mention("tls-key")))
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if ca, given := files["tls-client-ca"]; given {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !conf.ClientCAs.AppendCertsFromPEM(ca.pem) {
			return nil, s.Refuse("tls-client-ca", errors.New("the file has no certificate in PEM form"))
		}
	}
	return conf, nil
}

// digest is what is in the file of a setting, to be compared; "" if there is none.
func (t *TLS) digest(name string) string {
	if t == nil {
		return ""
	}
	f, ok := t.files[name]
	if !ok {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(f.pem))
}
