package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
)

// readSettings are what a command makes of its flags.
func readSettings(set *settings.Set, args ...string) (s *settings.Settings, err error) {
	app := &cli.App{Flags: set.Flags(), Action: func(*cli.Context) error {
		s, err = set.Read()
		return err
	}}
	return s, app.RunContext(context.Background(), append([]string{"uwgate"}, args...))
}
