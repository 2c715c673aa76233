package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A deployed is the summary that `uwgate deploy-check --json` prints.
type deployed struct {
	Pages    int            `json:"pages"`
	Outcomes map[string]int `json:"outcomes"`
	Unstored map[string]int `json:"not_stored"`
	Results  []struct {
		URL      string   `json:"url"`
		Outcome  string   `json:"outcome"`
		What     string   `json:"what"`
		Diff     []string `json:"diff"`
		Unstored string   `json:"not_stored"`
	} `json:"results"`
}

// paths returns the paths of the pages with an outcome, and what is said of the last.
func (d *deployed) paths(outcome string) (paths []string, what string) {
	for _, r := range d.Results {
		if r.Outcome == outcome {
			_, path, _ := strings.Cut(r.URL, "127.0.0.1")
			paths, what = append(paths, path), r.What+strings.Join(r.Diff, "\n")
		}
	}
	slices.Sort(paths)
	return paths, what
}

// nextRelease runs the application's next release beside the first, and returns its address.
func (w *world) nextRelease() string {
	w.t.Helper()
	dir := shortDir(w.t)
	p := w.UWSGI
	next := &stack.Process{Name: "the next release", Addr: "unix:" + dir + "/next.sock", LogFile: filepath.Join(dir, "next.log"), Dir: dir, Ready: stack.Pongs,
		Env: append(slices.Clone(p.Env), "RELEASE=2")}
	for _, arg := range p.Command {
		next.Command = append(next.Command, strings.NewReplacer(filepath.Join(w.Dir, "uwsgi.sock"), dir+"/next.sock", filepath.Join(w.Dir, "uwsgi-stats.sock"), dir+"/stats.sock").Replace(arg))
	}
	if err := next.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { next.Stop(context.Background()) })
	return next.Addr
}

// Before visitors see them, the pages of a release are compared with those that are stored.
// Nothing is written and nobody is disturbed.
func TestDeployCheck(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{App: "testdata/warm", Format: format, Memcached: 3})
			pages := []string{"/page/1", "/page/caf%C3%A9?a=b", "/page/changes", "/page/breaks", "/page/goes", "/page/cookie"}
			for _, path := range pages {
				w.want(w.get(path), 200)
			}
			w.settle()
			before := w.stat("total_items") + w.stat("cmd_touch") + w.stat("delete_hits")
			requests := w.requests("/")
			next := w.nextRelease()
			check := slices.Concat([]string{"deploy-check", "--hash", "consistent", "--format", format, "--timeout", patience.String()}, memcachedFlags(w))

			var got deployed
			errs, status := uwgateJSON(t, &got, append(check, next)...)
			if status != 1 || !strings.Contains(errs, "2 of 6 pages fail with the new workers") {
				t.Errorf("got status %d, %s%+v", status, errs, got)
			}
			if want := (map[string]int{"assets": 3, "changed": 1, "failing": 2}); !maps.Equal(got.Outcomes, want) {
				t.Errorf("got %+v", got)
			}
			if paths, what := got.paths("changed"); !slices.Equal(paths, []string{"/page/changes"}) || what != "- <body><h1>/page/changes</h1>\n+ <body><h1>New: /page/changes</h1>" {
				t.Errorf("changed: %q, %s", paths, what)
			}
			if paths, what := got.paths("failing"); !slices.Equal(paths, []string{"/page/breaks", "/page/goes"}) || !strings.Contains(what, ", 200 is stored") {
				t.Errorf("failing: %q, %s", paths, what)
			}
			if got.Unstored["set-cookie"] != 1 {
				t.Errorf("not stored: %v", got.Unstored)
			}
			// The workers that run now respond as they did. --backend adds nothing to that.
			got = deployed{}
			if errs, status := uwgateJSON(t, &got, append(check, "--changed-fails", "--backend", w.UWSGI.Addr, w.UWSGI.Addr)...); status != 0 || got.Outcomes["same"] != 6 {
				t.Errorf("of the same workers: got status %d, %s%+v", status, errs, got)
			}
			if after := w.stat("total_items") + w.stat("cmd_touch") + w.stat("delete_hits"); after != before || w.requests("/") != requests {
				t.Errorf("something was written, or requested from the gateway: %d, %d", after-before, w.requests("/")-requests)
			}
		})
	}
}

