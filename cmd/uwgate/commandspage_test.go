package main

import (
	"flag"
	"os"
	"testing"

	"uwgate/cmd/uwgate/manual"
)

var update = flag.Bool("update", false, "write docs/commands.md")

// docs/commands.md is made of the commands.
func TestCommandsPage(t *testing.T) {
	const path = "../../docs/commands.md"
	want := manual.New(newApp(nil, nil, nil).Commands, "").Commands()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is out of date (%v): run `go test ./cmd/uwgate -run TestCommandsPage -update`", path, err)
	}
}
