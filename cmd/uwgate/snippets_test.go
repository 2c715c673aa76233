package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"uwgate/cmd/uwgate/settings"
	"uwgate/docs/snippet"
)

// sets are the settings of the commands that take those of serve.
var sets = map[string]func() *settings.Set{
	"serve": settings.ForServe, "config": settings.ForConfig, "nginx": settings.ForNginx, "check": settings.ForCheck, "key": settings.ForKey,
	"explain": settings.ForExplain, "status": settings.ForStatus, "healthcheck": settings.ForHealth, "purge": settings.ForPurge,
	"warm": settings.ForWarm, "deploy-check": settings.ForDeployCheck, "top": settings.ForTop, "report": settings.ForReport,
}

// alone are the commands that need nothing but their command line, and are run here. Package
// integration runs those that need a gateway.
var alone = []string{"key", "help", "version", "completion", "nginx"}

// notRun are the programs of snippets that no test runs, and why not. Of make the targets are
// looked up.
var notRun = map[string]string{
	"apt": "installs packages", "apt-get": "installs packages", "adduser": "makes a user", "useradd": "makes a user", "ln": "needs uWSGI's folders", "ls": "shows the files of a machine",
	"systemctl": "needs systemd", "journalctl": "needs systemd", "nginx": "needs nginx's folders", "rm": "deletes files of nginx", "mkdir": "needs nginx's folders",
	"openssl": "is not ours", "chmod": "needs a secret", "curl": "integration requests pages", "for": "integration requests pages", "kubectl": "needs a cluster", "docker": "needs a Docker engine",
	"go": "the tests themselves", "kill": "needs a process", "psql": "needs a database", "touch": "needs nginx's folders", "mv": "needs nginx's folders", "cp": "needs files", "git": "needs a repository",
	"cd": "changes the folder", "echo": "writes a file", "patch": "needs nginx's folders", "uwsgi": "needs an application", "gunicorn": "needs an application", "memcached": "needs a server", "sysctl": "changes the machine",
	"varnishlog": "is another program", "socat": "is another program", "export": "sets a variable", "cat": "shows a file", "man": "shows a page", "uwsgitop": "is another program", "sudo": "needs root", "ssh": "needs a server",
}

// prose are words behind uwgate in output that is shown.
var prose = map[string]bool{"writes": true, "can": true, "serve:": true}

// Each command of README and docs/ is one: its flags exist and its values can be used. Those
// that need nothing but their command line are run.
func TestSnippetsAreCommands(t *testing.T) {
	clean := regexp.MustCompile(`^UWGATE_`)
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); clean.MatchString(name) {
			t.Setenv(name, "") // which unsets it at the end
			os.Unsetenv(name)
		}
	}
	for _, c := range newApp(nil, nil, nil).Commands {
		if len(settings.Describe(c.Flags)) > 0 && sets[c.Name] == nil {
			t.Errorf("this test does not know the settings of %s", c.Name)
		}
	}
	commands := 0
	for _, c := range snippet.Commands(t, "../..") {
		switch program := c.Words[0]; {
		case program == "uwgate" && len(c.Words) > 1 && prose[c.Words[1]]:
		case program == "make" && strings.HasPrefix(c.Place, "commands.md:"): // the help of --key begins so
		case program == "uwgate":
			commands++
			checkSnippet(t, c)
		case program == "make":
			checkTarget(t, c)
		case strings.HasPrefix(program, "deploy/"), strings.HasPrefix(program, "bin/"), strings.HasPrefix(program, "demo/"), strings.HasPrefix(program, "bench/"), strings.HasPrefix(program, "."):
			if _, err := os.Stat(filepath.Join("../..", program)); err != nil && !strings.HasPrefix(program, "bin/") {
				t.Errorf("%s: %v", c.Place, err)
			}
		case notRun[program] == "" && c.Prompt:
			t.Errorf("%s: nothing runs %q: %s", c.Place, program, c.Text)
		}
	}
	if commands < 100 {
		t.Errorf("%d commands of uwgate", commands)
	}
}

