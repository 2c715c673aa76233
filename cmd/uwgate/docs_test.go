package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"uwgate/cmd/uwgate/settings"
)

// The configuration of docs/fastrouter.md is one.
func TestFastRouterConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../docs/fastrouter.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "```yaml\n")
	conf, _, ends := strings.Cut(rest, "```")
	if !found || !ends {
		t.Fatal("the page has no YAML")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "uwgate.yaml")
	conf = strings.ReplaceAll(conf, "/etc/uwsgi/keys", dir)
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newApp(strings.NewReader(""), io.Discard, io.Discard).RunContext(t.Context(), []string{"uwgate", "check", "--config", path}); err != nil {
		t.Errorf("%v\n%s", err, conf)
	}
}

// docs/fastrouter.md names every option of FastRouter.
func TestFastRouterOptions(t *testing.T) {
	text, err := os.ReadFile("../../docs/fastrouter.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, option := range strings.Fields(`processes workers zerg use-cache use-pattern use-base fallback use-code-string use-socket to gracetime
		events quiet cheap subscription-server subscription-slot timeout post-buffering post-buffering-dir stats stats-server ss harakiri uid gid
		resubscribe resubscribe-bind buffer-size fallback-on-no-key subscription-fallback-key`) {
		if !strings.Contains(string(text), "| `"+option+"`") && !strings.Contains(string(text), ", `"+option+"`") {
			t.Errorf("there is no fastrouter-%s", option)
		}
	}
}

// The flags that these pages name are flags of serve, or uWSGI's.
func TestDocumentedFlags(t *testing.T) {
	known := map[string]bool{"--fastrouter": true, "--connect-and-read": true}
	for _, f := range settings.ForServe().Flags() {
		known["--"+f.Names()[0]] = true
	}
	for _, page := range []string{"fastrouter.md", "connections.md"} {
		text, err := os.ReadFile("../../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range regexp.MustCompile(`--[a-z][a-z0-9-]+`).FindAllString(string(text), -1) {
			if !known[flag] {
				t.Errorf("%s: there is no flag %s", page, flag)
			}
		}
	}
}
