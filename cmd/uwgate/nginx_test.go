package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The command in the README prints a configuration. Integration runs the one that the
// README shows.
func TestReadmeCommand(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "    uwgate nginx --listen ")
	command, _, _ := strings.Cut("uwgate nginx --listen "+rest, " >")
	if !found {
		t.Fatal("the README has no `uwgate nginx --listen …`")
	}
	var out bytes.Buffer
	if err := newApp(strings.NewReader(""), &out, &out).Run(strings.Fields(command)); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	if !strings.Contains(out.String(), "server_name www.example.com;") {
		t.Errorf("%s printed\n%s", command, out.String())
	}
}
