package backend

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// setTLS reads a parameter that only suwsgi addresses have.
func (s *NodeSpec) setTLS(name, value string) error {
	if !strings.HasPrefix(s.Addr, "suwsgi:") {
		return fmt.Errorf("%s is for TLS: write the address as suwsgi:host:port", name)
	}
	if s.TLS == nil {
		s.TLS = &tls.Config{}
	}
	switch {
	case name == "insecure" && value == "":
		s.TLS.InsecureSkipVerify = true
	case name == "insecure":
		return errors.New("insecure has no value")
	case value == "":
		return fmt.Errorf("%s needs a value", name)
	case name == "server-name":
		s.TLS.ServerName = value
	default:
		return s.readCA(value)
	}
	return nil
}

func (s *NodeSpec) readCA(path string) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	s.TLS.RootCAs = x509.NewCertPool()
	if !s.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("ca: %s contains no certificate in PEM format", path)
	}
	return nil
}
