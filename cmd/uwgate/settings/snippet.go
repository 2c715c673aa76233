package settings

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"uwgate/cachewriter"
	"uwgate/nginxconf"
	"uwgate/nginxconf/snippet"
)

// Snippet returns the nginx configuration that goes with the settings. It asks no
// resolver. An error names everything that is wrong.
func (s *Settings) Snippet() (*snippet.Site, error) {
	p, err := s.Policy(nil)
	errs := []error{err}
	n := &snippet.Site{
		Part:     snippet.Part(s.Command.Part),
		Name:     s.Command.Name,
		Listen:   s.Command.NginxListen,
		Names:    s.Command.ServerNames,
		Format:   s.Hits.Format,
		GzipFlag: s.Hits.GzipFlag,
		Key:      s.Key.Template,
		Hits:     snippet.Hits{HitType: s.Hits.Type, Adds: s.Hits.Adds},
		Visitors: p.Visitors,
		Trusted:  s.Pages.TrustedHeaders,
		Hash:     s.Store.Hash,
		TLS:      snippet.TLS{CertName: certName(s.Listen.Cert), ClientCert: s.Listen.ClientCA != ""},

		Generation:     s.Key.Generation,
		ForwardedProto: s.Backends.TrustScheme,
		Fragments:      s.Command.Fragments,
	}
	n.Gateways, n.Secure, err = s.uwsgiPass()
	errs = append(errs, err)
	n.Workers = s.backups(n.Gateways, n.Secure)
	n.ReadTimeout = s.longestWait()
	if n.Part == snippet.PartAll && len(n.Names) == 0 {
		errs = append(errs, errors.New("--server-name is missing: add the name of the site, as in --server-name www.example.com; without it nginx's default_server "+
			"answers the site's requests, on Debian the page \"Welcome to nginx\"; --server-name _ makes the site the default_server"))
	}
	n.Servers, err = s.upstreamServers()
	errs = append(errs, err)
	n.HitsTo, err = s.hitsTo()
	errs = append(errs, err)
	n.IgnoreArgs, err = s.ignoredArgs()
	errs = append(errs, err)
	if path := s.Hits.MIMETypes; path != "" {
		n.TypesFile, err = filepath.Abs(path)
		errs = append(errs, err)
	}
	return n, errors.Join(errs...)
}

// uwsgiPass returns the addresses of the gateway that nginx can connect to, as uwsgi_pass
// has them, and whether they are for TLS.
func (s *Settings) uwsgiPass() (targets []string, secure bool, err error) {
	var errs []error
	var plain, encrypted bool
	for _, a := range s.Listen.Addresses {
		target := "unix:" + a.Addr
		switch {
		case a.IsAbstract():
			continue
		case a.Network != "unix":
			if target, err = tcpTarget(a.Addr); err != nil {
				errs = append(errs, s.refuse("listen", a.Text, err))
			}
		}
		if !slices.Contains(targets, target) {
			targets = append(targets, target)
		}
		encrypted, plain = encrypted || a.Secure, plain || !a.Secure
	}
	switch {
	case encrypted && plain:
		errs = append(errs, s.Refuse("listen", errors.New("nginx uses TLS for all servers of an upstream or for none; give this command only the --listen that this nginx shall use")))
	case len(targets) == 0 && !s.bad["listen"]:
		errs = append(errs, s.Refuse("listen", errors.New("nginx cannot connect to abstract sockets; listen on unix:/path or host:port as well")))
	}
	return targets, encrypted, errors.Join(errs...)
}

// hitsTo returns where nginx sends the lines of its access log, as its syslog:server= has it;
// "": nowhere.
func (s *Settings) hitsTo() (string, error) {
	a := s.Control.Hits
	switch {
	case a.IsZero():
		return "", nil
	case a.IsAbstract():
		return "", s.refuse("hits-listen", a.Text, errors.New("nginx cannot send to abstract sockets; listen on unix:/path or host:port"))
	case a.Network == "unix":
		return "unix:" + a.Addr, nil
	}
	target, err := tcpTarget(a.Addr)
	if err != nil {
		err = s.refuse("hits-listen", a.Text, err)
	}
	return target, err
}

// certName returns a host that the certificate in the file is for, "" if it cannot be read:
// serve may run on another machine.
func certName(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || len(cert.DNSNames) == 0 {
		return ""
	}
	return strings.Replace(cert.DNSNames[0], "*", "uwgate", 1)
}

// tcpTarget returns where to connect to an address that is listened on.
func tcpTarget(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", err
	}
	if strings.Trim(port, "0") == "" {
		return "", errors.New("port 0 is another port at each start; name one for nginx")
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// upstreamServers are --memcached as server lines.
func (s *Settings) upstreamServers() ([]string, error) {
	if len(s.Store.Servers) == 0 {
		if s.bad["memcached"] {
			return nil, nil
		}
		return nil, errors.New("--memcached is missing: name the server that nginx asks for pages, as in --memcached 127.0.0.1:11211")
	}
	var lines []string
	var servers []cachewriter.Server
	for _, m := range s.Store.Servers {
		if err := checkForNginx(m.Name); err != nil {
			return nil, s.refuse("memcached", m.Line, err)
		}
		lines = append(lines, m.Line)
		servers = append(servers, m.Server)
	}
	if _, err := cachewriter.NewRing(s.Store.Hash, servers...); err != nil {
		return nil, s.Refuse("memcached", err)
	}
	return lines, nil
}

// checkForNginx refuses sockets that mean something else to nginx.
func checkForNginx(addr string) error {
	path, isSocket := nginxconf.CutUnix(addr)
	switch {
	case strings.HasPrefix(addr, "@"), isSocket && strings.HasPrefix(path, "@"):
		return fmt.Errorf("%s: nginx cannot connect to abstract sockets; let memcached listen on a path (-s /run/memcached.sock) or a port", addr)
	case isSocket && !filepath.IsAbs(path):
		return fmt.Errorf("%s: nginx would look in its own folder; write the whole path", addr)
	}
	return nil
}

// ignoredArgs returns the globs of --ignore-arg, and those that the word tracking stands for.
func (s *Settings) ignoredArgs() ([]string, error) {
	var globs []string
	for _, glob := range s.Command.IgnoreArgs {
		if glob == "tracking" {
			globs = append(globs, snippet.TrackingArgs...)
		} else {
			globs = append(globs, glob)
		}
	}
	if len(globs) > 0 && s.Key.Template != "" {
		return nil, s.conflict("ignore-arg", []string{"key"}, "this needs a key that nginx hands over: without --key, uwgate stores where nginx has looked")
	}
	return globs, nil
}