// Content that has changed since it was stored is no change of the release, and a memcached
// that is down is no reason not to compare what the others have.
func TestDeployCheckOutdated(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: "testdata/warm", Memcached: 2})
	for i := range 12 {
		w.want(w.get(fmt.Sprintf("/page/%d", i)), 200)
	}
	w.settle()
	content := filepath.Join(w.Dir, "site", "content")
	if err := os.WriteFile(content, []byte("<p>News of today</p>"), 0o644); err != nil {
		t.Fatal(err)
	}
	next := w.nextRelease()
	check := slices.Concat([]string{"deploy-check", "--hash", "consistent"}, memcachedFlags(w))
	var got deployed
	if errs, status := uwgateJSON(t, &got, append(check, next)...); status != 0 || got.Outcomes["changed"] != 12 {
		t.Errorf("without --backend: got status %d, %s%+v", status, errs, got)
	}
	got = deployed{}
	if errs, status := uwgateJSON(t, &got, append(check, "--backend", w.UWSGI.Addr, next)...); status != 0 || got.Outcomes["assets"] != 12 {
		t.Errorf("with --backend: got status %d, %s%+v", status, errs, got)
	}
	w.Memcached[0].Kill()
	got = deployed{}
	errs, status := uwgateJSON(t, &got, append(check, "--backend", w.UWSGI.Addr, next)...)
	if status != 0 || got.Pages == 0 || got.Pages >= 12 || !strings.Contains(errs, "not all pages are known: ") || !strings.Contains(errs, w.Memcached[0].Addr) {
		t.Errorf("with one memcached: got status %d, %s%+v", status, errs, got)
	}
}

// People see what differs, and a worker that does not respond fails.
func TestDeployCheckText(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: "testdata/warm"})
	for _, path := range []string{"/page/1", "/page/changes"} {
		w.want(w.get(path), 200)
	}
	w.settle()
	next := w.nextRelease()
	check := slices.Concat([]string{"deploy-check"}, memcachedFlags(w))
	run := func(args ...string) (string, int) {
		cmd := exec.CommandContext(t.Context(), binary, append(check, args...)...)
		cmd.Env = stack.UwgateEnv()
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	out, status := run("--changed-fails", next)
	for _, say := range []string{"changed  http://127.0.0.1/page/changes\n  - <body>", "  pages       2\n", "  changed     1\n", "1 of 2 pages change with the new workers"} {
		wantsText(t, out, say)
	}
	if status != 1 {
		t.Errorf("got status %d", status)
	}
	if out, status := run("--ignore", `New:\s`, next); status != 0 || !strings.Contains(out, "assets      2, but for") {
		t.Errorf("with --ignore: got status %d, %s", status, out)
	}
	out, status = run(next, "unix:/no/such.sock")
	wantsText(t, out, "no such file or directory  (unix:/no/such.sock)")
	wantsText(t, out, "1 of 2 pages fail with the new workers")
	if status != 1 {
		t.Errorf("got status %d", status)
	}
}

// The hottest pages are those that were read last. With them, a memcached that was emptied
// partly can be filled again through the gateway.
func TestWarmHottest(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: "testdata/warm", Memcached: 2})
	for _, path := range []string{"/page/hot", "/page/hot", "/page/cold"} {
		w.want(w.get(path), 200)
		w.settle()
	}
	was := w.want(w.get("/page/hot"), 200).body
	var got warmed
	args := slices.Concat([]string{"warm", "--hottest", "1", "--through", "gateway", "--listen", w.Uwgate.Addr, "--hash", "consistent"}, memcachedFlags(w))
	if errs, status := uwgateJSON(t, &got, args...); status != 0 || got.Pages != 1 || got.Verdicts["stored"] != 1 {
		t.Fatalf("got status %d, %s%+v", status, errs, got)
	}
	w.eventually("nginx serves the new page", func() bool { return w.want(w.get("/page/hot"), 200).body != was })
	if n := w.requests("/page/cold"); n != 1 {
		t.Errorf("the other page was requested %d times, want once", n)
	}
}
