package integration

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// reasons counts the logged reasons of requests for paths with that prefix.
func (w *world) reasons(prefix string) map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	for _, l := range w.lines() {
		if strings.HasPrefix(l.URI, prefix) {
			counts[l.Reason]++
		}
	}
	return counts
}

// The settings change while a page is fetched. This page is not stored. The next one is
// stored by the new settings.
func TestReloadWhileAPageIsOnItsWay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "uwgate.yaml")
	configure := func(ttl string) {
		if err := os.WriteFile(file, []byte("ttl: "+ttl+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	configure("10m")
	w := startFlights(t, stack.Config{Args: append([]string{"--config", file}, longWait...)})
	done := make(chan page)
	go func() { done <- w.fetch("GET", "/cold", "") }()
	w.atWorkers(1)
	configure("20m")
	if err := w.Uwgate.Reload(); err != nil {
		t.Fatal(err)
	}
	w.eventually("settings in force", func() bool { return strings.Contains(w.Uwgate.Log(), "reloaded") })
	w.open()
	if p := <-done; p.status != 200 || p.body != "<p>/cold for all</p>" {
		t.Errorf("got %d %q, %v", p.status, p.body, p.err)
	}
	w.settle()
	if l := w.line("/cold"); l.Reason != "reloaded" || w.has(w.pageKey("/cold")) {
		t.Errorf("logged %+v, in memcached: %v", l, w.has(w.pageKey("/cold")))
	}
	w.wantHit("/cold", "/cold for all")
	if l := w.line("/cold"); l.TTL < 1100 {
		t.Errorf("stored for %d s by the old settings", l.TTL)
	}
}

// If the queue is full or memcached is down, a page is served and not stored, and no
// response says that it is stored.
func TestPagesThatTheStoreDoesNotTake(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reason  string
		args    []string
		trouble func(*stack.Process) error
		end     func(w *world) error
	}{
		{"store-full", []string{"--queue-entries", "1", "--memcached-timeout", "10s"}, (*stack.Process).Pause, func(w *world) error { return w.Memcached[0].Resume() }},
		{"store-down", nil, (*stack.Process).Kill, func(w *world) error { return w.Memcached[0].Start(w.t.Context()) }},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			w := startFlights(t, stack.Config{Args: append(tt.args, longWait...)})
			w.open()
			if err := tt.trouble(w.Memcached[0]); err != nil {
				t.Fatal(err)
			}
			n := 0
			w.eventually(tt.reason, func() bool {
				n++
				if p := w.miss(fmt.Sprintf("/page/%d", n)); p.status != 200 || p.err != nil {
					t.Fatalf("got %d %q, %v", p.status, p.body, p.err)
				}
				return w.reasons("/page/")[tt.reason] > 0
			})
			if err := tt.end(w); err != nil {
				t.Fatal(err)
			}
			w.eventually("a page is stored again", func() bool {
				n++
				path := fmt.Sprintf("/again/%d", n)
				w.miss(path)
				w.settle()
				return w.has("http://localhost" + path)
			})
		})
	}
}

// A page whose copy has no room in --capture-memory, since another page is on its way, is
// served and not stored. The other page is stored.
func TestPageWithoutRoomForACopy(t *testing.T) {
	t.Parallel()
	w := startFlights(t, stack.Config{Args: []string{"--capture-memory", "128K", "--max-object", "128K"}})
	w.open()
	done := make(chan page, 2)
	for i, path := range []string{"/first/half", "/second/half"} {
		go func() { done <- w.fetch("GET", path, "") }()
		w.atWorkers(i + 1)
		w.eventually("the first copy", func() bool { return w.metric("uwgate_capture_memory_bytes") > 50000 })
	}
	w.write("end", "")
	for range 2 {
		if p := w.want(<-done, 200); len(p.body) != 100000 || p.err != nil {
			t.Errorf("got %d bytes, %v; want 100000", len(p.body), p.err)
		}
	}
	w.settle()
	for path, reason := range map[string]string{"/first/half": "default-ttl", "/second/half": "capture-full"} {
		if l := w.line(path); l.Reason != reason || w.has(w.pageKey(path)) != (reason == "default-ttl") {
			t.Errorf("logged %+v, in memcached: %v; want %s", l, w.has(w.pageKey(path)), reason)
		}
	}
}

// Each reason is covered by a test of this package or by a golden file of uwgate
// explain.
func TestEveryReasonIsSeen(t *testing.T) {
	seen := map[string]bool{}
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tests {
		literals(t, name, func(word string) { seen[word] = true })
	}
	goldens, err := filepath.Glob("../cmd/uwgate/testdata/script/explain*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	verdict := regexp.MustCompile(`(?m)^Would (?:not )?be stored.*: ([a-z-]+)[.,]`)
	for _, name := range goldens {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range verdict.FindAllSubmatch(text, -1) {
			seen[string(found[1])] = true
		}
	}
	declared := 0
	literals(t, "../gateway/policy/reason.go", func(word string) {
		declared++
		if !seen[word] {
			t.Errorf("no test comes to %q", word)
		}
	})
	if declared < 50 {
		t.Errorf("found %d reasons only", declared)
	}
}

// literals calls f for each string literal of a Go file.
func literals(t *testing.T, name string, f func(string)) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if word, err := strconv.Unquote(lit.Value); err == nil {
				f(word)
			}
		}
		return true
	})
}
