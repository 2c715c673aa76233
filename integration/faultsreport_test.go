package integration

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

// faultsFile is where the table goes.
var faultsFile = flag.String("faults", "", "try FastRouter, too, and write what visitors saw to this `FILE`")

// report writes the table, if every trial came to its end and uwgate kept to it.
func (l *lab) report(t *testing.T, rows []fault, seen [][2]string) {
	t.Helper()
	lines := [][3]string{{"fault", "FastRouter", "uwgate"}, {"---", "---", "---"}}
	for i, row := range rows {
		router := seen[i][1]
		if row.hostile {
			router = "not asked"
		}
		if router == "" || seen[i][0] == "" {
			t.Errorf("%s: not tried", row.name)
		}
		lines = append(lines, [3]string{row.name, router, seen[i][0]})
	}
	if t.Failed() {
		t.Fatalf("%s stays as it is:\n%s", *faultsFile, aligned(lines))
	}
	text := fmt.Sprintf(faultsHead, l.versions(t), stall) + aligned(lines)
	if err := os.WriteFile(*faultsFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// aligned is a Markdown table that is one in a terminal, too.
func aligned(lines [][3]string) string {
	var widths [3]int
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(&b, "| %-*s ", widths[i], cell)
		}
		b.WriteString("|\n")
	}
	return b.String()
}

const faultsHead = `# What visitors see when something goes wrong

Made by ` + "`make bench-faults`" + `; do not edit it. Each fault was made twice, behind
uWSGI's FastRouter and behind uwgate, with one nginx before both and uWSGI behind them;
"client half-closes" alone was asked without nginx. Both fronts waited %[2]s s for a node
that does not go on, and had their defaults otherwise, but for what a row is about.
Malformed requests and announcements went to uwgate alone. FastRouter has no weights for
static nodes, and its post-buffering, which is off by default, brings the paused upload
through.

nginx reached the fronts over TCP. Over a UNIX socket nobody can tell it that a page
without a length has broken off.

Seen on %[1]s.

`

// versions tells what this was seen on.
func (l *lab) versions(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%s %s, %d processors, with nginx %s, uWSGI %s and %s", runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU(), version(t, l.programs["nginx"], "-v"), version(t, l.programs["uwsgi"], "--version"), runtime.Version())
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+\S*`)

func version(t *testing.T, program, flag string) string {
	t.Helper()
	out, err := exec.Command(program, flag).CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	return string(versionNumber.Find(out))
}
