package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
)

// version is set by the linker (-X main.version=…). If it is empty, the build information
// has the version.
var version string

// Exit statuses; docs and scripts know them.
const (
	exitFailed    = 1
	exitUntried   = 2 // check found nothing out
	exitMisused   = 2 // nginx: the flags do not make a configuration
	exitNotStored = 3 // explain: the page would not be stored
)

// execute runs the program until it ends or a signal ends it. It prints the error, if there
// is one, and returns the exit status.
func execute(args []string, in io.Reader, out, errs io.Writer) int {
	keepAlive(args)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the command, or serve says what it ends
	return report(newApp(in, out, errs).RunContext(ctx, args), errs)
}

// report prints err, unless the command has printed what it says, and returns the exit
// status.
func report(err error, w io.Writer) int {
	var untried *untriedError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errNotStored):
		return exitNotStored
	case errors.Is(err, errOff):
		return exitFailed
	}
	fmt.Fprintln(w, "uwgate:", err)
	if errors.As(err, &untried) {
		return exitUntried
	}
	var misuse *misuseError
	if errors.As(err, &misuse) {
		return exitMisused
	}
	return exitFailed
}

// newApp returns the whole program apart from the process that it runs in.
func newApp(in io.Reader, out, errs io.Writer) *cli.App {
	return withHelp(&cli.App{
		Name:               "uwgate",
		HideVersion:        true,
		HideHelpCommand:    true,
		Suggest:            true,
		SliceFlagSeparator: "\n",
		Reader:             in,
		Writer:             out,
		ErrWriter:          errs,
		OnUsageError:       usageError,
		ExitErrHandler:     func(*cli.Context, error) {},
		Action:             noCommand,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version"},
			cli.HelpFlag, // package cli adds none where there is a command of this name
		},
		Commands: []*cli.Command{
			serveCommand(), configCommand(), nginxCommand(), checkCommand(), keyCommand(), explainCommand(), statusCommand(), topCommand(), reportCommand(),
			healthCommand(), purgeCommand(), warmCommand(), deployCheckCommand(),
		},
	})
}

// usageError returns the error for flags that cannot be parsed, without the whole help,
// which package cli would print.
func usageError(c *cli.Context, err error, _ bool) error {
	name := c.App.Name
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != name {
		name += " " + c.Command.Name
	}
	if unknown, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok && c.Command != nil {
		if len(unknown) > 1 {
			unknown = "-" + unknown // as people write it
		}
		unknown = "-" + unknown
		err = fmt.Errorf("no such flag: %s", unknown)
		if guess := settings.Guess(unknown, c.Command.Flags); guess != "" {
			err = fmt.Errorf("%w; did you mean %s?", err, guess)
		}
	}
	return fmt.Errorf("%w; `%s --help` lists the flags", err, name)
}

// noCommand runs if there is no command, or one that does not exist.
func noCommand(c *cli.Context) error {
	name := c.Args().First()
	switch {
	case name == "" && c.Bool("version"):
		return printVersion(c.App.Writer)
	case name == "":
		return cli.ShowAppHelp(c)
	}
	err := fmt.Errorf("no such command: %q", name)
	if guess := cli.SuggestCommand(c.App.Commands, name); guess != "" {
		err = fmt.Errorf("%w; %s", err, strings.ToLower(guess[:1])+guess[1:])
	}
	return fmt.Errorf("%w; `uwgate --help` lists the commands", err)
}

func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "uwgate %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// buildVersion returns the release, or the revision that the binary was built from.
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(12, len(s.Value))]
		}
	}
	return info.Main.Version
}
