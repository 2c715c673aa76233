package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
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

func readSite(c *cli.Context, set *settings.Set) (*snippet.Site, error) {
	if c.Args().Present() {
		return nil, fmt.Errorf("nginx takes flags only, not %q; `uwgate nginx --help` lists them", c.Args().First())
	}
	s, err := set.Read()
	if s == nil {
		return nil, err
	}
	site, together := s.Snippet()
	return site, errors.Join(err, together)
}
