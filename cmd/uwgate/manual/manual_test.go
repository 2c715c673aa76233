package manual_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"uwgate/cmd/uwgate/manual"
	"uwgate/cmd/uwgate/settings"
)

// book has two commands: one with all settings, and one with arguments.
func book() *manual.Book {
	serve := &cli.Command{
		Name: "serve", Usage: "run the gateway", UsageText: "uwgate serve --listen unix:/run/uwgate.sock --backend unix:/run/app.sock --memcached 127.0.0.1:11211",
		Description: "It runs until TERM.\n\nExit status: 0 done, 1 failed.", Flags: settings.ForServe().Flags(),
	}
	explain := &cli.Command{Name: "explain", Usage: "show [why] a page isn't stored: step by step", Flags: settings.ForExplain().Flags()}
	shells := &cli.Command{Name: "completion", Usage: "print the completion", ArgsUsage: "bash | zsh"}
	return manual.New([]*cli.Command{serve, explain, shells}, "March 1, 2026")
}

// No line of a help text is longer than a terminal, unless one word is.
func TestHelpIsNarrow(t *testing.T) {
	b := book()
	words := []string{"serve", "explain", "completion", "settings"}
	for _, topic := range settings.Topics() {
		words = append(words, topic.Name)
		for _, d := range topic.Settings {
			words = append(words, d.Name)
		}
	}
	for _, word := range words {
		text := b.Help(word)
		if text == "" {
			t.Errorf("%s: no help", word)
		}
		for line := range strings.Lines(text + b.Overview()) {
			if n := utf8.RuneCountInString(line); n > manual.Width+1 && strings.Count(strings.TrimSpace(line), " ") > 0 {
				t.Errorf("%s: %d columns: %s", word, n, line)
			}
		}
	}
	if got := b.Help("no-such-word"); got != "" {
		t.Errorf("got %s", got)
	}
}

// A topic has no name of a setting or of a command: one word asks for one thing.
func TestTopicsAreNoSettings(t *testing.T) {
	names := map[string]bool{"serve": true, "explain": true, "check": true, "key": true, "purge": true, "status": true}
	for _, topic := range settings.Topics() {
		for _, d := range topic.Settings {
			if d.Name != "key" && names[d.Name] {
				t.Errorf("%s is two things", d.Name)
			}
			names[d.Name] = true
		}
	}
	for _, topic := range settings.Topics() {
		if names[topic.Name] {
			t.Errorf("%s is two things", topic.Name)
		}
	}
}

// need returns the path of a program that the tests run; demo/install installs it.
func need(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("UWGATE_TEST_STACK") != "" {
		t.Fatalf("%v; demo/install installs it", err)
	}
	t.Skip(err)
	return ""
}

// run runs a program and returns its output.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a shell that waits for input
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// mandoc finds nothing to complain of, but that the other pages are not installed here.
func TestPagesAreManualPages(t *testing.T) {
	mandoc := need(t, "mandoc")
	b := book()
	for _, name := range b.Pages() {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(b.Page(name)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.CommandContext(t.Context(), mandoc, "-T", "lint", path).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "referenced manual not found") && !strings.Contains(line, "mandoc.db") {
				t.Errorf("%s: %s", name, line)
			}
		}
		if text := run(t, mandoc, "-T", "ascii", path); !strings.Contains(text, "SEE ALSO") && !strings.Contains(text, "S\bSE\bEE\bE") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// script writes a completion into a file.
func script(t *testing.T, shell string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "_uwgate")
	if err := os.WriteFile(path, []byte(book().Completion(shell)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBashCompletes(t *testing.T) {
	bash, path := need(t, "bash"), script(t, "bash")
	for _, tt := range []struct {
		words, want string
		not         string
	}{
		{"uwgate ser", "serve", "explain"},
		{"uwgate serve --mem", "--memcached --memcached-connect-timeout --memcached-timeout", "--listen"},
		{"uwgate serve --format ", "body gzip http", "--"},
		{"uwgate serve --format = g", "gzip", "body"},
		{"uwgate serve --config " + filepath.Dir(path) + "/", path, "--"},
		{"uwgate explain -", "--request-file", ""},
		{"uwgate completion z", "zsh", "bash"},
		{"uwgate serve --ttl ", "", "--"},
	} {
		words := strings.Split(tt.words, " ")
		program := "source " + path + "; COMP_WORDS=('" + strings.Join(words, "' '") + "'); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _uwgate; echo \"${COMPREPLY[*]}\""
		got := strings.TrimSpace(run(t, bash, "--norc", "-c", program))
		if !strings.Contains(got, tt.want) || tt.not != "" && strings.Contains(got, tt.not) && !strings.HasPrefix(tt.want, tt.not) {
			t.Errorf("%s: got %s, want %s", tt.words, got, tt.want)
		}
	}
}

func TestFishCompletes(t *testing.T) {
	fish, path := need(t, "fish"), script(t, "fish")
	t.Setenv("HOME", t.TempDir())
	for line, want := range map[string]string{
		"uwgate ser":               "serve\trun the gateway",
		"uwgate exp":               "explain\tshow [why] a page isn't stored: step by step",
		"uwgate serve --memcac":    "--memcached\twrite pages",
		"uwgate serve --format ":   "gzip",
		"uwgate completion ":       "bash",
		"uwgate explain -X PU --m": "--method",
	} {
		got := run(t, fish, "--no-config", "-c", "source "+path+"; complete -C \""+line+"\"")
		if !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
	}
}

// zsh completes in a terminal only, so another zsh makes one.
func TestZshCompletes(t *testing.T) {
	zsh, path := need(t, "zsh"), script(t, "zsh")
	dir := t.TempDir()
	ask := filepath.Join(dir, "ask")
	program := `
zmodload zsh/zpty
zpty z "PS1='> ' TERM=dumb zsh -f -i"
zpty -w z "fpath=(${1:h} \$fpath); autoload -U compinit; compinit -u -d ` + dir + `/dump; zstyle ':completion:*' verbose yes; LISTMAX=0; setopt noalwayslastprompt; bindkey '^I' list-choices; print READY"
typeset seen=
until [[ $seen == *READY*READY* ]]; do zpty -r z chunk && seen+=$chunk; done
zpty -w -n z "$2"$'\t'
seen=
until [[ $seen == *$~3* ]]; do zpty -r z chunk || exit 1; seen+=$chunk; done
print -r -- OK
zpty -d z
`
	if err := os.WriteFile(ask, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"uwgate ":                "run the gateway",
		"uwgate serve --memcac":  "--memcached-timeout",
		"uwgate serve --format=": "gzip",
	} {
		if got := run(t, zsh, "-f", ask, path, line, want); !strings.Contains(got, "OK") {
			t.Errorf("%s: got %s, want %s", line, got, want)
		}
	}
}
