package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
	"uwgate/nginxconf/snippet"
)

func nginxCommand() *cli.Command {
	set := settings.ForNginx()
	return &cli.Command{
		Name:  "nginx",
		Usage: "print the nginx configuration that goes with the flags of serve",
		UsageText: "uwgate nginx --listen unix:/run/uwgate/uwgate.sock --backend unix:/run/app.sock --memcached 127.0.0.1:11211 --server-name example.com > /etc/nginx/conf.d/site.conf\n" +
			"uwgate nginx --config /etc/uwgate/uwgate.yaml --part http > /etc/nginx/uwgate/uwgate-http.conf",
		Description:  "It takes all flags of serve; those that nginx need not know make no difference.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return printNginx(c, set) },
	}
}

// A misuseError is about flags from which no configuration can be made.
type misuseError struct{ error }

func (e *misuseError) Unwrap() error { return e.error }

func printNginx(c *cli.Context, set *settings.Set) error {
	site, err := readSite(c, set)
	if err != nil {
		return &misuseError{err}
	}
	var text bytes.Buffer
	if err := site.Write(&text); err != nil {
		return &misuseError{err}
	}
	_, err = text.WriteTo(c.App.Writer)
	return err
}

// includeLine matches an include, which makes no difference to a key.
var includeLine = regexp.MustCompile(`(?m)^\s*include [^;]*;`)

// refuseKey refuses a key that check would call an error in the printed configuration. It
// warns of a key without a host, which a flag of serve can mend.
func refuseKey(site *snippet.Site, allowedHosts []string, warnings io.Writer) error {
	if site.Key == "" {
		return nil
	}
	if slices.Contains(nginxconf.Variables(site.Key), "request_method") {
		return fmt.Errorf("--key %q: leave $request_method out: uwgate stores pages for GETs alone, so HEADs would never be hits, and a POST would not delete the page of its URL", site.Key)
	}
	whole := *site
	whole.Part = snippet.PartAll
	if len(whole.Names) == 0 {
		whole.Names = []string{"www.example.com"}
	}
	var text bytes.Buffer
	if whole.Write(&text) != nil {
		return nil // which the caller reports
	}
	c, err := nginxconf.Parse("nginx.conf", "http {\n"+includeLine.ReplaceAllString(text.String(), "")+"\n}")
	if err != nil {
		return fmt.Errorf("--key %q: %w", site.Key, err)
	}
	faults := parity.KeyFaults(c, parity.Gateway{Key: site.Key, Generation: site.Generation, AllowedHosts: allowedHosts, Visitors: site.Visitors, TrustForwardedProto: site.ForwardedProto})
	for _, f := range faults {
		if !f.NeedsHosts() {
			return fmt.Errorf("--key %q: %s; %s", site.Key, f.Text, f.Fix)
		}
	}
	if len(faults) > 0 {
		fmt.Fprintf(warnings, "uwgate: warning: --key %q: %s; give serve %s\n", site.Key, faults[0].Text, faults[0].Fix)
	}
	return nil
}

func readSite(c *cli.Context, set *settings.Set) (*snippet.Site, error) {
	if c.Args().Present() {
		return nil, fmt.Errorf("nginx takes flags only, not %q; `uwgate nginx --help` lists them", c.Args().First())
	}
	s, err := set.Read()
	if s == nil {
		return nil, err
	}
	site, together := s.Snippet()
	if err := errors.Join(err, together); err != nil {
		return site, err
	}
	return site, refuseKey(site, s.Pages.AllowedHosts, c.App.ErrWriter)
}
