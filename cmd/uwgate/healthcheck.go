package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
)

func healthCommand() *cli.Command {
	set := settings.ForHealth()
	return &cli.Command{
		Name:  "healthcheck",
		Usage: "ask a running gateway whether it lives; for containers and scripts",
		UsageText: "uwgate healthcheck --admin unix:/run/uwgate/admin.sock\n" +
			"uwgate healthcheck --config /etc/uwgate/uwgate.yaml --ready",
		Description: "It asks the --admin address of the settings of `uwgate serve`, and needs no token.\n\n" +
			"Exit status: 0 the gateway lives, or with --ready it takes requests; 1 it does not.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return checkHealth(c, set) },
	}
}

func checkHealth(c *cli.Context, set *settings.Set) error {
	if c.Args().Present() {
		return fmt.Errorf("healthcheck takes flags only, not %q; `uwgate healthcheck --help` lists them", c.Args().First())
	}
	s, err := set.Read()
	if err != nil {
		return err
	}
	if s.Control.Admin.IsZero() {
		return errors.New("no gateway to ask: name it with --admin or --config, as in the settings of `uwgate serve`")
	}
	path := "/-/healthy"
	if s.Command.Ready {
		path = "/-/ready"
	}
	answer, err := askHealth(c.Context, s.Control, s.Command.Timeout, path)
	if err == nil {
		_, err = fmt.Fprintln(c.App.Writer, answer)
	}
	return err
}

// askHealth returns what the gateway says of itself.
func askHealth(ctx context.Context, control settings.Control, timeout time.Duration, path string) (string, error) {
	a := adminAPI{Control: control, timeout: timeout}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	transport := a.transport()
	defer transport.CloseIdleConnections()
	req, err := a.request(ctx, path, nil)
	if err != nil {
		return "", err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return "", fmt.Errorf("--admin %s: %w%s", a.Admin, reason(err), a.advice(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, firstLine(body))
	}
	if err != nil {
		return "", fmt.Errorf("--admin %s: %w", a.Admin, err)
	}
	return firstLine(body), nil
}
