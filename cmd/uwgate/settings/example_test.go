package settings_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/settings"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "uwgate.yaml")
	os.WriteFile(file, []byte("backend: unix:/run/app.sock\nttl: 5m\ngrace: 30s\n"), 0o600)

	set := settings.ForServe()
	app := &cli.App{Flags: set.Flags(), Action: func(*cli.Context) error {
		s, err := set.Read()
		if err != nil {
			return err
		}
		place, _ := filepath.Rel(dir, s.Origin("ttl").String())
		fmt.Println("ttl", s.Lifetimes.Default, "from", place)
		fmt.Println("grace", s.Lifetimes.Grace, "from", s.Origin("grace"))
		fmt.Println("max-ttl", s.Lifetimes.Max, "from", s.Origin("max-ttl"))
		return nil
	}}
	if err := app.Run([]string{"uwgate", "--config", file, "--grace", "1m"}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ttl 5m0s from uwgate.yaml:2
	// grace 1m0s from the command line
	// max-ttl 24h0m0s from the default
}
