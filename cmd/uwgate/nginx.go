package main

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

	"github.com/urfave/cli/v2"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
	"uwgate/nginxconf"
	"uwgate/nginxconf/snippet"
)

func nginxCommand() *cli.Command {
	return &cli.Command{
		Name:  "nginx",
		Usage: "print the nginx configuration that goes with the flags of serve",
		UsageText: "uwgate nginx --listen unix:/run/uwgate.sock --memcached 127.0.0.1:11211 --server-name example.com > /etc/nginx/conf.d/site.conf\n" +
			"uwgate nginx --config /etc/uwgate.yaml --ignore-arg tracking",
		Description:  "All flags of serve may be given; those that say nothing about nginx are passed over.",
		Flags:        nginxFlags(),
		OnUsageError: usageError,
		Action:       printNginx,
	}
}

const catSite = "0. The site"

// nginxFlags are those of serve, but for the one that reads what is written here.
func nginxFlags() []cli.Flag {
	site := []cli.Flag{
		settings.List(catSite, "server-name", "`NAME` of the site, for server_name (repeatable)"),
		settings.List(catSite, "nginx-listen", "`ADDRESS` for nginx's listen, as \"443 ssl\" (repeatable)", "80"),
		settings.List(catSite, "ignore-arg", "`ARGUMENT` that no page depends on, cut from the key; globs; tracking for those of advertisers and newsletters (repeatable)"),
	}
	return append(site, slices.DeleteFunc(settings.ServeFlags(), func(f cli.Flag) bool { return f.Names()[0] == "nginx" })...)
}

func printNginx(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("nginx takes flags only, not %q; `uwgate nginx --help` lists them", c.Args().First())
	}
	file, err := settings.ApplyFile(c)
	if err != nil {
		return err
	}
	s, err := parseSnippet(c, file)
	if err != nil {
		return err
	}
	return s.Write(c.App.Writer)
}

// parseSnippet reads the flags that nginx must know of and reports all that is
// wrong in them. It asks no resolver.
func parseSnippet(c *cli.Context, file *settings.ConfigFile) (*snippet.Site, error) {
	cfg := settings.Config{Files: settings.Files{File: file}}
	errs := []error{settings.ParsePolicy(c, &cfg), settings.ParseTimeouts(c, &cfg)}
	s := &snippet.Site{
		Listen:   c.StringSlice("nginx-listen"),
		Names:    c.StringSlice("server-name"),
		Format:   cfg.Policy.Format,
		GzipFlag: c.Uint("gzip-flag"),
		Key:      c.String("key"),
		Hits:     snippet.Hits{HitType: cfg.Policy.HitType, Adds: cfg.Policy.NginxAdds},
		Visitors: cfg.Policy.Visitors,
		Trusted:  cfg.Policy.TrustedHeaders,

		ForwardedProto: cfg.Policy.TrustForwardedProto,
	}
	var err error
	s.Gateway, s.Secure, err = uwsgiPass(c.StringSlice("listen"))
	errs = append(errs, err)
	s.CertName, s.ClientCert = certName(c.String("tls-cert")), c.String("tls-client-ca") != ""
	s.Servers, s.Hash, err = upstreamServers(c)
	errs = append(errs, err)
	s.IgnoreArgs, err = ignoredArgs(c)
	errs = append(errs, err)
	if path := c.String("mime-types"); path != "" {
		s.TypesFile, err = filepath.Abs(path)
		errs = append(errs, err)
	}
	return s, errors.Join(errs...)
}

// uwsgiPass is the first of the gateway's addresses that nginx can reach, as nginx
// writes it, and whether it is for TLS.
func uwsgiPass(listen []string) (target string, secure bool, err error) {
	for _, addr := range listen {
		network, address, secure, err := settings.ParseListen(addr)
		if err != nil {
			return "", false, fmt.Errorf("--listen: %w", err)
		}
		switch {
		case network == "unix" && strings.HasPrefix(address, "@"):
			continue
		case network == "unix":
			return "unix:" + address, false, nil
		}
		target, err = tcpTarget(address)
		return target, secure, err
	}
	return "", false, fmt.Errorf("--listen %s: nginx cannot connect to abstract sockets; listen on unix:/path or host:port as well", strings.Join(listen, " "))
}

// certName is a host that the certificate in the file is for, "" if that cannot be
// known: what serve is told may be on another machine.
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

// tcpTarget is where to connect to what is listened on.
func tcpTarget(address string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("--listen: %w", err)
	}
	if strings.Trim(port, "0") == "" {
		return "", fmt.Errorf("--listen %s: port 0 is another one at each start; name one for nginx", address)
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

// upstreamServers are --memcached as server lines, and --hash.
func upstreamServers(c *cli.Context) ([]string, cachewriter.Method, error) {
	given := c.StringSlice("memcached")
	if len(given) == 0 {
		return nil, 0, errors.New("--memcached is missing: name the server that nginx is to ask, as in --memcached 127.0.0.1:11211")
	}
	method, err := cachewriter.ParseMethod(c.String("hash"))
	if err != nil {
		return nil, 0, fmt.Errorf("--hash: %w", err)
	}
	var servers []cachewriter.Server
	for _, text := range given {
		server, err := cachewriter.ParseServer(text)
		if err == nil {
			err = checkForNginx(server.Name)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("--memcached: %w", err)
		}
		servers = append(servers, server)
	}
	if _, err := cachewriter.NewRing(method, servers...); err != nil {
		return nil, 0, fmt.Errorf("--memcached: %w", err)
	}
	return given, method, nil
}

// checkForNginx is about addresses that mean something else to nginx.
func checkForNginx(addr string) error {
	path, isSocket := nginxconf.CutUnix(addr)
	switch {
	case strings.HasPrefix(addr, "@"), isSocket && strings.HasPrefix(path, "@"):
		return fmt.Errorf("%s: nginx cannot connect to abstract sockets; let memcached listen on a path (-s /run/memcached.sock) or a port", addr)
	case isSocket && !filepath.IsAbs(path):
		return fmt.Errorf("%s: nginx would look in its own folder; write the whole path", addr)
	case isSocket:
		return nil
	}
	// A port behind the last colon, unless that is an IPv6 address's own.
	if i := strings.LastIndexByte(addr, ':'); i < 0 || strings.HasSuffix(addr, "]") {
		return fmt.Errorf("%s: without a port nginx takes 80; write %s:11211", addr, addr)
	}
	return nil
}

// ignoredArgs are the globs of --ignore-arg, with those that the word tracking
// stands for.
func ignoredArgs(c *cli.Context) ([]string, error) {
	var globs []string
	for _, s := range c.StringSlice("ignore-arg") {
		switch {
		case s == "tracking":
			globs = append(globs, snippet.TrackingArgs...)
		case s == "", strings.ContainsAny(s, "=&?# "):
			return nil, fmt.Errorf("--ignore-arg %q: write the name of an argument, as in utm_*, or tracking", s)
		default:
			globs = append(globs, s)
		}
	}
	if len(globs) > 0 && c.String("key") != "" {
		return nil, errors.New("--ignore-arg needs a key that nginx hands over: without --key, uwgate stores where nginx has looked")
	}
	return globs, nil
}
