package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
	"uwgate/docs/snippet"
)

// snippetStatuses are the exit statuses that commands of README and docs/ may have here. Of
// explain 3 means that the page is not stored; check and warm find out that this site is not
// theirs: it has no sitemap, and nginx no other addresses.
var snippetStatuses = map[string][]int{
	"config": {0}, "status": {0}, "healthcheck": {0}, "purge": {0}, "nginx": {0}, "key": {0}, "explain": {0, 3}, "check": {0, 1}, "warm": {0, 1}, "report": {0},
}

// The commands of README and docs/ that name a configuration file run against a gateway.
func TestSnippetsRun(t *testing.T) {
	t.Parallel()
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(adminToken), 0o600); err != nil {
		t.Fatal(err)
	}
	w := start(t, stack.Config{Args: []string{"--admin-token-file", token}})
	config := filepath.Join(t.TempDir(), "uwgate.yaml")
	text := "listen: " + w.Uwgate.Addr + "\nbackend: " + w.UWSGI.Addr + "\nmemcached: " + w.Memcached[0].Addr + "\nadmin: " + w.Admin + "\nadmin-token-file: " + token + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("/etc/uwgate/uwgate.yaml", config, "/etc/nginx/nginx.conf", filepath.Join(w.Dir, "nginx.conf"),
		"https://www.example.com", w.URL(""), "http://www.example.com", w.URL(""), "https://example.com", w.URL(""), "http://127.0.0.1/", w.URL("/"))
	ran := map[string]int{}
	for _, c := range snippet.Commands(t, "..") {
		if c.Words[0] != "uwgate" || c.Partial || !slices.Contains(c.Words, "--config") || snippetStatuses[c.Words[1]] == nil {
			continue
		}
		var args []string
		for _, word := range c.Words[1:] {
			if word == "uwgate.yaml" {
				word = config
			}
			args = append(args, here.Replace(word))
		}
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = stack.UwgateEnv()
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil {
			t.Fatal(err)
		}
		if status := cmd.ProcessState.ExitCode(); !slices.Contains(snippetStatuses[c.Words[1]], status) {
			t.Errorf("%s: %s: status %d\n%s", c.Place, c.Text, status, out)
		}
		ran[c.Words[1]]++
	}
	for name := range snippetStatuses {
		if ran[name] == 0 && name != "key" {
			t.Errorf("no snippet has run `uwgate %s`", name)
		}
	}
}