func checkSnippet(t *testing.T, c snippet.Command) {
	t.Helper()
	if len(c.Words) == 1 {
		return
	}
	name := c.Words[1]
	app := newApp(strings.NewReader(""), io.Discard, io.Discard)
	if app.Command(name) == nil && !strings.HasPrefix(name, "-") && strings.ToUpper(name) != name {
		t.Errorf("%s: there is no command %s: %s", c.Place, name, c.Text)
		return
	}
	makeSet := sets[name]
	if makeSet != nil {
		if err := readFlags(makeSet(), c.Words[2:]); err != nil {
			t.Errorf("%s: %v\n%s", c.Place, err, c.Text)
			return
		}
	}
	if !slices.Contains(alone, name) || c.Partial || slices.Contains(c.Words, "--config") || slices.Contains(c.Words, "--nginx") || strings.ToUpper(c.Words[len(c.Words)-1]) == c.Words[len(c.Words)-1] {
		return
	}
	if err := app.RunContext(t.Context(), c.Words); err != nil {
		t.Errorf("%s: %v\n%s", c.Place, err, c.Text)
	}
}

// names are flags whose files are not on this machine.
var fileFlags = regexp.MustCompile(`^--(config|nginx|mime-types|host-map|tls-[a-z-]+|[a-z-]+-file|subscribe-sign)(=|$)`)

// readFlags reads the values of a command line, apart from what is in files.
func readFlags(set *settings.Set, args []string) error {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, f := range set.Flags() {
		if err := f.Apply(flags); err != nil {
			return err
		}
	}
	var kept []string
	for i := 0; i < len(args); i++ {
		switch {
		case !fileFlags.MatchString(args[i]):
			kept = append(kept, args[i])
		case !strings.Contains(args[i], "="):
			i++
		}
	}
	if err := flags.Parse(kept); err != nil {
		return err
	}
	for _, arg := range flags.Args() {
		if strings.HasPrefix(arg, "--") {
			return errors.New("flags stand before arguments")
		}
	}
	_, err := set.Read()
	return err
}

func checkTarget(t *testing.T, c snippet.Command) {
	t.Helper()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Words) > 1 && !strings.Contains(string(makefile), "\n"+c.Words[1]+":") && !strings.Contains(c.Words[1], "=") {
		t.Errorf("%s: make has no target %s", c.Place, c.Words[1])
	}
}

// The configuration files in README and docs/ are some.
func TestSnippetsAreFiles(t *testing.T) {
	files := 0
	keys := regexp.MustCompile(`^(rules|pools|` + strings.Join(settingNames(), "|") + `):( |$)`)
	for _, b := range snippet.Blocks(t, "../..") {
		first := strings.TrimLeft(b.Text, "\n")
		for strings.HasPrefix(first, "#") {
			_, first, _ = strings.Cut(first, "\n")
		}
		if b.Language != "yaml" && !keys.MatchString(first) || strings.Contains(b.Text, "…") || strings.Contains(b.Text, "apiVersion") || strings.Contains(b.Text, "    # uwgate ") {
			continue
		}
		if !keys.MatchString(first) {
			continue // of another program
		}
		files++
		text, _, _ := strings.Cut(b.Text, "\n\n# uwgate ")
		path := filepath.Join(t.TempDir(), "uwgate.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		set := settings.ForServe()
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		for _, f := range set.Flags() {
			f.Apply(flags)
		}
		if err := flags.Parse([]string{"--config", path}); err != nil {
			t.Fatal(err)
		}
		if _, err := set.Read(); err != nil && !strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v\n%s", b.Place, err, b.Text)
		}
	}
	if files < 8 {
		t.Errorf("%d files", files)
	}
}

func settingNames() (names []string) {
	for _, topic := range settings.Topics() {
		for _, d := range topic.Settings {
			names = append(names, d.Name)
		}
	}
	return names
}

// The log lines in README and docs/ are JSON, apart from what they leave out.
func TestSnippetsAreLogLines(t *testing.T) {
	lines := 0
	for _, b := range snippet.Blocks(t, "../..") {
		for line := range strings.Lines(b.Text) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, `{"level"`) {
				continue
			}
			lines++
			line = strings.ReplaceAll(strings.ReplaceAll(line, ",…", ""), `"…"`, `""`)
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: no JSON: %s", b.Place, line)
			}
		}
	}
	if lines < 5 {
		t.Errorf("%d lines", lines)
	}
}
