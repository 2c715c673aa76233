package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "prove that nginx finds what uwgate writes",
		UsageText: "uwgate check --config /etc/uwgate.yaml --via https://example.com/",
		Description: "A page is written to memcached under a fresh URL, read through nginx, and deleted.\n\n" +
			"Exit status: 0 it was a hit, 1 something is off, 2 it could not be tried.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "via", Usage: "`URL` of the site: the page is read at a fresh one in the same folder"},
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "the request has this header, `'Name: value'` (repeatable)"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		}, serveFlags()...),
		OnUsageError: func(c *cli.Context, err error, sub bool) error { return &untriedError{usageError(c, err, sub)} },
		Action:       check,
	}
}

// errOff ends a run of check that has said what is off.
var errOff = errors.New("something is off")

// An untriedError ends a run of check that has found nothing out.
type untriedError struct{ error }

func (e *untriedError) Unwrap() error { return e.error }

func check(c *cli.Context) error {
	report, err := runCheck(c)
	switch {
	case err != nil:
		return &untriedError{err}
	case !report.hit():
		return errOff
	}
	return nil
}

func runCheck(c *cli.Context) (*liveReport, error) {
	if c.Args().Present() {
		return nil, fmt.Errorf("check takes flags only, not %q; `uwgate check --help` lists them", c.Args().First())
	}
	if c.String("via") == "" {
		return nil, errors.New("--via is missing: give a URL of the site, as in --via http://127.0.0.1/")
	}
	f, err := readFiles(c)
	if err != nil {
		return nil, err
	}
	report, err := proveLive(c, f)
	if err != nil {
		return nil, err
	}
	if c.Bool("json") {
		return report, writeJSON(c.App.Writer, report)
	}
	return report, report.write(c.App.Writer)
}
