package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
)

func nginxCommand() *cli.Command {
	set := settings.ForNginx()
	return &cli.Command{
		Name:  "nginx",
		Usage: "print the nginx configuration that goes with the flags of serve",
		UsageText: "uwgate nginx --listen unix:/run/uwgate.sock --memcached 127.0.0.1:11211 --server-name example.com > /etc/nginx/conf.d/site.conf\n" +
			"uwgate nginx --config /etc/uwgate.yaml --ignore-arg tracking",
		Description:  "It takes all flags of serve; those that nginx need not know make no difference.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return printNginx(c, set) },
	}
}

func printNginx(c *cli.Context, set *settings.Set) error {
	if c.Args().Present() {
		return fmt.Errorf("nginx takes flags only, not %q; `uwgate nginx --help` lists them", c.Args().First())
	}
	s, err := set.Read()
	if s == nil {
		return err
	}
	snippet, together := s.Snippet()
	if err := errors.Join(err, together); err != nil {
		return err
	}
	return snippet.Write(c.App.Writer)
}
