package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The configuration in the README is what the command in the README prints.
func TestReadmeConfiguration(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "    uwgate nginx --listen ")
	command, rest, _ := strings.Cut("uwgate nginx --listen "+rest, "\n")
	if !found {
		t.Fatal("the README has no `uwgate nginx --listen …`")
	}
	command, _, _ = strings.Cut(command, " >")
	var out bytes.Buffer
	if err := newApp(strings.NewReader(""), &out).Run(strings.Fields(command)); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	var want strings.Builder
	for line := range strings.Lines(out.String()) {
		if line != "\n" {
			want.WriteString("    ")
		}
		want.WriteString(line)
	}
	if !strings.Contains(rest, want.String()) {
		t.Errorf("the README does not show what `%s` prints:\n%s", command, want.String())
	}
}
