package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
	"uwgate/gateway/admin"
)

func statusCommand() *cli.Command {
	set := settings.ForStatus()
	return &cli.Command{
		Name:      "status",
		Usage:     "show what a running gateway is doing, what is wrong first",
		UsageText: "uwgate status --admin unix:/run/uwgate/admin.sock\nuwgate status --config /etc/uwgate/uwgate.yaml --only 'shop-*'\nuwgate status --config /etc/uwgate/uwgate.yaml --json",
		Description: "Counters count since the gateway started, those of memcached since memcached started. Tables\n" +
			"have the 20 worst rows: servers that are down, then those with errors, then the busiest.\n" +
			"--all prints all rows. The JSON object is that of /api/v1/status, whatever --only and --all say.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return status(c, set) },
	}
}

const statusTimeout = 10 * time.Second

func status(c *cli.Context, set *settings.Set) error {
	s, err := readWatch(c, set)
	if err != nil {
		return err
	}
	report, err := askStatus(c.Context, s.Control)
	if err != nil {
		return err
	}
	if s.Command.JSON {
		return writeJSON(c.App.Writer, report)
	}
	return writeStatus(c.App.Writer, report, s.Command.Watch)
}

// readWatch reads the settings of a command that asks a running gateway.
func readWatch(c *cli.Context, set *settings.Set) (*settings.Settings, error) {
	if c.Args().Present() {
		return nil, fmt.Errorf("%s takes flags only, not %q; `uwgate %[1]s --help` lists them", c.Command.Name, c.Args().First())
	}
	s, err := set.Read()
	if err != nil {
		return nil, err
	}
	if s.Control.Admin.IsZero() {
		return nil, errors.New("no gateway to ask: name it with --admin, as in the settings of `uwgate serve`")
	}
	return s, nil
}

func askStatus(ctx context.Context, control settings.Control) (*admin.Status, error) {
	s := &admin.Status{}
	return s, adminAPI{Control: control, timeout: statusTimeout}.ask(ctx, "/api/v1/status", nil, s)
}
