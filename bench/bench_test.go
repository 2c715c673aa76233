//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain runs the worker and the relays in the test binary, like the benchmark itself.
func TestMain(m *testing.M) {
	if ran, err := runChild(os.Args[1:]); ran {
		exitOn(err)
		return
	}
	os.Exit(m.Run())
}

// TestBenchmark measures everything briefly. It does not check figures.
func TestBenchmark(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "uwgate")
	if out, err := exec.Command("go", "build", "-o", binary, "uwgate/cmd/uwgate").CombinedOutput(); err != nil {
		t.Fatalf("build uwgate: %v\n%s", err, out)
	}
	var out bytes.Buffer
	if err := run(t.Context(), options{uwgate: binary, docs: dir, rounds: 1, effort: hasty}, &out); err != nil {
		t.Fatalf("%v; it had said:\n%s", err, out.String())
	}
	text, err := os.ReadFile(filepath.Join(dir, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, where, _ := strings.Cut(string(text), "## Where time and memory go")
	for _, tr := range trials() {
		if !tr.isLarge() && !strings.Contains(where, "### "+tr.name) {
			t.Errorf("nothing on where the time goes of %s", tr.name)
		}
		for _, want := range []string{"| " + tr.name, "### " + tr.name} {
			if !strings.Contains(string(text), want) {
				t.Errorf("no %q in performance.md", want)
			}
		}
	}
	for _, want := range []string{"requests waiting on slow workers", "in memcached", "through nginx", "pools", "go1.", "## Where time and memory go", "goroutines' stacks"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in performance.md", want)
		}
	}
	for line := range strings.Lines(string(text)) {
		// A busy machine may be too slow for a load at a fixed rate.
		if strings.Contains(line, "NaN") || strings.Contains(line, "failed") && !strings.Contains(line, "70 %") {
			t.Errorf("something was not measured: %s", line)
		}
	}
	if svg, err := os.ReadFile(filepath.Join(dir, "performance-growth.svg")); err != nil || !strings.Contains(string(svg), "</svg>") {
		t.Errorf("plot: %v, %s", err, svg)
	}
}
