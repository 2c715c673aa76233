package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
)

func configCommand() *cli.Command {
	set := settings.ForConfig()
	return &cli.Command{
		Name:  "config",
		Usage: "print each setting that is in force and where it comes from, or what is wrong",
		UsageText: "uwgate config --config /etc/uwgate/uwgate.yaml\n" +
			"uwgate config --config /etc/uwgate/uwgate.yaml --changed\n" +
			"uwgate config --example >uwgate.yaml\n" +
			"uwgate config --schema >uwgate.schema.json",
		Description: "It reads flags, environment and files as `uwgate serve` does at its start, listens nowhere\n" +
			"and connects to nothing. What it prints is a configuration file, too, without secrets.\n" +
			"Warnings are printed on standard error.\n\n" +
			"Exit status: 0 serve would start with these settings, 1 something is wrong.",
		Flags:        set.Flags(),
		OnUsageError: usageError,
		Action:       func(c *cli.Context) error { return showConfig(c, set) },
	}
}

func showConfig(c *cli.Context, set *settings.Set) error {
	if c.Args().Present() {
		return fmt.Errorf("config takes flags only, not %q; `uwgate help %s` explains a setting", c.Args().First(), c.Args().First())
	}
	s, err := set.Read()
	if s == nil {
		return err
	}
	switch {
	case s.Command.Schema:
		return writeJSON(c.App.Writer, settings.Schema())
	case s.Command.Example:
		if err != nil {
			return err
		}
		return s.WriteExample(c.App.Writer)
	}
	if _, err := set.ReadParts(c.Context); err != nil {
		return err
	}
	for _, w := range s.Warnings() {
		fmt.Fprintf(c.App.ErrWriter, "uwgate: warning: %s; %s\n", w.Text, w.Fix)
	}
	if s.Command.JSON {
		return writeJSON(c.App.Writer, shownValues(s))
	}
	return writeValues(c.App.Writer, shownValues(s))
}

// shownValues are those that are asked for.
func shownValues(s *settings.Settings) []settings.Value {
	shown := []settings.Value{}
	for _, v := range s.Values() {
		if v.Set || !s.Command.Changed {
			shown = append(shown, v)
		}
	}
	return shown
}

// originColumn is where the origins of short values stand.
const originColumn = 44

// writeValues writes values as lines of a configuration file, each with its origin behind it.
func writeValues(w io.Writer, values []settings.Value) error {
	for _, v := range values {
		line, more := v.Lines()
		if _, err := fmt.Fprintf(w, "%-*s # %s\n%s", originColumn, line, v.Origin, more); err != nil {
			return err
		}
	}
	return nil
}
