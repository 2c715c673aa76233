package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
)

// version is set by the linker (-X main.version=…); without it, the build
// information speaks.
var version string

// newApp is the whole of the program apart from the process that it runs in.
func newApp(in io.Reader, out io.Writer) *cli.App {
	return &cli.App{
		Name:      "uwgate",
		Usage:     "between nginx and uWSGI: puts pages where nginx's memcached_pass finds them",
		UsageText: "uwgate serve --listen ADDRESS --backend ADDRESS --memcached ADDRESS [flags]\nuwgate key URL…\nuwgate explain URL\nuwgate status\nuwgate nginx [flags]\nuwgate check --nginx FILE --via URL",
		Description: "Addresses are written host:port, unix:/path or @name. Every flag may stand in the\n" +
			"environment (UWGATE_LISTEN) or in a YAML file (--config FILE, key `listen`); flags win over\n" +
			"the environment, and that over the file. A list has one item a line in the environment.",
		Version:            version,
		HideVersion:        true,
		HideHelpCommand:    true,
		Suggest:            true,
		SliceFlagSeparator: "\n",
		Reader:             in,
		Writer:             out,
		ErrWriter:          out,
		OnUsageError:       usageError,
		ExitErrHandler:     func(*cli.Context, error) {},
		Action:             noCommand,
		Commands:           []*cli.Command{serveCommand(), keyCommand(), explainCommand(), statusCommand(), nginxCommand(), checkCommand(), versionCommand()},
	}
}

// usageError keeps cli from printing the whole help over the error.
func usageError(c *cli.Context, err error, _ bool) error {
	name := c.App.Name
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != name {
		name += " " + c.Command.Name
	}
	if unknown, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: "); ok && c.Command != nil {
		if guess := settings.Guess(unknown, c.Command.Flags); guess != "" {
			err = fmt.Errorf("no such flag: %s; did you mean %s?", unknown, guess)
		}
	}
	return fmt.Errorf("%w; `%s --help` lists the flags", err, name)
}

// noCommand is reached with no command or one that does not exist.
func noCommand(c *cli.Context) error {
	name := c.Args().First()
	if name == "" {
		return cli.ShowAppHelp(c)
	}
	err := fmt.Errorf("no such command: %q", name)
	if guess := cli.SuggestCommand(c.App.Commands, name); guess != "" {
		err = fmt.Errorf("%w; %s", err, strings.ToLower(guess[:1])+guess[1:])
	}
	return fmt.Errorf("%w; `uwgate --help` lists the commands", err)
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:         "version",
		Usage:        "print the version",
		OnUsageError: usageError,
		Action: func(c *cli.Context) error {
			_, err := fmt.Fprintf(c.App.Writer, "uwgate %s %s %s/%s\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// buildVersion is the release, or the revision the binary was built from.
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
