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

// faultsFile is the page to write; "": none.
var faultsFile = flag.String("faults", "", "also try FastRouter, and write what visitors see to this `FILE`")

// report writes the page if each trial has ended and uwgate's outcomes are as wanted.
func (l *lab) report(t *testing.T, rows []fault, seen [][2]string) {
	t.Helper()
	lines := [][3]string{{"fault", "FastRouter", "uwgate"}, {"---", "---", "---"}}
	for i, row := range rows {
		router := seen[i][1]
		if row.hostile {
			router = "not tried"
		}
		if router == "" || seen[i][0] == "" {
			t.Errorf("%s: there is no result", row.name)
		}
		lines = append(lines, [3]string{row.name, router, seen[i][0]})
	}
	if t.Failed() {
		t.Fatalf("%s was not written:\n%s", *faultsFile, aligned(lines))
	}
	text := fmt.Sprintf(faultsHead, l.versions(t), stall) + aligned(lines)
	if err := os.WriteFile(*faultsFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// aligned returns a Markdown table with aligned columns.
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

const faultsHead = `# What visitors see when something fails

Made by ` + "`make bench-faults`" + `. Do not edit it.

Each fault was made twice: behind uWSGI's FastRouter and behind uwgate, with one nginx in front of both and uWSGI behind them.
The row "client half-closes" was tried without nginx. Both wait %[2]s s for a node that stalls, and have their
defaults otherwise, except for the subject of a row. Malformed requests and announcements were sent to uwgate only.
FastRouter has no weights for static nodes. With its post-buffering, which is off by default, the paused upload succeeds.

nginx reached both over TCP. Over a UNIX socket it cannot notice that a page without a length has broken off.

*Ejected* means that a server gets no more requests until a probe succeeds. "20 × 200" means that twenty requests had the
status 200. uwgate logs each failure of a server:

    {"level":"warn","msg":"backend failed","backend":"127.0.0.1:3031","status":504,"error":"…"}

Seen on %[1]s.

`

// versions names the system and the programs.
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
