package settings

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/urfave/cli/v2"

	"uwgate/gateway/backend"
)

func tlsFlags() []cli.Flag {
	file := func(name, usage string) cli.Flag {
		return &cli.StringFlag{Category: catWires, Name: name, EnvVars: env(name), TakesFile: true, Usage: usage}
	}
	return []cli.Flag{
		file("tls-cert", "certificate for --listen suwsgi:…, and those that lead to its authority, in this PEM `FILE`; read again on HUP"),
		file("tls-key", "its key, in this PEM `FILE`"),
		file("tls-client-ca", "clients need a certificate of an authority in this PEM `FILE`"),
	}
}

// CutTLS takes the prefix off an address for uwsgi over TLS.
func CutTLS(addr string) (rest string, secure bool) { return strings.CutPrefix(addr, "suwsgi:") }

// ParseListen splits an address of --listen.
func ParseListen(addr string) (network, address string, secure bool, err error) {
	rest, secure := CutTLS(addr)
	network, address, err = backend.ParseAddr(rest)
	if err == nil && secure && network != "tcp" {
		err = fmt.Errorf("address %q: TLS goes over TCP: write suwsgi:host:port", addr)
	}
	return network, address, secure, err
}

// A tlsFile is what TLS is made of: a flag that names a file, and what is in it.
type tlsFile struct {
	flag, path string
	pem        []byte
}

// TLSSettings are those of new connections; they can be replaced.
type TLSSettings struct {
	atomic.Pointer[tls.Config]
	files []tlsFile
}

// parseTLS reads the files of TLS, if something is to listen for it.
func parseTLS(c *cli.Context, cfg *Config) error {
	isSecure := func(addr string) bool { _, secure := CutTLS(addr); return secure }
	files, err := readTLSFiles(c)
	switch {
	case err != nil:
		return err
	case !slices.ContainsFunc(cfg.Listen, isSecure):
		if len(files) > 0 {
			return fmt.Errorf("--%s is for TLS, and nothing listens for that: add --listen suwsgi:host:port", files[0].flag)
		}
		return nil
	}
	cfg.TLS = &TLSSettings{files: files}
	conf, err := cfg.TLS.config()
	cfg.TLS.Store(conf)
	return err
}

// readTLSFiles reads those files that are named.
func readTLSFiles(c *cli.Context) ([]tlsFile, error) {
	var files []tlsFile
	for _, f := range tlsFlags() {
		name := f.Names()[0]
		path := c.String(name)
		if path == "" {
			continue
		}
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
		files = append(files, tlsFile{name, path, pem})
	}
	return files, nil
}

func (s *TLSSettings) file(flag string) *tlsFile {
	for i := range s.files {
		if s.files[i].flag == flag {
			return &s.files[i]
		}
	}
	return nil
}

// config makes the settings of the files. The sessions that clients may resume are
// those of one such: none outlives the authorities that let it begin.
func (s *TLSSettings) config() (*tls.Config, error) {
	cert, key := s.file("tls-cert"), s.file("tls-key")
	if cert == nil || key == nil {
		return nil, errors.New("--listen suwsgi:… needs --tls-cert and --tls-key, PEM files with a certificate and its key")
	}
	pair, err := tls.X509KeyPair(cert.pem, key.pem)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert %s, --tls-key %s: %w; the first certificate of the one file must be that of the key in the other", cert.path, key.path, err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if ca := s.file("tls-client-ca"); ca != nil {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if !conf.ClientCAs.AppendCertsFromPEM(ca.pem) {
			return nil, fmt.Errorf("--tls-client-ca %s: there is no certificate in PEM form in it", ca.path)
		}
	}
	return conf, nil
}

// AddTo adds what is in the files to the values of the flags that name them: that
// is what they are compared by.
func (s *TLSSettings) AddTo(values map[string]string) {
	if s == nil {
		return
	}
	for _, f := range s.files {
		values[f.flag] += fmt.Sprintf(" %x", sha256.Sum256(f.pem))
	}
}

// Take has new connections begin with the settings of next. Either may be nil.
func (s *TLSSettings) Take(next *TLSSettings) {
	if s != nil && next != nil {
		s.Store(next.Load())
	}
}
