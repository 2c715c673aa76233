package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/cachewriter"
	"uwgate/cmd/uwgate/settings"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "prove that nginx finds what uwgate stores, or say what is off",
		UsageText: "uwgate check --config /etc/uwgate.yaml --nginx /etc/nginx/nginx.conf\n" +
			"uwgate check --config /etc/uwgate.yaml --via https://example.com/\n" +
			"uwgate check --config /etc/uwgate.yaml",
		Description: "--nginx reads nginx's configuration and compares it with the flags of serve that are\n" +
			"given; one that is not given is not compared. --via writes a page to memcached under a\n" +
			"fresh URL, reads it through nginx, and deletes it. With neither, the flags and the file of\n" +
			"--config are checked by themselves.\n\n" +
			"Exit status: 0 nothing is off, 1 something is, 2 it could not be tried.",
		Flags:        checkFlags(),
		OnUsageError: func(c *cli.Context, err error, sub bool) error { return &untriedError{usageError(c, err, sub)} },
		Action:       check,
	}
}

// checkFlags are its own and those of serve, of which --nginx means the same.
func checkFlags() []cli.Flag {
	own := []cli.Flag{
		&cli.StringFlag{Name: "nginx", TakesFile: true, Usage: "nginx's main configuration `FILE`, as /etc/nginx/nginx.conf; what it includes is read, too"},
		&cli.StringFlag{Name: "via", Usage: "`URL` of the site: the page is read at a fresh one in the same folder"},
		&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "the request of --via has this header, `'Name: value'` (repeatable)"},
		&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
	}
	return append(own, slices.DeleteFunc(settings.ServeFlags(), func(f cli.Flag) bool { return f.Names()[0] == "nginx" })...)
}

// errOff ends a run of check that has said what is off.
var errOff = errors.New("something is off")

// An untriedError ends a run of check that has found nothing out.
type untriedError struct{ error }

func (e *untriedError) Unwrap() error { return e.error }

func check(c *cli.Context) error {
	report, err := runChecks(c)
	if report != nil {
		report.OK = err == nil && !report.isOff()
		if err != nil {
			report.Untried = err.Error()
		}
		if err := report.print(c); err != nil {
			return &untriedError{err}
		}
	}
	switch {
	case err != nil:
		return &untriedError{err}
	case !report.OK:
		return errOff
	}
	return nil
}

// runChecks tries what is asked for. With an error, the report has what could be tried
// nevertheless, or is nil.
func runChecks(c *cli.Context) (*checkReport, error) {
	if c.Args().Present() {
		return nil, fmt.Errorf("check takes flags only, not %q; `uwgate check --help` lists them", c.Args().First())
	}
	file, err := settings.ApplyFile(c)
	if err != nil {
		return nil, err
	}
	path, via := c.String("nginx"), c.String("via")
	switch {
	case via == "" && c.IsSet("header"):
		return nil, errors.New("-H goes with --via, whose request has the header")
	case path == "" && via == "":
		if _, err := settings.ParseConfig(c, settings.Files{File: file}); err != nil {
			return nil, err
		}
		return &checkReport{}, nil
	case path == "":
		live, err := proveLive(c, settings.Files{File: file})
		if err != nil {
			return nil, err
		}
		return &checkReport{Live: live}, nil
	}
	told, err := toldGateway(c, file)
	if err != nil {
		return nil, err
	}
	conf, err := nginxconf.Read(path, "")
	if err != nil {
		return nil, fmt.Errorf("--nginx: %w", err)
	}
	report := &checkReport{Nginx: newNginxReport(conf, parity.Check(conf, told))}
	if via == "" {
		return report, nil
	}
	nginx, err := takeFlags(c, conf, via)
	if err != nil {
		return report, err
	}
	report.Live, err = proveLive(c, settings.Files{File: file, Nginx: nginx})
	return report, err
}

// toldGateway is what the flags that are given say. It looks no name up.
func toldGateway(c *cli.Context, file *settings.ConfigFile) (g parity.Gateway, err error) {
	cfg := settings.Config{Files: settings.Files{File: file}}
	errs := []error{settings.ParsePolicy(c, &cfg), settings.ParseTimeouts(c, &cfg)}
	p := cfg.Policy
	g = parity.Gateway{
		Hits:                parity.Hits{Types: p.Types, Adds: p.NginxAdds},
		AllowedHosts:        p.AllowedHosts,
		TrustForwardedProto: c.Bool("trust-forwarded-proto"),
		AllowRewrites:       p.AllowRewrites,
		VaryCookieAnonymous: p.VaryCookieAnonymous,
		IdentityCookies:     p.Visitors.Cookies().Identity,
		Visitors:            p.Visitors,
		Resolve:             func(host string) ([]string, error) { return lookUp(c.Context, host) },
	}
	g.Key = c.String("key")
	if c.IsSet("listen") {
		g.Listen = c.StringSlice("listen")
	}
	if c.IsSet("format") {
		g.Format = p.Format
	}
	if c.IsSet("gzip-flag") {
		g.GzipFlag = c.Uint("gzip-flag")
	}
	if c.IsSet("hit-type") {
		g.HitType = p.HitType
	}
	errs = append(errs, addServers(c, &g))
	return g, errors.Join(errs...)
}

func addServers(c *cli.Context, g *parity.Gateway) error {
	if c.IsSet("hash") {
		method, err := cachewriter.ParseMethod(c.String("hash"))
		if err != nil {
			return fmt.Errorf("--hash: %w", err)
		}
		g.Hash = &method
	}
	for _, text := range c.StringSlice("memcached") {
		server, err := cachewriter.ParseServer(text)
		if err != nil {
			return fmt.Errorf("--memcached: %w", err)
		}
		g.Servers = append(g.Servers, server)
	}
	return nil
}

const lookUpTimeout = 10 * time.Second

func lookUp(ctx context.Context, host string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	return net.DefaultResolver.LookupHost(ctx, host)
}

// takeFlags sets the flags that are not given as nginx has them, for the URL's site.
func takeFlags(c *cli.Context, conf *nginxconf.Config, via string) (*parity.Settings, error) {
	l := lookupOf(conf, via)
	if l == nil {
		return nil, errors.New("--via has nothing to try: nginx looks no page up")
	}
	s := parity.SettingsOf(l)
	if s.Key == "" && !c.IsSet("key") {
		return nil, fmt.Errorf("--via: %w; or give --key, as it is for that URL", s.KeyErr)
	}
	return s, settings.SetUnset(c, s)
}

// lookupOf is a lookup of the URL's host, or else the first one; nil if there is none.
func lookupOf(conf *nginxconf.Config, via string) *nginxconf.Lookup {
	u, err := url.Parse(via)
	for _, l := range conf.Lookups {
		if err == nil && slices.Contains(l.Names, u.Hostname()) {
			return l
		}
	}
	if len(conf.Lookups) == 0 {
		return nil
	}
	return conf.Lookups[0]
}
