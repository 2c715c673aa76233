package settings

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/settings.md from the table of settings")

const settingsPage = "../../../docs/settings.md"

// docs/settings.md is made from the rows.
func TestDocumented(t *testing.T) {
	want := page()
	if *update {
		if err := os.WriteFile(settingsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(settingsPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is out of date: run `go test ./cmd/uwgate/settings -run TestDocumented -update`", settingsPage)
	}
}

// page is docs/settings.md.
func page() string {
	var b strings.Builder
	b.WriteString(`# Settings

<!-- Made from the rows in cmd/uwgate/settings by: go test ./cmd/uwgate/settings -run TestDocumented -update -->

Each setting of ` + "`uwgate serve`" + ` is a flag, a name in the environment and a key of the YAML file of ` + "`--config`" + `. The first of
these that is set counts: the flag, the environment, the file, nginx's configuration (` + "`--nginx`" + `), the default.

    uwgate serve --ttl 5m --backend 'unix:/run/app.sock weight=2'
    UWGATE_TTL=5m UWGATE_BACKEND='unix:/run/app.sock weight=2' uwgate serve

    # uwgate.yaml
    ttl: 5m
    backend:
      - unix:/run/app.sock weight=2

A setting that is a *list of* something may be given several times: repeat the flag, write a YAML list, or write one
value a line in the environment. The file may also contain [rules](rules.md) and [pools](pools.md).

` + "`uwgate config`" + ` prints each value that is in force and where it comes from, or everything that is wrong.
` + "`uwgate config --example`" + ` prints a file with every key explained, and ` + "`uwgate config --schema`" + ` a JSON schema for editors.

**Secrets** do not belong on the command line, which every user of the machine sees. Write each into a file of its own, and
name that with ` + "`--admin-token-file`, `--purge-token-file` or `--bypass-arg-file`" + `. systemd's credentials of the names
` + "`admin-token`, `purge-token` and `bypass-arg`" + ` are read without a setting:

    # systemctl edit uwgate
    [Service]
    LoadCredential=purge-token:/etc/uwgate/purge-token

If a value is wrong, uwgate does not start. It names every setting that is wrong, where its value comes from, and what to
write:

    uwgate.yaml:3: ttl "soon": write a time with its unit, as in 250ms, 90s, 10m or 1h30m; for example ttl: 10m

The same is true for an unknown key of the file, and for an unknown name in the environment that begins with ` + "`UWGATE_`" + `, except
those that Kubernetes sets for a service of that name. What is allowed and probably not meant is a warning at the start:

    {"level":"warn",…,"msg":"--max-object 2M: memcached refuses values of 1M and more unless it runs with a larger -I","fix":"start memcached with -I 4M, or write at most 1023k"}

**Time**: a number with a unit, as in ` + "`250ms`, `90s`, `10m` or `1h30m`" + `. **Size**: bytes, or a number with ` + "`k`, `M` or `G`" + `, which are
powers of 1024. **Glob**: a name in which ` + "`*`" + ` stands for any letters.

**HUP**: after ` + "`kill -HUP`" + `, uwgate reads the file, the environment of its start and all files that settings name again, and
logs ` + "`settings reloaded`" + ` with the settings that changed. If anything is wrong it logs that and keeps the old settings. *restart*
marks settings that only a restart changes; uwgate logs which of them differ.
`)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| flag | environment | key | value | default | HUP | |\n|---|---|---|---|---|---|---|\n", s.title)
		for _, r := range s.rows() {
			fmt.Fprintf(&b, "| `--%s` | `%s` | %s | %s | %s | %s | %s |\n",
				r.name, envName(r.name), keyOf(r), valueOf(r), defaultOf(r), hupOf(r), helpOf(r))
		}
	}
	return b.String()
}

// keyOf is the key in the file, which cannot name itself.
func keyOf(r row) string {
	if r.name == "config" {
		return ""
	}
	return "`" + r.name + "`"
}

func valueOf(r row) string {
	if r.list {
		return "list of: " + r.word
	}
	return r.word
}

func defaultOf(r row) string {
	if len(r.defaults) == 0 {
		return ""
	}
	return "`" + strings.Join(r.defaults, " ") + "`"
}

func hupOf(r row) string {
	if r.restart {
		return "restart"
	}
	return "yes"
}

// helpOf is the help as a sentence, with an example where the default is none.
func helpOf(r row) string {
	text := strings.ToUpper(r.help[:1]) + r.help[1:] + "."
	if !r.toggle && (len(r.defaults) == 0 || r.defaults[0] != r.example) {
		text += " Example: `" + r.example + "`."
	}
	text = strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(text)
	return pageName.ReplaceAllString(text, "[$1]($1)")
}

// pageName is a page beside docs/settings.md.
var pageName = regexp.MustCompile(`docs/([a-z-]+\.md)`)

// A help text begins with a verb in lower case, and has no full stop at its end.
func TestHelp(t *testing.T) {
	for _, r := range allRows() {
		first, _, _ := strings.Cut(r.help, " ")
		if first != strings.ToLower(first) || strings.HasSuffix(r.help, ".") || r.topic == "" || r.word == "" {
			t.Errorf("%s: help %q, topic %q, kind %q", r.name, r.help, r.topic, r.word)
		}
		if !r.toggle && strings.Count(r.help, "`") < 2 {
			t.Errorf("%s: the help names no `VALUE`: %q", r.name, r.help)
		}
	}
}
