package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"uwgate/demo/stack"
)

// A warmed is the summary that `uwgate warm --json` prints.
type warmed struct {
	Pages     int            `json:"pages"`
	Verdicts  map[string]int `json:"verdicts"`
	Stored    map[string]int `json:"stored"`
	NotStored map[string]int `json:"not_stored"`
	Statuses  map[string]int `json:"statuses"`
	Failed    int            `json:"failed"`
	Failures  []struct {
		URL    string `json:"url"`
		Status int    `json:"status"`
	} `json:"failures"`
	Unread     int      `json:"unread"`
	UnreadWhat []string `json:"unread_what"`
	Left       struct {
		Foreign map[string]int `json:"other_hosts"`
	} `json:"left_out"`
	Ended string `json:"ended"`
}

// uwgateJSON runs a command of uwgate that prints one JSON object, and returns the exit
// status.
func uwgateJSON(t *testing.T, v any, args ...string) (stderr string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{args[0], "--json"}, args[1:]...)...)
	cmd.Env = stack.UwgateEnv()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	if err := json.Unmarshal(out.Bytes(), v); err != nil {
		t.Fatalf("%q: %v: %s%s", args, err, out.String(), errs.String())
	}
	return errs.String(), cmd.ProcessState.ExitCode()
}

// requests returns how many requests of warm or visitors have reached uwgate for paths
// that begin so.
func (w *world) requests(prefix string) (n int) {
	w.t.Helper()
	log, err := os.ReadFile(w.AccessLog)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"uri":"`+prefix) && strings.Contains(line, `"msg":"request"`) {
			n++
		}
	}
	return n
}

// The pages of a sitemap come through nginx once, and then nginx serves them alone.
func TestWarm(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"body", "gzip", "http"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			w := start(t, stack.Config{App: "testdata/warm", Format: format, Memcached: 2, Args: []string{"--admin-token", adminToken}})
			sitemap := []string{"warm", "--sitemap", "http://127.0.0.1/sitemap.xml", "--connect", w.Nginx.Addr, "--concurrency", "4", "--admin", w.Admin, "--admin-token", adminToken, "--timeout", patience.String()}
			var first warmed
			errs, status := uwgateJSON(t, &first, sitemap...)
			if status != 0 || errs != "" || first.Pages != 24 || first.Failed != 0 || first.Unread != 0 {
				t.Fatalf("got status %d, %s%+v", status, errs, first)
			}
			if first.Verdicts["stored"] != 22 || first.Stored["default-ttl"] != 22 || first.NotStored["set-cookie"] != 1 || first.NotStored["status"] != 1 || first.Left.Foreign["other.example"] != 1 {
				t.Errorf("got %+v", first)
			}
			w.settle()
			before := w.requests("/page/")
			for _, path := range []string{"/page/0?a=1&b=2", "/page/19?a=1&b=2", "/page/caf%C3%A9/a%2Fb", "/big"} {
				w.want(w.get(path), 200)
			}
			if n := w.requests("/page/"); n != before || before != 21 {
				t.Errorf("%d of the visitors came to uwgate, after %d pages", n-before, before)
			}
			var second warmed
			if errs, status := uwgateJSON(t, &second, sitemap...); status != 0 || second.Verdicts["hit"] != 22 || second.Verdicts["stored"] != 0 {
				t.Errorf("the second time: got status %d, %s%+v", status, errs, second)
			}

			// Without nginx each page is fetched and stored again.
			list := filepath.Join(t.TempDir(), "urls")
			if err := os.WriteFile(list, []byte("/page/1?a=1&b=2\n/page/2?a=1&b=2\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			was := w.want(w.get("/page/1?a=1&b=2"), 200).body
			var third warmed
			direct := append([]string{"warm", "--through", "gateway", "--listen", w.Uwgate.Addr, "--urls", list, "--site", w.URL(""), "--format", format, "--hash", "consistent"}, memcachedFlags(w)...)
			if errs, status := uwgateJSON(t, &third, direct...); status != 0 || third.Verdicts["stored"] != 2 {
				t.Fatalf("without nginx: got status %d, %s%+v", status, errs, third)
			}
			w.settle()
			if is := w.want(w.get("/page/1?a=1&b=2"), 200).body; is == was || w.requests("/page/1?") != 2 {
				t.Errorf("got %q after %q, with %d requests", is, was, w.requests("/page/1?"))
			}
		})
	}
}

func memcachedFlags(w *world) (flags []string) {
	for _, m := range w.Memcached {
		flags = append(flags, "--memcached", m.Addr)
	}
	return flags
}

// A page that fails makes the command fail, and so does a sitemap that cannot be read.
func TestWarmFails(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: "testdata/warm"})
	var got warmed
	errs, status := uwgateJSON(t, &got, "warm", "--connect", w.Nginx.Addr, "--sitemap", "http://127.0.0.1/pages.xml.gz?broken")
	if status != 1 || !strings.Contains(errs, "1 of 25 pages failed") || len(got.Failures) != 1 || got.Failures[0].URL != "http://127.0.0.1/broken" || got.Failures[0].Status != 500 {
		t.Errorf("got status %d, %s%+v", status, errs, got)
	}
	got = warmed{}
	errs, status = uwgateJSON(t, &got, "warm", "--connect", w.Nginx.Addr, "--sitemap", "http://127.0.0.1/sitemap.xml?other")
	if status != 1 || !strings.Contains(errs, "could not be read") || !strings.Contains(fmt.Sprint(got.UnreadWhat), "other.example") {
		t.Errorf("got status %d, %s%+v", status, errs, got)
	}
	w.UWSGI.Kill()
	if errs, status = uwgateJSON(t, &got, "warm", w.URL("/new")); status != 1 || got.Failed != 1 || got.Failures[0].Status < 500 {
		t.Errorf("without workers: got status %d, %s%+v", status, errs, got)
	}
}

// Ctrl-C ends a warming with its summary.
func TestWarmIsInterrupted(t *testing.T) {
	t.Parallel()
	w := start(t, stack.Config{App: "testdata/warm"})
	cmd := exec.CommandContext(t.Context(), binary, "warm", "--urls", "-", "--site", w.URL(""), "--json")
	cmd.Env = stack.UwgateEnv()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "/page/1\n/page/2")
	w.line("/page/2")
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	var got warmed
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Ended != "interrupted" || got.Failed != 0 || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(errs.String(), "interrupted after") {
		t.Errorf("got %v, %s%s", err, out.String(), errs.String())
	}
}
