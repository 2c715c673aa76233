package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The lines of nginx's configuration in the README are printed, in that order, by the
// command in the README. What it leaves out is marked by "# …".
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
	if err := newApp(strings.NewReader(""), &out, &out).Run(strings.Fields(command)); err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	shown, _, _ := strings.Cut(rest, "\nEach `# …` stands")
	if strings.Count(shown, "\n    ") < 12 {
		t.Fatalf("the README shows hardly anything:\n%s", shown)
	}
	printed := out.String()
	for line := range strings.Lines(shown) {
		line, isCode := strings.CutPrefix(line, "    ")
		if !isCode || strings.TrimSpace(line) == "# …" {
			continue
		}
		_, after, found := strings.Cut("\n"+printed, "\n"+line)
		if !found {
			t.Fatalf("the README shows %q, which `%s` does not print there", line, command)
		}
		printed = after
	}
}
