package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/machine"
	"uwgate/cmd/uwgate/settings"
	"uwgate/nginxconf"
	"uwgate/nginxconf/parity"
)

func checkCommand() *cli.Command {
	set := settings.ForCheck()
	return &cli.Command{
		Name:  "check",
		Usage: "prove that nginx finds what uwgate stores, or say what is wrong",
		UsageText: "uwgate check --config /etc/uwgate/uwgate.yaml --nginx /etc/nginx/nginx.conf\n" +
			"uwgate check --config /etc/uwgate/uwgate.yaml --nginx /etc/nginx/nginx.conf --diff | patch -p1 -d /\n" +
			"uwgate check --config /etc/uwgate/uwgate.yaml --via https://example.com/\n" +
			"uwgate check --config /etc/uwgate/uwgate.yaml\n" +
			"uwgate check",
		Description: "--nginx reads nginx's configuration and compares it with the flags of serve that are\n" +
			"given; it does not compare one that is not given. --via writes a page to memcached under\n" +
			"a new URL, reads it through nginx, and deletes it. With neither, check only reads the\n" +
			"flags and the file of --config as serve does. Without any flag it finds nginx and the\n" +
			"gateway on this machine, and says what is right and what is not.\n\n" +
			"Exit status: 0 nothing is wrong, 1 something is, 2 it could not be tried.",
		Flags:        set.Flags(),
		OnUsageError: func(c *cli.Context, err error, sub bool) error { return &untriedError{usageError(c, err, sub)} },
		Action:       func(c *cli.Context) error { return check(c, set) },
	}
}

// errOff ends a run of check that has said what is wrong.
var errOff = errors.New("something is wrong")

// An untriedError ends a run of check that has found nothing out.
type untriedError struct{ error }

func (e *untriedError) Unwrap() error { return e.error }

func check(c *cli.Context, set *settings.Set) error {
	if set.IsBare("json") && !c.Args().Present() {
		return checkMachine(c, set)
	}
	s, err := readChecked(c, set)
	if err != nil {
		return &untriedError{err}
	}
	if s.Command.Nginx == "" && s.Command.Via == "" {
		return checkSettings(c, s)
	}
	report, err := runChecks(c.Context, s)
	if report != nil {
		report.OK = err == nil && !report.isOff()
		if err != nil {
			report.Untried = err.Error()
		}
		print := func(w io.Writer) error { return report.print(w, s.Command.JSON) }
		if s.Command.Diff {
			print = func(w io.Writer) error { return report.Nginx.writeDiff(w, c.App.ErrWriter) }
		}
		if err := print(c.App.Writer); err != nil {
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

// checkSettings checks the settings together, as serve does, and prints its warnings.
func checkSettings(c *cli.Context, s *settings.Settings) error {
	p, err := s.Parts(c.Context)
	if err != nil {
		return &untriedError{err}
	}
	report := &checkReport{OK: true}
	if w := hostWarning(p); w != nil {
		report.Warnings = append(report.Warnings, *w)
	}
	if err := report.print(c.App.Writer, s.Command.JSON); err != nil {
		return &untriedError{err}
	}
	return nil
}

// checkMachine is `uwgate check` alone: it finds nginx and the gateway by itself.
func checkMachine(c *cli.Context, set *settings.Set) error {
	s, err := set.Read()
	if err != nil {
		return &untriedError{err}
	}
	found := lookAround(c.Context, machine.Machine{})
	report := &checkReport{OK: len(found.Wrong) == 0, Overview: found}
	if err := report.print(c.App.Writer, s.Command.JSON); err != nil {
		return &untriedError{err}
	}
	if !report.OK {
		return errOff
	}
	return nil
}

// readChecked returns the settings. Without --nginx and --via an error is also about them together.
func readChecked(c *cli.Context, set *settings.Set) (*settings.Settings, error) {
	if c.Args().Present() {
		return nil, fmt.Errorf("check takes flags only, not %q; `uwgate check --help` lists them", c.Args().First())
	}
	s, err := set.Read()
	if s == nil {
		return nil, err
	}
	switch {
	case s.Command.Diff && (s.Command.Nginx == "" || s.Command.JSON || s.Command.Verbose || s.Command.Via != ""):
		return nil, errors.Join(err, errors.New("--diff prints the changes of the files of --nginx: give --nginx, without --json, -v and --via; with --json the same changes are in `edits`"))
	case s.Command.Verbose && s.Command.Nginx == "":
		return nil, errors.Join(err, errors.New("-v goes with --nginx, whose ways to uwgate it prints"))
	case s.Command.Via == "" && len(s.Command.Headers) > 0:
		return nil, errors.Join(err, errors.New("-H goes with --via, whose request has the header"))
	case err != nil && s.Command.Via == "" && s.Command.Nginx == "":
		_, together := s.Parts(c.Context)
		err = errors.Join(err, together)
	}
	return s, err
}

// runChecks runs the checks of --nginx and --via. With an error, the report has the checks
// that could be run, or is nil.
func runChecks(ctx context.Context, s *settings.Settings) (*checkReport, error) {
	if s.Command.Nginx == "" {
		return proveOnly(ctx, s)
	}
	gateway, err := s.Gateway(ctx)
	if err != nil {
		return nil, err
	}
	conf, err := nginxconf.Read(s.Command.Nginx, "")
	if err != nil {
		return nil, fmt.Errorf("--nginx: %w", err)
	}
	findings := parity.Check(conf, gateway)
	report := &checkReport{Nginx: newNginxReport(conf, findings)}
	routes := parity.Routes(conf, gateway)
	report.Nginx.Passes = newPassReports(routes)
	if s.Command.Verbose {
		report.Nginx.routes = routes
	}
	if s.Command.Via == "" {
		report.Nginx.findSilent(s, conf)
		return report, nil
	}
	if s, err = s.AsNginxHas(conf); err != nil {
		return report, err
	}
	report.Live, err = proveLive(ctx, s, nginxKnown{conf: conf, findings: findings})
	return report, err
}

// proveOnly runs the check of --via, without nginx's configuration.
func proveOnly(ctx context.Context, s *settings.Settings) (*checkReport, error) {
	live, err := proveLive(ctx, s, nginxKnown{})
	if err != nil {
		return nil, err
	}
	return &checkReport{Live: live}, nil
}
